"""Lists as people have them: separators, encodings, names of columns, forms of Hangul; what is not sure is refused."""

import json
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile

from distilhubert_ko.audio.frames import SAMPLE_RATE
from distilhubert_ko.bulk.inputs import Storage, read_inputs
from distilhubert_ko.data.corpora import Problem, read_corpus
from distilhubert_ko.data.dataset import read_scored_split
from distilhubert_ko.data.reading import Reading
from distilhubert_ko.errors import CorpusError
from distilhubert_ko.recipe import Text
from tests.support.road import travel
from tests.support.speech import tones

TEXTS = ("나무 바다", "바다, 하늘", "하늘; 나무", "나무 하늘")
FILES = tuple(f"소리/각{number}.wav" for number in range(1, 5))
Rows = tuple[tuple[str, str], ...]
ROWS: Rows = tuple(zip(FILES, TEXTS, strict=True))


def record(home: Path, rows: Rows) -> None:
    for file, text in rows:
        (home / file).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(home / file, tones(text, 100), SAMPLE_RATE)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    record(tmp_path, ROWS)
    return tmp_path


def separated(rows: Rows, separator: str, header: tuple[()] | tuple[str, str] = ("path", "sentence")) -> str:
    rows = (header, *rows) if header else rows
    cells = [[f'"{cell}"' if separator in cell else cell for cell in row] for row in rows]
    return "".join(separator.join(row) + "\n" for row in cells)


def objects(rows: Rows, **names: str) -> list[dict[str, str]]:
    return [{names.get(key, key): value for key, value in zip(("audio", "text"), row, strict=True)} for row in rows]


LAYOUTS: dict[str, tuple[str, Callable[[Rows], bytes]]] = {
    "comma": ("list.csv", lambda rows: separated(rows, ",").encode()),
    "semicolon, BOM": ("list.csv", lambda rows: separated(rows, ";").encode("utf-8-sig")),
    "tab, no header": ("list.tsv", lambda rows: separated(rows, "\t", ()).encode()),
    "comma, no header, text first": (
        "list.txt",
        lambda rows: "".join(f'"{text}",{file}\n' for file, text in rows).encode(),
    ),
    "pipe, no header": ("list.txt", lambda rows: separated(rows, "|", ()).encode()),
    "UTF-16": ("list.txt", lambda rows: separated(rows, "\t").encode("utf-16")),
    "UTF-16, big end first": ("list.txt", lambda rows: ("\ufeff" + separated(rows, "\t")).encode("utf-16-be")),
    "CP949, lines of Windows": ("list.csv", lambda rows: separated(rows, ",").replace("\n", "\r\n").encode("cp949")),
    "Korean names": ("list.csv", lambda rows: separated(rows, ",", ("파일명", "전사")).encode("cp949")),
    "names in NFD": (
        "list.csv",
        lambda rows: separated(rows, ",", (unicodedata.normalize("NFD", "파일명"), "텍스트")).encode(),
    ),
    "capitals": ("list.csv", lambda rows: separated(rows, ",", ("File Name", "Transcription")).encode()),
    "JSON lines": (
        "list.json",
        lambda rows: "".join(
            json.dumps(each, ensure_ascii=False) + "\n" for each in objects(rows, audio="wav")
        ).encode(),
    ),
    "columns of Excel without a name": ("list.csv", lambda rows: separated(rows, ",").replace("\n", ",,\n").encode()),
    "a JSON array": ("list.json", lambda rows: json.dumps(objects(rows, text="transcript"), indent=1).encode()),
}


def write(home: Path, name: str, rows: Rows = ROWS) -> Path:
    file, content = LAYOUTS[name]
    (home / file).write_bytes(content(rows))
    return home / file


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_usual_layout_gives_the_same_files_and_texts(home: Path, layout: str) -> None:
    corpus = read_corpus(f"manifest:{write(home, layout)}")
    assert [(each.audio, each.text) for each in corpus.utterances] == [(home / file, text) for file, text in ROWS]
    assert [each.id for each in corpus.utterances] == [file.removesuffix(".wav") for file in FILES]


def test_lists_of_every_layout_go_all_the_road(tmp_path: Path) -> None:
    specs = []
    for number, layout in enumerate(LAYOUTS):
        rows = tuple((file.replace("각", f"각{number}-"), text) for file, text in ROWS)
        home = tmp_path / str(number)
        record(home, tuple((unicodedata.normalize("NFD", file), text) for file, text in rows) if number % 2 else rows)
        specs.append(f"manifest:{write(home, layout, rows)}")
    account = travel(specs, specs, tmp_path / "run")
    assert (account["train"].utterances, account["train"].dropped) == (4 * len(LAYOUTS), {})


