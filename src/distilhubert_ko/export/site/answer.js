// The worker's answer to one recording, and how far it is.

import { transcribe } from "./server.js";

/**
 * Returns the words and the duration of a recording. `tell` receives the state of the work as the key of a text, with
 * the share that is done (`part`), and the `duration` of the recording if that is a share of it. `hear` receives the
 * text so far.
 */
export function answer(blob, name, options, { signal, tell, hear }) {
  const onPart = ({ text, seconds, duration }) => {
    hear(text);
    tell("transcribing", { part: seconds / duration, duration });
  };
  tell("transcribing");
  return transcribe(blob, { onLoad: (part) => tell("loadingModel", { part }), onPart, signal });
}

/** Returns what to show for an error. */
export const told = (error, options) => error;
