"""HTML helpers for all parts of a page: text in two languages, numbers and tables. Callers escape all text."""

from collections.abc import Sequence
from html import escape


def both(korean: str, english: str) -> str:
    """Return a text of the program in both languages, of which the page shows one."""
    return f'<span class="ko" lang="ko">{korean}</span><span class="en" lang="en">{english}</span>'


def escaped(text: str) -> str:
    """Return untrusted text with HTML escapes, and with a question mark for what UTF-8 does not have."""
    return escape(text.encode("utf-8", "replace").decode("utf-8"), quote=True)


def percent(rate: float) -> str:
    return f"{100 * rate:.2f}%"


def points(difference: float) -> str:
    """Return a difference of two rates in percentage points with its sign."""
    return f"{100 * difference:+.2f}".replace("-", "−")


def tag(index: int) -> str:
    """Return the mark of the first or the second of two models."""
    return f'<span class="side {"ab"[index]}">{"AB"[index]}</span>'


def table(head: Sequence[str], rows: Sequence[Sequence[str]], caption: str) -> str:
    """Return a table that can scroll sideways. A row is a list of strings, one per line with all its cells.

    In a row of several lines, the first string starts with a header that spans them.
    """
    lines = []
    for first, *others in rows:
        lines += [f"<tr>{first}</tr>", *(f'<tr class="second">{other}</tr>' for other in others)]
    heads = "".join(f"<th scope=col>{name}</th>" for name in head)
    return (
        '<div class="scroll" tabindex=0 role=region aria-label="표 / Table">'
        f'<table><caption class="sr">{caption}</caption>'
        f"<thead><tr>{heads}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
    )
