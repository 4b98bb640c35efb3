"""Write what would rot if it were typed, by `make docs`.

docs/commands.md comes from the commands' own help. The figures in README.md, README.ko.md and docs/ come from the
reports in docs/results/. docs/figures.py and the other *_figures.py make those of docs/.
"""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import typer

from distilhubert_ko.cli.main import app
from docs import accuracy_figures, call_figures, caption_figures, check_figures, figures, gpu_figures, student_figures
from docs.figures import report, table

DOCS = Path(__file__).parent
ROOT = DOCS.parent
WIDTH: dict[str, Any] = {"terminal_width": 100, "max_content_width": 100}


def commands() -> str:
    """Return docs/commands.md."""
    group = typer.main.get_command(app)
    top = typer.Context(group, info_name="distilhubert-ko", **WIDTH)
    below = [typer.Context(command, info_name=name, parent=top, **WIDTH) for name, command in group.commands.items()]
    sections = [f"## {each.command_path}\n\n```text\n{each.get_help()}\n```" for each in [top, *below]]
    return "\n\n".join(["# Commands\n\n`make docs` writes this page from the commands' own help.", *sections]) + "\n"


# README.md and README.ko.md: one table. A row is what was measured, the figure here, and what it is compared with.

COMPARED_HEADERS = {
    "en": ("Measured", "distilhubert-ko", "Compared with"),
    "ko": ("항목", "distilhubert-ko", "비교 대상"),
}
PER_SECOND = {"en": "{:.1f} s", "ko": "{:.1f}초"}


def compared(language: str) -> str:
    """Return the table of README: best model first, then speed, memory, training."""
    rows = [recognition_row(language), transcription_row(language), memory_row(language), training_row(language)]
    return table(COMPARED_HEADERS[language], rows)


def recognition_row(language: str) -> tuple[str, str, str]:
    """Return the row of error rates on real speech, from benchmarks/recognition.py."""
    rows = [row for row in report("recognition")["rows"] if row["corpus"] == "manifest:emotiontts/test.jsonl"]
    ours, whisper = (
        next(row for row in rows if row["system"] == system) for system in ("language model", "Whisper, beam 5")
    )
    if language == "ko":
        return (
            f"처음 듣는 화자 {ours['speakers']}명의 실제 음성 {ours['utterances']}개, 공백 제외 CER",
            f"**{ours['cer_no_space']:.4f}**(korean-small, 언어 모델 사용)",
            f"Whisper base, 빔 5 {whisper['cer_no_space']:.4f}",
        )
    return (
        f"CER without spaces, {ours['utterances']} real recordings of {ours['speakers']} unseen speakers",
        f"**{ours['cer_no_space']:.4f}** (korean-small with a language model)",
        f"Whisper base, beam of 5: {whisper['cer_no_space']:.4f}",
    )


def transcription_row(language: str) -> tuple[str, str, str]:
    """Return the row of transcription speed, from benchmarks/transcribe.py."""
    found = report("transcribe")
    int8, plain, torch, whisper = (
        PER_SECOND[language].format(found["systems"][name]["speed"]) for name in ("int8", "float32", "torch", "whisper")
    )
    if language == "ko":
        return (
            f"CPU 스레드 {found['threads']}개가 1초에 처리하는 음성",
            f"**{int8}**(int8), {plain}(float32)",
            f"Transformers {torch}, faster-whisper base(int8) {whisper}",
        )
    return (
        f"Speech transcribed per second, {found['threads']} CPU threads",
        f"**{int8}** (int8), {plain} (float32)",
        f"Transformers {torch}, faster-whisper base (int8) {whisper}",
    )


def memory_row(language: str) -> tuple[str, str, str]:
    """Return the row of peak memory, from benchmarks/transcribe.py."""
    systems = report("transcribe")["systems"]
    int8, torch, whisper = (f"{systems[name]['peak_memory_mib']:.0f} MiB" for name in ("int8", "torch", "whisper"))
    what = {"en": "Peak memory of transcription", "ko": "받아쓸 때 최대 메모리"}[language]
    base = {"en": "faster-whisper base (int8)", "ko": "faster-whisper base(int8)"}[language]
    return what, int8, f"Transformers {torch}, {base} {whisper}"


def training_row(language: str) -> tuple[str, str, str]:
    """Return the row of training speed, from benchmarks/train_throughput.py."""
    found = report("train_throughput")
    ours, example = (PER_SECOND[language].format(median(found["speeds"][name])) for name in ("ours", "example"))
    if language == "ko":
        return (
            f"CPU 스레드 {found['threads']}개가 1초에 학습하는 음성",
            f"**{ours}**",
            f"Transformers CTC 예제 {example}",
        )
    return (
        f"Speech trained on per second, {found['threads']} CPU threads",
        f"**{ours}**",
        f"Transformers' CTC example {example}",
    )


PAGES: dict[str, dict[str, Callable[[], str]]] = {
    "README.md": {"compared": partial(compared, "en")},
    "README.ko.md": {"compared": partial(compared, "ko")},
    "docs/installing.md": {"licences": figures.licences},
    "docs/training.md": {
        "results": figures.results,
        "students": student_figures.cost,
        "thin": student_figures.recognised,
    },
    "docs/evaluating.md": {"significance": figures.significance},
    "docs/published-recipe.md": {"published": figures.published},
    "docs/exporting.md": {"speeds": figures.speeds},
    "docs/language-models.md": {"beam": figures.beams},
    "docs/accuracy.md": {
        "recognition": accuracy_figures.recognition,
        "consistency": gpu_figures.consistency,
        "accuracy": accuracy_figures.accuracy,
        "whisper-levers": accuracy_figures.levers,
    },
    "docs/reliability.md": {
        "kills": figures.kills,
        "output-kills": check_figures.output_kills,
        "installs": check_figures.installs,
        "attack": check_figures.attack,
        "ranks": figures.ranks,
        "gpu-numbers": gpu_figures.numbers,
        "gpu-runs": gpu_figures.runs,
        "loader": figures.loader,
        "bulk": figures.bulk,
        "fuzz": figures.hostile,
    },
    "docs/scaling.md": {
        "scales": figures.scales,
        "gpus": figures.gpus,
        "gpu-steps": gpu_figures.steps,
        "checkpoint": figures.checkpoint,
    },
    "docs/transcribing.md": {"calls": call_figures.calls},
    "docs/serving.md": {
        "captions": caption_figures.captions,
        "caption-search": caption_figures.caption_search,
        "load": figures.load,
        "fuzz": figures.fuzz,
    },
}
"""Page -> the names of its markers and what stands between them."""


def filled(page: str) -> str:
    """Return a page with everything between its markers written again."""
    text = (ROOT / page).read_text(encoding="utf-8")
    for name, block in PAGES[page].items():
        text = between(text, name, block())
    return text


def between(text: str, name: str, block: str) -> str:
    """Return a text with a block between the markers `<!-- name -->` and `<!-- /name -->`, which stay in their line."""
    pattern = rf"(<!-- {name} -->)(\s*).*?(\s*)(<!-- /{name} -->)"
    written, count = re.subn(pattern, lambda found: found[1] + found[2] + block + found[3] + found[4], text, flags=re.S)
    if count != 1:
        raise ValueError(f"{count} places between markers {name!r}: write <!-- {name} --> and <!-- /{name} --> once")
    return written


if __name__ == "__main__":
    (DOCS / "commands.md").write_text(commands(), encoding="utf-8")
    for page in PAGES:
        (ROOT / page).write_text(filled(page), encoding="utf-8")
