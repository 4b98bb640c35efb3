"""Training from end to end on a few tones: what it leaves, resuming after an interruption, and when it gives up."""

import dataclasses
import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import (
    AutoFeatureExtractor,
    AutoProcessor,
    AutoTokenizer,
    HubertForCTC,
    TrainerState,
    pipeline,
)

from distilhubert_ko import model_folder, recipe
from distilhubert_ko.cli import main as cli
from distilhubert_ko.data import corpora, dataset
from distilhubert_ko.data.dataset import prepare_dataset
from distilhubert_ko.errors import InputError, TrainingError, UnavailableError
from distilhubert_ko.evaluation import report
from distilhubert_ko.export import exporting
from distilhubert_ko.model.loading import build_network, load_network
from distilhubert_ko.model.network import PaddingSafeHubertForCTC
from distilhubert_ko.model_folder import TrainingRecord
from distilhubert_ko.recognition.transcriber import Transcriber
from distilhubert_ko.text.tokenizer import Tokenizer
from distilhubert_ko.training import finetune, schedule
from distilhubert_ko.training.loss_watch import LossWatch
from distilhubert_ko.training.trainer import InterruptedTrainingError
from tests.support.model import JAMO, MODEL_FILES, SYLLABLES, TINY, TINY_TRAINING, clip
from tests.support.transcripts import heard, letters

RUN_FILES = {"checkpoints", "data.json", "last", "recipe.toml", "runs", "training.json", "training_log.jsonl"}
STEPS = 10  # 18 utterances in batches of 4, twice
LEVERS = {
    "ema_decay": 0.9,
    "weight_decay": 0.01,
    "head_learning_rate": 1e-2,
    "head_only_steps": 2,
    "lr_scheduler_type": "tri_stage",
    "early_stopping_patience": 50,
    "consistency_weight": 0.2,
}


@pytest.fixture(scope="session")
def tiny(tiny_speech: Path) -> recipe.Recipe:
    """With dropout, so that a resumed run needs the state of the random numbers."""
    return recipe.Recipe(
        name="tiny",
        data=recipe.Data(train=f"manifest:{tiny_speech}/train.jsonl", eval=f"manifest:{tiny_speech}/dev.jsonl"),
        model=dataclasses.replace(TINY, hidden_dropout=0.1),
        training=dataclasses.replace(TINY_TRAINING, blank_evaluations=100),
    )


