"""Streaming from the Hub: what is fetched, what is kept, and that a run ends where it would have ended on a disk.

The Hub is a server on this machine, asked by the Hub's own client; the real one was never asked by these tests.
"""

import json
import signal
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from distilhubert_ko import recipe
from distilhubert_ko.data.corpora import Corpus, Problem, read_corpus
from distilhubert_ko.data.examples import Example
from distilhubert_ko.data.reading import Reading
from distilhubert_ko.data.shards import KEPT_GROUPS, MIXING_POOL, MIXING_WINDOW, RowGroup, describe_shards
from distilhubert_ko.errors import AudioError, CorpusError, InputError, RecipeError, UnavailableError
from distilhubert_ko.model.loading import build_network
from distilhubert_ko.model.saving import save_network
from distilhubert_ko.text.tokenizer import Tokenizer
from distilhubert_ko.training import distill
from distilhubert_ko.training.checkpoints import last_whole_checkpoint
from distilhubert_ko.training.clips import AugmentedClips
from distilhubert_ko.training.sampling import RowGroupSampler, evaluation_order, row_groups
from tests.support.full_disk import no_file_above
from tests.support.hub import Hub, ask_only
from tests.support.model import TINY
from tests.support.parquet import sound, write_shard
from tests.support.processes import apart, start_processes_as_usual
from tests.support.runs import account, assert_the_same_end, fail, in_step, life, small, train, with_workers

SPEC = "hub:owner/name#train"


def wave(samples: int, level: float = 0.1) -> np.ndarray:
    return np.full(samples, level, dtype=np.float32)


