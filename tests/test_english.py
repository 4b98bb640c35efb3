"""Tests of the English in documents, docstrings and help: short sentences, and the words of the field."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
HELP = ROOT / "docs" / "commands.md"
SOURCES = sorted((ROOT / "src").rglob("*.py"))
LONGEST = 25
"""Words in a sentence of a page."""
LONGEST_IN_DOCSTRINGS = 30
"""More than on a page, since docstrings cite and give shapes."""
BANNED = {
    r"go(?:es)? on": "continue, resume",
    r"torn": "corrupt",
    r"aside": "temporary",
    r"hears?|heard": "recognise; listen to",
    r"(?<!direct )sounds?": "audio",
    r"(?:seconds?|hours?|minutes?|steps?|GB|MB|records?|lines?) an? (?:second|hour|minute|step|epoch|line)": "per",
}
"""Pattern -> what to write in its place."""
NO_VERB = {"Of", "Where", "What", "None", "As", "Whether", "Which", "How", "For"}
"""First words of a docstring that does not say what its function does."""


def sentences(text: str) -> Iterator[str]:
    """Yield the sentences of a Markdown text; a list item and a table cell end one. Code counts as one word."""
    text = re.sub(r"<!-- (\S+) -->\n.*?<!-- /\1 -->", "", text, flags=re.DOTALL)  # figures, written by the program
    text = re.sub(r"```.*?```|<!--.*?-->", "\n\n", text, flags=re.DOTALL)
    text = re.sub(r"``.+?``|`[^`]+`", "CODE", text)
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)
    for block in re.split(r"\n\s*\n|\n(?=\s*(?:[-*]|\d+\.) )|\n(?=[|#])", text):
        for piece in block.split("|"):
            yield from (each for each in re.split(r"(?<=[.!?])\W*\s", " ".join(piece.split())) if each)


def words(sentence: str) -> int:
    return sum(any(letter.isalnum() for letter in word) for word in sentence.split())


def found(sentence: str) -> list[str]:
    """Return the banned words of a sentence, with what to write instead."""
    return [
        f"{match[0]!r} -> {instead}"
        for pattern, instead in BANNED.items()
        if (match := re.search(rf"\b(?:{pattern})\b", sentence, re.IGNORECASE))
    ]


def docstrings(path: Path) -> Iterator[tuple[str, ast.AST, str]]:
    """Yield where a docstring stands, what it describes, and its text."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text:
                yield f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}", node, text


def messages(path: Path) -> Iterator[tuple[str, str]]:
    """Yield where an error is raised, and the text in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Raise):
            pieces = [each.value for each in ast.walk(node) if isinstance(each, ast.Constant)]
            yield f"{path.relative_to(ROOT)}:{node.lineno}", " ".join(each for each in pieces if isinstance(each, str))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two words?\n\nThree more words", [1, 2, 3]),
        ("- An item\n- Another one `with code in it`.\n", [2, 3]),
        ("| a cell | of a table |\n|---|---|", [2, 3]),
        ("```sh\nnot counted\n```\nA [link](to/a/page.md) of 0.3 points.", [5]),
        ("<!-- x -->\nnot counted\n<!-- /x -->", []),
    ],
)
def test_sentences_are_counted_in_prose_alone(text: str, expected: list[int]) -> None:
    assert [count for count in map(words, sentences(text)) if count] == expected


def test_a_banned_word_is_found_as_a_whole_word() -> None:
    assert found("A torn file") == ["'torn' -> corrupt"]
    assert found("Seconds of speech, 30 steps a second") == ["'steps a second' -> per"]
    assert found("unheard, soundfile, considered") == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_sentences_of_a_page_are_short(page: Path) -> None:
    long = [sentence for sentence in sentences(page.read_text(encoding="utf-8")) if words(sentence) > LONGEST]
    assert not long, "\n".join(long)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_uses_the_words_of_the_field(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    prose = text.split("\n\n") if page == HELP else sentences(text)
    assert [f"{each} in {sentence}" for sentence in prose for each in found(sentence)] == []


def test_the_docstring_of_a_function_begins_with_what_it_does() -> None:
    assert [
        f"{place}: {text.splitlines()[0]}"
        for path in SOURCES
        for place, node, text in docstrings(path)
        if not isinstance(node, ast.Module | ast.ClassDef) and text.split()[0].strip(",") in NO_VERB
    ] == []


def test_docstrings_and_errors_use_the_words_of_the_field() -> None:
    texts = [(place, text) for path in SOURCES for place, _, text in docstrings(path)]
    texts += [each for path in SOURCES for each in messages(path)]
    assert [f"{place}: {each}" for place, text in texts for each in found(text)] == []


def test_the_sentences_of_docstrings_are_short() -> None:
    """Those that list what a function raises may be longer."""
    assert [
        f"{place}: {sentence}"
        for path in SOURCES
        for place, _, text in docstrings(path)
        for sentence in sentences(text)
        if words(sentence) > LONGEST_IN_DOCSTRINGS and not sentence.startswith("Raises")
    ] == []
