"""The fixtures that all tests may ask for; what they are made of is in tests/support/."""

import gc

import pytest
from hypothesis import HealthCheck, settings

PLUGINS = ("hub", "model", "speech", "web", "whisper", "whisper_stand_in")
LONG = ("test_hub_road.py", "test_installs.py", "test_gpu.py", "test_ranks.py")

settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")  # a machine with other work is no reason to fail


def pytest_collection_finish() -> None:
    """A run of Transformers' Trainer collects garbage several times; in all that is imported it need not look."""
    gc.freeze()


def pytest_configure(config: pytest.Config) -> None:
    """Import what fixtures are made of, but not in the process that only deals out tests: that takes seconds."""
    if hasattr(config, "workerinput") or not config.getoption("numprocesses", None):
        for name in PLUGINS:
            config.pluginmanager.import_plugin(f"tests.support.{name}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with what takes longest, so that at the end no worker is waited for."""
    items.sort(key=lambda item: item.path.name not in LONG)
