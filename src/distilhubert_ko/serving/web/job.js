// The transcription of one recording, from upload to words.

import { hideNotices, progress, showProblem, status, withToken } from "./notices.js";
import { ServerError, transcribe } from "./server.js";

const TRIES = 5; // attempts of a request to a busy server
const PATIENCE = 5; // seconds until the next attempt, unless the server says

export class Job {
  /**
   * Sends `options` as fields of the form. Calls `show` with the words and the duration, or `failed`, from which on
   * `again` starts anew.
   */
  constructor(blob, name, options, { show, failed, again }) {
    Object.assign(this, { blob, name, options, show, failed, again });
  }

  async run() {
    this.controller = new AbortController();
    this.replaced = false;
    hideNotices();
    progress(null);
    status("uploading", { percent: 0 });
    try {
      const { words, duration } = await this.answer();
      this.show(words, duration);
      status("ready", { count: words.length });
    } catch (error) {
      if (this.replaced) return;
      this.failed();
      if (error instanceof ServerError) showProblem(this.told(error), this.again, error.message);
      else if (error.name === "AbortError") status("cancelled");
      else throw error;
    } finally {
      if (!this.replaced) progress();
    }
  }

  /** A file of one channel is the likeliest reason why one cannot be split. */
  told(error) {
    return error.status === 400 && error.param === "file" && this.options.channel ? "errorSplit" : error;
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

  /** Retries while the server is busy. */
  async answer() {
    const { signal } = this.controller;
    const { options } = this;
    for (let tries = 1; ; tries++) {
      try {
        return await withToken(() => transcribe(this.blob, this.name, { options, onUpload: showUpload, signal }));
      } catch (error) {
        if (![429, 503].includes(error.status) || tries === TRIES) throw error;
        await countdown(error.retryAfter ?? PATIENCE, signal);
      }
    }
  }
}

async function countdown(seconds, signal) {
  progress(null);
  for (let left = Math.ceil(seconds); left > 0; left--) {
    status("waiting", { seconds: left });
    await new Promise((resolve) => setTimeout(resolve, 1000));
    signal.throwIfAborted();
  }
}

function showUpload(part) {
  progress(part < 1 ? part : null);
  if (part < 1) status("uploading", { percent: Math.floor(100 * part) });
  else status("transcribing");
}
