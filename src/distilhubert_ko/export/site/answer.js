// The worker's answer to one recording, and how far it is.

import { transcribe } from "./server.js";
import { clock } from "./transcript.js";

/**
 * Returns the words and the duration of a recording. `tell` receives the state of the work as the key of a text, its
 * values, the share that is done, and that in words; `hear` receives the text so far.
 */
export function answer(blob, name, options, { signal, tell, hear }) {
  const percent = (part) => `${Math.floor(100 * part)}%`;
  const onLoad = (part) => tell("loadingModel", {}, part, percent(part));
  const onPart = ({ text, seconds, duration }) => {
    hear(text);
    const part = seconds / duration;
    tell("transcribing", {}, part, `${percent(part)} · ${clock(seconds, 0)} / ${clock(duration, 0)}`);
  };
  tell("transcribing");
  return transcribe(blob, { onLoad, onPart, signal });
}

/** Returns what to show for an error. */
export const told = (error, options) => error;
