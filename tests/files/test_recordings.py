"""Which recordings arguments name, and names for their transcripts that no file system takes for one."""

import unicodedata
from pathlib import Path

import pytest

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
    assert paths(tmp_path) == [str(tmp_path / f"a{suffix.upper()}"), str(tmp_path / f"b{suffix}")]


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
