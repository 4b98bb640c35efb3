"""Losses, gradients and padding in each precision, against float32 on the CPU for the same weights and batch."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from checks.gpu_stand_in import UNDROPPED, UNMASKED, CheckError, Scale, batch, networks, random_clips, tokenizer
from distilhubert_ko.model.ctc_network import CtcNetwork

LENGTHS = (400, 719, 16_000, 25_599, 48_001)
"""Samples: one frame, one sample less than two frames, a second, and two that no stride divides."""
NEGLIGIBLE = 1e-3  # of the whole gradient's norm: what is smaller, such as a key's bias, is rounding alone
SCALE = 2.0**16  # torch.amp.GradScaler's first; it halves until no gradient overflows


@dataclass(frozen=True)
class Precision:
    """How a GPU computes, and how far it may be from float32 on the CPU, relative to what it is compared with."""

    dtype: torch.dtype
    tf32: bool
    loss: float
    gradient: float
    """Norm of the difference over the norm, of all gradients together; a single tensor's may be five times that."""


# A rounding is off by 2^-24 in float32, 2^-11 in TF32 and fp16, and 2^-9 in bf16, relative to the value. At full width
# on a CPU, fp16 came to a loss error of 4e-5 and a gradient error of 7e-4, a single tensor's of 4e-3, and bf16 to 2e-4,
# 6e-3 and 5e-2. The bounds are some ten times that, since a GPU adds up in another order. A wrong mask, a lost term or
# a gradient that underflows is further off.
PRECISIONS = {
    "float32": Precision(torch.float32, False, 1e-5, 2e-4),
    "float32, TF32": Precision(torch.float32, True, 5e-4, 1e-2),
    "fp16": Precision(torch.float16, False, 5e-4, 1e-2),
    "bf16": Precision(torch.bfloat16, False, 2e-3, 5e-2),
}


@contextmanager
def tf32(on: bool) -> Iterator[None]:
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = on
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def loss_and_gradients(
    network: CtcNetwork, inputs: dict[str, Tensor], precision: Precision
) -> tuple[float, dict[str, Tensor], float]:
    """Return the loss, each parameter's gradient on the CPU, and by how much the loss was scaled for it."""
    scale = SCALE if precision.dtype == torch.float16 else 1.0
    while True:
        network.zero_grad()
        with torch.autocast(network.device.type, precision.dtype, enabled=precision.dtype != torch.float32):
            loss = network(**inputs).loss
        (loss * scale).backward()
        found = {name: each.grad.cpu() / scale for name, each in network.named_parameters() if each.grad is not None}
        if scale == 1 or all(bool(each.isfinite().all()) for each in found.values()):
            return loss.item(), found, scale
        scale /= 2


def gradient_errors(found: dict[str, Tensor], expected: dict[str, Tensor]) -> tuple[float, float, str]:
    """Return the relative error of all gradients together, and the largest of a single tensor with its name."""
    if found.keys() != expected.keys():
        raise CheckError(f"gradients on one side alone: {sorted(found.keys() ^ expected.keys())[:3]}")
    norm = torch.stack([each.norm() for each in expected.values()]).norm()
    differences = {name: (found[name] - each).norm() for name, each in expected.items()}
    worst, name = max(
        (float(differences[name] / each.norm()), name)
        for name, each in expected.items()
        if each.norm() > NEGLIGIBLE * norm
    )
    return float(torch.stack([*differences.values()]).norm() / norm), worst, name


def padding_error(network: CtcNetwork, inputs: dict[str, Tensor]) -> float:
    """Return by how much a clip's logits in the batch differ from those alone, over their spread."""
    waves, lengths = inputs["input_values"], inputs["lengths"]
    frames = network.frame_lengths(lengths).tolist()
    with torch.no_grad():
        together = network(waves, lengths).logits
        errors = []
        for row, (samples, count) in enumerate(zip(lengths.tolist(), frames, strict=True)):
            alone = network(waves[row : row + 1, :samples], lengths[row : row + 1]).logits[0, :count]
            errors.append(float((together[row, :count] - alone).abs().max() / together.std()))
    return max(errors)


def check(scale: Scale, folder: Path, found: dict[str, Any]) -> None:
    """Compare both networks in every precision."""
    clips = [clip for seconds in LENGTHS for clip in random_clips(1, (seconds / 16_000,) * 2, seconds)]
    inputs = batch(clips, tokenizer())
    assert inputs["lengths"].tolist() == [*LENGTHS]
    moved = {name: tensor.to(scale.device) for name, tensor in inputs.items()}
    wrong = []
    for network_name, network in networks(scale, folder, **UNDROPPED, **UNMASKED).items():
        with tf32(False):
            loss, gradients, _ = loss_and_gradients(network, inputs, PRECISIONS["float32"])
        there = copy.deepcopy(network).to(scale.device)
        found[network_name] = {"loss": loss}
        for name, precision in PRECISIONS.items():
            with tf32(precision.tf32):
                own, theirs, scaled = loss_and_gradients(there, moved, precision)
            whole, worst, tensor = gradient_errors(theirs, gradients)
            error = abs(own - loss) / loss
            found[network_name][name] = {
                "loss_error": error,
                "gradient_error": whole,
                "largest_of_a_tensor": worst,
                "tensor": tensor,
                "loss_scale": scaled,
            }
            if not (error <= precision.loss and whole <= precision.gradient and worst <= 5 * precision.gradient):
                wrong.append(f"{network_name} in {name}: loss {error:.1e}, gradients {whole:.1e}, {tensor} {worst:.1e}")
        with tf32(False):
            found[network_name]["padding_error"] = error = padding_error(there, moved)
        if not error <= 1e-3:
            wrong.append(f"{network_name}: logits of a clip alone and in a batch differ by {error:.1e}")
    if wrong:
        raise CheckError("; ".join(wrong))
