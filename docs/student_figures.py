"""The tables of the students in docs/training.md: what they cost, and what they recognise."""

from typing import Any

from docs.figures import change, report, table, x_real_time

SIZE = ("Student", "Layers", "Parameters", "Multiplications per second of speech")


def cost() -> str:
    """Return the table of benchmarks/students.py: what the shallow and the thin student cost."""
    found = report("students")
    rows = [
        (
            f"`{name}.toml`",
            *_size(row),
            *(x_real_time(row["speed"][precision]) for precision in ("float32", "int8")),
        )
        for name, row in found["rows"].items()
    ]
    header = (*SIZE, "float32", "int8")
    return (
        table(header, rows)
        + f"\n\nOne thread of a busy x86 server, by processor time, on a clip of {found['seconds']} s: the best of "
        f"{found['turns']} turns (`python -m benchmarks.students`)."
    )


def recognised() -> str:
    """Return the table of benchmarks/thin_student.py: CERs of narrow students, shallow and thin."""
    found = report("thin_student")
    rows = [
        (
            row["student"],
            *_size(row),
            f"{row['learning_rate']:g}",
            f"{row['epochs']}",
            *(f"{row[key]:.4f}" for key in ("development_cer", "cer", "cer_no_space")),
            *(change(row.get(f"against_shallow_{unit}")) for unit in ("utterances", "speakers")),
        )
        for row in found["rows"]
    ]
    header = (
        *(*SIZE, "Learning rate", "Epochs with CTC", "CER, development speakers", "CER", "CER, no spaces"),
        *("Against the shallow one, over utterances", "Over speakers"),
    )
    return table(header, rows)


def _size(row: dict[str, Any]) -> tuple[str, ...]:
    """Return the cells of SIZE after the student's name."""
    return (
        f"{row['layers']} x {row['hidden_size']}",
        f"{row['parameters'] / 1e6:.1f} million",
        f"{row['multiplications'] / 1e9:.2f} billion",
    )
