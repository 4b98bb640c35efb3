"""The attacks on a server: the honest client's waits are those of a client, and each attack reaches the server."""

import multiprocessing
import time
from pathlib import Path

import pytest

from checks import attack
from distilhubert_ko.serving.options import ServerLimits, ServerOptions
from tests.support.serving import running


def test_an_honest_client_alone_is_answered_at_once(exported: Path) -> None:
    with running(exported) as server:
        host, port = server.address.split(":")
        figures = attack.honest((host, int(port)), 1.0).figures()
    assert figures["answers"] > 0
    assert (figures["refusals"], figures["health_failures"]) == (0, 0)
    assert not attack.failed({"attack": "none", "same_address": True} | figures)


@pytest.mark.parametrize("name", ["64 slow uploads", "255 half-sent heads", "a flood of pings"])
def test_beside_an_attack_an_honest_client_gets_its_answers(exported: Path, name: str) -> None:
    with running(exported, ServerOptions(limits=ServerLimits(requests=8, connections=32))) as server:
        host, port = server.address.split(":")
        target = attack.Target((host, int(port)), attack.OTHER)
        attacker = multiprocessing.get_context("spawn").Process(target=attack.ATTACKS[name], args=(target, {}))
        attacker.start()
        try:
            time.sleep(attack.SETTLE)
            figures = attack.honest((host, int(port)), 2.0).figures()
        finally:
            attacker.kill()
            attacker.join()
    assert not attack.failed({"attack": name, "same_address": False} | figures)
