"""How much speech one core makes ready for training: decoded anew, by way of the audio cache, from memory, augmented.

    python -m benchmarks.loader --corpus librispeech:PATH --json docs/results/loader.json

Each way draws the same clips in batches of like length and puts them together, as a process of the data loader does,
in one thread. Figures are hours of speech in a second of that thread's processor time, which other work on the machine
hardly touches; waiting for a disk is not in them: the system has the files in its memory. The figure of a way is the
median over turns. The start is the time to measure the files of the corpus, and to find their lengths in the cache.
"""

import argparse
import platform
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from distilhubert_ko import recipe
from distilhubert_ko.audio.frames import SAMPLE_RATE
from distilhubert_ko.data.corpora import read_corpus
from distilhubert_ko.data.dataset import usable_split
from distilhubert_ko.data.examples import Example
from distilhubert_ko.data.reading import Reading
from distilhubert_ko.files import writing
from distilhubert_ko.text.tokenizer import Tokenizer
from distilhubert_ko.training.clips import AugmentedClips, Clips, collate
from distilhubert_ko.training.sampling import BucketSampler

WAYS = ("decode", "cache_first_pass", "cache", "memory", "memory_augmented")


def examples(corpus: str, cache: Path | None, config: recipe.Recipe, hours: float) -> list[Example]:
    """Clips of a corpus, drawn at random, of so many hours in all, or as many as there are."""
    found = usable_split(read_corpus(corpus, Reading(cache=cache)), config.text, config.data).examples
    order = np.random.default_rng(0).permutation(len(found))
    ends = np.cumsum([found[index].utterance.seconds for index in order])
    return [found[index] for index in order[: np.searchsorted(ends, hours * 3600) + 1]]


def clips(way: str, chosen: Sequence[Example], config: recipe.Recipe) -> Clips:
    tokenizer = Tokenizer.from_texts((example.text for example in chosen), config.text.units)
    if way == "memory_augmented":
        made: Clips = AugmentedClips(chosen, tokenizer, config.augment, None, 0)
    else:
        made = Clips(chosen, tokenizer)
    made.cached = way.startswith("memory")
    if made.cached:
        for index in range(len(made)):
            made.wave(index)
    return made


def batches(source: Clips, size: int) -> Iterator[dict[str, torch.Tensor]]:
    lengths = [example.samples for example in source.examples]
    order = [*BucketSampler(len(source), lambda epoch: lengths, size, 0)]
    for start in range(0, len(order), size):
        yield collate([source[index] for index in order[start : start + size]])


def speed(source: Clips, size: int) -> float:
    """Hours of speech, as it comes out, in a second of processor time."""
    started, samples = time.process_time(), 0
    for batch in batches(source, size):
        samples += int(batch["lengths"].sum())
    return samples / SAMPLE_RATE / 3600 / (time.process_time() - started)


def start_seconds(corpus: str, cache: Path | None) -> float:
    started = time.process_time()
    read_corpus(corpus, Reading(cache=cache))
    return time.process_time() - started


def measure(corpus: str, config: recipe.Recipe, hours: float, turns: int) -> dict[str, Any]:
    plain = examples(corpus, None, config, hours)
    speeds: dict[str, list[float]] = {way: [] for way in WAYS}
    starts: dict[str, list[float]] = {"measured": [], "from_cache": []}
    total = sum(example.utterance.seconds for example in plain) / 3600
    for turn in range(turns):
        with tempfile.TemporaryDirectory() as folder:
            cached = examples(corpus, Path(folder), config, hours)
            for way in WAYS:
                source = clips(way, cached if way.startswith("cache") else plain, config)
                speeds[way].append(speed(source, config.training.train_batch_size))
                print(f"turn {turn} {way}: {speeds[way][-1]:.3f} h of speech a second", flush=True)
            starts["measured"].append(start_seconds(corpus, None))
            starts["from_cache"].append(start_seconds(corpus, Path(folder)))
            stored = sum(file.stat().st_size for file in (Path(folder) / "clips").glob("*/*"))
    return {
        "corpus": corpus,
        "clips": len(plain),
        "hours": round(total, 3),
        "mean_clip_seconds": round(total * 3600 / len(plain), 2),
        "hours_of_speech_per_core_second": {way: statistics.median(found) for way, found in speeds.items()},
        "cache_gb_per_hour_of_speech": stored / 1e9 / total,
        "start_files": len(read_corpus(corpus).utterances),
        "start_core_seconds": {way: statistics.median(found) for way, found in starts.items()},
        "augment_recipe": config.name,
        "turns": speeds,
        "machine": platform.machine(),
        "torch": torch.__version__,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", default="synthetic:demo#train", help="scheme:location#split")
    parser.add_argument("--recipe", default="zeroth-plus", help="its [text], its [augment] and its batch size")
    parser.add_argument("--hours", type=float, default=0.5, help="of speech, drawn from the corpus")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    options = parser.parse_args()
    torch.set_num_threads(1)
    config = recipe.load_recipe(recipe.find_recipe(options.recipe), ["augment.splice_prob=0.0"])
    result = measure(options.corpus, config, options.hours, options.turns)
    for way, found in result["hours_of_speech_per_core_second"].items():
        print(f"{way}: {found:.3f} h of speech a second of one core")
    if options.json:
        writing.write_json(options.json, result)


if __name__ == "__main__":
    main()
