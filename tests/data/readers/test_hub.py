"""Data sets of the Hub and folders in its form: configurations, columns, languages, revisions."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from distilhubert_ko.data.corpora import read_corpus
from distilhubert_ko.data.reading import Reading
from distilhubert_ko.errors import CorpusError
from distilhubert_ko.evaluation.card_metadata import corpus_name
from tests.support.hub import Hub
from tests.support.parquet import sound, write_shard
from tests.support.road import travel
from tests.support.speech import tones

TEXTS = ("나무 바다", "바다 하늘", "하늘 나무", "나무 하늘")
WAYS = pytest.mark.parametrize("streaming", [False, True])
PAGE = "---\nconfigs:\n{}---\n"
CONFIG = "- config_name: {0}\n  data_files:\n  - split: train\n    path: {0}/train.parquet\n"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))


def write_languages(folder: Path, languages: Sequence[str], mixed: bool = False) -> Path:
    """FLEURS' columns, in a configuration for each language, or in one for all of them."""
    for number, name in enumerate(languages):
        spoken = [languages[row % len(languages)] if mixed else name for row in range(len(TEXTS))]
        columns = {
            "transcription": [*TEXTS],
            "raw_transcription": ["틀림"] * 4,
            "client_id": ["kim", "lee"] * 2,
            "language": spoken,
        }
        write_shard(folder / name / "train.parquet", [sound(tones(text, 100)) for text in TEXTS], columns, 2)
        if mixed and not number:
            break
    listed = languages[:1] if mixed else languages
    (folder / "README.md").write_text(PAGE.format("".join(map(CONFIG.format, listed))), encoding="utf-8")
    return folder


@WAYS
def test_a_configuration_is_read_by_its_name_with_usual_columns(tmp_path: Path, streaming: bool) -> None:
    folder = write_languages(tmp_path / "fleurs", ["ko_kr", "en_us"])
    corpus = read_corpus(f"hub:{folder}:ko_kr#train", Reading(streaming=streaming))
    assert [each.text for each in corpus.utterances] == [*TEXTS]
    assert corpus.speakers == ("kim", "lee")
    named = read_corpus(f"hub:{folder}:ko_kr?text=raw_transcription&speaker=language#train")
    assert (named.utterances[0].text, named.speakers) == ("틀림", ("ko_kr",))


def test_a_configuration_goes_all_the_road(tmp_path: Path) -> None:
    corpus = f"hub:{write_languages(tmp_path / 'fleurs', ['ko_kr', 'en_us'])}:ko_kr#train"
    assert travel(corpus, corpus, tmp_path / "run")["train"].utterances == 4


def test_a_configuration_of_the_hub_is_read_at_its_revision(hub: Hub) -> None:
    write_languages(hub.folder, ["ko_kr", "en_us"])
    corpus = read_corpus(f"hub:owner/name@{hub.revision}:ko_kr#train")
    assert (len(corpus.utterances), corpus.revision) == (4, hub.revision)
    with pytest.raises(CorpusError, match="hub:owner/name:NAME: ko_kr, en_us"):
        read_corpus("hub:owner/name#train")


@WAYS
@pytest.mark.parametrize("asked", ["", ":ja_jp"])
def test_without_one_of_several_configurations_those_there_are_are_named(
    tmp_path: Path, streaming: bool, asked: str
) -> None:
    folder = write_languages(tmp_path / "fleurs", ["en_us", "ko_kr"])
    with pytest.raises(CorpusError, match=f"never mixed, as in hub:{folder}:NAME: ko_kr, en_us") as error:
        read_corpus(f"hub:{folder}{asked}#train", Reading(streaming=streaming))
    assert "\n" not in str(error.value)


@WAYS
def test_folders_for_several_languages_are_not_mixed_and_one_of_them_is_read(tmp_path: Path, streaming: bool) -> None:
    folder = write_languages(tmp_path / "speech", ["ko", "en"])
    (folder / "README.md").unlink()
    with pytest.raises(
        CorpusError, match=rf"several languages \(ko, en\), which are never mixed: name hub:{folder}/ko"
    ):
        read_corpus(f"hub:{folder}", Reading(streaming=streaming))
    assert len(read_corpus(f"hub:{folder}/ko#train", Reading(streaming=streaming)).utterances) == 4


