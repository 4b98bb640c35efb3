"""Hostile input: what each reader of the package is given by checks/fuzz.py, and how that is damaged.

A reader has a folder of small files, and opens a copy of it in which one or two were changed: bytes, lines, values in
JSON, numbers in headers. Every change follows from a random generator, so a case can be made again.
"""

import dataclasses
import hashlib
import io
import json
import os
import re
import struct
import typing
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from safetensors.torch import load

from checks import fuzz_audio
from distilhubert_ko import recipe
from distilhubert_ko.audio.frames import SAMPLE_RATE
from distilhubert_ko.data.corpora import Corpus, read_corpus
from distilhubert_ko.data.reading import Reading
from distilhubert_ko.decoding import decoder, kneser_ney
from distilhubert_ko.decoding.language_model import LanguageModel
from distilhubert_ko.errors import DistilhubertKoError
from distilhubert_ko.evaluation.report import Report, load_report
from distilhubert_ko.files.reading import read_text
from distilhubert_ko.model.checkpoint import read_pickles
from distilhubert_ko.model.loading import build_network, load_network, wants_normalised_waves
from distilhubert_ko.recognition.transcriber import Transcriber
from distilhubert_ko.text.tokenizer import Tokenizer
from distilhubert_ko.training.checkpoints import CHECKSUMS, last_whole_checkpoint

Random = np.random.Generator
Files = dict[str, bytes]

OUTSIDE, RAN = "outside.wav", "it-ran"  # beside a case's folder: a sound that no list may name; what a command leaves
VALUES: list[Any] = [
    *(None, True, 0, -1, 1, 2**31, 2**63, 10**30, -(10**400), 0.5, -0.0, 1e308, float("nan"), float("inf")),
    *("", " ", "\0", "a\0b.wav", "\ud800", "\udcff", "\ufeff", "가" * 5000, "x" * 70_000, "../", "..", ".", "/", "//"),
    *(f"../{OUTSIDE}", f"../../case/../{OUTSIDE}", "/etc/passwd", "/dev/zero", "/dev/stdin", "link.wav", "links/1.wav"),
    *(
        f"touch ../{RAN} |",
        f"| touch ../{RAN}",
        f"$(touch ../{RAN})",
        f"`touch ../{RAN}`",
        "nan",
        "inf",
        "-inf",
        "1e400",
    ),
    *([], {}, [[]], [0] * 1000, {"": None}, {"content": 1}, "__class__", "9" * 5000, "0x10", "１２", "1_000"),
]
NUMBERS = [
    b"-1",
    b"0",
    b"1e400",
    b"nan",
    b"inf",
    b"-inf",
    b"9" * 20,
    b"9" * 5000,
    b"1e-400",
    b"0.5",
    b"4294967296",
    b"99999999",
]
BYTES = [
    *(b"\xef\xbb\xbf", b"\xff\xfe", b"\xff", b"\x80", b"\0", b"\xed\xa0\x80", "한글".encode("cp949"), b"\r", b"\r\n"),
    *(b"\n", b"\x85", "\u2028".encode(), b'"', b"\\", b"{", b"[" * 100_000, b'{"a":' * 100_000, b"(" * 5000),
    *(b"x" * 2_000_000, b"=", b"# ", b",", b"|", b"\t", b" " * 100_000, b"-" * 5000),
]


@dataclass(frozen=True)
class Reader:
    """`read` opens a folder in which `files` lie, of which those of `damaged` change. Of the cases, `share` are its."""

    share: float
    files: Files
    damaged: tuple[str, ...]
    read: Callable[[Path], object]


# Changes: each takes the content of a file and gives another one


def some_bytes(content: bytes, random: Random) -> bytes:
    """As of checks/fuzz_audio.py: bits, parts that are gone, zero, twice there or from elsewhere."""
    change = fuzz_audio.CHANGES[random.integers(len(fuzz_audio.CHANGES) - 3)]
    return bytes(change(bytearray(content), random, {"self": content})) if content else content


def an_insertion(content: bytes, random: Random) -> bytes:
    at = int(random.integers(len(content) + 1)) if random.random() < 0.8 else 0
    return content[:at] + BYTES[random.integers(len(BYTES))] + content[at:]


def a_number(content: bytes, random: Random) -> bytes:
    places = [*re.finditer(rb"-?\d+(\.\d+)?", content)]
    if not places:
        return content
    place = places[random.integers(len(places))]
    return content[: place.start()] + NUMBERS[random.integers(len(NUMBERS))] + content[place.end() :]


