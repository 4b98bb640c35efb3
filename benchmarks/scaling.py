"""What a run on 1,000 and on 10,000 hours needs, worked out from what one core of this machine was seen to do.

    python -m benchmarks.scaling --corpus librispeech:PATH --json docs/results/scaling.json

Measured: floating-point operations of a training step of a recipe's network (torch.utils.flop_counter, forward and
backward), bytes an hour of speech takes as it lies in the corpus, hours of speech that one core takes out of shards and
decodes in a second of its processor time, and the memory and time that an utterance costs in the index of a stream.
What one core does without shards comes from docs/results/loader.json (benchmarks/loader.py). The rest is arithmetic.
"""

import argparse
import json
import math
import os
import statistics
import tempfile
import time
import tracemalloc
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import torch
from datasets.utils.py_utils import convert_file_size_to_int as size
from torch.utils.flop_counter import FlopCounterMode

from distilhubert_ko import recipe
from distilhubert_ko.data.corpora import Utterance, read_corpus
from distilhubert_ko.data.dataset import usable_split
from distilhubert_ko.data.reading import Reading
from distilhubert_ko.data.sizes import PUBLISHED_SIZES
from distilhubert_ko.files import writing
from distilhubert_ko.model.loading import build_network
from distilhubert_ko.text.tokenizer import Tokenizer
from tests.support.parquet import write_shard

LOADER = Path(__file__).parents[1] / "docs" / "results" / "loader.json"
SHARD = "train-00000-of-00001.parquet"
HOURS = (1_000, 10_000)
# NVIDIA's data sheets, without sparsity: H100 SXM (2022), 1,979 TFLOPS with it and half as much without; A100 (2020).
PEAK_BF16 = {"H100 SXM": 989.5e12, "A100": 312e12}
UTILISATIONS = (0.1, 0.3)  # of that peak, assumed: nobody has run this network on such a GPU here
ZEROTH = PUBLISHED_SIZES["hub:Bingsu/zeroth-korean#train"]  # whose mean clip is everybody's here
UNFROZEN = ("model.pretrained=random", "model.freeze_feature_encoder=false")  # what costs most
SECONDS = 8  # of the clip whose step is counted, near that mean
BYTES_A_PARAMETER = 12  # of a checkpoint: the weight and Adam's two moments in float32


def convolution_backward(
    gradient: torch.Size, waves: torch.Size, weight: torch.Size, *rest: Any, out_shape: Any, **options: Any
) -> int:
    """Torch's own count takes a grouped convolution's weight gradient for that of a convolution without groups."""
    once = 2 * gradient[0] * math.prod(gradient[2:]) * math.prod(weight)
    return once * sum(shape is not None for shape in out_shape[:2])


def operations(config: recipe.Recipe) -> dict[str, float]:
    """Floating-point operations for a second of speech, forward and with the backward pass, and the parameters."""
    tokenizer = Tokenizer("syllables", (Tokenizer.blank_token, Tokenizer.unknown_token, "|", "가"))
    network = build_network(config.model, tokenizer).train()
    waves, lengths = torch.randn(1, SECONDS * 16_000), torch.tensor([SECONDS * 16_000])
    with FlopCounterMode(display=False) as forward, torch.no_grad():
        network(waves, lengths)
    backward = {torch.ops.aten.convolution_backward: convolution_backward}
    with FlopCounterMode(display=False, custom_mapping=backward) as step:
        network(waves, lengths, labels=torch.full((1, 20), tokenizer.encode("가")[0])).loss.backward()
    return {
        "forward_flops": forward.get_total_flops() / SECONDS,
        "step_flops": step.get_total_flops() / SECONDS,
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
    }


def shard(utterances: list[Utterance], folder: Path, row_group: int) -> None:
    """Utterances as one shard of a data set's train split, their sound as it lies in its file."""
    sound = [u.audio.read_bytes() for u in utterances if isinstance(u.audio, Path)]
    write_shard(folder / SHARD, sound, described(utterances), row_group)


def described(utterances: list[Utterance]) -> dict[str, list[Any]]:
    return {"text": [u.text for u in utterances], "speaker_id": [u.speaker for u in utterances]}


def stream(utterances: list[Utterance], folder: Path, turns: int) -> list[float]:
    """Hours of speech that one core takes out of a local shard and decodes in a second of its time, each turn anew."""
    shard(utterances, folder, 100)
    found = read_corpus(f"hub:{folder}#train", Reading(streaming=True), measured=False)
    speeds = []
    for _ in range(turns):
        for file in folder.rglob("*.arrow"):
            file.unlink()
        started = time.thread_time()
        samples = sum(len(utterance.wave()) for utterance in found.utterances)
        speeds.append(samples / 16_000 / 3600 / (time.thread_time() - started))
    return speeds