@WAYS
def test_rows_in_several_languages_are_refused(tmp_path: Path, streaming: bool) -> None:
    folder = write_languages(tmp_path / "all", ["ko_kr", "en_us"], mixed=True)
    with pytest.raises(CorpusError, match=r"has 2 languages \(en_us, ko_kr\): its configurations do not part them"):
        read_corpus(f"hub:{folder}#train", Reading(streaming=streaming))


@WAYS
def test_audio_under_another_name_is_found_and_a_column_that_is_missing_is_refused(
    tmp_path: Path, streaming: bool
) -> None:
    import datasets

    clips = [{"bytes": sound(tones(text, 100)), "path": "a.wav"} for text in TEXTS]
    rows = datasets.Dataset.from_dict({"speech": clips, "script": [*TEXTS]})
    (tmp_path / "speech").mkdir()
    kept = rows.cast_column("speech", datasets.Audio(decode=False)).cast_column("speech", datasets.Audio())
    kept.to_parquet(tmp_path / "speech" / "train.parquet")
    way = Reading(streaming=streaming)
    corpus = read_corpus(f"hub:{tmp_path}/speech?text=script#train", way)
    assert [each.text for each in corpus.utterances] == [*TEXTS]
    assert len(corpus.utterances[0].wave()) == len(tones(TEXTS[0], 100))
    with pytest.raises(CorpusError, match=r"no transcript.: the columns are speech, script, and the text is wanted"):
        read_corpus(f"hub:{tmp_path}/speech#train", way)
    with pytest.raises(CorpusError, match="has the columns speech, script, but not words: name one of these"):
        read_corpus(f"hub:{tmp_path}/speech?text=words#train", way)


@WAYS
def test_a_folder_without_data_files_is_refused_in_one_line(tmp_path: Path, streaming: bool) -> None:
    (tmp_path / "empty").mkdir()
    for name, told in (("empty", "has no data files that datasets reads"), ("gone", "there is no folder")):
        with pytest.raises(CorpusError, match=told) as error:
            read_corpus(f"hub:{tmp_path}/{name}#train", Reading(streaming=streaming))
        assert "\n" not in str(error.value)


@WAYS
@pytest.mark.parametrize("packed", [False, True])
def test_a_folder_is_read_only_at_the_revision_that_is_asked_for(tmp_path: Path, streaming: bool, packed: bool) -> None:
    folder, way = write_languages(tmp_path / "clone", ["ko"]), Reading(streaming=streaming)
    with pytest.raises(CorpusError, match="is no clone of a repository and has no revisions: leave out @v1"):
        read_corpus(f"hub:{folder}@v1#train", way)
    now, before = "12" * 20, "ab" * 20
    git = folder / ".git"
    (git / "refs" / "heads").mkdir(parents=True)
    (git / "HEAD").write_text("ref: refs/heads/main\n", encoding="utf-8")
    if packed:
        (git / "packed-refs").write_text(
            f"# pack-refs\n{now} refs/heads/main\n{'c' * 40} refs/tags/v2\n^{now}\n{before} refs/tags/v1\n"
        )
    else:
        (git / "refs" / "tags").mkdir()
        for name, commit in (("heads/main", now), ("tags/v2", now), ("tags/v1", before)):
            (git / "refs" / name).write_text(f"{commit}\n", encoding="utf-8")
    for revision in ("main", "v2", now, now[:7]):
        assert read_corpus(f"hub:{folder}@{revision}#train", way).revision == now
    for revision in ("v1", before, "v3"):
        with pytest.raises(CorpusError, match=f"is at 121212121212: leave out @{revision}, or run git"):
            read_corpus(f"hub:{folder}@{revision}#train", way)


def test_a_snapshot_of_the_hubs_cache_is_at_the_commit_of_its_name(tmp_path: Path) -> None:
    folder = write_languages(tmp_path / "snapshots" / ("12" * 20), ["ko"])
    assert read_corpus(f"hub:{folder}@{'12' * 20}#train").revision == "12" * 20
    with pytest.raises(CorpusError, match="is at 121212121212"):
        read_corpus(f"hub:{folder}@{'ab' * 20}#train")


def test_a_card_names_a_data_set_without_its_configuration_and_columns() -> None:
    assert corpus_name("hub:google/fleurs@main:ko_kr?text=transcription#test") == "google/fleurs"
