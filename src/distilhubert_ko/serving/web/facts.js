// Facts about the model that the server has loaded.

import { say } from "./language.js";

export function showFacts(list, facts) {
  const number = (value, digits) => Number(value.toPrecision(digits)).toLocaleString("en", { maximumFractionDigits: 2 });
  const rows = [
    ["factModel", facts.id, (value) => value],
    ["factCer", facts.cer, (value) => `${(100 * value).toFixed(2)}%`],
    ["factCorpus", facts.cer_corpus, (corpus) => (isSynthetic(corpus) ? ["synthetic", { corpus }] : corpus)],
    ["factUnits", facts.units, (value) => [value]],
    ["factSize", facts.size_bytes, (value) => ["megabytes", { size: (value / 1e6).toFixed(1) }]],
    ["factParameters", facts.parameters, (value) => [
      "millions",
      { count: Math.round(value / 1e4).toLocaleString("en"), millions: (value / 1e6).toFixed(1) },
    ]],
    ["factSpeed", facts.realtime_factor, (value) => ["speed", { factor: number(value, 3) }]],
    ["factLanguageModel", facts.language_model, (value) => [value ? "yes" : "no"]],
    ["factThreads", facts.threads, (value) => String(value)],
  ];
  list.replaceChildren(
    ...rows
      .filter(([, value]) => value !== null && value !== undefined)
      .map(([key, value, shown]) => row(key, shown(value))),
  );
}

/** Returns whether all parts of a corpus are synthetic speech. */
const isSynthetic = (corpus) => corpus.split(" + ").every((part) => part.startsWith("synthetic:"));

/** Adds a fact; `content` is plain text, or the key of a text with its values. */
function row(key, content) {
  const [group, term, detail] = ["div", "dt", "dd"].map((kind) => document.createElement(kind));
  say(term, key);
  if (Array.isArray(content)) say(detail, ...content);
  else detail.textContent = content;
  group.append(term, detail);
  return group;
}
