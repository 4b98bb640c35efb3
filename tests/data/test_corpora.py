import json
import os
import pickle
import re
import sys
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile

from distilhubert_ko.data import synthetic
from distilhubert_ko.data.corpora import Corpus, Problem, read_corpus
from distilhubert_ko.data.reading import Reading
from distilhubert_ko.errors import (
    AudioError,
    CorpusError,
    DistilhubertKoError,
    MissingExtraError,
    RecipeError,
    UnavailableError,
)

SPEECH = Path(__file__).parents[3] / "shared" / "speech"
RATE = 16_000


def wave(samples: int = 800, start: float = 0.0) -> np.ndarray:
    """A ramp, so that each sample tells where it comes from."""
    return (start + np.arange(samples)).astype(np.float32) / 2**20


def sound(path: Path, samples: int = 800) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".flac":
        soundfile.write(path, wave(samples), RATE)
    else:
        soundfile.write(path, wave(samples), RATE, subtype="FLOAT")
    return path


def lines(path: Path, *content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(content) + "\n", encoding="utf-8")
    return path


def ids(corpus: Corpus) -> list[str]:
    return [utterance.id for utterance in corpus.utterances]


def refused(spec: str, complaint: str, kind: type[DistilhubertKoError] = CorpusError, **options: Any) -> None:
    with pytest.raises(kind, match=complaint) as caught:
        read_corpus(spec, Reading(**options))
    assert "\n" not in str(caught.value)


# LibriSpeech tree


@pytest.fixture
def librispeech(tmp_path: Path) -> Path:
    for speaker in ("s1", "s2"):
        home = tmp_path / "tree" / "data" / speaker / "talk"
        sound(home / f"{speaker}-1.flac", 800)
        sound(home / f"{speaker}-2.wav", 1_600)
        lines(home / f"{speaker}-talk.trans.txt", f"{speaker}-1 첫째 문장", "", f"{speaker}-2  둘째\t문장 ")
    return tmp_path / "tree"


@pytest.mark.parametrize("below", ["", "/data"])
def test_a_librispeech_tree_gives_speakers_texts_and_seconds(librispeech: Path, below: str) -> None:
    corpus = read_corpus(f"librispeech:tree{below}", Reading(root=librispeech.parent))
    assert ids(corpus) == ["s1-1", "s1-2", "s2-1", "s2-2"]
    assert [u.text for u in corpus.utterances[:2]] == ["첫째 문장", "둘째\t문장"]
    assert [u.seconds for u in corpus.utterances[:2]] == [0.05, 0.1]
    assert corpus.speakers == ("s1", "s2")
    assert corpus.hours == pytest.approx(0.3 / 3600)
    assert corpus.problems == ()
    np.testing.assert_array_equal(corpus.utterances[1].wave(), wave(1_600))


def test_what_macos_leaves_beside_files_is_no_part_of_a_tree(librispeech: Path) -> None:
    before = read_corpus(f"librispeech:{librispeech}")
    for file in [*librispeech.rglob("*.*")]:
        file.with_name(f"._{file.name}").write_bytes(b"\0\x05\x16\x07")
    after = read_corpus(f"librispeech:{librispeech}")
    assert (ids(after), after.problems) == (ids(before), ())


def test_every_clip_that_is_left_out_is_a_problem_and_reading_goes_on(librispeech: Path) -> None:
    home = librispeech / "data" / "s3" / "talk"
    sound(home / "s3-extra.flac")
    sound(home / "s3-empty.flac")
    (home / "s3-broken.flac").write_bytes(b"not audio")
    (home / "s3-folder.flac").mkdir()
    lines(
        home / "s3-talk.trans.txt",
        "s3-empty",
        "s3-gone 소리가 없다",
        "s3-broken 소리가 깨졌다",
        "s3-folder 폴더",
    )
    corpus = read_corpus(f"librispeech:{librispeech}")
    assert len(corpus.utterances) == 4
    assert set(corpus.problems) == {
        Problem("s3-extra", "no transcript"),
        Problem("s3-empty", "no transcript"),
        Problem("s3-gone", "audio missing"),
        Problem("s3-broken", "audio unreadable"),
        Problem("s3-folder", "audio missing"),  # os.walk lists a folder of that name among the folders
    }


