import os
from pathlib import Path

import numpy as np
import pytest

from distilhubert_ko.data.corpora import Problem, listing_files, read_corpus
from distilhubert_ko.data.reading import Reading
from distilhubert_ko.errors import CorpusError
from tests.data.readers.annotated_speech import (
    SENTENCES,
    annotated,
    prepared_trained_and_evaluated,
    write_audio,
    write_list,
)
from tests.support.speech import tones

SPLITS = {"train": 8, "dev": 2, "eval_clean": 2, "eval_other": 1}


def kspon(root: Path, suffix: str = ".pcm", scripts: str = "KsponSpeech_scripts", encoding: str = "utf-8") -> Path:
    """KsponSpeech as AI Hub names it: a list per split, and clips in folders of 1,000."""
    number = 0
    for split, count in SPLITS.items():
        lines = []
        for _ in range(count):
            number += 1
            home = f"KsponSpeech_eval/{split}" if "eval" in split else f"KsponSpeech_01/KsponSpeech_{number % 2:04d}"
            path = f"{home}/KsponSpeech_{'E' if 'eval' in split else ''}{number:05d}"
            write_audio(root / f"{path}{suffix}", SENTENCES[number])
            lines.append(f"{path}.pcm :: {annotated(SENTENCES[number])}")
        write_list(root / scripts / f"{split}.trn", lines, encoding)
    return root


def refused(spec: str, complaint: str, reading: Reading = Reading()) -> None:  # noqa: B008 - frozen
    with pytest.raises(CorpusError, match=complaint) as caught:
        read_corpus(spec, reading)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".pcm", ".wav", ".flac"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp949"])
def test_every_split_has_what_was_said_how_it_is_written_and_its_audio(
    tmp_path: Path, suffix: str, encoding: str
) -> None:
    root = kspon(tmp_path, suffix, encoding=encoding)
    for split, count in SPLITS.items():
        assert len(read_corpus(f"ksponspeech:{root}#{split}").utterances) == count
    corpus = read_corpus(f"ksponspeech:{root}#train")
    first = corpus.utterances[0]
    words = SENTENCES[1].split()
    assert (first.id, first.text) == ("KsponSpeech_00001", SENTENCES[1])
    assert first.written == f"{words[0]}1 {words[1]}2"
    assert corpus.problems == ()
    np.testing.assert_allclose(first.wave(), tones(SENTENCES[1], 100), atol=1e-4)
    assert first.seconds == len(first.wave()) / 16_000
    refused(f"ksponspeech:{root}#test", "no split 'test': this corpus has dev, eval_clean, eval_other, train")


@pytest.mark.parametrize("scripts", [".", "scripts", "전시문_통합_스크립트/KsponSpeech_scripts"])
def test_lists_are_found_where_the_download_and_recipes_have_them(tmp_path: Path, scripts: str) -> None:
    root = kspon(tmp_path, scripts=scripts)
    assert len(read_corpus(f"ksponspeech:{root}").utterances) == sum(SPLITS.values())
    one = (root / scripts / "dev.trn").relative_to(root)
    assert len(read_corpus(f"ksponspeech:{one}", Reading(root=root)).utterances) == 2


def test_audio_is_found_inside_a_folder_of_the_download_and_without_its_first_folder(tmp_path: Path) -> None:
    root = kspon(tmp_path)
    (root / "한국어_음성_분야").mkdir()
    (root / "KsponSpeech_01").rename(root / "한국어_음성_분야" / "KsponSpeech_01")
    (root / "KsponSpeech_eval" / "eval_clean").rename(root / "eval_clean")
    assert len(read_corpus(f"ksponspeech:{root}").utterances) == sum(SPLITS.values())


def test_what_cannot_be_learnt_is_a_problem_with_its_reason(tmp_path: Path) -> None:
    for number in range(1, 6):
        write_audio(tmp_path / f"a/{number}.pcm", SENTENCES[number])
    lines = [
        "a/1.pcm :: 그래",
        "a/2.pcm :: (70%)/(칠십 퍼센트 그래",
        "a/3.pcm :: u/",
        "a/4.pcm :: n/1 하자",
        "a/5.pcm ::",
        "a/6.pcm :: 없다",
    ]
    corpus = read_corpus(f"ksponspeech:{write_list(tmp_path / 'train.trn', lines)}")
    assert [utterance.id for utterance in corpus.utterances] == ["1"]
    assert corpus.problems == (
        Problem("2", "broken dual transcript"),
        Problem("3", "no transcript"),
        Problem("4", "unclear mark with a slash"),
        Problem("5", "no transcript"),
        Problem("6", "audio missing"),
    )
    unlabelled = read_corpus(f"ksponspeech:{tmp_path}/train.trn", transcribed=False)
    assert [utterance.text for utterance in unlabelled.utterances] == ["그래", "", "", "", ""]


def test_lists_that_are_not_as_expected_are_refused(tmp_path: Path) -> None:
    refused(f"ksponspeech:{tmp_path}", "holds no .trn list.*unpack KsponSpeech_scripts.zip")
    refused(f"ksponspeech:{tmp_path}/no", "there is no folder")
    refused(f"ksponspeech:{tmp_path}/no.trn", "no.trn cannot be read")
    file = write_list(tmp_path / "a" / "train.trn", ["a/1.pcm :: 그래", "a/2.pcm 그래"])
    refused(f"ksponspeech:{file}", "train.trn, line 2 is malformed: it should have <path>.pcm :: <transcript>")
    file.write_bytes(b"a/1.pcm :: \xff\xff\n")
    refused(f"ksponspeech:{file}", "train.trn is not UTF-8")


def test_a_list_may_not_name_audio_elsewhere(tmp_path: Path) -> None:
    outside = write_audio(tmp_path / "outside" / "1.pcm", SENTENCES[0])
    root = tmp_path / "root"
    for named in ("../outside/1.pcm", str(outside), "../../outside/1.pcm"):
        write_list(root / "train.trn", [f"{named} :: 그래"])
        refused(f"ksponspeech:{root}", "train.trn, line 1 names .*allow it with --allow-outside")
    (root / "linked").symlink_to(outside.parent)
    write_list(root / "train.trn", ["linked/1.pcm :: 그래"])
    refused(f"ksponspeech:{root}", "line 1 names .*linked/1.pcm")
    assert len(read_corpus(f"ksponspeech:{root}", Reading(allow_outside=True)).utterances) == 1


def test_the_lists_are_among_the_files_that_no_output_may_replace(tmp_path: Path) -> None:
    root = kspon(tmp_path)
    assert root / "KsponSpeech_scripts" / "dev.trn" in listing_files(f"ksponspeech:{root}#dev")


def test_a_folder_is_listed_once_and_no_clip_is_looked_at_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = kspon(tmp_path)
    listed: list[str] = []
    listdir = os.listdir
    monkeypatch.setattr(os, "listdir", lambda path: listed.append(str(path)) or listdir(path))
    read_corpus(f"ksponspeech:{root}#train")
    assert len(listed) == len(set(listed)) == 2


def test_ksponspeech_is_prepared_trained_on_and_evaluated(tmp_path: Path) -> None:
    root = kspon(tmp_path / "kspon")
    train = prepared_trained_and_evaluated("ksponspeech:.#train", "ksponspeech:.#eval_clean", root, tmp_path / "run")
    assert [example.text for example in train.examples] == SENTENCES[1:9]
