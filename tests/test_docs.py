"""Tests of what would rot: the help in the documents, figures, links, commands, and the two READMEs in step."""

import re
import tomllib
from pathlib import Path

import pytest

from distilhubert_ko.recipe import find_recipe
from docs import generate

ROOT = Path(__file__).parents[1]
DOCUMENTS = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
}
FENCED = re.compile(r"```.*?```", re.DOTALL)
LINK = re.compile(r"\]\((?!http)([^)]+)\)")


COMMANDS = generate.commands()


def code(page: str) -> str:
    """Return what stands in a page's code blocks."""
    return "\n".join(FENCED.findall(DOCUMENTS[page]))


def anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", FENCED.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_help_in_the_documents_is_that_of_the_commands() -> None:
    assert DOCUMENTS["docs/commands.md"] == COMMANDS, "run `make docs`"


@pytest.mark.parametrize("page", generate.PAGES)
def test_the_figures_of_a_page_are_those_of_the_reports(page: str) -> None:
    assert DOCUMENTS[page] == generate.filled(page), "run `make docs`"


def test_every_marker_in_a_page_is_filled_by_the_program() -> None:
    for page, text in DOCUMENTS.items():
        assert {*re.findall(r"<!-- ([\w-]+) -->", text)} == {*generate.PAGES.get(page, {})}, page


def test_a_page_without_its_markers_is_refused() -> None:
    assert generate.between("a <!-- x -->1<!-- /x --> b", "x", "2") == "a <!-- x -->2<!-- /x --> b"
    with pytest.raises(ValueError, match="markers"):
        generate.between("no markers", "x", "2")


def test_both_readmes_show_the_same_commands_and_the_same_files() -> None:
    lines = [
        [line.partition("  #")[0].rstrip() for line in code(f"README{end}.md").splitlines()] for end in ("", ".ko")
    ]
    assert lines[0] == lines[1]
    english, korean = DOCUMENTS["README.md"], DOCUMENTS["README.ko.md"]
    files = [[link for link in LINK.findall(text) if link.startswith("docs/")] for text in (english, korean)]
    assert files[0] == files[1]
    assert len(re.findall("^## ", english, re.MULTILINE)) == len(re.findall("^## ", korean, re.MULTILINE))


@pytest.mark.parametrize("page", DOCUMENTS)
def test_every_link_leads_to_a_file_and_a_heading_of_it(page: str) -> None:
    for link in LINK.findall(DOCUMENTS[page]):
        name, _, anchor = link.partition("#")
        target = ((ROOT / page).parent / name).resolve() if name else ROOT / page
        assert target.exists(), link
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target.read_text(encoding="utf-8")), link


def test_the_index_lists_every_page() -> None:
    linked = {f"docs/{link}" for link in LINK.findall(DOCUMENTS["docs/index.md"])}
    assert {page for page in DOCUMENTS if page.startswith("docs/")} - {"docs/index.md"} <= linked


@pytest.mark.parametrize("page", [page for page in DOCUMENTS if page != "docs/commands.md"])
def test_every_command_in_a_page_is_a_command_with_such_options(page: str) -> None:
    help_texts = dict(re.findall(r"## distilhubert-ko (\w+)\n\n```text\n(.*?)```", COMMANDS, re.DOTALL))
    for command, rest in re.findall(r"^distilhubert-ko (\w+)((?:[^#\n\\]|\\\n|#\w)*)", code(page), re.MULTILINE):
        assert command in help_texts
        for option in re.findall(r"(?<= )--?[a-z-]+", rest):
            assert f"{option} " in help_texts[command] or f"{option}," in help_texts[command], f"{command} {option}"


@pytest.mark.parametrize("page", DOCUMENTS)
def test_every_recipe_that_a_page_runs_is_there_without_a_checkout(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in re.findall(r"distilhubert-ko (?:plan|prepare|train|distill) ([a-z]\S+)", code(page)):
        assert find_recipe(name).name == f"{name}.toml"


def test_every_test_and_benchmark_that_a_page_runs_is_there() -> None:
    everything = "\n".join(map(code, DOCUMENTS))
    for path in re.findall(r"pytest (tests/\S+)", everything):
        assert (ROOT / path).is_file(), path
    for module in re.findall(r"python -m ((?:benchmarks|checks)\.\w+)", everything):
        assert (ROOT / f"{module.replace('.', '/')}.py").is_file(), module


def test_contributing_names_every_package_its_layer_and_only_files_that_exist() -> None:
    text, source = DOCUMENTS["CONTRIBUTING.md"], ROOT / "src" / "distilhubert_ko"
    table = "\n".join(line.split("|")[1] for line in text.splitlines() if line.startswith("| `"))
    named = {*re.findall(r"`(\w+)`", table)}
    assert named == {path.stem for path in source.iterdir() if not path.name.startswith(("_", "py.typed"))}
    for path in re.findall(r"`([\w./-]+\.(?:py|js|md|txt)|[\w/]+/)`", text):
        assert any((home / path).exists() for home in (ROOT, source)), path
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contract = project["tool"]["importlinter"]["contracts"][0]
    assert "```text\n{}\n```".format("\n".join(contract["layers"])) in text
