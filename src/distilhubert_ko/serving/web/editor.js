// The transcript as lines of words to play and correct. Each word is a button; arrow keys move between them.

import { showConfidence } from "./confidence.js";
import { say } from "./language.js";
import { clock, corrected, segments, textOf } from "./transcript.js";

const PEN = "M4 20l1-4L16.5 4.5l3 3L8 19zM14 7l3 3";

export class Editor {
  /**
   * Calls `play` with seconds, `moved` with the word that gets the focus, `editing` when a field opens, `rendered` when
   * the lines are new, and `changed` after each correction.
   */
  constructor(list, { play, moved, editing, rendered, changed }) {
    Object.assign(this, { list, play, moved, editing, rendered, changed });
    this.lines = []; // {words, first, start, item, buttons}
    this.buttons = []; // one per word
    this.now = this.stop = -1; // the word being spoken, and the one that the Tab key reaches
    this.show([], 0);
    list.addEventListener("click", (event) => this.click(event));
    list.addEventListener("dblclick", (event) => {
      const word = event.target.closest(".word");
      if (word) this.editWord(this.buttons.indexOf(word));
    });
    list.addEventListener("focusin", (event) => this.focused(event.target));
    list.addEventListener("keydown", (event) => this.key(event));
  }

  /** Shows a transcript; `past` are its words before each correction. */
  show(words, duration, past = []) {
    this.duration = duration;
    this.past = past;
    this.render(words);
  }

  undo() {
    if (!this.past.length) return;
    const focus = this.buttons.indexOf(document.activeElement);
    this.render(this.past.pop());
    if (focus >= 0) this.focus(focus);
    this.changed();
  }

  /** Marks the word being spoken; with `following`, keeps it in view. */
  mark(index, following) {
    if (index === this.now) return;
    this.buttons[this.now]?.classList.remove("now");
    this.now = index;
    const button = this.buttons[index];
    button?.classList.add("now");
    if (button && following) button.scrollIntoView({ block: "nearest" });
  }

  /** Makes only the lines that are missing, so that one correction does not rebuild a long transcript. */
  render(words) {
    this.mark(-1);
    this.setStop(-1);
    const [old, found] = [this.lines, segments(words, this.duration)];
    const same = (line, segment) =>
      line && segment
      && !line.item.querySelector(".field")
      && line.words.length === segment.words.length
      && line.words.every((word, index) => word === segment.words[index]);
    let [head, tail] = [0, 0];
    while (same(old[head], found[head])) head++;
    while (tail < Math.min(old.length, found.length) - head && same(old.at(-1 - tail), found.at(-1 - tail))) tail++;
    const made = found.slice(head, found.length - tail).map((segment) => this.line(segment));
    for (const { item } of old.slice(head, old.length - tail)) item.remove();
    const kept = old.slice(old.length - tail);
    for (const { item } of made) this.list.insertBefore(item, kept[0]?.item ?? null);
    this.lines = [...old.slice(0, head), ...made, ...kept];
    this.lines.forEach((line, index) => (line.first = found[index].first));
    this.buttons = this.lines.flatMap((line) => line.buttons);
    this.words = words;
    this.setStop(0);
    this.rendered();
  }

  line({ start, words }) {
    const buttons = [];
    const item = document.createElement("li");
    const time = button("time", clock(start, 0));
    say(time, "playFrom", { time: clock(start, 0) }, "label");
    const text = document.createElement("div");
    text.className = "words";
    text.lang = "ko";
    for (const word of words) {
      const each = button("word", word.word);
      showConfidence(each, word);
      each.classList.toggle("corrected", word.probability === null);
      buttons.push(each);
    }
    const edit = button("edit", "");
    edit.append(icon(PEN));
    say(edit, "correctLine", { time: clock(start, 0) }, "label");
    if (words[0].speaker) {
      const name = document.createElement("strong");
      say(name, "speaker", { number: words[0].speaker });
      text.append(name, " ");
    }
    for (const each of buttons) text.append(each, " ");
    item.append(time, text, edit);
    return { words, start, item, buttons };
  }

