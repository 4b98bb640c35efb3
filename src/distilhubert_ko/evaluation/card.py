"""The model card, written from the records of a model folder, so that no figure is typed by hand."""

import dataclasses
import hashlib
import platform
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from distilhubert_ko import model_folder, recipe
from distilhubert_ko.data.account import speakers_text
from distilhubert_ko.evaluation import whisper_card
from distilhubert_ko.evaluation.card_metadata import card_metadata
from distilhubert_ko.evaluation.learning_curve import draw_learning_curve, is_drawn_here
from distilhubert_ko.evaluation.model_record import ModelRecord
from distilhubert_ko.evaluation.report import Report
from distilhubert_ko.files import outputs
from distilhubert_ko.model_folder import CARD, LEARNING_CURVE, OverlapRecord
from distilhubert_ko.version import __version__

FOREIGN = {
    "drop": "utterances with digits, Latin letters or other scripts are left out",
    "spell": "digits and Latin letters are spelled out in Korean",
}
OPTIMIZER = "{} with betas=({},{}) and epsilon={:g}"
SECTIONS = ("model", "augment", "training", "teaching")
"""Sections of a recipe whose keys the card names if they differ from the defaults."""
TOLD = {"mixed_precision", "logging_steps", "report"} | {field.name for field in dataclasses.fields(recipe.Model)}
TOLD -= {name for name in TOLD if name.startswith("mask_")} | {"feat_proj_dropout", "final_dropout"}
"""Keys that the card leaves out there, because they appear elsewhere or change nothing."""


def write_card(folder: Path) -> Path:
    """Write the card and the learning curve into `folder` from its records, and return the path of the card.

    Raises ModelError if a record is missing, InputError as `check_card` does, and MissingExtraError without matplotlib.
    """
    check_card(folder)
    record = ModelRecord(folder)
    text = render_card(record)
    draw_learning_curve(folder / LEARNING_CURVE, record.recipe.name, record.log, record.training.kept_step)
    return outputs.write_output(folder / CARD, text + _seal(text), _is_card)


def check_card(folder: Path) -> None:
    """Raise InputError if the card or the learning curve of a folder may not be replaced, since somebody wrote it."""
    outputs.check_output(folder / CARD, mark=_is_card)
    outputs.check_output(folder / LEARNING_CURVE, mark=is_drawn_here)


def _seal(text: str) -> str:
    """Return the last line of a card, by which the program knows it again if nobody changed it."""
    return f"\n<!-- distilhubert-ko wrote the above, sha256 {hashlib.sha256(text.encode()).hexdigest()} -->\n"


def _is_card(path: Path) -> bool:
    """Tell whether a file is a card that this program wrote and nobody changed."""
    try:
        written = path.read_text(encoding="utf-8")
    except ValueError:
        return False
    text = written[: -len(_seal(""))]
    return written == text + _seal(text)


def render_card(record: ModelRecord) -> str:
    """Return the card as Markdown, with the sections that a Transformers Trainer writes, in the same order."""
    sections = [
        card_metadata(record),
        f"# {record.recipe.name}\n\n{_summary(record)}",
        f"![Learning curve]({LEARNING_CURVE})",
        f"## Model description\n\n{_description(record)}",
        f"## Intended uses & limitations\n\n{_uses(record)}",
        f"## Training and evaluation data\n\n{_data(record)}",
        "## Training procedure",
        f"### Training hyperparameters\n\n{_hyperparameters(record)}",
        f"### Training results\n\n{results_table(record.log)}\n\n{_selection(record)}",
        f"### Framework versions\n\n{_versions(record)}",
    ]
    return "\n\n".join(sections) + "\n"


def _summary(record: ModelRecord) -> str:
    result = record.report
    base = (
        f"is a fine-tuned version of [{record.pretrained}](https://huggingface.co/{record.pretrained})"
        f"{_at(record.training.pretrained_revision)}"
        if record.pretrained
        else f"is {'a Whisper encoder' if record.is_whisper else 'a DistilHuBERT'} trained from {_weights(record)}"
    )
    return (
        f"This model {base} on `{recipe.joined_corpora(record.recipe.data.train)}`, for Korean speech recognition.\n"
        f"It achieves the following results on the evaluation set `{result.corpus}`{_at(result.corpus_revision)} "
        f"({result.utterances:,} utterances, {result.hours:.2f} h, {speakers_text(result.speakers or None)}):\n\n"
        f"- Loss: {result.loss:.4f}\n"
        f"- Cer: {result.cer:.4f} (95 % interval {_interval_text(result.cer_ci95)})\n"
        f"- Cer without spaces: {result.cer_no_space:.4f} (95 % interval {_interval_text(result.cer_no_space_ci95)})\n"
        f"{_over_speakers(result)}"
        f"- Jamo error rate: {result.jer:.4f}\n"
        f"- Wer: {result.wer:.4f}\n"
        f"- Speed: {result.speed:.0f} seconds of speech per second on {result.threads} CPU threads, including reading "
        "and scoring\n\n"
        f"{_decoding(result.decoding)} Intervals are percentile bootstraps over utterances, or Student's t over "
        "speakers; rates are errors summed over the set, then divided by its length."
    )


