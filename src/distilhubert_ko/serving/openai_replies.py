"""The OpenAI audio API's answers: a transcript in each format, its words, and server-sent events."""

import json
import math
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from fastapi.responses import JSONResponse, PlainTextResponse, Response

from distilhubert_ko.errors import DistilhubertKoError
from distilhubert_ko.recognition.formats import SERVED_FORMATS, render_transcript
from distilhubert_ko.recognition.segments import Segment
from distilhubert_ko.recognition.transcript import Transcript
from distilhubert_ko.recognition.words import Word
from distilhubert_ko.serving.refusals import refusal_of
from distilhubert_ko.serving.uploads import Part

JSON, TEXT = "json", "text"  # the API's own, as the next two; the others are files
VERBOSE_JSON, DIARIZED_JSON = "verbose_json", "diarized_json"
ResponseFormat = StrEnum(  # type: ignore[misc]  # mypy wants the members spelled out
    "ResponseFormat", {name.upper(): name for name in (JSON, TEXT, *SERVED_FORMATS, VERBOSE_JSON, DIARIZED_JSON)}
)
DEFAULT_FORMAT = ResponseFormat(JSON)


class Granularity(StrEnum):
    WORD = "word"
    SEGMENT = "segment"


@dataclass(frozen=True)
class Reply:
    """The form in which a client wants a transcript; `granularities` applies to verbose_json."""

    form: ResponseFormat
    granularities: list[Granularity]

    def response(self, found: Transcript) -> Response:
        if self.form == JSON:
            return JSONResponse({"text": found.text, "usage": _usage(found)})
        if self.form == VERBOSE_JSON:
            return JSONResponse(_verbose(found, self.granularities))
        if self.form == DIARIZED_JSON:
            return JSONResponse(_diarized(found))
        text = found.dialogue + "\n" if self.form == TEXT else render_transcript(found, self.form.value)
        return PlainTextResponse(text)

    async def events(self, parts: AsyncIterator[Part | Transcript], seconds: float) -> AsyncIterator[str]:
        """Yield server-sent events: a delta per part of the text of a recording of `seconds`, and the whole at the end.

        With verbose_json, deltas tell how many seconds are recognised, even if their text is empty, and the last event
        has the fields of that format.
        """
        verbose = self.form == VERBOSE_JSON
        async for part in parts:
            if isinstance(part, Transcript):
                content = _verbose(part, self.granularities) if verbose else {"text": part.text}
                yield server_sent_event({"type": "transcript.text.done", **content})
            elif verbose or part.text:
                far = {"seconds": round(min(part.seconds, seconds), 3), "duration": round(seconds, 3)}
                delta = {"type": "transcript.text.delta", "delta": part.text}
                yield server_sent_event({**delta, **far} if verbose else delta)


def _verbose(found: Transcript, granularities: list[Granularity]) -> dict[str, Any]:
    body: dict[str, Any] = {
        "task": "transcribe",
        "language": "korean",
        "duration": round(found.seconds, 3),
        "text": found.text,
        "usage": _usage(found),
    }
    if Granularity.WORD in granularities:
        body["words"] = [word_json(each) for each in found.words]
    if Granularity.SEGMENT in granularities:
        body["segments"] = [_segment(number, each) for number, each in enumerate(found.segments)]
    return body


def _diarized(found: Transcript) -> dict[str, Any]:
    """Return the segments with their speakers, who are A, B and so on."""
    segments = [
        {
            "id": f"seg_{number}",
            "type": "transcript.text.segment",
            "start": round(each.start, 3),
            "end": round(each.end, 3),
            "text": each.text,
            "speaker": chr(ord("A") + each.speaker - 1) if each.speaker <= 26 else str(each.speaker),
        }
        for number, each in enumerate(found.segments)
        if each.speaker
    ]
    return {
        "task": "transcribe",
        "duration": round(found.seconds, 3),
        "text": found.text,
        "segments": segments,
        "usage": _usage(found),
    }


def word_json(each: Word) -> dict[str, Any]:
    """Return a word as in the API, with times in seconds, and what the API lacks: its `probability` in 0..1, and its
    `speaker`, counted from 1, where channels are speakers."""
    return {
        "word": each.text,
        "start": round(each.start, 3),
        "end": round(each.end, 3),
        "probability": round(each.confidence, 4),
        **_speaker(each),
    }


def _segment(number: int, segment: Segment) -> dict[str, Any]:
    """Return a segment with Whisper's fields; those that do not exist here, such as tokens, are empty or 0."""
    raw = segment.text.encode()
    return {
        "id": number,
        "seek": 0,
        "start": round(segment.start, 3),
        "end": round(segment.end, 3),
        "text": segment.text,
        "tokens": [],
        "temperature": 0.0,
        "avg_logprob": round(math.log(max(segment.confidence, 1e-9)), 4),
        "compression_ratio": round(len(raw) / len(zlib.compress(raw)), 4),
        "no_speech_prob": 0.0,
        **_speaker(segment),
    }


def _speaker(spoken: Word | Segment) -> dict[str, int]:
    return {"speaker": spoken.speaker} if spoken.speaker else {}


def _usage(found: Transcript) -> dict[str, Any]:
    return {"type": "duration", "seconds": math.ceil(found.seconds)}


def server_sent_event(content: dict[str, Any]) -> str:
    """Return one event of a stream, which is named by the type of its content."""
    return f"event: {content['type']}\ndata: {json.dumps(content, ensure_ascii=False)}\n\n"


async def with_late_error(first: str, rest: AsyncIterator[str]) -> AsyncIterator[str]:
    """Yield events, and an error as the last one if it comes too late for a status of its own."""
    yield first
    try:
        async for each in rest:
            yield each
    except DistilhubertKoError as error:
        yield f"event: error\ndata: {json.dumps({'error': refusal_of(error).error}, ensure_ascii=False)}\n\n"