def test_texts_come_out_composed_and_otherwise_as_they_stand(tmp_path: Path) -> None:
    text = unicodedata.normalize("NFD", "각, 8년 OK?")
    sound(tmp_path / "s" / "t" / "a.wav")
    lines(tmp_path / "s" / "t" / "a.trans.txt", f"a {text}")
    assert read_corpus(f"librispeech:{tmp_path}").utterances[0].text == "각, 8년 OK?"


# Zeroth


@pytest.fixture
def zeroth(tmp_path: Path) -> Path:
    root = tmp_path / "zeroth_korean"
    for split, speakers in (("train", ["101", "102", "103", "105"]), ("test", ["104"])):
        for speaker in speakers:
            home = root / f"{split}_data_01" / "003" / speaker
            sound(home / f"{speaker}_003_0001.flac")
            lines(home / f"{speaker}_003.trans.txt", f"{speaker}_003_0001 문장")
    table = [
        "SPEAKERID|NAME|SEX|SCRIPTID|DATASET",
        "101|A|f|003|train_data_01",
        "104|B|M|003|test_data_01",
        "9",
    ]
    lines(root / "AUDIO_INFO", *table)
    return root


def test_zeroth_keeps_its_own_splits_and_knows_genders(zeroth: Path) -> None:
    train = read_corpus(f"zeroth:{zeroth}#train")
    assert train.speakers == ("101", "102", "103", "105")
    assert [u.gender for u in train.utterances] == ["f", None, None, None]
    test = read_corpus(f"zeroth:{zeroth}#test")
    assert (ids(test), test.utterances[0].gender) == (["104_003_0001"], "m")
    assert len(read_corpus(f"zeroth:{zeroth}").utterances) == 5
    refused(f"zeroth:{zeroth}#dev", "no split 'dev': this corpus has test, train")


@pytest.mark.parametrize("table", [None, "", "누가|무엇\n101|f\n"])
def test_zeroth_without_a_usable_speaker_table_has_no_genders(zeroth: Path, table: str | None) -> None:
    (zeroth / "AUDIO_INFO").unlink()
    if table is not None:
        (zeroth / "AUDIO_INFO").write_text(table)
    assert {u.gender for u in read_corpus(f"zeroth:{zeroth}").utterances} == {None}


def test_holding_out_speakers_of_zeroth_leaves_its_test_split_alone(zeroth: Path) -> None:
    speakers = {
        split: read_corpus(f"zeroth:{zeroth}#{split}", Reading(heldout="every 3rd speaker")).speakers
        for split in ("train", "dev", "test")
    }
    assert speakers == {"train": ("101", "102", "105"), "dev": ("103",), "test": ("104",)}


# Kaldi


@pytest.fixture
def kaldi(tmp_path: Path) -> Path:
    sound(tmp_path / "wavs" / "r1.wav", 32_000)
    sound(tmp_path / "wavs" / "r2.wav", 16_000)
    lines(tmp_path / "data" / "wav.scp", "r1 wavs/r1.wav", f"r2 {tmp_path}/wavs/r2.wav")
    lines(tmp_path / "data" / "text", "r1 하나", "r2 둘")
    return tmp_path / "data"


def test_kaldi_reads_paths_from_the_folder_above_and_speakers_if_there_are_any(kaldi: Path) -> None:
    corpus = read_corpus(f"kaldi:{kaldi}")
    assert [(u.id, u.text, u.seconds, u.speaker) for u in corpus.utterances] == [
        ("r1", "하나", 2.0, None),
        ("r2", "둘", 1.0, None),
    ]
    lines(kaldi / "utt2spk", "r1 철수", "r2 영희")
    assert read_corpus(f"kaldi:{kaldi}").speakers == ("영희", "철수")


