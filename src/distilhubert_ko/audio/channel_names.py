"""What of a recording's channels may be asked for, by name. It loads nothing else."""

from enum import StrEnum


class Channel(StrEnum):
    """The mean of all channels, one of two, or each as a speaker of its own."""

    MIX = "mix"
    LEFT = "left"
    RIGHT = "right"
    SPLIT = "split"


CHANNELS = {"left": 1, "right": 2}
"""The numbers of the channels that are named alone."""
