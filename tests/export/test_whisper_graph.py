"""The hand-made graph of Whisper's encoder against torch, in float32 and in 8 bits."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from distilhubert_ko.audio.frames import WHISPER_FRAMES
from distilhubert_ko.export.calibration import observe_ranges
from distilhubert_ko.export.graph import HubertGraph
from distilhubert_ko.export.graphs import build_graph, graph_class
from distilhubert_ko.export.onnx_builder import Observed
from distilhubert_ko.export.whisper_graph import WhisperGraph
from tests.support.model import clip, opened, padded, together
from tests.support.whisper import new_whisper, save_whisper

BATCHES = [
    (160,),
    (399, 161),
    (400,),
    (401,),
    (559,),
    (560,),
    (16_000,),
    (320_000,),
    (16_001, 400),
    (33_333, 9001, 719),
    (480, 481, 799),
]
SPEECH = [clip(48_000, seed) for seed in range(4)]


def weights(network: Any) -> dict[str, NDArray[Any]]:
    return {name: tensor.numpy() for name, tensor in network.state_dict().items()}


@pytest.fixture(scope="module", params=[80, 128])
def network(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    mels = request.param
    return new_whisper(save_whisper(tmp_path_factory.mktemp(f"mels{mels}"), num_mel_bins=mels))


@pytest.fixture(scope="module")
def speech(network: Any) -> dict[str, Observed]:
    return observe_ranges(weights(network), network.config.to_dict(), SPEECH)


def session(network: Any, **options: Any) -> Any:
    return opened(build_graph(weights(network), network.config.to_dict(), **options))


def test_the_model_type_chooses_the_graph(network: Any) -> None:
    assert graph_class(network.config.to_dict()) is WhisperGraph
    assert graph_class({"model_type": "wav2vec2"}) is HubertGraph


@pytest.mark.parametrize("fill", [0.0, 0.7, np.nan])
def test_the_graph_gives_what_torch_gives_whatever_the_padding_holds(network: Any, fill: float) -> None:
    run = session(network)
    for lengths in BATCHES:
        clips = [clip(samples, seed) for seed, samples in enumerate(lengths)]
        with torch.no_grad():
            expected = network(*padded(clips)).logits.log_softmax(-1).numpy()
        for row, found in enumerate(together(run, clips, fill)):
            assert found.shape == (WHISPER_FRAMES.count(lengths[row]), network.config.vocab_size)
            assert np.abs(found - expected[row, : len(found)]).max() < 1e-4


def test_one_input_and_one_output_give_the_same(network: Any) -> None:
    wave = clip(20_000)
    (whole,) = session(network, whole=1.0).run(["log_probs"], {"waves": wave[None]})
    assert np.abs(whole[0] - together(session(network), [wave])[0]).max() < 1e-5


def test_in_8_bits_a_clip_gets_nearly_the_log_probabilities_of_float32(
    network: Any, speech: dict[str, Observed]
) -> None:
    clips = [clip(samples, seed=9) for samples in (400, 9001, 16_000, 48_000)]
    exact, near = (np.concatenate(together(session(network, speech=known), clips)) for known in (None, speech))
    assert np.corrcoef(exact.ravel(), near.ravel())[0, 1] > 0.99
    assert (exact.argmax(1) == near.argmax(1)).mean() > 0.85


def test_in_8_bits_neither_the_batch_nor_the_padding_changes_an_answer(
    network: Any, speech: dict[str, Observed]
) -> None:
    run = session(network, speech=speech)
    clips = [clip(samples, seed=9) for samples in (400, 9001, 16_000)]
    alone = [together(run, [one])[0] for one in clips]
    for fill in (0.0, np.nan):
        for one, in_batch in zip(alone, together(run, clips, fill), strict=True):
            assert np.abs(one - in_batch).max() < 1e-3


def test_each_rung_keeps_more_in_float32(network: Any, speech: dict[str, Observed]) -> None:
    counts = []
    for rung in WhisperGraph.RUNGS:
        known = {name: seen for name, seen in speech.items() if not name.endswith(rung)}
        built = build_graph(weights(network), network.config.to_dict(), speech=known)
        counts.append(sum(node.op_type == "MatMulIntegerToFloat" for node in built.graph.node))
    assert counts == [10, 8, 6]  # two convolutions, and four products in each of two layers


def test_the_saved_graph_lies_beside_the_weights(exported_whisper: Path) -> None:
    assert (exported_whisper / "model.onnx").is_file()