def test_an_utterance_of_kaldi_without_words_is_counted_as_one_without_a_transcript(kaldi: Path) -> None:
    lines(kaldi / "text", "r1 가 나", "r2")
    corpus = read_corpus(f"kaldi:{kaldi}")
    assert [utterance.id for utterance in corpus.utterances] == ["r1"]
    assert corpus.problems == (Problem("r2", "no transcript"),)


def test_kaldi_reads_paths_from_the_working_folder_too(kaldi: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(kaldi.parent / "wavs")
    lines(kaldi / "wav.scp", "r1 r1.wav", "r2 nowhere.wav")
    corpus = read_corpus(f"kaldi:{kaldi}")
    assert ids(corpus) == ["r1"]
    assert corpus.problems == (Problem("r2", "audio missing"),)


def test_kaldi_segments_are_slices_of_their_recordings(kaldi: Path) -> None:
    lines(
        kaldi / "segments",
        "a r1 0 0.5",
        "b r1 0.5 1.25",
        "c r1 1.5 -1",
        "d r2 0.0 1.0",
        "e r1 5 6",
        "f r3 0 1",
    )
    lines(kaldi / "text", "a 가", "b 나", "c 다", "d 라", "e 마", "f 바", "g 사")
    corpus = read_corpus(f"kaldi:{kaldi}")
    expected = {"a": (0, 8_000), "b": (8_000, 12_000), "c": (24_000, 8_000), "d": (0, 16_000)}
    assert ids(corpus) == list(expected)
    for utterance in corpus.utterances:
        start, samples = expected[utterance.id]
        np.testing.assert_array_equal(utterance.wave(), wave(samples, start))
        assert utterance.seconds == pytest.approx(samples / RATE)
    assert [(u.offset, u.duration) for u in corpus.utterances] == [
        (0, 0.5),
        (0.5, 0.75),
        (1.5, None),
        (0, None),
    ]
    assert corpus.problems == (
        Problem("e", "audio unreadable"),  # starts past the end
        Problem("f", "audio missing"),
        Problem("g", "audio missing"),
    )


def test_commands_in_wav_scp_are_refused_and_never_run(kaldi: Path) -> None:
    witness = kaldi / "witness"
    lines(kaldi / "wav.scp", f"r1 touch {witness} |")
    refused(f"kaldi:{kaldi}", "r1 is a command, and commands are not run: .*write its audio to a file")
    assert not witness.exists()


# Audio folder and manifests


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
@pytest.mark.parametrize("column", ["text", "transcription", "sentence"])
def test_an_audiofolder_is_read_from_either_kind_of_metadata(tmp_path: Path, kind: str, column: str) -> None:
    sound(tmp_path / "clips" / "a.wav")
    sound(tmp_path / "clips" / "b.wav")
    rows = [("clips/a.wav", '쉼표, 그리고 "따옴표"', "가"), ("clips/b.wav", "둘", "나")]
    if kind == "csv":
        quoted = [f'{path},"{text.replace(chr(34), chr(34) * 2)}",{speaker}' for path, text, speaker in rows]
        lines(tmp_path / "metadata.csv", f"\ufefffile_name,{column},speaker", *quoted)
    else:
        records = [{"file_name": path, column: text, "speaker_id": speaker} for path, text, speaker in rows]
        lines(tmp_path / "metadata.jsonl", *map(json.dumps, records))
    corpus = read_corpus(f"folder:{tmp_path}")
    assert [(u.id, u.text, u.speaker) for u in corpus.utterances] == [
        ("clips/a", '쉼표, 그리고 "따옴표"', "가"),
        ("clips/b", "둘", "나"),
    ]


def test_subfolders_of_an_audiofolder_are_its_splits(tmp_path: Path) -> None:
    for split, count in (("train", 3), ("test", 1)):
        for number in range(count):
            sound(tmp_path / split / f"{number}.wav")
        lines(tmp_path / split / "metadata.csv", "file_name,text", *[f"{n}.wav,문장" for n in range(count)])
    assert ids(read_corpus(f"folder:{tmp_path}#train")) == ["train/0", "train/1", "train/2"]
    assert ids(read_corpus(f"folder:{tmp_path}#test")) == ["test/0"]
    assert len(read_corpus(f"folder:{tmp_path}").utterances) == 4
    refused(f"folder:{tmp_path}#dev", "this corpus has test, train")


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_manifest_tells_slices_from_whole_files(tmp_path: Path, kind: str) -> None:
    sound(tmp_path / "long.wav", 32_000)
    # A duration that is rounded still means the whole file; one that is far shorter means a slice.
    rows: list[dict[str, Any]] = [
        {"id": "whole", "duration": 1.96},
        {"id": "bare"},
        {"id": "first", "duration": 0.5},
        {"id": "middle", "offset": 0.5, "duration": 1.0},
        {"id": "rest", "offset": 1.5},
        {"id": "over", "offset": 1.5, "duration": 9.0},
        {"offset": 0.25, "duration": 0.25},
    ]
    rows = [{"audio_filepath": "long.wav", "text": "말", "speaker": 7} | row for row in rows]
    if kind == "csv":
        columns = ["audio_filepath", "text", "speaker", "id", "offset", "duration"]
        content = [",".join(str(row.get(column, "")) for column in columns) for row in rows]
        file = lines(tmp_path / "m.csv", ",".join(columns), *content)
    else:
        file = lines(tmp_path / "m.json", *map(json.dumps, rows))
    corpus = read_corpus(f"manifest:{file.name}", Reading(root=tmp_path))
    assert [(u.id, u.seconds, u.offset, u.duration) for u in corpus.utterances] == [
        ("whole", 2.0, 0.0, None),
        ("bare", 2.0, 0.0, None),
        ("first", 0.5, 0.0, 0.5),
        ("middle", 1.0, 0.5, 1.0),
        ("rest", 0.5, 1.5, None),
        ("over", 0.5, 1.5, None),
        ("long@0.25", 0.25, 0.25, 0.25),
    ]
    assert corpus.speakers == ("7",)
    for utterance in corpus.utterances:
        expected = wave(round(utterance.seconds * RATE), utterance.offset * RATE)
        np.testing.assert_array_equal(utterance.wave(), expected)


@pytest.mark.parametrize(
    ("content", "number"),
    [
        (["{}"], 1),
        (['{"audio_filepath": "a.wav"}', "", "no json"], 3),
        (["[1, 2]"], 1),
        (['{"audio_filepath": 3}'], 1),
        (['{"audio_filepath": "a.wav", "duration": "long"}'], 1),
        (['{"audio_filepath": "a.wav", "duration": 0}'], 1),
        (['{"audio_filepath": "a.wav", "offset": -1}'], 1),
        (['{"audio_filepath": "a.wav", "offset": NaN}'], 1),
        (['{"audio_filepath": "a.wav", "offset": [1]}'], 1),
    ],
)
def test_a_malformed_manifest_line_is_named(tmp_path: Path, content: Sequence[str], number: int) -> None:
    file = lines(tmp_path / "m.jsonl", *content)
    refused(f"manifest:{file}", f"m.jsonl, line {number} is malformed: it should have")


def test_malformed_lines_of_other_formats_are_named(kaldi: Path, tmp_path: Path) -> None:
    lines(kaldi / "segments", "a r1 0 0.5", "b r1 0.5")
    refused(f"kaldi:{kaldi}", "segments, line 2 is malformed")
    lines(kaldi / "segments", "a r1 2 1")
    refused(f"kaldi:{kaldi}", "segments, line 1 is malformed")
    (kaldi / "segments").unlink()
    lines(kaldi / "wav.scp", "r1 wavs/r1.wav", "r2")
    refused(f"kaldi:{kaldi}", "wav.scp, line 2 is malformed")
    csv = lines(tmp_path / "m.csv", "audio_filepath,text", 'a.wav,"열린 따옴표', "b.wav,둘")
    refused(f"manifest:{csv}", "m.csv, line 3 is malformed")
    refused(f"manifest:{lines(csv, 'url,text', 'a,하나')}", "m.csv, line 1 has the columns url, text.*audio_filepath")
    rows = ("audio_filepath,text", "a.wav,하나", "b.wav,둘, 셋")
    refused(f"manifest:{lines(csv, *rows)}", "m.csv, line 3 has 3 fields for 2 columns: put double quotes")
    refused(f"manifest:{lines(csv, 'audio_filepath,text,text', 'a.wav,하나,둘')}", "line 1: column text is there twice")


def test_an_id_that_occurs_twice_is_refused(kaldi: Path, librispeech: Path) -> None:
    lines(kaldi / "text", "r1 하나", "r2 둘", "r1 셋")
    refused(f"kaldi:{kaldi}", "text, line 3: r1 is listed twice")
    lines(librispeech / "data" / "s9" / "talk" / "again.trans.txt", "s1-1 다시")
    refused(f"librispeech:{librispeech}", "lists 1 ids twice, e.g. s1-1")


def test_what_is_missing_is_refused_by_name(tmp_path: Path) -> None:
    for scheme in ("folder", "kaldi", "librispeech", "zeroth"):
        refused(f"{scheme}:nowhere", "there is no folder .*nowhere: check the path", root=tmp_path)
    refused("manifest:nowhere.jsonl", "nowhere.jsonl cannot be read .*: check the path", root=tmp_path)
    refused(f"kaldi:{tmp_path}", "wav.scp cannot be read")
    refused(f"zeroth:{tmp_path}", "unpack zeroth_korean.tar.gz")
    refused(f"folder:{tmp_path}", "metadata.csv")
    refused(f"librispeech:{tmp_path}", "none of 0 entries can be used: check")
    lines(tmp_path / "m.jsonl", '{"audio_filepath": "a.wav", "text": "말"}')
    refused(f"manifest:{tmp_path}/m.jsonl", r"none of 1 entries can be used \(e.g. a: audio missing\)")


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        ("libreespeech:x", "no scheme 'libreespeech': did you mean librispeech"),
        (
            "wav:x#train",
            "schemes are aihub, commonvoice, folder, hub, kaldi, ksponspeech, librispeech, manifest, synthetic, zeroth",
        ),
        ("data/zeroth", "write scheme:location#split"),
        ("zeroth:", "write scheme:location#split"),
        ("", "write scheme:location#split"),
    ],
)
def test_a_spec_that_names_no_corpus_is_refused(spec: str, complaint: str) -> None:
    refused(spec, complaint)


