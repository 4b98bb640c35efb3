"""Damaged audio files without end: each is read or refused with an AudioError, in bounded time and memory.

`python -m checks.fuzz_audio --count 10000 --seed 1` tries that many, counts what became of them, and exits with 1
if any raised something else, gave a sample that is not finite, took too long or too much memory, or killed its process.
The same seed gives the same files: `--first 123 --count 1` makes number 123 again.
"""

import argparse
import io
import os
import re
import resource
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import soundfile

from distilhubert_ko.audio.frames import SAMPLE_RATE
from distilhubert_ko.audio.reading import audio_blocks, audio_duration
from distilhubert_ko.errors import AudioError
from tests.support.media import encoded, remuxed
from tests.support.processes import pristine

SECONDS = 5.0  # of the processor that one file may take
PATIENCE = 120.0  # seconds without a case, after which a worker hangs; a machine may be busy
MEGABYTES = 500  # by which one file may raise the most memory that the process has held
LONGEST = 16 << 20  # samples in one block: one that was read at the lowest rate, and resampled

EXTREMES = [
    0,
    1,
    2,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0x8000,
    0xFFFF,
    0x7FFF_FFFF,
    0x8000_0000,
    0xFFFF_FFFF,
    2**63 - 1,
    2**64 - 1,
]
FIELDS = {
    b"WAVEfmt ": 32,
    b"data": 4,
    b"fLaC": 26,
    b"OpusHead": 11,
    b"vorbis": 22,
    b"OggS": 23,
    b"Xing": 16,
    b"LAME": 30,
}
FIELDS |= dict.fromkeys([b"mvhd", b"tkhd", b"mdhd", b"stsd", b"mp4a", b"esds", b"stts", b"stsc", b"stsz", b"stco"], 40)
FIELDS |= {
    b"\x16\x54\xae\x6b": 100,
    b"\x15\x49\xa9\x66": 60,
    b"\x1f\x43\xb6\x75": 20,
    b"#!AMR": 3,
    b"elst": 24,
    b"FORM": 40,
}
"""What stands in front of a header's fields -> how many bytes of them follow. The three are Matroska's ids."""


def seeds() -> dict[str, bytes]:
    """A small file of each kind: half a second of a tone and noise."""
    random = np.random.default_rng(0)
    wave = (0.3 * np.sin(np.arange(8_000) / 6) + random.uniform(-0.1, 0.1, 8_000)).astype(np.float32)
    at_48k = np.repeat(wave, 3)
    return {
        "wav": written(wave, "WAV", "PCM_16"),
        "stereo.wav": written(np.stack([wave, -wave / 2], axis=1), "WAV", "PCM_24"),
        "float.wav": encoded(wave, 16_000, "wav", "pcm_f32le"),
        "aiff": written(wave, "AIFF", "PCM_16"),
        "flac": written(wave, "FLAC", "PCM_16"),
        # libsndfile numbers its Ogg streams by chance; FFmpeg does not.
        "ogg": ogg(written(wave, "OGG", "VORBIS")),
        "opus": encoded(at_48k, 48_000, "ogg", "libopus"),
        "mp3": written(wave, "MP3", "MPEG_LAYER_III"),
        "m4a": encoded(wave, 16_000, "ipod", "aac"),
        "film.mp4": encoded(np.repeat(at_48k[:, None], 8, axis=1), 48_000, "mp4", "aac"),
        "mp4": encoded(at_48k, 48_000, "mp4", "aac", pictures=1),
        "webm": encoded(at_48k, 48_000, "webm", "libopus"),
        "mkv": encoded(wave, 16_000, "matroska", "flac"),
        "aac": encoded(wave, 16_000, "adts", "aac"),
        "amr": encoded(wave, 8_000, "amr", "libopencore_amrnb"),
        "wma": encoded(np.repeat(wave, 3)[:22_050], 44_100, "asf", "wmav2"),
    }


def written(wave: np.ndarray, format: str, subtype: str) -> bytes:
    stream = io.BytesIO()
    soundfile.write(stream, wave, 16_000, format=format, subtype=subtype)
    return stream.getvalue()


