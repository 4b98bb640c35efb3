"""Training speed in seconds of speech a second, against the way of the Transformers CTC example.

    python -m benchmarks.train_throughput --corpus librispeech:PATH --json FILE

Both train the network of a recipe from the same random weights, in float32, with AdamW and batches of the same size,
on the same utterances, which lie decoded in memory. The example draws batches at random, pads them to the longest
clip and runs transformers' HubertForCTC. Ours takes length buckets and the padding-safe model. Each way runs in a
process of its own, in turns, so that the machine's drift falls on both; the figure of a way is the median over its
turns.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
from transformers import HubertForCTC

from distilhubert_ko import recipe
from distilhubert_ko.audio.frames import SAMPLE_RATE
from distilhubert_ko.data.corpora import read_corpus
from distilhubert_ko.data.dataset import usable_split
from distilhubert_ko.data.fitness import has_enough_frames
from distilhubert_ko.model.loading import build_network
from distilhubert_ko.model.network import PaddingSafeHubertForCTC
from distilhubert_ko.text.tokenizer import Tokenizer
from distilhubert_ko.training.clips import Clips, collate
from distilhubert_ko.training.memory import keep_freed_memory
from distilhubert_ko.training.sampling import BucketSampler

WAYS = ("example", "ours")


def measure(way: str, config: recipe.Recipe, corpus: str, batches: int, turn: int) -> float:
    """Seconds of speech, padding not counted, that one way trains on in a second."""
    torch.manual_seed(turn)
    batch_size = config.training.train_batch_size
    split = usable_split(read_corpus(corpus), config.text, config.data)
    tokenizer = Tokenizer.from_texts((example.text for example in split.examples), config.text.units)
    built = build_network(config.model, tokenizer)
    network: torch.nn.Module = built
    examples = [example for example in split.examples if has_enough_frames(example, tokenizer, built.grid)]
    chosen = np.random.default_rng(turn).permutation(len(examples))[: batches * batch_size]
    clips = Clips([examples[i] for i in chosen], tokenizer)
    if way == "example":
        plain = HubertForCTC(network.config)
        plain.load_state_dict(network.state_dict())
        network = plain
        order = list(range(len(clips)))  # they were chosen at random
    else:
        keep_freed_memory()
        lengths = [example.samples for example in clips.examples]
        order = list(BucketSampler(len(clips), lambda epoch: lengths, batch_size, turn))
    for index in order:
        clips[index]  # decoded now and kept
    network.train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4)
    drawn = [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
    step(network, optimizer, clips, drawn[0])  # not counted: first allocations, choice of kernels
    samples, started = 0, time.perf_counter()
    for indices in drawn:
        samples += step(network, optimizer, clips, indices)
    return samples / SAMPLE_RATE / (time.perf_counter() - started)


def step(network: torch.nn.Module, optimizer: torch.optim.Optimizer, clips: Clips, indices: list[int]) -> int:
    """One optimizer step; the samples of speech in it."""
    batch = collate([clips[i] for i in indices])
    samples = int(batch["lengths"].sum())
    if isinstance(network, PaddingSafeHubertForCTC):
        loss = network(**batch).loss
    else:
        loss = network(batch["input_values"], labels=batch["labels"]).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()
    return samples


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--corpus", default="synthetic:demo#train", help="scheme:location#split")
    parser.add_argument("--recipe", default="pansori", help="its [model], from random weights, and its batch size")
    parser.add_argument("--batches", type=int, default=16, help="in a turn")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    parser.add_argument("--one", nargs=2, metavar=("WAY", "TURN"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    config = recipe.load_recipe(recipe.find_recipe(options.recipe), ["model.pretrained=random"])
    if options.one:
        way, turn = options.one
        print(measure(way, config, options.corpus, options.batches, int(turn)))
        return
    speeds: dict[str, list[float]] = {way: [] for way in WAYS}
    for turn in range(options.turns):
        for way in WAYS:
            command = [sys.executable, __file__, "--one", way, str(turn), "--corpus", options.corpus]
            command += ["--recipe", options.recipe, "--batches", str(options.batches)]
            speeds[way].append(float(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
            print(f"turn {turn} {way}: {speeds[way][-1]:.1f} s of speech a second", flush=True)
    medians = {way: statistics.median(values) for way, values in speeds.items()}
    ratio = medians["ours"] / medians["example"]
    print(f"example {medians['example']:.1f}, ours {medians['ours']:.1f} s of speech a second: ratio {ratio:.2f}")
    if options.json:
        report = {
            "recipe": options.recipe,
            "corpus": options.corpus,
            "threads": torch.get_num_threads(),
            "speeds": speeds,
            "ratio": ratio,
        }
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
