// Messages of the page: the state of the work, problems, and the request for a token.

import { say } from "./language.js";
import { explanation, ServerError, setToken } from "./server.js";
import { clock } from "./transcript.js";

const at = (id) => document.getElementById(id);
let again = null; // the action of the button to try again

/** Shows a state of the work by the key of its text. */
export function status(key, params = {}) {
  at("work").hidden = false;
  if (at("status").dataset.text !== key || Object.keys(params).length) say(at("status"), key, params);
}

/**
 * Shows progress from 0 to 1, or null if unknown, and the same in words, with the times in a recording of `duration`
 * seconds if there is one; `undefined` hides the bar, the text so far and the button to cancel.
 */
export function progress(part, duration) {
  at("progress").hidden = at("cancel").hidden = part === undefined;
  if (typeof part === "number") at("progress").value = part;
  else at("progress").removeAttribute("value");
  const times = duration ? ` · ${clock(part * duration, 0)} / ${clock(duration, 0)}` : "";
  at("progress-detail").textContent = percent(part) + times;
  if (part === undefined) showText("");
}

/** Returns a share in words, nothing if it is unknown. */
export const percent = (part) => (typeof part === "number" ? `${Math.floor(100 * part)}%` : "");

/** Shows the text of the recording so far, and the end of it unless the user has scrolled up. */
export function showText(text) {
  const box = at("so-far");
  const atEnd = box.scrollTop + box.clientHeight >= box.scrollHeight - 5;
  box.textContent = text;
  box.hidden = !text;
  if (atEnd) box.scrollTop = box.scrollHeight;
}

/**
 * Shows a ServerError, or a problem by the key of its text, and the server's own words as `detail`. With `retry`, shows
 * a button that calls it.
 */
export function showProblem(problem, retry, detail = problem.message) {
  const [key, params] = reason(problem);
  at("work").hidden = true;
  at("problem").hidden = false;
  say(at("problem-text"), key, params);
  at("problem-detail").textContent = detail ?? "";
  at("retry").hidden = !retry;
  again = retry;
}

/** Returns the key of the text for a problem, and its values. */
export function reason(problem) {
  return problem instanceof ServerError ? explanation(problem) : [problem, {}];
}

/** Names the recording of several that the work is on. */
export function workOn(name) {
  at("work-name").textContent = name;
}

export function hideWork() {
  at("work").hidden = true;
}

export function hideNotices() {
  at("work").hidden = at("problem").hidden = true;
}

/** Makes a request, and repeats it with each token that the user enters. */
export async function withToken(request) {
  for (;;) {
    try {
      return await request();
    } catch (error) {
      if (error.status !== 401 || !(await tokenGiven())) throw error;
    }
  }
}

/** Asks for a token. Resolves to false without one. */
function tokenGiven() {
  const dialog = at("token-dialog");
  if (!dialog.open) {
    dialog.returnValue = "";
    dialog.showModal();
  }
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "given"), { once: true });
  });
}

export function startNotices() {
  at("dismiss").addEventListener("click", hideNotices);
  at("retry").addEventListener("click", () => {
    hideNotices();
    again();
  });
  at("token-form").addEventListener("submit", (event) => {
    event.preventDefault();
    setToken(at("token").value);
    at("token").value = "";
    at("token-dialog").close("given");
  });
  at("token-cancel").addEventListener("click", () => at("token-dialog").close());
}
