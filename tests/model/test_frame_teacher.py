"""A teacher's posteriors in the loss, against plain torch; vocabularies in any order, and those that do not fit."""

import dataclasses
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional

from distilhubert_ko import model_folder, recipe
from distilhubert_ko.errors import RecipeError
from distilhubert_ko.model import frame_teacher
from distilhubert_ko.model.frame_teacher import FrameTeacher
from distilhubert_ko.model.loading import build_network, load_network
from distilhubert_ko.model.saving import save_network
from distilhubert_ko.recipe import Teaching
from distilhubert_ko.text.tokenizer import Tokenizer
from distilhubert_ko.training import finetune
from tests.support.model import JAMO, SYLLABLES, TINY, clip, new_network, padded


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("teacher")
    save_network(new_network(dataclasses.replace(TINY, num_hidden_layers=1)), path, SYLLABLES)
    return path


def logits(*shape: int, seed: int = 0) -> torch.Tensor:
    return 3 * torch.randn(shape, generator=torch.Generator().manual_seed(seed))


# The loss


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
@pytest.mark.parametrize("frames", [(1,), (5, 1, 3)])
def test_the_divergence_is_the_mean_of_that_of_each_frame(frames: tuple[int, ...], temperature: float) -> None:
    shape = (len(frames), max(frames), 6)
    student, teacher = logits(*shape), logits(*shape, seed=1)
    valid = torch.arange(max(frames)) < torch.tensor(frames)[:, None]
    each = []
    for row, count in enumerate(frames):
        for t in range(count):
            p, q = (torch.softmax(both[row, t].double() / temperature, 0) for both in (teacher, student))
            each.append((p * (p / q).log()).sum().item())
    found = frame_teacher.posterior_divergence(student, teacher, valid, temperature)
    assert found.item() == pytest.approx(temperature**2 * sum(each) / len(each), rel=1e-5)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_the_gradient_is_the_difference_of_the_posteriors_and_none_in_the_padding(temperature: float) -> None:
    student, teacher = logits(2, 3, 6).requires_grad_(), logits(2, 3, 6, seed=1)
    valid = torch.tensor([[True, True, True], [True, False, False]])
    (gradient,) = torch.autograd.grad(frame_teacher.posterior_divergence(student, teacher, valid, temperature), student)
    expected = torch.softmax(student / temperature, -1) - torch.softmax(teacher / temperature, -1)
    expected = temperature * expected.masked_fill(~valid[..., None], 0.0) / 4  # section 2.1 of Hinton et al.
    assert (gradient - expected).abs().max() < 1e-6


def test_a_student_that_agrees_has_nothing_to_learn(folder: Path) -> None:
    teacher = FrameTeacher(Teaching(str(folder), weight=1.0), SYLLABLES)
    waves, lengths = padded([clip(16_000), clip(5000)])
    own = teacher.network(waves, lengths).logits
    assert teacher.mixed(teacher.network, torch.tensor(7.0), own, waves, lengths).item() == pytest.approx(0.0, abs=1e-5)


def test_the_loss_mixes_ctc_with_the_divergence_and_reaches_every_trained_weight(folder: Path) -> None:
    teacher = FrameTeacher(Teaching(str(folder), weight=0.25, temperature=2.0), SYLLABLES)
    student = new_network()
    waves, lengths = padded([clip(16_000), clip(5000)])
    output = student(waves, lengths, labels=torch.tensor([[4, 5, 6], [7, -100, -100]]))
    found = teacher.mixed(student, output.loss, output.logits, waves, lengths)
    rows = [
        functional.kl_div(
            torch.log_softmax(output.logits[row, :count] / 2, -1),
            torch.softmax(teacher.network(waves, lengths).logits[row, :count] / 2, -1),
            reduction="sum",
        )
        for row, count in enumerate((49, 15))
    ]
    assert found.item() == pytest.approx((0.75 * output.loss + 0.25 * 4 * sum(rows) / 64).item(), rel=1e-5)
    found.backward()
    for name, parameter in student.named_parameters():
        assert (parameter.grad is None) == name.endswith("masked_spec_embed"), name
    assert all(parameter.grad is None for parameter in teacher.network.parameters())


def test_a_batch_is_taught_as_its_clips_alone_are(folder: Path) -> None:
    """The mean over frames, so clips count by their frames."""
    teacher, student = FrameTeacher(Teaching(str(folder), weight=1.0), SYLLABLES), new_network()
    clips, none = [clip(samples) for samples in (400, 5000, 16_003)], torch.tensor(0.0)

    def taught(*waves: Any) -> float:
        batch, lengths = padded(waves, fill=0.5)
        with torch.no_grad():
            return teacher.mixed(student, none, student(batch, lengths).logits, batch, lengths).item()

    alone = sum(taught(one) * frames for one, frames in zip(clips, (1, 15, 49), strict=True))
    assert taught(*clips) == pytest.approx(alone / 65, rel=1e-4)


# Vocabularies


def test_tokens_in_another_order_and_special_tokens_of_other_names_are_the_same_units(folder: Path) -> None:
    order = list(range(len(SYLLABLES)))
    random.Random(0).shuffle(order)
    names = {"[PAD]": "<pad>", "[UNK]": "<unk>", "|": " "}
    tokens = tuple(names.get(SYLLABLES.tokens[i], SYLLABLES.tokens[i]) for i in order)
    student = Tokenizer("syllables", tokens, "<pad>", "<unk>", " ")
    waves, lengths = padded([clip(9000)])
    direct = FrameTeacher(Teaching(str(folder)), SYLLABLES).logits(waves, lengths)
    found = FrameTeacher(Teaching(str(folder)), student).logits(waves, lengths)
    assert torch.equal(found, direct[..., order])


