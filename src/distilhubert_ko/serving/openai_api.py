"""The OpenAI audio API: POST /v1/audio/transcriptions and GET /v1/models, as its official clients speak it.

https://platform.openai.com/docs/api-reference/audio/createTranscription
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from dataclasses import asdict
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, File, Form, Request, UploadFile
from fastapi.responses import Response, StreamingResponse
from starlette.requests import ClientDisconnect

from distilhubert_ko.audio.channel_names import Channel
from distilhubert_ko.audio.frames import SAMPLE_RATE
from distilhubert_ko.errors import InputError
from distilhubert_ko.recognition.formats import Numerals
from distilhubert_ko.recognition.language_names import is_korean
from distilhubert_ko.recognition.transcriber import Transcriber
from distilhubert_ko.recognition.transcript import Transcript
from distilhubert_ko.recognition.vad import VadOptions
from distilhubert_ko.serving.clients import client_of
from distilhubert_ko.serving.form_fields import ignored_fields, with_ignored
from distilhubert_ko.serving.model_facts import ModelFacts
from distilhubert_ko.serving.openai_replies import (
    DEFAULT_FORMAT,
    DIARIZED_JSON,
    VERBOSE_JSON,
    Granularity,
    Reply,
    ResponseFormat,
    with_late_error,
)
from distilhubert_ko.serving.refusals import Refusal
from distilhubert_ko.serving.uploads import Part, Uploads

TRANSCRIPTIONS = "/v1/audio/transcriptions"
TRANSLATIONS = "/v1/audio/translations"
MOST_HOTWORDS = 500

Result = TypeVar("Result")

router = APIRouter()


def _uploads(request: Request) -> Uploads:
    return request.app.state.uploads


def _facts(request: Request) -> ModelFacts:
    return request.app.state.facts


Known = Annotated[ModelFacts, Depends(_facts)]
Held = Annotated[Uploads, Depends(_uploads)]


@router.post(
    TRANSCRIPTIONS,
    tags=["OpenAI"],
    response_class=Response,
    responses={200: {"content": {kind: {} for kind in ("application/json", "text/plain", "text/event-stream")}}},
)
async def transcribe(
    request: Request,
    uploads: Held,
    ignored: Annotated[list[str], Depends(ignored_fields)],
    file: Annotated[UploadFile, File(description="A recording in any format that FFmpeg reads.")],
    model: Annotated[str, Form(min_length=1, description="Any name; the server uses the model that it has loaded.")],
    language: Annotated[str | None, Form(description="ko, ko-KR or empty.")] = None,
    response_format: Annotated[
        ResponseFormat, Form(description=f"{', '.join(ResponseFormat)}; json by default.")
    ] = DEFAULT_FORMAT,
    timestamp_granularities: Annotated[
        list[Granularity] | None,
        Form(alias="timestamp_granularities[]", description="word or segment, with verbose_json only."),
    ] = None,
    granularities: Annotated[
        list[Granularity] | None,
        Form(alias="timestamp_granularities", description="The same, as clients write it that know no lists."),
    ] = None,
    numerals: Annotated[
        Numerals, Form(description="words or digits: how numbers are written; this is no field of OpenAI's.")
    ] = Numerals.WORDS,
    channel: Annotated[
        Channel,
        Form(description="One channel, the mean of all (mix), or a speaker per channel (split). No field of OpenAI's."),
    ] = Channel.MIX,
    hotwords: Annotated[
        str, Form(description="Words to expect, in Hangul, with commas between them. No field of OpenAI's.")
    ] = "",
    vad_filter: Annotated[
        bool, Form(description="Find speech first, and transcribe only that; true by default. No field of OpenAI's.")
    ] = True,
    stream: Annotated[
        bool,
        Form(
            description="Return server-sent events on the way; with verbose_json, they tell the seconds that are done."
        ),
    ] = False,
) -> Response:
    """Return the text of a recording in one of the formats, at once or as server-sent events."""
    if language and not is_korean(language):
        raise Refusal(
            400,
            f"the language {language!r} is not supported: give ko, because the model knows Korean only",
            param="language",
        )
    wanted = [*(timestamp_granularities or []), *(granularities or [])]
    if wanted and response_format != VERBOSE_JSON:
        name = "timestamp_granularities[]" if timestamp_granularities else "timestamp_granularities"
        raise Refusal(400, f"{name} is only for verbose_json: set response_format to verbose_json", param=name)
    if response_format == DIARIZED_JSON and channel != Channel.SPLIT:
        message = "diarized_json needs a speaker per channel, since voices are not told apart: set channel to split"
        raise Refusal(400, message, param="response_format")
    if stream and response_format == DIARIZED_JSON:
        raise Refusal(400, "diarized_json needs the whole text: set stream to false", param="response_format")
    client = client_of(request.scope)
    by = _expecting(uploads.transcriber, hotwords).with_numerals(numerals)
    options: dict[str, Any] = {"vad": VadOptions() if vad_filter else None, "by": by}
    reply = Reply(response_format, wanted or [Granularity.SEGMENT])
    wave = await _unless_left(request, uploads.wave(file.file, client, channel))
    if stream:
        parts = _noted(request, uploads.parts(wave, client, **options))
        events = reply.events(parts, wave.shape[-1] / SAMPLE_RATE)
        first = await anext(events)  # an early error still gets its own status
        streamed = StreamingResponse(
            with_late_error(first, events),
            media_type="text/event-stream",
            headers={"x-accel-buffering": "no"},  # nginx would keep the events until the last
        )
        return with_ignored(streamed, ignored)
    found = await _unless_left(request, uploads.transcript(wave, client, **options))
    _note(request, found)
    return with_ignored(reply.response(found), ignored)


@router.post(TRANSLATIONS, tags=["OpenAI"], include_in_schema=False)
async def translate() -> Response:
    """Refuse to translate."""
    raise Refusal(
        400,
        f"this model writes what is said in Korean, and translates nothing: post the recording to {TRANSCRIPTIONS}",
        param="model",
        code="unsupported_model",
    )


@router.get("/v1/models", tags=["OpenAI"])
async def models(known: Known) -> dict[str, Any]:
    """Return a list of the one loaded model."""
    return {"object": "list", "data": [_model(known)]}


@router.get("/v1/models/{name:path}", tags=["OpenAI"])
async def model(name: str, known: Known) -> dict[str, Any]:
    """Return the loaded model, if that is its name."""
    if name != known.id:
        raise Refusal(404, f"the model {name!r} is not loaded: use {known.id!r}", param="model", code="model_not_found")
    return _model(known)


@router.get("/v1/model_facts", tags=["More"])
async def model_facts(known: Known, uploads: Held) -> dict[str, Any]:
    """Return facts about the model: units, parameters, size in bytes, CER as a fraction, real-time factor.

    `limits` are the bytes of a request and the seconds of a recording that the server takes.
    """
    limits = uploads.limits
    told = {"upload_bytes": limits.upload_bytes, "audio_seconds": limits.audio_seconds}
    return {**asdict(known), "limits": told}


def _expecting(transcriber: Transcriber, hotwords: str) -> Transcriber:
    """Return a transcriber with the hot words that stand between commas, if any. Raises Refusal for what is none."""
    words = listed_hotwords(hotwords)
    try:
        return transcriber.with_hotwords(words) if words else transcriber
    except InputError as error:
        raise Refusal(400, str(error), param="hotwords") from error


def listed_hotwords(text: str) -> list[str]:
    """Return the hot words that stand between commas. Raises Refusal for more than MOST_HOTWORDS."""
    words = [word for part in text.split(",") if (word := part.strip())]
    if len(words) > MOST_HOTWORDS:
        raise Refusal(400, f"{len(words)} hot words: give {MOST_HOTWORDS} or fewer", param="hotwords")
    return words


def _model(known: ModelFacts) -> dict[str, Any]:
    return {"id": known.id, "object": "model", "created": known.created, "owned_by": "distilhubert-ko"}


async def _noted(request: Request, parts: AsyncIterator[Part | Transcript]) -> AsyncIterator[Part | Transcript]:
    async for part in parts:
        if isinstance(part, Transcript):
            _note(request, part)
        yield part


def _note(request: Request, found: Transcript) -> None:
    """Keep the duration and the text for the metrics and the log."""
    request.state.audio_seconds, request.state.transcript = found.seconds, found.text


async def _unless_left(request: Request, work: Coroutine[Any, Any, Result]) -> Result:
    """Return the result of `work`. If the client leaves, cancel it and raise ClientDisconnect."""
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