def _over_speakers(result: Report) -> str:
    """Return the intervals over speakers, who differ more than utterances, where they are known and enough."""
    lines = [
        f"- {name}, 95 % interval over speakers: {_interval_text(interval)}\n"
        for name, interval in (
            ("Cer", result.cer_speakers_ci95),
            ("Cer without spaces", result.cer_no_space_speakers_ci95),
        )
        if interval
    ]
    return "".join(lines)


def _at(revision: str | None) -> str:
    return f" at revision `{revision}`" if revision else ""


def _decoding(used: dict[str, Any]) -> str:
    hotwords = f" Hot words: {', '.join(used['hotwords'])}." if "hotwords" in used else ""
    if not used["lm"]:
        way = "Greedy decoding" if used["beam"] == 1 else f"Beam search of width {used['beam']}"
        return f"{way}, no language model.{hotwords}"
    return (
        f"Beam search of width {used['beam']} with the language model `{used['lm']}`, an n-gram of order "
        f"{used['lm_order']}, alpha {used['alpha']:g}, beta {used['beta']:g}.{hotwords}"
    )


def _weights(record: ModelRecord) -> str:
    name = record.recipe.model.pretrained
    return "random weights" if name == "random" else f"the local checkpoint `{Path(name).name}`"


def _interval_text(interval: tuple[float, float]) -> str:
    return f"{interval[0]:.4f} to {interval[1]:.4f}"


def _description(record: ModelRecord) -> str:
    units = record.data.units
    meaning = "Hangul syllables" if units == "syllables" else "conjoining jamo, recomposed to syllables (NFC)"
    if record.is_whisper:
        return whisper_card.describe_whisper(record.training, record.data.vocabulary, meaning)
    return (
        f"DistilHuBERT ([arXiv 2110.01900](https://arxiv.org/abs/2110.01900)) with a CTC head: seven convolutions over "
        f"the 16 kHz wave, {record.training.num_hidden_layers} transformer layers of width "
        f"{record.training.hidden_size}, {record.training.parameters:,} parameters in all. It writes one of "
        f"{record.data.vocabulary:,} units ({meaning}, with a blank, an unknown unit and a word delimiter) every "
        "20 ms.\n\n"
        "The weights load in plain Transformers. `model.onnx` is the same network for ONNX Runtime, made to give a "
        "clip the same answer alone and in any padded batch, which plain Transformers does not for this "
        "architecture.\n\n"
        "```sh\n"
        "pip install distilhubert-ko\n"
        "distilhubert-ko transcribe speech.wav --model FOLDER\n"
        "```\n\n"
        "```python\n"
        "from transformers import pipeline\n\n"
        'pipeline("automatic-speech-recognition", model="FOLDER")("speech.wav")\n'
        "```"
    )


def _uses(record: ModelRecord) -> str:
    result = record.report
    limits = [
        "It recognises Korean read or spoken as in its training data; other domains, far microphones, noise and "
        "children's voices are untested.",
        "It writes Hangul without punctuation; numbers come as they are spoken, in words.",
        "Characters or jamo of the evaluation text that its vocabulary lacks, and that count as errors: "
        f"{result.unknown_characters:,}.",
    ]
    if all(spec.startswith("synthetic:") for spec in recipe.listed_corpora(record.recipe.data.train)):
        limits.insert(0, "It learnt from synthetic speech of a few hundred words: a demonstration, not for use.")
    return (
        "Transcription of Korean speech, offline, on ordinary CPUs. Not for decisions about people, and not for "
        "recordings made without consent.\n\n" + "\n".join(f"- {limit}" for limit in limits)
    )


def _data(record: ModelRecord) -> str:
    rows = ["| split | corpus | utterances | hours | speakers | distinct sentences | dropped |", "|---" * 7 + "|"]
    for name, split in record.data.splits.items():
        dropped = "; ".join(f"{reason}: {count:,}" for reason, count in split.dropped.items()) or "none"
        corpus = f"`{split.corpus}`{_at(split.revision)}"
        rows.append(
            f"| {name} | {corpus} | {split.utterances:,} | {split.hours:.2f} | {split.speakers or 'unknown'} | "
            f"{split.distinct_sentences:,} | {dropped} |"
        )
    shared = [
        f"The {name} split shares {overlap.shared_sentences:,} sentences and {_shared_speakers(overlap)} "
        f"with training; units in it that training never saw: {sum(overlap.unknown_characters.values()):,}."
        for name, overlap in record.data.overlap_with_train.items()
    ]
    rule = f"\n\nSpeaker-wise split: {record.recipe.data.heldout}." if record.recipe.data.heldout else ""
    return (
        "\n".join(rows) + "\n\n" + " ".join(shared) + rule + "\n\nText is normalised for training and scoring alike: "
        "Unicode NFC, brackets with their content and all punctuation removed, one space between words; "
        f"{FOREIGN[record.recipe.text.foreign]}. The vocabulary comes from the training text alone."
    )


