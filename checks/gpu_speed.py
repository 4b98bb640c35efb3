"""Speed of a training step against plain Transformers on the same batch, and of ONNX Runtime on a GPU."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode
from transformers import HubertForCTC, WhisperConfig
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from checks.gpu_numbers import tf32
from checks.gpu_runs import ZEROTH
from checks.gpu_stand_in import CheckError, NotThereError, Scale, batch, networks, random_clips, tokenizer
from distilhubert_ko.export import exporting
from distilhubert_ko.model.log_mel import log_mel
from distilhubert_ko.recognition.session import CUDA, ModelSession

PEAKS = {"H100": 989e12, "H200": 989e12, "A100": 312e12}
"""Dense bf16 FLOP/s by NVIDIA's data sheets, of the SXM cards."""
WARM = 3  # steps, at most, that are not timed
PRECISIONS = {
    "float32": (torch.float32, False),
    "float32, TF32": (torch.float32, True),
    "bf16": (torch.bfloat16, False),
}
THIRTY_SECONDS = 480_000  # samples


class PaddedWhisper(nn.Module):
    """Whisper's encoder as Transformers has it, with a CTC head: it takes 30 s of log-mel, whatever a clip's length."""

    def __init__(self, config: WhisperConfig):
        super().__init__()
        self.encoder = WhisperEncoder(config)
        self.lm_head = nn.Linear(config.d_model, config.vocab_size)
        self.blank = config.pad_token_id

    def forward(self, mel: Tensor, frames: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of a log-mel (batch, mels, 3000), of whose encoding `frames` (batch,) count."""
        logits = self.lm_head(self.encoder(mel).last_hidden_state)
        log_probs = functional.log_softmax(logits, dim=-1, dtype=torch.float32).transpose(0, 1)
        spoken = labels >= 0
        return functional.ctc_loss(log_probs, labels[spoken], frames, spoken.sum(1), self.blank)


def plain_ways(scale: Scale, folder: Path, batches: dict[str, dict[str, Tensor]]) -> dict[str, Any]:
    """Return, for each network, that of plain Transformers and the inputs that it takes."""
    own = networks(scale, folder)
    hubert = HubertForCTC(own["DistilHuBERT"].config).train()
    given = batches["DistilHuBERT"]
    whisper, spoken = own["Whisper"], batches["Whisper"]
    padded = functional.pad(spoken["input_values"], (0, THIRTY_SECONDS - spoken["input_values"].shape[1]))
    mel = log_mel(padded, spoken["lengths"], whisper.config.num_mel_bins).transpose(1, 2).contiguous()
    frames = whisper.frame_lengths(spoken["lengths"])
    return {
        "DistilHuBERT": (hubert, {"input_values": given["input_values"], "labels": given["labels"]}),
        "Whisper": (PaddedWhisper(whisper.config).train(), {"mel": mel, "frames": frames, "labels": spoken["labels"]}),
    }


class Step:
    """An optimizer step as the Trainer does it, on a batch that lies in pinned memory."""

    def __init__(self, network: nn.Module, inputs: dict[str, Tensor], dtype: torch.dtype, device: str):
        self.network = network.to(device)
        self.device, self.dtype = device, dtype
        self.inputs = {name: each.pin_memory() if device == "cuda" else each for name, each in inputs.items()}
        trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.AdamW(trained, lr=1e-4)

    def __call__(self) -> None:
        inputs = {name: each.to(self.device, non_blocking=True) for name, each in self.inputs.items()}
        with torch.autocast(self.device, self.dtype, enabled=self.dtype != torch.float32):
            found = self.network(**inputs)
        (found if isinstance(found, Tensor) else found.loss).backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()


def waited(device: str) -> float:
    """Return the time when the device has done all that was asked of it."""
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def timed(step: Step, scale: Scale, seconds: float, flops: float) -> dict[str, float]:
    """Return the speed of a step on so many seconds of speech, its memory, and its share of the GPU's peak in bf16."""
    cuda = scale.device == "cuda"
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    for _ in range(min(WARM, scale.timed)):
        step()
    started = waited(scale.device)
    for _ in range(scale.timed):
        step()
    took = (waited(scale.device) - started) / scale.timed
    found = {"seconds": took, "hours_per_hour": seconds / took, "flops_per_second": flops / took}
    if cuda:
        found["peak_gib"] = torch.cuda.max_memory_allocated() / 2**30
        peak = next((peak for name, peak in PEAKS.items() if name in torch.cuda.get_device_name()), None)
        found |= {"share_of_peak": flops / took / peak} if peak else {}
    return {name: float(f"{value:.4g}") for name, value in found.items()}


def check(scale: Scale, folder: Path, found: dict[str, Any]) -> None:
    """Time a step of both recipes, ours and with plain Transformers, in each precision.

    A batch is as its recipe's. Its FLOPs are counted by torch, in the matrix products of each way itself.
    """
    clips = {
        name: random_clips(count, scale.seconds, count)
        for name, count in zip(("DistilHuBERT", "Whisper"), scale.batches, strict=True)
    }
    batches = {name: batch(each, tokenizer()) for name, each in clips.items()}
    plain = plain_ways(scale, folder, batches)
    ours = {name: (network, batches[name]) for name, network in networks(scale, folder).items()}
    for name in ours:
        seconds = float(batches[name]["lengths"].sum()) / 16_000
        found[name] = {"batch": len(clips[name]), "seconds_of_speech": round(seconds, 1)}
        for way, (network, inputs) in (("ours", ours[name]), ("Transformers", plain[name])):
            network.to(scale.device)
            with FlopCounterMode(display=False) as counter:
                Step(network, inputs, torch.float32, scale.device)()
            found[name][way] = {"flops": counter.get_total_flops()}
            for precision, (dtype, fast) in PRECISIONS.items():
                with tf32(fast):
                    step = Step(network, inputs, dtype, scale.device)
                    found[name][way][precision] = timed(step, scale, seconds, counter.get_total_flops())
            network.to("cpu")
        found[name]["times_as_fast"] = {
            precision: round(
                found[name]["Transformers"][precision]["seconds"] / found[name]["ours"][precision]["seconds"], 3
            )
            for precision in PRECISIONS
        }


def check_onnxruntime(scale: Scale, folder: Path, found: dict[str, Any]) -> None:
    """Export the model of the first run, and compare ONNX Runtime on the GPU with the CPU."""
    if CUDA not in onnxruntime.get_available_providers():
        raise NotThereError(f"this ONNX Runtime has {', '.join(onnxruntime.get_available_providers())}")
    model = folder / ZEROTH
    found["largest_difference_to_torch"] = exporting.export_graph(model)
    waves = [wave for wave, _ in random_clips(8, scale.seconds, 3)]
    results = {}
    for device in ("cuda", "cpu"):
        session = ModelSession(model, device=device)
        session.log_probs(waves)
        started = time.perf_counter()
        results[device] = session.log_probs(waves)
        found[f"{device}_times_real_time"] = round(sum(map(len, waves)) / 16_000 / (time.perf_counter() - started), 1)
    pairs = zip(results["cuda"], results["cpu"], strict=True)
    found["largest_difference"] = error = max(float(np.abs(one - other).max()) for one, other in pairs)
    if not error <= 0.05:  # ONNX Runtime takes TF32 on a GPU
        raise CheckError(f"log-probabilities on the GPU and on the CPU differ by {error:.2g}")
