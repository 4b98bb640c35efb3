"""The account of what training uses and what it drops, as lines for a terminal."""

from collections.abc import Mapping, Sequence

from distilhubert_ko.model_folder import DataRecord, SplitRecord

NAMED = 10  # clips of a split that are named, of those that were dropped


def describe_data(report: DataRecord) -> str:
    """Return a data report as lines for a terminal."""
    lines = [f"units: {report.units}, vocabulary {report.vocabulary}"]
    for name, split_ in report.splits.items():
        lines.append(describe_split(name, split_))
        if shared := report.overlap_with_train.get(name):
            unknown = shared.unknown_characters
            shown = "".join(list(unknown)[:20])
            lines.append(
                f"  shared with train: {shared.shared_sentences:,} sentences, "
                f"{speakers_text(shared.shared_speakers)}; "
                f"unknown characters: {sum(unknown.values()):,}{f' ({shown})' if unknown else ''}"
            )
    return "\n".join(lines)


def describe_split(name: str, summary: SplitRecord) -> str:
    """Return the summary of a split as lines for a terminal."""
    lines = [
        f"{name}: {summary.corpus}: {summary.utterances:,} utterances, "
        f"{'about ' if summary.hours_from == 'text' else ''}{summary.hours:.2f} h, "
        f"{speakers_text(summary.speakers or None)}"
        + (f", {summary.distinct_sentences:,} distinct sentences" if summary.distinct_sentences is not None else "")
    ]
    if source := summary.source:
        lines.append(
            f"  streamed: {source['gigabytes']:.2f} GB in {source['shards']:,} shards and {source['row_groups']:,} row "
            f"groups; at most {source['spool_gigabytes']:.2f} GB are kept"
        )
    return "\n".join([*lines, *(f"  {line}" for line in dropped_lines(summary.dropped, summary.dropped_clips or {}))])


def speakers_text(count: int | None) -> str:
    """Return a number of speakers as a reader is told; None if they are unknown."""
    return "speakers unknown" if count is None else f"{count:,} {'speaker' if count == 1 else 'speakers'}"


def dropped_lines(counts: Mapping[str, int], clips: Mapping[str, Sequence[str]]) -> list[str]:
    """Return a line per reason with the number of clips that were dropped, and the first NAMED of all by name."""
    lines, room = [], NAMED
    for reason, count in counts.items():
        names = [*clips.get(reason, ())][:room]
        room -= len(names)
        shown = ", ".join([*names, "..."] if len(names) < count else names) if names else ""
        lines.append(f"dropped, {reason}: {count:,}{f' ({shown})' if shown else ''}")
    return lines
