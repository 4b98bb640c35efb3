// Reads the microphone as chunks of 16-bit samples at 16 kHz, and makes a WAV file of such chunks.

export const RATE = 16000;

/** Browsers allow the microphone only to pages of this machine or over HTTPS. */
export const isThere = () => Boolean(navigator.mediaDevices?.getUserMedia && window.AudioWorkletNode);

export class Microphone {
  /**
   * Opens the microphone. `onChunk` receives each Int16Array; `onLost` is called when the device disappears. Throws what
   * the browser throws.
   */
  static async open(onChunk, onLost) {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1, echoCancellation: false } });
    try {
      const { context, source } = await connected(stream);
      return new Microphone(stream, context, source, onChunk, onLost);
    } catch (error) {
      release(stream);
      throw error;
    }
  }

  constructor(stream, context, source, onChunk, onLost) {
    this.stream = stream;
    this.context = context;
    this.node = new AudioWorkletNode(context, "recorder", { numberOfOutputs: 0, channelCount: 1, channelCountMode: "explicit" });
    this.ended = new Promise((resolve) => {
      this.node.port.onmessage = ({ data }) => (data ? data.length && onChunk(data) : resolve());
    });
    stream.getTracks().forEach((track) => track.addEventListener("ended", onLost));
    source.connect(this.node);
  }

  /** Resolves after the last chunk. */
  async stop() {
    this.node.port.postMessage("end");
    await this.ended;
    release(this.stream);
    await this.context.close();
  }
}

/** Returns a context at 16 kHz, or at the rate of the device if the browser does not resample a microphone. */
async function connected(stream) {
  for (const options of [{ sampleRate: RATE }, {}]) {
    const context = new AudioContext(options);
    try {
      const source = context.createMediaStreamSource(stream);
      await context.audioWorklet.addModule("/static/recorder.js");
      await context.resume();
      return { context, source };
    } catch (error) {
      await context.close();
      if (!options.sampleRate) throw error;
    }
  }
}

const release = (stream) => stream.getTracks().forEach((track) => track.stop());

/** Returns the loudness of a chunk, 0 to 1, on a scale of 60 dB. */
export function level(chunk) {
  const power = chunk.reduce((sum, sample) => sum + (sample / 32768) ** 2, 0) / chunk.length;
  return Math.max(0, 1 + Math.log10(power + 1e-9) / 6);
}

export function wav(chunks) {
  const size = chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0);
  const header = new DataView(new ArrayBuffer(44));
  const text = (offset, value) => [...value].forEach((each, index) => header.setUint8(offset + index, each.charCodeAt(0)));
  text(0, "RIFF");
  header.setUint32(4, 36 + size, true);
  text(8, "WAVEfmt ");
  header.setUint32(16, 16, true);
  header.setUint16(20, 1, true); // PCM
  header.setUint16(22, 1, true); // one channel
  header.setUint32(24, RATE, true);
  header.setUint32(28, 2 * RATE, true);
  header.setUint16(32, 2, true);
  header.setUint16(34, 16, true);
  text(36, "data");
  header.setUint32(40, size, true);
  return new Blob([header, ...chunks], { type: "audio/wav" });
}
