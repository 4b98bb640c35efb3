"""The floors of the package, held by reading every import in it, those inside functions too.

1. A module imports from its own floor or a lower one, and no imports go round in a circle.
2. Heavy libraries stay in the modules that are named here, so that transcription starts without them.
"""

import ast
import graphlib
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

import distilhubert_ko

PACKAGE = "distilhubert_ko"
SOURCE = Path(distilhubert_ko.__file__).parent

FLOORS = {
    name: floor
    for floor, names in enumerate(
        [
            "errors writing training_log audio media text numerals ctc tables recipe schedule augment beam hotwords "
            "ngram spool",
            "metrics syllables breakdown markup charts transcript textgrid files longform corpus_formats synthetic "
            "audio_cache fence shards corpora runtime vad graph lm scoring decoding media_worker",
            "dataset sizes sampling batching model optimizer student teaching stream transcribe alignment splice "
            "calibration tuning checkpoints failures ranks batcher facts inputs",
            "trainer train distill progress export report sections excerpts page labelling card outputs bulk gates "
            "connections records reception openai_api captions handbook server",
            "commands_model commands_train commands_speech commands_lm commands_serve cli",
        ]
    )
    for name in names.split()
}
"""Module -> floor, the ground floor being 0. A module may be named before it is written."""

TRAINING = {
    "batching",
    "sampling",
    "model",
    "optimizer",
    "trainer",
    "train",
    "export",
    "progress",
    "student",
    "teaching",
    "distill",
}
SERVING = {"server", "openai_api", "captions", "reception", "gates", "connections", "records", "handbook"}
ALLOWED = {
    "torch": TRAINING | {"ranks"},  # which imports it only where there are several
    "transformers": TRAINING,
    "onnxruntime": {"runtime", "calibration", "vad"},
    "onnx": {"graph", "export"},
    "av": {"media"},
    "kenlm": {"lm"},
    "silero_vad": set(),  # found, never imported: it would import torch
    "datasets": {"corpus_formats"},
    "ray": {"bulk"},
    "pyarrow": {"inputs", "outputs", "shards"},
    "fastapi": {"server", "openai_api"},
    "starlette": {"server", "openai_api", "captions", "gates", "records"},
    "uvicorn": {"server", "connections"},
    "prometheus_client": {"server", "captions", "gates", "records"},
}
"""Library -> the modules that may import it."""

MODULES = {path.stem: path.read_text(encoding="utf-8") for path in sorted(SOURCE.glob("*.py"))}
FRONT = MODULES.pop("__init__")  # imports what it offers when it is asked for, so it stands on no floor


def imports(source: str) -> set[str]:
    """Dotted names of all modules that a module of the package imports anywhere in its source."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            home = ".".join(part for part in (PACKAGE if node.level else "", node.module) if part)
            found |= {f"{home}.{alias.name}" for alias in node.names} if home == PACKAGE else {home}
    return found


def within(source: str) -> set[str]:
    """Modules of the package that a module imports; the bare package, for its version, is none."""
    names = {name.split(".")[1] for name in imports(source) if name.startswith(f"{PACKAGE}.")}
    return names - {"__version__"}


def libraries(source: str) -> set[str]:
    return {name.split(".")[0] for name in imports(source)} - {PACKAGE}


def floor(module: str) -> int:
    assert module in FLOORS, f"{module}.py stands on no floor: add it to FLOORS in {Path(__file__).name}"
    return FLOORS[module]


def run(script: str) -> str:
    """What a new interpreter prints on running the script."""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout


# The reading of imports itself


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import torch", {"torch"}),
        ("import torch.nn as nn, os", {"torch.nn", "os"}),
        ("def f():\n    if g():\n        import torch", {"torch"}),
        ("try:\n    from torch.nn import functional\nexcept ImportError: ...", {"torch.nn"}),
        ("if TYPE_CHECKING:\n    import torch", {"torch"}),
        ("class A:\n    async def f(self):\n        from ray import data", {"ray"}),
        ("from distilhubert_ko import audio, ctc as c", {"distilhubert_ko.audio", "distilhubert_ko.ctc"}),
        ("from distilhubert_ko.audio import load", {"distilhubert_ko.audio"}),
        ("import distilhubert_ko.audio", {"distilhubert_ko.audio"}),
        ("from . import audio", {"distilhubert_ko.audio"}),
        ("from .audio import load", {"distilhubert_ko.audio"}),
        ("'import torch'  # import torch", set()),
    ],
)
def test_an_import_is_found_wherever_it_stands(source: str, expected: set[str]) -> None:
    assert imports(source) == expected


def test_the_package_was_found() -> None:
    assert {"audio", "text", "corpora", "train"} <= set(MODULES)
    assert not list(SOURCE.glob("*/*.py")), "the package is flat: these floors know of no packages within it"


# Floors


@pytest.mark.parametrize("module", MODULES)
def test_every_module_stands_on_a_floor(module: str) -> None:
    assert 0 <= floor(module) <= floor("cli")


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_from_its_own_floor_or_a_lower_one(module: str) -> None:
    for other in sorted(within(MODULES[module])):
        assert other in MODULES, f"{module}.py imports {other} by way of the package: name the module that defines it"
        assert floor(other) <= floor(module), (
            f"{module}.py on floor {floor(module)} imports {other} of floor {floor(other)}: "
            "move what both need to a lower floor"
        )


def test_the_server_calls_the_transcriber_and_nothing_under_it() -> None:
    """Beside what a transcript is, what a wave's rate is, and which errors there are."""
    known = {"errors", "audio", "transcript", "stream", "transcribe", "facts", "media_worker", "batcher"}
    for module in sorted(SERVING & {*MODULES}):
        assert within(MODULES[module]) <= SERVING | known, module


