// Requests to the server, and their errors as messages for people.

const KEY = "token";
let token = ""; // of this tab; kept in sessionStorage if allowed

/**
 * A failed request, with the status of its response: 0 without one, null if the server ended live captions.
 * `param` is the field of the form at fault, and `retryAfter` is in seconds, if the server gives them.
 */
export class ServerError extends Error {
  constructor(status, message = "", { retryAfter = null, param = null } = {}) {
    super(message);
    Object.assign(this, { status, retryAfter, param });
  }
}

export function setToken(value) {
  token = value;
  try {
    sessionStorage.setItem(KEY, value);
  } catch {
    // Without storage, the page asks again after a reload.
  }
}

export async function modelFacts() {
  let response;
  try {
    response = await fetch("/v1/model_facts", { headers: authorization() });
  } catch {
    throw new ServerError(0);
  }
  if (!response.ok) throw failure(response.status, await response.text(), response.headers.get("Retry-After"));
  return response.json();
}

/**
 * Returns the verbose_json of a recording. `options` are further fields of the form. `onUpload` receives the uploaded
 * share, 0 to 1, and `onPart` more text, with the seconds that are recognised. Throws ServerError, or an AbortError once
 * `signal` is aborted.
 */
export function transcribe(blob, name, { options, onUpload, onPart, signal }) {
  const form = new FormData();
  form.append("file", blob, name);
  form.append("model", "distilhubert-ko");
  form.append("response_format", "verbose_json");
  form.append("timestamp_granularities[]", "word");
  form.append("stream", "true");
  for (const [field, value] of Object.entries(options)) form.append(field, value);
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest(); // fetch does not report the progress of an upload
    request.open("POST", "/v1/audio/transcriptions");
    for (const [header, value] of Object.entries(authorization())) request.setRequestHeader(header, value);
    request.upload.onprogress = (event) => event.lengthComputable && onUpload(event.loaded / event.total);
    let read = 0; // characters of the events
    request.onprogress = () => {
      if (request.status !== 200) return;
      const whole = request.responseText.lastIndexOf("\n\n") + 1;
      for (const event of events(request.responseText.slice(read, whole))) {
        if (event.type === "transcript.text.delta") onPart(event);
        else if (event.error) reject(lateFailure(event.error));
        else resolve(event);
      }
      read = whole;
    };
    request.onload = () => {
      if (request.status !== 200) {
        reject(failure(request.status, request.responseText, request.getResponseHeader("Retry-After")));
      }
      request.onprogress();
      reject(new ServerError(0)); // unless there was a last event
    };
    request.onerror = () => reject(new ServerError(0));
    request.onabort = () => reject(new DOMException("cancelled", "AbortError"));
    signal.addEventListener("abort", () => request.abort());
    request.send(form);
  });
}

/** Returns what server-sent events say. */
function events(text) {
  const lines = text.split("\n").filter((line) => line.startsWith("data: "));
  return lines.map((line) => JSON.parse(line.slice("data: ".length)));
}

/** Opens a socket for live captions. A browser can pass a token only as a subprotocol. */
export function captionSocket(hotwords) {
  const address = new URL("/v1/audio/stream", location.href);
  if (hotwords) address.searchParams.set("hotwords", hotwords);
  address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  return new WebSocket(address, ["captions", ...(stored() ? [`bearer.${stored()}`] : [])]);
}

/** Returns the key of the text for an error, and its values. */
export function explanation(error) {
  const known = {
    null: "errorEnded", 0: "errorNetwork", 401: "errorToken", 408: "errorSlow", 413: "errorSize", 429: "errorBusy",
    503: "errorBusy", 504: "errorTime",
  };
  if (error.status in known) return [known[error.status], {}];
  if (error.param === "hotwords") return ["errorHotwords", {}];
  return [error.status >= 500 ? "errorServer" : "errorFile", { status: error.status }];
}

function stored() {
  try {
    return sessionStorage.getItem(KEY) ?? token;
  } catch {
    return token;
  }
}

const authorization = () => (stored() ? { Authorization: `Bearer ${stored()}` } : {});

/** Returns the error of an event, which came too late for a status. */
function lateFailure({ message, param, type }) {
  const known = { rate_limit_error: 429, server_error: 503 };
  return new ServerError(known[type] ?? 400, message, { param });
}

function failure(status, body, retryAfter) {
  let error = {};
  try {
    error = JSON.parse(body).error ?? {};
  } catch {
    // A proxy in front of the server answers in its own format; the status is enough.
  }
  return new ServerError(status, error.message, { retryAfter: Number(retryAfter) || null, param: error.param });
}
