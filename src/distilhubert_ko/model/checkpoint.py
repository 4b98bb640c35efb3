"""Folders of weights as Transformers loads them: from the Hub where they must be, and converted where they are pickled.

Pickles are read with torch.load(weights_only=True) alone, which knows tensors and runs nothing of a file. What is read
goes into the user's cache as safetensors, so that everything else reads safetensors.
"""

import logging
import pickle
import re
import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import modeling_utils

from distilhubert_ko import model_folder
from distilhubert_ko.errors import ModelError, UnavailableError, reason
from distilhubert_ko.files.reading import check_ordinary
from distilhubert_ko.files.writing import replaced_files, writing_errors

logger = logging.getLogger(__name__)

ARCHIVE = b"PK\x03\x04"  # how a file of torch.save begins since 2020; older ones are pickles and numbers in a row
LARGEST_PICKLE = 10_000_000  # bytes that say which tensors an archive has: 200 a tensor
SHARED = 2  # times the bytes of the files that their tensors may have together: some models use one tensor twice


def safetensors_folder(folder: Path) -> Path:
    """Return a folder with config.json and safetensors: `folder`, or one in the cache for a folder of pickles.

    Raises ModelError for a folder without weights, and for pickles that hold more than tensors, or are damaged.
    """
    if model_folder.weights(folder):
        return folder
    pickles = model_folder.pickled_weights(folder)
    if not pickles:
        raise ModelError(
            f"{folder}: neither {model_folder.WEIGHTS} nor {model_folder.PICKLES[0]} here: give the folder that "
            "`distilhubert-ko train` wrote, or one that Transformers saved"
        )
    kept = model_folder.converted(folder)
    if not (kept / model_folder.WEIGHTS).is_file():
        tensors = read_pickles(pickles)
        with writing_errors(kept), replaced_files(kept) as temporary:
            if (folder / model_folder.CONFIG).is_file():
                shutil.copy(folder / model_folder.CONFIG, temporary)
            save_file(tensors, temporary / model_folder.WEIGHTS, metadata={"format": "pt"})
        logger.info("%s: pickled weights were read as tensors alone and kept as safetensors in %s", folder, kept)
    return kept


def pretrained_folder(name: str) -> Path:
    """Return what `safetensors_folder` does for model.pretrained, a folder or a Hub id.

    Raises UnavailableError where the Hub cannot give it.
    """
    if Path(name).is_dir():
        return safetensors_folder(Path(name))
    try:
        folder = model_folder.resolve(name, model_folder.ENCODER)
        if model_folder.weights(folder) or model_folder.pickled_weights(folder):
            return safetensors_folder(folder)
        cause = None
    except UnavailableError as error:
        cause = error
    raise UnavailableError(
        f"{name}: not in the local cache, and the Hub could not give it. Download it on another machine and set "
        'model.pretrained to its folder, or set model.pretrained = "random" to train from random weights'
    ) from cause


def load_class(kind: Any, folder: Path, **options: Any) -> tuple[Any, dict[str, Any]]:
    """Return a network of a Transformers class in float32 with the weights in a folder, and which keys were not there.

    Transformers' own table of these is not shown: what it says of a head that is to be new is no news, and of the rest
    the caller says more.
    """
    told = logging.getLogger(modeling_utils.__name__)
    told.addFilter(_says_no_table)
    try:
        # In float32 whatever it was saved in: updates below half precision's steps would be lost.
        loaded: Any = kind.from_pretrained(
            folder, use_safetensors=True, dtype=torch.float32, output_loading_info=True, **options
        )
    finally:
        told.removeFilter(_says_no_table)
    network, found = loaded
    return network, found


def _says_no_table(record: logging.LogRecord) -> bool:
    return "LOAD REPORT" not in record.getMessage()


def check_encoder(name: str, found: dict[str, Any]) -> None:
    """Raise ModelError where an encoder's weights, of which `load_class` found these, are not whole.

    A head for another vocabulary does not matter, nor the mask's embedding, which is for training alone.
    """
    if lost := sorted(key for key in found["missing_keys"] if not _may_be_new(key)):
        raise ModelError(f"{name}: no weights for {', '.join(lost[:3])}: download or save it again, whole")
    if unlike := sorted(key for key, *_ in found["mismatched_keys"] if not _may_be_new(key)):
        raise ModelError(f"{name}: {', '.join(unlike[:3])} do not fit its own config.json: download it again")


def _may_be_new(key: str) -> bool:
    return key.startswith("lm_head.") or key.endswith("masked_spec_embed")


def read_pickles(files: Sequence[Path]) -> dict[str, Tensor]:
    """Return the tensors that pickled files have together, by name, each contiguous and with memory of its own.

    Files of torch.save's present format are mapped, not read. Raises ModelError for files that hold anything else, that
    are damaged, or that describe more than they hold.
    """
    tensors: dict[str, Tensor] = {}
    for file in files:
        tensors |= _read_pickle(file)
    most = SHARED * sum(file.stat().st_size for file in files)
    if sum(tensor.nbytes for tensor in tensors.values()) > most:
        raise ModelError(f"{files[0]}: its tensors are larger than the file: download it again")
    seen: set[int] = set()
    for name, tensor in tensors.items():
        place = tensor.untyped_storage().data_ptr()
        tensors[name] = tensor.clone(memory_format=torch.contiguous_format) if place in seen else tensor.contiguous()
        seen.add(place)
    return tensors


def _read_pickle(file: Path) -> dict[str, Tensor]:
    try:
        check_ordinary(file)
        with file.open("rb") as opened:
            mapped = opened.read(len(ARCHIVE)) == ARCHIVE
        if mapped:
            _check_archive(file)
        content = torch.load(file, map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError as error:
        # torch's own message advises to trust the file.
        named = re.search(r"GLOBAL (\S+)", str(error))
        raise ModelError(
            f"{file}: holds more than tensors{f' ({named[1]})' if named else ''}, and nothing of it was run: give the "
            "model as safetensors"
        ) from error
    except ModelError:
        raise
    except Exception as error:  # what a damaged file leads to in torch is of any kind
        raise ModelError(f"{file} cannot be read ({reason(error)}): download it again") from error
    if not isinstance(content, dict) or not all(isinstance(name, str) and _is_plain(content[name]) for name in content):
        raise ModelError(f"{file}: holds more than tensors by name: give the model as Transformers saved it")
    return {name: tensor.detach() for name, tensor in content.items()}


def _is_plain(value: object) -> bool:
    return (
        isinstance(value, Tensor)
        and value.layout is torch.strided
        and value.device.type == "cpu"
        and not value.is_quantized
        and not value.is_complex()
    )


def _check_archive(file: Path) -> None:
    """Raise ModelError where the entries of an archive are compressed, larger than it, or list too many tensors."""
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
    held = sum(entry.file_size for entry in entries)
    stored = all(entry.compress_type == zipfile.ZIP_STORED for entry in entries)
    listed = sum(entry.file_size for entry in entries if entry.filename.endswith(".pkl"))
    if held > file.stat().st_size or not stored or listed > LARGEST_PICKLE:
        raise ModelError(
            f"{file}: its {len(entries)} entries are not as torch.save writes them ({held:,} bytes, {listed:,} of them "
            "a pickle): download it again"
        )
