// One recording on its way to its words.

import { answer, told } from "./answer.js";
import { progress, showText, status } from "./notices.js";
import { ServerError } from "./server.js";

const HALTING = [0, 401, 429, 503, "model"]; // the status of errors that the next recording would get too

/**
 * `state` is waiting, running, ready, failed or cancelled. While it is running, `now` has the key of a text, its values
 * and the share that is done. When ready, there are `words` and the `duration`; `kept` is what was made of them. When
 * failed, there are the `problem` and its `detail`.
 */
export class Job {
  constructor(blob, name, options, { isFile = false } = {}) {
    Object.assign(this, { blob, name, options, isFile, state: "waiting", words: null, kept: null });
  }

  finish(words, duration) {
    Object.assign(this, { state: "ready", words, duration, kept: null });
  }

  /** `hopeless` says that another try would fail too, `halting` that other recordings would. */
  fail(problem, { detail = "", hopeless = false, halting = false } = {}) {
    Object.assign(this, { state: "failed", problem, detail, hopeless, halting });
  }

  /** Shows how far it is, and calls `changed` after each news. What stops it has set its state. */
  async run(changed) {
    this.controller = new AbortController();
    const { signal } = this.controller;
    const tell = (key, { params = {}, part = null, duration } = {}) => {
      if (signal.aborted) return;
      this.now = { key, params, part };
      status(key, params);
      progress(part, duration);
      changed();
    };
    const hear = (text) => signal.aborted || showText(text);
    this.state = "running";
    try {
      const { words, duration } = await answer(this.blob, this.name, this.options, { signal, tell, hear });
      if (!signal.aborted) this.finish(words, duration);
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof ServerError)) throw error;
      this.fail(told(error, this.options), { detail: error.message, halting: HALTING.includes(error.status) });
    }
  }

  stop(state) {
    this.controller.abort();
    this.state = state;
  }
}
