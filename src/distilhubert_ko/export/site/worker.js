// The recogniser, in a worker: loads the graph once, then turns waves into words.

import * as ort from "./ort/ort.wasm.bundle.min.mjs";

import { frameCount, RATE, recognise, STEP, tokens, windows, words } from "./decoding.js";

const place = (name) => new URL(name, import.meta.url).href; // the worker itself has none
ort.env.wasm.wasmPaths = { wasm: place("./ort/ort-wasm-simd-threaded.wasm") };
ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency) : 1;

let loaded = null; // a promise of {session, vocabulary}
let current = null; // the number of the recording that is wanted

self.onmessage = async ({ data: { number, wave } }) => {
  current = number;
  if (!wave) return; // cancelled
  try {
    loaded ??= load((part) => self.postMessage({ loading: part }));
    const model = await loaded;
    const found = await transcribed(wave, model, number);
    if (found) self.postMessage({ number, words: found, duration: wave.length / RATE });
  } catch (error) {
    loaded = null;
    self.postMessage({ number, problem: String(error) });
  }
};

async function load(onProgress) {
  const vocabulary = await (await there("./vocabulary.json")).json();
  const graph = new Uint8Array(vocabulary.bytes);
  let filled = 0;
  for (const reader = (await there("./model.onnx")).body.getReader(); ;) {
    const { done, value } = await reader.read();
    if (done) break;
    graph.set(value, filled);
    filled += value.length;
    onProgress(filled / graph.length);
  }
  return { vocabulary, session: await ort.InferenceSession.create(graph, { executionProviders: ["wasm"] }) };
}

async function there(name) {
  const response = await fetch(place(name));
  if (!response.ok) throw new Error(`${name}: ${response.status}`);
  return response;
}

/** Resolves to the words, or to null once another recording is wanted. */
async function transcribed(wave, { session, vocabulary }, number) {
  const frames = frameCount(wave.length, vocabulary.layers);
  const [labels, scores] = [new Int32Array(frames), new Float32Array(frames)];
  const duration = wave.length / RATE;
  let filled = 0;
  let text = ""; // of all but a last word that may go on
  let open = 0; // the frame with which that word begins
  for (const { start, end, first, last } of windows(wave.length)) {
    self.postMessage({ number, text, seconds: start / RATE, duration });
    await new Promise((resolve) => setTimeout(resolve)); // hears a message that cancels
    if (current !== number) return null;
    const found = await recognise(wave.subarray(start, end), vocabulary, (part) => network(session, part));
    const kept = last ?? found.labels.length;
    labels.set(found.labels.subarray(first, kept), filled);
    scores.set(found.scores.subarray(first, kept), filled);
    filled += kept - first;
    const fresh = tokens(labels.subarray(open, filled), scores.subarray(open), vocabulary.blank);
    const said = words(fresh, vocabulary, duration);
    text = [text, ...said.slice(0, -1).map(({ word }) => word)].filter(Boolean).join(" ");
    open += Math.round(((said.at(-1)?.start ?? 0) * RATE) / STEP);
  }
  return words(tokens(labels, scores, vocabulary.blank), vocabulary, duration);
}

async function network(session, wave) {
  const feeds = {
    waves: new ort.Tensor("float32", wave.slice(), [1, wave.length]),
    lengths: new ort.Tensor("int64", [BigInt(wave.length)], [1]),
  };
  const { log_probs: output } = await session.run(feeds);
  const [, frames, size] = output.dims;
  const [labels, scores] = [new Int32Array(frames), new Float32Array(frames)];
  for (let frame = 0; frame < frames; frame++) {
    const row = output.data.subarray(frame * size, (frame + 1) * size);
    let best = 0;
    for (let label = 1; label < size; label++) if (row[label] > row[best]) best = label;
    [labels[frame], scores[frame]] = [best, row[best]];
  }
  return { labels, scores };
}