def test_a_kaldi_folder_with_an_empty_transcript_goes_all_the_road(home: Path, tmp_path: Path) -> None:
    (home / "data").mkdir()
    files = [unicodedata.normalize("NFD", file) for file in FILES]
    (home / "data" / "wav.scp").write_text("".join(f"u{n} {file}\n" for n, file in enumerate(files)), encoding="utf-8")
    texts = (*TEXTS[:3], "")
    (home / "data" / "text").write_text("".join(f"u{n} {text}\n" for n, text in enumerate(texts)), encoding="utf-8")
    account = travel(f"kaldi:{home}/data", f"kaldi:{home}/data", tmp_path / "run")
    assert (account["train"].utterances, account["train"].dropped) == (3, {"no transcript": 1})


def test_text_beside_the_audio_goes_all_the_road(home: Path, tmp_path: Path) -> None:
    for file, text in ROWS[:3]:
        (home / file).with_suffix(".txt").write_bytes(f"{text}\r\n".encode("cp949"))
    account = travel(f"folder:{home}/소리", f"folder:{home}/소리", tmp_path / "run")
    assert (account["train"].utterances, account["train"].dropped) == (3, {"no transcript": 1})


@pytest.mark.parametrize(("listed", "named"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_files_are_found_in_the_other_form_of_hangul(tmp_path: Path, listed: str, named: str) -> None:
    real = tmp_path / unicodedata.normalize(named, "녹음") / unicodedata.normalize(named, "각하.wav")
    real.parent.mkdir()
    soundfile.write(real, tones("나무 바다", 100), SAMPLE_RATE)
    written = unicodedata.normalize(listed, "녹음/각하.wav")
    list_ = tmp_path / "list.csv"
    list_.write_text(f"path,text\n{written},나무 바다\n", encoding="utf-8")
    (found,) = read_corpus(f"manifest:{list_}").utterances
    assert (found.audio, found.id) == (real, "녹음/각하")
    assert [each.audio for each in read_inputs(str(list_), Storage())] == [str(real)]
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "wav.scp").write_text(f"{unicodedata.normalize(listed, '각')} {written}\n", encoding="utf-8")
    (tmp_path / "data" / "text").write_text(f"{unicodedata.normalize(named, '각')} 나무\n", encoding="utf-8")
    (found,) = read_corpus(f"kaldi:{tmp_path}/data").utterances
    assert (found.audio, found.id, found.text) == (real, "각", "나무")
    (real.parent / "1.trans.txt").write_text(unicodedata.normalize(listed, "각하 나무\n"), encoding="utf-8")
    (found,) = read_corpus(f"librispeech:{tmp_path}").utterances
    assert (found.audio, found.text) == (real, "나무")


def test_a_file_in_the_other_form_that_leads_outside_is_refused(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / unicodedata.normalize("NFD", "각.wav")).symlink_to(tmp_path / "outside.wav")
    (tmp_path / "in" / "list.csv").write_text("path,text\n각.wav,나무\n", encoding="utf-8")
    with pytest.raises(CorpusError, match="which leaves"):
        read_corpus(f"manifest:{tmp_path}/in/list.csv")


def test_a_list_of_headerless_audio_needs_no_header(tmp_path: Path) -> None:
    (tmp_path / "a.pcm").write_bytes((tones("나무 바다", 100) * 2**15).astype("<i2").tobytes())
    (tmp_path / "list.txt").write_text("a.pcm\t나무 바다\n", encoding="utf-8")
    (found,) = read_corpus(f"manifest:{tmp_path}/list.txt").utterances
    assert (found.text, found.seconds) == ("나무 바다", 1.0)


def test_columns_can_be_named_in_the_spec_by_name_or_by_number(home: Path) -> None:
    rows = "".join(f"{file}|잘못|{text.replace(',', '')}|kim\n" for file, text in ROWS)
    (home / "list.txt").write_text(rows, encoding="utf-8")
    corpus = read_corpus(f"manifest:{home}/list.txt?audio=1&text=3&speaker=4")
    assert [each.text for each in corpus.utterances] == [text.replace(",", "") for text in TEXTS]
    assert corpus.speakers == ("kim",)
    (home / "list.txt").write_text(f"대본|wavname|말한 이|길이\n{rows}".replace("|잘못|", "|"), encoding="utf-8")
    (home / "list.txt").write_text("대본|소리\n나무|소리/각1.wav\n", encoding="utf-8")
    assert read_corpus(f"manifest:{home}/list.txt?audio=소리&text=대본").utterances[0].text == "나무"


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        (
            "l.csv",
            "wavname,script\na,나무\n",
            "line 1 has the columns wavname, script, and it is not sure which",
        ),
        ("l.csv", "소리/각1.wav,나무,바다\n", "l.csv, line 1 has the columns 소리/각1.wav, 나무, 바다, and it is not"),
        (
            "l.csv",
            "소리/각1.wav,나무\n소리/각2.wav,바다, 하늘\n",
            "line 2 has 3 fields for 2 columns: put double",
        ),
        ("l.csv", "path,text\n소리/각1.wav,나무\n바다\n", "l.csv, line 3 has 1 fields for 2 columns"),
        ("l.tsv", "path\ttext\n소리/각1.wav\t나무\t바다\n", "line 2 has 3 fields for 2 columns: .* a text with a tab"),
        (
            "l.csv",
            "path,word\n소리/각1.wav,나무\n",
            "the columns are path, word, and the text is wanted",
        ),
        ("l.csv", "path,wav,text\na,b,나무\n", "has the columns path, wav, text, and path, wav may be the audio: name"),
        ("l.csv", "path,text,sentence\n소리/각1.wav,나무,바다\n", "line 2 has different texts under text and sentence"),
        ("l.csv", 'path,text\n소리/각1.wav,"[""나무""]"\n', "l.csv, line 2 has a JSON list under text, not a text"),
        ("l.csv", "path,text,\n소리/각1.wav,나무,바다\n", "line 2 has 3 fields for 2 columns"),
        ("l.tsv", 'path\ttext\na.wav\t"나무" 바다\n', "line 2 is malformed: .* by a tab, with double quotes"),
        ("l.json", '{"path": "소리/각1.wav", "text": ["나무"]}', "l.json, line 1 has a JSON list under text"),
        (
            "l.json",
            '[{"path": "소리/각1.wav",\n "text": "a"},\n\n{"path": "b.wav", "text": {}}]',
            "line 4 has a JSON o",
        ),
        (
            "l.json",
            '[{"path": "소리/각1.wav"}\n{"path": "b.wav"}]',
            "line 1 is malformed: .* an array of objects",
        ),
        ("l.json", '[{"path": "소리/각1.wav"},\n 3]', "l.json, line 2 is malformed"),
        ("l.json", '[{"path": "소리/각1.wav"}', "l.json, line 1 is malformed"),
    ],
)
def test_what_is_not_sure_is_refused_with_its_line(home: Path, name: str, content: str, told: str) -> None:
    (home / name).write_text(content, encoding="utf-8")
    with pytest.raises(CorpusError, match=told) as error:
        read_corpus(f"manifest:{home / name}")
    assert "\n" not in str(error.value)


