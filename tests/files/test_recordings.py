"""Which recordings arguments name, and names for their transcripts that no file system takes for one."""

import unicodedata
from pathlib import Path

import pytest

from distilhubert_ko.bulk.inputs import Storage, read_inputs
from distilhubert_ko.data.readers.folder import read_folder
from distilhubert_ko.data.reading import Reading
from distilhubert_ko.errors import InputError
from distilhubert_ko.files.recordings import AUDIO_SUFFIXES, find_recordings


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def paths(*arguments: str | Path) -> list[str]:
    return [source.path for source in find_recordings([str(argument) for argument in arguments])]


def names(*arguments: str | Path) -> list[str]:
    return [source.name for source in find_recordings([str(argument) for argument in arguments])]


def test_files_stand_in_the_order_of_the_arguments_though_they_are_missing() -> None:
    assert paths("b.wav", "a.m4a", "-") == ["b.wav", "a.m4a", "-"]


@pytest.mark.parametrize("suffix", AUDIO_SUFFIXES)
def test_a_folder_gives_its_audio_and_video_in_any_capitals(suffix: str, tmp_path: Path) -> None:
    touch(tmp_path, f"b{suffix}", f"a{suffix.upper()}", "notes.txt", f"._b{suffix}", f"below/c{suffix}")
    (tmp_path / f"folder{suffix}").mkdir()
    found = [f"a{suffix.upper()}", f"b{suffix}", f"below/c{suffix}"]
    assert paths(tmp_path) == [str(tmp_path / name) for name in found]
    assert names(tmp_path) == ["a", "b", "below/c"]


def test_commands_and_corpora_agree_on_a_folder_and_say_what_they_leave_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    files = ["1.wav", "below/1.MP3", "below/2.m4a", "below/deep/3.flac"]
    touch(tmp_path, *files, ".hidden.wav", ".git/4.wav", "notes.docx", "below/notes.docx", "list")
    found = [
        [each.removeprefix(f"{tmp_path}/") for each in paths(tmp_path)],
        [each.id for each in read_inputs(str(tmp_path), Storage())],
        [
            str(entry.audio).removeprefix(f"{tmp_path}/")
            for entry in read_folder(str(tmp_path), None, Reading()).entries
        ],
    ]
    assert found == [files] * 3
    told = f"{tmp_path}: left out 3 files that are no audio by name (.docx: 2, no suffix: 1)"
    assert caplog.messages == [told] * 3


def test_a_corpus_does_not_count_its_texts_as_left_out_but_audio_without_metadata(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    touch(tmp_path, "a/1.wav", "a/1.txt", "a/2.mp3")
    read_folder(str(tmp_path), None, Reading())
    assert caplog.messages == []
    (tmp_path / "metadata.csv").write_text("file_name,text\na/1.wav,나무\n", encoding="utf-8")
    read_folder(str(tmp_path), None, Reading())
    assert caplog.messages == [f"{tmp_path}: left out audio that the metadata do not list: 1, such as a/2.mp3"]


def test_a_folder_without_audio_is_refused(tmp_path: Path) -> None:
    touch(tmp_path, "notes.txt")
    with pytest.raises(InputError, match="no audio files"):
        find_recordings([str(tmp_path)])


def test_a_pattern_names_the_files_that_fit_it_in_order(tmp_path: Path) -> None:
    touch(tmp_path, "talks/b.m4a", "talks/a.m4a", "talks/2024/c.m4a", "talks/2024/deep/d.m4a", "talks/e.wav")
    (tmp_path / "talks" / "folder.m4a").mkdir()
    flat = [str(tmp_path / name) for name in ("talks/a.m4a", "talks/b.m4a")]
    deep = [str(tmp_path / name) for name in ("talks/2024/c.m4a", "talks/2024/deep/d.m4a")]
    assert paths(tmp_path / "talks/*.m4a") == flat
    assert paths(tmp_path / "talks/**/*.m4a") == deep + flat
    assert paths(tmp_path / "talks/[a]*.m4a") == paths(tmp_path / "talks/?.m4a")[:1] == flat[:1]


@pytest.mark.parametrize("pattern", ["*.m4a", "**/*.wav", "[ab].wav", "fold*"])
def test_a_pattern_that_fits_no_file_is_refused_by_name(pattern: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="no file fits") as error:
        find_recordings([str(tmp_path / pattern)])
    assert pattern in str(error.value)


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tmp_path: Path) -> None:
    touch(tmp_path, "talk [1].wav", "talk 1.wav")
    assert paths(tmp_path / "talk [1].wav") == [str(tmp_path / "talk [1].wav")]


def test_a_folder_whose_name_looks_like_a_pattern_is_that_folder(tmp_path: Path) -> None:
    touch(tmp_path, "[강의]/a.wav", "강/b.wav")
    assert paths(tmp_path / "[강의]") == [str(tmp_path / "[강의]" / "a.wav")]


def test_a_name_is_the_stem_where_it_is_the_only_one() -> None:
    assert names("a/one.wav", "two.part.m4a", "-") == ["one", "two.part", "stdin"]


def test_a_shared_stem_keeps_the_suffix_and_after_that_is_counted() -> None:
    assert names("a/x.wav", "x.m4a", "b/x.wav", "x.wav.mp3") == ["x.wav", "x.m4a", "x.wav-2", "x.wav-3"]
    assert names("-", "stdin.wav", "stdin") == ["stdin", "stdin.wav", "stdin-2"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("A.wav", "a.wav"),
        ("Talk.wav", "tALK.WAV"),
        ("É.wav", "é.wav"),
        (unicodedata.normalize("NFC", "강의.wav"), unicodedata.normalize("NFD", "강의.wav")),
        ("a.wav", "A.m4a"),
    ],
)
def test_names_differ_even_where_capitals_and_forms_of_hangul_do_not(one: str, other: str) -> None:
    first, second = (unicodedata.normalize("NFC", name.casefold()) for name in names(one, other))
    assert first != second
