"""What test_ranks.py has two processes do: runs, one after the other, since most of a start is imports.

    torchrun --nproc-per-node 2 tests/support/ranks_runs.py FOLDER RUN...

Each RUN is a function below, given FOLDER, in which a recipe of each lies. Rank r keeps what it opened for writing in
`writes-r.txt` there.
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from distilhubert_ko import recipe
from distilhubert_ko.cli import main as cli
from distilhubert_ko.errors import CorpusError
from distilhubert_ko.training import distill, finetune, ranks
from distilhubert_ko.training.trainer import InterruptedTrainingError

torch.set_num_threads(1)


def command(name: str, folder: Path) -> None:
    """`distilhubert-ko train`, as a user gives it. No other run can follow: it parts the ranks."""
    sys.argv = ["distilhubert-ko", "train", str(folder / f"{name}.toml"), "--out", str(folder / name)]
    try:
        cli.main()
    except SystemExit as left:
        if left.code:
            raise


def before_step(step: int, act: Callable[[], Any]) -> None:
    """Has the second rank act(), once, when it is to compute its part in the step after `step`."""
    compute = finetune.CtcTrainer.training_step

    def watched(self: finetune.CtcTrainer, *args: Any, **kwargs: Any) -> torch.Tensor:
        if os.environ["RANK"] == "1" and self.state.global_step == step:
            finetune.CtcTrainer.training_step = compute  # type: ignore[method-assign]
            act()
        return compute(self, *args, **kwargs)

    finetune.CtcTrainer.training_step = watched  # type: ignore[method-assign]


def even(folder: Path) -> None:
    command("even", folder)


def some(folder: Path) -> None:
    finetune.fine_tune(recipe.load_recipe(folder / "some.toml"), folder / "some")


def lone(folder: Path) -> None:
    """One clip to evaluate on, and three to train on."""
    finetune.fine_tune(recipe.load_recipe(folder / "lone.toml"), folder / "lone")


def taught(folder: Path) -> None:
    finetune.fine_tune(recipe.load_recipe(folder / "taught.toml"), folder / "taught")


def distilled(folder: Path) -> None:
    distill.distill(recipe.load_recipe(folder / "distilled.toml"), folder / "distilled")


def stateful(folder: Path) -> None:
    """Once undisturbed, and once with an interrupt of the second rank and a resumption."""
    config = recipe.load_recipe(folder / "stateful.toml")
    finetune.fine_tune(config, folder / "undisturbed")
    before_step(4, lambda: os.kill(os.getpid(), signal.SIGINT))
    try:
        finetune.fine_tune(config, folder / "stateful")
    except InterruptedTrainingError as error:
        (folder / f"interrupted-{os.environ['RANK']}.txt").write_text(str(error), encoding="utf-8")
    finetune.fine_tune(config, folder / "stateful", resume=True)


def failing(folder: Path) -> None:
    def fail() -> None:
        raise CorpusError("the second rank cannot go on")

    before_step(2, fail)
    command("failing", folder)


def killed(folder: Path) -> None:
    before_step(2, lambda: os.kill(os.getpid(), signal.SIGKILL))
    command("killed", folder)


def watch_writes(folder: Path) -> None:
    file = (folder / f"writes-{os.environ['RANK']}.txt").open("a", encoding="utf-8")

    def watch(event: str, args: tuple[Any, ...]) -> None:
        writes = event == "os.rename" or (event == "open" and (args[2] or 0) & (os.O_WRONLY | os.O_RDWR))
        if writes and str(args[0]).startswith(str(folder)):
            print(Path(str(args[0])).relative_to(folder), file=file, flush=True)

    sys.addaudithook(watch)


def do(folder: Path, *names: str) -> None:
    watch_writes(folder)
    for name in names:
        globals()[name](folder)
    assert ranks.count() == 2


if __name__ == "__main__":
    do(Path(sys.argv[1]), *sys.argv[2:])
