// Shows the confidence of the model in a word, visually and to screen readers.

import { say } from "./language.js";

const UNSURE = 0.5; // below this, the model considers a word more likely wrong than right

/** Marks the element of an uncertain word. A word that a person typed has no probability. */
export function showConfidence(element, { word, probability }) {
  if (probability === null || probability >= UNSURE) return;
  const params = { word, percent: Math.round(100 * probability) };
  element.classList.add("unsure");
  say(element, "unsureTitle", params, "title");
  if (element instanceof HTMLButtonElement) say(element, "unsure", params, "label"); // plain text may not have a label
}
