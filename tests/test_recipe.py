"""Recipes against the published run, against Transformers' schedulers, and against steps counted one by one."""

import dataclasses
import re
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import get_scheduler

from distilhubert_ko import recipe
from distilhubert_ko.errors import RecipeError
from distilhubert_ko.recipe import Data, Distill, Model, Recipe, Scheduler, Teaching, Text, Training
from distilhubert_ko.training import schedule

PUBLISHED_UTTERANCES = 22_263
PUBLISHED_ROWS = [
    (0.57, 400),
    (1.15, 800),
    (1.72, 1200),
    (2.3, 1600),
    (2.87, 2000),
    (3.45, 2400),
    (4.02, 2800),
    (4.6, 3200),
    (5.17, 3600),
    (5.75, 4000),
    (6.32, 4400),
    (6.9, 4800),
    (7.47, 5200),
    (8.05, 5600),
    (8.62, 6000),
    (9.2, 6400),
    (9.77, 6800),
]
RECIPES = sorted((Path(__file__).parents[1] / "recipes").glob("*.toml"))
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
LARGE = st.integers(1, 2**40)


def write(folder: Path, content: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(content, encoding="utf-8")
    return path


def changed(*changes: str) -> Recipe:
    return recipe.load_recipe(recipe.find_recipe("zeroth"), changes)


def refused(complaint: str, *changes: str) -> None:
    """Loading with `changes` is a RecipeError of one line that holds `complaint`."""
    with pytest.raises(RecipeError, match=re.escape(complaint)) as caught:
        changed(*changes)
    assert "\n" not in str(caught.value)


def of_training(**changes: Any) -> Recipe:
    return Recipe(training=Training(**changes))


# The published recipe


def test_the_zeroth_recipe_plans_the_published_rows() -> None:
    plan = schedule.plan_training(recipe.load_recipe(recipe.find_recipe("zeroth")), PUBLISHED_UTTERANCES)
    assert [(row.epoch, row.step) for row in plan.evaluations] == [*PUBLISHED_ROWS, (10.0, 6960)]
    assert (plan.steps_per_epoch, plan.total_steps) == (696, 6960)
    assert plan.train_utterances == PUBLISHED_UTTERANCES


def test_the_zeroth_recipe_has_the_published_hyperparameters() -> None:
    loaded = recipe.load_recipe(recipe.find_recipe("zeroth"))
    planned = schedule.plan_training(loaded, PUBLISHED_UTTERANCES).hyperparameters
    published = {
        "learning_rate": 0.001,
        "train_batch_size": 16,
        "eval_batch_size": 8,
        "seed": 42,
        "gradient_accumulation_steps": 2,
        "total_train_batch_size": 32,
        "adam_betas": (0.9, 0.999),
        "adam_epsilon": 1e-8,
        "lr_scheduler_type": "cosine_with_restarts",
        "lr_scheduler_warmup_steps": 500,
        "num_epochs": 10,
        "mixed_precision": True,
        "length_buckets": False,
    }
    assert {key: planned[key] for key in published} == published
    assert loaded.text == Text(units="syllables", foreign="drop")
    assert loaded.model.pretrained == "ntu-spml/distilhubert"
    corpora = {"train": "hub:Bingsu/zeroth-korean#train", "eval": "hub:Bingsu/zeroth-korean#test"}
    assert loaded.data == Data(**corpora, max_seconds=20.0)


def test_where_the_card_is_silent_the_zeroth_recipe_has_the_defaults_of_the_script_that_wrote_it() -> None:
    """The script passes its mask_time_prob of 0.05 on, but ntu-spml/distilhubert switches SpecAugment off."""
    loaded = recipe.load_recipe(recipe.find_recipe("zeroth"))
    dropouts = dict.fromkeys((f"{where}_dropout" for where in "hidden attention activation feat_proj final".split()), 0)
    assert loaded.model == Model(freeze_feature_encoder=True, mask_time_prob=0.0, mask_feature_prob=0.0, **dropouts)
    assert (loaded.training.weight_decay, loaded.training.max_grad_norm) == (0.0, 1.0)
    assert loaded.training.report == "last"
    assert loaded.name == "distilhubert-ko-zeroth"
    assert loaded.augment == recipe.Augment()


def test_the_published_learning_rates_rise_to_the_peak_and_fall_to_nothing() -> None:
    plan = schedule.plan_training(recipe.load_recipe(recipe.find_recipe("zeroth")), PUBLISHED_UTTERANCES)
    rates = [row.learning_rate for row in plan.evaluations]
    assert rates[0] == pytest.approx(8e-4)
    assert rates[1] == pytest.approx(1e-3, rel=0.01)
    assert rates[1:] == sorted(rates[1:], reverse=True)
    assert 0 < rates[-2] < 2e-6
    assert rates[-1] == 0


def test_a_warm_up_longer_than_the_run_is_a_warning_and_the_table_has_its_end() -> None:
    plan = schedule.plan_training(of_training(lr_scheduler_warmup_steps=500, num_epochs=1, eval_steps=400), 64)
    assert [row.step for row in plan.evaluations] == [plan.total_steps] == [2]
    assert "the warm-up of 500 steps is as long as the run of 2 or longer" in plan.warnings[0]
    assert schedule.plan_training(of_training(lr_scheduler_warmup_steps=1), 64_000).warnings == []


# Steps


def counted(utterances: int, batch: int, accumulation: int, epochs: int) -> list[float]:
    """The epoch after each optimizer step, by going through the utterances as a training loop does."""
    batches = len(range(0, utterances, batch))
    return [
        epoch + number / batches
        for epoch in range(epochs)
        for number in range(1, batches + 1)
        if number % accumulation == 0 or number == batches
    ]


@given(st.integers(1, 200), st.integers(1, 12), st.integers(1, 7), st.integers(1, 4), st.integers(1, 9))
def test_steps_and_epochs_are_those_of_a_training_loop(
    utterances: int, batch: int, accumulation: int, epochs: int, every: int
) -> None:
    config = of_training(
        train_batch_size=batch, gradient_accumulation_steps=accumulation, num_epochs=epochs, eval_steps=every
    )
    plan = schedule.plan_training(config, utterances)
    after = counted(utterances, batch, accumulation, epochs)
    assert plan.total_steps == len(after)
    assert plan.steps_per_epoch * epochs == len(after)
    assert [row.step for row in plan.evaluations] == [
        n for n in range(1, len(after) + 1) if n % every == 0 or n == len(after)
    ]
    assert [row.epoch for row in plan.evaluations] == pytest.approx(
        [after[row.step - 1] for row in plan.evaluations], abs=0.0051
    )


def test_a_run_shorter_than_eval_steps_is_evaluated_at_its_end() -> None:
    plan = schedule.plan_training(of_training(num_epochs=1, eval_steps=2), 1)
    assert (plan.total_steps, [row.step for row in plan.evaluations]) == (1, [1])


@pytest.mark.parametrize("utterances", [0, -1])
def test_a_plan_needs_an_utterance(utterances: int) -> None:
    with pytest.raises(RecipeError, match="give 1 or more"):
        schedule.plan_training(Recipe(), utterances)


# Learning rates


@pytest.mark.parametrize("kind", sorted({*get_args(Scheduler)} - {"tri_stage"}))
@pytest.mark.parametrize(
    ("warmup", "total"),
    [(500, 6960), (500, 400), (500, 500), (500, 501), (0, 0), (0, 1), (0, 37), (1, 1), (1, 2), (7, 100)],
)
def test_learning_rates_are_those_of_transformers_at_every_step(kind: Any, warmup: int, total: int) -> None:
    training = Training(learning_rate=3e-4, lr_scheduler_type=kind, lr_scheduler_warmup_steps=warmup)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=training.learning_rate)
    scheduler = get_scheduler(kind, optimizer, num_warmup_steps=warmup, num_training_steps=total)
    factor = scheduler.lr_lambdas[0]
    expected = [training.learning_rate * factor(step) for step in range(total + 1)]
    rates = [schedule.learning_rate(training, step, total) for step in range(total + 1)]
    assert rates == pytest.approx(expected, rel=1e-12, abs=1e-18)


