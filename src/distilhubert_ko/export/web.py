"""The target web: a folder that any static host can serve, whose page transcribes in the browser.

The page is the server's, but for the modules in site/, which recognise in a worker instead of asking a server.
"""

import base64
import hashlib
import tarfile
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from distilhubert_ko.errors import InputError
from distilhubert_ko.export.onnx_builder import Observed
from distilhubert_ko.export.source import ExportSource
from distilhubert_ko.files.writing import json_text, write_json, write_text
from distilhubert_ko.model_folder import GRAPH
from distilhubert_ko.text.hangul import COMPATIBILITY_JAMO, CONJOINING_JAMO
from distilhubert_ko.text.tokenizer import Tokenizer

RUNTIME = "onnxruntime-web-1.30.0.tgz"
"""What `npm pack` gives, looked for in the current folder."""
DIGEST = "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
"""Its SHA-512 in base64, as npm's registry gives it."""
RUNTIME_FILES = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm")
SCRIPTS = "ort"  # the folder of RUNTIME_FILES
POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self' 'wasm-unsafe-eval'",
        "style-src 'self'",
        "connect-src 'self'",
        "media-src 'self' blob:",
        "img-src 'self' data: blob:",
        "worker-src 'self' blob:",
        "base-uri 'none'",
        "form-action 'none'",
    ]
)
CHANGES = (
    (
        '<meta charset="utf-8">',
        f'<meta charset="utf-8">\n<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
    ),
    ('id="captions">', 'id="captions" hidden>'),
    ('class="options"', 'class="options" hidden'),
    ('data-text="privacy"', 'data-text="privacyHere"'),
)
"""What a page without a server has otherwise: no live captions and no options, which need it."""


def convert_to_web(
    source: ExportSource, folder: Path, speech: Mapping[str, Observed], waves: Sequence[np.ndarray]
) -> None:
    """Put the page and ONNX Runtime beside the graph that an export wrote into `folder`, and drop the rest.

    Raises InputError where RUNTIME is not in the current folder.
    """
    for file in folder.iterdir():
        if file.name != GRAPH:
            file.unlink()
    _unpack_runtime(runtime_archive(), folder / SCRIPTS)
    for name, content in page_files().items():
        write_text(folder / name, content)
    tokenizer, size = Tokenizer.load(source.folder), (folder / GRAPH).stat().st_size
    write_text(folder / "vocabulary.json", json_text(vocabulary(source, tokenizer, size)))
    name = source.folder.resolve().name
    write_json(folder / "facts.json", {"id": name, "units": tokenizer.units, "size_bytes": size})


def runtime_archive() -> Path:
    """Return RUNTIME in the current folder. Raises InputError where it is missing or another file."""
    path = Path(RUNTIME)
    package = RUNTIME.removesuffix(".tgz").replace("web-", "web@")
    if not path.is_file():
        raise InputError(f"{RUNTIME} is not in the current folder: run `npm pack {package}` there")
    if base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode() != DIGEST:
        raise InputError(f"{RUNTIME} is not what npm's registry has: remove it and run `npm pack {package}` again")
    return path


def page_files() -> dict[str, str]:
    """Return the files of the page by name, with addresses relative to it."""
    files = {}
    for package, folder in (("distilhubert_ko.serving", "web"), ("distilhubert_ko.export", "site")):
        for file in resources.files(package).joinpath(folder).iterdir():
            files[file.name] = file.read_text(encoding="utf-8").replace('"/static/', '"./')
    for before, after in CHANGES:
        assert files["index.html"].count(before) == 1, before
        files["index.html"] = files["index.html"].replace(before, after)
    return files


def vocabulary(source: ExportSource, tokenizer: Tokenizer, size: int) -> dict[str, Any]:
    """Return what the page must know of a model: its labels, its frames, and the bytes of its graph."""
    ids = {token: id for id, token in enumerate(tokenizer.tokens)}
    silent = [ids[token] for token in (tokenizer.bos_token, tokenizer.eos_token) if token in ids]
    tokens = "".join(tokenizer.tokens)
    letters = bool(COMPATIBILITY_JAMO.search(tokens)) and not CONJOINING_JAMO.search(tokens)
    return {
        "bytes": size,
        "layers": source.network.grid.layers,
        "tokens": tokenizer.tokens,
        "blank": tokenizer.blank_id,
        "delimiter": tokenizer.delimiter_id,
        "unknown": tokenizer.unknown_token,
        "silent": silent,
        "units": tokenizer.units,
        "letters": tokenizer.units == "jamo" and letters,
        "lowerCase": tokenizer.lower_case,
    }


def _unpack_runtime(archive: Path, folder: Path) -> None:
    folder.mkdir()
    with tarfile.open(archive) as content:
        for name in RUNTIME_FILES:
            member = content.extractfile(f"package/dist/{name}")
            assert member is not None, name
            (folder / name).write_bytes(member.read())
