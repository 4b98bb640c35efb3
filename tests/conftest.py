"""The fixtures that all tests may ask for; what they are made of is in tests/support/."""

import gc

pytest_plugins = [
    "tests.support.hub",
    "tests.support.model",
    "tests.support.speech",
    "tests.support.web",
    "tests.support.whisper",
    "tests.support.whisper_stand_in",
]


def pytest_collection_finish() -> None:
    """A run of Transformers' Trainer collects garbage several times; in all that is imported it need not look."""
    gc.freeze()