@pytest.fixture(scope="module")
def finished(tiny: recipe.Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that nothing interrupted."""
    return finetune.fine_tune(tiny, tmp_path_factory.mktemp("runs") / "finished").folder


def change(config: recipe.Recipe, **training: Any) -> recipe.Recipe:
    return dataclasses.replace(config, training=dataclasses.replace(config.training, **training))


def during_step(monkeypatch: pytest.MonkeyPatch, step: int, act: Any) -> None:
    """Calls act() while a run computes the loss that leads to `step`; the runs after it are left in peace."""
    compute = finetune.CtcTrainer.training_step

    def watched(trainer: finetune.CtcTrainer, *args: Any, **kwargs: Any) -> torch.Tensor:
        loss = compute(trainer, *args, **kwargs)
        if trainer.state.global_step == step - 1:
            monkeypatch.setattr(finetune.CtcTrainer, "training_step", compute)
            act()
        return loss

    monkeypatch.setattr(finetune.CtcTrainer, "training_step", watched)


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def crash() -> None:
    raise OSError("the disk is full")


def last_weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "last" / "model.safetensors")


def log(folder: Path) -> list[dict[str, float]]:
    """The training log but for what a clock decides."""
    clocked = ("runtime", "per_second")
    return [
        {key: value for key, value in line.items() if not key.endswith(clocked)}
        for line in model_folder.read_log(folder)
    ]


def test_a_run_leaves_a_model_its_last_state_and_an_account(finished: Path) -> None:
    assert {file.name for file in finished.iterdir()} == MODEL_FILES | RUN_FILES
    assert {file.name for file in (finished / "last").iterdir()} == MODEL_FILES
    assert recipe.load_recipe(finished / "recipe.toml").name == "tiny"
    data = json.loads((finished / "data.json").read_text(encoding="utf-8"))
    assert data["splits"]["train"]["utterances"] == 18
    run = json.loads((finished / "training.json").read_text(encoding="utf-8"))
    assert run["total_steps"] == STEPS
    assert run["parameters"] == sum(value.numel() for value in load_file(finished / "model.safetensors").values())


def test_no_pickle_is_left_outside_the_checkpoints(finished: Path) -> None:
    pickles = {
        file.relative_to(finished)
        for file in finished.rglob("*")
        if file.suffix in (".bin", ".ckpt", ".pickle", ".pkl", ".pt", ".pth")
    }
    assert {path.parts[0] for path in pickles} == {"checkpoints"}
    assert {path.name for path in pickles} == {"optimizer.pt", "rng_state.pth", "scheduler.pt"}


def test_the_model_is_the_checkpoint_with_the_lowest_cer_and_last_is_the_last_one(finished: Path) -> None:
    errors = {int(line["step"]): line["eval_cer"] for line in log(finished) if "eval_cer" in line}
    best = min(errors, key=lambda step: (errors[step], step))
    assert list(errors) == [3, 6, 9, STEPS]
    assert best != STEPS  # or the best and the last could not be told apart
    assert json.loads((finished / "training.json").read_text(encoding="utf-8"))["best_step"] == best
    for folder, step in ((finished, best), (finished / "last", STEPS)):
        kept = load_file(finished / "checkpoints" / f"checkpoint-{step}" / "model.safetensors")
        saved = load_file(folder / "model.safetensors")
        assert all(torch.equal(saved[name], kept[name]) for name in kept)


def test_a_recipe_may_have_the_last_weights_for_its_model_and_the_best_beside_them(
    tiny: recipe.Recipe, finished: Path, tmp_path: Path
) -> None:
    out = finetune.fine_tune(change(tiny, report="last"), tmp_path / "run").folder
    assert {file.name for file in out.iterdir()} == (MODEL_FILES | RUN_FILES) - {"last"} | {"best"}
    for mine, theirs in ((out, finished / "last"), (out / "best", finished)):
        found, expected = (load_file(folder / "model.safetensors") for folder in (mine, theirs))
        assert all(torch.equal(found[name], expected[name]) for name in expected)
    best, last = (model_folder.read_record(TrainingRecord, run / "training.json") for run in (finished, out))
    assert (best.report, best.kept_step) == ("best", best.best_step)
    assert (last.report, last.kept_step, last.best_step) == ("last", STEPS, best.best_step)


def test_the_log_has_a_line_for_each_step_and_each_evaluation(finished: Path) -> None:
    lines = log(finished)
    assert [line["step"] for line in lines if "loss" in line] == list(range(1, STEPS + 1))
    assert all(np.isfinite(line["loss"]) for line in lines if "loss" in line)
    plan = schedule.plan_training(recipe.load_recipe(finished / "recipe.toml"), 18)
    assert plan.total_steps == STEPS
    evaluated = [line["step"] for line in lines if "eval_cer" in line]
    assert [step.step for step in plan.evaluations] == evaluated == [3, 6, 9, 10]


@pytest.mark.parametrize("where", [".", "last"])
def test_plain_transformers_loads_what_was_saved(finished: Path, where: str) -> None:
    folder = finished / where
    processor, tokenizer = AutoProcessor.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    for one in (processor.tokenizer, tokenizer):
        assert (one.pad_token, one.unk_token, one.word_delimiter_token) == ("[PAD]", "[UNK]", "|")
        assert one.bos_token is None
        assert one.eos_token is None
    extractor = AutoFeatureExtractor.from_pretrained(folder)
    assert (extractor.sampling_rate, extractor.do_normalize) == (16_000, False)

    ours, theirs = load_network(folder), HubertForCTC.from_pretrained(folder).eval()
    vocabulary = Tokenizer.load(folder)
    assert theirs.config.vocab_size == len(vocabulary) == len(tokenizer)
    assert theirs.config.pad_token_id == vocabulary.blank_id == tokenizer.pad_token_id
    assert theirs.config.architectures == ["HubertForCTC"]
    batch = processor(clip(9001), sampling_rate=16_000, return_tensors="pt")
    with torch.no_grad():
        assert torch.allclose(ours(**batch).logits, theirs(**batch).logits, atol=1e-4)


@pytest.mark.parametrize("vocabulary", [SYLLABLES, JAMO], ids=["syllables", "jamo"])
def test_the_pipeline_of_transformers_gives_the_text_that_the_transcriber_gives(
    exported: Path, tmp_path: Path, vocabulary: Tokenizer
) -> None:
    folder = Path(shutil.copytree(exported, tmp_path / "model"))
    vocabulary.save(folder)  # the same model says as many jamo as it says syllables
    exporting.export_graph(folder)
    transcriber, recogniser = Transcriber(folder, threads=1), pipeline("automatic-speech-recognition", str(folder))
    for samples in (16_000, 40_001):
        found = heard(transcriber(clip(samples)))
        assert len(found) > 5
        assert letters(recogniser(clip(samples))["text"]) == found


@pytest.mark.parametrize(
    ("end", "error", "changes"),
    [
        (interrupt, InterruptedTrainingError, {}),
        (crash, OSError, {"length_buckets": True, "gradient_accumulation_steps": 2, "num_epochs": 4}),
        (interrupt, InterruptedTrainingError, LEVERS),
    ],
    ids=["interrupted", "crashed, with length buckets", "interrupted, with everything else"],
)
def test_a_resumed_run_ends_where_an_uninterrupted_one_does(
    tiny: recipe.Recipe,
    finished: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    end: Any,
    error: type[Exception],
    changes: dict[str, Any],
) -> None:
    config, out = change(tiny, **changes), tmp_path / "resumed"
    if changes is LEVERS:
        augment = recipe.Augment(speeds=(0.9, 1.1), reverb_prob=0.5, noise_prob=0.5, join_prob=0.5)
        masked = dataclasses.replace(config.model, mask_time_prob=0.3, mask_time_length=2, mask_feature_prob=0.1)
        config = dataclasses.replace(config, augment=augment, model=masked)
    uninterrupted = finetune.fine_tune(config, tmp_path / "uninterrupted").folder if changes else finished
    during_step(monkeypatch, 5, end)  # in the first epoch or in the second, and no step that is saved anyway
    with pytest.raises(error):
        finetune.fine_tune(config, out)
    assert not (out / "training.json").exists()

    finetune.fine_tune(config, out, resume=True)
    expected, found = last_weights(uninterrupted), last_weights(out)
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    assert [line for line in log(out) if "train_loss" not in line] == log(uninterrupted)[:-1]
    assert {file.name for file in out.iterdir()} == MODEL_FILES | RUN_FILES


def test_an_interrupted_run_is_saved_at_the_end_of_the_step_and_says_how_to_go_on(
    tiny: recipe.Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = signal.getsignal(signal.SIGINT)
    during_step(monkeypatch, 2, interrupt)
    with pytest.raises(InterruptedTrainingError, match=r"step 2 of 10.*--resume") as error:
        finetune.fine_tune(tiny, tmp_path / "run")
    assert error.value.exit_code == 130
    assert signal.getsignal(signal.SIGINT) is before
    state = tmp_path / "run" / "checkpoints" / "checkpoint-2" / "trainer_state.json"
    assert TrainerState.load_from_json(str(state)).global_step == 2


def test_a_second_interrupt_stops_a_run_at_once(
    tiny: recipe.Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = signal.getsignal(signal.SIGINT)
    during_step(monkeypatch, 2, lambda: (interrupt(), interrupt()))
    with pytest.raises(KeyboardInterrupt):
        finetune.fine_tune(tiny, tmp_path / "run")
    assert signal.getsignal(signal.SIGINT) is before


def test_a_folder_that_is_not_empty_is_refused_and_left_alone(tiny: recipe.Recipe, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("the only copy")
    with pytest.raises(InputError, match=f"{tmp_path}: not empty"):
        finetune.fine_tune(tiny, tmp_path)
    with pytest.raises(InputError, match=r"thesis\.txt: not empty"):
        finetune.fine_tune(tiny, tmp_path / "thesis.txt")
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.txt"]
    assert (tmp_path / "thesis.txt").read_text() == "the only copy"


def test_a_run_without_a_checkpoint_cannot_be_resumed(tiny: recipe.Recipe, tmp_path: Path) -> None:
    for out in (tmp_path / "new", tmp_path):
        with pytest.raises(InputError, match="no checkpoint to resume from"):
            finetune.fine_tune(tiny, out, resume=True)
    assert not list(tmp_path.iterdir())


def test_a_run_that_cannot_begin_leaves_no_folder(
    tiny: recipe.Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the same command can be given again."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    unavailable = dataclasses.replace(tiny, model=dataclasses.replace(TINY, pretrained="nobody/nothing"))
    with pytest.raises(UnavailableError):
        finetune.fine_tune(unavailable, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_loss_that_is_no_number_stops_the_run(tiny: recipe.Recipe, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"the loss is .*learning_rate"):
        finetune.fine_tune(change(tiny, learning_rate=1e30), tmp_path / "run")
    assert not (tmp_path / "run" / "model.safetensors").exists()


@pytest.mark.parametrize("late", [False, True])
def test_a_loss_that_is_no_number_is_neither_logged_nor_in_a_checkpoint(
    late: bool, tiny: recipe.Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a GPU a loss is checked while the next batch is computed, but never after it has left a trace."""
    monkeypatch.setattr("distilhubert_ko.training.trainer.LossWatch", lambda **given: LossWatch(late))
    losses = iter([1.0, 1.0, 1.0, torch.nan, 1.0, 1.0, 1.0, 1.0])
    compute = finetune.CtcTrainer.compute_loss

    def compute_loss(self: finetune.CtcTrainer, *args: Any, **kwargs: Any) -> Any:
        return compute(self, *args, **kwargs) * next(losses)

    monkeypatch.setattr(finetune.CtcTrainer, "compute_loss", compute_loss)
    with pytest.raises(TrainingError, match="the loss is nan at step 3"):
        finetune.fine_tune(change(tiny, eval_steps=2, logging_steps=2), tmp_path / "run")
    assert [path.name for path in (tmp_path / "run" / "checkpoints").glob("checkpoint-*")] == ["checkpoint-2"]
    assert all(np.isfinite(line["loss"]) for line in model_folder.read_log(tmp_path / "run") if "loss" in line)


def test_a_model_that_says_nothing_stops_the_run_after_the_stated_number_of_evaluations(
    tiny: recipe.Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = build_network

    def mute(config: recipe.Model, vocabulary: Tokenizer) -> PaddingSafeHubertForCTC:
        network = build(config, vocabulary)
        torch.nn.init.constant_(network.lm_head.bias[vocabulary.blank_id : vocabulary.blank_id + 1], 1000.0)
        return network

    monkeypatch.setattr(finetune, "build_network", mute)
    with pytest.raises(TrainingError, match=r"blank collapse.*3 evaluations.*step 6"):
        finetune.fine_tune(change(tiny, blank_evaluations=3, eval_steps=2), tmp_path / "run")
    assert [line["eval_said"] for line in log(tmp_path / "run") if "eval_said" in line] == [0, 0, 0]


@pytest.mark.parametrize("steps", [2, 3])
def test_accumulated_batches_count_as_one_batch_does(tiny: recipe.Recipe, tmp_path: Path, steps: int) -> None:
    """Their losses and gradients are averaged over clips, not added up. The steps are too small to matter.

    The last 6 of 18 clips, after 12, are batches of 4 and of 2.
    """
    still = dataclasses.replace(tiny, model=TINY)
    still = change(still, learning_rate=1e-30, num_epochs=1, eval_steps=100)
    runs = []
    for size, accumulated in ((4 * steps, 1), (4, steps)):
        folder = tmp_path / f"{size}"
        finetune.fine_tune(change(still, train_batch_size=size, gradient_accumulation_steps=accumulated), folder)
        runs.append([(line["loss"], line["grad_norm"]) for line in log(folder) if "loss" in line])
    assert len(runs[0]) == {2: 3, 3: 2}[steps]
    np.testing.assert_allclose(runs[0], runs[1], rtol=1e-3)


def test_a_run_that_stops_early_keeps_its_best_model(tiny: recipe.Recipe, tmp_path: Path) -> None:
    config = change(tiny, num_epochs=50, eval_steps=1, early_stopping_patience=2, learning_rate=1e-9)
    out = finetune.fine_tune(config, tmp_path / "run").folder
    run = json.loads((out / "training.json").read_text(encoding="utf-8"))
    assert run["total_steps"] == 3
    assert run["best_step"] == 1


def test_a_run_with_an_average_evaluates_and_keeps_the_averaged_weights(tiny: recipe.Recipe, tmp_path: Path) -> None:
    out = finetune.fine_tune(change(tiny, ema_decay=0.5, num_epochs=1, eval_steps=3), tmp_path / "run").folder
    best = json.loads((out / "training.json").read_text(encoding="utf-8"))["best_step"]
    checkpoint = out / "checkpoints" / f"checkpoint-{best}"
    kept, raw = load_file(checkpoint / "average.safetensors"), load_file(checkpoint / "model.safetensors")
    saved = load_file(out / "model.safetensors")
    assert all(torch.equal(saved[name], kept[name]) for name in saved)
    assert not torch.equal(saved["lm_head.weight"], raw["lm_head.weight"])


def test_the_average_lies_where_the_network_is_trained(
    tiny: recipe.Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here another type of number stands for a GPU, which the Trainer moves the network to."""
    monkeypatch.setattr(finetune.CtcTrainer, "_move_model_to_device", lambda self, network, device: network.double())
    trainer = finetune.CtcTrainer(change(tiny, ema_decay=0.9), prepare_dataset(tiny), tmp_path)
    assert trainer.average is not None
    assert {value.dtype for value in trainer.average.weights.values()} == {torch.float64}
    trainer.average.update()


def test_batches_wait_for_their_step_in_the_hosts_memory(tiny: recipe.Recipe, tmp_path: Path) -> None:
    """To count what lies on a GPU is to wait for it; accelerate's loader knows of no device then."""
    loader: Any = finetune.CtcTrainer(tiny, prepare_dataset(tiny), tmp_path).get_train_dataloader()
    assert loader.device is None


def test_the_head_alone_learns_in_the_steps_that_are_its_own(tiny: recipe.Recipe, tmp_path: Path) -> None:
    config = change(tiny, num_epochs=1, eval_steps=2, head_only_steps=4, weight_decay=0.1)
    out = finetune.fine_tune(config, tmp_path / "run").folder
    steps = [load_file(out / "checkpoints" / f"checkpoint-{step}" / "model.safetensors") for step in (4, 5)]
    torch.manual_seed(config.training.seed)
    data = prepare_dataset(config)
    start = build_network(config.model, data.tokenizer).state_dict()
    changed = [{name for name in start if not torch.equal(start[name], weights[name])} for weights in steps]
    assert changed[0] == {"lm_head.weight", "lm_head.bias"}
    assert "hubert.encoder.layers.0.attention.q_proj.weight" in changed[1]


def test_the_train_command_reads_each_corpus_once_and_reports_what_evaluate_would(
    tiny: recipe.Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe.save_recipe(change(tiny, num_epochs=1), tmp_path / "tiny.toml")
    read: list[str] = []

    def reading(spec: str, *args: Any, **kwargs: Any) -> Any:
        read.append(spec)
        return corpora.read_corpus(spec, *args, **kwargs)

    monkeypatch.setattr(dataset, "read_corpora", reading)
    monkeypatch.setattr("sys.argv", ["distilhubert-ko", "train", f"{tmp_path}/tiny.toml", "--out", f"{tmp_path}/run"])
    with pytest.raises(SystemExit, match="0"):
        cli.main()
    assert read == [tiny.data.train, tiny.data.eval]
    found = report.load_report(tmp_path / "run")
    again = report.evaluate_model(Transcriber(tmp_path / "run"), tiny.data.eval)
    assert dataclasses.replace(found, seconds=again.seconds, predictions=again.predictions) == again
