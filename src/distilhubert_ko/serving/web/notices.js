// What the page says of its own doings: the state of the work, what went wrong, and that a token is needed.

import { say } from "./language.js";
import { explanation, ServerError, setToken } from "./server.js";

const at = (id) => document.getElementById(id);
let again = null; // what the button to try again does

/** Shows a state of the work, by the key of its text. */
export function status(key, params) {
  at("work").hidden = false;
  if (at("status").dataset.text !== key || params) say(at("status"), key, params);
}

/** How much is done, 0 to 1, or null where that is not known; `undefined` takes the bar and the button to cancel away. */
export function progress(part) {
  at("progress").hidden = at("cancel").hidden = part === undefined;
  if (typeof part === "number") at("progress").value = part;
  else at("progress").removeAttribute("value");
}

/** Tells of a ServerError, or of a problem by the key of its text. With `retry` there is a button that calls it. */
export function showProblem(problem, retry) {
  const [key, params] = problem instanceof ServerError ? explanation(problem) : [problem, {}];
  at("work").hidden = true;
  at("problem").hidden = false;
  say(at("problem-text"), key, params);
  at("problem-detail").textContent = problem.message ?? "";
  at("retry").hidden = !retry;
  again = retry;
}

export function hideNotices() {
  at("work").hidden = at("problem").hidden = true;
}

/** Does a request, and once more with each token that is given for it. */
export async function withToken(request) {
  for (;;) {
    try {
      return await request();
    } catch (error) {
      if (error.status !== 401 || !(await tokenGiven())) throw error;
    }
  }
}

/** Asks for a token; false where none is given. */
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
