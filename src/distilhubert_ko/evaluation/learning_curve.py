"""The learning curve of a training run: its loss and its validation CER over the steps, as a PNG file."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from distilhubert_ko.errors import MissingExtraError
from distilhubert_ko.files.outputs import replaced_output

SOFTWARE = "distilhubert-ko"  # in the head of the PNG


def draw_learning_curve(path: Path, title: str, log: Sequence[Mapping[str, Any]], kept_step: int) -> None:
    """Draw the losses of a training log above its CER, with a line at `kept_step`, and write them to `path`.

    Raises MissingExtraError without matplotlib.
    """
    try:
        from matplotlib.figure import Figure
        from matplotlib.ticker import LogFormatter
    except ImportError:
        raise MissingExtraError('the learning curve needs matplotlib: pip install "distilhubert-ko[train]"') from None
    figure = Figure(figsize=(7, 5), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    training = [(line["step"], line["loss"]) for line in log if "loss" in line]
    evaluation = [line for line in log if "eval_loss" in line]
    steps = [line["step"] for line in evaluation]
    above.plot(*zip(*training, strict=True), label="training") if training else None
    above.plot(steps, [line["eval_loss"] for line in evaluation], "o-", label="validation")
    above.set(ylabel="CTC loss per label", yscale="log", title=title)
    above.yaxis.set_major_formatter("{x:g}")  # 0.1, not 10^-1; between decades where there is room
    above.yaxis.set_minor_formatter(LogFormatter(minor_thresholds=(1.5, 0.5)))
    above.legend()
    below.plot(steps, [line["eval_cer"] for line in evaluation], "o-", color="C1", label="validation")
    below.axvline(kept_step, color="grey", linestyle=":", label="weights kept")
    below.set(xlabel="optimizer step", ylabel="CER", ylim=(0, None))
    below.legend(loc="lower left")
    for axes in (above, below):
        axes.grid(alpha=0.3)
    with replaced_output(path, is_drawn_here) as temporary:
        figure.savefig(temporary, dpi=120, format="png", metadata={"Software": SOFTWARE})


def is_drawn_here(path: Path) -> bool:
    """Tell whether a file is a learning curve that this program drew."""
    with path.open("rb") as file:
        return f"Software\0{SOFTWARE}".encode() in file.read(1000)
