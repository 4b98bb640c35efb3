"""Whether transformers.js writes what `transcribe` writes: the real package in Node, on recordings.

    distilhubert-ko export demo --out demo-js --target transformers.js
    python -m checks.transformers_js demo-js demo RECORDING...

Needs node and npm, and the network for npm. For int8, give `--dtype q8` and a model in int8.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from distilhubert_ko.audio.frames import SAMPLE_RATE
from distilhubert_ko.audio.reading import load_audio
from distilhubert_ko.decoding.decoder import NO_LM
from distilhubert_ko.recognition.transcriber import Transcriber

PACKAGE = "@huggingface/transformers@4.3.2"
SCRIPT = Path(__file__).with_suffix(".mjs")


def print_differences(expected: Sequence[str], found: Sequence[str]) -> int:
    """Print the pairs of texts that differ, and return how many do."""
    pairs = [(one, other) for one, other in zip(expected, found, strict=True) if one != other]
    for one, other in pairs:
        print(f"transcribe: {one}\nhere:       {other}")
    print(f"{len(expected) - len(pairs)} of {len(expected)} texts are the same")
    return len(pairs)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="what `export --target transformers.js` wrote")
    parser.add_argument("model", type=Path, help="what it was exported from")
    parser.add_argument("recordings", type=Path, nargs="+", help="of 20 s at most")
    parser.add_argument("--dtype", default="fp32", choices=["fp32", "q8"])
    chosen = parser.parse_args()
    waves = [load_audio(recording) for recording in chosen.recordings]
    transcriber = Transcriber(chosen.model, lm=NO_LM)
    with tempfile.TemporaryDirectory() as temporary:
        files = [Path(temporary) / f"{number}.f32" for number in range(len(waves))]
        for file, wave in zip(files, waves, strict=True):
            wave.astype("<f4").tofile(file)
        # Scripts of packages would fetch CUDA's libraries.
        install = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--silent", PACKAGE]
        subprocess.run(install, cwd=temporary, check=True)
        command = ["node", str(SCRIPT), str(chosen.folder.resolve()), chosen.dtype, *map(str, files)]
        done = subprocess.run(command, cwd=temporary, check=True, stdout=subprocess.PIPE, text=True)
    result = json.loads(done.stdout.splitlines()[-1])
    seconds = sum(map(len, waves)) / SAMPLE_RATE
    print(
        f"{PACKAGE}, {chosen.dtype}: {seconds:.0f} s of speech in {result['transcribe']:.1f} s, loaded in "
        f"{result['load']:.1f} s, {result['megabytes']:.0f} MB"
    )
    return min(1, print_differences([transcriber(wave).text for wave in waves], result["texts"]))


if __name__ == "__main__":
    sys.exit(main())
