// The server's answer to one recording, and how far it is.

import { progress, status, withToken } from "./notices.js";
import { transcribe } from "./server.js";

const TRIES = 5; // attempts of a request to a busy server
const PATIENCE = 5; // seconds until the next attempt, unless the server says

/** Returns the words and the duration of a recording. `options` are fields of the form. Retries while it is busy. */
export async function answer(blob, name, options, signal) {
  status("uploading", { percent: 0 });
  for (let tries = 1; ; tries++) {
    try {
      return await withToken(() => transcribe(blob, name, { options, onUpload: showUpload, signal }));
    } catch (error) {
      if (![429, 503].includes(error.status) || tries === TRIES) throw error;
      await countdown(error.retryAfter ?? PATIENCE, signal);
    }
  }
}

/** Returns what to show for an error. A file of one channel is the likeliest reason why one cannot be split. */
export function told(error, options) {
  return error.status === 400 && error.param === "file" && options.channel ? "errorSplit" : error;
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
