"""Fields of a form that no parameter takes. Those of OpenAI's API are named in a header, and any other is refused.

OpenAI's clients send their fields without asking, so a request with them should succeed. Any other name is a mistake,
whose author reads no headers.
"""

from fastapi import Request
from fastapi.responses import Response

from distilhubert_ko.serving.refusals import Refusal

IGNORED_HEADER = "x-ignored-fields"
UNUSED = (
    "chunking_strategy",
    "include",
    "known_speaker_names",
    "known_speaker_references",
    "prompt",
    "temperature",
)
"""Fields of OpenAI's transcriptions that this server has no use for; lists of them end in []."""


async def ignored_fields(request: Request) -> list[str]:
    """Return the fields of OpenAI's API in a form that have no effect. Raises Refusal for a field of neither."""
    known = {field.alias for field in request.scope["route"].dependant.body_params}
    ignored = set()
    for name, value in (await request.form()).multi_items():
        base = name.partition("[")[0]
        if name in known or (name, value) == ("chunking_strategy", "auto"):
            continue
        if base not in UNUSED:
            raise Refusal(400, f"{name[:100]!r} is no field of a transcription: leave it out, or see /docs", param=base)
        if value:
            ignored.add(base)
    return sorted(ignored)


def with_ignored(response: Response, ignored: list[str]) -> Response:
    """Return the response, with a header that names the fields that had no effect, if any."""
    if ignored:
        response.headers[IGNORED_HEADER] = ", ".join(ignored)
    return response
