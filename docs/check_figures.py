"""Tables of docs/reliability.md from checks of kills, of clean environments, and of attacks on the server."""

import math

from docs.figures import report, table


def output_kills() -> str:
    """Return the table of checks/output_kills.py."""
    rows = [
        (
            f"`{command}`",
            f"{each['kills']}",
            f"{each['left_something_new']}",
            f"{len(each['lost'])}",
            f"{each['seconds']:.1f} s",
        )
        for command, each in report("output_kills")["commands"].items()
    ]
    return table(("Command", "Kills", "Left something new", "Lost or half-written", "A run without a kill"), rows)


def installs() -> str:
    """Return the table of checks/installs.py."""
    rows = [
        (
            each["python"],
            each["extra"] if each["extra"] == "base" else f"`[{each['extra']}]`",
            f"{each['packages']}",
            f"{each['megabytes']:,} MB",
            f"{len(each['faults'])}",
        )
        for each in report("installs")["rows"]
    ]
    return table(("Python", "Installed alone", "Packages", "Size", "Faults"), rows)


def attack() -> str:
    """Return the table of checks/attack.py."""
    found = report("attack")
    rows = [
        (
            each["attack"],
            "" if each["attack"] == "no attack" else "same" if each["same_address"] else "another",
            f"{each['answers']}",
            f"{each['refusals']}",
            *(_wait(each[what][part]) for what in ("clip", "health") for part in ("median", "p99")),
        )
        for each in found["attacks"]
    ]
    header = ("Attack", "From the client's address", "Answers", "Refusals", "A clip of 3 s, median", "99 %")
    return table((*header, "`/healthz`, median", "99 %"), rows) + f"\n\nOn {found['cores']} cores."


def _wait(seconds: float) -> str:
    """Return how long the client waited, or that it had no answer in time."""
    return "no answer" if math.isinf(seconds) else f"{seconds:.2f} s"
