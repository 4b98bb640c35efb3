"""Transcripts with AI Hub's annotations, from whatever corpus they come."""

from collections.abc import Iterable
from dataclasses import replace

from distilhubert_ko.data.readers.entries import Entry
from distilhubert_ko.errors import CorpusError
from distilhubert_ko.text.annotations import UnclearTranscriptError, find_annotation, read_annotated


def without_annotations(entry: Entry) -> Entry:
    """Return an entry with what was said as its text, and how that is written; or why that is unclear."""
    if entry.problem or not entry.text:
        return entry
    try:
        transcript = read_annotated(entry.text)
    except UnclearTranscriptError as error:
        return replace(entry, text=None, problem=str(error))
    return replace(entry, text=transcript.spoken, written=entry.written or transcript.written)


def refuse_annotations(spec: str, entries: Iterable[Entry]) -> None:
    """Raise CorpusError if a transcript has AI Hub's annotations, which plain rules would cut with their words."""
    for entry in entries:
        if entry.text and (found := find_annotation(entry.text)):
            raise CorpusError(
                f"{spec}: the transcript of {entry.id} has AI Hub's marks, {found!r}: read it as aihub:{spec}, or a "
                "folder of KsponSpeech as ksponspeech:PATH"
            )
