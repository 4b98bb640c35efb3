"""Common Voice's folders: tables of clips by split, with speakers, and what in them is refused."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import soundfile

from distilhubert_ko.audio.frames import SAMPLE_RATE
from distilhubert_ko.data.corpora import read_corpus
from distilhubert_ko.data.reading import Reading
from distilhubert_ko.errors import CorpusError
from tests.support.road import travel
from tests.support.speech import tones

COLUMNS = ("client_id", "path", "sentence", "up_votes", "down_votes", "age", "gender", "locale")
ROWS = [
    ("kim", "common_voice_ko_1.mp3", '"나무", 바다', "2", "0", "", "male_masculine", "ko"),
    ("kim", "common_voice_ko_2.mp3", "바다 하늘", "2", "0", "", "male_masculine", "ko"),
    ("lee", "common_voice_ko_3.mp3", "하늘 나무", "2", "0", "", "female_feminine", "ko"),
    ("lee", "common_voice_ko_4.mp3", "나무 하늘", "2", "0", "", "female_feminine", "ko"),
    ("park", "common_voice_ko_5.mp3", "바다 나무", "2", "0", "", "", "ko"),
    ("choi", "common_voice_ko_6.mp3", "나무 바다", "2", "0", "", "", "ko"),
]


def write_table(file: Path, rows: Sequence[Sequence[str]], columns: Sequence[str] = COLUMNS) -> None:
    file.write_text("".join("\t".join(row) + "\n" for row in (columns, *rows)), encoding="utf-8")


@pytest.fixture
def korean(tmp_path: Path) -> Path:
    folder = tmp_path / "cv-corpus" / "ko"
    (folder / "clips").mkdir(parents=True)
    for row in ROWS:
        soundfile.write(folder / "clips" / row[1], tones(row[2], 100), SAMPLE_RATE)
    for name, rows in (("validated", ROWS), ("train", ROWS[:4]), ("dev", ROWS[4:5]), ("test", ROWS[5:])):
        write_table(folder / f"{name}.tsv", rows)
    return folder


def test_tables_are_splits_with_speakers_and_quotes_stand_for_themselves(korean: Path) -> None:
    train = read_corpus(f"commonvoice:{korean}#train")
    assert [each.id for each in train.utterances] == [f"common_voice_ko_{number}" for number in (1, 2, 3, 4)]
    assert train.speakers == ("kim", "lee")
    assert train.utterances[0].text == '"나무", 바다'
    assert [each.gender for each in train.utterances] == ["m", "m", "f", "f"]
    assert [len(read_corpus(f"commonvoice:{korean}{part}").utterances) for part in ("", "#validated")] == [6, 6]


def test_validated_clips_can_be_split_by_speaker(korean: Path) -> None:
    rule = Reading(heldout="every 3rd speaker")
    found = {
        split: read_corpus(f"commonvoice:{korean}/validated.tsv#{split}", rule).speakers
        for split in ("train", "test", "dev")
    }
    assert found == {"train": ("choi", "kim"), "test": ("lee",), "dev": ("park",)}


def test_common_voice_goes_all_the_road(korean: Path, tmp_path: Path) -> None:
    account = travel(f"commonvoice:{korean}#train", f"commonvoice:{korean}#dev", tmp_path / "run")
    assert [(each.utterances, each.speakers) for each in account.values()] == [(4, 2), (1, 1), (1, 1)]


def test_clips_of_the_first_releases_are_named_without_their_suffix(korean: Path) -> None:
    write_table(korean / "train.tsv", [(row[0], row[1].removesuffix(".mp3"), *row[2:]) for row in ROWS])
    assert len(read_corpus(f"commonvoice:{korean}#train").utterances) == 6


@pytest.mark.parametrize(
    ("rows", "columns", "told"),
    [
        (ROWS, ("client_id", "path", "text", *COLUMNS[3:]), "has the columns client_id, path, text, .* not sentence"),
        ([ROWS[0], ROWS[1][:3]], COLUMNS, "train.tsv, line 3 has 3 fields for 8 columns"),
        ([ROWS[0], (*ROWS[1][:7], "en")], COLUMNS, "train.tsv, line 3 is in en, those before in ko: keep the lines"),
        ([("kim", "../../../a.wav", *ROWS[0][2:])], COLUMNS, "train.tsv, line 2 names .* which leaves"),
        ([("kim", "//", *ROWS[0][2:])], COLUMNS, "train.tsv, line 2 names .* which leaves"),
    ],
)
def test_what_is_no_table_of_one_language_is_refused(
    korean: Path, rows: list[Sequence[str]], columns: Sequence[str], told: str
) -> None:
    write_table(korean / "train.tsv", rows, columns)
    with pytest.raises(CorpusError, match=told):
        read_corpus(f"commonvoice:{korean}#train")


def test_a_folder_of_languages_or_without_a_split_says_what_there_is(korean: Path) -> None:
    with pytest.raises(CorpusError, match=r"holds neither validated.tsv .* but the folders of ko: name one of them"):
        read_corpus(f"commonvoice:{korean.parent}")
    with pytest.raises(CorpusError, match="no split 'valid': this folder has train, dev, test, validated"):
        read_corpus(f"commonvoice:{korean}#valid")
