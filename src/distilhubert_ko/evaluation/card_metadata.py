"""The card's YAML block, from which the Hub lists, filters and compares models."""

import json
from pathlib import Path

from distilhubert_ko import recipe
from distilhubert_ko.data.readers.columns import split_columns
from distilhubert_ko.data.readers.hub_source import HubSource
from distilhubert_ko.evaluation.model_record import ModelRecord

TAGS = ("automatic-speech-recognition", "hubert", "distilhubert", "ctc", "korean", "onnx")
WHISPER_TAGS = ("automatic-speech-recognition", "whisper", "ctc", "korean", "onnx")


def card_metadata(record: ModelRecord) -> str:
    """Return the YAML block for the Hub. JSON strings are YAML strings."""
    lines = ["---", "language:", "- ko", f"license: {record.recipe.license}", "library_name: transformers"]
    if record.pretrained:
        lines.append(f"base_model: {record.pretrained}")
    lines += ["pipeline_tag: automatic-speech-recognition", "tags:"]
    lines += [f"- {tag}" for tag in (WHISPER_TAGS if record.is_whisper else TAGS)]
    hub = [spec for spec in recipe.listed_corpora(record.recipe.data.train) if spec.startswith("hub:")]
    lines += ["datasets:", *(f"- {corpus_name(spec)}" for spec in hub)] if hub else []
    result = record.report
    lines += ["metrics:", "- cer", "- wer", "model-index:", f"- name: {record.recipe.name}", "  results:", "  - task:"]
    lines += ["      name: Automatic Speech Recognition", "      type: automatic-speech-recognition", "    dataset:"]
    lines += [f"      name: {json.dumps(result.corpus)}", f"      type: {json.dumps(corpus_name(result.corpus))}"]
    split = result.corpus.partition("#")[2]
    lines += [f"      split: {split}"] if split else []
    lines += [f"      revision: {json.dumps(result.corpus_revision)}"] if result.corpus_revision else []
    lines.append("    metrics:")
    for name, kind, value in (
        ("CER", "cer", result.cer),
        ("CER without spaces", "cer", result.cer_no_space),
        ("WER", "wer", result.wer),
    ):
        lines += [f"    - name: {name}", f"      type: {kind}", f"      value: {value:.4f}"]
    return "\n".join([*lines, "---"])


def corpus_name(spec: str) -> str:
    """Return the last part of a corpus location: a Hub id without its revision, or a folder or file name."""
    scheme, _, location = spec.partition("#")[0].partition(":")
    location, _ = split_columns(location)
    return HubSource.parse(location).name if scheme == "hub" else Path(location).name
