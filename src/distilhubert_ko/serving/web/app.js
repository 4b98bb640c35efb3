// The page: a file or the microphone in, a transcript out.

import { droppedFiles } from "./dropped.js";
import { showFacts } from "./facts.js";
import { Job } from "./job.js";
import { say, startLanguage } from "./language.js";
import { isThere } from "./microphone.js";
import { hideNotices, showProblem, startNotices, withToken } from "./notices.js";
import { Player } from "./player.js";
import { Queue } from "./queue.js";
import { modelFacts } from "./server.js";
import { Session } from "./session.js";

const at = (id) => document.getElementById(id);

startLanguage();
startNotices();
const player = new Player();
const queue = new Queue(player, chosen);
let session = null; // the current use of the microphone
let limits = {}; // of an upload, once the server has told them

/** Returns what the page asks of the server beside the recording. */
function chosen() {
  return {
    ...(at("digits").checked && { numerals: "digits" }),
    ...(at("split").checked && { channel: "split" }),
    ...(at("hotwords").value.trim() && { hotwords: at("hotwords").value.trim() }),
  };
}

/** Adds files, each as {file, isEmpty}; an empty one is a folder without a recording. */
function openFiles(found) {
  if (session || !found.length || !queue.mayAdd(found.length)) return;
  const jobs = found.map(({ file, isEmpty }) => {
    const job = new Job(file, file.name, chosen(), { isFile: true });
    if (isEmpty) job.fail("errorFolder", { hopeless: true });
    else if (file.size > limits.upload_bytes) job.fail("errorSize", { hopeless: true });
    return job;
  });
  queue.add(jobs);
}

async function listen(live) {
  if (session || !queue.mayAdd(1)) return;
  hideNotices();
  setSession(new Session(live, chosen().hotwords, { ended: listened, discarded }));
  try {
    await session.start();
    queue.pause();
  } catch (error) {
    setSession(null);
    showProblem(error.name === "NotAllowedError" ? "errorDenied" : "errorMicrophone", () => listen(live));
  }
}

/** Disables other sources while the microphone is in use. */
function setSession(value) {
  session = value;
  at("file").disabled = session !== null;
  at("record").disabled = at("captions").disabled = session !== null || !isThere();
}

function discarded() {
  setSession(null);
  queue.resume();
}

async function listened({ recording, name, words, duration, problem }) {
  setSession(null);
  hideNotices();
  queue.resume();
  if (problem === "refused") {
    await refused();
    return;
  }
  const job = new Job(recording, name, chosen());
  if (words) job.finish(words, duration);
  queue.add([job]);
  queue.show(job);
  if (problem) showProblem(problem, () => queue.again(job));
}

/** Asks by a request why the server refused a socket, because a socket tells no reason. */
async function refused() {
  let problem = "errorCaptions";
  try {
    await withToken(modelFacts);
  } catch (error) {
    problem = error;
  }
  showProblem(problem, () => listen(true));
}

at("file").addEventListener("change", ({ target }) => {
  openFiles([...target.files].map((file) => ({ file })));
  target.value = ""; // allows choosing the same file again
});
at("record").addEventListener("click", () => listen(false));
at("captions").addEventListener("click", () => listen(true));
at("stop").addEventListener("click", () => session.stop());
at("discard").addEventListener("click", () => session.discard());
at("cancel").addEventListener("click", () => queue.cancel());
for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
  addEventListener(kind, (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault(); // otherwise the browser would open the file in place of the page
    at("drop").classList.toggle("over", kind === "dragenter" || kind === "dragover");
    if (kind === "drop") droppedFiles(event.dataTransfer.items).then(openFiles);
  });
}
addEventListener("beforeunload", (event) => {
  if (queue.unsaved || session) event.preventDefault();
});

setSession(null);
at("no-microphone").hidden = isThere();
try {
  const facts = await withToken(modelFacts);
  showFacts(at("facts"), facts);
  if (facts.limits) {
    limits = facts.limits;
    const sizes = { size: Math.floor(limits.upload_bytes / 1e6), minutes: Math.floor(limits.audio_seconds / 60) };
    say(at("limits"), "limits", sizes);
  }
} catch {
  at("facts-missing").hidden = false;
}
