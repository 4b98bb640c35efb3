"""The exported graph against torch, and what an export leaves behind."""

import dataclasses
import itertools
import json
import os
import shutil
import unicodedata
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import sherpa_onnx
import soundfile
import torch
from google.protobuf.message import EncodeError
from safetensors.torch import load_file, save_file

from distilhubert_ko import model_folder
from distilhubert_ko.audio.frames import HUBERT_FRAMES, KERNELS, SAMPLE_RATE
from distilhubert_ko.cli.model import Target
from distilhubert_ko.data.reading import Reading
from distilhubert_ko.errors import CorpusError, ExportError, InputError, ModelError
from distilhubert_ko.evaluation import metrics, report
from distilhubert_ko.export import calibration, exporting, graphs, int8_gate, sherpa, source
from distilhubert_ko.export.graph import HubertGraph
from distilhubert_ko.export.int8_gate import ALLOWED, CLIPS, PrecisionTrial, calibration_waves
from distilhubert_ko.model.ctc_network import CtcNetwork
from distilhubert_ko.model.loading import load_network
from distilhubert_ko.model_folder import GRAPH, LANGUAGE_MODEL
from distilhubert_ko.recognition.session import ModelSession
from distilhubert_ko.recognition.transcriber import Transcriber
from distilhubert_ko.text.tokenizer import Tokenizer
from tests.support.full_disk import no_file_above
from tests.support.model import JAMO, MODEL_FILES, SYLLABLES, clip, padded
from tests.support.transcripts import heard, letters

RUNGS = HubertGraph.RUNGS
BATCHES = [
    (400,),
    (401,),
    (719,),
    (720,),
    (16_000,),
    (48_000,),
    (16_001, 400),
    (400, 400, 400),
    (33_333, 9001, 719),
    (720, 401, 5000, 12_345),
    (25_600, 400, 25_599, 25_601, 12_800),
]


@pytest.fixture(scope="module")
def runtime(exported: Path) -> ModelSession:
    return ModelSession(exported, threads=2)


@pytest.fixture(scope="module")
def network(exported: Path) -> CtcNetwork:
    return load_network(exported)


@pytest.fixture
def folder(exported: Path, tmp_path: Path) -> Path:
    """A copy of the exported model's folder, to be changed."""
    return Path(shutil.copytree(exported, tmp_path / "model"))


@pytest.mark.parametrize("lengths", BATCHES)
def test_the_graph_gives_what_torch_gives(runtime: ModelSession, network: CtcNetwork, lengths: tuple[int, ...]) -> None:
    clips = [clip(samples, seed) for seed, samples in enumerate(lengths)]
    found = runtime.log_probs(clips)
    with torch.no_grad():
        expected = network(*padded(clips)).logits.log_softmax(-1).numpy()
    for row, (log_probs, samples) in enumerate(zip(found, lengths, strict=True)):
        assert log_probs.shape == (HUBERT_FRAMES.count(samples), network.config.vocab_size)
        assert np.abs(log_probs - expected[row, : len(log_probs)]).max() < 1e-4


def test_the_graph_gives_a_clip_the_same_alone_and_in_any_batch(runtime: ModelSession) -> None:
    clips = [clip(samples) for samples in (400, 9001, 16_000, 48_000)]
    alone = [runtime.log_probs([wave])[0] for wave in clips]
    for order in ([0, 1, 2, 3], [3, 0], [1, 2, 1], [0, 0, 1]):
        for i, together in zip(order, runtime.log_probs([clips[i] for i in order]), strict=True):
            assert np.abs(together - alone[i]).max() < 1e-4


def test_what_the_padding_holds_does_not_matter_to_the_graph(runtime: ModelSession) -> None:
    clips = [clip(16_000), clip(5000)]
    first, second = ([x.numpy() for x in padded(clips, fill)] for fill in (0.0, 0.7))
    silent, loud = (runtime.session.run(None, {"waves": w, "lengths": n})[0] for w, n in (first, second))
    frames = HUBERT_FRAMES.count(5000)
    assert np.abs(silent[0] - loud[0]).max() < 1e-4
    assert np.abs(silent[1, :frames] - loud[1, :frames]).max() < 1e-4


