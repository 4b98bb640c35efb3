// The server's answer to one recording, and how far it is.

import { withToken } from "./notices.js";
import { transcribe } from "./server.js";

const TRIES = 5; // attempts of a request to a busy server
const PATIENCE = 5; // seconds until the next attempt, unless the server says

/**
 * Returns the words and the duration of a recording. `options` are fields of the form. Retries while it is busy. `tell`
 * receives the state of the work as the key of a text, with its values (`params`), the share that is done (`part`), and
 * the `duration` of the recording if that is a share of it. `hear` receives the text so far.
 */
export async function answer(blob, name, options, { signal, tell, hear }) {
  const onUpload = (part) => {
    if (part < 1) tell("uploading", { part });
    else tell("transcribing");
  };
  for (let tries = 1; ; tries++) {
    let text = "";
    const onPart = ({ delta, seconds, duration }) => {
      hear((text += delta));
      tell("transcribing", { part: seconds / duration, duration });
    };
    tell("uploading", { part: 0 });
    hear(text);
    try {
      return await withToken(() => transcribe(blob, name, { options, onUpload, onPart, signal }));
    } catch (error) {
      if (![429, 503].includes(error.status) || tries === TRIES) throw error;
      await countdown(error.retryAfter ?? PATIENCE, signal, tell);
    }
  }
}

/** Returns what to show for an error. A file of one channel is the likeliest reason why one cannot be split. */
export function told(error, options) {
  return error.status === 400 && error.param === "file" && options.channel ? "errorSplit" : error;
}

async function countdown(seconds, signal, tell) {
  for (let left = Math.ceil(seconds); left > 0; left--) {
    tell("waiting", { params: { seconds: left } });
    await new Promise((resolve) => setTimeout(resolve, 1000));
    signal.throwIfAborted();
  }
}
