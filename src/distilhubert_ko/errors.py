"""The exceptions that callers may catch. Each message says what was wrong and what to do.

`exit_code` is what the command returns: 2 where the usage or the input was wrong, 1 for the rest.
"""


class DistilhubertKoError(Exception):
    """Base of everything that this package raises on purpose."""

    exit_code = 1


class InputError(DistilhubertKoError, ValueError):
    """Something that the user gave cannot be used."""

    exit_code = 2


class RecipeError(InputError):
    """A recipe that cannot be read, or a key or value that no recipe has."""


class CorpusError(InputError):
    """A corpus that is missing, malformed or empty."""


class AudioError(InputError):
    """Audio that is missing, empty, truncated or in no known format."""


class ModelError(InputError):
    """A model folder that is missing or incomplete."""


class UnavailableError(DistilhubertKoError, ConnectionError):
    """What was asked for is not to be had here: a model of the Hub that has no local copy, or a device."""


class TrainingError(DistilhubertKoError, RuntimeError):
    """Training went wrong in a way that more of the same would not mend."""


class ExportError(DistilhubertKoError, RuntimeError):
    """An exported graph does not give what the model gives."""


class BulkError(DistilhubertKoError, RuntimeError):
    """A bulk transcription that cannot go on, or left inputs without a record."""


class MissingExtraError(DistilhubertKoError, ImportError):
    """A feature needs an optional dependency."""
