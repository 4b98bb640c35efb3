// The transcription of one recording, from the loading of the model to words.

import { hideNotices, progress, showProblem, status } from "./notices.js";
import { ServerError, transcribe } from "./server.js";

export class Job {
  /** Calls `show` with the words and the duration, or `failed`, from which on `again` starts anew. */
  constructor(blob, name, options, { show, failed, again }) {
    Object.assign(this, { blob, name, show, failed, again });
  }

  async run() {
    this.controller = new AbortController();
    this.replaced = false;
    hideNotices();
    progress(null);
    status("transcribing");
    try {
      const { words, duration } = await transcribe(this.blob, {
        onLoad: (part) => this.tell("loadingModel", part),
        onPart: (part) => this.tell("transcribingPart", part),
        signal: this.controller.signal,
      });
      if (this.replaced) return;
      this.show(words, duration);
      status("ready", { count: words.length });
    } catch (error) {
      if (this.replaced) return;
      this.failed();
      if (error instanceof ServerError) showProblem(error, this.again);
      else if (error.name === "AbortError") status("cancelled");
      else throw error;
    } finally {
      if (!this.replaced) progress();
    }
  }

  tell(key, part) {
    if (this.controller.signal.aborted) return;
    progress(part);
    status(key, { percent: Math.floor(100 * part) });
  }

  cancel() {
    this.controller.abort();
  }

  /** Cancels without a message, because the page now shows another recording. */
  replace() {
    this.replaced = true;
    this.cancel();
    progress();
  }
}
