"""Whether the page of `export --target web` writes what `transcribe` writes: in Chromium, without a network.

    npm pack onnxruntime-web@1.30.0 && distilhubert-ko export demo --out site --target web
    python -m checks.web_export site demo RECORDING...

A server of this machine gives the folder's files and nothing else, and every request elsewhere is an error. For int8,
give a model in int8 and `--allowed 0.02`, since 8 bits magnify how processors round. `--pictures` keeps the page in
both languages, at 390 and 1,200 pixels.
"""

import argparse
import functools
import http.server
import json
import shutil
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from checks.transformers_js import share_of_differences
from distilhubert_ko.decoding.decoder import NO_LM
from distilhubert_ko.recognition.transcriber import Transcriber
from distilhubert_ko.recognition.transcript import Transcript

if TYPE_CHECKING:
    from playwright import sync_api

PATIENCE = 300.0  # seconds for a recording
FLAGS = "--no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-component-update".split()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Gives files, and logs nothing."""

    def log_message(self, format: str, *args: object) -> None: ...


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Yield the address of a folder."""
    QuietHandler.extensions_map |= {".mjs": "text/javascript", ".wasm": "application/wasm"}
    handler = functools.partial(QuietHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


def transcribed(page: "sync_api.Page", recording: Path) -> tuple[str, list[dict[str, Any]]]:
    """Return the text and the times that the page has of a recording."""
    page.set_input_files("#file", recording)
    end = time.monotonic() + PATIENCE
    done = (
        "() => document.getElementById('status').dataset.text === 'ready' || !document.getElementById('problem').hidden"
    )
    while not page.evaluate(done):
        assert time.monotonic() < end, f"{recording}: no text in {PATIENCE:.0f} s"
        page.wait_for_timeout(20)
    assert not page.is_visible("#problem"), page.inner_text("#problem")
    if page.is_visible("#nothing"):
        return "", []
    with page.expect_download() as download:
        page.click("[data-format=json]")
    table = json.loads(Path(download.value.path()).read_text(encoding="utf-8"))
    return table["text"], table["words"]


def memory() -> float:
    """Return the megabytes of the browser's processes that they do not share."""
    return sum(each.memory_full_info().uss for each in psutil.Process().children(recursive=True)) / 1e6


def is_confined(page: "sync_api.Page", elsewhere: str) -> bool:
    """Tell whether neither the page nor a worker of its kind gets an answer of another server, which is there."""
    script = """async (elsewhere) => {
        const asked = `fetch("${elsewhere}", { mode: "no-cors" }).then(() => true, () => false)`;
        const source = new Blob([`${asked}.then(postMessage)`], { type: "text/javascript" });
        const worker = new Worker(URL.createObjectURL(source), { type: "module" });
        const answers = [fetch(elsewhere, { mode: "no-cors" }).then(() => true, () => false)];
        answers.push(new Promise((resolve) => (worker.onmessage = ({ data }) => resolve(data))));
        return Promise.all(answers);
    }"""
    return not any(page.evaluate(script, elsewhere))


def take_pictures(browser: "sync_api.Browser", address: str, recording: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for locale in ("ko-KR", "en-US"):
        for width in (390, 1200):
            page = browser.new_page(locale=locale, viewport={"width": width, "height": 900})
            page.goto(address)
            transcribed(page, recording)
            page.screenshot(path=folder / f"{locale[:2]}-{width}.png", full_page=True)
            page.close()


def watched(page: "sync_api.Page", address: str) -> list[str]:
    """Return a list of what the page complains about and of what it asks for elsewhere, as it comes."""
    complaints: list[str] = []

    def asked(request: "sync_api.Request") -> None:
        if not request.url.startswith((address, "blob:")):
            complaints.append(request.url)

    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", asked)
    return complaints


def judge(expected: Sequence[Transcript], found: Sequence[tuple[str, list[dict[str, Any]]]]) -> float:
    """Print what differs, and return the share of characters that do."""
    late = [
        abs(one.start - other["start"])
        for each, (text, words) in zip(expected, found, strict=True)
        if each.text == text
        for one, other in zip(each.words, words, strict=True)
    ]
    print(f"words of the same texts start within {max(late, default=0.0):.3f} s")
    return share_of_differences([each.text for each in expected], [text for text, _ in found])


def main() -> int:
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="what `export --target web` wrote")
    parser.add_argument("model", type=Path, help="what it was exported from")
    parser.add_argument("recordings", type=Path, nargs="+")
    parser.add_argument("--allowed", type=float, default=0.0, help="the share of characters that may differ")
    parser.add_argument("--pictures", type=Path, metavar="DIR")
    chosen = parser.parse_args()
    transcriber = Transcriber(chosen.model, lm=NO_LM)
    expected = [transcriber(recording) for recording in chosen.recordings]
    with served(chosen.folder) as address, served(chosen.folder) as elsewhere, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        page = browser.new_page()
        complaints = watched(page, address)
        page.goto(address)
        before, found, seconds = memory(), [], []
        for recording in chosen.recordings:
            start = time.monotonic()
            found.append(transcribed(page, recording))
            seconds.append(time.monotonic() - start)
        grown, said = memory() - before, [*complaints]
        confined = is_confined(page, elsewhere)
        if chosen.pictures:
            take_pictures(browser, address, chosen.recordings[0], chosen.pictures)
        browser.close()
    spoken = sum(each.seconds for each in expected[1:])
    print(f"the first text, with the model, after {seconds[0]:.1f} s")
    print(f"{spoken:.0f} s of speech in {sum(seconds[1:]):.1f} s; {grown:.0f} MB more than the page before")
    print(f"requests to another server are {'blocked' if confined else 'ANSWERED'}")
    print(f"complaints of the page: {said or 'none'}")
    return int(judge(expected, found) > chosen.allowed or bool(said) or not confined)


if __name__ == "__main__":
    sys.exit(main())
