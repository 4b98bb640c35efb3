"""Training in two processes: they learn what one with twice the batch learns, and stop, go on and fail as one."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch.distributed import TCPStore  # type: ignore[attr-defined]
from torch.utils.data import BatchSampler
from transformers import Wav2Vec2FeatureExtractor

from distilhubert_ko import model_folder, recipe
from distilhubert_ko.audio.frames import SAMPLE_RATE
from distilhubert_ko.data.dataset import prepare_dataset
from distilhubert_ko.errors import CorpusError, InputError, TrainingError
from distilhubert_ko.model.loading import build_network
from distilhubert_ko.model.saving import save_network
from distilhubert_ko.training import distill, finetune, ranks
from distilhubert_ko.training.clips import collate
from distilhubert_ko.training.sampling import BucketSampler, RankBatches
from tests.support.model import DROPOUTS, TINY, TINY_TRAINING, new_network
from tests.support.processes import pristine

RUNS = Path(__file__).parents[1] / "support" / "ranks_runs.py"
STILL = dataclasses.replace(TINY, **dict.fromkeys(DROPOUTS, 0.0))


def manifest(speech: Path, split: str, count: int, target: Path) -> str:
    lines = (speech / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()[:count]
    records = [json.loads(line) for line in lines]
    for record in records:
        record["audio_filepath"] = str(speech / record["audio_filepath"])
    target.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records), encoding="utf-8")
    return f"manifest:{target}"


def damaged(home: Path) -> str:
    """The training clips of which one, the second rank's in the first step, is cut short behind its header."""
    lines = (home / "train.jsonl").read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    samples = [round(record["duration"] * SAMPLE_RATE) for record in records]
    record = records[
        next(
            iter(
                RankBatches(
                    BucketSampler(len(samples), lambda epoch: samples, 4, TINY_TRAINING.seed), 2, rank=1, ranks=2
                )
            )
        )[0]
    ]
    wave, rate = soundfile.read(record["audio_filepath"])
    record["audio_filepath"] = str(home / "damaged.flac")
    soundfile.write(record["audio_filepath"], wave, rate)
    os.truncate(record["audio_filepath"], os.path.getsize(record["audio_filepath"]) // 2)
    target = home / "damaged.jsonl"
    target.write_text("".join(json.dumps(each, ensure_ascii=False) + "\n" for each in records), encoding="utf-8")
    return f"manifest:{target}"


@pytest.fixture(scope="module")
def folder(tiny_speech: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With the recipes of the runs.

    Of 13 clips, 2 ranks x 2 clips x 2 accumulated leave a last step of 4 + 1, of which the second rank has 2 and none.
    """
    home = tmp_path_factory.mktemp("ranks")
    data = recipe.Data(
        train=manifest(tiny_speech, "train", 13, home / "train.jsonl"),
        eval=manifest(tiny_speech, "dev", 5, home / "dev.jsonl"),
        allow_outside=True,
    )
    training = dataclasses.replace(
        TINY_TRAINING,
        train_batch_size=2,
        eval_batch_size=2,
        gradient_accumulation_steps=2,
        num_epochs=12,
        length_buckets=True,
        eval_steps=8,
        ema_decay=0.9,
        blank_evaluations=100,
    )
    even = recipe.Recipe(name="even", data=data, model=STILL, training=training)
    masked = dataclasses.replace(TINY, hidden_dropout=0.1, mask_time_prob=0.3, mask_time_length=2)
    stateful = dataclasses.replace(
        even,
        model=masked,
        augment=recipe.Augment(speeds=(0.9, 1.1), noise_prob=0.5),
        training=dataclasses.replace(training, num_epochs=3, eval_steps=3, length_buckets=False),
    )
    newborn = dataclasses.replace(training, num_epochs=1, learning_rate=1e-30, eval_steps=1)  # which babbles
    babbling = dataclasses.replace(even, training=newborn)
    lone_data = recipe.Data(
        train=manifest(tiny_speech, "train", 3, home / "three.jsonl"),
        eval=manifest(tiny_speech, "train", 1, home / "one.jsonl"),
        allow_outside=True,
    )
    vocabulary = prepare_dataset(even).tokenizer
    save_network(build_network(STILL, vocabulary), home / "teacher", vocabulary)
    new_network(STILL).save_pretrained(home / "listener")
    Wav2Vec2FeatureExtractor(do_normalize=False).save_pretrained(home / "listener")
    once = dataclasses.replace(training, num_epochs=1, length_buckets=False, eval_steps=1, ema_decay=0.0)
    recipes = {
        "even": even,
        "taught": dataclasses.replace(even, training=once, teaching=recipe.Teaching(str(home / "teacher"), weight=0.5)),
        "distilled": dataclasses.replace(
            even, training=once, distill=recipe.Distill(teacher=str(home / "listener"), layers=(1, 2))
        ),
        "stateful": stateful,
        "some": dataclasses.replace(babbling, data=dataclasses.replace(data, train=damaged(home))),
        "lone": dataclasses.replace(babbling, data=lone_data),
        "failing": even,
        "killed": even,
    }
    for name, config in recipes.items():
        recipe.save_recipe(config, home / f"{name}.toml")
    return home


def launched(folder: Path, *runs: str) -> subprocess.CompletedProcess[str]:
    """The runs in two processes, as torchrun starts them."""
    options = ["--nproc-per-node", "2", "--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0"]
    source, tests = str(Path(finetune.__file__).parents[2]), str(Path(__file__).parents[2])
    path = os.pathsep.join([source, tests, os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", *options, str(RUNS), str(folder), *runs],
        env=os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=1800,  # on a busy machine
    )


@pytest.fixture(scope="module")
def said(folder: Path) -> str:
    """What two processes said, on standard output and error, in the runs that come to their end."""
    done = launched(folder, "some", "lone", "taught", "distilled", "stateful", "even")
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def twice(folder: Path, name: str) -> Path:
    """The run of a recipe in this process alone, with twice the batch."""
    config = recipe.load_recipe(folder / f"{name}.toml")
    training = dataclasses.replace(config.training, train_batch_size=2 * config.training.train_batch_size)
    out = folder / f"{name}-alone"
    if not out.exists():
        run = distill.distill if config.distill.teacher else finetune.fine_tune
        run(dataclasses.replace(config, training=training), out)
    return out


def log(run: Path) -> list[dict[str, Any]]:
    """The training log but for what a clock or a count of operations decides."""
    left_out = ("runtime", "per_second", "total_flos")
    return [
        {key: value for key, value in line.items() if not key.endswith(left_out)} for line in model_folder.read_log(run)
    ]


def account(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "training.json").read_text(encoding="utf-8"))
    return found


# Batches


@given(count=st.integers(0, 70), batch_size=st.integers(1, 5), processes=st.integers(1, 5), epoch=st.integers(0, 3))
def test_the_batches_of_all_ranks_are_those_of_one_process(
    count: int, batch_size: int, processes: int, epoch: int
) -> None:
    sampler = BucketSampler(count, lambda epoch: np.arange(count) % 7, batch_size * processes, seed=0)
    sampler.set_epoch(epoch)
    alone = [*BatchSampler(sampler, batch_size * processes, drop_last=False)]
    shares = [RankBatches(sampler, batch_size, rank, processes) for rank in range(processes)]
    batches = [[*share] for share in shares]
    assert {len(each) for each in batches} == {len(share) for share in shares} == {len(alone)}
    for whole, *parts in zip(alone, *batches, strict=True):
        assert sorted(index for part in parts for index in part) == sorted(whole)
        sizes = [len(part) for part in parts]
        assert max(sizes) <= batch_size
        assert max(sizes) - min(sizes) <= 1


def test_no_clips_are_a_batch_of_the_types_that_others_have() -> None:
    empty = collate([])
    one = collate([{"wave": np.zeros(800, dtype=np.float32), "labels": np.ones(2, dtype=np.int64)}])
    assert {key: value.dtype for key, value in empty.items()} == {key: value.dtype for key, value in one.items()}
    assert {len(value) for value in empty.values()} == {0}


# Two processes and one


@pytest.mark.usefixtures("said")
@pytest.mark.parametrize("name", ["even", "some", "lone"])
def test_two_processes_learn_what_one_with_twice_the_batch_learns(folder: Path, name: str) -> None:
    """Though batches and accumulations are uneven, and in "lone" the second rank has one clip less than the first."""
    found, expected = log(folder / name), log(twice(folder, name))
    assert [line.keys() for line in found] == [line.keys() for line in expected]
    for key in ("step", "epoch", "learning_rate", "eval_cer", "eval_said"):
        assert [line.get(key) for line in found] == [line.get(key) for line in expected]
    for key in ("loss", "eval_loss", "train_loss", "grad_norm"):
        pairs = [(one[key], other[key]) for one, other in zip(found, expected, strict=True) if key in one]
        assert pairs
        np.testing.assert_allclose(*zip(*pairs, strict=True), rtol=2e-5 if key != "grad_norm" else 2e-4)
    for where in (".", "last"):
        weights, others = (load_file(run / where / "model.safetensors") for run in (folder / name, twice(folder, name)))
        assert all(torch.allclose(weights[key], others[key], atol=2e-4) for key in others)


@pytest.mark.usefixtures("said")
@pytest.mark.parametrize("name", ["taught", "distilled"])
def test_so_they_do_where_the_loss_is_a_mean_over_frames(folder: Path, name: str) -> None:
    """Though the two get clips of different lengths, and so different numbers of frames."""
    found, expected = log(folder / name), log(twice(folder, name))
    assert found[-1]["step"] == expected[-1]["step"] == 2
    for key in ("loss", "eval_loss", "grad_norm"):
        curves = [[line[key] for line in lines if key in line] for lines in (found, expected)]
        assert len(curves[0]) == 2
        np.testing.assert_allclose(*curves, rtol=1e-4)


@pytest.mark.usefixtures("said")
def test_clips_that_only_the_second_rank_found_undecodable_are_in_the_account(folder: Path) -> None:
    assert len(account(folder / "some")["unreadable"]) == 1
    assert account(folder / "some")["unreadable"] == account(twice(folder, "some"))["unreadable"]


@pytest.mark.usefixtures("said")
@pytest.mark.parametrize(("name", "clips"), [("some", 5), ("lone", 1)])
def test_the_cer_of_two_processes_is_of_all_clips_once(folder: Path, name: str, clips: int) -> None:
    """Of a network that says much, so that no two clips have the same errors."""
    found, expected = (
        [line for line in log(run) if "eval_cer" in line] for run in (folder / name, twice(folder, name))
    )
    assert [line["eval_cer"] for line in found] == [line["eval_cer"] for line in expected]
    assert found[0]["eval_said"] > 2
    assert found[0]["eval_cer"] != 1.0
    assert (found[0]["eval_said"] * clips).is_integer()


@pytest.mark.usefixtures("said")
def test_the_steps_are_those_of_one_process_with_twice_the_batch(folder: Path) -> None:
    assert account(folder / "even")["total_steps"] == 24
    assert account(folder / "even")["ranks"] == 2
    assert account(twice(folder, "even"))["total_steps"] == 24


@pytest.mark.usefixtures("said")
def test_only_the_first_rank_writes_but_for_random_numbers(folder: Path) -> None:
    first, second = ((folder / f"writes-{rank}.txt").read_text().split() for rank in (0, 1))
    assert "even/training_log.jsonl" in first
    assert second == ["interrupted-1.txt"]
    assert len([*(folder / "even/checkpoints/checkpoint-24").glob("rng_state_*.pth")]) == 2  # which torch opens itself


def test_only_the_first_rank_speaks(said: str) -> None:
    assert said.count("even/README.md") == 1
    assert said.count("step 24/24") == 1
    assert "Traceback" not in said


@pytest.mark.usefixtures("said")
def test_a_run_of_two_processes_is_interrupted_as_one_and_goes_on_to_the_same_end(folder: Path) -> None:
    messages = [(folder / f"interrupted-{rank}.txt").read_text(encoding="utf-8") for rank in (0, 1)]
    assert messages[0] == messages[1]
    assert "stopped at step 5 of 6" in messages[0]
    for where in (".", "last"):
        runs = [folder / "stateful", folder / "undisturbed"]
        weights, others = (load_file(run / where / "model.safetensors") for run in runs)
        assert all(torch.equal(weights[key], others[key]) for key in others)
    assert [line for line in log(folder / "stateful") if "train_loss" not in line] == log(folder / "undisturbed")[:-1]


@pytest.mark.usefixtures("said")
def test_a_run_of_two_processes_does_not_resume_in_one(folder: Path) -> None:
    with pytest.raises(InputError, match="was saved by 2 processes, but this run has 1: resume with 2"):
        finetune.fine_tune(recipe.load_recipe(folder / "stateful.toml"), folder / "stateful", resume=True)


# Ends


@pytest.fixture
def store() -> Iterator[TCPStore]:
    """Of a launcher of two processes."""
    store = TCPStore("localhost", 0, is_master=True, wait_for_workers=False, timeout=timedelta(seconds=300))
    yield store
    del store  # which ends it


def as_rank(rank: int, port: int) -> dict[str, str]:
    """What a launcher with a store at this port tells one of two processes."""
    numbers = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2, "MASTER_PORT": port}
    texts = {"MASTER_ADDR": "localhost", "TORCHELASTIC_USE_AGENT_STORE": "True"}
    return texts | {name: str(value) for name, value in numbers.items()}


def one_of_two(rank: int, port: int, folder: Path, run: str) -> None:
    """One rank's part in a run, with what it says in FOLDER/said-RANK.txt."""
    os.dup2(os.open(folder / f"said-{rank}.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), sys.stderr.fileno())
    os.environ |= as_rank(rank, port)
    from tests.support import ranks_runs

    ranks_runs.do(folder, run)


@pytest.mark.parametrize(
    ("run", "message"),
    [
        ("failing", "distilhubert-ko: the second rank cannot go on"),
        ("killed", "distilhubert-ko: another process of this run has ended"),
    ],
)
def test_an_end_of_one_rank_is_the_end_of_all_with_one_message(
    folder: Path, store: TCPStore, run: str, message: str
) -> None:
    processes = [pristine.Process(target=one_of_two, args=(rank, store.port, folder, run)) for rank in (0, 1)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert all(process.exitcode for process in processes)
    assert (processes[1].exitcode == -signal.SIGKILL) == (run == "killed")
    said = "".join((folder / f"said-{rank}.txt").read_text(encoding="utf-8") for rank in (0, 1))
    assert "Traceback" not in said
    told = [line for line in said.splitlines() if line.startswith("distilhubert-ko: ")]
    assert len(told) == 1
    assert told[0].startswith(message)


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch, store: TCPStore) -> None:
    """As in the first of two processes, with the store of a launcher."""
    for name, value in as_rank(0, store.port).items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("two")
def test_of_the_ranks_that_fail_the_first_says_why() -> None:
    with pytest.raises(CorpusError, match="damaged"), ranks.one_voice():
        raise CorpusError("damaged")
    with pytest.raises(SystemExit) as left, ranks.one_voice():
        raise TrainingError("another process has ended")
    assert left.value.code == TrainingError.exit_code
    with pytest.raises(ZeroDivisionError), ranks.one_voice():
        raise ZeroDivisionError


def test_without_a_launcher_there_is_one_process_which_leads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.setenv("WORLD_SIZE", "4")  # some clusters set it for any job
    assert ranks.count() == 1
    assert ranks.leads()
    assert ranks.from_leader(lambda: 7) == 7
    with pytest.raises(CorpusError), ranks.one_voice():
        raise CorpusError("damaged")
