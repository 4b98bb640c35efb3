// An audio worklet that sends the microphone as 16-bit samples at 16 kHz in chunks of 100 ms.

import { Resampler } from "./resample.js";

const RATE = 16000;
const CHUNK = RATE / 10; // samples

class Recorder extends AudioWorkletProcessor {
  constructor() {
    super();
    this.resampler = sampleRate === RATE ? null : new Resampler(sampleRate, RATE);
    this.chunk = new Int16Array(CHUNK);
    this.filled = 0;
    this.ended = false;
    this.port.onmessage = () => this.end();
  }

  process([[samples]]) {
    if (samples && !this.ended) this.take(this.resampler ? this.resampler.push(samples) : samples);
    return !this.ended;
  }

  take(samples) {
    for (const sample of samples) {
      this.chunk[this.filled++] = Math.round(32767 * Math.max(-1, Math.min(1, sample)));
      if (this.filled === CHUNK) this.send();
    }
  }

  send() {
    const chunk = this.chunk.slice(0, this.filled);
    this.port.postMessage(chunk, [chunk.buffer]);
    this.filled = 0;
  }

  /** Sends the rest, and null as the last message. */
  end() {
    if (this.resampler) this.take(this.resampler.end());
    this.send();
    this.ended = true;
    this.port.postMessage(null);
  }
}

registerProcessor("recorder", Recorder);
