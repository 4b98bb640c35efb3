"""The fixtures that all tests may ask for; what they are made of is in tests/support/."""

import gc

from hypothesis import HealthCheck, settings

pytest_plugins = [
    "tests.support.hub",
    "tests.support.model",
    "tests.support.speech",
    "tests.support.web",
    "tests.support.whisper",
    "tests.support.whisper_stand_in",
]

settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")  # a machine with other work is no reason to fail


def pytest_collection_finish() -> None:
    """A run of Transformers' Trainer collects garbage several times; in all that is imported it need not look."""
    gc.freeze()
