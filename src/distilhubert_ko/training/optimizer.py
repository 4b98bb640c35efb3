"""The optimizer of a run: parameter groups with rates of their own, the schedule, and the average of the weights."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from distilhubert_ko import recipe
from distilhubert_ko.training import schedule

HEAD = "lm_head."
AVERAGE = "average.safetensors"


def parameter_groups(network: nn.Module, training: recipe.Training, decayed: Collection[str]) -> list[dict[str, Any]]:
    """Return parameter groups for torch: encoder, then head, each with and without weight decay.

    `decayed` names the parameters that decay; biases and norms usually do not.
    """
    found = []
    for head in (False, True):
        rate = training.head_learning_rate if head and training.head_learning_rate else training.learning_rate
        for decays in (True, False):
            parameters = [
                parameter
                for name, parameter in network.named_parameters()
                if parameter.requires_grad and name.startswith(HEAD) == head and (name in decayed) == decays
            ]
            weight_decay = training.weight_decay if decays else 0.0
            found.append({"params": parameters, "lr": rate, "weight_decay": weight_decay, "head": head})
    return found


def rate_schedule(optimizer: torch.optim.Optimizer, training: recipe.Training, total: int) -> LambdaLR:
    """Return the rates of `schedule.learning_rate` for `parameter_groups`; the encoder's wait for head_only_steps."""

    def head(step: int) -> float:
        return schedule.learning_rate(training, step, total) / training.learning_rate

    def encoder(step: int) -> float:
        return 0.0 if step < training.head_only_steps else head(step)

    return LambdaLR(optimizer, [head if group["head"] else encoder for group in optimizer.param_groups])


class WeightAverage:
    """The exponential moving average of a network's weights.

    In the first steps the decay is (1 + steps) / (10 + steps) where that is less, so that the random start is forgotten
    (as in TensorFlow's ExponentialMovingAverage).
    """

    def __init__(self, network: nn.Module, decay: float):
        self.network = network
        self.decay = decay
        self.steps = 0
        self.weights = {name: value.detach().clone() for name, value in network.state_dict().items()}

    @torch.no_grad()
    def update(self) -> None:
        """Update the average; call this after each optimizer step."""
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        current = self.network.state_dict()
        torch._foreach_lerp_([*self.weights.values()], [current[name] for name in self.weights], 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Give the network the averaged weights within the block."""
        kept = {name: value.clone() for name, value in self.network.state_dict().items()}
        self.network.load_state_dict(self.weights)
        try:
            yield
        finally:
            self.network.load_state_dict(kept)

    def save(self, folder: Path) -> None:
        """Write the averaged weights beside those of a checkpoint."""
        save_file(self.weights, folder / AVERAGE)

    def load(self, folder: Path, steps: int) -> None:
        """Read what `save` wrote after `steps` optimizer steps."""
        self.weights = read_average(folder, next(iter(self.weights.values())).device)
        self.steps = steps


def read_average(folder: Path, device: torch.device | str = "cpu") -> dict[str, Tensor]:
    """Return the averaged weights that a checkpoint keeps beside the last ones."""
    return load_file(folder / AVERAGE, str(device))
