// The words of a recording, {word, start, end, probability} in seconds, and the files made of them. A word that a
// person typed has the probability null. Words of a call have a speaker, counted from 1, and come in the order of their
// segments. Segments and files are those of recognition/segments.py and formats.py, which a test checks.

const PAUSE = 0.7; // seconds of silence between words that end a segment
const SHORTEST = 1.0; // seconds that a segment is shown, where there is room
const LONGEST = 7.0; // seconds per segment
const WIDTH = 18; // characters per line
const HEIGHT = 2; // lines per segment
const READABLE = 12.0; // characters per second that a reader of subtitles can follow
const SPOKEN = 0.2; // seconds per character of an added word
const WORD_JOINER = "\u2060";
const ASS_HEADER = `[Script Info]
ScriptType: v4.00+
PlayResX: 1920
PlayResY: 1080
WrapStyle: 0
ScaledBorderAndShadow: yes

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, Underline, \
StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, Encoding
Style: Default,Malgun Gothic,64,&H00FFFFFF,&H00FFFFFF,&H00000000,&H80000000,0,0,0,0,100,100,0,0,1,3,1,2,60,60,60,129

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
`;

export const textOf = (words) => words.map((each) => each.word).join(" ");

/** Returns segments {first, start, end, words, lines}: words shown together, `first` being the index of the first. */
export function segments(words, duration) {
  const groups = [];
  words.forEach((word, index) => {
    const group = groups.at(-1)?.words;
    const fits = group
      && word.speaker === group[0].speaker
      && (word.start - group.at(-1).end < PAUSE || word.start - group[0].start < SHORTEST)
      && word.end - group[0].start <= LONGEST
      && inLines([...group, word]).length <= HEIGHT;
    if (fits) group.push(word);
    else groups.push({ first: index, words: [word] });
  });
  return groups.map(({ first, words: group }, number) => {
    const start = group[0].start;
    const lines = inLines(group);
    const wanted = start + Math.max(SHORTEST, characters(lines.join("")) / READABLE);
    const next = groups.slice(number + 1).find((each) => each.words[0].speaker === group[0].speaker);
    const following = next?.words[0].start ?? duration;
    const end = Math.min(Math.max(group.at(-1).end, Math.min(wanted, following)), start + LONGEST);
    return { first, start, end, words: group, lines };
  });
}

/**
 * Returns the words after `count` of them, from `first` on, were corrected to `text`. An unchanged word keeps its times.
 * Replaced words share the time of the old ones by length; added words take the pause around them, if there is one.
 */
export function corrected(words, first, count, text, duration) {
  const old = words.slice(first, first + count);
  const { speaker } = words[first];
  const same = (each) => each.speaker === speaker;
  const earlier = words.slice(0, first).findLast(same);
  const later = words.slice(first + count).find(same);
  const typed = text.normalize("NFC").split(/\s+/).filter(Boolean);
  const result = [];
  let [from, written] = [0, 0];
  for (const [index, place] of [...common(old.map((each) => each.word), typed), [old.length, typed.length]]) {
    const replaced = old.slice(from, index);
    const added = typed.slice(written, place);
    const before = (result.at(-1) ?? earlier)?.end ?? 0;
    const after = (old[index] ?? later)?.start ?? duration;
    const room = SPOKEN * characters(added.join(""));
    let span = [replaced[0]?.start, replaced.at(-1)?.end];
    if (!replaced.length) {
      span = result.length ? [before, Math.min(after, before + room)] : [Math.max(before, after - room), after];
    }
    result.push(...spread(added, ...span).map((each) => (speaker ? { ...each, speaker } : each)));
    if (index < old.length) result.push(old[index]);
    [from, written] = [index + 1, place + 1];
  }
  return [...words.slice(0, first), ...result, ...words.slice(first + count)];
}

/** Returns the content of a file in a format. */
export function written(format, words, duration) {
  const shown = segments(words, duration);
  switch (format) {
    case "txt":
      return shown.map((each) => `${label(each)}${textOf(each.words)}\n`).join("");
    case "srt":
      return shown.map((each, index) => `${index + 1}\n${cue(each, ",")}\n${label(each)}${each.lines.join("\n")}\n`).join("\n");
    case "vtt":
      return ["WEBVTT\n", ...shown.map((each) => `${cue(each, ".")}\n${voice(each)}${escaped(each.lines.join("\n"))}\n`)].join("\n");
    case "ass":
      return ASS_HEADER + shown.map(event).join("");
    case "lrc":
      return shown.map(lyric).join("");
    case "tsv":
      return rows(shown).map((row) => `${row.join("\t")}\n`).join("");
    case "json":
      return `${JSON.stringify(table(words, shown, duration), null, 2)}\n`;
  }
  throw new Error(`no transcript format: ${format}`);
}

/** Returns captions {start, end, text} with WebVTT's markup, for a player that shows no names of speakers. */
export const captions = (words, duration) =>
  segments(words, duration).map((each) => ({ ...each, text: escaped(`${label(each)}${each.lines.join("\n")}`) }));