def _shared_speakers(overlap: OverlapRecord) -> str:
    count = overlap.shared_speakers
    return "an unknown number of speakers" if count is None else speakers_text(count)


def _hyperparameters(record: ModelRecord) -> str:
    training, ranks = record.recipe.training, record.training.ranks
    adam = "AdamW" if training.weight_decay else "Adam"
    lines = [
        f"learning_rate: {training.learning_rate:g}",
        f"train_batch_size: {training.train_batch_size}",
        f"eval_batch_size: {training.eval_batch_size}",
        f"seed: {training.seed}",
        f"gradient_accumulation_steps: {training.gradient_accumulation_steps}",
        f"num_devices: {ranks}",
        f"total_train_batch_size: {training.total_train_batch_size * ranks}",
        f"optimizer: {OPTIMIZER.format(adam, *training.adam_betas, training.adam_epsilon)}",
        f"lr_scheduler_type: {training.lr_scheduler_type}",
        f"lr_scheduler_warmup_steps: {training.lr_scheduler_warmup_steps}",
        f"num_epochs: {training.num_epochs}",
        f"mixed_precision_training: {_precision(record.training.precision)}",
        f"weight_decay: {training.weight_decay:g}",
        f"max_grad_norm: {training.max_grad_norm:g}",
        f"length_buckets: {str(training.length_buckets).lower()}",
        f"freeze_feature_encoder: {str(record.recipe.model.freeze_feature_encoder).lower()}",
        f"dropout: hidden {record.recipe.model.hidden_dropout:g}, attention {record.recipe.model.attention_dropout:g}, "
        f"activation {record.recipe.model.activation_dropout:g}",
        f"training_time: {record.training.train_seconds / 60:.0f} minutes on {record.training.device}"
        f"{', the last part of a resumed run' if record.training.resumed else ''}",
    ]
    lines += [
        f"from step {line['step']:,} on: {key} {_shown(after)} (before: {_shown(before)})"
        for line in record.log
        for key, (before, after) in line.get(model_folder.CHANGED, {}).items()
    ]
    lines += _levers(record.recipe, {line.partition(":")[0] for line in lines} | TOLD)
    return "The following hyperparameters were used during training:\n\n" + "\n".join(f"- {line}" for line in lines)


def _levers(used: recipe.Recipe, told: Collection[str]) -> list[str]:
    """Return the other settings that differ from the defaults, such as masks, augmentation or a teacher."""
    lines = []
    for section in SECTIONS:
        own, plain = (dataclasses.asdict(getattr(each, section)) for each in (used, recipe.Recipe()))
        changed = {key: value for key, value in own.items() if value != plain[key] and key not in told}
        lines += [f"{section}.{key}: {_shown(value)}" for key, value in changed.items()]
    return lines


def _shown(value: Any) -> str:
    """Return a value of a recipe as text, and only the last part of a path on this machine."""
    if isinstance(value, str):
        return Path(value).name if Path(value).is_absolute() else value
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _precision(precision: str) -> str:
    return "none (float32)" if precision == "fp32" else f"Native AMP ({precision})"


def results_table(log: Sequence[dict[str, Any]]) -> str:
    """Return the evaluations of a training log as a table. Training loss is the latest one, or "No log"."""
    rows = ["| Training Loss | Epoch | Step | Validation Loss | Cer |", "|:-:|:-:|:-:|:-:|:-:|"]
    loss = "No log"
    for line in log:
        if "loss" in line:
            loss = f"{line['loss']:.4f}"
        if "eval_loss" in line:
            epoch = round(line["epoch"], 2)
            rows.append(f"| {loss} | {epoch} | {line['step']} | {line['eval_loss']:.4f} | {line['eval_cer']:.4f} |")
    return "\n".join(rows)


def _selection(record: ModelRecord) -> str:
    data, run = record.recipe.data, record.training
    corpus = f"`{recipe.joined_corpora(data.eval)}`"
    if run.report == "last":
        rates = [line["eval_cer"] for line in record.log if line.get("step") == run.best_step and "eval_cer" in line]
        lowest = f" of {rates[-1]:.4f}" if rates else ""
        return (
            f"The weights are those of the last step, {run.total_steps:,}. The lowest CER{lowest} on {corpus} was that "
            f"of step {run.best_step:,}, whose weights are in `{model_folder.BEST}/`."
        )
    warning = "" if record.recipe.test_corpus != data.eval else ", which is also the set reported above"
    return (
        f"The weights are those of step {run.best_step:,} of {run.total_steps:,}, the lowest CER on {corpus}{warning}. "
        f"The last weights are in `{model_folder.LAST}/`."
    )


def _versions(record: ModelRecord) -> str:
    versions = record.training.versions | {"distilhubert-ko": __version__}
    return "\n".join(f"- {name} {version}" for name, version in versions.items()) + (
        f"\n- Card and figures: Python {platform.python_version()}"
    )