def a_word(content: bytes, random: Random) -> bytes:
    places = [*re.finditer(rb"[^\s,:\"|=]+", content)]
    values = [value for value in VALUES if isinstance(value, str)]
    if not places:
        return content
    place = places[random.integers(len(places))]
    word = values[random.integers(len(values))].encode("utf-8", "surrogatepass")
    return content[: place.start()] + word + content[place.end() :]


def the_lines(content: bytes, random: Random) -> bytes:
    lines = content.split(b"\n")
    at, other = random.integers(len(lines), size=2)
    match random.integers(4):
        case 0:
            del lines[at]
        case 1:
            lines.insert(at, lines[other])
        case 2:
            lines[at], lines[other] = lines[other], lines[at]
        case 3:
            lines[at] = lines[at] * int(random.integers(2, 50))
    return b"\n".join(lines)


def a_value(content: bytes, random: Random) -> bytes:
    """A value of a JSON object, of one line of them where there are several, or a key that goes or is renamed."""
    lines = content.split(b"\n")
    whole = content.lstrip().startswith(b"{\n")
    at = int(random.integers(len(lines)))
    try:
        table = json.loads(content if whole else lines[at])
    except (ValueError, RecursionError):
        return content
    if not isinstance(table, dict) or not table:
        return content
    _change(table, random)
    written = json.dumps(table).encode()  # ASCII, so that lone surrogates are written as such
    if whole:
        return written
    lines[at] = written
    return b"\n".join(lines)


def _change(table: dict[str, Any], random: Random) -> None:
    while True:
        key = [*table][random.integers(len(table))]
        if isinstance(table[key], dict) and table[key] and random.random() < 0.7:
            table = table[key]
            continue
        value = VALUES[random.integers(len(VALUES))]
        match random.integers(4):
            case 0:
                del table[key]
            case 1:
                table[str(value)[:100]] = table.pop(key)
            case _:
                table[key] = value
        return


def a_tensors_header(content: bytes, random: Random) -> bytes:
    """Of safetensors: its length, which comes first, or what it says of a tensor."""
    length = int.from_bytes(content[:8], "little")
    if random.random() < 0.3 or not 0 < length <= len(content) - 8:
        value = int(random.choice(np.array(fuzz_audio.EXTREMES, dtype=np.uint64)))
        return struct.pack("<Q", value) + content[8:]
    try:
        header = json.loads(content[8 : 8 + length])
        names = [name for name in header if name != "__metadata__"]
        tensor = header[names[random.integers(len(names))]]
        huge = int(random.choice([0, -1, 1, 2**31, 2**40, 2**63 - 1]))
        match random.integers(5):
            case 0:
                tensor["shape"] = [huge, *tensor["shape"][1:]]
            case 1:
                tensor["data_offsets"] = [tensor["data_offsets"][0], huge]
            case 2:
                tensor["dtype"] = str(random.choice(["F64", "F16", "I64", "BOOL", "F8_E4M3", "nothing", ""]))
            case 3:
                tensor["shape"] = [1] * int(random.integers(300))
            case 4:
                _change(header, random)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
        return content
    written = json.dumps(header).encode()
    return struct.pack("<Q", len(written)) + written + content[8 + length :]


def damaged(content: bytes, name: str, random: Random) -> bytes:
    """The content of a file of that name after one to three changes."""
    if name.endswith(".safetensors"):
        changes = [a_tensors_header, a_tensors_header, some_bytes]
    elif name.endswith((".onnx", ".bin")):
        changes = [some_bytes]
    elif name.endswith((".json", ".jsonl")):
        changes = [a_value, a_value, a_value, a_number, an_insertion, the_lines, some_bytes]
    else:
        changes = [a_word, a_word, a_number, a_number, an_insertion, the_lines, some_bytes]
    for _ in range(random.integers(1, 4)):
        content = changes[random.integers(len(changes))](content, random)
    return content


# Readers


