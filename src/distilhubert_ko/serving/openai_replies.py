"""The OpenAI audio API's answers: a transcript in each format, its words, and server-sent events."""

import json
import math
import zlib
from collections.abc import AsyncIterator
from enum import StrEnum
from typing import Any

from fastapi.responses import JSONResponse, PlainTextResponse, Response

from distilhubert_ko.errors import DistilhubertKoError
from distilhubert_ko.recognition.formats import SERVED_FORMATS, render_transcript
from distilhubert_ko.recognition.segments import Segment
from distilhubert_ko.recognition.transcript import Transcript
from distilhubert_ko.recognition.words import Word
from distilhubert_ko.serving.refusals import refusal_of

JSON, TEXT, VERBOSE_JSON = "json", "text", "verbose_json"  # the API's own; the others are files
ResponseFormat = StrEnum(  # type: ignore[misc]  # mypy wants the members spelled out
    "ResponseFormat", {name.upper(): name for name in (JSON, TEXT, *SERVED_FORMATS, VERBOSE_JSON)}
)
DEFAULT_FORMAT = ResponseFormat(JSON)


class Granularity(StrEnum):
    WORD = "word"
    SEGMENT = "segment"


def transcript_response(found: Transcript, form: ResponseFormat, granularities: list[Granularity]) -> Response:
    """Return a transcript in one of the API's formats; `granularities` applies to verbose_json."""
    if form == JSON:
        return JSONResponse({"text": found.text, "usage": _usage(found)})
    if form == VERBOSE_JSON:
        return JSONResponse(_verbose(found, granularities))
    return PlainTextResponse(found.text + "\n" if form == TEXT else render_transcript(found, form.value))


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


def word_json(each: Word) -> dict[str, Any]:
    """Return a word as in the API, with times in seconds, and its `probability` in 0..1, which the API lacks."""
    return {
        "word": each.text,
        "start": round(each.start, 3),
        "end": round(each.end, 3),
        "probability": round(each.confidence, 4),
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
    }


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
