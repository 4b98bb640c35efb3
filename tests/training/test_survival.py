"""Runs that are killed, corrupted, starved of room or fed damage: what they keep, and where they end when resumed."""

import dataclasses
import json
import multiprocessing
import os
import random
import shutil
import signal
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file

from distilhubert_ko import model_folder, recipe
from distilhubert_ko.data.corpora import read_corpus
from distilhubert_ko.data.dataset import usable_split
from distilhubert_ko.errors import AudioError, CorpusError, InputError, TrainingError
from distilhubert_ko.text.tokenizer import Tokenizer
from distilhubert_ko.training import failures, finetune
from distilhubert_ko.training.checkpoints import (
    CHECKSUMS,
    TEMPORARY,
    checkpoint_fault,
    checkpoint_folder,
    checkpoint_steps,
    checkpoint_to_resume,
    delete_old_checkpoints,
    last_whole_checkpoint,
    new_checkpoint,
    seal_checkpoint,
)
from distilhubert_ko.training.clips import AugmentedClips
from tests.support.full_disk import no_file_above
from tests.support.processes import apart
from tests.support.runs import account, assert_the_same_end, fail, in_step, life, small, train, with_workers

STEPS = 10  # 18 utterances in batches of 4, twice
FILES = {
    "average.safetensors",
    "checksums.json",
    "config.json",
    "model.safetensors",
    "optimizer.pt",
    "rng_state.pth",
    "scheduler.pt",
    "trainer_state.json",
    "pending_loss.json",
    "recipe.toml",
}


