// The peaks of a recording for drawing: the lowest and highest sample per hundredth of a second.

const RATE = 8000; // Hz; enough for a drawing, and an hour takes 115 MB during decoding
export const PER_SECOND = 100;

/** Returns {lows, highs, duration} with samples in -127..127. Throws what the browser throws if it cannot decode. */
export async function peaks(blob) {
  const context = new OfflineAudioContext(1, 1, RATE);
  const decoded = await context.decodeAudioData(await blob.arrayBuffer());
  const samples = decoded.getChannelData(0);
  const step = RATE / PER_SECOND;
  const count = Math.ceil(samples.length / step);
  const [lows, highs] = [new Int8Array(count), new Int8Array(count)];
  for (let index = 0; index < count; index++) {
    let [low, high] = [0, 0];
    const end = Math.min(samples.length, (index + 1) * step);
    for (let place = index * step; place < end; place++) {
      low = Math.min(low, samples[place]);
      high = Math.max(high, samples[place]);
    }
    lows[index] = Math.round(127 * Math.max(-1, low));
    highs[index] = Math.round(127 * Math.min(1, high));
  }
  return { lows, highs, duration: decoded.duration };
}

/** Returns the lowest and highest peak between two times in seconds. */
export function extremes({ lows, highs }, from, to) {
  let [low, high] = [0, 0];
  const end = Math.min(lows.length, Math.max(Math.ceil(to * PER_SECOND), Math.floor(from * PER_SECOND) + 1));
  for (let index = Math.floor(from * PER_SECOND); index < end; index++) {
    low = Math.min(low, lows[index]);
    high = Math.max(high, highs[index]);
  }
  return [low, high];
}

export const loudest = ({ lows, highs }) =>
  highs.reduce((most, high, index) => Math.max(most, high, -lows[index]), 1);
