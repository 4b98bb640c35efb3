"""The progress of a run: a bar with loss, CER, hours of speech per hour and time left, and a log to keep."""

import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from distilhubert_ko import model_folder
from distilhubert_ko.files.writing import write_text


class TrainingBar(TrainerCallback):
    """A line on the terminal; where standard error is not a terminal, a plain line at each evaluation."""

    def __init__(self, hours: float, measure: str = "cer", name: str = "CER"):
        self.hours = hours  # of speech in an epoch
        self.measure, self.name = measure, name  # of the evaluation
        self.loss: float | None = None
        self.score: float | None = None
        self.console = Console(stderr=True)
        columns = (TextColumn("step"), MofNCompleteColumn(), BarColumn(), TextColumn("{task.description}"))
        self.bar = Progress(*columns, TimeRemainingColumn(), console=self.console, transient=False)

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, *rest: Any, **kwargs: Any) -> None:
        if not state.is_world_process_zero:
            return
        self.started, self.first_epoch = time.monotonic(), state.epoch or 0.0
        self.task = self.bar.add_task("", total=state.max_steps, completed=state.global_step)
        if self.console.is_terminal:
            self.bar.start()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, *rest: Any, **kwargs: Any) -> None:
        if state.is_world_process_zero:
            self.bar.update(self.task, completed=state.global_step, description=self._description(state))

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self.loss = kwargs["logs"].get("loss", self.loss)

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self.score = kwargs["metrics"][f"eval_{self.measure}"]
        if state.is_world_process_zero and not self.console.is_terminal:
            text = f"step {state.global_step}/{state.max_steps} {self._description(state)}"
            self.console.print(f"{text} validation loss {kwargs['metrics']['eval_loss']:.3f}", soft_wrap=True)

    def stop(self) -> None:
        """Give the terminal back, however training ended."""
        self.bar.stop()

    def _description(self, state: TrainerState) -> str:
        hours = (time.monotonic() - self.started) / 3600
        speed = self.hours * ((state.epoch or 0.0) - self.first_epoch) / hours
        known = (("loss", self.loss), (self.name, self.score))  # each from its first log or evaluation on
        return " ".join(
            [*(f"{name} {value:.3f}" for name, value in known if value is not None), f"{speed:.0f} h of speech/h"]
        )


class TrainingLogFile(TrainerCallback):
    """Every line that the Trainer logs, as JSON; a resumed run drops what it will log again."""

    def __init__(self, path: Path):
        self.path = path

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, *rest: Any, **kwargs: Any) -> None:
        # From the checkpoint: the file's last line may be half a line, where the process was killed.
        write_text(self.path, model_folder.log_text(state.log_history))

    def on_log(self, args: TrainingArguments, state: TrainerState, *rest: Any, **kwargs: Any) -> None:
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(model_folder.log_text(state.log_history[-1:]))
