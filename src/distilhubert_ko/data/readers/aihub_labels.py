"""The JSON labels of AI Hub's speech corpora: where each kind of them keeps transcript, file, speaker and times."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

LONGEST = 600.0  # s: a longer utterance has its times in other units
_NUMBERED = re.compile(r"^\d+_")  # some corpora number their keys: 01_dataset, 1_identifier
_GENDERS = dict.fromkeys(("남", "남성", "남자", "male", "m"), "m") | dict.fromkeys(
    ("여", "여성", "여자", "female", "f"), "f"
)


@dataclass(frozen=True)
class Clip:
    """What a label says of one utterance. A file has no folder where the label gives none; times are in seconds."""

    text: str
    file: str = ""
    speaker: str | None = None
    gender: str | None = None
    start: float | None = None
    duration: float | None = None
    rate: int | None = None
    """The sample rate in Hz, where the label gives one."""


@dataclass(frozen=True)
class _Kind:
    """Where labels of one kind keep what is wanted: paths of keys, of which the first with a value counts.

    With `items`, a label describes several utterances, and the other paths count from each of them.
    """

    text: tuple[str, ...]
    items: str = ""
    file: str = ""
    speaker: tuple[str, ...] = ()
    """All that have a value make the speaker, since some corpora repeat the names of speakers."""
    gender: str = ""
    times: tuple[str, str] | None = None
    speakers: str = ""
    """A list of speakers with their id and gender."""


_KINDS = (
    _Kind(("발화정보.stt",), file="발화정보.fileNm", speaker=("녹음자정보.recorderId",), gender="녹음자정보.gender"),
    _Kind(
        ("전사정보.TransLabelText", "전사정보.LabelText"),
        file="파일정보.FileName",
        speaker=("기본정보.NumberOfSpeaker", "화자정보.SpeakerName"),
        gender="화자정보.Gender",
    ),
    _Kind(("transcription.ReadingLabelText", "transcription.AnswerLabelText"), file="fileName"),
    _Kind(("transcription.text",), speaker=("speakerinfo.id",), gender="speakerinfo.gender"),
    _Kind(("inputText.0.orgtext",), speaker=("info.0.metadata.speaker_id",), gender="info.0.metadata.speaker_sex"),
    _Kind(("text",), "dataSet.dialogs", "audioPath", ("speaker",), speakers="dataSet.typeInfo.speakers"),
    _Kind(("text", "speakerText"), "dialogs", "audioPath", ("speaker",), "", ("startTime", "endTime"), "speakers"),
    _Kind(("dialect_form", "form"), "utterance", "", ("speaker_id",), "", ("start", "end"), "speaker"),
    _Kind(
        ("text", "transcription", "sentence", "transcript", "stt", "script"),
        file="fileName",
        speaker=("speaker", "speaker_id"),
        gender="gender",
    ),
)
WANTED = ", ".join(f"{kind.items}[].{kind.text[0]}" if kind.items else kind.text[0] for kind in _KINDS)
"""Where a transcript is looked for, to be told to whoever has labels of another kind."""


def read_label(label: Mapping[str, Any]) -> list[Clip]:
    """Return the utterances of a label; none if it is of no kind that is known here.

    Raises ValueError where an utterance has neither a file of its own nor times in seconds.
    """
    label = _unnumbered(label)
    for kind in _KINDS:
        if kind.items:
            items = _value(label, kind.items)
            if isinstance(items, list) and items and all(_text(item, kind) is not None for item in items):
                return [*_utterances(label, items, kind)]
        elif _text(label, kind) is not None:
            return [_clip(label, label, kind)]
    return []


def label_keys(label: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Return the paths of the keys of a label: those of objects inside it too, and of the first in a list."""
    keys = []
    for key, value in label.items():
        inner = value[0] if isinstance(value, list) and value else value
        mark = "[]" if inner is not value else ""
        if isinstance(inner, Mapping) and prefix.count(".") < 3:
            keys += label_keys(inner, f"{prefix}{key}{mark}.")
        else:
            keys.append(f"{prefix}{key}{mark}")
    return keys


def _unnumbered(value: Any) -> Any:
    """Return a label whose keys have lost the numbers before them."""
    if isinstance(value, Mapping):
        return {_NUMBERED.sub("", key): _unnumbered(each) for key, each in value.items()}
    return [_unnumbered(each) for each in value] if isinstance(value, list) else value


def _value(label: Any, path: str) -> Any:
    """Return the value at a path of keys and indices, None where there is none."""
    for key in path.split("."):
        if isinstance(label, Mapping):
            label = label.get(key)
        elif isinstance(label, list) and key.isdecimal() and int(key) < len(label):
            label = label[int(key)]
        else:
            return None
    return label


def _text(item: Any, kind: _Kind) -> str | None:
    """Return the first transcript that is not empty; None where there is no place for one."""
    found = [value for path in kind.text if isinstance(value := _value(item, path), str)]
    return next((text for text in found if text.strip()), found[0] if found else None)


def _name(value: Any) -> str | None:
    """Return a name or a number that a label gives, None where it gives none."""
    name = str(value).strip() if isinstance(value, str | int) else ""
    return name if name and name.lower() not in ("n/a", "none", "null") else None


def _clip(label: Any, item: Any, kind: _Kind) -> Clip:
    names = [name for path in kind.speaker if (name := _name(_value(item, path)))]
    rate = _name(_value(label, "음성정보.SamplingRate"))
    return Clip(
        _text(item, kind) or "",
        file=_name(_value(item, kind.file)) or "" if kind.file else "",
        speaker="-".join(names) or None,
        gender=_gender(_value(item, kind.gender)),
        rate=int(rate) if rate and rate.isdecimal() and len(rate) < 9 else None,
    )


def _gender(value: Any) -> str | None:
    return _GENDERS.get(value.strip().lower()) if isinstance(value, str) else None


def _utterances(label: Any, items: list[Any], kind: _Kind) -> Iterator[Clip]:
    known = _value(label, kind.speakers)
    genders = {
        _name(each.get("id", each.get("speaker"))): _gender(each.get("gender", each.get("sex")))
        for each in (known if isinstance(known, list) else [])
        if isinstance(each, Mapping)
    }
    for number, item in enumerate(items, 1):
        clip = _clip(label, item, kind)
        start, end = (_seconds(_value(item, key)) for key in kind.times or ("", ""))
        if not clip.file and (start is None or end is None or not 0 <= start < end <= start + LONGEST):
            raise ValueError(f"utterance {number} has neither audioPath nor a start and an end in seconds")
        clip = replace(clip, gender=genders.get(clip.speaker))
        if not clip.file and start is not None and end is not None:
            clip = replace(clip, start=start, duration=end - start)
        yield clip


def _seconds(value: Any) -> float | None:
    """Return a time such as 1.5, "1.5" or "00:01:02.5" in seconds; None where it is none."""
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        return None
    try:
        parts = [float(part) for part in str(value).replace(",", ".").split(":")]
    except ValueError:
        return None
    return sum(part * 60**power for power, part in enumerate(reversed(parts))) if len(parts) <= 3 else None
