"""Writes what would rot if it were typed: docs/commands.md from the commands' own help, and the tables of figures in
both READMEs from the reports in docs/results/, which `evaluate --json` and the benchmarks wrote.
"""

import json
import re
from pathlib import Path
from typing import Any

import typer

from distilhubert_ko.cli import app

DOCS = Path(__file__).parent
PAGE = DOCS / "commands.md"
READMES = {"en": DOCS.parent / "README.md", "ko": DOCS.parent / "README.ko.md"}
HEADERS = {
    "en": ("Model", "Tested on", "Utterances", "CER", "CER, no spaces", "95 % interval", "Jamo error rate", "Speed"),
    "ko": ("모델", "평가 데이터", "발화 수", "CER", "CER(공백 제외)", "95% 신뢰구간", "자모 오류율", "속도"),
}
MODELS = {"demo": "`recipes/demo.toml`", "pansori": "`recipes/pansori.toml`", "zeroth-sample": "`recipes/pansori.toml`"}
SPEED = {"en": "{:.0f} x real time", "ko": "실시간의 {:.0f}배"}
WIDTH: dict[str, Any] = {"terminal_width": 100, "max_content_width": 100}


def commands() -> str:
    """docs/commands.md as Markdown."""
    group = typer.main.get_command(app)
    top = typer.Context(group, info_name="distilhubert-ko", **WIDTH)
    below = [typer.Context(command, info_name=name, parent=top, **WIDTH) for name, command in group.commands.items()]
    sections = [f"## {each.command_path}\n\n```text\n{each.get_help()}\n```" for each in [top, *below]]
    return "\n\n".join(["# Commands\n\nWritten by `make docs` from the commands themselves.", *sections]) + "\n"


def results(language: str) -> str:
    """The table of measured models, a row for each report in docs/results/."""
    header = HEADERS[language]
    rows = [f"| {' | '.join(header)} |", "|---" * len(header) + "|"]
    for name, model in MODELS.items():
        report = json.loads((DOCS / "results" / f"{name}.json").read_text(encoding="utf-8"))
        low, high = report["cer_no_space_ci95"]
        speed = SPEED[language].format(report["hours"] * 3600 / report["seconds"])
        rows.append(
            f"| {model} | `{report['corpus']}` | {report['utterances']} | {report['cer']:.4f} | "
            f"{report['cer_no_space']:.4f} | {low:.4f}–{high:.4f} | {report['jer']:.4f} | {speed} |"
        )
    return "\n".join(rows)


def readme(language: str) -> str:
    """The README of a language with its table written anew between the markers."""
    page = READMES[language].read_text(encoding="utf-8")
    block = f"<!-- results -->\n{results(language)}\n<!-- /results -->"
    return re.sub(r"<!-- results -->.*<!-- /results -->", lambda _: block, page, flags=re.DOTALL)


if __name__ == "__main__":
    PAGE.write_text(commands(), encoding="utf-8")
    for language, path in READMES.items():
        path.write_text(readme(language), encoding="utf-8")
