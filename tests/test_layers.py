"""What import-linter's layers do not say: where heavy libraries may be imported, and what starts without them.

Every import counts, those inside functions too.
"""

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

import distilhubert_ko

PACKAGE = "distilhubert_ko"
SOURCE = Path(distilhubert_ko.__file__).parent
TORCH = ("model", "training", "export")
ALLOWED: dict[str, tuple[str, ...]] = {
    "torch": TORCH,
    "transformers": TORCH,
    "onnxruntime": ("recognition.session", "recognition.vad", "export"),
    "onnx": ("export",),
    "av": ("audio.ffmpeg",),
    "kenlm": ("decoding.language_model",),
    "faster_whisper": ("recognition.whisper",),
    "datasets": ("data",),
    "ray": ("bulk",),
    "pyarrow": ("bulk", "data.shards"),
    "fastapi": ("serving",),
    "starlette": ("serving",),
    "uvicorn": ("serving",),
    "prometheus_client": ("serving",),
    "wyoming": ("serving.wyoming_server", "serving.wyoming_events"),
}
"""Library -> the packages and modules that may import it."""


def dotted(path: Path) -> str:
    """The name of a module within the package: "audio.frames"; "" for the package itself."""
    return ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix("__init__").rstrip(".")


MODULES = {dotted(path): path.read_text(encoding="utf-8") for path in sorted(SOURCE.rglob("*.py"))}


def imports(source: str) -> set[str]:
    """Dotted names of all modules that a source imports anywhere."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "name the module in full"
            assert node.module
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def libraries(source: str) -> set[str]:
    return {name.split(".")[0] for name in imports(source)} - {PACKAGE}


def run(script: str) -> str:
    """What a new interpreter prints on running the script."""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import torch", {"torch"}),
        ("import torch.nn as nn, os", {"torch", "os"}),
        ("def f():\n    if g():\n        import torch", {"torch"}),
        ("try:\n    from torch.nn import functional\nexcept ImportError: ...", {"torch"}),
        ("if TYPE_CHECKING:\n    import torch", {"torch"}),
        ("class A:\n    async def f(self):\n        from ray import data", {"ray"}),
        ("from distilhubert_ko.audio import reading", set()),
        ("'import torch'  # import torch", set()),
    ],
)
def test_an_import_is_found_wherever_it_stands(source: str, expected: set[str]) -> None:
    assert libraries(source) == expected


@pytest.mark.parametrize("library", ALLOWED)
def test_a_heavy_library_is_imported_only_where_it_may_be(library: str) -> None:
    importers = {module for module, source in MODULES.items() if library in libraries(source)}
    allowed = ALLOWED[library]
    assert [name for name in importers if not f"{name}.".startswith(tuple(f"{place}." for place in allowed))] == []
    assert importers, f"nothing imports {library}: take it off the list"


def test_the_server_calls_the_transcriber_and_nothing_under_it() -> None:
    """Beside what a transcript is, what a wave's rate is, which errors there are, and files."""
    known = {"errors", "version", "model_folder", "audio", "recognition", "serving", "files"}
    for module in (name for name in MODULES if name.startswith("serving.")):
        names = {name.split(".")[1] for name in imports(MODULES[module]) if name.startswith(f"{PACKAGE}.")}
        assert names <= known, module


def test_no_package_does_work_when_it_is_imported() -> None:
    assert [name for path in SOURCE.rglob("*/__init__.py") if path.read_text() for name in [dotted(path)]] == []


def test_no_module_runs_code_that_lies_on_the_hub() -> None:
    assert [module for module, source in MODULES.items() if "trust_remote_code" in source] == []


def test_the_package_itself_imports_nothing_heavy() -> None:
    heavy = [*ALLOWED, "numpy", "soundfile", "huggingface_hub", "typer", "rich"]
    assert run(f"import sys, {PACKAGE}; print(sorted(set({heavy}) & set(sys.modules)))") == "[]\n"


def test_the_command_knows_its_options_before_it_imports_numpy() -> None:
    heavy = [*ALLOWED, "numpy", "soundfile", "huggingface_hub", "rich"]
    assert run(f"import sys, {PACKAGE}.cli.main; print(sorted(set({heavy}) & set(sys.modules)))") == "[]\n"


def test_transcription_starts_without_what_training_and_serving_need() -> None:
    heavy = [library for library in ALLOWED if library != "onnxruntime"]
    script = f"import sys, {PACKAGE}.recognition.transcriber; print(sorted(set({heavy}) & set(sys.modules)))"
    assert run(script) == "[]\n"


def test_what_is_not_training_can_be_imported_where_torch_is_not_installed() -> None:
    """So can the command line, which imports training only when it is asked to train."""
    needs = {"bulk.": "ray", "data.shards": "pyarrow", "audio.ffmpeg": "av", "serving.": "fastapi"}
    names = [name for name in MODULES if not name.startswith(tuple(f"{package}." for package in TORCH))]
    missing = tuple(place for place, library in needs.items() if not importlib.util.find_spec(library))
    names = [name for name in names if name and not name.startswith(missing)]
    absent = ("torch", "transformers", "accelerate", "datasets", "safetensors")
    blocked = f"import sys\nfor name in {absent}: sys.modules[name] = None\n"
    run(blocked + "\n".join(f"import {PACKAGE}.{name}" for name in names))