def readers(folder: Path) -> dict[str, Reader]:
    """All of them by name; `folder` is an exported model's, such as the tests have one."""
    sounds = {name: _wav(name) for name in ("1.wav", "2.wav", "3.wav")}
    numbers = range(1, 4)
    rows = [{"audio_filepath": f"{n}.wav", "text": "말이 없다", "speaker": f"s{n}", "offset": 0.1} for n in numbers]
    manifest = b"".join(json.dumps(row | {"duration": 0.2}, ensure_ascii=False).encode() + b"\n" for row in rows)
    csv = "audio_filepath,text,duration\n" + "".join(f'{n}.wav,"말, 둘",0.2\n' for n in numbers)
    listed = "".join(f"{n}.wav|말이 없다\n" for n in numbers)
    table = "client_id\tpath\tsentence\tlocale\n" + "".join(f"s{n}\t{n}.wav\t말, 둘\tko\n" for n in numbers)
    kaldi = {
        "data/wav.scp": "".join(f"r{n} {n}.wav\n" for n in numbers),
        "data/text": "".join(f"u{n} 말이 없다\n" for n in numbers),
        "data/utt2spk": "".join(f"u{n} s{n}\n" for n in numbers),
        "data/segments": "".join(f"u{n} r{n} 0.1 0.3\n" for n in numbers),
    }
    trn = "".join(f"KsponSpeech_01/{n}.pcm :: b/ ({n}개)/(한 개) 말이 없다\n" for n in numbers)
    turns = [{"form": "(1)/(일) 말", "start": n / 10, "end": n / 10 + 0.1, "speaker_id": "1"} for n in numbers]
    labels = {
        "1.json": json.dumps({"발화정보": {"stt": "아/ 말", "fileNm": "1.wav"}, "녹음자정보": {"recorderId": "s1"}}),
        "2.json": json.dumps({"utterance": turns, "speaker": [{"id": "1", "sex": "여성"}]}),
        "3.json": json.dumps({"dataSet": {"dialogs": [{"audioPath": "3.wav", "text": "말", "speaker": "s3"}]}}),
    }
    tree = {f"03/001/003_{n}.wav": sounds["1.wav"] for n in numbers}
    transcripts = "".join(f"003_{n} 말이 없다\n" for n in numbers).encode()
    metadata = b"".join(json.dumps({"file_name": f"{n}.wav", "text": "말"}).encode() + b"\n" for n in numbers)
    stored = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    tokenizer = Tokenizer.load(folder)
    settings = tuple(name for name in stored if name.endswith(".json"))
    texts = ["가 나 다", "나 다 라 마", "가 마"]
    arpa = "".join(
        kneser_ney.arpa_lines(kneser_ney.train_ngrams((["|" if c == " " else c for c in text] for text in texts), 3))
    ).encode()
    attrs = json.dumps({"alpha": 0.5, "beta": 1.5, "unk_score_offset": -10.0, "score_boundary": True}).encode()
    in_words = "".join(kneser_ney.arpa_lines(kneser_ney.train_ngrams((text.split() for text in texts), 2))).encode()
    toml = Path(__file__).parent.parent.joinpath("recipes", "zeroth-plus.toml").read_bytes()
    sealed = {f"checkpoint-{step}/{name}": content for step in (1, 2) for name, content in _checkpoint().items()}
    return {
        "recipes": Reader(
            0.13, {"recipe.toml": toml}, ("recipe.toml",), lambda home: recipe.load_recipe(home / "recipe.toml")
        ),
        "manifests, JSON lines": Reader(
            0.17, sounds | {"m.jsonl": manifest}, ("m.jsonl",), lambda home: _corpus("manifest:m.jsonl", home)
        ),
        "manifests, CSV": Reader(
            0.09, sounds | {"m.csv": csv.encode()}, ("m.csv",), lambda home: _corpus("manifest:m.csv", home)
        ),
        "lists without a header": Reader(
            0.04,
            sounds | {"l.txt": listed.encode("utf-16"), "l.json": json.dumps(rows, ensure_ascii=False).encode()},
            ("l.txt", "l.json"),
            lambda home: [_corpus(f"manifest:{name}", home) for name in ("l.txt", "l.json")],
        ),
        "Kaldi folders": Reader(
            0.13,
            sounds | {name: content.encode() for name, content in kaldi.items()},
            tuple(kaldi),
            lambda home: _corpus("kaldi:data", home),
        ),
        "audio folders": Reader(
            0.02, sounds | {"metadata.jsonl": metadata}, ("metadata.jsonl",), lambda home: _corpus("folder:.", home)
        ),
        "Common Voice": Reader(
            0.04,
            {f"clips/{name}": content for name, content in sounds.items()} | {"train.tsv": table.encode()},
            ("train.tsv",),
            lambda home: _corpus("commonvoice:.#train", home),
        ),
        "KsponSpeech": Reader(
            0.06,
            {f"KsponSpeech_01/{name}": content for name, content in sounds.items()} | {"train.trn": trn.encode()},
            ("train.trn",),
            lambda home: _corpus("ksponspeech:.", home),
        ),
        "AI Hub": Reader(
            0.06,
            sounds | {name: label.encode() for name, label in labels.items()},
            tuple(labels),
            lambda home: _corpus("aihub:.", home),
        ),
        "LibriSpeech trees": Reader(
            0.04,
            tree | {"03/001/003.trans.txt": transcripts},
            ("03/001/003.trans.txt", "03/001/003_1.wav"),
            lambda home: _corpus("librispeech:.", home),
        ),
        "texts": Reader(0.02, {"text.txt": transcripts}, ("text.txt",), lambda home: read_text(home / "text.txt")),
        "checkpoints": Reader(0.06, sealed, tuple(sealed), lambda home: last_whole_checkpoint(home)),
        "reports": Reader(0.03, {"report.json": _report()}, ("report.json",), lambda home: load_report(home)),
        "language models": Reader(
            0.07,
            {"lm.arpa": arpa, "words/lm.arpa": in_words, "attrs.json": attrs},
            ("lm.arpa", "words/lm.arpa", "attrs.json"),
            lambda home: [_language_model(home / name) for name in ("lm.arpa", "words/lm.arpa")],
        ),
        "model folders": Reader(
            0.09,
            {name: content for name, content in stored.items() if not name.endswith(".safetensors")},
            (*settings, "model.onnx"),
            lambda home: Transcriber(home, threads=1, device="cpu")(np.full(8000, 0.1, np.float32)),
        ),
        "weights": Reader(
            0.06,
            {name: content for name, content in stored.items() if name != "model.onnx"},
            (*[name for name in settings if "config" in name], "model.safetensors", "model.safetensors"),
            lambda home: (load_network(home), wants_normalised_waves(home)),
        ),
        "pickled weights": Reader(
            0.05,
            {"pytorch_model.bin": _pickled(stored["model.safetensors"], True), "old.bin": _pickled(b"", False)},
            ("pytorch_model.bin", "old.bin"),
            lambda home: [read_pickles([home / name]) for name in ("pytorch_model.bin", "old.bin")],
        ),
        "pretrained encoders": Reader(
            0.03,
            {name: stored[name] for name in ("config.json", "model.safetensors")},
            ("config.json", "model.safetensors"),
            lambda home: build_network(recipe.Model(pretrained=str(home)), tokenizer),
        ),
    }