def test_tokens_that_the_teacher_cannot_say_are_never_said(folder: Path, tmp_path: Path) -> None:
    """Such as an unknown token past its outputs, or the ends of a sentence, which the student need not have."""
    network = load_network(folder)
    tokens = (*(token for token in SYLLABLES.tokens if token != "[UNK]"), "<s>", "</s>", "[UNK]")
    weight = network.lm_head.weight[[SYLLABLES.tokens.index(token) for token in tokens[:-3]]]
    network.lm_head = torch.nn.Linear(weight.shape[1], len(weight), bias=False)
    network.lm_head.weight = torch.nn.Parameter(weight)
    network.lm_head.bias = torch.nn.Parameter(torch.zeros(len(weight)))
    network.config.vocab_size = len(weight)
    save_network(network, tmp_path, Tokenizer("syllables", tokens, bos_token="<s>", eos_token="</s>"))
    waves, lengths = padded([clip(9000)])
    found = FrameTeacher(Teaching(str(tmp_path)), SYLLABLES).logits(waves, lengths)
    assert found.shape[2] == len(SYLLABLES)
    assert torch.softmax(found, -1)[..., SYLLABLES.unknown_id].max() == 0
    assert (
        frame_teacher.posterior_divergence(
            logits(*found.shape), found, torch.ones(found.shape[:2], dtype=torch.bool), 4.0
        )
        < 100
    )


@pytest.mark.parametrize(
    ("student", "complaint"),
    [
        (JAMO, r"writes syllables and this recipe jamo.*alone has \d+: 가 .*lacks \d+: ᄀ"),
        (Tokenizer("syllables", (*SYLLABLES.tokens, "뷁")), r"\(it lacks 1: 뷁\)"),
        (Tokenizer("syllables", SYLLABLES.tokens[:-1]), r"\(it alone has 1: 허\)"),
        (Tokenizer("syllables", tuple(t for t in SYLLABLES.tokens if t != "|"), delimiter_token=None), "the space"),
    ],
)
def test_other_units_are_refused_with_the_difference(folder: Path, student: Tokenizer, complaint: str) -> None:
    with pytest.raises(RecipeError, match=complaint):
        FrameTeacher(Teaching(str(folder)), student)


# In training


@pytest.fixture(scope="module")
def untaught(tiny_speech: Path) -> recipe.Recipe:
    return recipe.Recipe(
        data=recipe.Data(train=f"manifest:{tiny_speech}/train.jsonl", eval=f"manifest:{tiny_speech}/dev.jsonl"),
        model=TINY,
        training=recipe.Training(
            train_batch_size=18,
            gradient_accumulation_steps=1,
            lr_scheduler_warmup_steps=0,
            num_epochs=2,
            mixed_precision=False,
            eval_steps=1,
            logging_steps=1,
            blank_evaluations=100,
        ),
    )


def losses(folder: Path, key: str) -> list[float]:
    return [line[key] for line in model_folder.read_log(folder) if key in line]


def test_the_teacher_computes_in_the_precision_of_the_student(
    untaught: recipe.Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = finetune.fine_tune(untaught, tmp_path / "alone").folder
    monkeypatch.setattr("distilhubert_ko.training.trainer.training_precision", lambda training: "bf16")
    seen, logits_of = set(), FrameTeacher.logits

    def watched(self: FrameTeacher, *given: torch.Tensor) -> torch.Tensor:
        seen.add(torch.is_autocast_enabled("cpu"))
        return logits_of(self, *given)

    monkeypatch.setattr(FrameTeacher, "logits", watched)
    finetune.fine_tune(dataclasses.replace(untaught, teaching=Teaching(str(alone))), tmp_path / "taught")
    assert seen == {True}


def test_a_taught_run_starts_from_the_same_weights_and_is_drawn_to_its_teacher(
    untaught: recipe.Recipe, tmp_path: Path
) -> None:
    alone = finetune.fine_tune(untaught, tmp_path / "alone").folder
    taught = dataclasses.replace(untaught, teaching=Teaching(str(alone), weight=0.5))
    finetune.fine_tune(taught, tmp_path / "taught")
    teacher = FrameTeacher(taught.teaching, Tokenizer.load(alone))
    torch.manual_seed(untaught.training.seed)
    student = build_network(TINY, Tokenizer.load(alone))
    before = {name: value.clone() for name, value in student.state_dict().items()}
    waves, lengths = padded([clip(16_000), clip(9000)])

    def distance() -> float:
        valid = frame_teacher.common_frames([student], 49, lengths)
        with torch.no_grad():
            own = student.eval()(waves, lengths).logits
        return frame_teacher.posterior_divergence(own, teacher.logits(waves, lengths), valid, 1.0).item()

    far = distance()
    after = load_file(tmp_path / "taught" / "last" / "model.safetensors")
    assert not torch.equal(before["lm_head.weight"], after["lm_head.weight"])
    student.load_state_dict(after)
    assert distance() < far
    first = [losses(tmp_path / name, "loss")[0] for name in ("alone", "taught")]
    assert 0.5 * first[0] < first[1] < first[0]  # half of the same CTC loss, and the teacher's share
    # What evaluation measures is CTC's loss, as ever.
    assert losses(tmp_path / "taught", "eval_loss")[0] == pytest.approx(
        losses(tmp_path / "alone", "eval_loss")[0], rel=0.1
    )


def test_a_teacher_of_other_units_stops_a_run_before_it_begins(
    untaught: recipe.Recipe, folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(RecipeError, match=r"teaching\.teacher"):
        finetune.fine_tune(dataclasses.replace(untaught, teaching=Teaching(str(folder))), tmp_path / "run")
    assert not (tmp_path / "run").exists()
