"""Under which names tables give a clip's audio and what describes it."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

AUDIO = (
    *("audio_filepath", "file_name", "path", "file", "audio", "wav", "filename", "audio_path", "wav_path"),
    *("audio_file", "파일명", "파일", "파일_이름", "음성", "음성파일"),
)
TEXT = ("text", "transcription", "sentence", "transcript", "전사", "텍스트", "문장", "전사문")
SPEAKER = ("speaker", "speaker_id", "client_id", "화자")
GENDER = ("gender", "sex", "성별")
LANGUAGE = ("language", "locale", "lang", "lang_id", "language_id")


@dataclass(frozen=True)
class Columns:
    """The names that a spec gives to columns, ?audio=NAME&text=NAME&speaker=NAME; None: to be found."""

    audio: str | None = None
    text: str | None = None
    speaker: str | None = None

    @property
    def given(self) -> dict[str, str]:
        """Return the names that are given, by what they name."""
        return {key: name for key, name in vars(self).items() if name is not None}


NONE_GIVEN = Columns()


def split_columns(location: str) -> tuple[str, Columns]:
    """Return a location without the names of columns at its end, and these."""
    one = "(?:audio|text|speaker)=[^&]+"
    if match := re.fullmatch(rf"(.+?)\?({one}(?:&{one})*)", location):
        return match[1], Columns(**dict(part.split("=", 1) for part in match[2].split("&")))
    return location, Columns()


def describing_columns(names: Sequence[str], columns: Columns = NONE_GIVEN) -> dict[str, str | None]:
    """Return, for each field of Entry that describes a clip, the column of these that has it."""
    return {
        "text": columns.text or first_name(names, TEXT),
        "speaker": columns.speaker or first_name(names, SPEAKER),
        "gender": first_name(names, GENDER),
    }


def plain_name(name: str) -> str:
    """Return a column's name as the lists above have it: in NFC and small letters, with _ for spaces."""
    return re.sub(r"[\s-]+", "_", unicodedata.normalize("NFC", name).strip().lower())


def first_name(names: Sequence[str], wanted: Sequence[str]) -> str | None:
    """Return the name among these that is the first of the wanted ones."""
    plain = {plain_name(name): name for name in reversed(names)}
    return next((plain[name] for name in wanted if name in plain), None)


def several(names: Iterable[str]) -> str:
    """Return names as a message lists them, the first dozen of many."""
    every = list(names)
    return ", ".join(every[:12]) + (f", ... ({len(every)})" if len(every) > 12 else "")
