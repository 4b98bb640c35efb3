"""The OpenAI audio API: POST /v1/audio/transcriptions and GET /v1/models, as its official clients speak it.

https://platform.openai.com/docs/api-reference/audio/createTranscription
"""

import asyncio
import json
import math
import zlib
from collections.abc import AsyncIterator, Coroutine
from dataclasses import asdict
from enum import StrEnum
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, File, Form, Request, UploadFile
from fastapi.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.requests import ClientDisconnect

from distilhubert_ko.errors import DistilhubertKoError
from distilhubert_ko.recognition import transcript
from distilhubert_ko.recognition.transcript import Segment, Transcript, Word
from distilhubert_ko.serving.gates import Refusal, refusal
from distilhubert_ko.serving.model_facts import Facts
from distilhubert_ko.serving.uploads import Reception

TRANSCRIPTIONS = "/v1/audio/transcriptions"
LANGUAGES = ("ko", "kor", "korean")

Result = TypeVar("Result")

router = APIRouter()


class ResponseFormat(StrEnum):
    JSON = "json"
    TEXT = "text"
    SRT = "srt"
    VTT = "vtt"
    VERBOSE_JSON = "verbose_json"


class Granularity(StrEnum):
    WORD = "word"
    SEGMENT = "segment"


def reception(request: Request) -> Reception:
    return request.app.state.reception


def facts(request: Request) -> Facts:
    return request.app.state.facts


Known = Annotated[Facts, Depends(facts)]


@router.post(
    TRANSCRIPTIONS,
    tags=["OpenAI"],
    response_class=Response,
    responses={200: {"content": {kind: {} for kind in ("application/json", "text/plain", "text/event-stream")}}},
)
async def transcribe(
    request: Request,
    desk: Annotated[Reception, Depends(reception)],
    file: Annotated[UploadFile, File(description="A recording, in any format that FFmpeg reads.")],
    model: Annotated[str, Form(min_length=1, description="Any name: the model that is loaded is used.")],
    language: Annotated[str | None, Form(description="ko, or nothing.")] = None,
    prompt: Annotated[str | None, Form(description="Taken, and ignored.")] = None,
    response_format: Annotated[
        ResponseFormat, Form(description=f"{', '.join(ResponseFormat)}; json by default.")
    ] = ResponseFormat.JSON,
    temperature: Annotated[float | None, Form(description="Taken, and ignored.")] = None,
    timestamp_granularities: Annotated[
        list[Granularity] | None,
        Form(alias="timestamp_granularities[]", description="word, segment; for verbose_json."),
    ] = None,
    stream: Annotated[
        bool, Form(description="Server-sent events, as the windows of a long recording are heard.")
    ] = False,
) -> Response:
    """The text of a recording, as json, text, srt, vtt or verbose_json, whole or as server-sent events."""
    if language and language.lower() not in LANGUAGES:
        raise Refusal(400, f"this model knows Korean alone: give the language ko, not {language!r}", param="language")
    if timestamp_granularities and response_format is not ResponseFormat.VERBOSE_JSON:
        raise Refusal(
            400,
            "timestamp_granularities need response_format=verbose_json",
            param="timestamp_granularities[]",
        )
    wave = await _unless_left(request, desk.wave(file.file))
    if stream:
        events = _events(request, desk.texts(wave))
        first = await anext(events)  # what goes wrong at once still has a status of its own
        return StreamingResponse(_chained(first, events), media_type="text/event-stream")
    found = await _unless_left(request, desk.transcript(wave))
    _note(request, found)
    return _response(found, response_format, timestamp_granularities or [Granularity.SEGMENT])


@router.get("/v1/models", tags=["OpenAI"])
async def models(known: Known) -> dict[str, Any]:
    """The one model that is loaded, as a list."""
    return {"object": "list", "data": [_model(known)]}


@router.get("/v1/models/{name:path}", tags=["OpenAI"])
async def model(name: str, known: Known) -> dict[str, Any]:
    """The model that is loaded, if that is its name."""
    if name != known.id:
        raise Refusal(404, f"no model {name!r} here: {known.id!r} is loaded", param="model", code="model_not_found")
    return _model(known)


@router.get("/v1/model_facts", tags=["More"])
async def model_facts(known: Known) -> dict[str, Any]:
    """What is known of the model: units, parameters, size in bytes, CER as a fraction, seconds of speech a second."""
    return asdict(known)


def _model(known: Facts) -> dict[str, Any]:
    return {"id": known.id, "object": "model", "created": known.created, "owned_by": "distilhubert-ko"}


def _response(found: Transcript, form: ResponseFormat, granularities: list[Granularity]) -> Response:
    match form:
        case ResponseFormat.TEXT:
            return PlainTextResponse(found.text + "\n")
        case ResponseFormat.SRT | ResponseFormat.VTT:
            return PlainTextResponse(transcript.write(found, form.value))
        case ResponseFormat.VERBOSE_JSON:
            return JSONResponse(_verbose(found, granularities))
        case ResponseFormat.JSON:
            return JSONResponse({"text": found.text, "usage": _usage(found)})


def _verbose(found: Transcript, granularities: list[Granularity]) -> dict[str, Any]:
    body: dict[str, Any] = {
        "task": "transcribe",
        "language": "korean",
        "duration": round(found.seconds, 3),
        "text": found.text,
        "usage": _usage(found),
    }
    if Granularity.WORD in granularities:
        body["words"] = [word(each) for each in found.words]
    if Granularity.SEGMENT in granularities:
        body["segments"] = [_segment(number, each) for number, each in enumerate(found.segments)]
    return body


def word(each: Word) -> dict[str, Any]:
    """As the API has it, in seconds, and its `probability`, in 0..1, which the API does not have."""
    return {
        "word": each.text,
        "start": round(each.start, 3),
        "end": round(each.end, 3),
        "probability": round(each.confidence, 4),
    }


def _segment(number: int, segment: Segment) -> dict[str, Any]:
    """Whisper's fields. It has no tokens, no seek and no probability of silence to tell, so those are empty or 0."""
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


async def _events(request: Request, parts: AsyncIterator[str | Transcript]) -> AsyncIterator[str]:
    """Server-sent events: a delta for each part of the text, and the whole of it at the end."""
    async for part in parts:
        if isinstance(part, str):
            yield _event({"type": "transcript.text.delta", "delta": part})
        else:
            _note(request, part)
            yield _event({"type": "transcript.text.done", "text": part.text})


def _event(content: dict[str, Any]) -> str:
    return f"event: {content['type']}\ndata: {json.dumps(content, ensure_ascii=False)}\n\n"


async def _chained(first: str, rest: AsyncIterator[str]) -> AsyncIterator[str]:
    """Events, the last of them an error where one comes too late for a status."""
    yield first
    try:
        async for each in rest:
            yield each
    except DistilhubertKoError as error:
        yield f"event: error\ndata: {json.dumps({'error': refusal(error).error}, ensure_ascii=False)}\n\n"


def _note(request: Request, found: Transcript) -> None:
    """For the metrics and the log."""
    request.state.audio_seconds, request.state.transcript = found.seconds, found.text


async def _unless_left(request: Request, work: Coroutine[Any, Any, Result]) -> Result:
    """What the work gives. It is given up when the client leaves, with ClientDisconnect."""
    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(_leaving(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        working.cancel()
        leaving.cancel()


async def _leaving(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
