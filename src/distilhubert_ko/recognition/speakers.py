"""Recordings with one speaker per channel, as calls are recorded: each channel is transcribed on its own."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from distilhubert_ko.audio.channels import USUAL, AudioChoice
from distilhubert_ko.audio.reading import channel_count
from distilhubert_ko.errors import InputError
from distilhubert_ko.recognition.transcript import Transcript

if TYPE_CHECKING:
    from distilhubert_ko.recognition.transcriber import FileSource, Transcriber
    from distilhubert_ko.recognition.vad import VadOptions


def transcribe_channels(
    transcriber: "Transcriber",
    source: "FileSource",
    vad: "VadOptions | None" = None,
    on_progress: Callable[[float], None] | None = None,
    choice: AudioChoice = USUAL,
) -> Transcript:
    """Return the transcript of a file, its bytes or a stream whose channels are speakers, counted from 1.

    Its words are in the order of the speakers' segments. It has no alternatives. The rest is as in a call of the
    transcriber, which reads the file once per channel. `on_progress` receives seconds of the whole recording.

    Raises InputError for a recording with one channel.
    """
    source = transcriber.rereadable(source)
    channels = channel_count(source, choice)
    if channels < 2:
        raise InputError("the recording has one channel, so it cannot be split into speakers: choose the channel mix")
    lanes: list[Transcript] = []
    for number in range(1, channels + 1):
        done = sum(lane.seconds for lane in lanes)
        advance = (lambda seconds, done=done: on_progress((done + seconds) / channels)) if on_progress else None
        lanes.append(transcriber(source, vad, advance, choice=replace(choice, channel=number)))
    return merge_speakers(lanes)


def merge_speakers(lanes: list[Transcript]) -> Transcript:
    """Return the transcript of a conversation from one of each speaker, who are counted from 1."""
    spoken = (replace(word, speaker=number) for number, lane in enumerate(lanes, start=1) for word in lane.words)
    unwritten = sorted((each for lane in lanes for each in lane.unwritten), key=lambda each: each.start)
    both = Transcript(tuple(spoken), max(lane.seconds for lane in lanes), unwritten=tuple(unwritten))
    return replace(both, words=tuple(word for segment in both.segments for word in segment.words))
