"""Hostile input to every reader: the first cases of checks/fuzz.py, and what it found when it was first run."""

import json
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile

from distilhubert_ko import recipe
from distilhubert_ko.data.corpora import read_corpus
from distilhubert_ko.data.reading import Reading
from distilhubert_ko.decoding import decoder
from distilhubert_ko.decoding import language_model as lm
from distilhubert_ko.errors import LONGEST, CorpusError, InputError, MissingExtraError, ModelError, RecipeError
from distilhubert_ko.evaluation import report
from distilhubert_ko.export import exporting
from distilhubert_ko.model.loading import build_network, load_network
from distilhubert_ko.text.tokenizer import Tokenizer
from distilhubert_ko.training.checkpoints import CHECKSUMS, checkpoint_fault

pytest.importorskip("resource")  # Windows has not
from checks import fuzz, hostile

LINKS = pytest.mark.skipif(os.name == "nt", reason="making symbolic links takes a privilege")


@pytest.fixture(scope="module")
def readers(exported: Path) -> dict[str, hostile.Reader]:
    return hostile.readers(exported)


def test_the_first_cases_are_read_or_refused_within_the_limits(exported: Path) -> None:
    found = fuzz.survey(partial(hostile.readers, exported), seed=1, first=0, count=400)
    assert found["findings"] == []
    assert all(sum(counts.values()) for counts in found["readers"].values()), found["readers"]
    assert sum(counts["read"] for counts in found["readers"].values()) > 50


