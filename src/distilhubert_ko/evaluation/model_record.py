"""What training and evaluation left in a model folder."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from distilhubert_ko import model_folder, recipe
from distilhubert_ko.evaluation.report import Report, load_report
from distilhubert_ko.model_folder import DataRecord, TrainingRecord


@dataclass(frozen=True)
class ModelRecord:
    """The records of training and evaluation in a model folder. Raises ModelError if one is missing."""

    folder: Path

    @cached_property
    def recipe(self) -> recipe.Recipe:
        return recipe.load_recipe(self.folder / model_folder.RECIPE)

    @cached_property
    def report(self) -> Report:
        return load_report(self.folder)

    @cached_property
    def data(self) -> DataRecord:
        return model_folder.read_record(DataRecord, self.folder / model_folder.DATA)

    @cached_property
    def training(self) -> TrainingRecord:
        return model_folder.read_record(TrainingRecord, self.folder / model_folder.TRAINING)

    @cached_property
    def log(self) -> list[dict[str, Any]]:
        return model_folder.read_log(self.folder)

    @property
    def is_whisper(self) -> bool:
        """Tell whether the encoder is Whisper's, not DistilHuBERT's."""
        return bool(model_folder.read_json(self.folder / model_folder.CONFIG).get("model_type") == "whisper")

    @property
    def pretrained(self) -> str:
        """Return the Hub id of the base model, or "" for random weights or a local folder."""
        name = self.recipe.model.pretrained
        known = self.training.pretrained_is_folder  # of an earlier version, only the file system here may tell
        local = Path(name).exists() and not self.training.pretrained_revision if known is None else known
        return "" if name == "random" or local or name.count("/") != 1 else name