def _wav(name: str) -> bytes:
    stream = io.BytesIO()
    soundfile.write(stream, np.random.default_rng(len(name)).uniform(-0.1, 0.1, 8000), 16_000, format="WAV")
    return stream.getvalue()


def _checkpoint() -> Files:
    content = {"model.safetensors": b"weights", "trainer_state.json": b'{\n"global_step": 1}'}
    sums = {name: hashlib.sha256(each).hexdigest() for name, each in content.items()}
    return content | {CHECKSUMS: json.dumps(sums, indent=2).encode()}


def _pickled(weights: bytes, archive: bool) -> bytes:
    """Weights in safetensors, or one tensor, as torch.save writes them now, or wrote them before 2020."""
    tensors = load(weights) if weights else {"lm_head.bias": torch.arange(7.0)}
    stream = io.BytesIO()
    torch.save(tensors, stream, _use_new_zipfile_serialization=archive)
    return stream.getvalue()


def _report() -> bytes:
    values = {str: "manifest:m.jsonl#test", int: 3, float: 0.5}
    kinds = typing.get_type_hints(Report)
    required = (each.name for each in dataclasses.fields(Report) if each.default is each.default_factory)
    fields = {name: values.get(kinds[name], {}) for name in required}
    return json.dumps(fields | {"cer_ci95": [0, 1], "cer_no_space_ci95": [0, 1]}, indent=2).encode()


def _corpus(spec: str, home: Path) -> Corpus:
    """Read a corpus and its sounds, see that all of them lie within and that no command ran, and return it."""
    if not (home / "links").is_symlink():
        (home / "link.wav").symlink_to(home.parent / OUTSIDE)
        (home / "links").symlink_to(home.parent)
    try:
        corpus = read_corpus(spec, Reading(root=home))
        for utterance in corpus.utterances:
            assert isinstance(utterance.audio, Path)
            inside = os.path.realpath(utterance.audio).startswith(os.path.realpath(home) + os.sep)
            assert inside, f"{utterance.audio} lies outside"
            assert np.isfinite(utterance.seconds), utterance.seconds
            assert utterance.seconds > 0, utterance.seconds
            try:
                assert len(utterance.wave()) <= 60 * SAMPLE_RATE
            except DistilhubertKoError:
                continue
        return corpus
    finally:
        assert not (home.parent / RAN).exists(), "a command ran"


def _language_model(path: Path) -> LanguageModel:
    model = LanguageModel(path)
    weights = decoder.read_lm_weights(model)
    assert np.isfinite(dataclasses.astuple(weights)).all(), weights
    assert not np.isnan(model.score(model.start, "가")[0]), "a score that is no number"
    return model