# Held-out speakers


def spoken(tmp_path: Path, speakers: Sequence[str | None]) -> str:
    """A manifest with two utterances a speaker, all with the same sound."""
    sound(tmp_path / "a.wav")
    rows = [
        {"id": f"{n}-{speaker}", "audio_filepath": "a.wav", "text": "말", "speaker": speaker}
        for speaker in speakers
        for n in (1, 2)
    ]
    return f"manifest:{lines(tmp_path / 'm.jsonl', *map(json.dumps, rows))}"


@pytest.mark.parametrize("every", [3, 8])
@pytest.mark.parametrize("count", [1, 2, 3, 4, 7, 8, 9, 10, 16, 17, 41])
def test_held_out_splits_are_disjoint_by_speaker_and_complete(tmp_path: Path, every: int, count: int) -> None:
    speakers = [f"{number:02d}" for number in range(count, 0, -1)]  # not in sorted order
    spec = spoken(tmp_path, speakers)
    heldout = "every 3rd speaker" if every == 3 else "every 8th speaker"
    found: dict[str, tuple[str, ...]] = {}
    utterances: list[str] = []
    for split in ("train", "dev", "test"):
        try:
            corpus = read_corpus(f"{spec}#{split}", Reading(heldout=heldout))
        except CorpusError as error:
            assert "too few" in str(error)  # noqa: PT017 - small corpora have no dev or no test
            found[split] = ()
        else:
            found[split] = corpus.speakers
            utterances += ids(corpus)
    numbers = range(1, count + 1)
    assert [int(speaker) for speaker in found["test"]] == [n for n in numbers if n % every == 0]
    assert [int(speaker) for speaker in found["dev"]] == [n for n in numbers if n > every and n % every == 1]
    assert sorted(sum(found.values(), ())) == sorted(speakers)
    assert sorted(utterances) == sorted(ids(read_corpus(spec, Reading(heldout=heldout))))


