// Transcribes waves with transformers.js: node transformers_js.mjs FOLDER DTYPE FILE..., in a folder where npm has
// installed it. Each file holds float32 samples at 16 kHz. Prints the texts, seconds and megabytes as JSON.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [folder, dtype, ...files] = process.argv.slice(2);
const installed = createRequire(resolve("package.json")).resolve("@huggingface/transformers");
const { env, pipeline } = await import(pathToFileURL(installed));
env.allowRemoteModels = false;
env.localModelPath = dirname(resolve(folder));
const loading = performance.now();
const recognise = await pipeline("automatic-speech-recognition", basename(resolve(folder)), { dtype });
const started = performance.now();
const texts = [];
for (const file of files) {
  const { buffer, byteOffset, byteLength } = readFileSync(file);
  const wave = new Float32Array(buffer.slice(byteOffset, byteOffset + byteLength));
  texts.push((await recognise(wave)).text);
}
const seconds = { load: (started - loading) / 1000, transcribe: (performance.now() - started) / 1000 };
console.log(JSON.stringify({ texts, ...seconds, megabytes: process.memoryUsage().rss / 1e6 }));