def test_three_stages_rise_stay_and_fall_by_the_same_factor_at_each_step() -> None:
    training = Training(learning_rate=2.0, lr_scheduler_type="tri_stage", lr_scheduler_warmup_steps=100)
    rates = [schedule.learning_rate(training, step, 1000) for step in range(1001)]
    assert rates[:101] == pytest.approx([2.0 * step / 100 for step in range(101)])
    assert rates[100:501] == [2.0] * 401
    assert [later / rate for rate, later in pairwise(rates[500:])] == pytest.approx([0.05 ** (1 / 500)] * 500)
    assert rates[-1] == pytest.approx(2.0 * 0.05)


@pytest.mark.parametrize(("warmup", "total"), [(0, 0), (0, 1), (10, 5), (60, 100)])
def test_three_stages_of_few_steps_stay_between_nothing_and_the_peak(warmup: int, total: int) -> None:
    training = Training(learning_rate=1.0, lr_scheduler_type="tri_stage", lr_scheduler_warmup_steps=warmup)
    rates = [schedule.learning_rate(training, step, total) for step in range(total + 1)]
    assert all(0 <= rate <= 1 for rate in rates)
    assert rates[: warmup + 1] == pytest.approx(
        [step / max(1, warmup) for step in range(min(warmup, total) + 1)] if warmup else [1.0]
    )


