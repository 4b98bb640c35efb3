// The list of recordings: the state of each, and what can be done with it.

import { say } from "./language.js";
import { percent, reason } from "./notices.js";

const at = (id) => document.getElementById(id);

export class QueueList {
  /** Calls `open`, `again`, `cancel` and `remove` with a job, and `download` with a format for all. */
  constructor(actions) {
    this.actions = actions;
    this.items = new Map(); // by job
    const formats = [...document.querySelectorAll("[data-format]")];
    at("all-format").append(...formats.map((each) => new Option(each.textContent, each.dataset.format)));
    at("download-all").addEventListener("click", () => actions.download(at("all-format").value));
  }

  /** Shows these jobs, of which the player shows one, or hides the list if there are none. */
  draw(jobs, shown) {
    const focused = [...this.items.values()].findIndex(({ item }) => item.contains(document.activeElement));
    const gone = [...this.items.keys()].filter((job) => !jobs.includes(job));
    for (const job of gone) {
      this.items.get(job).item.remove();
      this.items.delete(job);
    }
    for (const job of jobs) {
      if (!this.items.has(job)) this.items.set(job, this.made(job));
      this.update(job, shown);
    }
    at("queue").hidden = !jobs.length;
    at("all").hidden = !jobs.some(({ words }) => words);
    if (gone.length && focused >= 0) this.focus(focused);
    const count = (...states) => jobs.filter(({ state }) => states.includes(state)).length;
    const [all, done, failed] = [jobs.length, count("ready"), count("failed")];
    const summary = JSON.stringify({ all, done, failed });
    if (jobs.length && at("queue-summary").dataset.params !== summary) {
      say(at("queue-summary"), failed ? "queueFailed" : "queueDone", JSON.parse(summary));
    }
  }

  /** Focuses the item in the place of one that was removed, or what adds another. */
  focus(index) {
    const left = [...this.items.values()];
    (left[Math.min(index, left.length - 1)]?.end ?? at("file")).focus();
  }

  made(job) {
    const { open, again, cancel, remove } = this.actions;
    const state = element("p", "state");
    const parts = {
      item: element("li"),
      name: button("name", () => open(job)),
      label: element("span"),
      share: element("span"),
      again: button("again", () => again(job)),
      end: button("end", () => (job.state === "running" ? cancel(job) : remove(job))),
      detail: element("p", "note"),
    };
    state.append(parts.label, " ", parts.share);
    parts.name.textContent = job.name;
    parts.end.textContent = "×";
    parts.detail.lang = "en";
    say(parts.again, "retry", { name: job.name });
    say(parts.again, "retryOf", { name: job.name }, "label");
    parts.item.append(parts.name, state, parts.again, parts.end, parts.detail);
    at("jobs").append(parts.item);
    return parts;
  }

  update(job, shown) {
    const { item, name, label, share, again, end, detail } = this.items.get(job) ?? {};
    if (!item) return; // one alone is in no list
    const running = job.state === "running";
    const part = running ? job.now.part : null;
    item.className = job.state;
    name.disabled = !job.words;
    if (job === shown) name.setAttribute("aria-current", "true");
    else name.removeAttribute("aria-current");
    if (running) say(label, job.now.key, job.now.params);
    else if (job.state === "failed") say(label, ...reason(job.problem));
    else say(label, { waiting: "queued", ready: "finished", cancelled: "cancelled" }[job.state]);
    share.textContent = percent(part);
    again.hidden = job.state !== "cancelled" && (job.state !== "failed" || job.hopeless);
    detail.textContent = job.state === "failed" ? job.detail : "";
    detail.hidden = !detail.textContent;
    say(end, running ? "cancelOf" : "removeOf", { name: job.name }, "label");
  }
}

function element(kind, name = "") {
  const made = document.createElement(kind);
  made.className = name;
  return made;
}

function button(name, action) {
  const made = element("button", name);
  made.type = "button";
  made.addEventListener("click", action);
  return made;
}
