// The worker's answer to one recording, and how far it is.

import { progress, status } from "./notices.js";
import { transcribe } from "./server.js";

/** Returns the words and the duration of a recording. */
export function answer(blob, name, options, signal) {
  const tell = (key) => (part) => {
    if (signal.aborted) return;
    progress(part);
    status(key, { percent: Math.floor(100 * part) });
  };
  status("transcribing");
  return transcribe(blob, { onLoad: tell("loadingModel"), onPart: tell("transcribingPart"), signal });
}

/** Returns what to show for an error. */
export const told = (error, options) => error;
