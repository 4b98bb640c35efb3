// Resampling piece by piece: a low-pass filter (a sinc under a Hann window) evaluated at the new samples.

const ZEROS = 16; // zero crossings of the sinc on each side

export class Resampler {
  constructor(from, to) {
    const divisor = gcd(from, to);
    this.up = to / divisor; // positions of output samples between two input samples
    this.down = from / divisor;
    const cutoff = Math.min(1, to / from);
    this.half = Math.ceil(ZEROS / cutoff); // input samples on each side
    this.filters = Array.from({ length: this.up }, (_, phase) => filter(phase / this.up, this.half, cutoff));
    this.held = new Float32Array(this.half - 1); // silence before the beginning
    this.position = 0; // of the next output sample, in 1 / up input samples after held[half - 1]
  }

  /** Returns the output samples that `input` completes. */
  push(input) {
    const wave = new Float32Array(this.held.length + input.length);
    wave.set(this.held);
    wave.set(input, this.held.length);
    const output = [];
    let start = Math.floor(this.position / this.up);
    for (; start + 2 * this.half <= wave.length; start = Math.floor(this.position / this.up)) {
      const taps = this.filters[this.position % this.up];
      let sum = 0;
      for (let tap = 0; tap < taps.length; tap++) sum += taps[tap] * wave[start + tap];
      output.push(sum);
      this.position += this.down;
    }
    const used = Math.min(start, wave.length);
    this.held = wave.slice(used);
    this.position -= used * this.up;
    return Float32Array.from(output);
  }

  /** Returns the last samples after the end of the input. */
  end() {
    return this.push(new Float32Array(this.half));
  }
}

/** Returns the weights of the 2 * half samples around a position that lies `offset` after index half - 1. */
function filter(offset, half, cutoff) {
  const taps = Float32Array.from({ length: 2 * half }, (_, tap) => {
    const distance = tap - (half - 1) - offset;
    const x = Math.PI * distance * cutoff;
    const sinc = x === 0 ? 1 : Math.sin(x) / x;
    return sinc * Math.cos((Math.PI * distance) / (2 * half)) ** 2;
  });
  const sum = taps.reduce((total, tap) => total + tap, 0);
  return taps.map((tap) => tap / sum);
}

const gcd = (a, b) => (b ? gcd(b, a % b) : a);
