"""The fixtures that all tests may ask for; what they are made of is in tests/support/."""

pytest_plugins = [
    "tests.support.hub",
    "tests.support.model",
    "tests.support.speech",
    "tests.support.web",
    "tests.support.whisper",
    "tests.support.whisper_stand_in",
]
