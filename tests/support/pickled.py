"""Model folders as most Korean checkpoints of 2021 and 2022 come: four files, and the weights a pickle."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

KEPT = ("config.json", "vocab.json", "preprocessor_config.json")
MARK = "it-ran"


def pickle_model(model: Path, folder: Path, dtype: torch.dtype | None = None, shards: int = 1, **how: Any) -> Path:
    """Write a model folder again with its weights pickled, as `dtype` and in so many files, by torch.save's `how`."""
    folder.mkdir()
    for name in KEPT:
        if (model / name).is_file():
            shutil.copy(model / name, folder)
    tensors = {name: value.to(dtype or value.dtype) for name, value in load_file(model / "model.safetensors").items()}
    if dtype:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        written = json.dumps(config | {"dtype": str(dtype).removeprefix("torch.")})
        (folder / "config.json").write_text(written, encoding="utf-8")
    for shard in range(shards):
        part = {name: tensors[name] for name in [*tensors][shard::shards]}
        name = f"pytorch_model-{shard + 1:05d}-of-{shards:05d}.bin" if shards > 1 else "pytorch_model.bin"
        torch.save(part, folder / name, **how)
    return folder


class Malicious:
    """What makes a file of its folder if it is unpickled by anything that runs what a pickle names."""

    def __init__(self, folder: Path):
        self.command = f"touch {folder / MARK}"

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (self.command,)
