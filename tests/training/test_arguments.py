"""What of a recipe Transformers is told."""

from pathlib import Path

import pytest

from distilhubert_ko import recipe
from distilhubert_ko.errors import TrainingError
from distilhubert_ko.training import arguments


def test_a_run_reports_to_the_services_of_its_recipe_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(arguments, "find_spec", lambda name: name)
    path = tmp_path / "recipe.toml"
    for listed, services in (("[]", []), ('["wandb"]', ["wandb"]), ('["wandb", "mlflow"]', ["wandb", "mlflow"])):
        path.write_text(f"[training]\nreport_to = {listed}\n", encoding="utf-8")
        training = recipe.load_recipe(path).training
        told = arguments.training_arguments(training, tmp_path / "run" / "checkpoints", "fp32", 0, "cer")
        assert (told.report_to, told.run_name) == (services, "run")


def test_a_service_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(arguments, "find_spec", lambda name: None)
    with pytest.raises(TrainingError, match="pip install wandb"):
        arguments.training_arguments(recipe.Training(report_to=("wandb",)), tmp_path, "fp32", 0, "cer")
