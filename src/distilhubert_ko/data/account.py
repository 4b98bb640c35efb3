"""The account of what training uses and what it drops, as lines for a terminal."""

from distilhubert_ko.model_folder import DataRecord, SplitRecord


def describe_data(report: DataRecord) -> str:
    """Return a data report as lines for a terminal."""
    lines = [f"units: {report.units}, vocabulary {report.vocabulary}"]
    for name, split_ in report.splits.items():
        lines.append(describe_split(name, split_))
        if shared := report.overlap_with_train.get(name):
            unknown = shared.unknown_characters
            shown = "".join(list(unknown)[:20])
            lines.append(
                f"  shared with train: {shared.shared_sentences:,} sentences, {shared.shared_speakers} speakers; "
                f"unknown characters: {sum(unknown.values()):,}{f' ({shown})' if unknown else ''}"
            )
    return "\n".join(lines)


def describe_split(name: str, summary: SplitRecord) -> str:
    """Return the summary of a split as lines for a terminal."""
    lines = [
        f"{name}: {summary.corpus}: {summary.utterances:,} utterances, "
        f"{'about ' if summary.hours_from == 'text' else ''}{summary.hours:.2f} h, "
        f"{summary.speakers} speakers"
        + (f", {summary.distinct_sentences:,} distinct sentences" if summary.distinct_sentences is not None else "")
    ]
    if source := summary.source:
        lines.append(
            f"  streamed: {source['gigabytes']:.2f} GB in {source['shards']:,} shards and {source['row_groups']:,} row "
            f"groups; at most {source['spool_gigabytes']:.2f} GB are kept"
        )
    return "\n".join(lines + [f"  dropped, {reason}: {count:,}" for reason, count in summary.dropped.items()])
