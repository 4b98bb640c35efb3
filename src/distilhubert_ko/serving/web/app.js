// The page: a file or the microphone in, a transcript out.

import { showFacts } from "./facts.js";
import { Job } from "./job.js";
import { say, startLanguage } from "./language.js";
import { isThere } from "./microphone.js";
import { hideNotices, showProblem, startNotices, status, withToken } from "./notices.js";
import { Player } from "./player.js";
import { modelFacts } from "./server.js";
import { Session } from "./session.js";

const at = (id) => document.getElementById(id);

startLanguage();
startNotices();
const player = new Player();
let job = null; // the latest transcription
let session = null; // the current use of the microphone
let limits = {}; // of an upload, once the server has told them

/** Transcribes a recording that the player shows. Without words, a `file` is not shown any longer. */
function transcribe(recording, name, file = false) {
  job?.replace();
  job = new Job(recording, name, chosen(), {
    show: (words, duration) => player.show(words, duration),
    failed: () => file && player.close(),
    again: () => (file ? openFile(recording) : transcribe(recording, name)),
  });
  job.run();
}

/** Returns what the page asks of the server beside the recording. */
function chosen() {
  return {
    ...(at("digits").checked && { numerals: "digits" }),
    ...(at("split").checked && { channel: "split" }),
    ...(at("hotwords").value.trim() && { hotwords: at("hotwords").value.trim() }),
  };
}

function openFile(file) {
  if (session || !player.mayClose()) return;
  if (file.size > limits.upload_bytes) {
    player.close();
    job?.replace();
    showProblem("errorSize");
    return;
  }
  player.open(file, file.name);
  transcribe(file, file.name, true);
}

async function listen(live) {
  if (session || !player.mayClose()) return;
  hideNotices();
  setSession(new Session(live, chosen().hotwords, { ended: listened, discarded: () => setSession(null) }));
  try {
    await session.start();
    job?.replace();
    player.close();
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

async function listened({ recording, name, words, duration, problem }) {
  setSession(null);
  if (problem === "refused") {
    await refused();
    return;
  }
  player.open(recording, name);
  if (!words) {
    transcribe(recording, name);
    return;
  }
  player.show(words, duration);
  if (problem) showProblem(problem, () => transcribe(recording, name));
  else status("ready", { count: words.length });
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
  const [file] = target.files;
  if (file) openFile(file);
  target.value = ""; // allows choosing the same file again
});
at("record").addEventListener("click", () => listen(false));
at("captions").addEventListener("click", () => listen(true));
at("stop").addEventListener("click", () => session.stop());
at("discard").addEventListener("click", () => session.discard());
at("cancel").addEventListener("click", () => job.cancel());
for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
  addEventListener(kind, (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault(); // otherwise the browser would open the file in place of the page
    at("drop").classList.toggle("over", kind === "dragenter" || kind === "dragover");
    if (kind === "drop" && event.dataTransfer.files[0]) openFile(event.dataTransfer.files[0]);
  });
}
addEventListener("beforeunload", (event) => {
  if (player.unsaved || session) event.preventDefault();
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
