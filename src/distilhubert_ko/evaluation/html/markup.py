"""Pieces of HTML that the parts of a page share: text in two languages, numbers, tables. All text goes in escaped."""

from collections.abc import Sequence
from html import escape


def both(korean: str, english: str) -> str:
    """A text of the program's own in both languages, of which the page shows one."""
    return f'<span class="ko" lang="ko">{korean}</span><span class="en" lang="en">{english}</span>'


def escaped(text: str) -> str:
    """Text from elsewhere, as HTML shows it."""
    return escape(text, quote=True)


def percent(rate: float) -> str:
    return f"{100 * rate:.2f}%"


def points(difference: float) -> str:
    """A difference of two rates in percentage points, with its sign."""
    return f"{100 * difference:+.2f}".replace("-", "−")


def tag(index: int) -> str:
    """The mark of the first or the second of two models."""
    return f'<span class="side {"ab"[index]}">{"AB"[index]}</span>'


def table(head: Sequence[str], rows: Sequence[Sequence[str]], caption: str) -> str:
    """A table that scrolls sideways where it must. A row holds its cells, one string for each line of it.

    The first string of a row of several lines starts with a header that spans them.
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
