"""Headless Chromium before a running server: what the tests of the page stand on."""

import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile

from distilhubert_ko.audio.frames import SAMPLE_RATE
from distilhubert_ko.serving.options import ServerLimits, ServerOptions
from tests.support.model import clip
from tests.support.serving import running

if TYPE_CHECKING:
    from playwright import sync_api

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
QUIET = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --autoplay-policy=no-user-gesture-required"
).split()
PATIENCE = 120_000  # ms; a busy machine is no reason to fail
SPEECH = clip(6 * SAMPLE_RATE)
"""What the tests upload; the tiny model hears words in it."""
SECONDS = len(SPEECH) / SAMPLE_RATE
TRANSCRIPTIONS = "**/v1/audio/transcriptions"
WAYS = [
    pytest.param({"locale": "ko-KR", "color_scheme": "light", "viewport": {"width": 1200, "height": 900}}, id="ko"),
    pytest.param(
        {"locale": "en-US", "color_scheme": "dark", "viewport": {"width": 390, "height": 844}, "has_touch": True},
        id="en-phone",
    ),
]
Visit = Callable[..., "sync_api.Page"]


@pytest.fixture(scope="session")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SPEECH as a WAV file."""
    path = tmp_path_factory.mktemp("speech") / "말소리.wav"
    soundfile.write(path, SPEECH, SAMPLE_RATE, subtype="PCM_16")
    return path


@pytest.fixture(scope="module")
def address(exported: Path) -> Iterator[str]:
    """Of a server with the tiny model."""
    with running(exported) as server:
        yield server.url


@pytest.fixture(scope="module")
def guarded(exported: Path) -> Iterator[str]:
    """Of a server that wants the token abc~1, takes no more than 100 kB, and has one stream."""
    with running(exported, ServerOptions(("abc~1",), limits=ServerLimits(upload_bytes=100_000, streams=1))) as server:
        yield server.url


@pytest.fixture(scope="module")
def chromium(recording: Path) -> Iterator["sync_api.Browser"]:
    """Its microphone hears `recording`, again and again."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    if not Path(CHROMIUM).is_file():
        pytest.skip("Chromium is not installed: apt-get install chromium")
    microphone = [
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-audio-capture={recording}",
    ]
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*QUIET, *microphone], timeout=PATIENCE)
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium: "sync_api.Browser", address: str) -> Iterator[Callable[..., "sync_api.Page"]]:
    """Opens the page in a context of its own: `visit(locale="ko-KR", ...)`, with `prepare` called on the page before.

    At the end of the test nothing may have come over the page's console but what `expected` allows, no error may have
    been thrown and no content-security policy violated.
    """
    complaints: list[str] = []
    contexts = []

    def opened(
        prepare: Callable[["sync_api.Page"], None] | None = None,
        expected: str | None = None,
        url: str = address,
        **options: object,
    ) -> "sync_api.Page":
        context = chromium.new_context(**{"locale": "ko-KR", **options})  # type: ignore[arg-type]
        context.set_default_timeout(PATIENCE)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.add_init_script(
            "document.addEventListener('securitypolicyviolation', (event) => console.error(event.violatedDirective))"
        )
        if prepare:
            prepare(page)
        page.goto(url)
        page.wait_for_selector("#facts dd, #facts-missing:not([hidden]), #token-dialog[open]")
        allowed.append(expected)
        return page

    allowed: list[str | None] = []
    yield opened
    for context in contexts:
        context.close()
    wrong = [text for text in complaints if not any(each and each in text for each in allowed)]
    assert not wrong, wrong


def until(page: "sync_api.Page", condition: str, argument: object = None) -> None:
    """Waits until a JavaScript expression or function is true.

    Playwright's own waiting needs the `eval` that the page's policy forbids.
    """
    end = time.monotonic() + PATIENCE / 1000
    while not page.evaluate(condition, argument):
        assert time.monotonic() < end, condition
        page.wait_for_timeout(50)


def peaks(start: float, end: float, wave: np.ndarray = SPEECH) -> float:
    """The largest sample between two times, in seconds."""
    part = np.abs(wave[int(start * SAMPLE_RATE) : int(end * SAMPLE_RATE)])
    return float(part.max()) if len(part) else 0.0


def upload(page: "sync_api.Page", recording: Path) -> dict[str, Any]:
    """Return the server's response once its words are in the page."""
    with page.expect_response(TRANSCRIPTIONS) as response:
        page.set_input_files("#file", recording)
    page.wait_for_selector(".word")
    return json.loads(response.value.text().split("data: ")[-1])  # of the last event


def answered(words: list[str], probability: float = 0.9, seconds: float = SECONDS) -> dict[str, Any]:
    """Return a response of the server with these words, in equal parts of the time."""
    step = seconds / len(words)
    times = [{"start": round(i * step, 3), "end": round((i + 0.9) * step, 3)} for i in range(len(words))]
    listed = [{"word": word, **each, "probability": probability} for word, each in zip(words, times, strict=True)]
    return {"task": "transcribe", "language": "ko", "duration": seconds, "text": " ".join(words), "words": listed}


def answering(*answers: dict[str, Any]) -> Callable[["sync_api.Page"], None]:
    """Return a preparation of a page whose server gives these responses in turn, and then the last one again.

    Those without an error are the last event of a stream.
    """
    left = list(answers)

    def answer(route: "sync_api.Route") -> None:
        given = left.pop(0) if len(left) > 1 else left[0]
        route.fulfill(**given if "status" in given else streamed(given["json"]))

    return lambda page: page.route(TRANSCRIPTIONS, answer)


def streamed(*events: dict[str, Any]) -> dict[str, Any]:
    """Return a response with server-sent events."""
    body = "".join(f"data: {json.dumps(event, ensure_ascii=False)}\n\n" for event in events)
    return {"body": body, "content_type": "text/event-stream"}


def saying(*words: str, probability: float = 0.9) -> dict[str, Any]:
    return {"json": answered(list(words), probability)}


def failing(status: int, message: str = "why", **headers: str) -> dict[str, Any]:
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": None}
    return {"status": status, "json": {"error": error}, "headers": headers}


def texts(page: "sync_api.Page", selector: str = ".word") -> list[str]:
    return page.locator(selector).all_text_contents()  # lines out of view have no inner text


def downloaded(page: "sync_api.Page", form: str) -> tuple[str, str]:
    """Return the name and content of the file."""
    with page.expect_download() as download:
        page.click(f"[data-format={form}]")
    return download.value.suggested_filename, download.value.path().read_text(encoding="utf-8")


def fits(page: "sync_api.Page") -> bool:
    """Return whether nothing is wider than the window."""
    return page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
