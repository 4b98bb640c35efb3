"""What would rot: the help in the documents, the tables of figures, the two READMEs in step."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    specification = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_the_help_in_the_documents_is_that_of_the_commands(generate: ModuleType) -> None:
    assert generate.PAGE.read_text(encoding="utf-8") == generate.commands(), "run `make docs`"


@pytest.mark.parametrize("language", ["en", "ko"])
def test_the_figures_in_the_readmes_are_those_of_the_reports(generate: ModuleType, language: str) -> None:
    page = generate.READMES[language].read_text(encoding="utf-8")
    assert generate.results(language) in page, "run `make docs`"
    assert page == generate.readme(language), "run `make docs`"


def test_the_figures_of_reliability_are_those_that_the_benchmarks_wrote(generate: ModuleType) -> None:
    page = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    assert page == generate.reliability(), "run `make docs`"


def test_the_figures_of_accuracy_are_those_that_the_benchmark_wrote(generate: ModuleType) -> None:
    page = (ROOT / "docs" / "accuracy.md").read_text(encoding="utf-8")
    assert page == generate.accuracy(), "run `make docs`"


def test_the_figures_of_scaling_are_those_that_the_benchmark_wrote(generate: ModuleType) -> None:
    page = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8")
    assert page == generate.scaling(), "run `make docs`"


def test_the_figures_of_live_captions_are_those_that_the_benchmark_wrote(generate: ModuleType) -> None:
    page = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")
    assert page == generate.serving(), "run `make docs`"


def test_both_readmes_show_the_same_commands_and_the_same_files() -> None:
    english, korean = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README.ko.md"))
    commands = re.compile(r"^(?:distilhubert-ko|make|pip|from|print|for|transcript|    print)\b[^#\n]*", re.MULTILINE)
    assert [line.strip() for line in commands.findall(english)] == [line.strip() for line in commands.findall(korean)]
    links = re.compile(r"\]\((?!http)([^)]+)\)")
    assert {*links.findall(english)} - {"README.ko.md"} == {*links.findall(korean)} - {"README.md"}
    assert len(re.findall("^## ", english, re.MULTILINE)) == len(re.findall("^## ", korean, re.MULTILINE))


def test_every_file_that_a_readme_links_to_is_there() -> None:
    for name in ("README.md", "README.ko.md", "CONTRIBUTING.md"):
        for link in re.findall(r"\]\((?!http)([^)]+)\)", (ROOT / name).read_text(encoding="utf-8")):
            assert (ROOT / link.partition("#")[0]).exists(), f"{name}: {link}"


def test_every_command_of_the_readme_is_a_command_with_such_options(generate: ModuleType) -> None:
    help_texts = dict(re.findall(r"## distilhubert-ko (\w+)\n\n```text\n(.*?)```", generate.commands(), re.DOTALL))
    used = re.findall(
        r"^distilhubert-ko (\w+)([^#\n]*)", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert len(used) >= 6
    for command, rest in used:
        assert command in help_texts
        for option in re.findall(r"--[a-z-]+", rest):
            assert option in help_texts[command], f"{command} {option}"
