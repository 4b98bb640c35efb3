"""Evaluation, the report's files, the card and its results table."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import jiwer
import numpy as np
import pytest
import torch
import yaml

from distilhubert_ko import model_folder, recipe
from distilhubert_ko.audio.frames import SAMPLE_RATE
from distilhubert_ko.data import dataset
from distilhubert_ko.data.corpora import read_corpora
from distilhubert_ko.data.dataset import read_scored_split
from distilhubert_ko.data.reading import Reading
from distilhubert_ko.errors import InputError, ModelError
from distilhubert_ko.evaluation import breakdown, card, report
from distilhubert_ko.evaluation.model_record import ModelRecord
from distilhubert_ko.evaluation.report import Report
from distilhubert_ko.files import writing
from distilhubert_ko.model.loading import load_network
from distilhubert_ko.recognition.transcriber import Transcriber
from tests.support.model import SYLLABLES

COMMIT = "0123456789abcdef" * 2 + "01234567"


@pytest.fixture(scope="module")
def measured(exported: Path, tiny_speech: Path) -> Report:
    return report.evaluate_model(Transcriber(exported, threads=1), f"manifest:{tiny_speech}/dev.jsonl")


def test_figures_and_utterances_are_not_written_into_one_file(measured: Report, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"ends in \.json"):
        report.save_report(measured, tmp_path / "figures.jsonl")
    assert not (tmp_path / "figures.jsonl").exists()


@pytest.fixture
def folder(exported: Path, measured: Report, tmp_path: Path) -> Path:
    """Return a model folder with the records of a run."""
    path = Path(shutil.copytree(exported, tmp_path / "model"))
    recipe.save_recipe(recipe.Recipe(name="tiny"), path / "recipe.toml")
    summary = {
        "corpus": "c",
        "utterances": 4,
        "hours": 0.1,
        "speakers": 2,
        "distinct_sentences": 4,
        "dropped": {"too long": 1},
    }
    overlap = {"shared_sentences": 1, "shared_speakers": 0, "unknown_characters": {"힣": 3}}
    data = {
        "units": "syllables",
        "vocabulary": len(SYLLABLES),
        "splits": {"train": summary, "eval": summary, "test": summary},
        "overlap_with_train": {"eval": overlap, "test": overlap},
    }
    run = {
        "best_step": 800,
        "total_steps": 1200,
        "resumed": False,
        "train_seconds": 61.0,
        "precision": "fp16",
        "device": "cuda:0",
        "parameters": 1,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "versions": {"torch": "2.13.0"},
    }
    writing.write_json(path / model_folder.DATA, data)
    writing.write_json(path / model_folder.TRAINING, run)
    writing.write_text(path / model_folder.LOG, model_folder.log_text(LOG))
    report.save_report(measured, path / model_folder.REPORT)
    return path


LOG = [
    {"eval_loss": 3.5, "eval_cer": 1.0, "epoch": 0.5747, "step": 400},
    {"loss": 4.25, "epoch": 0.718, "step": 500},
    {"eval_loss": 1.25, "eval_cer": 0.5, "epoch": 1.1494, "step": 800},
    {"loss": 1.0, "epoch": 1.436, "step": 1000},
    {"eval_loss": 1.0, "eval_cer": 0.25, "epoch": 1.7241, "step": 1200},
]


def test_the_rates_are_those_of_jiwer_over_the_whole_corpus(measured: Report) -> None:
    references = [each.reference for each in measured.predictions]
    hypotheses = [each.hypothesis for each in measured.predictions]
    assert any(hypotheses)
    assert measured.cer == pytest.approx(jiwer.cer(references, hypotheses))
    assert measured.wer == pytest.approx(jiwer.wer(references, hypotheses))
    closed = ["".join(text.split()) for text in references], ["".join(text.split()) for text in hypotheses]
    assert measured.cer_no_space == pytest.approx(jiwer.cer(*closed))
    whole = jiwer.process_characters(references, hypotheses)
    errors = (measured.substitutions, measured.deletions, measured.insertions)
    assert sum(errors) == whole.substitutions + whole.deletions + whole.insertions
    low, high = measured.cer_ci95
    assert low <= measured.cer <= high


def test_the_loss_is_that_of_torch_for_each_clip_alone(exported: Path, tiny_speech: Path, measured: Report) -> None:
    network = load_network(exported)
    split = read_scored_split(f"manifest:{tiny_speech}/dev.jsonl", recipe.Text(), Reading())
    losses = []
    for example in split.examples:
        labels = torch.tensor([SYLLABLES.encode(example.text)])
        with torch.no_grad():
            losses.append(network(torch.from_numpy(example.utterance.wave())[None], labels=labels).loss.item())
    assert measured.too_few_frames == 0
    assert measured.loss == pytest.approx(np.mean(losses), rel=1e-3)


def test_the_report_counts_utterances_hours_and_unknown_characters(measured: Report) -> None:
    assert measured.utterances == len(measured.predictions) == 6
    assert measured.hours * 3600 == pytest.approx(sum(1.0 + 0.6 * (len(p.reference) > 5) for p in measured.predictions))
    known = set(SYLLABLES.tokens) | {" "}
    unknown = sum(character not in known for each in measured.predictions for character in each.reference)
    assert measured.unknown_characters == unknown > 0
    assert measured.seconds > 0


def test_json_has_the_keys_of_the_contract_and_a_line_an_utterance_beside_it(measured: Report, tmp_path: Path) -> None:
    lines = report.save_report(measured, tmp_path / "figures.json")
    assert lines == tmp_path / "figures.jsonl"
    figures = json.loads((tmp_path / "figures.json").read_text(encoding="utf-8"))
    rates = {"cer", "cer_no_space", "jer", "wer", "loss", "cer_ci95"}
    counts = {"utterances", "substitutions", "deletions", "insertions", "unknown_characters"}
    assert rates | counts | {"hours", "seconds"} <= figures.keys()
    assert len(figures["cer_ci95"]) == 2
    records = [json.loads(line) for line in lines.read_text(encoding="utf-8").splitlines()]
    assert [set(record) for record in records] == [
        {"id", "reference", "hypothesis", "speaker", "seconds"}
    ] * measured.utterances
    assert "\\u" not in lines.read_text(encoding="utf-8")


def test_predictions_know_their_speaker_and_length_and_make_the_figures_again(measured: Report) -> None:
    assert {each.speaker for each in measured.predictions} == {"s4"}
    assert sum(each.seconds for each in measured.predictions) == pytest.approx(3600 * measured.hours)
    figures = breakdown.Breakdown(measured.predictions).figures
    rates = (measured.cer, measured.cer_no_space, measured.jer, measured.wer)
    assert tuple(figures[name].rate for name in ("cer", "cer_no_space", "jer", "wer")) == rates
    assert (figures["cer"].ci95, figures["cer_no_space"].ci95) == (measured.cer_ci95, measured.cer_no_space_ci95)


def test_a_comparison_stands_in_the_json_and_the_report_is_still_read(measured: Report, tmp_path: Path) -> None:
    comparison = breakdown.compare_predictions(measured.predictions, measured.predictions)
    report.save_report(measured, tmp_path / model_folder.REPORT, comparison)
    written = json.loads((tmp_path / model_folder.REPORT).read_text(encoding="utf-8"))["comparison"]
    assert written["cer"]["first"] == written["cer"]["second"] == measured.cer
    assert written["cer"]["over_utterances"] == {
        "difference": 0.0,
        "ci95": [0.0, 0.0],
        "probability": 0.5,
        "p": 1.0,
        "units": 6,
    }
    assert report.load_report(tmp_path) == replace(measured, predictions=())


def test_a_saved_report_is_loaded_as_it_was(folder: Path, measured: Report) -> None:
    assert report.load_report(folder) == replace(measured, predictions=())


def test_a_report_knows_the_commits_of_a_model_and_a_corpus_of_the_hub(
    exported: Path, tiny_speech: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "models--owner--name"
    shutil.copytree(exported, home / "snapshots" / COMMIT)
    writing.write_text(home / "refs" / "main", COMMIT)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert model_folder.revision("owner/name") == COMMIT
    assert [model_folder.revision(name) for name in ("owner/other", "random", exported)] == [None] * 3

    monkeypatch.setattr(
        dataset, "read_corpora", lambda *args, **options: replace(read_corpora(*args, **options), revision="4" * 40)
    )
    found = report.evaluate_model(Transcriber("owner/name", threads=1), f"manifest:{tiny_speech}/dev.jsonl")
    assert (found.model_revision, found.corpus_revision) == (COMMIT, "4" * 40)


def test_an_older_report_is_greedy_and_knows_no_commits(folder: Path, measured: Report) -> None:
    table = json.loads((folder / model_folder.REPORT).read_text(encoding="utf-8"))
    for name in ("decoding", "corpus_revision", "model_revision"):
        del table[name]
    writing.write_json(folder / model_folder.REPORT, table)
    assert report.load_report(folder) == replace(measured, predictions=())


@pytest.mark.parametrize("content", [None, "{", "{}", '{"cer_ci95": 1}'])
def test_a_missing_or_torn_report_is_a_model_error_that_says_how_to_measure_again(
    tmp_path: Path, content: str | None
) -> None:
    if content is not None:
        (tmp_path / model_folder.REPORT).write_text(content)
    with pytest.raises(ModelError, match="distilhubert-ko evaluate"):
        report.load_report(tmp_path)


def test_the_results_table_repeats_the_latest_training_loss_and_says_no_log_before_the_first() -> None:
    assert card.results_table(LOG).splitlines() == [
        "| Training Loss | Epoch | Step | Validation Loss | Cer |",
        "|:-:|:-:|:-:|:-:|:-:|",
        "| No log | 0.57 | 400 | 3.5000 | 1.0000 |",
        "| 4.2500 | 1.15 | 800 | 1.2500 | 0.5000 |",
        "| 1.0000 | 1.72 | 1200 | 1.0000 | 0.2500 |",
    ]


def test_the_card_has_the_published_sections_in_order_and_nothing_left_to_fill_in(folder: Path) -> None:
    text = card.write_card(folder).read_text(encoding="utf-8")
    headings = [line for line in text.splitlines() if line.startswith("#")]
    assert headings == [
        "# tiny",
        "## Model description",
        "## Intended uses & limitations",
        "## Training and evaluation data",
        "## Training procedure",
        "### Training hyperparameters",
        "### Training results",
        "### Framework versions",
    ]
    assert "More information needed" not in text
    assert (folder / model_folder.LEARNING_CURVE).read_bytes().startswith(b"\x89PNG")
    assert sorted(folder.glob(".*")) == []


def test_the_card_takes_its_figures_from_the_report(folder: Path, measured: Report) -> None:
    changed = replace(measured, cer=0.12345, loss=0.54321)
    report.save_report(changed, folder / model_folder.REPORT)
    text = card.write_card(folder).read_text(encoding="utf-8")
    assert "- Cer: 0.1235 (" in text or "- Cer: 0.1234 (" in text
    assert "- Loss: 0.5432" in text


def test_the_card_names_every_lever_that_a_recipe_pulls_and_no_other(folder: Path) -> None:
    plain = card.write_card(folder).read_text(encoding="utf-8")
    assert "Adam with betas" in plain
    assert not re.search(r"^- (model|augment|training|teaching)\.", plain, re.MULTILINE)
    used = recipe.load_recipe(folder / "recipe.toml", ["training.ema_decay=0.999", "training.weight_decay=0.01"])
    augment = recipe.Augment(speeds=(0.9, 1.1), splice_prob=0.3, splice_model="/home/somebody/runs/first")
    model = replace(used.model, mask_time_prob=0.15, hidden_dropout=0.2, final_dropout=0.1)
    recipe.save_recipe(replace(used, augment=augment, model=model), folder / "recipe.toml")
    text = card.write_card(folder).read_text(encoding="utf-8")
    assert re.findall(r"^- ((?:model|augment|training|teaching)\..*)", text, re.MULTILINE) == [
        "model.final_dropout: 0.1",
        "model.mask_time_prob: 0.15",
        "augment.speeds: 0.9, 1.1",
        "augment.splice_prob: 0.3",
        "augment.splice_model: first",
        "training.ema_decay: 0.999",
    ]
    assert "AdamW with betas" in text
    assert "somebody" not in text


def test_the_metadata_of_the_card_is_yaml_with_a_filled_model_index(folder: Path, measured: Report) -> None:
    text = card.write_card(folder).read_text(encoding="utf-8")
    metadata = yaml.safe_load(text.split("---")[1])
    assert metadata["language"] == ["ko"]
    assert metadata["license"] == "apache-2.0"
    assert metadata["base_model"] == "ntu-spml/distilhubert"
    assert metadata["datasets"] == ["Bingsu/zeroth-korean"]
    result = metadata["model-index"][0]["results"][0]
    assert result["task"]["type"] == "automatic-speech-recognition"
    assert result["dataset"]["name"] == measured.corpus
    assert result["metrics"][0] == {"name": "CER", "type": "cer", "value": round(measured.cer, 4)}


def test_the_card_says_which_weights_it_measured_and_where_the_others_are(folder: Path) -> None:
    assert "step 800 of 1,200, the lowest CER on" in card.write_card(folder).read_text(encoding="utf-8")
    run = json.loads((folder / model_folder.TRAINING).read_text(encoding="utf-8"))
    writing.write_json(folder / model_folder.TRAINING, run | {"report": "last"})
    text = card.write_card(folder).read_text(encoding="utf-8")
    assert "those of the last step, 1,200. The lowest CER of 0.5000 on" in text
    assert "was that of step 800, whose weights are in `best/`" in text


@pytest.mark.parametrize("missing", ["data.json", "training.json", "training_log.jsonl", "report.json", "recipe.toml"])
def test_a_card_without_a_record_is_refused_and_the_old_one_stays(folder: Path, missing: str) -> None:
    old = card.write_card(folder).read_bytes()
    (folder / missing).unlink()
    with pytest.raises(ValueError, match=missing.replace(".", r"\.")):
        card.write_card(folder)
    assert (folder / model_folder.CARD).read_bytes() == old


@pytest.mark.parametrize("name", [model_folder.CARD, model_folder.LEARNING_CURVE])
@pytest.mark.parametrize("before", ["somebody's", "edited"])
def test_a_card_or_a_curve_that_somebody_wrote_or_edited_is_never_replaced(
    folder: Path, name: str, before: str
) -> None:
    card.write_card(folder)
    changed = b"mine" if before == "somebody's" else b"mine " + (folder / name).read_bytes()[1000:]
    (folder / name).write_bytes(changed)
    files = {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}
    with pytest.raises(InputError, match=f"{name} exists, and this program did not write it"):
        card.write_card(folder)
    assert {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()} == files


def test_a_card_that_the_program_wrote_on_another_machine_is_replaced(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card.write_card(folder)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))  # which knows of no file
    card.write_card(folder)


def test_an_utterance_with_more_labels_than_frames_is_scored_but_left_out_of_the_loss(
    exported: Path, tmp_path: Path
) -> None:
    import soundfile

    records = []
    for name, samples in (("short", 500), ("long", 16_000)):
        soundfile.write(tmp_path / f"{name}.wav", np.full(samples, 0.01, dtype=np.float32), SAMPLE_RATE)
        records.append({"audio_filepath": f"{name}.wav", "text": "가나다", "duration": samples / SAMPLE_RATE})
    manifest = tmp_path / "manifest.jsonl"
    manifest.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    measured = report.evaluate_model(Transcriber(exported, threads=1), f"manifest:{manifest}")
    assert (measured.utterances, measured.too_few_frames) == (2, 1)
    assert np.isfinite(measured.loss)


def test_a_unit_that_the_model_has_no_output_for_is_an_error_and_does_not_end_the_evaluation(
    exported: Path, tiny_speech: Path, measured: Report
) -> None:
    transcriber = Transcriber(exported, threads=1)
    lost = measured.predictions[0].reference[0]
    others = {"[UNK]": "뷃", lost: "뷁"}
    tokens = (*(others.get(token, token) for token in SYLLABLES.tokens), "<unk>")  # which Transformers would add
    transcriber.tokenizer = replace(SYLLABLES, tokens=tokens, unknown_token="<unk>")
    found = report.evaluate_model(transcriber, f"manifest:{tiny_speech}/dev.jsonl")
    assert found.unknown_characters > measured.unknown_characters
    assert np.isfinite(found.loss)
    assert found.cer > 0


def test_a_corpus_is_found_from_the_root_given_and_not_from_that_of_the_models_recipe(
    folder: Path, tiny_speech: Path
) -> None:
    recipe.save_recipe(recipe.Recipe(data=recipe.Data(root="elsewhere")), folder / "recipe.toml")
    transcriber = Transcriber(folder, threads=1)
    assert report.evaluate_model(transcriber, "manifest:dev.jsonl", reading=Reading(root=tiny_speech)).utterances == 6
    assert report.evaluate_model(transcriber, f"manifest:{tiny_speech}/dev.jsonl").utterances == 6


def test_the_card_names_the_commits_of_what_came_from_the_hub(folder: Path, measured: Report) -> None:
    assert "revision" not in card.render_card(ModelRecord(folder))
    report.save_report(replace(measured, corpus_revision=COMMIT), folder / model_folder.REPORT)
    data, run = (json.loads((folder / name).read_text(encoding="utf-8")) for name in ("data.json", "training.json"))
    data["splits"]["train"]["revision"] = "2" * 40
    writing.write_json(folder / model_folder.DATA, data)
    writing.write_json(folder / model_folder.TRAINING, run | {"pretrained_revision": "3" * 40})
    text = card.render_card(ModelRecord(folder))
    metadata = yaml.safe_load(text.split("---")[1])
    assert metadata["model-index"][0]["results"][0]["dataset"]["revision"] == COMMIT
    assert f"(https://huggingface.co/ntu-spml/distilhubert) at revision `{'3' * 40}` on" in text
    assert f"the evaluation set `{measured.corpus}` at revision `{COMMIT}`" in text
    assert f"| train | `c` at revision `{'2' * 40}` |" in text


def test_the_card_says_how_its_figures_were_decoded(folder: Path, measured: Report) -> None:
    assert "Greedy decoding, no language model." in card.render_card(ModelRecord(folder))
    lm = {"beam": 32, "lm": "lm.arpa", "lm_order": 6, "alpha": 0.75, "beta": 2.0}
    report.save_report(replace(measured, decoding=lm), folder / model_folder.REPORT)
    page = card.render_card(ModelRecord(folder))
    assert (
        "Beam search of width 32 with the language model `lm.arpa`, an n-gram of order 6, alpha 0.75, beta 2." in page
    )
    assert "Greedy" not in page


@pytest.mark.parametrize(
    "damage",
    [
        {"cer": [[[1]]]},
        {"cer_ci95": [0.1]},
        {"decoding": {}},
        {"decoding": {"beam": 1, "lm": {"a": 1}}},
        {"decoding": {"beam": 8, "lm": "a.arpa", "lm_order": "x", "alpha": 1, "beta": 1}},
        {"decoding": {"beam": 1, "lm": None, "hotwords": [[1]]}},
        {"dropped": {"a": {}}},
    ],
)
def test_a_report_of_other_types_is_refused_in_one_line(folder: Path, damage: dict[str, Any]) -> None:
    path = folder / model_folder.REPORT
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | damage), encoding="utf-8")
    with pytest.raises(ModelError, match=r"no usable report\.json") as error:
        card.write_card(folder)
    assert "\n" not in str(error.value)
