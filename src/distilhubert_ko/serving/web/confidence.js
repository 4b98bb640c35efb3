// How sure the model is of a word, for eyes and for ears.

import { say } from "./language.js";

const UNSURE = 0.5; // below, a word is likelier wrong than right, as far as the model can tell

/** Marks the element of a word that the model is not sure of. A word that a person typed has no probability. */
export function showConfidence(element, { word, probability }) {
  if (probability === null || probability >= UNSURE) return;
  const params = { word, percent: Math.round(100 * probability) };
  element.classList.add("unsure");
  say(element, "unsureTitle", params, "title");
  if (element instanceof HTMLButtonElement) say(element, "unsure", params, "label"); // mere text may have no label
}
