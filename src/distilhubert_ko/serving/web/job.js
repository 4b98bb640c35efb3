// The transcription of one recording, to its words.

import { answer, told } from "./answer.js";
import { hideNotices, progress, showProblem, showText, status } from "./notices.js";
import { ServerError } from "./server.js";

export class Job {
  /** Calls `show` with the words and the duration, or `failed`, from which on `again` starts anew. */
  constructor(blob, name, options, { show, failed, again }) {
    Object.assign(this, { blob, name, options, show, failed, again });
  }

  async run() {
    this.controller = new AbortController();
    this.replaced = false;
    hideNotices();
    const { signal } = this.controller;
    const tell = (key, params, part = null, detail = "") => {
      if (signal.aborted) return;
      status(key, params);
      progress(part, detail);
    };
    const hear = (text) => signal.aborted || showText(text);
    try {
      const { words, duration } = await answer(this.blob, this.name, this.options, { signal, tell, hear });
      if (this.replaced) return;
      this.show(words, duration);
      status("ready", { count: words.length });
    } catch (error) {
      if (this.replaced) return;
      this.failed();
      if (error instanceof ServerError) showProblem(told(error, this.options), this.again, error.message);
      else if (error.name === "AbortError") status("cancelled");
      else throw error;
    } finally {
      if (!this.replaced) progress();
    }
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
