"""Whether training is right and fast on a GPU: numbers against the CPU, runs that are resumed, speed, ONNX Runtime.

    python -m checks.gpu --out docs/results/gpu.json

Weights are random and the speech is made up, so nothing is downloaded. It lies in parquet as the Hub's does, so the
extra [train] is needed. The report is written after each part, and a
part that fails does not keep the others from running. With --device cpu --small the same code runs in half a minute.
"""

import argparse
import gc
import os
import platform
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import datasets
import torch
import transformers

from checks import gpu_numbers, gpu_runs, gpu_speed
from checks.gpu_stand_in import NotThereError, Scale, full, small
from distilhubert_ko.files import writing

Part = Callable[[Scale, Path, dict[str, Any]], None]
"""Writes what it finds into the dictionary, and raises CheckError if that is not as it should be."""

PARTS: dict[str, Part] = {
    "numbers": gpu_numbers.check,
    "zeroth": partial(gpu_runs.check_zeroth, name="zeroth"),
    "zeroth in fp16": gpu_runs.check_fp16,
    "speed": gpu_speed.check,
    "whisper": gpu_runs.check_whisper,
    "distillation": gpu_runs.check_distillation,
    "teaching": gpu_runs.check_teaching,
    "onnxruntime": gpu_speed.check_onnxruntime,
}
"""In the order of worth, since time on a GPU may run out."""


def machine(device: str) -> dict[str, Any]:
    """Return what the figures depend on."""
    found = {"device": device, "cpus": os.cpu_count(), "machine": platform.machine()}
    if device == "cuda":
        found |= {
            "gpu": torch.cuda.get_device_name(),
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),
        }
    return found | {"torch": torch.__version__, "transformers": transformers.__version__}


def tried(part: Part, scale: Scale, folder: Path) -> dict[str, Any]:
    """Return what a part found, with its seconds and whether it passed."""
    found: dict[str, Any] = {"outcome": "passed"}
    started = time.monotonic()
    try:
        part(scale, folder, found)
    except NotThereError as missing:
        found |= {"outcome": "not there", "reason": str(missing)}
    except Exception as error:  # a part may end in any way
        found |= {
            "outcome": "failed",
            "error": f"{type(error).__name__}: {error}",
            "where": traceback.format_exc()[-1500:],
        }
    found["seconds"] = round(time.monotonic() - started, 1)
    gc.collect()
    if scale.device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    return found


def run(scale: Scale, out: Path) -> bool:
    """Run all parts and write the report after each; return whether none failed."""
    report: dict[str, Any] = machine(scale.device) | {"steps": scale.steps, "parts": {}}
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(datasets.config, "HF_DATASETS_CACHE", Path(folder)):
        for name, part in PARTS.items():
            found = report["parts"][name] = tried(part, scale, Path(folder))
            writing.write_json(out, report)
            said = found.get("error") or found.get("reason") or ""
            print(f"{name}: {found['outcome']} in {found['seconds']} s {said}".rstrip(), flush=True)
    return all(found["outcome"] != "failed" for found in report["parts"].values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs/results/gpu.json"))
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--steps", type=int, default=200, help="of the run of zeroth.toml")
    parser.add_argument("--small", action="store_true", help="tiny networks and few steps")
    options = parser.parse_args()
    if options.device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # the trainer takes the GPU that it finds
    elif not torch.cuda.is_available():
        sys.exit("no GPU that CUDA can use: add --device cpu --small")
    scale = small(options.device) if options.small else full(options.device, options.steps)
    if not run(scale, options.out):
        sys.exit(1)


if __name__ == "__main__":
    main()
