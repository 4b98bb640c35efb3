"""The exceptions that callers may catch. Each message says what was wrong and what to do.

`exit_code` is what the command returns: 2 where the usage or the input was wrong, 1 for the rest.
"""

LONGEST = 2000  # characters of a message


def reason(error: Exception) -> str:
    """Return what an error of a library says, in one line, or its kind if it says nothing."""
    return " ".join(str(error).split()) or type(error).__name__


class DistilhubertKoError(Exception):
    """Base of everything that this package raises on purpose."""

    exit_code = 1

    def __str__(self) -> str:
        """One line that moves no terminal's cursor, whatever the input that it quotes."""
        message = "".join(character if character.isprintable() else " " for character in super().__str__())
        if len(message) <= LONGEST:
            return message
        return f"{message[: LONGEST // 2]} ... {message[-LONGEST // 2 :]}"  # the remedy stands at the end


class InputError(DistilhubertKoError, ValueError):
    """Something that the user gave cannot be used."""

    exit_code = 2


class RecipeError(InputError):
    """A recipe that cannot be read, or a key or value that no recipe has."""


class CorpusError(InputError):
    """A corpus that is missing, malformed or empty."""


class AudioError(InputError):
    """Audio that is missing, empty, truncated or in no known format."""


class TooLongError(AudioError):
    """Audio that lasts longer than is taken."""


class DecodingError(AudioError):
    """Audio that took too long to decode, or ended the process that did it."""


class ModelError(InputError):
    """A model folder that is missing or incomplete."""


class UnavailableError(DistilhubertKoError, ConnectionError):
    """What was asked for is not to be had here: a model of the Hub that has no local copy, or a device."""


class BusyError(DistilhubertKoError, RuntimeError):
    """There is more to do than is taken on; `retry_after` is in seconds."""

    def __init__(self, message: str, retry_after: int):
        super().__init__(message)
        self.retry_after = retry_after


class TrainingError(DistilhubertKoError, RuntimeError):
    """Training went wrong in a way that more of the same would not mend."""


class ExportError(DistilhubertKoError, RuntimeError):
    """An exported graph does not give what the model gives."""


class BulkError(DistilhubertKoError, RuntimeError):
    """A bulk transcription that cannot continue, or left inputs without a record."""


class MissingExtraError(DistilhubertKoError, ImportError):
    """A feature needs an optional dependency."""