def test_the_graph_counts_frames_as_audio_does(runtime: ModelSession) -> None:
    lengths = np.array([*range(400, 1100, 7), 15_999, 16_000, 16_001])
    waves = np.zeros((len(lengths), lengths.max()), dtype=np.float32)
    frames = runtime.session.run(["frames"], {"waves": waves, "lengths": lengths})[0]
    assert frames.tolist() == HUBERT_FRAMES.count(lengths).tolist()


def test_a_clip_without_a_frame_has_no_log_probabilities(runtime: ModelSession) -> None:
    waves = [np.zeros(0, np.float32), clip(399), clip(400)]
    assert [len(log_probs) for log_probs in runtime.log_probs(waves)] == [0, 0, 1]
    assert runtime.log_probs([]) == []


def test_a_model_with_dropouts_is_exported_without_them(exported: Path, runtime: ModelSession) -> None:
    assert load_network(exported).config.hidden_dropout == 0.5
    first, second = (runtime.log_probs([clip(16_000)])[0] for _ in range(2))
    assert np.array_equal(first, second)


def test_the_graph_is_one_file_beside_the_weights(exported: Path) -> None:
    graphs = {file.name for file in exported.iterdir()} - MODEL_FILES
    assert graphs == {GRAPH}
    inputs = onnxruntime.InferenceSession(exported / GRAPH).get_inputs()
    assert {one.name: len(one.shape) for one in inputs} == {"waves": 2, "lengths": 1}


# What an export writes, and what it leaves alone


def listing(folder: Path) -> dict[str, bytes]:
    """What lies in a folder, hidden files and folders included."""
    return {file.name: file.read_bytes() if file.is_file() else b"" for file in folder.iterdir()}


def test_a_graph_that_gives_what_torch_gives_is_kept(folder: Path) -> None:
    before = (folder / GRAPH).stat().st_ino
    assert 0 < exporting.export_graph(folder) < 1e-4
    assert (folder / GRAPH).stat().st_ino != before
    assert len(ModelSession(folder).log_probs([clip(16_000)])[0]) == HUBERT_FRAMES.count(16_000)


