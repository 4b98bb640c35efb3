// The waveform with the words under it, in a strip that scrolls. The canvas is as wide as the view and is redrawn for
// each part in view; each word in that part has a button.

import { showConfidence } from "./confidence.js";
import { clock } from "./transcript.js";
import { extremes, loudest } from "./waveform.js";

const LANES = 3; // rows of words: one for each speaker, or for words that are wider than their time
const USUAL = 110; // pixels per second, unless the whole fits with FEWEST or more
const FEWEST = 70;
const CLOSEST = 600;
const LEGIBLE = 30; // below this, too few words would fit to be useful
const LANE = 24; // pixels
const GAP = 4; // pixels between words
const LONG = 10; // seconds that no word lasts
const EDGE = 0.12; // share of the view that playback keeps before and after itself

export class Timeline {
  /** Calls `seek` with seconds, and `play` with a clicked word. */
  constructor(elements, { seek, play }) {
    Object.assign(this, elements); // scroller, track, wave, lanes, playhead
    this.play = play;
    this.seek = seek;
    this.words = []; // by their ends, since speakers talk at once
    this.places = []; // per word: {x, width, lane}, or null if it does not fit
    this.shown = new Map(); // index of a word -> its button
    this.current = -1;
    this.time = 0;
    this.clear(0);
    this.scroller.addEventListener("scroll", () => this.draw());
    this.wave.addEventListener("click", (event) => seek((this.scroller.scrollLeft + event.offsetX) / this.zoom));
    this.wave.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.resize()).observe(this.scroller);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  /** Shows an empty strip of `duration` seconds. */
  clear(duration) {
    this.peaks = null;
    this.words = [];
    this.wish = null; // pixels per second that the user has chosen
    this.setDuration(duration);
  }

  setDuration(duration) {
    this.duration = duration;
    this.wave.setAttribute("aria-valuemax", duration.toFixed(1));
    this.resize();
  }

  setPeaks(peaks) {
    this.peaks = peaks;
    this.scale = 1 / loudest(peaks);
    this.draw();
  }

  setWords(words) {
    this.words = words.toSorted((a, b) => a.end - b.end);
    this.current = -1;
    this.arrange();
  }

  /** Returns the pixels per second at which the whole recording is visible. */
  get fit() {
    return this.scroller.clientWidth / Math.max(this.duration, 0.1);
  }

  /** Zooms by a factor, or to the whole for 0, and keeps the playhead in place if it is in view. */
  zoomBy(factor) {
    const x = this.time * this.zoom - this.scroller.scrollLeft;
    const kept = x >= 0 && x <= this.scroller.clientWidth ? x : this.scroller.clientWidth / 2;
    const time = (this.scroller.scrollLeft + kept) / this.zoom;
    this.wish = factor ? Math.min(CLOSEST, Math.max(this.fit, this.zoom * factor)) : this.fit;
    this.resize();
    this.scroller.scrollLeft = time * this.zoom - kept;
  }

  resize() {
    this.zoom = Math.max(this.wish ?? (this.fit < FEWEST ? USUAL : 0), this.fit);
    this.track.style.width = `${Math.floor(this.zoom * this.duration)}px`;
    this.arrange();
    this.tick(this.time, this.current);
  }

  /** Shows a time, and the index of the word spoken then (-1 for none). */
  tick(time, current) {
    this.time = time;
    this.playhead.style.transform = `translateX(${time * this.zoom}px)`;
    this.wave.setAttribute("aria-valuenow", time.toFixed(1));
    this.wave.setAttribute("aria-valuetext", clock(time, 1));
    if (current !== this.current) {
      this.shown.get(this.current)?.classList.remove("now");
      this.shown.get(current)?.classList.add("now");
      this.current = current;
    }
  }

  /** Scrolls a time into view. */
  reveal(time) {
    const [x, width] = [time * this.zoom - this.scroller.scrollLeft, this.scroller.clientWidth];
    if (x < 0 || x > width * (1 - EDGE)) this.scroller.scrollLeft = time * this.zoom - width * EDGE;
  }

