"""What happens between the steps of a run: epochs told to the clips, a stop on request, and reasons to end early."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from distilhubert_ko.errors import TrainingError
from distilhubert_ko.training.clips import AugmentedClips
from distilhubert_ko.training.optimizer import WeightAverage


class EpochAnnouncer(TrainerCallback):
    """Tells the clips which epoch begins, so that each epoch augments them differently."""

    def __init__(self, clips: AugmentedClips):
        self.clips = clips

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.clips.epoch = int(state.epoch or 0)


class BeginHook(TrainerCallback):
    """Calls a function when training begins, after the state of a checkpoint has been loaded."""

    def __init__(self, begin: Callable[[], None]):
        self.begin = begin

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.begin()


class StopOnInterrupt(TrainerCallback):
    """Saves a checkpoint at the end of the step and stops, once SIGINT has come to any rank.

    `summed` sums a number over the ranks.
    """

    def __init__(self, summed: Callable[[float], list[float]]):
        self.summed = summed
        self.interrupted = False

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Take the first SIGINT as the request to stop; leave the second one to Python, which stops at once."""

        def stop(number: int, frame: Any) -> None:
            self.interrupted = True
            signal.signal(signal.SIGINT, signal.default_int_handler)

        before = signal.signal(signal.SIGINT, stop)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        (asked,) = self.summed(self.interrupted)  # an interrupt may have reached one rank alone
        if asked:
            self.interrupted = True
            control.should_save = True
            control.should_training_stop = True


class BlankCollapse(TrainerCallback):
    """Stops a run whose model outputs only blanks in several evaluations in a row, which it rarely recovers from."""

    def __init__(self, patience: int):
        self.patience = patience

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        said = [line["eval_said"] for line in state.log_history if "eval_said" in line][-self.patience :]
        if len(said) == self.patience and not any(said):
            raise TrainingError(
                f"blank collapse: the model output nothing in {self.patience} evaluations in a row, the last at step "
                f"{state.global_step}. Try a lower training.learning_rate, a longer "
                "training.lr_scheduler_warmup_steps, text.units=jamo, or model.freeze_feature_encoder=true; raise "
                "training.blank_evaluations if the loss still falls"
            )


class EarlyStopping(TrainerCallback):
    """Ends a run after several evaluations in a row without a lower CER.

    Transformers' own counts in memory, and would start from 0 in a resumed run.
    """

    def __init__(self, patience: int):
        self.patience = patience

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if self.reached(state):
            control.should_training_stop = True

    def reached(self, state: TrainerState) -> bool:
        """Return whether the run is to end after its last evaluation."""
        rates = [line["eval_cer"] for line in state.log_history if "eval_cer" in line]
        return len(rates) > self.patience and min(rates[-self.patience :]) >= min(rates[: -self.patience])


class Averaging(TrainerCallback):
    """Updates the average of the weights after each step, unless fp16's scaler `skipped` it."""

    def __init__(self, average: WeightAverage, skipped: Callable[[], bool]):
        self.average = average
        self.skipped = skipped

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if not self.skipped():
            self.average.update()