def test_every_reader_reads_what_nothing_was_done_to(
    readers: dict[str, hostile.Reader], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for number, reader in enumerate(readers.values()):
        home = tmp_path / f"{number}"
        for name, content in reader.files.items():
            (home / name).parent.mkdir(parents=True, exist_ok=True)
            (home / name).write_bytes(content)
        reader.read(home)


def test_a_seed_gives_the_same_cases(readers: dict[str, hostile.Reader]) -> None:
    content = readers["recipes"].files["recipe.toml"]
    first, again, other = (
        [hostile.damaged(content, "recipe.toml", np.random.default_rng((seed, number))) for number in range(20)]
        for seed in (1, 1, 2)
    )
    assert first == again != other


def divide(home: Path) -> float:
    return 1 / 0


def leave(home: Path) -> None:
    os._exit(3)


def fill(home: Path) -> float:
    return float(np.ones(700 << 17).sum())


def only(read: Callable[[Path], object], exported: Path) -> dict[str, hostile.Reader]:
    files = hostile.readers(exported)["manifests, CSV"].files
    return {"manifests, CSV": hostile.Reader(1e9, files, ("m.csv",), read)}


@pytest.mark.parametrize(
    ("read", "complaint"), [(divide, "ZeroDivisionError"), (leave, "exit code 3"), (fill, "MB more memory")]
)
def test_a_case_that_fails_takes_too_much_or_kills_its_process_is_found(
    exported: Path, read: Callable[[Path], object], complaint: str
) -> None:
    found = fuzz.survey(partial(only, read, exported), seed=1, first=0, count=2)
    assert len(found["findings"]) == (1 if "memory" in complaint else 2)  # no more than it has held already
    assert complaint in found["findings"][0]


def test_a_run_in_parts_gives_the_results_of_one_run(exported: Path, tmp_path: Path) -> None:
    make_readers = partial(hostile.readers, exported)
    whole, first, rest = (fuzz.survey(make_readers, 2, start, count) for start, count in ((7, 30), (7, 20), (27, 10)))
    path = tmp_path / "fuzz.json"
    path.write_text(json.dumps(first))
    assert fuzz.joined(fuzz.earlier(path, seed=2, first=7), rest) == whole
    assert fuzz.earlier(path, seed=3, first=7) == fuzz.earlier(tmp_path / "none", seed=2, first=7) == {"cases": 0}


# Files outside


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    """A folder with a sound, beside one that no list in it may name."""
    home = tmp_path / "speech"
    (home / "data").mkdir(parents=True)
    for path in (home / "in.wav", tmp_path / "out.wav"):
        soundfile.write(path, np.full(8000, 0.1), 16_000)
    return home


def listed(home: Path, kind: str, path: str) -> str:
    """Writes a list whose second line names a path; its spec."""
    match kind:
        case "manifest":
            rows = [{"audio_filepath": each, "text": "말", "id": each} for each in ("in.wav", path)]
            (home / "m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
            return f"manifest:{home}/m.jsonl"
        case "csv":
            (home / "m.csv").write_text(f"audio_filepath,text\n{path},말\n")
            return f"manifest:{home}/m.csv"
        case "folder":
            (home / "metadata.jsonl").write_text(
                "".join(json.dumps({"file_name": each, "text": "말"}) + "\n" for each in ("in.wav", path))
            )
            return f"folder:{home}"
        case _:
            (home / "data" / "wav.scp").write_text(f"in in.wav\nother {path}\n")
            (home / "data" / "text").write_text("in 말\nother 말\n")
            return f"kaldi:{home}/data"


@pytest.mark.parametrize("kind", ["manifest", "csv", "folder", "kaldi"])
@pytest.mark.parametrize("way", ["../out.wav", "data/../../out.wav", "absolute", "link.wav", "links/out.wav"])
@LINKS
def test_a_list_names_sound_outside_only_where_that_is_allowed(speech: Path, kind: str, way: str) -> None:
    (speech / "link.wav").symlink_to(speech.parent / "out.wav")
    (speech / "links").symlink_to(speech.parent)
    spec = listed(speech, kind, str(speech.parent / "out.wav") if way == "absolute" else way)
    with pytest.raises(CorpusError, match=r"line (2|of other) names .*leaves .*--allow-outside"):
        read_corpus(spec)
    assert read_corpus(spec, Reading(allow_outside=True)).utterances[-1].seconds == 0.5
    assert read_corpus(spec, Reading(root=speech.parent)).utterances[-1].seconds == 0.5, "the root holds list and sound"


@pytest.mark.parametrize("kind", ["manifest", "csv", "folder", "kaldi"])
@LINKS
def test_a_list_may_name_sound_inside_by_any_path(speech: Path, kind: str) -> None:
    (speech / "link.wav").symlink_to("in.wav")
    (speech.parent / "linked").symlink_to(speech)
    ways = ["data/../link.wav", str(speech / "link.wav"), str(speech.parent / "linked" / "in.wav"), "../speech/in.wav"]
    for way in ways:
        assert read_corpus(listed(speech, kind, way)).utterances[-1].seconds == 0.5


@pytest.mark.parametrize("allowed", [False, True])
@pytest.mark.parametrize("path", ["a\0b.wav", "\ud800.wav"])
def test_a_path_that_no_file_can_have_is_refused(speech: Path, path: str, allowed: bool) -> None:
    with pytest.raises(CorpusError, match=r"line 2 names .*which cannot be a file name"):
        read_corpus(listed(speech, "manifest", path), Reading(allow_outside=allowed))


@pytest.mark.parametrize("kind", ["manifest", "folder", "kaldi"])
def test_a_name_that_is_too_long_is_that_of_a_missing_or_unreadable_file(speech: Path, kind: str) -> None:
    corpus = read_corpus(listed(speech, kind, f"{'x' * 5000}.wav"))
    assert (len(corpus.utterances), len(corpus.problems)) == (1, 1)


@LINKS
def test_a_pipe_or_a_device_is_no_sound_of_a_corpus(speech: Path) -> None:
    os.mkfifo(speech / "pipe.wav")
    for path in ("pipe.wav", "/dev/zero"):
        (problem,) = read_corpus(listed(speech, "manifest", path), Reading(allow_outside=True)).problems
        assert problem.reason == "audio unreadable"


def test_the_recipe_in_a_models_folder_allows_nothing(speech: Path, exported: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(exported, folder)
    recipe.save_recipe(recipe.Recipe(data=recipe.Data(allow_outside=True)), folder / "recipe.toml")
    spec = listed(speech, "manifest", "../out.wav")
    with pytest.raises(CorpusError, match="allow-outside"):
        report.read_evaluation_split(folder, spec)
    assert len(report.read_evaluation_split(folder, spec, Reading(allow_outside=True)).examples) == 2


# What was found


@pytest.mark.parametrize(
    "line",
    [
        '{"audio_filepath": ' + "[" * 100_000,
        '{"audio_filepath": "in.wav", "offset": 1' + "0" * 400 + "}",
        '{"audio_filepath": "in.wav", "duration": 1' + "0" * 5000 + "}",
    ],
    ids=["deep", "large", "long"],
)
def test_json_too_deep_and_numbers_too_large_are_malformed_lines(speech: Path, line: str) -> None:
    (speech / "m.jsonl").write_text(f"{line}\n")
    with pytest.raises(CorpusError, match="line 1 is malformed"):
        read_corpus(f"manifest:{speech}/m.jsonl")


@pytest.mark.parametrize("value", ["1" + "0" * 400, "1" + "0" * 5000, "[" * 10_000], ids=["large", "long", "deep"])
def test_recipes_with_values_beyond_measure_are_refused(tmp_path: Path, value: str) -> None:
    (tmp_path / "r.toml").write_text(f"[training]\nlearning_rate = {value}\n")
    with pytest.raises(RecipeError):
        recipe.load_recipe(tmp_path / "r.toml")
    (tmp_path / "r.toml").write_text("")
    with pytest.raises(RecipeError):
        recipe.load_recipe(tmp_path / "r.toml", [f"training.learning_rate={value}"])


@pytest.mark.parametrize("alpha", ["NaN", "Infinity", "1" + "0" * 400, "[" * 100_000])
def test_weights_of_a_language_model_are_finite(tmp_path: Path, readers: dict[str, hostile.Reader], alpha: str) -> None:
    pytest.importorskip("kenlm")
    (tmp_path / "lm.arpa").write_bytes(readers["language models"].files["lm.arpa"])
    (tmp_path / "attrs.json").write_text(f'{{"alpha": {alpha}}}')
    with pytest.raises(ModelError, match="its weights cannot be read"):
        decoder.read_lm_weights(lm.LanguageModel(tmp_path / "lm.arpa"))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("hidden_size", 2**31),
        ("num_hidden_layers", 10**9),
        ("vocab_size", 2**40),
        ("conv_dim", [16] * 6 + [10**9]),
        ("intermediate_size", -1),
        ("num_conv_pos_embeddings", 1e300),
        ("num_conv_pos_embedding_groups", 5),
        ("mask_time_prob", "often"),
        ("model_type", ["hubert"]),
    ],
)
def test_a_config_that_its_weights_do_not_bear_out_is_refused(
    exported: Path, tmp_path: Path, key: str, value: object
) -> None:
    for name in ("model.safetensors", "preprocessor_config.json"):
        shutil.copy(exported / name, tmp_path)
    config = json.loads((exported / "config.json").read_text(encoding="utf-8"))
    (tmp_path / "config.json").write_text(json.dumps(config | {key: value}))
    with pytest.raises(ModelError):
        load_network(tmp_path)
    with pytest.raises(ModelError):
        exporting.export_graph(tmp_path)
    if key not in ("vocab_size", "mask_time_prob", "model_type"):  # which are not the encoder's own
        with pytest.raises(ModelError):
            build_network(recipe.Model(pretrained=str(tmp_path)), Tokenizer.load(exported))


@pytest.mark.parametrize("name", ["/dev/zero", "../outside", "..", "", "a\0b", "\ud800"])
def test_checksums_are_of_files_of_the_checkpoint_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / "outside").write_bytes(b"")
    folder = tmp_path / "checkpoint-1"
    folder.mkdir()
    (folder / CHECKSUMS).write_text(json.dumps({name: "0" * 64}))
    assert checkpoint_fault(folder) == f"{CHECKSUMS} is damaged"


def test_the_message_of_an_error_is_one_short_line_and_keeps_its_remedy() -> None:
    for kind in (InputError, MissingExtraError):
        message = str(kind("x" * 100_000 + ": write less"))
        assert len(message) < LONGEST + 10
        assert message.endswith(": write less")
        assert str(kind("short")) == "short"
        assert str(kind("다\n\x1b[2J\ud800끝")) == "다  [2J 끝"