def test_a_split_needs_a_rule_and_a_rule_needs_speakers(tmp_path: Path) -> None:
    spec = spoken(tmp_path, ["가", "나", "다", None])
    assert len(read_corpus(spec).utterances) == 8
    refused(f"{spec}#train", re.escape('set heldout = "every 8th speaker" in [data]'))
    refused(f"{spec}#train", "heldout needs the speaker of every utterance", heldout="every 3rd speaker")
    spec = spoken(tmp_path, ["가", "나", "다"])
    refused(f"{spec}#valid", "the heldout rule makes train, dev and test", heldout="every 3rd speaker")
    refused(f"{spec}#dev", "3 speakers are too few for 'dev'", heldout="every 3rd speaker")


@pytest.mark.parametrize(
    "rule", ["every 8 speakers", "8th", "every 0th speaker", "every 2nd speaker", "Every 8th speaker"]
)
def test_a_rule_that_is_not_understood_is_refused(tmp_path: Path, rule: str) -> None:
    refused(spoken(tmp_path, ["가"]), 'write "every 8th speaker"', RecipeError, heldout=rule)


# Synthetic corpora and the Hub


def test_a_synthetic_corpus_is_read_from_its_manifests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for split in ("train", "test"):
        sound(tmp_path / split / "1.wav")
        record = {"audio_filepath": f"{split}/1.wav", "text": "말", "duration": 0.05, "speaker": "ko"}
        lines(tmp_path / f"{split}.jsonl", json.dumps(record))
    asked: list[str] = []
    monkeypatch.setattr(synthetic, "synthetic_folder", lambda name: asked.append(name) or tmp_path)
    corpus = read_corpus("synthetic:demo#train")
    assert (ids(corpus), corpus.speakers, asked) == (["train/1"], ("ko",), ["demo"])
    refused("synthetic:demo#dev", "no split 'dev': this corpus has test, train")


