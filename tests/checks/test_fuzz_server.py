"""Whatever comes over the network, the server answers or cuts it, and nothing is left; the long form is fuzz_server."""

import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

psutil = pytest.importorskip("psutil", reason="memory and descriptors are read with psutil")
if sys.platform == "win32":
    pytest.skip("sockets are reset and descriptors counted as POSIX has it", allow_module_level=True)

import httpx2  # noqa: E402

from checks import fuzz_server  # noqa: E402
from checks.fuzz_audio import seeds  # noqa: E402
from distilhubert_ko.serving.options import ServerLimits, ServerOptions  # noqa: E402
from tests.support.serving import PATIENCE, Running, Started, running, started  # noqa: E402

SCHEMA_EXAMPLES = 10  # of each operation and phase


@pytest.fixture(scope="module")
def server(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    with started(exported, tmp_path_factory.mktemp("fuzz"), *fuzz_server.OPTIONS) as server:
        yield server


def test_malformed_uploads_and_messages_are_refused_and_nothing_of_them_is_left(server: Started) -> None:
    files = fuzz_server.held(server)["files"]
    counts, failures = fuzz_server.survey(server, seed=2, first=1, count=120)
    after = fuzz_server.held(server, files)
    assert failures == []
    assert len({result.partition(":")[0] for result in counts}) > 5  # of all kinds
    assert after["files"] == files
    assert after["processes"] <= 1 + fuzz_server.DECODERS
    assert fuzz_server.errors(server.folder.with_name("serve.log")) == []
    with httpx2.Client(timeout=PATIENCE) as client:  # it has its wits about it
        answer = client.post(
            f"{server.url}/v1/audio/transcriptions", data={"model": "m"}, files={"file": ("a.wav", seeds()["wav"])}
        )
        assert answer.status_code == 200
        assert "text" in answer.json()


def test_an_attempt_is_the_same_whenever_it_is_made(server: Started, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[bytes, ...]] = []
    monkeypatch.setattr(fuzz_server, "exchange", lambda _, *data, **options: sent.append(data) or "200")
    address = urlsplit(server.url).hostname or "", urlsplit(server.url).port or 0
    originals = seeds()
    fuzz_server.survey(server, seed=5, first=1, count=0)  # which finds the ports
    held_open = ("messages", "sessions", "commands")
    tried = {number: fuzz_server.attempt(address, originals, 5, number)[0] for number in range(1, 60)}
    numbers = [number for number, kind in tried.items() if kind not in held_open]
    once = [*sent]
    sent.clear()
    for number in numbers:
        fuzz_server.attempt(address, originals, 5, number)
    assert sent == once


@pytest.fixture(scope="module")
def documented(exported: Path) -> Iterator[Running]:
    with running(exported, ServerOptions(limits=ServerLimits(upload_bytes=100_000))) as server:
        yield server


def test_the_server_does_what_its_openapi_document_says(documented: Running) -> None:
    schemathesis = pytest.importorskip("schemathesis", reason="schemathesis makes the requests; it is in the extra dev")
    from hypothesis import HealthCheck, given, seed, settings
    from schemathesis.specs.openapi.checks import positive_data_acceptance

    schema = schemathesis.openapi.from_url(f"{documented.url}/openapi.json")
    operations = [each.ok() for each in schema.get_all_operations()]
    assert {operation.path for operation in operations} >= {"/v1/audio/transcriptions", "/v1/models", "/healthz"}
    for operation in operations:

        @seed(1)
        @settings(
            max_examples=SCHEMA_EXAMPLES,
            deadline=None,
            database=None,
            suppress_health_check=[*HealthCheck],
            derandomize=False,
        )
        @given(case=operation.as_strategy())
        def conforms(case: "schemathesis.Case") -> None:
            response = case.call(timeout=PATIENCE)
            assert response.status_code < 500, (case.as_curl_command(), response.text)
            # A schema cannot say that a file is to hold sound.
            case.validate_response(response, excluded_checks=[positive_data_acceptance])

        conforms()