# Reading


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_that_comes_along_loads_under_its_own_name_or_that_of_the_published_model(path: Path) -> None:
    loaded = recipe.load_recipe(recipe.find_recipe(path.stem))
    assert loaded.name == {"zeroth": "distilhubert-ko-zeroth"}.get(path.stem, path.stem)
    assert schedule.plan_training(loaded, 1000).total_steps > 0


def test_the_recipes_that_come_along_were_found() -> None:
    assert {"zeroth", "demo"} <= {path.stem for path in RECIPES}


def test_an_empty_file_is_the_default_recipe_under_the_name_of_the_file(tmp_path: Path) -> None:
    assert recipe.load_recipe(write(tmp_path, "")) == Recipe(name="mine")


def test_a_recipe_keeps_the_name_it_gives_itself(tmp_path: Path) -> None:
    assert recipe.load_recipe(write(tmp_path, 'name = "another"')).name == "another"


def test_whole_numbers_and_lists_are_read_as_the_types_of_their_keys(tmp_path: Path) -> None:
    path = write(tmp_path, "[training]\nlearning_rate = 1\nadam_betas = [0, 0.5]\n")
    training = recipe.load_recipe(path).training
    assert (training.learning_rate, training.adam_betas) == (1.0, (0.0, 0.5))
    assert type(training.learning_rate) is float
    assert type(training.adam_betas[0]) is float


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("[training]\nlearningrate = 1e-3", "unknown key training.learningrate; did you mean training.learning_rate?"),
        ("[trainng]\nseed = 1", "unknown key trainng; did you mean training?"),
        ('[model]\npretraned = "random"', "unknown key model.pretraned; did you mean model.pretrained?"),
        ("[text]\nzzz = 1", "unknown key text.zzz; known here: units, foreign"),
        ("training = 3", "training is a section: write [training] and its keys below it"),
        ("name = 3", "name is 3: give a value of type str"),
        ('[training]\nseed = "42"', "training.seed is '42': give a value of type int"),
        ("[training]\nseed = 42.0", "training.seed is 42.0: give a value of type int"),
        ("[training]\nseed = true", "training.seed is True: give a value of type int"),
        ("[training]\nlearning_rate = false", "training.learning_rate is False: give a value of type float"),
        ("[training]\nmixed_precision = 1", "training.mixed_precision is 1: give a value of type bool"),
        ("[training]\nadam_betas = [0.9]", "training.adam_betas is [0.9]: give 2 values"),
        ("[training]\nadam_betas = 0.9", "training.adam_betas is 0.9: give 2 values"),
        ("[training]\nadam_betas = [0.9, true]", "training.adam_betas is True: give a value of type float"),
        ("[model]\nconv_dim = [1.5]", "model.conv_dim is 1.5: give a value of type int"),
        ("[model]\nconv_dim = [512, 512]", "model.conv_dim is [512, 512]: give 7 widths of 1 or more"),
        ("[model]\nconv_dim = [8, 8, 8, 8, 8, 8, 0]", "give 7 widths of 1 or more"),
        ('[text]\nunits = "words"', "text.units is 'words': choose one of 'syllables', 'jamo'"),
        ('[training]\nlr_scheduler_type = "cos"', "choose one of 'constant_with_warmup', 'linear', 'cosine'"),
    ],
)
def test_what_no_recipe_has_is_refused_and_the_message_says_what_one_has(
    tmp_path: Path, content: str, complaint: str
) -> None:
    path = write(tmp_path, content)
    with pytest.raises(RecipeError) as caught:
        recipe.load_recipe(path)
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_message_about_an_unknown_key_names_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, "[training]\nlearningrate = 1")
    with pytest.raises(RecipeError, match=r"mine\.toml: unknown key"):
        recipe.load_recipe(path)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ("training.num_epochs=0", "training.num_epochs is 0: give 1 or more"),
        ("training.gradient_accumulation_steps=-1", "training.gradient_accumulation_steps is -1"),
        ("training.blank_evaluations=0", "training.blank_evaluations is 0"),
        ("training.lr_scheduler_warmup_steps=-1", "training.lr_scheduler_warmup_steps is -1: give 0 or more"),
        ("training.learning_rate=0", "training.learning_rate is 0.0"),
        ("training.learning_rate=nan", "training.learning_rate is nan"),
        ("training.learning_rate=inf", "training.learning_rate is inf"),
        ("model.num_attention_heads=0", "model.num_attention_heads is 0: give 1 or more"),
        ("model.num_attention_heads=7", "model.hidden_size 768 cannot be shared among 7 heads"),
        ("model.num_conv_pos_embedding_groups=0", "model.num_conv_pos_embedding_groups is 0"),
        ("model.num_conv_pos_embedding_groups=5", "768 is no multiple of model.num_conv_pos_embedding_groups 5"),
        ("data.max_seconds=0", "leave nothing"),
        ("data.max_seconds=nan", "leave nothing"),
        ("data.min_seconds=-0.1", "leave nothing"),
        ("data.min_seconds=30", "leave nothing"),
        ("distill.layers=[0, 4]", "distill.layers is [0, 4]: give layers from 1 on, in rising order, each once"),
        ("distill.layers=[4, 4]", "each once"),
        ("distill.layers=[8, 4]", "in rising order"),
        ("distill.cosine_weight=-1", "distill.cosine_weight is -1.0: give 0 or more"),
        ("distill.cosine_weight=nan", "distill.cosine_weight is nan"),
        ("distill.crop_seconds=0.5", "distill.crop_seconds is 0.5: give 1 or more, or 0 for whole clips"),
        ("distill.crop_seconds=nan", "distill.crop_seconds is nan"),
        ("distill.heads=all", "distill.heads is 'all': choose one of 'last', 'each'"),
        ("distill.initialise=random", "distill.initialise is 'random': choose one of 'teacher', 'model'"),
        ("teaching.weight=0", "teaching.weight is 0.0: give more than 0, and 1 at most"),
        ("teaching.weight=1.5", "teaching.weight is 1.5"),
        ("teaching.temperature=0", "teaching.temperature is 0.0: give a number more than 0"),
        ("teaching.temperature=nan", "teaching.temperature is nan"),
    ],
)
def test_values_that_cannot_work_are_refused_by_name(change: str, complaint: str) -> None:
    refused(complaint, change)


