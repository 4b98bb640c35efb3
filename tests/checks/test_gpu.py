"""The check for GPUs: in little on the CPU, what it would not pass, and both networks on another device."""

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from checks import gpu, gpu_numbers
from checks.gpu_stand_in import UNMASKED, CheckError, NotThereError, Scale, networks, small

LENGTHS = torch.tensor([400, 16_000, 25_599])


def test_the_small_form_passes_on_the_cpu(tmp_path: Path) -> None:
    assert gpu.run(small("cpu"), tmp_path / "gpu.json")
    report = json.loads((tmp_path / "gpu.json").read_text(encoding="utf-8"))
    outcomes = {name: part["outcome"] for name, part in report["parts"].items()}
    assert outcomes.pop("zeroth in fp16") == "not there"
    assert outcomes.pop("onnxruntime") in ("not there", "passed")
    assert set(outcomes.values()) == {"passed"}, report
    assert report["parts"]["speed"]["DistilHuBERT"]["ours"]["flops"] > 1e8


def test_a_part_that_fails_is_reported_and_the_others_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(scale: Scale, folder: Path, found: dict[str, Any]) -> None:
        found["figure"] = 1
        raise CheckError("2 is not 1")

    def lacks(scale: Scale, folder: Path, found: dict[str, Any]) -> None:
        raise NotThereError("no such library")

    monkeypatch.setattr(gpu, "PARTS", {"first": fails, "second": lacks})
    assert not gpu.run(small("cpu"), tmp_path / "gpu.json")
    parts = json.loads((tmp_path / "gpu.json").read_text(encoding="utf-8"))["parts"]
    assert (parts["first"]["outcome"], parts["first"]["figure"]) == ("failed", 1)
    assert parts["first"]["error"] == "CheckError: 2 is not 1"
    assert (parts["second"]["outcome"], parts["second"]["reason"]) == ("not there", "no such library")


def test_a_gradient_that_is_lost_or_half_as_large_is_found() -> None:
    expected = {"layer.weight": torch.ones(10, 10), "layer.bias": torch.ones(10)}
    assert gpu_numbers.gradient_errors(expected, expected)[:2] == (0.0, 0.0)
    whole, worst, name = gpu_numbers.gradient_errors(expected | {"layer.bias": torch.full((10,), 0.5)}, expected)
    assert (worst, name) == (0.5, "layer.bias")
    assert whole == pytest.approx(0.5 * (10 / 110) ** 0.5)
    with pytest.raises(CheckError, match=r"layer\.bias"):
        gpu_numbers.gradient_errors({"layer.weight": torch.ones(10, 10)}, expected)


@pytest.mark.parametrize("name", ["DistilHuBERT", "Whisper"])
def test_a_network_mixes_no_devices(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tensor that it makes on the CPU and adds to one on "meta", which every torch has, raises as on a GPU."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())  # which "meta" has none of
    network = networks(small("cpu"), tmp_path, **UNMASKED)[name].to("meta")  # masks are drawn from real lengths
    # Transformers looks into no mask while it is traced.
    monkeypatch.setattr("transformers.masking_utils.is_tracing", lambda *_: True)
    waves, lengths = torch.zeros(3, 25_600, device="meta"), LENGTHS.to("meta")
    logits = network(waves, lengths).logits
    logits.sum().backward()
    assert logits.shape[:2] == (3, network.grid.count(25_600))
    assert {value.device.type for value in (logits, network.frame_lengths(lengths))} == {"meta"}
    gradients = [weight.grad for weight in network.parameters() if weight.grad is not None]
    assert {gradient.device.type for gradient in gradients} == {"meta"}