  click({ target }) {
    const [word, time, edit] = [".word", ".time", ".edit"].map((kind) => target.closest(kind));
    if (word) this.play(this.words[this.buttons.indexOf(word)].start);
    if (time) this.play(this.lineOf(time).start);
    if (edit) this.editLine(this.lineOf(edit));
  }

  lineOf(element) {
    return this.lines.find(({ item }) => item.contains(element));
  }

  focused(target) {
    const index = this.buttons.indexOf(target);
    if (index < 0) return;
    this.setStop(index);
    this.moved(this.words[index]);
  }

  /** Lets the Tab key reach one word only, and then the pencil of its line. */
  setStop(index) {
    const pen = (at) => this.buttons[at]?.closest("li")?.querySelector(".edit");
    for (const [at, order] of [[this.stop, -1], [index, 0]]) {
      if (this.buttons[at]) this.buttons[at].tabIndex = order;
      if (pen(at)) pen(at).tabIndex = order;
    }
    this.stop = index;
  }

  /** Scrolls to a word, which the Tab key then reaches. */
  reveal(index) {
    this.setStop(index);
    this.buttons[index].scrollIntoView({ block: "nearest" });
  }

  /** Focuses a word, or the last one if there are fewer. */
  focus(index) {
    this.buttons[Math.min(index, this.buttons.length - 1)]?.focus();
  }

  key(event) {
    const index = this.buttons.indexOf(event.target);
    if (index < 0 || event.ctrlKey || event.altKey || event.metaKey) return;
    const line = this.lines.indexOf(this.lineOf(event.target));
    const goals = {
      ArrowLeft: index - 1,
      ArrowRight: index + 1,
      ArrowUp: this.lines[line - 1]?.first,
      ArrowDown: this.lines[line + 1]?.first,
      Home: 0,
      End: this.buttons.length - 1,
    };
    if (event.key in goals) this.buttons[goals[event.key]]?.focus();
    else if (event.key === "F2") this.editWord(index);
    else return;
    event.preventDefault();
  }

  editWord(index) {
    const { word } = this.words[index];
    const field = this.field("input", word, index, 1);
    say(field, "correctWord", {}, "label");
    field.size = Math.max(4, 2 * word.length + 1);
    this.buttons[index].replaceWith(field);
    field.select();
  }

  editLine({ item, first, words, start }) {
    const field = this.field("textarea", textOf(words), first, words.length);
    say(field, "correctLine", { time: clock(start, 0) }, "label");
    field.rows = 2;
    item.querySelector(".words").replaceChildren(field);
    item.querySelector(".edit").hidden = true;
    field.focus();
  }

  /** Opens a field for `count` words from `first` on. Enter and leaving the field accept the text; Escape does not. */
  field(kind, content, first, count) {
    this.editing();
    const field = document.createElement(kind);
    field.className = "field";
    field.value = content;
    field.spellcheck = false;
    let open = true;
    const close = (text, keepFocus) => {
      if (!open) return;
      open = false;
      if (text.trim().split(/\s+/).join(" ") === content) this.render(this.words);
      else this.correct(corrected(this.words, first, count, text, this.duration));
      if (keepFocus) this.focus(first);
    };
    field.addEventListener("blur", () => close(field.value, false));
    field.addEventListener("keydown", (event) => {
      if (composes(event)) return;
      if (!["Enter", "Escape"].includes(event.key)) return;
      event.preventDefault();
      close(event.key === "Enter" ? field.value : content, true);
    });
    return field;
  }

  correct(words) {
    this.past.push(this.words);
    this.render(words);
    this.changed();
  }
}

/** Returns whether a key is for the input method, as an Enter that ends a syllable. */
export const composes = (event) => event.isComposing || event.keyCode === 229;

function button(kind, content) {
  const element = document.createElement("button");
  element.type = "button";
  element.className = kind;
  element.tabIndex = -1;
  element.textContent = content;
  return element;
}

function icon(path) {
  const namespace = "http://www.w3.org/2000/svg";
  const image = document.createElementNS(namespace, "svg");
  image.setAttribute("viewBox", "0 0 24 24");
  image.setAttribute("aria-hidden", "true");
  const line = document.createElementNS(namespace, "path");
  line.setAttribute("d", path);
  image.append(line);
  return image;
}