@pytest.mark.parametrize("wrong", [0.1, np.nan])
def test_a_graph_that_gives_something_else_leaves_the_folder_as_it_was(
    wrong: float, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = graphs.build_graph

    def other(weights: dict[str, np.ndarray], *args: Any, **kwargs: Any) -> Any:
        bias = weights["lm_head.bias"] + wrong * np.arange(len(weights["lm_head.bias"]), dtype=np.float32)
        return build({**weights, "lm_head.bias": bias}, *args, **kwargs)

    monkeypatch.setattr(graphs, "build_graph", other)
    before = listing(folder)
    with pytest.raises(ExportError, match="untouched"):
        exporting.export_graph(folder)
    assert listing(folder) == before


@pytest.mark.parametrize("error", [ValueError, EncodeError])
def test_a_graph_that_does_not_fit_into_one_file_is_refused(
    error: type[Exception], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Protobuf in Python raises the one, in C the other."""
    large = SimpleNamespace(SerializeToString=raising(error))
    monkeypatch.setattr(graphs, "build_graph", lambda *args, **kwargs: large)
    before = listing(folder)
    with pytest.raises(ExportError, match="2 GiB"):
        exporting.export_graph(folder)
    assert listing(folder) == before


def test_a_graph_may_be_written_elsewhere(folder: Path, tmp_path: Path) -> None:
    (folder / GRAPH).unlink()
    exporting.export_graph(folder, tmp_path / "new" / "folder" / GRAPH)
    assert [file.name for file in (tmp_path / "new" / "folder").iterdir()] == [GRAPH]
    assert not (folder / GRAPH).exists()


def test_an_exported_folder_transcribes_by_itself(folder: Path, tmp_path: Path) -> None:
    expected = Transcriber(folder)(clip(40_000)).text
    out = tmp_path / "out"
    assert 0 < exporting.export_folder(folder, out) < 1e-4
    shutil.rmtree(folder)
    assert {file.name for file in out.iterdir()} <= {*exporting.COMPANIONS, GRAPH}
    assert Transcriber(out)(clip(40_000)).text == expected != ""


def test_an_export_takes_the_place_of_an_earlier_one_and_leaves_nothing_of_it(folder: Path, tmp_path: Path) -> None:
    other, out = Path(shutil.copytree(folder, tmp_path / "other")), tmp_path / "out"
    (other / LANGUAGE_MODEL).mkdir()
    (other / LANGUAGE_MODEL / "lm.arpa").write_text("of the other")
    (other / "added_tokens.json").write_text("{}")
    exporting.export_folder(other, out)
    assert (out / LANGUAGE_MODEL / "lm.arpa").is_file()
    exporting.export_folder(folder, out)
    assert {file.name for file in out.iterdir()} == {GRAPH, *exporting.COMPANIONS} & {
        GRAPH,
        *(file.name for file in folder.iterdir()),
    }
    assert Transcriber(out)(clip(40_000)).text
    assert [file.name for file in tmp_path.iterdir() if file.name.startswith(".")] == []


@pytest.mark.parametrize("name", ["notes.txt", "config.json", "language_model/lm.arpa"])
def test_an_export_never_replaces_a_folder_with_somebodys_file(name: str, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    exporting.export_folder(folder, out)
    (out / name).parent.mkdir(exist_ok=True)
    (out / name).write_text('{"mine": true}')
    before = listing(out)
    with pytest.raises(InputError, match=f"holds {name}, which this program did not write"):
        exporting.export_folder(folder, out)
    assert listing(out) == before


def test_an_export_never_replaces_a_trained_model(folder: Path, exported: Path) -> None:
    before = listing(folder)
    with pytest.raises(InputError, match="which this program did not write"):
        exporting.export_folder(exported, folder)
    assert listing(folder) == before


def test_a_graph_of_another_program_stays(folder: Path) -> None:
    (folder / GRAPH).write_bytes(b"somebody's")
    before = listing(folder)
    for export in (exporting.export_graph, lambda model: exporting.export_folder(model, model)):
        with pytest.raises(InputError, match="did not write it"):
            export(folder)
    assert listing(folder) == before


def test_a_graph_knows_the_weights_the_vocabulary_and_the_settings_that_it_was_made_of(folder: Path) -> None:
    made_of = model_folder.graph_origin(folder / GRAPH)
    assert made_of == model_folder.origin(folder)
    assert {"model.safetensors", "vocab.json", "config.json"} <= made_of.keys()
    assert model_folder.is_own_graph(folder / GRAPH)
    onnx.checker.check_model(folder / GRAPH)


@pytest.mark.parametrize("name", ["model.safetensors", "vocab.json", "preprocessor_config.json"])
def test_a_graph_of_other_weights_vocabulary_or_settings_is_not_used(
    name: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert model_folder.graph(folder) == folder / GRAPH
    times, content = (folder / name).stat(), bytearray((folder / name).read_bytes())
    content[-1] ^= 1
    (folder / name).write_bytes(content)
    os.utime(folder / name, ns=(times.st_atime_ns, times.st_mtime_ns))  # within the hour, or the same second
    assert tmp_path / "cache" in model_folder.graph(folder).parents


def test_a_vocabulary_that_the_graph_of_an_exported_folder_was_not_made_of_is_refused(
    folder: Path, tmp_path: Path
) -> None:
    exporting.export_folder(folder, tmp_path / "out")
    (tmp_path / "out" / "vocab.json").write_text("{}")
    with pytest.raises(ModelError, match=r"was made of another vocab\.json: export the model again"):
        ModelSession(tmp_path / "out")


def test_a_full_disk_in_an_export_is_one_line_and_leaves_what_was_there(folder: Path, tmp_path: Path) -> None:
    exporting.export_folder(folder, tmp_path / "out")
    before = listing(tmp_path / "out")
    for export in (exporting.export_graph, lambda model: exporting.export_folder(model, tmp_path / "out")):
        with no_file_above(10_000), pytest.raises(InputError, match="cannot be written") as error:
            export(folder)
        assert "\n" not in str(error.value)
    assert listing(tmp_path / "out") == before
    assert [file.name for file in tmp_path.iterdir() if file.name.startswith(".")] == []


def raising(error: type[BaseException]) -> Callable[..., Any]:
    def fail(*args: Any, **kwargs: Any) -> Any:
        raise error("planted")

    return fail


@pytest.mark.parametrize(
    "where",
    [
        (graphs, "build_graph"),
        (source, "ModelSession"),
        (calibration, "observe_ranges"),
        (report, "evaluate_split"),
        (sherpa, "sherpa_tokens"),
    ],
    ids=lambda where: where[1],
)
def test_whatever_goes_wrong_what_was_there_is_left_as_it_was(
    where: tuple[Any, str],
    folder: Path,
    tiny_speech: Path,
    planted: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    planted(0.1, 0.1)
    out = folder / "sherpa"
    exporting.export_folder(folder, out, target="sherpa-onnx")
    monkeypatch.setattr(*where, raising(KeyboardInterrupt))
    before = listing(out)
    with pytest.raises(KeyboardInterrupt, match="planted"):
        exporting.export_folder(
            folder, out, int8=True, target="sherpa-onnx", corpus=f"manifest:{tiny_speech}/dev.jsonl"
        )
    assert listing(out) == before


def test_a_folder_for_sherpa_onnx_never_takes_the_place_of_the_model(folder: Path) -> None:
    before = listing(folder)
    with pytest.raises(InputError, match="give another folder than the model's"):
        exporting.export_folder(folder, folder, target="sherpa-onnx")
    assert listing(folder) == before


def test_a_refused_export_leaves_no_empty_folder(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(CorpusError):
        exporting.export_folder(folder, tmp_path / "new", int8=True, corpus="manifest:missing.jsonl")
    assert not (tmp_path / "new").exists()


# int8 behind its gate


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Has evaluations give these CERs, one after another: float32's, then those of RUNGS.

    Ranges are not searched for, which takes longer than all the rest.
    """
    monkeypatch.setattr(calibration, "SHARES", np.ones(1))

    def plant(*cers: float) -> None:
        left = iter(cers)
        monkeypatch.setattr(report, "evaluate_split", lambda *args, **kwargs: SimpleNamespace(cer=next(left)))

    return plant


@pytest.mark.parametrize("accepted", range(len(RUNGS)))
def test_the_first_rung_that_is_accurate_enough_is_kept(
    accepted: int, folder: Path, tiny_speech: Path, tmp_path: Path, planted: Callable[..., None]
) -> None:
    planted(0.1, *[0.1 + ALLOWED + 1e-6] * accepted, 0.1 + ALLOWED - 1e-6)
    trials: list[PrecisionTrial] = []
    corpus = f"manifest:{tiny_speech}/dev.jsonl"
    exporting.export_folder(folder, tmp_path / "out", int8=True, corpus=corpus, on_trial=trials.append)
    assert [trial.float32 for trial in trials] == [None, *RUNGS[: accepted + 1]]
    nodes = onnx.load(tmp_path / "out" / GRAPH).graph.node
    convolutions = [node.op_type for node in nodes if node.op_type in ("Conv", "QLinearConv")]
    names = [*(f"conv{number}" for number in range(1, len(KERNELS))), "positions"]
    kept = {name for name, operator in zip(names, convolutions, strict=True) if operator == "Conv"}
    assert kept == {*RUNGS[accepted]} - {"conv0"}  # the first convolution is in float32 anyway
    assert sum(node.op_type == "MatMulIntegerToFloat" for node in nodes) == 4  # of one layer, on every rung


def test_every_rung_keeps_more_in_float32_than_the_one_before() -> None:
    assert RUNGS[0] == ()
    assert all({*fewer} < {*more} for fewer, more in itertools.pairwise(RUNGS))


def test_int8_that_is_not_accurate_enough_says_what_was_measured_and_leaves_what_was_there(
    folder: Path, tiny_speech: Path, tmp_path: Path, planted: Callable[..., None]
) -> None:
    planted(0.1, 0.3, 0.2, 0.15, 0.16, 0.17, 0.18)
    out = tmp_path / "out"
    exporting.export_folder(folder, out)
    before = listing(out)
    words = (
        r"positions, conv4, conv5, conv6 in float32: CER 0\.1500, against float32: CER 0\.1000 \(allowed: 0\.3 points"
    )
    with pytest.raises(ExportError, match=words):
        exporting.export_folder(folder, out, int8=True, corpus=f"manifest:{tiny_speech}/dev.jsonl")
    assert listing(out) == before


def test_int8_measures_the_graphs_that_it_writes(folder: Path, tiny_speech: Path, tmp_path: Path) -> None:
    corpus, trials = f"manifest:{tiny_speech}/dev.jsonl", list[PrecisionTrial]()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(int8_gate, "ALLOWED", 9.0)
        exporting.export_folder(folder, tmp_path / "out", int8=True, corpus=corpus, on_trial=trials.append)
    measured = [report.evaluate_model(Transcriber(one), corpus).cer for one in (folder, tmp_path / "out")]
    assert [trial.cer for trial in trials] == measured


def test_the_corpus_is_read_under_the_recipe_of_the_model(
    folder: Path, tiny_speech: Path, tmp_path: Path, planted: Callable[..., None]
) -> None:
    """If it spells digits, utterances with digits count."""
    record = json.loads((tiny_speech / "dev.jsonl").read_text(encoding="utf-8").splitlines()[0])
    record |= {"text": "3", "audio_filepath": str(tiny_speech / record["audio_filepath"])}
    (tmp_path / "digits.jsonl").write_text(json.dumps(record) + "\n", encoding="utf-8")
    planted(0.1, 0.1)
    for foreign in ("drop", "spell"):
        (folder / "recipe.toml").write_text(f'[text]\nforeign = "{foreign}"\n')
        told = pytest.raises(CorpusError, match="digits") if foreign == "drop" else nullcontext()
        with told:
            exporting.export_folder(
                folder,
                tmp_path / "out",
                int8=True,
                corpus="manifest:digits.jsonl",
                reading=Reading(root=tmp_path, allow_outside=True),
            )
    assert ModelSession(tmp_path / "out").vocabulary == len(SYLLABLES)


@pytest.mark.parametrize("number", [1, 6, 255, 256, 257, 511, 512, 1000])
def test_ranges_are_observed_on_utterances_spread_over_the_whole_corpus(number: int) -> None:
    examples: list[Any] = [
        SimpleNamespace(utterance=SimpleNamespace(wave=lambda at=at: np.full(400, at, np.float32)))
        for at in range(number)
    ]
    chosen = [int(wave[0]) for wave in calibration_waves(examples, HUBERT_FRAMES)]
    assert len(set(chosen)) == min(number, CLIPS)
    gaps = np.diff([*chosen, number])
    assert chosen[0] == 0
    assert gaps.max() - gaps.min() <= 1


def test_a_corpus_without_a_clip_of_one_frame_is_an_input_error() -> None:
    examples: list[Any] = [SimpleNamespace(utterance=SimpleNamespace(wave=lambda: np.zeros(399, np.float32)))]
    with pytest.raises(InputError, match="long enough"):
        calibration_waves(examples, HUBERT_FRAMES)


# For sherpa-onnx


def heard_by_sherpa(folder: Path, wave: np.ndarray) -> str:
    """What the program itself says, jamo composed and spaces single as the Transcriber writes them."""
    recogniser = sherpa_onnx.OfflineRecognizer.from_omnilingual_asr_ctc(
        model=str(folder / GRAPH), tokens=str(folder / "tokens.txt")
    )
    stream = recogniser.create_stream()
    stream.accept_waveform(SAMPLE_RATE, wave)
    recogniser.decode_stream(stream)
    return " ".join(unicodedata.normalize("NFC", stream.result.text).split())


def moved(tokenizer: Tokenizer) -> Tokenizer:
    """The blank in the middle of the vocabulary."""
    first, *others = tokenizer.tokens
    return dataclasses.replace(tokenizer, tokens=(*others[:9], first, *others[9:]))


@pytest.mark.parametrize("int8", [False, True], ids=["float32", "int8"])
@pytest.mark.parametrize(
    "tokenizer", [SYLLABLES, JAMO, moved(SYLLABLES)], ids=["syllables", "jamo", "blank in the middle"]
)
def test_sherpa_onnx_says_what_the_transcriber_says(
    tokenizer: Tokenizer, int8: bool, folder: Path, tmp_path: Path, planted: Callable[..., None]
) -> None:
    tokenizer.save(folder)
    if tokenizer.blank_id:  # what the head says goes with its tokens
        weights, order = load_file(folder / "model.safetensors"), [SYLLABLES.tokens.index(t) for t in tokenizer.tokens]
        weights |= {name: weights[name][order].clone() for name in ("lm_head.weight", "lm_head.bias")}
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    waves = [clip(samples, seed=3) for samples in (16_000, 30_001, 48_000)]
    corpus = written(tmp_path / "corpus", waves)
    for out, target in ((tmp_path / "out", "onnx"), (tmp_path / "sherpa", "sherpa-onnx")):
        planted(0.1, 0.1)
        exporting.export_folder(folder, out, target=target, int8=int8, corpus=corpus)
    assert {file.name for file in (tmp_path / "sherpa").iterdir()} == {GRAPH, "tokens.txt"}
    transcriber = Transcriber(tmp_path / "out")
    expected = [heard(transcriber(wave)) for wave in waves]
    found = [letters(heard_by_sherpa(tmp_path / "sherpa", wave)) for wave in waves]
    if not int8:
        assert found == expected
    errors = sum(metrics.score(*pair).characters.errors for pair in zip(expected, found, strict=True))
    assert errors <= 0.1 * sum(map(len, expected))  # in 8 bits, what is a little louder is rounded otherwise


def written(folder: Path, waves: Sequence[np.ndarray]) -> str:
    """A corpus of waves."""
    folder.mkdir()
    lines = []
    for number, wave in enumerate(waves):
        soundfile.write(folder / f"{number}.wav", wave, SAMPLE_RATE)
        lines.append(json.dumps({"audio_filepath": f"{number}.wav", "text": "가", "duration": len(wave) / 16_000}))
    (folder / "all.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return f"manifest:{folder}/all.jsonl"


def test_told_how_loud_speech_is_a_graph_for_sherpa_onnx_is_nearer_to_what_was_trained(
    folder: Path, tmp_path: Path
) -> None:
    quiet = [0.005 * clip(samples, seed=4) for samples in (20_000, 30_000, 40_000)]
    exporting.export_folder(folder, tmp_path / "without", target="sherpa-onnx")
    exporting.export_folder(folder, tmp_path / "with", target="sherpa-onnx", corpus=written(tmp_path / "corpus", quiet))
    expected = ModelSession(folder).log_probs(quiet)
    far: dict[str, float] = {}
    for name in ("with", "without"):
        session = onnxruntime.InferenceSession(tmp_path / name / GRAPH)
        found = [session.run(None, {"waves": ((wave - wave.mean()) / wave.std())[None]})[0][0] for wave in quiet]
        far[name] = max(float(np.abs(a - b).mean()) for a, b in zip(found, expected, strict=True))
    assert far["with"] < 0.05
    assert far["without"] > 2 * far["with"]


# Refused


def test_int8_without_a_corpus_is_an_input_error(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="int8 needs a corpus"):
        exporting.export_folder(folder, tmp_path / "out", int8=True)
    assert not (tmp_path / "out").exists()


def test_a_folder_without_weights_is_a_model_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="distilhubert-ko train"):
        exporting.export_graph(tmp_path)


def test_a_damaged_graph_is_a_model_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / GRAPH).write_bytes(b"no graph")
    with pytest.raises(ModelError, match=str(tmp_path / GRAPH)):
        ModelSession(tmp_path)


def test_the_command_offers_every_target() -> None:
    assert [*Target] == [*exporting.TARGETS]