def ogg(content: bytes) -> bytes:
    stream = io.BytesIO()
    remuxed(content, "ogg", stream)
    return stream.getvalue()


def mutated(originals: dict[str, bytes], seed: int, number: int) -> tuple[str, bytes]:
    """File `number` of `seed`: how it was made, and its bytes, which may happen to be those of an original."""
    random = np.random.default_rng((seed, number))
    name = str(random.choice([*originals]))
    content = bytearray(originals[name])
    story = [name]
    for _ in range(random.integers(1, 4)):
        if not content:
            break
        change = CHANGES[random.integers(len(CHANGES))]
        content = change(content, random, originals)
        story.append(change.__name__)
    return " ".join(story), bytes(content)


def _span(content: bytearray, random: np.random.Generator) -> slice:
    """A part of the file: most often a short one."""
    start = int(random.integers(len(content)))
    return slice(start, start + 1 + int(len(content) * random.random() ** 4))


def flipped_bits(content: bytearray, random: np.random.Generator, _: dict[str, bytes]) -> bytearray:
    """One to 64 of them, one time in two all in the first 200 bytes."""
    among = min(len(content), 200) if random.random() < 0.5 else len(content)
    for at in random.integers(among, size=2 ** random.integers(7)):
        content[at] ^= 1 << random.integers(8)
    return content


def truncated(content: bytearray, random: np.random.Generator, _: dict[str, bytes]) -> bytearray:
    return content[: random.integers(len(content))]


def zeroed(content: bytearray, random: np.random.Generator, _: dict[str, bytes]) -> bytearray:
    span = _span(content, random)
    content[span] = bytes(len(content[span]))
    return content


def removed(content: bytearray, random: np.random.Generator, _: dict[str, bytes]) -> bytearray:
    del content[_span(content, random)]
    return content


def repeated(content: bytearray, random: np.random.Generator, _: dict[str, bytes]) -> bytearray:
    span = _span(content, random)
    at = span.stop if random.random() < 0.5 else int(random.integers(len(content)))
    content[at:at] = content[span] * int(random.integers(1, 4))
    return content


def spliced(content: bytearray, random: np.random.Generator, originals: dict[str, bytes]) -> bytearray:
    """A part of another file in the place of a part of this one."""
    other = bytearray(originals[str(random.choice([*originals]))])
    content[_span(content, random)] = other[_span(other, random)]
    return content


def joined(content: bytearray, random: np.random.Generator, originals: dict[str, bytes]) -> bytearray:
    """Another file behind this one, or in front of it."""
    other = originals[str(random.choice([*originals]))]
    return content + other if random.random() < 0.5 else bytearray(other) + content


def extreme_field(content: bytearray, random: np.random.Generator, _: dict[str, bytes]) -> bytearray:
    """A number of 1, 2, 4 or 8 bytes in a header (a rate, a count of channels, a size) becomes an extreme one."""
    places = [
        (found.end(), length)
        for mark, length in FIELDS.items()
        for found in re.finditer(re.escape(mark), content[:4096])
    ]
    start, length = places[random.integers(len(places))] if places else (0, min(64, len(content)))
    at, size = start + int(random.integers(length)), 2 ** int(random.integers(4))
    value = int(random.choice(np.array(EXTREMES, dtype=np.uint64))) % 256**size
    content[at : at + size] = value.to_bytes(size, "little" if random.random() < 0.5 else "big")
    return content


Change = Callable[[bytearray, np.random.Generator, dict[str, bytes]], bytearray]
CHANGES: list[Change] = [
    flipped_bits,
    truncated,
    zeroed,
    removed,
    repeated,
    spliced,
    joined,
    extreme_field,
    extreme_field,  # headers are a small part of a file and the larger part of what can go wrong
    extreme_field,
]