  key(event) {
    const steps = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10 };
    const times = { Home: 0, End: this.duration };
    const time = times[event.key] ?? (event.key in steps ? this.time + steps[event.key] : null);
    if (time === null || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    this.seek(Math.min(this.duration, Math.max(0, time)));
  }

  /** Puts each word into the first row where it fits, if words are shown at all. */
  arrange() {
    const pen = this.wave.getContext("2d");
    pen.font = getComputedStyle(this.lanes).font;
    const ends = new Array(LANES).fill(0);
    this.places = this.words.map(({ word, start, end, speaker }) => {
      const x = start * this.zoom;
      const width = Math.max((end - start) * this.zoom, pen.measureText(word).width + 12);
      const lane = speaker ? speaker - 1 : ends.findIndex((taken) => taken <= x);
      if (!(ends[lane] <= x) || this.zoom < LEGIBLE) return null;
      ends[lane] = x + width + GAP;
      return { x, width, lane };
    });
    for (const button of this.shown.values()) button.remove();
    this.shown.clear();
    this.draw();
  }

  draw() {
    const [width, height] = [this.scroller.clientWidth, this.wave.clientHeight];
    const ratio = window.devicePixelRatio || 1;
    if (!width || !height) return;
    this.wave.style.width = `${width}px`;
    this.wave.width = Math.round(width * ratio);
    this.wave.height = Math.round(height * ratio);
    const pen = this.wave.getContext("2d");
    pen.scale(ratio, ratio);
    const style = getComputedStyle(this.wave);
    const [quiet, spoken] = [style.getPropertyValue("--wave"), style.getPropertyValue("--spoken")];
    const left = this.scroller.scrollLeft;
    let word = this.after(left / this.zoom);
    for (let x = 0; x < width; x++) {
      const [from, to] = [(left + x) / this.zoom, (left + x + 1) / this.zoom];
      while (word < this.words.length && this.words[word].end <= from) word++;
      const heard = this.words.slice(word, word + LANES).some(({ start }) => start < to);
      pen.fillStyle = heard ? spoken : quiet;
      const [low, high] = this.peaks ? extremes(this.peaks, from, to) : [0, 0];
      const [top, bottom] = [high, low].map((value) => height * (0.5 - 0.46 * value * (this.scale ?? 1)));
      pen.fillRect(x, top - 0.5, 1, bottom - top + 1);
    }
    this.drawWords(left, width);
  }

  /** Makes buttons for the words in view only. */
  drawWords(left, width) {
    const [from, to] = [(left - width) / this.zoom, (left + 2 * width) / this.zoom];
    const first = this.after(from);
    for (const [index, button] of this.shown) {
      if (index < first || this.words[index].start > to) {
        button.remove();
        this.shown.delete(index);
      }
    }
    for (let index = first; index < this.words.length && this.words[index].end <= to + LONG; index++) {
      if (!this.places[index] || this.shown.has(index) || this.words[index].start > to) continue;
      const word = this.words[index];
      const { x, width: wide, lane } = this.places[index];
      const button = document.createElement("button");
      button.type = "button";
      button.tabIndex = -1; // keyboard users move through the transcript instead
      button.textContent = word.word;
      button.classList.toggle("now", index === this.current);
      showConfidence(button, word);
      Object.assign(button.style, { left: `${x}px`, width: `${wide}px`, top: `${lane * LANE}px` });
      button.addEventListener("click", () => this.play(word));
      this.lanes.append(button);
      this.shown.set(index, button);
    }
  }

  /** Returns the index of a word spoken at `time`, -1 for none. */
  spokenAt(time) {
    const next = this.after(time);
    const place = this.words.slice(next, next + LANES).findIndex(({ start }) => start <= time);
    return place < 0 ? -1 : next + place;
  }

  /** Returns the index of the first word that ends after `time`. */
  after(time) {
    let [low, high] = [0, this.words.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.words[middle].end > time) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}
