"""The table of docs/transcribing.md on calls."""

from docs.figures import report, table


def calls() -> str:
    """Return the table of benchmarks/calls.py."""
    found = report("calls")
    rows = [
        (_turns(row["overlap_seconds"]), row["transcribed"], f"{row['cer_no_space']:.4f}", f"{row['cer']:.4f}")
        for row in found["rows"]
    ]
    return table(("Turns", "Transcribed", "CER, no spaces", "CER"), rows) + (
        f"\n\n{found['calls']} calls of {found['speakers']} test speakers of Pansori TEDxKR, {found['turns']} turns. "
        f"Decoding: {found['decoding']}."
    )


def _turns(overlap: float | None) -> str:
    if overlap is None:
        return "no call"
    return f"overlap by {overlap:g} s" if overlap > 0 else f"{-overlap:g} s apart"
