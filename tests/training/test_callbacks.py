"""When a run is stopped early."""

from typing import Any

import pytest
import torch
from transformers import TrainerControl, TrainerState

from distilhubert_ko.errors import TrainingError
from distilhubert_ko.training.callbacks import Averaging, BlankCollapse, EarlyStopping
from distilhubert_ko.training.optimizer import WeightAverage


@pytest.mark.parametrize(
    ("said", "stops"),
    [([0], False), ([0, 0], True), ([3, 0], False), ([0, 0.1, 0], False), ([0, 1, 0, 0], True)],
)
def test_only_evaluations_in_a_row_are_a_blank_collapse(said: list[float], stops: bool) -> None:
    state = TrainerState(log_history=[{"loss": 1.0}, *({"eval_said": count} for count in said), {"loss": 1.0}])
    watch: Any = BlankCollapse(patience=2)
    if stops:
        with pytest.raises(TrainingError, match="blank collapse"):
            watch.on_evaluate(None, state, None, metrics={})
    else:
        watch.on_evaluate(None, state, None, metrics={})


@pytest.mark.parametrize(
    ("rates", "stops"),
    [
        ([0.9], False),
        ([0.9, 0.9], False),
        ([0.9, 0.9, 0.9], True),
        ([0.9, 0.8, 0.85, 0.79], False),
        ([0.9, 0.8, 0.85, 0.81], True),
        ([0.5, 0.9, 0.8], True),
    ],
)
def test_a_run_stops_early_after_as_many_evaluations_without_a_lower_cer(rates: list[float], stops: bool) -> None:
    control, state = TrainerControl(), TrainerState()
    state.log_history = [{"loss": 1.0}, *({"eval_cer": rate} for rate in rates)]
    EarlyStopping(2).on_evaluate(None, state, control)
    assert control.should_training_stop == stops


def test_a_step_that_the_scaler_skipped_does_not_count_for_the_average() -> None:
    network = torch.nn.Linear(2, 1)
    average = WeightAverage(network, 0.9)
    skipped = iter([True, False, True])
    watch: Any = Averaging(average, lambda: next(skipped))
    for steps in (0, 1, 1):
        watch.on_step_end(None, None, None)
        assert average.steps == steps
