"""What a session of OpenAI's Realtime API may ask for, in the form of its session.update.

A field that would change nothing is refused, or is in `NO_EFFECT` and missing from the session that the answer shows.
"""

from dataclasses import dataclass, field, replace
from typing import Any

from distilhubert_ko.recognition.language_names import is_korean
from distilhubert_ko.serving.openai_api import MOST_HOTWORDS
from distilhubert_ko.serving.realtime_audio import FORMS, PCM
from distilhubert_ko.serving.realtime_turns import TurnOptions
from distilhubert_ko.serving.refusals import Refusal

SESSION = "session"
INPUT = f"{SESSION}.audio.input"
TRANSCRIPTION, TURNS = f"{INPUT}.transcription", f"{INPUT}.turn_detection"
KEYWORDS = f"{TRANSCRIPTION}.keywords"
NO_EFFECT = {
    SESSION: ("id", "object", "expires_at"),
    INPUT: ("noise_reduction",),
    TRANSCRIPTION: ("model", "prompt", "delay"),
    TURNS: ("create_response", "interrupt_response"),
}
KNOWN = {
    SESSION: ("type", "audio", "include"),
    f"{SESSION}.audio": ("input",),
    INPUT: ("format", "transcription", "turn_detection"),
    f"{INPUT}.format": ("type", "rate"),
    TRANSCRIPTION: ("language", "languages", "keywords"),
    TURNS: ("type", "threshold", "prefix_padding_ms", "silence_duration_ms", "idle_timeout_ms"),
}
LONGEST_MS = 10_000  # of a silence or a prefix


@dataclass(frozen=True)
class SessionSettings:
    """The settings of a session. Without `turns`, the client says where a turn ends. `keywords` are hot words."""

    format: str = PCM
    turns: TurnOptions | None = field(default_factory=TurnOptions)
    keywords: tuple[str, ...] = ()

    def updated(self, session: object) -> "SessionSettings":
        """Return the settings after an update, in which only what is named changes. Raises Refusal for bad ones."""
        given = _fields(session, SESSION)
        if given.get("type") != "transcription":
            raise _refusal(f"{SESSION}.type", given.get("type"), "give transcription, which is all that is done here")
        if given.get("include"):
            raise _refusal(f"{SESSION}.include", given["include"], "leave it out, since there are no logprobs")
        audio = _fields(given.get("audio") or {}, f"{SESSION}.audio")
        asked = _fields(audio.get("input") or {}, INPUT)
        found = self
        if "transcription" in asked:
            found = replace(found, keywords=_keywords(asked["transcription"], found.keywords))
        if asked.get("format"):
            found = replace(found, format=_format(asked["format"]))
        if "turn_detection" in asked:
            turns = asked["turn_detection"]
            found = replace(found, turns=_turns(turns, found.turns or TurnOptions()) if turns is not None else None)
        return found

    def shown(self, identity: str, model: str) -> dict[str, Any]:
        """Return the whole session as the API shows it."""
        turns = self.turns and {"type": "server_vad", **vars(self.turns)}
        form = {"type": self.format} | ({"rate": FORMS[self.format].rate} if self.format == PCM else {})
        transcription = {"model": model, "language": "ko", "keywords": [*self.keywords]}
        audio = {"format": form, "noise_reduction": None, "transcription": transcription, "turn_detection": turns}
        shown = {"id": identity, "object": "realtime.transcription_session", "type": "transcription"}
        return {**shown, "audio": {"input": audio}, "include": None}


def _fields(value: object, place: str) -> dict[str, Any]:
    """Return an object. Raises Refusal for anything else, and for fields that nobody knows."""
    if not isinstance(value, dict):
        raise _refusal(place, value, "give an object")
    known = (*KNOWN[place], *NO_EFFECT.get(place, ()))
    for name in value:
        if name not in known:
            raise _refusal(f"{place}.{name}"[:100], value[name], f"leave it out; there are {', '.join(KNOWN[place])}")
    return value


def _keywords(value: object, before: tuple[str, ...]) -> tuple[str, ...]:
    """Return the hot words after an update. Raises Refusal for another language, and for what is no list of words."""
    given = _fields(value, TRANSCRIPTION)
    languages = given.get("languages") or []
    language = given.get("language")
    for each in [*(languages if isinstance(languages, list) else [languages]), *([language] if language else [])]:
        if not (isinstance(each, str) and is_korean(each)):
            raise _refusal(f"{TRANSCRIPTION}.language", each, "give ko, the only language of this model")
    words = given.get("keywords", [*before]) or []
    if not isinstance(words, list) or len(words) > MOST_HOTWORDS or not all(isinstance(word, str) for word in words):
        raise _refusal(KEYWORDS, words, f"give a list of {MOST_HOTWORDS} words or fewer")
    return tuple(words)


def _format(value: object) -> str:
    place = f"{INPUT}.format"
    given = _fields(value, place)
    kind = given.get("type", PCM)
    if not isinstance(kind, str) or kind not in FORMS:
        raise _refusal(f"{place}.type", kind, f"give {', '.join(FORMS)}")
    if given.get("rate") not in (None, FORMS[kind].rate):
        raise _refusal(f"{place}.rate", given["rate"], f"give {FORMS[kind].rate}, or resample the audio to it")
    return kind


def _turns(value: object, before: TurnOptions) -> TurnOptions:
    given = _fields(value, TURNS)
    if given.get("type", "server_vad") != "server_vad":
        raise _refusal(f"{TURNS}.type", given["type"], "give server_vad, or null and commit turns yourself")
    if given.get("idle_timeout_ms") is not None:
        raise _refusal(f"{TURNS}.idle_timeout_ms", given["idle_timeout_ms"], "leave it out, since nobody answers here")
    found = before
    if (threshold := given.get("threshold")) is not None:
        if type(threshold) not in (int, float) or not 0 < threshold < 1:
            raise _refusal(f"{TURNS}.threshold", threshold, "give a probability between 0 and 1, such as 0.5")
        found = replace(found, threshold=float(threshold))
    for name in ("prefix_padding_ms", "silence_duration_ms"):
        if (value := given.get(name)) is not None:
            if type(value) is not int or not 0 <= value <= LONGEST_MS:
                raise _refusal(f"{TURNS}.{name}", value, f"give milliseconds from 0 to {LONGEST_MS:,}")
            found = replace(found, **{name: value})
    return found


def _refusal(place: str, value: object, remedy: str) -> Refusal:
    return Refusal(400, f"{place} {str(value)[:60]!r}: {remedy}", param=place)