def put(hub: Hub, clips: list[int], row_group: int = 2, shards: int = 1, **columns: list[Any]) -> None:
    """Clips of so many samples, each of another loudness, as the train split."""
    contents = [sound(wave(samples, (1 + index) / 100)) for index, samples in enumerate(clips)]
    rows = {"text": ["말"] * len(clips), "speaker_id": [index // 2 for index in range(len(clips))]} | columns
    each = len(clips) // shards
    for shard in range(shards):
        part = slice(shard * each, (shard + 1) * each)
        file = hub.folder / "data" / f"train-{shard:05d}-of-{shards:05d}.parquet"
        write_shard(file, contents[part], {name: column[part] for name, column in rows.items()}, row_group)


def streamed(measured: bool = True) -> Corpus:
    return read_corpus(SPEC, Reading(streaming=True), measured=measured)


def spool(tmp_path: Path) -> list[Path]:
    return [*(tmp_path / "cache").rglob("*.arrow")]


# What a data set says


def test_a_streamed_corpus_is_the_downloaded_one(hub: Hub, tmp_path: Path) -> None:
    put(hub, [800, 1600, 2400, 3200, 4000, 4800], shards=2, gender=["f", "m"] * 3)
    downloaded, found = read_corpus(f"hub:{hub.folder}#train"), streamed()
    for one, other in zip(downloaded.utterances, found.utterances, strict=True):
        assert (one.id, one.text, one.speaker, one.gender) == (other.id, other.text, other.speaker, other.gender)
        assert (one.seconds, one.seconds_from) == (other.seconds, other.seconds_from)
        np.testing.assert_array_equal(one.wave(), other.wave())
    reading = Reading(heldout="every 3rd speaker", streaming=True)
    assert read_corpus("hub:owner/name#test", reading).speakers == ("2",)


def test_a_revision_can_be_named(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    put(hub, [800, 800])
    assert len(read_corpus(f"hub:owner/name@{hub.revision}#train", Reading(streaming=True)).utterances) == 2
    asked: list[Any] = []

    def build(*asked_for: Any, **options: Any) -> None:
        asked.append((asked_for, options))
        raise TimeoutError

    monkeypatch.setattr("datasets.load_dataset_builder", build)
    with pytest.raises(UnavailableError):
        read_corpus("hub:owner/name@v1#train")
    assert asked == [(("owner/name", None), {"revision": "v1"})]


@pytest.mark.parametrize("streaming", [True, False])
def test_a_corpus_knows_its_commit_and_a_folder_has_none(hub: Hub, streaming: bool) -> None:
    put(hub, [800, 800])
    assert read_corpus(SPEC, Reading(streaming=streaming)).revision == hub.revision
    assert read_corpus(f"hub:{hub.folder}#train", Reading(streaming=streaming)).revision is None


@pytest.mark.parametrize("listed", [True, False])
def test_transcripts_are_read_without_the_sound(hub: Hub, listed: bool) -> None:
    count = 320
    rows = {"duration": [0.5] * count} if listed else {}
    put(hub, [8000] * count, row_group=80, **rows)
    corpus = streamed(measured=False)
    assert {u.seconds_from for u in corpus.utterances} == {"corpus" if listed else "text"}
    assert corpus.hours == pytest.approx(count * 0.5 / 3600)
    source = describe_shards([u.audio for u in corpus.utterances])
    assert source is not None
    assert (source["shards"], source["row_groups"]) == (1, 4)
    # One row group, from which lengths are guessed, where they are not listed; the end of a shard is its index.
    group = source["gigabytes"] * 1e9 / 4
    assert sum(hub.fetched) < 80_000 + (0 if listed else 1.05 * group)


def test_a_guess_at_a_length_goes_by_the_characters(hub: Hub) -> None:
    texts = ["가", "가나", "가나 다라", ""]
    put(hub, [1600, 3200, 6400, 1600], text=texts)
    corpus = streamed(measured=False)
    assert [u.seconds for u in corpus.utterances] == pytest.approx([0.1, 0.2, 0.4])
    assert corpus.problems == (Problem("train-000003", "no transcript"),)


def test_a_clip_without_sound_names_itself(hub: Hub) -> None:
    write_shard(hub.folder / "data/train.parquet", [sound(wave(800)), None], {"text": ["말", "말"]}, 2)
    with pytest.raises(AudioError, match=r"^utterance train-000001: row 1 of row group 0 of hf://.* has no audio"):
        streamed(measured=False).utterances[1].wave()
    assert streamed().problems == (Problem("train-000001", "audio unreadable"),)


def test_what_cannot_be_streamed_says_why(hub: Hub) -> None:
    put(hub, [800])
    with pytest.raises(CorpusError, match="no split 'dev': this data set has train"):
        read_corpus("hub:owner/name#dev", Reading(streaming=True))
    (hub.folder / "data/train-00000-of-00001.parquet").unlink()
    (hub.folder / "data/train.csv").write_text("text\n말\n", encoding="utf-8")
    with pytest.raises(CorpusError, match=r"train\.csv, and only parquet can be streamed.*refs/convert/parquet"):
        streamed()


def test_a_table_without_sound_says_what_it_has(hub: Hub) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    (hub.folder / "data").mkdir()
    pq.write_table(pa.table({"text": ["말"]}), hub.folder / "data/train.parquet")
    with pytest.raises(CorpusError, match="needs the column audio, but has text"):
        streamed()


def test_splices_and_streams_are_not_for_each_other() -> None:
    with pytest.raises(RecipeError, match=r"data\.streaming"):
        recipe.Recipe(
            data=recipe.Data(streaming=True), augment=recipe.Augment(splice_prob=0.5, splice_model="owner/model")
        )


# What is fetched and kept


def test_a_part_of_an_epoch_fetches_about_its_part_of_the_sound_and_keeps_little(hub: Hub, tmp_path: Path) -> None:
    parts, groups, rows = 4, 160, 2
    count = groups * rows
    put(hub, [4000] * count, row_group=rows, shards=parts, duration=[0.25] * count)
    examples = [Example(u, "말") for u in streamed(measured=False).utterances]
    sampler = RowGroupSampler(row_groups(examples), [e.samples for e in examples], 4, seed=0)
    hub.fetched.clear()
    whole, most = (hub.folder / "data/train-00000-of-00004.parquet").stat().st_size * parts, 0
    shares, heard = [], Counter[int]()
    for done, index in enumerate(sampler, 1):
        examples[index].utterance.wave()
        heard[index] += 1
        most = max(most, len(spool(tmp_path)))
        if done % (count // parts) == 0:
            shares.append(sum(hub.fetched) / whole)
    at_hand = (MIXING_WINDOW + MIXING_POOL) / groups
    assert all(share <= part / parts + at_hand for part, share in enumerate(shares, 1))
    assert shares[-1] == pytest.approx(1, abs=0.05)  # nothing twice
    assert most <= KEPT_GROUPS
    assert set(heard.values()) == {1}


def test_evaluation_reads_one_row_group_after_another(hub: Hub) -> None:
    put(hub, [1600, 800, 3200, 2400], row_group=2)
    examples = [Example(u, "말") for u in streamed().utterances]
    assert [e.samples for e in evaluation_order(examples)] == [800, 1600, 2400, 3200]
    assert row_groups(evaluation_order(examples)) == [0, 0, 1, 1]


def test_a_file_of_the_spool_that_is_no_arrow_is_fetched_again(hub: Hub, tmp_path: Path) -> None:
    put(hub, [800, 1600])
    utterance = streamed(measured=False).utterances[1]
    (file,) = spool(tmp_path)
    file.write_bytes(b"")
    assert len(utterance.wave()) == 1600


def test_a_disk_that_keeps_nothing_that_is_fetched_is_an_error_and_no_endless_loop(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(hub, [800, 1600])
    utterance = streamed(measured=False).utterances[1]
    for file in spool(tmp_path):
        file.unlink()
    monkeypatch.setattr(RowGroup, "_fetch", lambda self, path: path.write_bytes(b"no Arrow"))
    with pytest.raises(InputError, match=r"-0\.arrow cannot be read though it was fetched 3 times .*XDG_CACHE_HOME"):
        utterance.wave()


def test_a_spool_without_room_is_no_failure_of_the_network(hub: Hub, tmp_path: Path) -> None:
    put(hub, [16_000, 16_000])
    utterance = streamed(measured=False).utterances[1]
    for file in spool(tmp_path):
        file.unlink()
    with (
        no_file_above(20_000),
        pytest.raises(InputError, match=r"^row group 0 of hf://.* cannot be kept in .* GB are free.*make room"),
    ):
        utterance.wave()
    assert not [file for file in (tmp_path / "cache").rglob("*") if file.suffix in (".arrow", ".tmp")]
    assert len(utterance.wave()) == 16_000


def test_a_shard_that_is_gone_is_not_asked_for_again(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(hub, [800, 1600])
    on_the_hub, in_a_folder = streamed(measured=False), read_corpus(f"hub:{hub.folder}#train", Reading(streaming=True))
    for file in [*spool(tmp_path), *hub.folder.rglob("*.parquet")]:
        file.unlink()
    monkeypatch.setattr("time.sleep", lambda seconds: pytest.fail("it waits"))
    for corpus in (on_the_hub, in_a_folder):
        with pytest.raises(CorpusError, match=r"^row group 0 of .*the file is gone .*revision"):
            corpus.utterances[1].wave()


# When the network fails, or the data set changes


def test_a_reading_that_fails_is_tried_again(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    put(hub, [800, 1600])
    corpus = streamed(measured=False)
    for file in spool(hub.folder.parent):
        file.unlink()
    hub.failures = 8  # the Hub's client gives up after six, once
    assert len(corpus.utterances[1].wave()) == 1600
    assert hub.failures == 0


def test_a_network_that_stays_away_is_an_error_that_says_how_to_go_on(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    put(hub, [800, 1600])
    corpus = streamed(measured=False)
    for file in spool(tmp_path):
        file.unlink()
    hub.failures = 10**6
    with pytest.raises(UnavailableError, match=r"^row group 0 of hf://.* in 3 tries .*network.*--resume.*whole$"):
        corpus.utterances[1].wave()
    assert spool(tmp_path) == []
    with pytest.raises(UnavailableError, match=r"^the transcripts of hub:owner/name in hf://.* in 3 tries"):
        streamed()


@pytest.mark.parametrize("samples", [1600, 2400])
def test_a_shard_that_was_written_anew_is_not_read_whatever_its_size(hub: Hub, tmp_path: Path, samples: int) -> None:
    put(hub, [800, 1600])
    corpus = read_corpus(f"hub:{hub.folder}#train", Reading(streaming=True), measured=False)
    for file in spool(tmp_path):
        file.unlink()
    put(hub, [800, samples], text=["물", "말"])
    with pytest.raises(CorpusError, match=r"has changed while it was read: .*revision"):
        corpus.utterances[1].wave()


# Training


@pytest.fixture
def speech(hub: Hub, tiny_speech: Path) -> Hub:
    """tiny_speech as a data set with the splits train, in two shards, and test."""
    for manifest, split, count in (("train", "train", 2), ("dev", "test", 1)):
        records = [json.loads(line) for line in (tiny_speech / f"{manifest}.jsonl").read_text("utf-8").splitlines()]
        each = len(records) // count
        for shard in range(count):
            part = records[shard * each : (shard + 1) * each]
            columns = {"text": [r["text"] for r in part], "speaker_id": [r["speaker"] for r in part]}
            clips = [(tiny_speech / r["audio_filepath"]).read_bytes() for r in part]
            write_shard(hub.folder / f"data/{split}-{shard:05d}-of-{count:05d}.parquet", clips, columns, 3)
    return hub


@pytest.fixture
def config(speech: Hub) -> recipe.Recipe:
    data = recipe.Data(train=SPEC, eval="hub:owner/name#test", streaming=True)
    return replace(small(speech.folder, num_epochs=1), data=data)


def prepare(endpoint: str, home: Path) -> None:
    """From now on, this process streams from that Hub: nothing is kept in memory, and two processes read."""
    ask_only(pytest.MonkeyPatch(), endpoint, home)
    with_workers()


@pytest.fixture
def streaming(speech: Hub, tmp_path: Path) -> partial[None]:
    """Prepares another process for it."""
    return partial(prepare, speech.endpoint, tmp_path)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU's sums differ from run to run")
def test_a_streamed_run_that_is_killed_ends_where_an_undisturbed_run_does(
    config: recipe.Recipe, streaming: partial[None], tmp_path: Path
) -> None:
    config = replace(config, training=replace(config.training, num_epochs=2))
    undisturbed, out = tmp_path / "undisturbed", tmp_path / "out"
    code, moments = life(0, undisturbed, train, config, undisturbed, False, streaming)
    assert code == 0
    for fatal in (moments // 2, moments // 3, 0):
        code, _ = life(fatal, out, train, config, out, out.is_dir(), streaming)
        assert code == (-signal.SIGKILL if fatal else 0)
    assert_the_same_end(out, undisturbed)
    source = json.loads((out / "data.json").read_text("utf-8"))["splits"]["train"]["source"]
    assert (source["shards"], source["row_groups"]) == (2, 6)


def lose_the_network_in_step_4(home: Path) -> None:
    """And what was fetched before; waiting takes no time."""

    def go_away() -> None:
        (home / "away").touch()
        for file in spool(home):
            file.unlink()

    patch = pytest.MonkeyPatch()
    patch.setattr("time.sleep", lambda seconds: None)
    in_step(patch, 4, go_away)


def test_a_run_whose_network_goes_away_can_go_on(
    config: recipe.Recipe, speech: Hub, streaming: partial[None], tmp_path: Path
) -> None:
    apart(train, config, tmp_path / "undisturbed", False, streaming)
    with pytest.raises(UnavailableError, match=r"^row group \d of hf://.*--resume") as error:
        apart(train, config, tmp_path / "out", False, streaming, partial(lose_the_network_in_step_4, tmp_path))
    assert "\n" not in str(error.value)
    assert last_whole_checkpoint(tmp_path / "out" / "checkpoints")
    speech.away.unlink()
    apart(train, config, tmp_path / "out", True, streaming)
    assert_the_same_end(tmp_path / "out", tmp_path / "undisturbed")


def stop_in_step_5() -> None:
    in_step(pytest.MonkeyPatch(), 5, fail(ZeroDivisionError()))


def test_a_run_does_not_go_on_with_other_shards(
    config: recipe.Recipe, speech: Hub, streaming: partial[None], tmp_path: Path
) -> None:
    with pytest.raises(ZeroDivisionError):
        apart(train, config, tmp_path / "out", False, streaming, stop_in_step_5)
    before = speech.revision
    (speech.folder / "README.md").write_text("# Speech\n", encoding="utf-8")
    shard = speech.folder / "data/train-00001-of-00002.parquet"
    content = shard.read_bytes()
    other = bytearray(content)
    other[len(content) // 2] ^= 1  # of the sound; all sizes and places stay
    shard.write_bytes(other)
    with pytest.raises(
        CorpusError, match=rf"not what this run began with \(train: {before} then, {speech.revision} now"
    ):
        apart(train, config, tmp_path / "out", True, streaming)
    shard.write_bytes(content)  # a new README alone is no reason
    apart(train, config, tmp_path / "out", True, streaming)


def test_a_run_counts_the_clips_that_turn_out_too_long(
    config: recipe.Recipe, speech: Hub, streaming: partial[None], tmp_path: Path
) -> None:
    """tiny_speech has clips of 1.0 s and of 1.6 s, and nothing tells their lengths but the sound."""
    shard = speech.folder / "data/train-00001-of-00002.parquet"
    lengths = [16_000] * 4 + [40_000] + [16_000] * 4
    columns = {"text": ["나무 바다"] * 8 + ["나무 바다 하늘 구름"], "speaker_id": ["s1"] * 9}
    write_shard(shard, [sound(wave(n, 0.01 * (row + 1))) for row, n in enumerate(lengths)], columns, 3)
    config = replace(config, data=replace(config.data, max_seconds=2.0))
    apart(train, config, tmp_path / "out", False, streaming)
    assert account(tmp_path / "out")["unfit"] == {"too long": 1}
    assert account(tmp_path / "out")["unreadable"] == []


def test_an_unfit_clip_sounds_like_the_next(hub: Hub) -> None:
    put(hub, [1600, 40_000, 3200, 100])
    examples = [Example(u, "말") for u in streamed(measured=False).utterances]
    limits = recipe.Data(max_seconds=1.0)
    clips = AugmentedClips(examples, Tokenizer.from_texts(["말"], "jamo"), recipe.Augment(), None, 0, limits)
    np.testing.assert_array_equal(clips[1]["wave"], clips[2]["wave"])
    np.testing.assert_array_equal(clips[3]["wave"], clips[0]["wave"])
    assert clips.unfit() == {"too long": 1, "more labels than frames": 1}
    alone = AugmentedClips(examples[1:2], clips.tokenizer, recipe.Augment(), None, 0, limits)
    with pytest.raises(CorpusError, match=r"none of 1 training clips can be used.*data\.max_seconds"):
        alone[0]


def learn(config: recipe.Recipe, out: Path, prepare: partial[None]) -> dict[str, Any]:
    start_processes_as_usual()
    prepare()
    return distill.distill(config, out)


def test_a_student_learns_from_a_stream(config: recipe.Recipe, streaming: partial[None], tmp_path: Path) -> None:
    network = build_network(replace(TINY, num_hidden_layers=2), distill.NO_LABELS)
    save_network(network, tmp_path / "teacher")
    data, augment = config.data, recipe.Augment()
    training = replace(config.training, num_epochs=1, ema_decay=0.0)
    teacher = recipe.Distill(teacher=str(tmp_path / "teacher"), layers=(2,))
    student = replace(TINY, num_hidden_layers=1)
    config = recipe.Recipe(data=data, model=student, augment=augment, training=training, distill=teacher)
    found = apart(learn, config, tmp_path / "out", streaming)
    assert found["data"]["train"]["source"]["shards"] == 2
    assert (tmp_path / "out" / "data.json").exists()
