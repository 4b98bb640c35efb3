// One use of the microphone: live captions, or a recording that is transcribed at its end.

import { Captions } from "./captions.js";
import { showConfidence } from "./confidence.js";
import { say, text } from "./language.js";
import { level, Microphone, RATE, wav } from "./microphone.js";
import { hideNotices, status } from "./notices.js";
import { clock } from "./transcript.js";

const at = (id) => document.getElementById(id);
const LATE = 3; // seconds of delay before the page tells about it

export class Session {
  /**
   * At its end, calls `ended` with {recording, name, words, duration, problem}, or `discarded` without a result. There
   * are no words yet if the recording is still to be transcribed; `problem` is the error that ended the captions.
   */
  constructor(live, hotwords, { ended, discarded }) {
    Object.assign(this, { live, hotwords, ended, discarded });
    this.chunks = [];
    this.words = [];
    this.samples = 0;
    this.stopping = false;
  }

  /** Throws what the browser throws without a microphone or without permission. */
  async start() {
    this.microphone = await Microphone.open((chunk) => this.take(chunk), () => this.stop());
    if (this.live) this.captions = new Captions(this.hotwords, (news) => this.hear(news));
    at("final").replaceChildren();
    at("partial").textContent = "";
    at("live").hidden = false;
    at("captions-text").hidden = !this.live;
    at("stop").disabled = false;
    say(at("live-title"), this.live ? "captioning" : "recording");
    status("listening");
    at("stop").focus();
  }

  async stop() {
    if (this.stopping) return;
    this.stopping = true;
    at("stop").disabled = true;
    await this.microphone.stop();
    if (!this.live) this.end();
    else if (!this.over) this.captions.stop();
  }

  discard() {
    this.captions?.abort();
    if (!this.stopping) this.microphone.stop();
    this.close();
    hideNotices();
    this.discarded();
  }

  get seconds() {
    return this.samples / RATE;
  }

  take(chunk) {
    this.chunks.push(chunk);
    this.samples += chunk.length;
    this.captions?.send(chunk);
    at("level").style.transform = `scaleX(${level(chunk)})`;
    at("live-clock").textContent = clock(this.seconds, 0);
  }

  /** Handles a message of the live captions. */
  async hear({ partial, words, behind, done, problem }) {
    if (partial !== undefined) at("partial").textContent = partial;
    if (words) this.caption(words);
    if (behind >= LATE) status("behind", { seconds: Math.round(behind) });
    else if (behind !== undefined) status(this.stopping ? "finishing" : "listening");
    if (!done && !problem) return;
    if (!this.stopping) {
      this.stopping = true;
      await this.microphone.stop();
    }
    this.end(problem);
  }

  caption(words) {
    this.words.push(...words);
    for (const word of words) {
      const element = document.createElement("span");
      element.textContent = word.word;
      showConfidence(element, word);
      at("final").append(element, " ");
    }
    const box = at("captions-text");
    box.scrollTop = box.scrollHeight;
  }

  end(problem = null) {
    if (this.over) return; // discarded
    this.close();
    const name = `${text("microphoneName", { time: new Date().toLocaleString("sv").replaceAll(":", ".") })}.wav`;
    const words = this.live ? this.words : null;
    this.ended({ recording: wav(this.chunks), name, words, duration: this.seconds, problem });
  }

  close() {
    this.over = true;
    at("live").hidden = true;
  }
}