def test_a_missing_file_is_a_recipe_error(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"absent\.toml: no such recipe file"):
        recipe.load_recipe(tmp_path / "absent.toml")


@pytest.mark.parametrize("content", [b"learning rate: 3", b"[training\n", "name = '가'".encode("cp949"), b"a=1\na=2"])
def test_a_file_that_is_not_toml_is_a_recipe_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(content)
    with pytest.raises(RecipeError, match=r"mine\.toml: not a readable TOML file"):
        recipe.load_recipe(path)


def test_a_folder_is_no_recipe(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="not a readable TOML file"):
        recipe.load_recipe(tmp_path)


def test_a_recipe_is_found_by_its_path_or_by_its_bare_name(tmp_path: Path) -> None:
    path = write(tmp_path, "")
    assert recipe.find_recipe(str(path)) == path
    assert recipe.find_recipe("zeroth").name == "zeroth.toml"


@pytest.mark.parametrize("name", ["zerth", "", "zeroth.toml.old"])
def test_a_name_that_no_recipe_has_is_answered_with_those_there_are(name: str) -> None:
    with pytest.raises(RecipeError, match=r"no such recipe file; recipes that come with the package: demo, .*zeroth"):
        recipe.find_recipe(name)


# --set


@pytest.mark.parametrize(
    ("change", "section", "key", "expected"),
    [
        ("training.num_epochs=3", "training", "num_epochs", 3),
        (" training . num_epochs = 3 ", "training", "num_epochs", 3),
        ("training.learning_rate=1e-4", "training", "learning_rate", 1e-4),
        ("training.learning_rate=2", "training", "learning_rate", 2.0),
        ("training.length_buckets=true", "training", "length_buckets", True),
        ("training.adam_betas=[0.8, 0.95]", "training", "adam_betas", (0.8, 0.95)),
        ("model.conv_dim=[1, 2, 3, 4, 5, 6, 7]", "model", "conv_dim", (1, 2, 3, 4, 5, 6, 7)),
        ("text.units=jamo", "text", "units", "jamo"),
        ('text.units="jamo"', "text", "units", "jamo"),
        ("data.train=zeroth:data/zeroth#train", "data", "train", "zeroth:data/zeroth#train"),
        ("data.train=manifest:a=b.jsonl", "data", "train", "manifest:a=b.jsonl"),
        ("data.heldout=every 8th speaker", "data", "heldout", "every 8th speaker"),
        ("data.test=", "data", "test", ""),
    ],
)
def test_a_change_is_toml_and_a_bare_word_is_a_string(change: str, section: str, key: str, expected: Any) -> None:
    value = getattr(getattr(changed(change), section), key)
    assert value == expected
    assert type(value) is type(expected)


