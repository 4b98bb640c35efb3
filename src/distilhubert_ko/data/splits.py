"""Which entries belong to a split: the corpus's own splits, or those that a held-out rule makes of its speakers."""

import re
from collections.abc import Sequence

from distilhubert_ko.data.readers.entries import Entry
from distilhubert_ko.errors import CorpusError, RecipeError


def parse_heldout(heldout: str) -> int | None:
    """Return N of a rule "every Nth speaker", None of no rule. Raises RecipeError for any other."""
    if not heldout:
        return None
    match = re.fullmatch(r"every (\d+)(?:st|nd|rd|th) speaker", heldout)
    if match is None or int(match[1]) < 3:
        raise RecipeError(f'heldout = "{heldout}" is not understood: write "every 8th speaker", with 3rd or more')
    return int(match[1])


def select_split(spec: str, entries: Sequence[Entry], split: str, every: int | None) -> list[Entry]:
    """Return the entries of one split: the corpus's own where it has some, otherwise by the held-out rule.

    `every` is that of `parse_heldout`. Raises CorpusError where there is no such split, or the rule cannot make it.
    """
    own = sorted({entry.split for entry in entries if entry.split})
    if every is None and not own:
        raise CorpusError(f'{spec}: this corpus has no splits: set heldout = "every 8th speaker" in [data]')
    if every is None or {"test", "dev"} <= set(own):
        if split not in own:
            raise CorpusError(f"{spec}: no split {split!r}: this corpus has {', '.join(own)}")
        return [entry for entry in entries if entry.split == split]
    if "test" not in own:
        return _held_out(spec, entries, split, every, ("test", "dev"))
    if split in own and split != "train":
        return [entry for entry in entries if entry.split == split]
    entries = [entry for entry in entries if entry.split == "train"]
    return _held_out(spec, entries, split, every, ("dev", "train"))


def _held_out(spec: str, entries: Sequence[Entry], split: str, every: int, parts: tuple[str, str]) -> list[Entry]:
    """Give every `every`th speaker to the first of `parts`, the next one to the second, the rest to train."""
    if split not in ("train", "dev", "test"):
        raise CorpusError(f"{spec}: no split {split!r}: the heldout rule makes train, dev and test")
    if any(entry.speaker is None for entry in entries):
        raise CorpusError(f"{spec}: heldout needs the speaker of every utterance: add them or drop heldout")
    speakers = sorted({entry.speaker for entry in entries if entry.speaker is not None})
    part = dict.fromkeys(speakers, "train")
    part |= dict.fromkeys(speakers[every - 1 :: every], parts[0])
    part |= dict.fromkeys(speakers[every::every], parts[1])
    chosen = [entry for entry in entries if entry.speaker is not None and part[entry.speaker] == split]
    if not chosen:
        raise CorpusError(f"{spec}: {len(speakers)} speakers are too few for {split!r}: hold out more often")
    return chosen
