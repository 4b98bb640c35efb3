// Finds a text in the lines of a transcript, and replaces it.

import { corrected, textOf } from "./transcript.js";

/**
 * Returns the places of a text in `lines` of {words, first}, whose words are NFC. Upper and lower case are alike, and a
 * space also matches the ends of a line. A match has
 * - `head` and `tail`, {word, offset} of its first letter and of the end of its last one;
 * - `before`, the number of letters that precede it in the transcript;
 * - `first` and `last`, the words that change with it, which stand from `left` to `right` in `content`;
 * - `from` and `to`, what is replaced of `content`.
 */
export function matches(lines, text) {
  const wanted = text.normalize("NFC").replace(/\s+/g, " ");
  if (!wanted.trim()) return [];
  const pattern = new RegExp(wanted.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&"), "giu");
  let letters = 0; // of the lines before
  return lines.flatMap((line) => {
    const content = ` ${textOf(line.words)} `;
    const starts = [1];
    for (const { word } of line.words) starts.push(starts.at(-1) + word.length + 1);
    const wordAt = (place) => Math.max(0, starts.findLastIndex((start, index) => start <= place && index < line.words.length));
    const place = (offset, word) => ({ word: line.first + word, offset: offset - starts[word] });
    const found = [...content.matchAll(pattern)].map(({ 0: part, index: from }) => {
      const [start, to, end] = [from + part.search(/\S/), from + part.length, from + part.trimEnd().length];
      const [first, head, tail, last] = [from, start, end - 1, to].map(wordAt);
      return {
        ...{ head: place(start, head), tail: place(end, tail), before: letters + start - 1 - head },
        ...{ first: line.first + first, last: line.first + last, left: starts[first], right: starts[last + 1] - 1 },
        ...{ content, from, to },
      };
    });
    letters += content.length - 1 - line.words.length;
    return found;
  });
}

/** Returns the words after `text` took the place of each match. A replaced word keeps its time, as one corrected by hand. */
export function replaced(words, found, text, duration) {
  const groups = []; // matches that share a word change it together
  for (const match of found) {
    if (match.first <= groups.at(-1)?.at(-1).last) groups.at(-1).push(match);
    else groups.push([match]);
  }
  return groups.reduceRight((result, group) => {
    const [{ content, first, left }, { last, right }] = [group[0], group.at(-1)];
    let [typed, place] = ["", left];
    for (const { from, to } of group) {
      typed += content.slice(place, from) + text;
      place = to;
    }
    return corrected(result, first, last - first + 1, typed + content.slice(place, right), duration);
  }, words);
}
