"""Tables of docs/reliability.md from checks of what commands leave behind and of clean environments."""

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
