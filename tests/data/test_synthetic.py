"""The corpus that the program makes for itself: its sentences, its voices, and the folder it leaves.

espeak-ng speaks in spawned processes, which see nothing that a test patches here but the lines handed to them.
"""

import json
import os
import random
import subprocess
import sys
import unicodedata
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from distilhubert_ko.audio.frames import SAMPLE_RATE
from distilhubert_ko.data import synthetic
from distilhubert_ko.data.corpora import read_corpus
from distilhubert_ko.data.sentences import particle, random_sentence
from distilhubert_ko.data.synthetic import SpokenLine, synthetic_folder, synthetic_lines
from distilhubert_ko.errors import CorpusError
from distilhubert_ko.files.writing import new_folder
from distilhubert_ko.text.normalise import foreign_characters, normalise

HANDFUL = {"train": 3, "test": 1}
VOICES = {"train": ["m1", "f5"], "test": ["f2"]}  # f5 and f2 breathe, which takes random numbers


@pytest.fixture(scope="module")
def demo() -> dict[str, list[SpokenLine]]:
    return synthetic_lines("demo")


def all_lines(demo: dict[str, list[SpokenLine]]) -> list[SpokenLine]:
    return [line for part in demo.values() for line in part]


# Sentences and voices


def test_the_corpus_has_the_splits_that_training_asks_for(demo: dict[str, list[SpokenLine]]) -> None:
    assert {split: len(part) for split, part in demo.items()} == synthetic.SENTENCES
    assert set(demo) == {"train", "dev", "test"}


def test_sentences_and_voices_of_train_dev_and_test_are_disjoint(demo: dict[str, list[SpokenLine]]) -> None:
    for one, other in combinations(demo.values(), 2):
        assert not {line.voice for line in one} & {line.voice for line in other}
        # As they are learnt, not only as they are written.
        assert not {normalise(line.text, spell=True) for line in one} & {
            normalise(line.text, spell=True) for line in other
        }


def test_every_voice_of_a_split_speaks_in_it(demo: dict[str, list[SpokenLine]]) -> None:
    for split, part in demo.items():
        assert {line.voice for line in part} == set(synthetic.VOICES[split])


def test_every_voice_exists_in_espeak() -> None:
    loader = pytest.importorskip("espeakng_loader")
    variants = {file.name for file in (Path(loader.get_data_path()) / "voices" / "!v").iterdir()}
    assert {voice for voices in synthetic.VOICES.values() for voice in voices} <= variants


def test_there_are_a_thousand_distinct_sentences_and_none_twice(demo: dict[str, list[SpokenLine]]) -> None:
    written = [line.text for line in all_lines(demo)]
    assert len(set(written)) == len(written) >= 1000
    assert len({normalise(sentence, spell=True) for sentence in written}) >= 1000


def test_ids_are_distinct_and_so_are_the_paths(demo: dict[str, list[SpokenLine]]) -> None:
    lines = all_lines(demo)
    assert len({line.id for line in lines}) == len({line.path for line in lines}) == len(lines)


def test_numbers_and_punctuation_occur_in_every_split(demo: dict[str, list[SpokenLine]]) -> None:
    for part in demo.values():
        for mark in ("0123456789", ".", "?", "!", "%"):
            assert any(set(mark) & set(line.text) for line in part), mark


def test_every_sentence_normalises_to_hangul_and_spaces(demo: dict[str, list[SpokenLine]]) -> None:
    for line in all_lines(demo):
        normal = normalise(line.text, spell=True)
        assert normal
        assert foreign_characters(normal) == "", line.text


def test_the_training_sentences_have_every_syllable_of_most_others(demo: dict[str, list[SpokenLine]]) -> None:
    known = {syllable for line in demo["train"] for syllable in normalise(line.text, spell=True)}
    for split in ("dev", "test"):
        strange = [line for line in demo[split] if set(normalise(line.text, spell=True)) - known]
        assert len(strange) <= len(demo[split]) // 20


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_the_lines_are_the_same_in_every_process(hash_seed: str, demo: dict[str, list[SpokenLine]]) -> None:
    script = "from distilhubert_ko.data import synthetic; print(repr(synthetic.synthetic_lines('demo')).encode())"
    printed = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"PYTHONHASHSEED": hash_seed},
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    assert printed == f"{repr(demo).encode()}\n"


def test_an_unknown_corpus_is_a_corpus_error_that_names_those_there_are() -> None:
    with pytest.raises(CorpusError, match="synthetic:demon: no such corpus; there is synthetic:demo"):
        synthetic_lines("demon")
    with pytest.raises(CorpusError, match="no such corpus"):
        read_corpus("synthetic:demon#train")


# Particles


@pytest.mark.parametrize(
    ("word", "pair", "expected"),
    [
        ("책", ("을", "를"), "책을"),
        ("사과", ("을", "를"), "사과를"),
        ("학생", ("은", "는"), "학생은"),
        ("의사", ("은", "는"), "의사는"),
        ("손님", ("이", "가"), "손님이"),
        ("어머니", ("이", "가"), "어머니가"),
        ("빵", ("과", "와"), "빵과"),
        ("우유", ("과", "와"), "우유와"),
        ("값", ("을", "를"), "값을"),
    ],
)
def test_a_particle_fits_the_last_syllable(word: str, pair: tuple[str, str], expected: str) -> None:
    assert particle(word, *pair) == expected