def test_no_imports_go_round_in_a_circle() -> None:
    graph = {module: within(source) for module, source in MODULES.items()}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        pytest.fail(f"imports in a circle: {' <- '.join(error.args[1])}")


def test_nobody_imports_the_command_line() -> None:
    assert [module for module, source in [*MODULES.items(), ("__init__", FRONT)] if "cli" in within(source)] == []


# Heavy libraries


@pytest.mark.parametrize("library", ALLOWED)
def test_a_heavy_library_is_imported_only_where_it_may_be(library: str) -> None:
    importers = {module for module, source in MODULES.items() if library in libraries(source)}
    assert importers <= ALLOWED[library], f"{library} belongs in {', '.join(sorted(ALLOWED[library]))} alone"
    assert library not in libraries(FRONT)


def test_no_module_runs_code_that_lies_on_the_hub() -> None:
    assert [module for module, source in MODULES.items() if "trust_remote_code" in source] == []


@pytest.mark.parametrize("library", ["torch", "transformers", "onnxruntime", "datasets"])
def test_the_heavy_libraries_go_by_these_names(library: str) -> None:
    assert any(library in libraries(source) for source in MODULES.values())


def test_the_package_itself_imports_nothing_heavy() -> None:
    heavy = [*ALLOWED, "numpy", "soundfile", "huggingface_hub", "typer", "rich"]
    assert run(f"import sys, {PACKAGE}; print(sorted(set({heavy}) & set(sys.modules)))") == "[]\n"


def test_the_command_knows_its_options_before_it_imports_numpy() -> None:
    heavy = [*ALLOWED, "numpy", "soundfile", "huggingface_hub", "rich"]
    assert run(f"import sys, {PACKAGE}.cli; print(sorted(set({heavy}) & set(sys.modules)))") == "[]\n"


def test_transcription_starts_without_what_training_and_serving_need() -> None:
    heavy = [library for library in ALLOWED if library != "onnxruntime"]
    script = f"import sys, {PACKAGE}, {PACKAGE}.transcribe; print(sorted(set({heavy}) & set(sys.modules)))"
    assert run(script) == "[]\n"


def test_what_is_not_training_can_be_imported_where_torch_is_not_installed() -> None:
    """So can the command line, which imports training only when it is asked to train."""
    needs = {
        "bulk": "ray",
        "inputs": "pyarrow",
        "outputs": "pyarrow",
        "shards": "pyarrow",
        "media": "av",
        **dict.fromkeys(SERVING, "fastapi"),
    }
    names = [name for name in MODULES if name not in TRAINING]
    names = [name for name in names if name not in needs or importlib.util.find_spec(needs[name])]
    blocked = "import sys\nfor name in ('torch', 'transformers', 'accelerate', 'datasets'): sys.modules[name] = None\n"
    run(blocked + "\n".join(f"import {PACKAGE}.{name}" for name in names))