def outcome(source: bytes | Path) -> str:
    """'read', or the AudioError without its name and numbers. AssertionError where a promise is broken."""
    started, held = time.process_time(), _most_memory()
    result = "read"
    for read in (_length, _slice, _whole):  # what the last one says counts: the others do not see all of the file
        try:
            read(source, started + SECONDS)
            result = "read"
        except AudioError as error:
            message = str(error)
            assert "\n" not in message, message
            name = str(source) if isinstance(source, Path) else f"the audio of {len(source):,} bytes"
            result = re.sub(r"\d[\d.,]*", "N", message.replace(name, "")).strip()
        assert time.process_time() - started < SECONDS, f"longer than {SECONDS} s"
    assert _most_memory() - held < MEGABYTES, f"{_most_memory() - held:.0f} MB"
    return result


def _length(source: bytes | Path, _: float) -> None:
    assert 0 < audio_duration(source) < np.inf


def _slice(source: bytes | Path, until: float) -> None:
    assert _samples(audio_blocks(source, 0.1, 0.2), until) <= 0.2 * SAMPLE_RATE + 1


def _whole(source: bytes | Path, until: float) -> None:
    assert _samples(audio_blocks(source), until) > 0


def _samples(blocks: Iterator[np.ndarray], until: float) -> int:
    samples = 0
    for block in blocks:
        assert block.dtype == np.float32, block.dtype
        assert block.ndim == 1, block.shape
        assert len(block) <= LONGEST, f"a block of {len(block):,} samples"
        assert np.isfinite(block).all(), "samples that are not finite"
        assert time.process_time() < until, f"longer than {SECONDS} s"
        samples += len(block)
    return samples


def _most_memory() -> float:
    """Megabytes: the most that the process has held so far."""
    unit = 1e6 if sys.platform == "darwin" else 1e3
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def outcomes(
    seed: int, first: int, last: int, judge: Callable[[Path | bytes], str] = outcome
) -> Iterator[tuple[str, str]]:
    """How each file was made, and what became of it. By turns from memory and from the disk."""
    originals = seeds()
    with tempfile.TemporaryDirectory() as folder, printed_tracebacks() as tracebacks:
        for number in range(first, last):
            story, content = mutated(originals, seed, number)
            path = Path(folder) / "file.wav"
            if number % 2:
                path.write_bytes(content)
            try:
                result = judge(path if number % 2 else content)
            except Exception as error:
                result = f"FAILED: {type(error).__name__}: {error}"
            yield story, f"FAILED: {tracebacks.pop()} was printed" if tracebacks else result


@contextmanager
def printed_tracebacks() -> Iterator[list[str]]:
    """Collects exceptions that callbacks from C can only print."""
    found: list[str] = []
    usual, sys.unraisablehook = sys.unraisablehook, lambda unraisable: found.append(repr(unraisable.exc_value))
    try:
        yield found
    finally:
        sys.unraisablehook = usual


def _work(results: Connection, judge: Callable[[Path | bytes], str], seed: int, first: int, last: int) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libmpg123 speaks there
    warnings.simplefilter("error")
    for result in outcomes(seed, first, last, judge):
        results.send(result)


def survey(
    seed: int, first: int, count: int, judge: Callable[[Path | bytes], str] = outcome
) -> tuple[Counter[str], list[str]]:
    """What became of how many, and a line for each failure. A crash takes only the process of a worker with it."""
    counts: Counter[str] = Counter()
    failures = []
    number, last = first, first + count
    while number < last:
        receiver, sender = pristine.Pipe(duplex=False)
        worker = pristine.Process(target=_work, args=(sender, judge, seed, number, last))
        worker.start()
        sender.close()
        while number < last:
            try:
                hangs = not receiver.poll(PATIENCE)
                story, result = ("?", "FAILED: it hangs") if hangs else receiver.recv()
            except EOFError:
                worker.join()
                story, result, hangs = "?", f"FAILED: exit code {worker.exitcode}", True
            counts[result] += 1
            if result.startswith("FAILED"):
                failures.append(f"--seed {seed} --first {number} --count 1: {story}: {result}")
            number += 1
            if hangs:
                break
        worker.kill()
        worker.join()
    return counts, failures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    started = time.monotonic()
    counts, failures = survey(arguments.seed, arguments.first, arguments.count)
    print(f"{counts.total():,} files in {time.monotonic() - started:.0f} s")
    for result, number in counts.most_common():
        print(f"{number:7,}  {result}")
    print(*failures, sep="\n")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
