"""The place of decoded frames on a container's time line: audio may start late, pause, or leap."""

from dataclasses import dataclass, field

TOLERANCE = 0.1
"""Seconds that a frame may come late without a gap: containers round times, and clocks drift. As FFmpeg's aresample."""
RESET = 1.0
"""Seconds by which time goes back only where a clock is set anew."""
LONGEST_GAP = 24 * 3600.0
"""Seconds of silence that are filled in altogether. FFmpeg takes longer leaps for errors, too."""
LEAP = 10.0
"""Seconds of a leap that may be a clock set anew, in a transport stream. As FFmpeg's dts_delta_threshold."""
LONGEST_LEAP = 3600.0
"""Seconds of a leap in a transport stream that is never a gap."""


@dataclass
class Timeline:
    """Places frames, in the order of decoding, at `rate` samples a second.

    `origin` is the time in seconds at which the recording starts, None for that of its first frame.
    """

    rate: int
    origin: float | None
    done: int = 0  # samples placed, silence included
    filled: float = 0.0  # seconds of silence

    def place(self, time: float | None, samples: int, leaps: bool = False) -> int:
        """Return the samples of silence that stand before a frame of `samples`, which begins at `time` in seconds.

        `time` is None where the container does not say. With `leaps`, the clock was set anew, as it is where streams
        were joined. So it is if time goes back. Then the frame follows the one before it.
        """
        gap = 0
        if time is not None:
            if self.origin is None:
                self.origin = time
            late = time - self.origin - self.done / self.rate
            if leaps or late < -RESET or self.filled + late > LONGEST_GAP:
                self.origin += late
            elif late > (TOLERANCE if self.done else 0):
                gap = round(late * self.rate)
                self.filled += late
        self.done += gap + samples
        return gap


@dataclass
class Clocks:
    """Watches the times of all packets of a container, for leaps in which the clock was set anew.

    Only a container of which `resets` is true, a transport stream, sets its clock anew: each one that was cut from a
    broadcast has another clock. `audio` is the index of the stream that is read.
    """

    audio: int
    resets: bool
    end: float = 0.0
    """Seconds at which the last packet so far ends."""
    _ends: dict[int, float] = field(default_factory=dict)
    _others_leapt: bool = False

    def leap(self, stream: int, start: float, seconds: float) -> bool:
        """Take the next packet, and tell whether the clock was set anew before it. That is told of the audio alone.

        A leap is no reset but a gap in the audio if the other streams continue meanwhile.
        """
        before = self._ends.get(stream)
        self._ends[stream] = start + seconds
        self.end = max(self.end, start + seconds)
        length = 0.0 if before is None else start - before
        if stream != self.audio:
            self._others_leapt |= length > LEAP
            return False
        others = [end for index, end in self._ends.items() if index != stream]
        together = bool(others) and (self._others_leapt or max(others) < start - LEAP)
        self._others_leapt = False
        return self.resets and length > LEAP and (together or length > LONGEST_LEAP)