@pytest.fixture
def hub_rows(tmp_path: Path) -> dict[str, Any]:
    """Two splits as a data set of the Hub holds them: sound as bytes, or as a path for one clip."""
    datasets = pytest.importorskip("datasets")
    audio = datasets.Audio(decode=False)
    splits = {}
    for split, count in (("train", 4), ("test", 1)):
        clips = []
        for number in range(count):
            path = sound(tmp_path / split / f"{number}.wav", 800 * (number + 1))
            clips.append(
                {"bytes": path.read_bytes(), "path": path.name} if number else {"bytes": None, "path": str(path)}
            )
        columns = {
            "audio": clips,
            "sentence": ["말"] * count,
            "speaker_id": list(range(count)),
            "gender": ["f"] * count,
        }
        rows = datasets.Dataset.from_dict(columns).cast_column("audio", audio)
        splits[split] = rows.cast_column("audio", datasets.Audio())
    return splits


COMMIT = "0123456789abcdef0123456789abcdef01234567"


def on_the_hub(monkeypatch: pytest.MonkeyPatch, rows: dict[str, Any]) -> None:
    """`datasets` builds these splits, whatever the name."""

    class Builder:
        hash = COMMIT
        builder_configs = ("default",)
        config = SimpleNamespace(data_files=None)

        def download_and_prepare(self) -> None:
            pass

        def as_dataset(self, split: str | None) -> Any:
            return rows[split] if split else rows

    monkeypatch.setattr("datasets.load_dataset_builder", lambda name, config, revision: Builder())