@pytest.fixture(scope="module")
def undisturbed(tiny_speech: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finetune.fine_tune(small(tiny_speech), tmp_path_factory.mktemp("runs") / "undisturbed").folder


@pytest.fixture
def copy(undisturbed: Path, tmp_path: Path) -> Path:
    """Of the undisturbed run, as if it had been stopped before it wrote its model."""
    (out := tmp_path / "copy").mkdir()
    for name in ("recipe.toml", "data.json", model_folder.LOG):
        shutil.copy(undisturbed / name, out)
    shutil.copytree(undisturbed / "checkpoints", out / "checkpoints")
    return out


# Killed


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU's sums differ from run to run")
def test_a_run_that_is_killed_again_and_again_ends_where_an_undisturbed_run_does(
    tiny_speech: Path, tmp_path: Path
) -> None:
    """On the CPU, in float32, whatever it was at work on when it died."""
    config, undisturbed, out = small(tiny_speech), tmp_path / "undisturbed", tmp_path / "out"
    code, moments = life(0, undisturbed, train, config, undisturbed)
    assert code == 0
    draw, kills = random.Random(0), 0
    while True:
        resume = out.is_dir() and any(out.iterdir())
        fatal = draw.randint(1, moments // 2) if kills < 5 else 0
        code, _ = life(fatal, out, train, config, out, resume)
        if code == 0:
            break
        assert code == -signal.SIGKILL
        kills += 1
    assert kills >= 3
    assert_the_same_end(out, undisturbed)
    assert [path.name for path in (out / "checkpoints").iterdir() if path.name.startswith("corrupt")] == []


def save(home: Path, step: int) -> None:
    with new_checkpoint(home, step) as temporary:
        for name in ("model.safetensors", "optimizer.pt"):
            (checkpoint_folder(temporary, step) / name).write_bytes(bytes([step]) * 1000)
    delete_old_checkpoints(home, best=1)


def test_a_process_that_dies_while_saving_leaves_the_old_checkpoint_or_the_new_one(tmp_path: Path) -> None:
    """At every single step of it."""
    outcomes = []
    for fatal in range(1, 100):
        home = tmp_path / f"{fatal}"
        home.mkdir()
        save(home, 1)
        save(home, 2)
        code, _ = life(fatal, home, save, home, 3)
        assert all(checkpoint_fault(checkpoint_folder(home, step)) == "" for step in checkpoint_steps(home))
        assert 1 in checkpoint_steps(home)
        found = last_whole_checkpoint(home)
        assert found is not None
        outcomes.append(found.name)
        assert not (home / TEMPORARY).exists()
        save(home, 4)
        assert checkpoint_steps(home) == [1, 4]
        if code == 0:
            break
    assert outcomes == sorted(outcomes)
    assert {*outcomes} == {"checkpoint-2", "checkpoint-3"}


def test_a_run_that_ended_before_its_first_checkpoint_starts_again(
    tiny_speech: Path,
    undisturbed: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    in_step(monkeypatch, 2, fail(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        finetune.fine_tune(small(tiny_speech), tmp_path / "out")
    finetune.fine_tune(small(tiny_speech), tmp_path / "out", resume=True)
    assert "no checkpoint was saved yet" in caplog.text
    assert_the_same_end(tmp_path / "out", undisturbed)


def test_a_folder_with_anything_else_in_it_is_not_taken_for_such_a_run(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(InputError, match="no checkpoint to resume from"):
        checkpoint_to_resume(tmp_path, resume=True)


def test_a_log_with_half_a_line_at_its_end_is_mended(tiny_speech: Path, undisturbed: Path, copy: Path) -> None:
    file = copy / model_folder.LOG
    file.write_text(file.read_text(encoding="utf-8")[:-30], encoding="utf-8")
    shutil.rmtree(checkpoint_folder(copy / "checkpoints", STEPS))
    finetune.fine_tune(small(tiny_speech), copy, resume=True)
    assert_the_same_end(copy, undisturbed)


def test_a_run_saved_in_fp16_resumes_in_another_precision(tiny_speech: Path, undisturbed: Path, copy: Path) -> None:
    """On a GPU fp16 leaves the scaler of its gradients; bf16 and float32 have none."""
    shutil.rmtree(checkpoint_folder(copy / "checkpoints", STEPS))
    checkpoint = last_whole_checkpoint(copy / "checkpoints")
    assert checkpoint is not None
    torch.save(torch.amp.GradScaler("cpu").state_dict(), checkpoint / "scaler.pt")
    seal_checkpoint(checkpoint)
    finetune.fine_tune(small(tiny_speech), copy, resume=True)
    assert_the_same_end(copy, undisturbed)


def test_a_run_that_had_stopped_early_does_not_train_on(tiny_speech: Path, tmp_path: Path) -> None:
    config = small(tiny_speech, num_epochs=50, eval_steps=1, early_stopping_patience=2, learning_rate=1e-9)
    out = finetune.fine_tune(config, tmp_path / "out").folder
    steps, weights = account(out)["total_steps"], load_file(out / "last" / "model.safetensors")
    (out / "model.safetensors").unlink()
    finetune.fine_tune(config, out, resume=True)
    assert account(out)["total_steps"] == steps < 50
    found = load_file(out / "last" / "model.safetensors")
    assert all(torch.equal(found[name], weights[name]) for name in weights)
    assert (out / "model.safetensors").exists()


def test_a_run_goes_on_where_its_folder_was_moved_to(
    tiny_speech: Path, undisturbed: Path, copy: Path, tmp_path: Path
) -> None:
    moved = Path(shutil.move(copy, tmp_path / "elsewhere"))
    finetune.fine_tune(small(tiny_speech), moved, resume=True)
    assert account(moved)["best_step"] == account(undisturbed)["best_step"]
    assert_the_same_end(moved, undisturbed)


# Torn


def truncate(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def empty(file: Path) -> None:
    os.truncate(file, 0)


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 4
    file.write_bytes(content)


@pytest.mark.parametrize("damage", [truncate, empty, flip, Path.unlink])
@pytest.mark.parametrize("name", sorted(FILES))
def test_a_checkpoint_with_a_damaged_file_is_passed_over_and_moved_aside(
    undisturbed: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: Callable[[Path], None], name: str
) -> None:
    home = Path(shutil.copytree(undisturbed / "checkpoints", tmp_path / "checkpoints"))
    before, corrupt = (checkpoint_folder(home, step) for step in checkpoint_steps(home))
    assert {file.name for file in corrupt.iterdir()} == FILES
    assert last_whole_checkpoint(home) == corrupt
    damage(corrupt / name)
    assert last_whole_checkpoint(home) == before
    (message,) = caplog.messages
    assert message.startswith(f"checkpoint-{STEPS} is corrupt (")
    # A checksum that is wrong puts the blame on its file.
    assert message.partition("(")[2].split()[0] in ({name} if name != CHECKSUMS else FILES)
    assert f"resuming from {before.name}" in message
    assert "\n" not in message
    left = {file.name for file in (home / f"corrupt-checkpoint-{STEPS}-1").iterdir()}
    assert left == (FILES - {name} if damage is Path.unlink else FILES)


def test_where_every_checkpoint_is_corrupt_the_run_says_so_and_touches_none(copy: Path) -> None:
    home = copy / "checkpoints"
    names = sorted(path.name for path in home.iterdir())
    for name in names:
        flip(home / name / "optimizer.pt")
    with pytest.raises(InputError, match=r"every checkpoint is corrupt.*optimizer\.pt.*new --out"):
        checkpoint_to_resume(copy, resume=True)
    assert sorted(path.name for path in home.iterdir()) == names


def test_a_file_that_somebody_added_tears_no_checkpoint(copy: Path) -> None:
    last = checkpoint_folder(copy / "checkpoints", STEPS)
    (last / ".DS_Store").touch()
    assert checkpoint_fault(last) == ""


def test_a_run_whose_last_checkpoint_is_corrupt_goes_on_from_the_one_before(
    tiny_speech: Path, undisturbed: Path, copy: Path
) -> None:
    flip(checkpoint_folder(copy / "checkpoints", STEPS) / "model.safetensors")
    finetune.fine_tune(small(tiny_speech), copy, resume=True)
    assert_the_same_end(copy, undisturbed)


def test_a_best_checkpoint_that_is_corrupt_is_not_the_model(
    tiny_speech: Path, undisturbed: Path, copy: Path, caplog: pytest.LogCaptureFixture
) -> None:
    best = account(undisturbed)["best_step"]
    assert best != STEPS
    truncate(checkpoint_folder(copy / "checkpoints", best) / "model.safetensors")
    finetune.fine_tune(small(tiny_speech), copy, resume=True)
    assert f"checkpoint-{best}, the best so far, is corrupt (model.safetensors" in caplog.text
    assert account(copy)["best_step"] == STEPS


# No room


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.pt"])
def test_a_checkpoint_that_finds_no_room_leaves_the_ones_before_and_says_how_to_go_on(
    tiny_speech: Path,
    undisturbed: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    size = (checkpoint_folder(undisturbed / "checkpoints", STEPS) / name).stat().st_size
    save, out = finetune.CtcTrainer._save_checkpoint, tmp_path / "out"

    def cramped(self: finetune.CtcTrainer, *args: Any) -> None:
        with no_file_above(size - 1) if self.state.global_step == 6 else nullcontext():
            save(self, *args)

    monkeypatch.setattr(finetune.CtcTrainer, "_save_checkpoint", cramped)
    with pytest.raises(
        TrainingError, match=r"^the checkpoint of step 6 cannot be written .*GB are free.*--resume"
    ) as e:
        finetune.fine_tune(small(tiny_speech), out)
    assert "\n" not in str(e.value)
    assert [path.name for path in (out / "checkpoints").iterdir()] == ["checkpoint-3"]
    monkeypatch.setattr(finetune.CtcTrainer, "_save_checkpoint", save)
    finetune.fine_tune(small(tiny_speech), out, resume=True)
    assert_the_same_end(out, undisturbed)


def test_a_model_that_finds_no_room_can_be_written_later(
    tiny_speech: Path, undisturbed: Path, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = finetune.save_network

    def cramped(*args: Any) -> None:
        with no_file_above(10_000):
            save(*args)

    monkeypatch.setattr(finetune, "save_network", cramped)
    with pytest.raises(TrainingError, match=r"^the model cannot be written .*--resume"):
        finetune.fine_tune(small(tiny_speech), copy, resume=True)
    monkeypatch.setattr(finetune, "save_network", save)
    finetune.fine_tune(small(tiny_speech), copy, resume=True)
    assert_the_same_end(copy, undisturbed)


@pytest.mark.parametrize(
    ("error", "expected", "message"),
    [
        (OSError(28, "No space left on device", "log"), TrainingError, r"^log cannot be written \(No space.*--resume$"),
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. "), TrainingError, r"memory.*--resume$"),
        (CorpusError("Caught E in worker.\nTraceback\n  x\na.b.CorpusError: copy: it"), CorpusError, "^copy: it$"),
        (TrainingError("blank collapse"), TrainingError, "^blank collapse$"),
        (RuntimeError("shapes differ"), RuntimeError, "^shapes differ$"),
        (OSError(5, "Input/output error"), OSError, "Input/output error$"),
        (AudioError("utterance x: empty"), AudioError, "^utterance x: empty$"),
    ],
)
def test_what_the_machine_does_to_a_run_is_explained_and_the_rest_left_as_it_is(
    error: Exception, expected: type[Exception], message: str
) -> None:
    with pytest.raises(expected, match=message), failures.in_training():
        raise error


# Clips that cannot be decoded, and workers that die


@pytest.fixture
def damaged(tiny_speech: Path, tmp_path: Path) -> Callable[..., Path]:
    """Gives a corpus with so many clips, of training or of evaluation, whose header is right and whose samples not."""

    def make(count: int, split: str = "train") -> Path:
        speech = Path(shutil.copytree(tiny_speech, tmp_path / "speech"))
        manifest = speech / f"{split}.jsonl"
        records = [json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines()]
        for record in records[3 : 3 + count]:
            wave, rate = soundfile.read(speech / record["audio_filepath"])
            record["audio_filepath"] = record["audio_filepath"].replace(".wav", ".flac")
            soundfile.write(speech / record["audio_filepath"], wave, rate)
            truncate(speech / record["audio_filepath"])
        manifest.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
        return speech

    return make


def clips(speech: Path) -> AugmentedClips:
    examples = usable_split(read_corpus(f"manifest:{speech}/train.jsonl"), recipe.Text(), None).examples
    tokenizer = Tokenizer.from_texts((example.text for example in examples), "jamo")
    return AugmentedClips(examples, tokenizer, recipe.Augment(), None, 0)


def test_the_place_of_a_clip_that_cannot_be_decoded_is_taken_by_the_next(
    damaged: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    train_clips = clips(damaged(1))
    for _ in range(2):
        np.testing.assert_array_equal(train_clips[3]["wave"], train_clips[4]["wave"])
        np.testing.assert_array_equal(train_clips[3]["labels"], train_clips[4]["labels"])
    train_clips.check()
    (message,) = caplog.messages
    assert message.startswith(f"left out of training: utterance {train_clips.examples[3].utterance.id}: ")
    assert "truncated" in message
    assert "\n" not in message
    assert train_clips.unreadable() == [train_clips.examples[3].utterance.id]


def test_a_share_of_such_clips_stops_the_run(damaged: Callable[..., Path]) -> None:
    train_clips = clips(damaged(2))
    with pytest.raises(CorpusError, match=r"^2 of 18 training clips cannot be decoded.*--resume$"):
        train_clips[3]


def test_a_corpus_of_one_clip_that_cannot_be_decoded_is_no_endless_loop(damaged: Callable[..., Path]) -> None:
    train_clips = clips(damaged(1))
    alone = AugmentedClips(train_clips.examples[3:4], train_clips.tokenizer, recipe.Augment(), None, 0)
    with pytest.raises(CorpusError, match=r"^1 of 1 training clips"):
        alone[0]


def test_a_clip_of_the_evaluation_that_cannot_be_decoded_ends_the_run_before_its_first_step(
    damaged: Callable[..., Path], tmp_path: Path
) -> None:
    with pytest.raises(AudioError, match=r"^utterance s4-15: .*truncated or damaged"):
        finetune.fine_tune(small(damaged(1, "dev")), tmp_path / "out")
    assert not (tmp_path / "out" / model_folder.LOG).exists()


def test_a_run_goes_on_without_a_clip_that_cannot_be_decoded(
    damaged: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small(damaged(1))
    through = finetune.fine_tune(config, tmp_path / "through").folder
    assert len(account(through)["unreadable"]) == 1
    in_step(monkeypatch, 8, fail(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        finetune.fine_tune(config, tmp_path / "out")
    finetune.fine_tune(config, tmp_path / "out", resume=True)
    assert_the_same_end(tmp_path / "out", through)


@pytest.mark.parametrize("count", [1, 2])
def test_a_worker_tells_the_run_of_a_clip_that_cannot_be_decoded(
    damaged: Callable[..., Path], tmp_path: Path, count: int
) -> None:
    config = small(damaged(count), num_epochs=1)
    if count == 1:
        apart(train, config, tmp_path / "out", False, with_workers)
        assert len(account(tmp_path / "out")["unreadable"]) == 1
    else:
        with pytest.raises(CorpusError, match=r"^2 of 18 training clips cannot be decoded.*--resume$"):
            apart(train, config, tmp_path / "out", False, with_workers)


def test_an_audio_cache_without_room_ends_a_run_with_advice_and_one_with_room_changes_nothing(
    tiny_speech: Path, undisturbed: Path, tmp_path: Path
) -> None:
    config = small(tiny_speech)
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, cache=str(tmp_path / "cache")))
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "clips").touch()  # in the way of a folder
    with pytest.raises(InputError, match=r"^the audio cache cannot be written to .* --resume continues a run$") as e:
        apart(train, config, tmp_path / "out", False, with_workers)
    assert "\n" not in str(e.value)
    (tmp_path / "cache" / "clips").unlink()
    apart(train, config, tmp_path / "out", True, with_workers)
    assert_the_same_end(tmp_path / "out", undisturbed)
    assert len(list((tmp_path / "cache" / "clips").glob("*/*"))) == 18 + 6


def lose_the_workers_in_step_7() -> None:
    def kill() -> None:
        for process in multiprocessing.active_children():
            assert process.pid is not None
            os.kill(process.pid, signal.SIGKILL)
            process.join()

    in_step(pytest.MonkeyPatch(), 7, kill)


def test_a_worker_that_dies_ends_the_run_with_advice_and_it_can_go_on(
    tiny_speech: Path, undisturbed: Path, tmp_path: Path
) -> None:
    config, out = small(tiny_speech), tmp_path / "out"
    with pytest.raises(TrainingError, match=r"^a process that reads audio died.*memory.*--resume$") as error:
        apart(train, config, out, False, with_workers, lose_the_workers_in_step_7)
    assert "\n" not in str(error.value)
    found = last_whole_checkpoint(out / "checkpoints")
    assert found is not None
    assert found.name == "checkpoint-6"
    apart(train, config, out, True, with_workers)
    assert_the_same_end(out, undisturbed)
