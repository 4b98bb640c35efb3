"""The Hub's client, which asks once whether the Hub answers, instead of trying every request six times."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FAILING = 500
"""An HTTP status from here on is no answer."""


@contextmanager
def hub_or_cache(name: str | Path) -> Iterator[None]:
    """Within it, the Hub's client may fetch `name`; if the Hub does not answer now, it only looks into its cache.

    The client's own way is to try each request six times, for half a minute, with two lines of warning each time. A
    folder of this machine asks nobody.
    """
    if Path(name).exists():
        yield
        return
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or not _answers(constants.ENDPOINT, constants.HF_HUB_ETAG_TIMEOUT)
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _answers(endpoint: str, seconds: float) -> bool:
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]  # of httpx, or of httpx2
    from huggingface_hub.utils import get_session  # type: ignore[attr-defined]

    try:
        return bool(get_session().head(endpoint, timeout=seconds).status_code < FAILING)
    except (HTTPError, OSError):
        return False