def test_a_hub_corpus_fetches_its_audio_when_it_is_wanted(
    hub_rows: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    on_the_hub(monkeypatch, hub_rows)
    corpus = read_corpus("hub:owner/name#train")
    assert ids(corpus) == ["train-000000", "train-000001", "train-000002", "train-000003"]
    assert [u.seconds for u in corpus.utterances] == [0.05, 0.1, 0.15, 0.2]
    assert (corpus.speakers, corpus.utterances[0].gender) == (("0", "1", "2", "3"), "f")
    for number, utterance in enumerate(corpus.utterances, 1):
        assert callable(utterance.audio)
        np.testing.assert_array_equal(utterance.wave(), wave(800 * number))
    copy = pickle.loads(pickle.dumps(corpus.utterances[3]))  # as loader processes receive it
    np.testing.assert_array_equal(copy.wave(), wave(3_200))
    assert corpus.revision == COMMIT
    assert len(read_corpus("hub:owner/name").utterances) == 5
    assert read_corpus("hub:owner/name#dev", Reading(heldout="every 3rd speaker")).speakers == ("2",)


def test_a_hub_clip_without_its_file_is_a_problem(
    hub_rows: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    on_the_hub(monkeypatch, hub_rows)
    (tmp_path / "train" / "0.wav").unlink()
    corpus = read_corpus("hub:owner/name#train")
    assert corpus.problems == (Problem("train-000000", "audio missing"),)
    assert len(corpus.utterances) == 3


def test_hub_data_without_transcripts_are_refused(hub_rows: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    rows = hub_rows["test"].remove_columns("sentence")
    on_the_hub(monkeypatch, {"test": rows})
    refused("hub:owner/name#test", r"test-000000: no transcript\): the columns are audio, speaker_id, gender")
    on_the_hub(monkeypatch, {"test": rows.remove_columns("audio")})
    refused("hub:owner/name#test", "needs the column audio, but has speaker_id, gender")


# Speech without transcripts


@pytest.mark.parametrize("scheme", ["folder", "kaldi", "librispeech", "manifest", "zeroth"])
def test_speech_without_transcripts_is_read_where_none_are_asked_for(tmp_path: Path, scheme: str) -> None:
    folder = tmp_path / ("train_data_01/003/104" if scheme == "zeroth" else "104/1")
    files = [sound(folder / f"{name}.wav", samples) for name, samples in (("a", 1600), ("b", 800))]
    location = tmp_path
    if scheme == "kaldi":
        lines(tmp_path / "data" / "wav.scp", *(f"{file.stem} {file}" for file in files))
        location = tmp_path / "data"
    if scheme == "manifest":
        location = lines(tmp_path / "m.jsonl", *(json.dumps({"audio_filepath": str(file)}) for file in files))
    refused(f"{scheme}:{location}", "no transcript")
    corpus = read_corpus(f"{scheme}:{location}", transcribed=False)
    assert [(u.text, u.seconds) for u in corpus.utterances] == [("", 0.1), ("", 0.05)]
    assert corpus.problems == ()
    assert corpus.speakers == (("104",) if scheme in ("librispeech", "zeroth") else ())


def test_transcripts_that_are_there_are_kept_where_none_are_asked_for(tmp_path: Path) -> None:
    for name in ("1", "2"):
        sound(tmp_path / f"{name}.wav")
    records = [{"audio_filepath": "1.wav", "text": "말"}, {"audio_filepath": "2.wav"}, {"audio_filepath": "3.wav"}]
    file = lines(tmp_path / "m.jsonl", *map(json.dumps, records))
    corpus = read_corpus(f"manifest:{file}", transcribed=False)
    assert [u.text for u in corpus.utterances] == ["말", ""]
    assert [problem.reason for problem in corpus.problems] == ["audio missing"]


def test_hub_data_without_transcripts_are_read_where_none_are_asked_for(
    hub_rows: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = hub_rows["test"].remove_columns("sentence")
    on_the_hub(monkeypatch, {"test": rows})
    assert [u.text for u in read_corpus("hub:owner/name#test", transcribed=False).utterances] == [""]


def test_datasets_itself_loads_a_corpus_and_lists_its_splits(
    hub_rows: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    home = tmp_path / "parquet"
    home.mkdir()
    for split, rows in hub_rows.items():
        rows.to_parquet(home / f"{split}-00000-of-00001.parquet")
    corpus = read_corpus(f"hub:{home}#train")
    assert [u.text for u in corpus.utterances] == ["말"] * 4
    np.testing.assert_array_equal(corpus.utterances[3].wave(), wave(3_200))
    assert corpus.revision is None
    refused(f"hub:{home}#valid", "(?=.*valid)(?=.*train)(?=.*test)")


@pytest.mark.parametrize("failure", [ConnectionError("no route to host"), TimeoutError("timed out")])
def test_a_hub_out_of_reach_leaves_two_ways_out(failure: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("datasets")

    def fail(*_: object, **__: object) -> None:
        raise failure

    monkeypatch.setattr("datasets.load_dataset_builder", fail)
    refused(
        "hub:owner/name#train",
        r"could not be reached.*zeroth:PATH#train.*synthetic:demo#train",
        UnavailableError,
    )


def test_a_name_that_is_not_on_the_hub_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")

    def fail(*_: object, **__: object) -> None:
        raise datasets.exceptions.DatasetNotFoundError("Dataset 'owner/nmae' doesn't exist on the Hub")

    monkeypatch.setattr("datasets.load_dataset_builder", fail)
    refused("hub:owner/nmae#train", "hub:owner/nmae is not on the Hub, or is private")


def test_a_hub_switched_off_is_a_hub_out_of_reach(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # HF_HUB_OFFLINE=1 before the import
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    refused("hub:owner/name#train", "could not be reached", UnavailableError)


def test_a_hub_corpus_without_datasets_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    refused("hub:owner/name", re.escape('pip install "distilhubert-ko[train]"'), MissingExtraError)


# Utterances


def test_an_utterance_whose_audio_went_bad_names_itself(tmp_path: Path) -> None:
    spec = spoken(tmp_path, ["가"])
    utterance = read_corpus(spec).utterances[0]
    os.truncate(tmp_path / "a.wav", 0)
    with pytest.raises(AudioError, match=r"utterance 1-가: .*a\.wav is empty"):
        utterance.wave()


# Real speech


@pytest.mark.skipif(not SPEECH.is_dir(), reason="the shared speech is not on this machine")
def test_pansori_gives_2987_utterances_and_its_two_known_problems() -> None:
    corpus = read_corpus("librispeech:pansori-tedxkr", Reading(root=SPEECH))
    assert (len(corpus.utterances), len(corpus.speakers)) == (2_987, 41)
    assert corpus.hours == pytest.approx(2.68, abs=0.005)
    assert corpus.problems == (
        Problem("6rOg6rG07ZiB-aWPB0xeM8UA-0162", "no transcript"),
        Problem("7Jyk7Jes7KSA-LnGadr1MDs8-0323", "no transcript"),
    )
    longest = max(corpus.utterances, key=lambda utterance: utterance.seconds)
    assert len(longest.wave()) == round(longest.seconds * RATE)


@pytest.mark.skipif(not SPEECH.is_dir(), reason="the shared speech is not on this machine")
def test_the_zeroth_sample_gives_ten_utterances_and_five_without_transcript() -> None:
    corpus = read_corpus("kaldi:zeroth-sample/data", Reading(root=SPEECH))
    assert len(corpus.utterances) == 10
    assert [problem.reason for problem in corpus.problems] == ["no transcript"] * 5
    assert corpus.utterances[0].text.startswith("지난해 삼 월")
    assert np.isfinite(corpus.utterances[0].wave()).all()
