"""Recipes that name several corpora, which are read as one."""

import json
from pathlib import Path

import pytest

from distilhubert_ko import recipe
from distilhubert_ko.data.corpora import merge_corpora, read_corpus
from distilhubert_ko.data.dataset import prepare_dataset, read_scored_split
from distilhubert_ko.data.reading import Reading
from distilhubert_ko.data.sizes import CorpusSize, training_size
from distilhubert_ko.errors import CorpusError, RecipeError


def read(folder: Path, text: str, *changes: str) -> recipe.Recipe:
    path = folder / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    return recipe.load_recipe(path, changes)


def test_a_list_a_string_and_a_change_on_the_command_line_are_all_understood(tmp_path: Path) -> None:
    config = read(
        tmp_path, '[data]\ntrain = ["folder:a", "folder:b#train"]\neval = "folder:c"\n', 'data.test=["folder:d"]'
    )
    assert config.data.train == ("folder:a", "folder:b#train")
    assert config.data.eval == "folder:c"
    assert config.test_corpus == ("folder:d",)
    assert recipe.joined_corpora(config.data.train) == "folder:a + folder:b#train"
    assert recipe.listed_corpora(config.data.eval) == ("folder:c",)


def test_a_list_survives_saving(tmp_path: Path) -> None:
    config = recipe.Recipe(data=recipe.Data(train=("folder:a", "folder:b")))
    recipe.save_recipe(config, tmp_path / "saved.toml")
    assert recipe.load_recipe(tmp_path / "saved.toml") == config


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("train = 3", "data.train is 3: give a value of type str"),
        ("train = ['a', 3]", "data.train is 3: give a value of type str"),
        ("train = []", "data.train or data.eval is an empty list"),
        (
            "train = ['hub:a/b', 'hub:a/c']\nstreaming = true",
            "data.streaming fetches one corpus, and data.train names 2",
        ),
    ],
)
def test_what_is_no_list_of_corpora_is_refused(written: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=message):
        read(tmp_path, f"[data]\n{written}\n")


def test_several_corpora_are_read_in_their_order_and_counted_together(tiny_speech: Path) -> None:
    train, dev = (f"manifest:{tiny_speech}/{name}.jsonl" for name in ("train", "dev"))
    config = recipe.Recipe(data=recipe.Data(train=(train, dev), eval=dev))
    prepared = prepare_dataset(config)
    alone = [read_scored_split(spec, config.text, Reading()) for spec in (train, dev)]
    assert prepared.train.examples == alone[0].examples + alone[1].examples
    assert prepared.train.spec == f"{train} + {dev}"
    assert prepared.report().splits["train"].utterances == 24
    assert training_size(config) == CorpusSize(24, sum(split.hours for split in alone))


def test_one_that_is_left_out_is_a_problem_of_the_whole(tiny_speech: Path, tmp_path: Path) -> None:
    line = {"audio_filepath": "missing.wav", "text": "나무", "id": "gone"}
    (tmp_path / "more.jsonl").write_text(
        json.dumps(line)
        + "\n"
        + json.dumps(line | {"audio_filepath": str(tiny_speech / "s1-00.wav"), "id": "kept"})
        + "\n",
        encoding="utf-8",
    )
    parts = [
        read_corpus(f"manifest:{tiny_speech}/dev.jsonl"),
        read_corpus(f"manifest:{tmp_path}/more.jsonl", Reading(allow_outside=True)),
    ]
    merged = merge_corpora(parts)
    assert len(merged.utterances) == 7
    assert merged.problems == parts[1].problems != ()
    assert merge_corpora(parts[:1]) is parts[0]


def test_an_id_that_two_corpora_share_is_named(tiny_speech: Path) -> None:
    part = read_corpus(f"manifest:{tiny_speech}/dev.jsonl")
    with pytest.raises(CorpusError, match=f"6 ids occur in more than one, e.g. {part.utterances[0].id}: rename"):
        merge_corpora([part, part])
