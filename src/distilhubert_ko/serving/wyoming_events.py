"""Events of Wyoming as a server may take them from anybody, and what it says of itself."""

import asyncio
import re
from typing import Any, cast

from wyoming.event import Event, async_read_event
from wyoming.info import AsrModel, AsrProgram, Attribution, Info

from distilhubert_ko.serving.model_facts import ModelFacts
from distilhubert_ko.serving.openai_api import MOST_HOTWORDS
from distilhubert_ko.serving.refusals import Refusal
from distilhubert_ko.version import __version__

NAME = "distilhubert-ko"
EVENT_BYTES = 1 << 20  # the largest part of an event: half a minute of speech
HANGUL = re.compile("[가-힣]+(?: [가-힣]+){0,9}")  # of up to ten words: a hot word


class _Bounded:
    """A reader for `async_read_event`, which takes the length of any part from the client."""

    def __init__(self, reader: asyncio.StreamReader):
        self._reader = reader
        self.readline = reader.readline

    async def readexactly(self, size: int) -> bytes:
        if size > EVENT_BYTES:
            raise Refusal(413, f"an event of {size:,} bytes: send at most {EVENT_BYTES:,} bytes of audio in each")
        return await self._reader.readexactly(size)


async def read_event(reader: asyncio.StreamReader) -> Event | Refusal | None:
    """Return the next event, a refusal of a huge one, or None if the client has left or speaks something else."""
    try:
        event = await async_read_event(cast(asyncio.StreamReader, _Bounded(reader)))
    except Refusal as error:
        return error
    except (EOFError, ConnectionError, AttributeError, KeyError, TypeError, ValueError, RecursionError):
        return None
    return event if event is not None and isinstance(event.data, dict) else None


def expected_words(data: dict[str, Any]) -> list[str]:
    """Return names, then terms, that a client expects. Those that are not in Hangul and those past the limit go."""
    given = [data.get(key) for key in ("transcript_names", "transcript_terms")]
    words = [word for each in given if isinstance(each, list) for word in each if isinstance(word, str)]
    return [word for word in words if HANGUL.fullmatch(word)][:MOST_HOTWORDS]


def printable(text: object) -> str | None:
    """Return a text without halves of characters, which no event can carry."""
    return text.encode("utf-8", "replace").decode() if isinstance(text, str) else None


def described(facts: ModelFacts) -> Info:
    """Return what a client is told about the one program and its one model."""
    source = Attribution(NAME, "")
    model = AsrModel(
        name=facts.id,
        attribution=source,
        installed=True,
        description=f"Korean, CTC over {facts.units}",
        version=__version__,
        languages=["ko"],
    )
    program = AsrProgram(
        name=NAME,
        attribution=source,
        installed=True,
        description="Korean speech recognition with CTC on a CPU",
        version=__version__,
        models=[model],
    )
    return Info(asr=[program])
