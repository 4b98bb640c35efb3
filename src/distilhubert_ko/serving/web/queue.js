// The recordings of the page: transcribed one after another, and one of them shown. Several stand in a list.

import { download, fileName } from "./download.js";
import { text } from "./language.js";
import { hideNotices, hideWork, progress, showProblem, status, workOn } from "./notices.js";
import { QueueList } from "./queue_list.js";
import { written } from "./transcript.js";
import { zipped } from "./zip.js";

export class Queue {
  /** `chosen` returns the options of a recording that is tried again. */
  constructor(player, chosen) {
    Object.assign(this, { player, chosen });
    this.jobs = [];
    this.turn = null; // {job} while one is running
    this.shown = null; // the job in the player
    this.listed = false; // from the second recording on, until the list is empty
    this.paused = this.halted = false;
    this.list = new QueueList({
      open: (job) => this.show(job),
      again: (job) => this.again(job),
      cancel: () => this.cancel(),
      remove: (job) => this.remove(job),
      download: (format) => this.downloadAll(format),
    });
  }

  /** Returns whether any corrections have not been downloaded. */
  get unsaved() {
    this.keep();
    return this.jobs.some(({ kept }) => kept?.unsaved);
  }

  /** Returns whether so many recordings may come; asks the user if corrections would be lost. */
  mayAdd(count) {
    return this.listed || count > 1 || this.player.mayClose();
  }

  /** Adds recordings. Without a list, one takes the place of the one before. */
  add(jobs) {
    if (!this.listed && jobs.length === 1) this.clear();
    this.jobs.push(...jobs);
    this.listed ||= this.jobs.length > 1;
    this.halted = false;
    this.draw();
    if (this.listed) this.next();
    else if (jobs[0].state === "waiting") this.begin(jobs[0]);
    else this.conclude(jobs[0]);
  }

  /** Shows the recording that is in no list before it has words. */
  begin(job) {
    this.show(job);
    this.next();
  }

  clear() {
    this.stop("cancelled");
    this.show(null);
    this.jobs = [];
  }

  /** Shows a recording with the corrections made before, or none. */
  show(job) {
    if (job && job === this.shown) return;
    this.keep();
    this.shown = job;
    if (!job) this.player.close();
    else this.player.open(job.blob, job.name);
    if (job?.words) this.showWords(job);
    this.draw();
  }

  showWords({ words, duration, kept }) {
    this.player.show(kept?.words ?? words, duration, kept ?? {});
  }

  /** Keeps the corrections of what is shown. */
  keep() {
    if (this.shown?.words) this.shown.kept = this.player.kept();
  }

  async next() {
    const job = this.jobs.find(({ state }) => state === "waiting");
    if (this.turn || this.paused || this.halted || !job) return;
    const turn = (this.turn = { job });
    hideNotices();
    const running = job.run(() => this.draw(job));
    this.draw();
    await running;
    if (this.turn !== turn) return; // it was stopped, and perhaps another one is running
    this.turn = null;
    progress();
    this.conclude(job);
    this.draw();
    this.next();
  }

  /** Shows what came of a recording. */
  conclude(job) {
    if (job.state === "failed") this.closeEmpty(job);
    else if (this.shown === job) this.showWords(job);
    else if (!this.shown) this.show(job);
    if (this.listed) {
      hideWork();
      this.halted = job.state === "failed" && job.halting;
    } else if (job.state === "ready") {
      status("ready", { count: job.words.length });
    } else {
      showProblem(job.problem, job.hopeless ? null : () => this.again(job), job.detail);
    }
  }

  /** Shows no longer a file that has no words. */
  closeEmpty(job) {
    if (this.shown === job && job.isFile && !job.words) this.show(null);
  }

  again(job) {
    if (job.words && job === this.shown && !this.player.mayClose()) return;
    Object.assign(job, { state: "waiting", options: this.chosen() });
    this.halted = false;
    this.draw();
    if (this.listed) this.next();
    else this.begin(job);
  }

  /** Cancels what is running. */
  cancel() {
    const { job } = this.turn;
    this.stop("cancelled");
    this.closeEmpty(job);
    if (this.listed) hideWork();
    else status("cancelled");
    this.draw();
    this.next();
  }

  remove(job) {
    this.keep();
    if (job.kept?.unsaved && !confirm(text("unsaved"))) return;
    if (this.turn?.job === job) {
      this.stop("cancelled");
      hideWork();
    }
    if (this.shown === job) this.show(null);
    this.jobs = this.jobs.filter((each) => each !== job);
    this.listed &&= this.jobs.length > 0;
    this.halted = false;
    this.draw();
    this.next();
  }

  /** Gives the transcripts of all that are done, in a ZIP file. */
  downloadAll(format) {
    this.keep();
    const names = new Set();
    const files = [];
    for (const { name, words, duration, kept } of this.jobs.filter((job) => job.words)) {
      let number = 1;
      while (names.has(fileName(name, format, number))) number++;
      names.add(fileName(name, format, number));
      files.push({ name: fileName(name, format, number), content: written(format, kept?.words ?? words, duration) });
      if (kept) kept.unsaved = false;
    }
    this.player.unsaved = false;
    download(zipped(files), `${text("allName")}.zip`);
  }

  /** Waits, with what is running as the next one, until `resume`. Nothing is shown meanwhile. */
  pause() {
    this.paused = true;
    if (this.listed) this.stop("waiting");
    else this.clear();
    this.show(null);
  }

  resume() {
    this.paused = false;
    this.next();
  }

  stop(state) {
    this.turn?.job.stop(state);
    this.turn = null;
    progress();
  }

  /** Draws the list, or what has changed of one recording. */
  draw(job) {
    workOn(this.listed && this.turn ? this.turn.job.name : "");
    if (job) this.list.update(job, this.shown);
    else this.list.draw(this.listed ? this.jobs : [], this.shown);
  }
}