def index(utterances: list[Utterance], folder: Path, count: int, config: recipe.Recipe) -> dict[str, float]:
    """Bytes of memory and seconds that an utterance costs when a stream is listed, filtered and normalised."""
    drawn = [utterances[place % len(utterances)] for place in range(count)]
    write_shard(folder / SHARD, [b""] * count, described(drawn) | {"duration": [3.0] * count}, 1000)
    spec, streamed = f"hub:{folder}#train", Reading(streaming=True)
    started = time.thread_time()
    usable_split(read_corpus(spec, streamed, measured=False), config.text, config.data)
    seconds = time.thread_time() - started
    tracemalloc.start()
    kept = usable_split(read_corpus(spec, streamed, measured=False), config.text, config.data)
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return {"bytes": held / len(kept.examples), "peak_bytes": peak / count, "core_seconds": seconds / count}


def clip_seconds() -> float:
    assert ZEROTH.hours is not None
    return ZEROTH.hours * 3600 / ZEROTH.utterances


def plan(hours: int, measured: dict[str, Any], config: recipe.Recipe) -> dict[str, Any]:
    """What a run on so many hours needs."""
    utterances = round(hours * 3600 / clip_seconds())
    gigabytes = hours * measured["bytes_per_hour"] / 1e9
    steps = utterances / config.training.total_train_batch_size
    return {
        "utterances": utterances,
        "gigabytes": gigabytes,
        "shards": gigabytes / measured["shard_gigabytes"],
        "row_groups": gigabytes / measured["row_group_gigabytes"],
        "cache_gigabytes": hours * measured["cache_gb_per_hour"],
        "probing_core_minutes": utterances * measured["probing_core_seconds_per_file"] / 60,
        "index_gigabytes": utterances * measured["index"]["bytes"] / 1e9,
        "index_core_minutes": utterances * measured["index"]["core_seconds"] / 60,
        "steps_per_epoch": steps,
        "evaluations_per_epoch": steps / config.training.eval_steps,
        "gpu_hours_per_epoch": {
            gpu: {str(share): hours * measured["step_flops"] / (peak * share) for share in UTILISATIONS}
            for gpu, peak in PEAK_BF16.items()
        },
    }


def per_gpu(measured: dict[str, Any], config: recipe.Recipe) -> list[dict[str, Any]]:
    """What one GPU eats, and what it takes to feed it."""
    rows = []
    step = config.training.total_train_batch_size * clip_seconds()  # seconds of speech
    for gpu, peak in PEAK_BF16.items():
        for share in UTILISATIONS:
            eaten = peak * share / measured["step_flops"]  # seconds of speech a second
            rows.append(
                {
                    "gpu": gpu,
                    "utilisation": share,
                    "hours_of_speech_per_hour": eaten,
                    "cores": {way: eaten / 3600 / speed for way, speed in measured["cores"].items()},
                    "megabytes_per_second": eaten / 3600 * measured["bytes_per_hour"] / 1e6,
                    "seconds_between_checkpoints": config.training.eval_steps * step / eaten,
                }
            )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--corpus", default="synthetic:demo#train", help="scheme:location#split, in files")
    parser.add_argument("--recipe", default="zeroth", help="its network, all of it trained, and its steps")
    parser.add_argument("--clips", type=int, default=500, help="taken out of shards")
    parser.add_argument("--rows", type=int, default=20_000, help="of the index")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    options = parser.parse_args()
    torch.set_num_threads(1)
    pa.set_cpu_count(1)
    config = recipe.load_recipe(recipe.find_recipe(options.recipe), UNFROZEN)
    corpus = read_corpus(options.corpus)
    chosen = [corpus.utterances[i] for i in np.random.default_rng(0).permutation(len(corpus.utterances))]
    files = {utterance.audio for utterance in chosen if isinstance(utterance.audio, Path)}
    network = operations(config)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = folder
        speeds = stream(chosen[: options.clips], Path(folder, "sound"), options.turns)
        listed = index(chosen, Path(folder, "rows"), options.rows, config)
    found = json.loads(LOADER.read_text(encoding="utf-8"))
    measured = {
        "recipe": options.recipe,
        "corpus": options.corpus,
        **network,
        "peak_bf16_flops": PEAK_BF16,
        "checkpoint_bytes": BYTES_A_PARAMETER * network["parameters"],
        "bytes_per_hour": sum(file.stat().st_size for file in files) / corpus.hours,
        "shard_gigabytes": size(datasets.config.MAX_SHARD_SIZE) / 1e9,
        "row_group_gigabytes": size(datasets.config.MAX_ROW_GROUP_SIZE) / 1e9,
        "stream_turns": speeds,
        "index": listed,
        "cores": found["hours_of_speech_per_core_second"] | {"stream": statistics.median(speeds)},
        "cache_gb_per_hour": found["cache_gb_per_hour_of_speech"],
        "probing_core_seconds_per_file": found["start_core_seconds"]["measured"] / found["start_files"],
    }
    report = measured | {
        "per_gpu": per_gpu(measured, config),
        "scales": {str(hours): plan(hours, measured, config) for hours in HOURS},
    }
    print(json.dumps(report, indent=2))
    if options.json:
        writing.write_json(options.json, report)


if __name__ == "__main__":
    main()