def test_a_change_touches_nothing_else() -> None:
    before = changed()
    after = changed("training.seed=7")
    assert after == dataclasses.replace(before, training=dataclasses.replace(before.training, seed=7))


def test_a_change_may_name_a_key_outside_sections_and_the_last_of_two_holds() -> None:
    assert changed("name=first", "name=second").name == "second"


@pytest.mark.parametrize(
    "change", ["training.num_epochs", "=3", "training.=3", ".num_epochs=3", "training.seed.x=3", "", "."]
)
def test_a_change_that_is_not_section_key_value_is_refused(change: str) -> None:
    refused("write it as section.key=value", change)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ("training.sed=3", "did you mean training.seed?"),
        ("trainin.seed=3", "did you mean training?"),
        ("training=3", "training is a section"),
        ("name.x=3", "name is no section"),
        ("training.num_epochs=", "training.num_epochs is '': give a value of type int"),
        ("training.num_epochs=three", "training.num_epochs is 'three'"),
        ("training.length_buckets=yes", "training.length_buckets is 'yes': give a value of type bool"),
        ("text.units=[1", "text.units is"),
    ],
)
def test_a_change_is_checked_as_the_file_is(change: str, complaint: str) -> None:
    refused(complaint, change)


# Writing


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_saving_and_loading_gives_the_same_recipe(path: Path, tmp_path: Path) -> None:
    original = recipe.load_recipe(path)
    recipe.save_recipe(original, tmp_path / "elsewhere.toml")
    assert recipe.load_recipe(tmp_path / "elsewhere.toml") == original
    assert [file.name for file in tmp_path.iterdir()] == ["elsewhere.toml"]


@given(
    name=TEXTS,
    train=TEXTS,
    rate=st.floats(min_value=1e-300, allow_infinity=False),
    epsilon=st.floats(allow_nan=False),
    seed=st.integers(-(2**63), 2**63 - 1),
    betas=st.tuples(st.floats(allow_nan=False), st.floats(allow_nan=False)),
    widths=st.tuples(*[LARGE] * 7),
)
def test_any_value_survives_saving(
    tmp_path_factory: pytest.TempPathFactory,
    name: str,
    train: str,
    rate: float,
    epsilon: float,
    seed: int,
    betas: tuple[float, float],
    widths: tuple[int, ...],
) -> None:
    training = Training(learning_rate=rate, adam_epsilon=epsilon, seed=seed, adam_betas=betas)
    original = Recipe(name=name, data=Data(train=train), model=Model(conv_dim=widths), training=training)
    path = tmp_path_factory.getbasetemp() / "survivor.toml"
    recipe.save_recipe(original, path)
    assert recipe.load_recipe(path) == original


def test_a_saved_recipe_spells_out_every_key(tmp_path: Path) -> None:
    path = tmp_path / "all.toml"
    recipe.save_recipe(Recipe(), path)
    written = path.read_text(encoding="utf-8")
    for section in (Recipe, Data, Text, Model, Training, Distill, Teaching):
        for field in dataclasses.fields(section):
            assert f"{field.name} = " in written or f"[{field.name}]" in written


def test_the_test_corpus_is_the_evaluation_corpus_unless_it_is_named() -> None:
    assert Recipe(data=Data(eval="a:b")).test_corpus == "a:b"
    assert Recipe(data=Data(eval="a:b", test="c:d")).test_corpus == "c:d"
