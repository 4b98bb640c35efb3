// A recording and its words: playback, picture, waveform, corrections and downloads.

import { download, fileName } from "./download.js";
import { Editor } from "./editor.js";
import { say, text } from "./language.js";
import { Picture } from "./picture.js";
import { Search } from "./search.js";
import { Timeline } from "./timeline.js";
import { clock, written } from "./transcript.js";
import { peaks } from "./waveform.js";

const at = (id) => document.getElementById(id);
const LEFT_ALONE = 3000; // ms after manual scrolling during which playback does not scroll
const TYPES = {
  txt: "text/plain", srt: "application/x-subrip", vtt: "text/vtt", ass: "text/x-ssa", lrc: "application/x-lrc",
  tsv: "text/tab-separated-values", json: "application/json",
};

export class Player {
  constructor() {
    this.media = at("media");
    this.picture = new Picture(this.media);
    this.unsaved = false; // whether corrections have not been downloaded
    this.touched = -LEFT_ALONE;
    const [scroller, track, wave, lanes, playhead] = ["scroller", "track", "wave", "lanes", "playhead"].map(at);
    this.timeline = new Timeline({ scroller, track, wave, lanes, playhead }, {
      seek: (time) => this.seek(time),
      play: ({ start }) => this.playFrom(start),
    });
    this.editor = new Editor(at("segments"), {
      play: (time) => this.playFrom(time),
      moved: ({ start }) => this.timeline.reveal(start),
      editing: () => this.media.pause(),
      rendered: () => this.search?.refresh(),
      changed: () => this.corrected(),
    });
    this.search = new Search(this.editor, ({ start }) => {
      this.touched = performance.now();
      this.timeline.reveal(start);
    });
    new ResizeObserver(([{ target }]) => {
      target.parentElement.style.setProperty("--player", `${target.offsetHeight}px`); // what covers the lines
    }).observe(document.querySelector(".player"));
    for (const event of ["play", "pause"]) this.media.addEventListener(event, () => this.showState());
    for (const event of ["seeked", "ended"]) this.media.addEventListener(event, () => this.tick());
    this.media.addEventListener("loadedmetadata", () => {
      if (Number.isFinite(this.media.duration)) this.setDuration(Math.max(this.media.duration, this.duration));
    });
    this.media.addEventListener("error", () => this.soundless());
    for (const id of ["play", "media"]) at(id).addEventListener("click", () => this.toggle());
    at("zoom-in").addEventListener("click", () => this.timeline.zoomBy(2));
    at("zoom-out").addEventListener("click", () => this.timeline.zoomBy(1 / 2));
    at("zoom-fit").addEventListener("click", () => this.timeline.zoomBy(0));
    at("undo").addEventListener("click", () => this.editor.undo());
    document.addEventListener("keydown", (event) => this.key(event));
    document.addEventListener("keyup", (event) => {
      if (event.key === " " && event.target.closest(".word")) event.preventDefault(); // Firefox would click it
    });
    for (const kind of ["wheel", "touchmove"]) {
      document.addEventListener(kind, () => (this.touched = performance.now()), { passive: true });
    }
    at("speed").addEventListener("change", ({ target }) => {
      this.media.defaultPlaybackRate = this.media.playbackRate = Number(target.value); // for the next recording too
    });
    at("copy").hidden = !navigator.clipboard; // a page without HTTPS has none
    at("copy").addEventListener("click", () => this.copy());
    document.querySelectorAll("[data-format]").forEach((each) => {
      each.addEventListener("click", () => this.download(each.dataset.format));
    });
  }

  /** Shows a recording before its words arrive. */
  async open(blob, name) {
    this.close();
    this.name = name;
    this.media.src = URL.createObjectURL(blob);
    at("editor").hidden = false;
    at("transcript").hidden = true;
    at("no-sound").hidden = true;
    at("play").disabled = false;
    at("name").textContent = name;
    this.setDuration(0);
    this.showState();
    const source = this.media.src;
    try {
      const found = await peaks(blob);
      if (this.media.src !== source) return; // another recording was opened meanwhile
      this.setDuration(Math.max(found.duration, this.duration));
      this.timeline.setPeaks(found);
    } catch {
      // A few files can be played but not drawn.
    }
  }

