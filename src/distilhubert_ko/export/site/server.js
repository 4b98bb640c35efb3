// Stands where the page of a server has its client: nothing is sent, a worker of this page recognises.

const RATE = 16000;
let worker = null;
let latest = 0; // the number of the latest recording

/** What went wrong: "model" if it could not be loaded, "format" if the browser cannot open the recording. */
export class ServerError extends Error {
  constructor(status, message = "") {
    super(message);
    this.status = status;
  }
}

export async function modelFacts() {
  const response = await fetch("./facts.json");
  if (!response.ok) throw new ServerError("model");
  return response.json();
}

/**
 * Resolves to the words and the duration of a recording. `onLoad` receives the share of the model that is loaded, 0 to
 * 1, and `onPart` the text so far, with the seconds that are done and those of the recording. Throws ServerError, or an
 * AbortError once `signal` is aborted.
 */
export async function transcribe(blob, { onLoad, onPart, signal }) {
  const wave = await samples(blob);
  signal.throwIfAborted();
  worker ??= started();
  const number = ++latest;
  return new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => {
      if (data.loading !== undefined) onLoad(data.loading);
      else if (data.number !== number) return;
      else if (data.text !== undefined) onPart(data);
      else if (data.problem) reject(new ServerError("model", data.problem));
      else resolve(data);
    };
    worker.onerror = ({ message }) => {
      worker = null; // the next one loads again
      reject(new ServerError("model", message));
    };
    signal.addEventListener("abort", () => {
      worker?.postMessage({ number: null });
      reject(new DOMException("cancelled", "AbortError"));
    });
    worker.postMessage({ number, wave }, [wave.buffer]);
  });
}

/** Returns the key of the text for an error, and its values. */
export const explanation = ({ status }) => [{ model: "errorModel", format: "errorFormat" }[status], {}];

// The page asks for no token here, and has no live captions.
export function setToken() {}
export function captionSocket() {}

/** Only a worker from a blob obeys the policy of the page. */
function started() {
  const source = `import ${JSON.stringify(new URL("./worker.js", import.meta.url).href)};`;
  return new Worker(URL.createObjectURL(new Blob([source], { type: "text/javascript" })), { type: "module" });
}

/** Returns a recording as samples at 16 kHz, the mean of its channels. */
async function samples(blob) {
  const context = new OfflineAudioContext(1, 1, RATE);
  let decoded;
  try {
    decoded = await context.decodeAudioData(await blob.arrayBuffer());
  } catch (error) {
    throw new ServerError("format", error.message);
  }
  const wave = decoded.getChannelData(0).slice();
  for (let channel = 1; channel < decoded.numberOfChannels; channel++) {
    decoded.getChannelData(channel).forEach((sample, index) => (wave[index] += sample));
  }
  return decoded.numberOfChannels === 1 ? wave : wave.map((sample) => sample / decoded.numberOfChannels);
}
