"""A loss that is not finite, on a CPU and on a stand-in for a GPU."""

from typing import Any

import pytest
import torch

from distilhubert_ko.errors import TrainingError
from distilhubert_ko.training.loss_watch import LossWatch


class GpuLoss:
    """A loss on a GPU, as far as the watch asks: its copy on the host holds nothing before its event was waited for."""

    is_cuda = True

    def __init__(self, value: float):
        self.value = value
        self.copy = torch.tensor(torch.nan)

    def detach(self) -> "GpuLoss":
        return self

    def to(self, device: str, non_blocking: bool) -> torch.Tensor:
        assert (device, non_blocking) == ("cpu", True)
        Event.loss = self
        return self.copy


class Event:
    """The event of the loss that was copied last."""

    loss: GpuLoss

    def record(self) -> None:
        self.own = Event.loss

    def synchronize(self) -> None:
        self.own.copy.fill_(self.own.value)


def test_a_gpus_loss_is_read_when_it_has_arrived_and_checked_with_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "Event", Event)
    watch = LossWatch(late=True)
    losses: list[Any] = [GpuLoss(value) for value in (1.0, torch.inf, 2.0)]
    watch.add(losses[0], 0)
    watch.add(losses[1], 1)
    with pytest.raises(TrainingError, match="the loss is inf at step 1"):
        watch.add(losses[2], 2)


def test_what_was_checked_is_not_checked_again() -> None:
    watch = LossWatch(late=True)
    watch.add(torch.tensor(torch.nan), 0)
    with pytest.raises(TrainingError, match="the loss is nan at step 0"):
        watch.check()
    watch.check()


def test_a_cpus_loss_is_checked_at_once() -> None:
    watch = LossWatch(late=False)
    watch.add(torch.tensor(1.0), 0)
    with pytest.raises(TrainingError, match="the loss is nan at step 1"):
        watch.add(torch.tensor(torch.nan), 1)