  /** Returns the work on the words that are shown. */
  kept() {
    document.querySelector(".field")?.blur(); // takes what is being typed
    return { words: this.editor.words, past: this.editor.past, unsaved: this.unsaved };
  }

  /** Shows the words of the open recording, which lasts `duration` seconds, and corrections before, which are `kept`. */
  show(words, duration, { past = [], unsaved = false } = {}) {
    this.setDuration(Math.max(duration, this.duration));
    this.editor.show(words, duration, past);
    this.timeline.setWords(words);
    this.picture.setWords(words, duration);
    at("transcript").hidden = false;
    at("nothing").hidden = words.length > 0;
    at("help").hidden = !words.length;
    at("undo").disabled = !past.length;
    this.unsaved = unsaved;
    this.tick();
  }

  close() {
    this.media.pause();
    if (this.media.src) URL.revokeObjectURL(this.media.src);
    this.media.removeAttribute("src");
    this.media.load(); // releases the recording
    this.timeline.clear(0);
    this.editor.show([], 0);
    this.picture.setWords([], 0);
    this.search.setOpen(false);
    this.unsaved = false;
    this.duration = 0;
    at("editor").hidden = true;
  }

  setDuration(duration) {
    this.duration = duration;
    at("length").textContent = clock(duration, 1);
    this.timeline.setDuration(duration);
  }

  /** Keeps the words in their times even without audio. */
  soundless() {
    at("no-sound").hidden = false;
    at("play").disabled = true;
  }

  toggle() {
    if (this.media.paused) this.playFrom(this.media.ended ? 0 : this.media.currentTime);
    else this.media.pause();
  }

  playFrom(time) {
    this.media.currentTime = time;
    this.media.play().catch(() => this.tick()); // the error event has reported a file that cannot be played
  }

  seek(time) {
    this.media.currentTime = time;
    this.tick();
  }

  /** Shows the position, and repeats with each frame during playback. */
  tick() {
    const time = this.media.currentTime;
    const current = this.timeline.spokenAt(time);
    at("now").textContent = clock(time, 1);
    this.timeline.tick(time, current);
    const following = !this.media.paused && performance.now() - this.touched > LEFT_ALONE;
    this.editor.mark(this.editor.words.indexOf(this.timeline.words[current]), following);
    if (following) this.timeline.reveal(time);
    if (this.media.paused) return;
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => this.tick());
  }

  showState() {
    at("editor").classList.toggle("playing", !this.media.paused);
    say(at("play"), this.media.paused ? "play" : "pause", {}, "label");
    this.tick();
  }

  corrected() {
    this.unsaved = true;
    this.timeline.setWords(this.editor.words);
    this.picture.setWords(this.editor.words, this.editor.duration);
    at("undo").disabled = !this.editor.past.length;
    this.tick();
  }

  /** Plays and pauses on Space, unless it types text or presses another control. */
  key(event) {
    const { target } = event;
    if (target.closest("input, textarea, select, dialog") || at("editor").hidden) return;
    if (event.key === " " && !target.closest("button:not(.word), label, a")) {
      event.preventDefault();
      if (!at("play").disabled) this.toggle();
    } else if (event.key.toLowerCase() === "z" && (event.ctrlKey || event.metaKey) && !event.shiftKey) {
      event.preventDefault();
      this.editor.undo();
    }
  }

  async copy() {
    await navigator.clipboard.writeText(written("txt", this.editor.words, this.editor.duration));
    say(at("copy"), "copied");
    setTimeout(() => say(at("copy"), "copy"), 2000);
  }

  download(format) {
    const content = written(format, this.editor.words, this.editor.duration);
    download(new Blob([content], { type: `${TYPES[format]};charset=utf-8` }), fileName(this.name, format));
    this.unsaved = false;
  }

  /** Returns whether the recording may be closed; asks the user if corrections would be lost. */
  mayClose() {
    return !this.unsaved || confirm(text("unsaved"));
  }
}
