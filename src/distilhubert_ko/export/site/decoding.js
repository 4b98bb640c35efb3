// From a wave to words: windows, silence, the likeliest labels, syllables, times. The rules are those of
// recognition/windows.py, silence.py and words.py, and of text/tokenizer.py, which a check compares.

export const RATE = 16000;
export const STEP = 320; // samples per frame
const WINDOW = 20 * RATE;
const MARGIN = 2 * RATE;
const SILENCE = 1e-4; // the loudest sample of silence
const SHORTEST = 25; // frames of silence that are left out
const PADDING = 10; // frames of silence that stay at each end
const WORD_GAP = 30; // frames of silence that no word holds
const LONGEST_RUN = 25; // frames for which a label is audible

export function frameCount(samples, layers) {
  return layers.reduce((length, [stride, added]) => Math.max(0, Math.floor((length + added) / stride)), samples);
}

/** Returns windows {start, end, first, last} of a wave: its samples, and the frames that are kept (null: to the end). */
export function windows(samples) {
  const found = [];
  let [start, first] = [0, 0];
  while (samples - start > WINDOW) {
    found.push({ start, end: start + WINDOW, first, last: (WINDOW - MARGIN) / STEP });
    start += WINDOW - 2 * MARGIN;
    first = MARGIN / STEP;
  }
  return [...found, { start, end: samples, first, last: null }];
}

/** Returns the parts {start, end} of a wave, in samples, between silences. */
export function regions(wave) {
  const steps = Math.ceil(wave.length / STEP);
  const loud = [];
  for (let step = 0; step < steps; step++) {
    if (wave.subarray(step * STEP, (step + 1) * STEP).some((sample) => Math.abs(sample) >= SILENCE)) loud.push(step);
  }
  if (!loud.length) return [];
  const pauses = loud.map((_, index) => index).filter((index) => loud[index + 1] - loud[index] > SHORTEST);
  const firsts = [0, ...pauses.map((index) => index + 1)].map((index) => loud[index]);
  const lasts = [...pauses, loud.length - 1].map((index) => loud[index]);
  return firsts.map((first, number) => {
    const last = lasts[number];
    const begins = number === 0 && first < SHORTEST ? 0 : first - PADDING;
    const ends = number === lasts.length - 1 && steps - 1 - last < SHORTEST ? steps : last + 1 + PADDING;
    return { start: begins * STEP, end: Math.min(ends * STEP, wave.length) };
  });
}

/**
 * Returns {labels, scores} of the frames of a wave no longer than a window. `network` resolves a wave to those of its
 * own frames. Silence does not go through it: that is a space, then blanks.
 */
export async function recognise(wave, vocabulary, network) {
  const frames = frameCount(wave.length, vocabulary.layers);
  const labels = new Int32Array(frames).fill(vocabulary.blank);
  const scores = new Float32Array(frames);
  const parts = regions(wave);
  for (const { end } of vocabulary.delimiter === null ? [] : parts) {
    const after = Math.floor(end / STEP);
    if (after < frames) [labels[after], scores[after]] = [vocabulary.delimiter, Math.log(0.55)];
  }
  for (const { start, end } of parts) {
    if (!frameCount(end - start, vocabulary.layers)) continue;
    const found = await network(wave.subarray(start, end));
    labels.set(found.labels, start / STEP);
    scores.set(found.scores, start / STEP);
  }
  return { labels, scores };
}

/** Returns the tokens {id, start, end, score} of labels per frame: repeats collapsed, blanks removed. */
export function tokens(labels, scores, blank) {
  const found = [];
  for (let start = 0, end; start < labels.length; start = end) {
    let sum = 0;
    for (end = start; end < labels.length && labels[end] === labels[start]; end++) sum += scores[end];
    if (labels[start] !== blank) found.push({ id: labels[start], start, end, score: sum / (end - start) });
  }
  return found;
}

/** Returns the words {word, start, end, probability} of tokens, in a recording of `seconds`. */
export function words(found, vocabulary, seconds) {
  return runs(found, vocabulary).map((run) => wordOf(run, vocabulary, seconds)).filter(({ word }) => word);
}

function runs(found, { delimiter }) {
  const all = [];
  let run = [];
  for (const token of found) {
    const spoken = token.id !== delimiter;
    if (run.length && (!spoken || token.start - audibleUntil(run.at(-1)) >= WORD_GAP)) {
      all.push(run);
      run = [];
    }
    if (spoken) run.push(token);
  }
  return run.length ? [...all, run] : all;
}

function wordOf(run, vocabulary, seconds) {
  const kept = groups(run, vocabulary).filter((group) => isWritten(spelt(group, vocabulary), vocabulary));
  const audible = kept.length ? kept.flat() : run;
  const score = audible.reduce((sum, token) => sum + token.score, 0) / audible.length;
  return {
    word: kept.map((group) => spelt(group, vocabulary)).join(""),
    start: (audible[0].start * STEP) / RATE,
    end: Math.min((audibleUntil(audible.at(-1)) * STEP) / RATE, seconds),
    probability: Math.exp(score),
  };
}

/** Returns the tokens of a word by the characters that they spell together. */
function groups(run, vocabulary) {
  const all = [];
  run.forEach((token, number) => {
    if (all.length) {
      const joined = [...all.at(-1), token];
      const written = spelt(joined, vocabulary);
      const ahead = spelt([...joined, ...run.slice(number + 1, number + 2)], vocabulary);
      // A consonant that is written as a letter (ㄱ) belongs to a vowel that follows it.
      if ([...written].length === 1 && ([...ahead].length === 1 || ahead.startsWith(written))) {
        all.at(-1).push(token);
        return;
      }
    }
    all.push([token]);
  });
  return all;
}

/** Tells whether a character is part of a text: unknown units and jamo that form no syllable are not. */
function isWritten(character, { unknown, units }) {
  if (character === unknown || /^[\u1100-\u11ff]$/.test(character)) return false;
  return units !== "jamo" || !/^[ㄱ-ㅣ]$/.test(character);
}

const audibleUntil = ({ start, end }) => Math.min(end, start + LONGEST_RUN);

export function spelt(run, { tokens: units, blank, delimiter, silent, unknown, letters, lowerCase }) {
  const written = run.map(({ id }) => {
    if (id === blank || silent.includes(id)) return "";
    return id === delimiter ? " " : units[id] ?? unknown;
  });
  let text = written.join("").normalize("NFC");
  if (letters) text = composed(text);
  return (lowerCase ? text.toLowerCase() : text).split(/\s+/).filter(Boolean).join(" ");
}

const LEADS = "ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ";
const VOWELS = "ㅏㅐㅑㅒㅓㅔㅕㅖㅗㅘㅙㅚㅛㅜㅝㅞㅟㅠㅡㅢㅣ";
const TAILS = "ㄱㄲㄳㄴㄵㄶㄷㄹㄺㄻㄼㄽㄾㄿㅀㅁㅂㅄㅅㅆㅇㅈㅊㅋㅌㅍㅎ";
const SPELLED = new RegExp(`([${LEADS}])([${VOWELS}])(?:([${TAILS}])(?![${VOWELS}]))?`, "g");

/** Returns a text with letters (ㄱㅏㄱ) as syllables (각) where they spell some. */
const composed = (text) =>
  text.replace(SPELLED, (_, lead, vowel, tail) => {
    const last = tail ? TAILS.indexOf(tail) + 1 : 0;
    return String.fromCharCode(0xac00 + (LEADS.indexOf(lead) * 21 + VOWELS.indexOf(vowel)) * 28 + last);
  });
