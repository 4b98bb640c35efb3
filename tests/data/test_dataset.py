"""What is kept of a corpus for training and for evaluation, and the account of what is not."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from distilhubert_ko import model_folder
from distilhubert_ko.audio.frames import SAMPLE_RATE
from distilhubert_ko.data.account import describe_data, dropped_lines
from distilhubert_ko.data.corpora import read_corpus
from distilhubert_ko.data.dataset import overlap_with_train, prepare_dataset, read_scored_split, usable_split
from distilhubert_ko.data.examples import Split
from distilhubert_ko.data.fitness import has_enough_frames
from distilhubert_ko.data.reading import Reading
from distilhubert_ko.errors import CorpusError
from distilhubert_ko.files import writing
from distilhubert_ko.model_folder import DataRecord, OverlapRecord
from distilhubert_ko.recipe import Data, Recipe, Text

Row = tuple[str, int, str | None]  # text, samples, speaker


def write(folder: Path, name: str, rows: list[Row]) -> str:
    """Writes the rows as a manifest with silent clips beside it; its spec."""
    lines = []
    for index, (text, samples, speaker) in enumerate(rows):
        path = f"{name}{index}.wav"
        soundfile.write(folder / path, np.zeros(samples, np.float32), SAMPLE_RATE)
        record = {"audio_filepath": path, "text": text} | ({"speaker": speaker} if speaker else {})
        lines.append(json.dumps(record, ensure_ascii=False) + "\n")
    (folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
    return f"manifest:{name}.jsonl"


def config(folder: Path, train: list[Row], evaluation: list[Row], text: Text | None = None, **data: Any) -> Recipe:
    """A recipe whose corpora are the rows, by way of manifests in `folder`."""
    specs = {"train": write(folder, "train", train), "eval": write(folder, "eval", evaluation)}
    return Recipe(data=Data(**specs, root=str(folder), **data), text=text or Text())


def texts(split: Split) -> list[str]:
    return [example.text for example in split.examples]


SECOND = SAMPLE_RATE
GOOD: Row = ("가나 다라", SECOND, "s1")
UNUSABLE: list[Row] = [
    ("...", SECOND, "s1"),
    ("OK 그래", SECOND, "s1"),
    ("3시 정각", SECOND, "s1"),
    ("漢字 가나", SECOND, "s1"),
    ("ㅋㅋ", SECOND, "s1"),
    ("짧다", SECOND // 2 - 1, "s1"),
    ("길다", 2 * SECOND + 1, "s1"),
    ("하나 둘 셋 넷 다섯 여섯 일곱 여덟 아홉 열 열하나 열둘 열셋 열넷 열다섯 열여섯", SECOND // 2, "s1"),
    ("", SECOND, "s1"),
]
SCRIPTS = "digits, Latin letters or other scripts"
LIMITS = {"min_seconds": 0.5, "max_seconds": 2.0}


# What is dropped


def test_every_unusable_training_utterance_is_counted_under_its_reason(tmp_path: Path) -> None:
    recipe = config(tmp_path, [GOOD, *UNUSABLE], [GOOD], **LIMITS)
    (tmp_path / "train0.wav").rename(tmp_path / "elsewhere.wav")
    write(tmp_path, "more", [GOOD])
    with (tmp_path / "train.jsonl").open("a", encoding="utf-8") as manifest:
        manifest.write((tmp_path / "more.jsonl").read_text(encoding="utf-8"))
    data = prepare_dataset(recipe)
    assert texts(data.train) == ["가나 다라"]
    assert data.train.dropped == {
        "audio missing": 1,
        "no transcript": 1,
        "empty text": 1,
        SCRIPTS: 4,
        "too short": 1,
        "too long": 1,
        "more labels than frames": 1,
    }


def test_an_evaluation_leaves_out_only_what_cannot_be_scored(tmp_path: Path) -> None:
    data = prepare_dataset(config(tmp_path, [GOOD], UNUSABLE, **LIMITS))
    assert data.eval.dropped == {"no transcript": 1, "empty text": 1, SCRIPTS: 4}
    assert len(data.eval.examples) == len(UNUSABLE) - 6
    assert {"짧다", "길다"} < set(texts(data.eval))
    assert not all(has_enough_frames(example, data.tokenizer, data.grid) for example in data.eval.examples)


def test_spelling_keeps_digits_and_latin_letters_as_korean_words(tmp_path: Path) -> None:
    data = prepare_dataset(config(tmp_path, UNUSABLE[:5], [GOOD], Text(foreign="spell")))
    assert texts(data.train) == ["오케이 그래", "세 시 정각"]
    assert data.train.dropped == {"empty text": 1, SCRIPTS: 2}


def test_a_clip_as_long_as_a_limit_is_kept(tmp_path: Path) -> None:
    rows: list[Row] = [("가", SECOND // 2, None), ("나", 2 * SECOND, None)]
    data = prepare_dataset(config(tmp_path, rows, [GOOD], **LIMITS))
    assert texts(data.train) == ["가", "나"]
    assert data.train.dropped == {}


@pytest.mark.parametrize(
    ("text", "units", "frames"),
    [
        ("가나다", "syllables", 3),
        ("가가나", "syllables", 4),  # a blank between the two
        ("가 나", "syllables", 3),  # the space is a label
        ("각", "jamo", 3),
        ("국구", "jamo", 5),  # ᄀ ᅮ ᆨ ᄀ ᅮ: a final is another unit than an initial, so there is no repeat
    ],
)
def test_a_clip_needs_a_frame_for_each_label_and_for_each_repeat(
    tmp_path: Path, text: str, units: Any, frames: int
) -> None:
    enough = 400 + 320 * (frames - 1)
    rows: list[Row] = [GOOD, (text, enough, None), (text, enough - 1, None)]
    data = prepare_dataset(config(tmp_path, rows, [GOOD], Text(units=units)))
    assert [example.samples for example in data.train.examples] == [SECOND, enough]
    assert data.train.dropped == {"more labels than frames": 1}


def test_a_corpus_of_which_nothing_is_usable_is_an_error_that_says_why(tmp_path: Path) -> None:
    for recipe in (config(tmp_path, UNUSABLE[:5], [GOOD]), config(tmp_path, [GOOD], UNUSABLE[:5])):
        with pytest.raises(CorpusError, match=f"no usable utterance.*empty text: 1, {SCRIPTS}: 4") as caught:
            prepare_dataset(recipe)
        assert "\n" not in str(caught.value)


def test_a_corpus_without_a_clip_long_enough_for_its_text_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="every utterance has more labels than frames"):
        prepare_dataset(config(tmp_path, [("가나", 719, None), ("다", 399, None)], [GOOD]))


# The vocabulary


@pytest.mark.parametrize(("units", "expected"), [("syllables", "가각다"), ("jamo", "ᄀ닥")])
def test_the_vocabulary_is_of_the_kept_training_text_alone(tmp_path: Path, units: Any, expected: str) -> None:
    train: list[Row] = [("각, 가!", SECOND, None), ("다", SECOND, None), ("漢字 마", SECOND, None), ("바", 100, None)]
    train += [("사아자차", 1_000, None), ("카", 200, None)]  # too few frames, and too short
    recipe = config(tmp_path, train, [("하", SECOND, None)], Text(units=units), min_seconds=0.02)
    tokenizer = prepare_dataset(recipe).tokenizer
    assert "".join(tokenizer.tokens[3:]) == expected
    assert tokenizer.units == units


def test_characters_that_training_never_saw_are_counted_in_an_evaluation(tmp_path: Path) -> None:
    evaluation: list[Row] = [("가 호 하하", SECOND, None), ("하 나", SECOND, None)]
    data = prepare_dataset(config(tmp_path, [("가 나", SECOND, None)], evaluation))
    unknown = data.report().overlap_with_train["eval"].unknown_characters
    assert list(unknown.items()) == [("하", 3), ("호", 1)]  # the most frequent first
    assert len(data.eval.examples) == 2


def test_of_jamo_only_those_that_training_never_saw_are_unknown(tmp_path: Path) -> None:
    data = prepare_dataset(
        config(tmp_path, [("가 호", SECOND, None)], [("하 고 학", SECOND, None)], Text(units="jamo"))
    )
    assert data.report().overlap_with_train["eval"].unknown_characters == {"ᆨ": 1}


# The splits together


def test_sentences_and_speakers_shared_with_training_are_counted_once_each(tmp_path: Path) -> None:
    train: list[Row] = [("가 나", SECOND, "s1"), ("가 나", SECOND, "s2"), ("다", SECOND, "s3"), ("라", SECOND, None)]
    evaluation: list[Row] = [
        ("가  나.", SECOND, "s1"),
        ("가 나", SECOND, "s1"),
        ("마", SECOND, "s3"),
        ("바", SECOND, None),
    ]
    data = prepare_dataset(config(tmp_path, train, evaluation))
    shared = overlap_with_train(data.train, data.eval, data.tokenizer)
    assert (shared.shared_sentences, shared.shared_speakers) == (1, 2)
    assert shared.unknown_characters == {"마": 1, "바": 1}


def test_without_a_test_corpus_the_evaluation_corpus_is_the_test(tmp_path: Path) -> None:
    data = prepare_dataset(config(tmp_path, [GOOD], [("나", SECOND, None)]))
    assert data.test is data.eval


def test_a_test_corpus_is_read_as_an_evaluation_is(tmp_path: Path) -> None:
    recipe = config(tmp_path, [GOOD], [GOOD], test=write(tmp_path, "test", UNUSABLE), **LIMITS)
    data = prepare_dataset(recipe)
    assert data.test == read_scored_split("manifest:test.jsonl", recipe.text, Reading.from_recipe(recipe))
    assert data.test.dropped == {"no transcript": 1, "empty text": 1, SCRIPTS: 4}


def test_speakers_that_are_held_out_train_nothing(tmp_path: Path) -> None:
    rows: list[Row] = [(f"{syllable} 나", SECOND, f"s{index}") for index, syllable in enumerate("가나다라마바", 1)]
    spec = write(tmp_path, "all", rows)
    held = Data(train=f"{spec}#train", eval=f"{spec}#dev", test=f"{spec}#test", heldout="every 3rd speaker")
    data = prepare_dataset(Recipe(data=dataclasses.replace(held, root=str(tmp_path))))
    assert data.train.speakers == {"s1", "s2", "s5"}
    assert data.eval.speakers == {"s4"}
    assert data.test.speakers == {"s3", "s6"}


def test_the_report_accounts_for_every_utterance(tmp_path: Path) -> None:
    data = prepare_dataset(config(tmp_path, [GOOD, *UNUSABLE], [GOOD, GOOD], **LIMITS))
    report = data.report().to_dict()
    assert set(report) == {"units", "vocabulary", "splits", "overlap_with_train"}
    assert (report["units"], report["vocabulary"]) == ("syllables", len(data.tokenizer))
    assert set(report["splits"]) == {"train", "eval", "test"}
    train, evaluation = report["splits"]["train"], report["splits"]["eval"]
    assert train["utterances"] + sum(train["dropped"].values()) == 1 + len(UNUSABLE)
    assert evaluation == {
        "corpus": "manifest:eval.jsonl",
        "utterances": 2,
        "hours": round(2 / 3600, 3),
        "speakers": 1,
        "distinct_sentences": 1,
        "dropped": {},
        "digest": data.eval.digest,
    }
    assert {reason: len(ids) for reason, ids in train["dropped_clips"].items()} == train["dropped"]
    assert report["overlap_with_train"] == {
        name: {"shared_sentences": 1, "shared_speakers": 1, "unknown_characters": {}} for name in ("eval", "test")
    }


def test_the_report_is_json_that_reads_back(tmp_path: Path) -> None:
    report = prepare_dataset(config(tmp_path, [GOOD, *UNUSABLE], [("하", SECOND, None)])).report()
    path = writing.write_json(tmp_path / model_folder.DATA, report.to_dict())
    assert model_folder.read_record(DataRecord, path) == report
    assert "하" in path.read_text(encoding="utf-8")


def test_the_report_in_words_has_every_split_every_reason_and_what_is_unknown(tmp_path: Path) -> None:
    report = prepare_dataset(config(tmp_path, [GOOD, *UNUSABLE], [("하하", SECOND, None)], **LIMITS)).report()
    words = describe_data(report)
    for name, split in report.splits.items():
        assert f"{name}: {split.corpus}: {split.utterances} utterances" in words
    for reason, count in report.splits["train"].dropped.items():
        assert f"dropped, {reason}: {count}" in words
    assert words.count("unknown characters: 2 (하)") == 2  # of eval and of test


# Examples


def test_the_samples_of_an_example_are_those_of_its_wave(tmp_path: Path) -> None:
    rows: list[Row] = [("가", samples, None) for samples in (1, 399, 400, 16_001, 12_347)]
    corpus = read_corpus(write(tmp_path, "odd", rows), Reading(root=tmp_path))
    for example in usable_split(corpus, Text(), None).examples:
        assert example.samples == len(example.utterance.wave())


def test_the_shared_fixture_is_wholly_usable(tiny_speech: Path) -> None:
    specs = Data(train="manifest:train.jsonl", eval="manifest:dev.jsonl", root=str(tiny_speech))
    for units in ("syllables", "jamo"):
        data = prepare_dataset(Recipe(data=specs, text=Text(units=units)))
        assert (len(data.train.examples), len(data.eval.examples)) == (18, 6)
        assert data.train.dropped == data.eval.dropped == {}
        assert data.train.speakers == {"s1", "s2", "s3"}
        nothing = OverlapRecord(shared_sentences=0, shared_speakers=0, unknown_characters={})
        assert overlap_with_train(data.train, data.eval, data.tokenizer) == nothing


def test_the_first_ten_dropped_clips_are_named_with_their_reasons() -> None:
    clips = {"too long": [f"a{number}" for number in range(8)], "no transcript": [f"b{number}" for number in range(9)]}
    counts = {reason: len(ids) for reason, ids in clips.items()} | {"audio missing": 1}
    assert dropped_lines(counts, clips) == [
        "dropped, too long: 8 (a0, a1, a2, a3, a4, a5, a6, a7)",
        "dropped, no transcript: 9 (b0, b1, ...)",
        "dropped, audio missing: 1",
    ]


def test_unknown_speakers_are_not_counted_as_none(tmp_path: Path) -> None:
    report = prepare_dataset(config(tmp_path, [GOOD], [("하", SECOND, None)])).report()
    assert report.overlap_with_train["eval"].shared_speakers is None
    told = describe_data(report)
    assert "speakers unknown" in told
    assert "0 speakers" not in told
