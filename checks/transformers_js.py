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
from distilhubert_ko.evaluation.metrics import score
from distilhubert_ko.recognition.transcriber import Transcriber

PACKAGE = "@huggingface/transformers@4.3.2"
SCRIPT = Path(__file__).with_suffix(".mjs")


def share_of_differences(expected: Sequence[str], found: Sequence[str]) -> float:
    """Print the pairs of texts that differ, and return the share of characters that do."""
    pairs = [*zip(expected, found, strict=True)]
    for one, other in pairs:
        if one != other:
            print(f"transcribe: {one}\nhere:       {other}")
    errors = sum(score(*pair).characters.errors for pair in pairs)
    share = errors / max(1, sum(map(len, expected)))
    same = sum(one == other for one, other in pairs)
    print(f"{same} of {len(pairs)} texts are the same; {100 * share:.2f} % of the characters differ")
    return share


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="what `export --target transformers.js` wrote")
    parser.add_argument("model", type=Path, help="what it was exported from")
    parser.add_argument("recordings", type=Path, nargs="+", help="of 20 s at most")
    parser.add_argument("--dtype", default="fp32", choices=["fp32", "q8"])
    parser.add_argument("--allowed", type=float, default=0.0, help="the share of characters that may differ")
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
    return int(share_of_differences([transcriber(wave).text for wave in waves], result["texts"]) > chosen.allowed)


if __name__ == "__main__":
    sys.exit(main())