def test_named_columns_that_are_not_there_and_schemes_without_columns_are_refused(home: Path) -> None:
    list_ = write(home, "comma")
    with pytest.raises(CorpusError, match="has the columns path, sentence, but not 전사본: name one of these"):
        read_corpus(f"manifest:{list_}?text=전사본")
    with pytest.raises(CorpusError, match="columns are named for folder, hub, manifest, not for kaldi"):
        read_corpus(f"kaldi:{home}?text=전사본")


@pytest.mark.parametrize(
    "content", [b"path,text\na.wav,\xff\xfe\xfa\n", "path,text\na.wav,日本語の文\n".encode("shift_jis")]
)
def test_an_encoding_that_is_not_sure_is_refused(home: Path, content: bytes) -> None:
    (home / "list.csv").write_bytes(content)
    with pytest.raises(CorpusError, match=r"list\.csv is not UTF-8, nor surely UTF-16 or CP949: save it as UTF-8"):
        read_corpus(f"manifest:{home}/list.csv")


def test_a_list_of_files_alone_is_read_where_no_text_is_wanted(home: Path) -> None:
    (home / "list.txt").write_text("".join(f"{file}\n" for file in FILES), encoding="utf-8")
    assert len(read_corpus(f"manifest:{home}/list.txt", transcribed=False).utterances) == 4
    with pytest.raises(CorpusError, match="the columns are audio, and the text is wanted under text"):
        read_corpus(f"manifest:{home}/list.txt")


def test_one_empty_transcript_of_kaldi_is_one_dropped_clip(home: Path) -> None:
    (home / "data").mkdir()
    (home / "data" / "wav.scp").write_text(f"u1 {FILES[0]}\nu2 {FILES[1]}\n", encoding="utf-8")
    (home / "data" / "text").write_text("u1 나무 바다\nu2 \n", encoding="utf-8")
    split = read_scored_split(f"kaldi:{home}/data", Text(), Reading())
    assert (len(split.examples), split.dropped) == (1, {"no transcript": 1})
    assert read_corpus(f"kaldi:{home}/data").problems == (Problem("u2", "no transcript"),)
