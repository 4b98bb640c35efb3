"""A loss that is not finite ends a run, and no GPU is waited for to find out."""

import math

import torch
from torch import Tensor

from distilhubert_ko.errors import TrainingError


class LossWatch:
    """Raises TrainingError for a loss that is not finite: at once, or, where `late`, when the next one is added.

    Late, a loss comes from the GPU while that computes the next batch. `check` waits for it.
    """

    def __init__(self, late: bool):
        self.late = late
        self._last: tuple[Tensor, int, torch.cuda.Event | None] | None = None

    def add(self, loss: Tensor, step: int) -> None:
        """Take the loss of a batch of a step, and check the one before."""
        self.check()
        arrived = None
        if loss.is_cuda:
            loss = loss.detach().to("cpu", non_blocking=True)
            arrived = torch.cuda.Event()
            arrived.record()
        self._last = (loss, step, arrived)
        if not self.late:
            self.check()

    def check(self) -> None:
        """Check the last loss."""
        if self._last is None:
            return
        loss, step, arrived = self._last
        self._last = None
        if arrived:
            arrived.synchronize()
        if not math.isfinite(value := loss.item()):
            raise TrainingError(
                f"the loss is {value} at step {step}: halve training.learning_rate, raise "
                "training.lr_scheduler_warmup_steps, or set training.mixed_precision=false"
            )