/** Returns seconds as 1:02:03.4 with this number of decimals. */
export function clock(seconds, decimals) {
  const unit = 10 ** decimals;
  const units = Math.floor(Math.max(0, seconds) * unit + 1e-6);
  const [hours, minutes] = [Math.floor(units / unit / 3600), Math.floor(units / unit / 60) % 60];
  const rest = ((units / unit) % 60).toFixed(decimals).padStart(decimals ? 3 + decimals : 2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

const name = ({ words }) => (words[0].speaker ? `화자 ${words[0].speaker}` : "");

const label = (segment) => (name(segment) ? `${name(segment)}: ` : "");

const voice = (segment) => (name(segment) ? `<v ${name(segment)}>` : "");

const characters = (text) => [...text].length;

/** Returns words in lines no wider than allowed; a longer word has a line of its own. */
function inLines(words) {
  const lines = [words[0].word];
  for (const { word } of words.slice(1)) {
    if (characters(lines.at(-1)) + 1 + characters(word) <= WIDTH) lines.push(`${lines.pop()} ${word}`);
    else lines.push(word);
  }
  return lines;
}

/** Returns pairs of indices of a longest common subsequence. */
function common(a, b) {
  const lengths = Array.from({ length: a.length + 1 }, () => new Uint32Array(b.length + 1));
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      lengths[i][j] = a[i] === b[j] ? lengths[i + 1][j + 1] + 1 : Math.max(lengths[i + 1][j], lengths[i][j + 1]);
    }
  }
  const pairs = [];
  for (let [i, j] = [0, 0]; i < a.length && j < b.length;) {
    if (a[i] === b[j]) pairs.push([i++, j++]);
    else if (lengths[i + 1][j] >= lengths[i][j + 1]) i++;
    else j++;
  }
  return pairs;
}

function spread(typed, start, end) {
  const whole = characters(typed.join(""));
  let done = 0;
  return typed.map((word) => {
    const from = start + ((end - start) * done) / whole;
    done += characters(word);
    return { word, start: from, end: start + ((end - start) * done) / whole, probability: null };
  });
}

/** Returns the nearest whole number, and the even one of two, as Python does. */
function rounded(number) {
  const near = Math.round(number);
  return near - number === 0.5 && near % 2 ? near - 1 : near;
}

const milliseconds = (seconds) => rounded(seconds * 1000);

const hundredths = (seconds) => rounded(seconds * 100);

const two = (value) => String(Math.floor(value)).padStart(2, "0");

function stamp(seconds, point) {
  const time = milliseconds(seconds);
  const [hours, minutes, whole] = [time / 3600000, (time / 60000) % 60, (time / 1000) % 60];
  return `${two(hours)}:${two(minutes)}:${two(whole)}${point}${String(time % 1000).padStart(3, "0")}`;
}

/** Returns the seconds of a minute with two decimals, as 07.50. */
const inMinute = (time) => `${two((time / 100) % 60)}.${two(time % 100)}`;

/** Returns a line of ASS's events. It breaks up what a player would take for markup. */
function event(segment) {
  const times = [segment.start, segment.end].map(hundredths);
  const clocks = times.map((time) => `${Math.floor(time / 360000)}:${two((time / 6000) % 60)}:${inMinute(time)}`);
  const lines = segment.lines.map((line) => line.replaceAll("\\", `\\${WORD_JOINER}`).replaceAll("{", "\\{"));
  return `Dialogue: 0,${clocks.join(",")},Default,${name(segment)},0,0,0,,${lines.join("\\N")}\n`;
}

/** Returns a segment's line of LRC, and a time without text where a pause follows. */
function lyric(segment, index, shown) {
  const [start, end] = [segment.start, segment.end].map(hundredths);
  const mark = (time) => `[${two(time / 6000)}:${inMinute(time)}]`;
  const line = `${mark(start)}${label(segment)}${textOf(segment.words)}\n`;
  const pause = index === shown.length - 1 || end < hundredths(shown[index + 1].start);
  return pause ? `${line}${mark(end)}\n` : line;
}

const cue = ({ start, end }, point) => `${stamp(start, point)} --> ${stamp(end, point)}`;

const escaped = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

function rows(shown) {
  const known = shown.some(({ words }) => words[0].speaker);
  const of = ({ start, end, words }) =>
    [milliseconds(start), milliseconds(end), ...(known ? [words[0].speaker] : []), textOf(words)];
  return [["start", "end", ...(known ? ["speaker"] : []), "text"], ...shown.map(of)];
}

/** Returns JSON as the server's verbose_json. */
function table(words, shown, duration) {
  const exact = (seconds) => milliseconds(seconds) / 1000;
  const times = ({ start, end }) => ({ start: exact(start), end: exact(end) });
  const by = ({ speaker }) => (speaker ? { speaker } : {});
  return {
    task: "transcribe",
    language: "ko",
    duration: exact(duration),
    text: textOf(words),
    words: words.map((each) => ({ word: each.word, ...times(each), probability: each.probability, ...by(each) })),
    segments: shown.map((each, id) => ({ id, ...times(each), text: textOf(each.words), ...by(each.words[0]) })),
  };
}