@given(st.characters(min_codepoint=0xAC00, max_codepoint=0xD7A3))
def test_a_syllable_has_a_final_exactly_if_it_decomposes_into_three_jamo(syllable: str) -> None:
    three = len(unicodedata.normalize("NFD", syllable)) == 3
    assert particle(syllable, "을", "를") == syllable + ("을" if three else "를")


@given(st.integers(0, 2**32))
def test_no_sentence_has_an_object_particle_that_does_not_fit(seed: int) -> None:
    for word in random_sentence(random.Random(seed)).strip(".!?").split():
        before, last = word[:-1], word[-1]
        if last in "을를" and before:
            assert word == particle(before, "을", "를")


# The folder


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The same small corpus made in two cache folders, the second on one processor."""
    pytest.importorskip("espeakng_loader", reason="espeak-ng comes with the extra [train]")
    folders = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(synthetic, "SENTENCES", HANDFUL)
        patch.setattr(synthetic, "VOICES", VOICES)
        patch.setattr(synthetic, "SHARDS", 2)  # one of which is empty in the split with one sentence
        for processors in (2, 1):
            patch.setattr(os, "cpu_count", lambda processors=processors: processors)
            patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
            folders.append(synthetic_folder("demo"))
    return folders


@pytest.fixture
def handful(spoken: list[Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the small corpus, which `synthetic` finds in its cache."""
    monkeypatch.setattr(synthetic, "SENTENCES", HANDFUL)
    monkeypatch.setattr(synthetic, "VOICES", VOICES)
    monkeypatch.setenv("XDG_CACHE_HOME", str(spoken[0].parents[1]))
    return spoken[0]


def test_the_corpus_reads_back_as_the_lines_it_was_made_from(handful: Path) -> None:
    for split, part in synthetic_lines("demo").items():
        corpus = read_corpus(f"synthetic:demo#{split}")
        assert corpus.problems == ()
        assert [(u.text, u.speaker) for u in corpus.utterances] == [(line.text, line.voice) for line in part]


def test_manifests_say_how_long_the_speech_is_and_it_is_16_khz_mono(handful: Path) -> None:
    for manifest in handful.glob("*.jsonl"):
        for line in manifest.read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            info = soundfile.info(handful / record["audio_filepath"])
            assert (info.samplerate, info.channels, info.subtype) == (SAMPLE_RATE, 1, "PCM_16")
            assert info.frames == round(record["duration"] * SAMPLE_RATE)


def test_speech_is_there_and_is_not_clipped(handful: Path) -> None:
    waves = [utterance.wave() for utterance in read_corpus("synthetic:demo").utterances]
    assert len(waves) == sum(HANDFUL.values())
    for wave in waves:
        assert 0.5 < len(wave) / SAMPLE_RATE < 10
        assert np.sqrt(np.mean(wave**2)) > 0.01
        assert np.mean(np.abs(wave) > 0.999) < 0.001


def test_the_corpus_is_the_same_to_the_bit_wherever_it_is_made(spoken: list[Path]) -> None:
    one, other = spoken
    assert one.parent != other.parent
    assert one.name == other.name
    assert files(one) == files(other)
    assert len(files(one)) == sum(HANDFUL.values()) + len(HANDFUL)


def test_the_corpus_is_made_once(handful: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def another(*_: object, **__: object) -> None:
        raise AssertionError("the corpus is spoken again")

    monkeypatch.setattr(synthetic, "ProcessPoolExecutor", another)
    before = {path: path.stat().st_mtime_ns for path in handful.rglob("*")}
    assert synthetic_folder("demo") == handful
    assert {path: path.stat().st_mtime_ns for path in handful.rglob("*")} == before
    monkeypatch.setattr(synthetic, "SENTENCES", HANDFUL | {"train": 6})
    with pytest.raises(AssertionError, match="spoken again"):
        synthetic_folder("demo")  # other sentences are another corpus


def test_nothing_lies_beside_the_finished_corpus(handful: Path) -> None:
    assert list(handful.parent.iterdir()) == [handful]


def test_a_voice_that_espeak_lacks_is_an_error_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("espeakng_loader", reason="espeak-ng comes with the extra [train]")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(synthetic, "SENTENCES", {"train": 2})
    monkeypatch.setattr(synthetic, "SHARDS", 1)
    monkeypatch.setattr(synthetic, "VOICES", {"train": ["m1", "nobody"]})
    with pytest.raises(CorpusError, match=r"no voice ko\+nobody"):
        synthetic_folder("demo")
    assert list((tmp_path / "distilhubert-ko").iterdir()) == []


def test_where_another_process_was_first_its_corpus_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Pool:
        """Speaks nothing; meanwhile the folder of another process arrives."""

        def __init__(self, *_: object, **__: object) -> None: ...
        def __enter__(self) -> "Pool":
            return self

        def __exit__(self, *_: object) -> None: ...

        def map(self, _: object, folders: tuple[Path, ...], shards: tuple[list[SpokenLine], ...]) -> list:
            wanted[0].mkdir()
            (wanted[0] / "theirs").touch()
            return [[(line.id, 1.0) for line in shard] for shard in shards]

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(synthetic, "SENTENCES", HANDFUL)
    monkeypatch.setattr(synthetic, "ProcessPoolExecutor", Pool)
    wanted: list[Path] = []
    monkeypatch.setattr(synthetic, "new_folder", lambda folder: wanted.append(folder) or new_folder(folder))
    folder = synthetic_folder("demo")
    assert [path.name for path in folder.iterdir()] == ["theirs"]
    assert list(folder.parent.iterdir()) == [folder]
