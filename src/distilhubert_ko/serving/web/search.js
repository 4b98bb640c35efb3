// The bar that finds a text in the transcript and replaces it.

import { composes } from "./editor.js";
import { say } from "./language.js";
import { matches, replaced } from "./matches.js";
import { textOf } from "./transcript.js";

const at = (id) => document.getElementById(id);
const letters = (text) => text.normalize("NFC").replace(/\s/g, "").length;

export class Search {
  /** Calls `moved` with the first word of a match that is shown. */
  constructor(editor, moved) {
    Object.assign(this, { editor, moved });
    this.found = [];
    this.current = -1; // the match that is shown
    this.anchor = 0; // letters of the transcript before what is searched next
    at("search-open").addEventListener("click", () => (at("search").hidden ? this.open() : this.close()));
    at("search-close").addEventListener("click", () => this.close());
    at("find").addEventListener("input", () => this.find());
    at("find-next").addEventListener("click", () => this.step(1));
    at("find-previous").addEventListener("click", () => this.step(-1));
    at("replace").addEventListener("click", () => this.replace());
    at("replace-all").addEventListener("click", () => this.replaceAll());
    at("search").addEventListener("keydown", (event) => this.key(event));
  }

  /** Searches from the word that had the focus last. */
  open() {
    this.setOpen(true);
    this.anchor = letters(textOf(this.editor.words.slice(0, this.editor.stop)));
    this.find();
    at("find").select();
  }

  /** Leaves the focus on the match that was shown last. */
  close() {
    const match = this.found[this.current];
    this.setOpen(false);
    if (match) this.editor.focus(match.head.word);
    else at("search-open").focus();
  }

  /** Opens or closes the bar without a change of focus. */
  setOpen(open) {
    at("search").hidden = !open;
    at("search-open").setAttribute("aria-expanded", open);
    this.refresh();
  }

  key(event) {
    if (composes(event)) return;
    if (event.key === "Escape") this.close();
    else if (event.key !== "Enter") return;
    else if (event.target === at("find")) this.step(event.shiftKey ? -1 : 1);
    else if (event.target === at("replacement")) this.replace();
    else return; // a button is pressed
    event.preventDefault();
  }

  find() {
    this.refresh();
    if (at("find").value.trim()) this.show();
  }

  step(by) {
    const { length } = this.found;
    if (length) this.current = (this.current + by + length) % length;
    this.draw();
    this.show();
  }

  replace() {
    const match = this.found[this.current];
    if (match) this.change([match]);
    if (match && !this.found.length) this.tell("replaced", { count: 1 });
    else this.show();
  }

  replaceAll() {
    const { found } = this;
    if (!found.length) this.show();
    else {
      this.change(found);
      this.tell("replaced", { count: found.length });
    }
  }

  /** Replaces matches in one correction, and goes on behind the first. */
  change(found) {
    const text = at("replacement").value;
    this.anchor = found[0].before + letters(text);
    this.editor.correct(replaced(this.editor.words, found, text, this.editor.duration));
  }

  /** Finds the matches anew, since the text or the lines have changed. */
  refresh() {
    this.found = at("search").hidden ? [] : matches(this.editor.lines, at("find").value);
    const next = this.found.findIndex(({ before }) => before >= this.anchor);
    this.current = next < 0 ? 0 : next;
    this.draw();
  }

  /** Marks the matches and shows how many they are. A browser without highlights only counts them. */
  draw() {
    const [found, now] = ["found", "found-now"].map((name) => {
      const marks = globalThis.Highlight ? new Highlight() : new Set();
      globalThis.CSS.highlights?.set(name, marks);
      return marks;
    });
    this.found.forEach((match, index) => (index === this.current ? now : found).add(this.range(match)));
    const count = at("found");
    delete count.dataset.text;
    count.textContent = this.found.length ? `${this.current + 1}/${this.found.length}` : "";
    if (!this.found.length && at("find").value.trim()) say(count, "foundNone");
  }

  range({ head, tail }) {
    const [startContainer, endContainer] = [head, tail].map(({ word }) => this.editor.buttons[word].firstChild);
    return new StaticRange({ startContainer, startOffset: head.offset, endContainer, endOffset: tail.offset });
  }

  /** Scrolls to the current match, and says which it is. */
  show() {
    const match = this.found[this.current];
    if (!match) {
      this.tell("foundNone");
      return;
    }
    const { word } = match.head;
    this.anchor = match.before;
    this.editor.reveal(word);
    this.moved(this.editor.words[word]);
    const params = { number: this.current + 1, count: this.found.length, line: match.content.trim() };
    say(at("found-told"), "found", params);
  }

  /** Shows and says what has come of a search. */
  tell(key, params) {
    for (const id of ["found", "found-told"]) say(at(id), key, params);
  }
}
