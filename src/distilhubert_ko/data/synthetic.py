"""A corpus that the program makes for itself: Korean sentences from templates, spoken by espeak-ng.

It lets the whole road, from recipe to transcript, run with no network and no download. Sentences and voices of
the train, dev and test splits are disjoint. The corpus is made once, in the user's cache folder, as a WAV file for
each utterance and a NeMo manifest for each split.
"""

import ctypes
import hashlib
import json
import multiprocessing
import os
import random
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

from distilhubert_ko.audio.frames import SAMPLE_RATE
from distilhubert_ko.data.sentences import random_sentence
from distilhubert_ko.errors import CorpusError, MissingExtraError
from distilhubert_ko.files.writing import new_folder, user_cache
from distilhubert_ko.text.normalise import normalise

VERSION = 2  # part of the folder's name: raise it when the same seed gives other audio

# Variants of espeak-ng's Korean voice; pitch (0 to 99) and rate (words a minute) move around theirs. No voice is in
# two splits. Held out are numbered ones, espeak-ng's own; the named ones, which people have contributed, go as far as
# caricature (formants shifted by up to 40 %) and are for training alone.
VOICES = {
    "train": (
        "m1 m2 m4 m5 m7 f1 f3 Alex Alicia Andrea Andy Annie Denis Diogo Gene Henrique Hugo Jacky Lee Marco Mario "
        "Michael Nguyen adam anika antonio belinda benjamin boris caleb edward ian iven john linda marcelo max michel "
        "norbert pablo paul pedro quincy robert sandro shelby steph travis"
    ).split(),
    "dev": ["m8", "f5"],
    "test": ["m3", "m6", "f2", "f4"],
}
SENTENCES = {"train": 2400, "dev": 120, "test": 300}
SHARDS = 4  # of each split, spoken in parallel
SEEDS = {"demo": 42}


@dataclass(frozen=True)
class SpokenLine:
    """One utterance to be spoken. `text` is as written, with digits and punctuation."""

    id: str
    text: str
    voice: str
    pitch: int
    rate: int

    @property
    def path(self) -> str:
        """Return where the audio lies below the corpus's folder."""
        return f"{self.id.split('-')[0]}/{self.id}.wav"


def synthetic_lines(name: str) -> dict[str, list[SpokenLine]]:
    """Return every utterance of the corpus `name`, by split; the same for the same name on every machine.

    Raises CorpusError for an unknown name.
    """
    if name not in SEEDS:
        raise CorpusError(f"synthetic:{name}: no such corpus; there is {', '.join(f'synthetic:{n}' for n in SEEDS)}")
    random_ = random.Random(SEEDS[name])
    seen: set[str] = set()
    splits: dict[str, list[SpokenLine]] = {}
    for split, count in SENTENCES.items():
        splits[split] = []
        while len(splits[split]) < count:
            written = random_sentence(random_)
            if written in seen:
                continue
            seen.add(written)
            number = len(splits[split])
            voice = VOICES[split][number % len(VOICES[split])]
            line = SpokenLine(
                f"{split}-{voice}-{number:05d}",
                written,
                voice,
                random_.randint(20, 75),
                random_.randint(180, 250),
            )
            splits[split].append(line)
    return splits


def synthetic_folder(name: str) -> Path:
    """Return the folder of the synthetic corpus `name`; see `speak_corpus`. Raises CorpusError for an unknown name."""
    return speak_corpus(name, synthetic_lines(name))


def speak_corpus(name: str, splits: dict[str, list[SpokenLine]]) -> Path:
    """Return the folder with the lines of each split as `<split>.jsonl` and `<split>/<id>.wav`.

    It is called after `name` and made on first use, in the user's cache. Raises MissingExtraError without
    espeakng-loader.
    """
    written = json.dumps([VERSION, {s: [vars(line) for line in ls] for s, ls in splits.items()}], sort_keys=True)
    folder = user_cache() / f"synthetic-{name}-{hashlib.sha256(written.encode()).hexdigest()[:12]}"
    if folder.is_dir():
        return folder
    # If another process was first, its folder is the same.
    with new_folder(folder) as temporary:
        for split in splits:
            (temporary / split).mkdir()
        shards = [(temporary, part[start::SHARDS]) for part in splits.values() for start in range(SHARDS)]
        # espeak-ng's noise depends on what the process spoke before: a new process for each shard, always the
        # same shards, and the audio is the same on every run, whatever the number of processors.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(os.cpu_count(), context, max_tasks_per_child=1) as pool:
            seconds = {id: length for shard in pool.map(_speak, *zip(*shards, strict=True)) for id, length in shard}
        for split, part in splits.items():
            records = [_record(line, seconds[line.id]) for line in part]
            (temporary / f"{split}.jsonl").write_text("".join(records), encoding="utf-8")
    return folder


def _record(line: SpokenLine, seconds: float) -> str:
    record = {"audio_filepath": line.path, "text": line.text, "duration": seconds, "speaker": line.voice}
    return json.dumps(record, ensure_ascii=False) + "\n"


def _speak(folder: Path, shard: list[SpokenLine]) -> list[tuple[str, float]]:
    """Write the shard's utterances below `folder`, and return (id, seconds) of each."""
    lengths = []
    with _Espeak() as espeak:
        for line in shard:
            wave = espeak.speak(line)
            soundfile.write(folder / line.path, wave, SAMPLE_RATE, subtype="PCM_16")
            lengths.append((line.id, len(wave) / SAMPLE_RATE))
    return lengths


class _Espeak:
    """espeak-ng's C interface (speak_lib.h), which keeps its state for the whole process: one at a time."""

    RETRIEVAL, UTF8 = 1, 1
    RATE, PITCH = 1, 3

    def __enter__(self) -> "_Espeak":
        try:
            import espeakng_loader
        except ImportError:
            raise MissingExtraError('synthetic speech needs espeak-ng: pip install "distilhubert-ko[train]"') from None
        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        self._variants = Path(espeakng_loader.get_data_path()) / "voices" / "!v"
        data = espeakng_loader.get_data_path().encode()
        self._rate = self._library.espeak_Initialize(self.RETRIEVAL, 0, data, 0)
        if self._rate <= 0:
            raise CorpusError(f"espeak-ng did not start with {data!r}: reinstall the package espeakng-loader")
        self._library.espeak_ng_SetRandSeed(ctypes.c_long(1))  # else the breath of some voices hangs on the clock
        self._chunks: list[np.ndarray] = []
        prototype = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
        self._callback = prototype(self._collect)  # kept: the library holds only a bare pointer to it
        self._library.espeak_SetSynthCallback(self._callback)
        return self

    def __exit__(self, *exception: object) -> None:
        self._library.espeak_Terminate()

    def _collect(self, samples: Iterator[int], count: int, events: int) -> int:
        if count > 0:
            self._chunks.append(np.ctypeslib.as_array(samples, shape=(count,)).copy())
        return 0

    def speak(self, line: SpokenLine) -> np.ndarray:
        """Return the wave (samples,) of a line, with numbers read as `normalise` spells them."""
        # Without the variant's file espeak-ng takes its default voice and says nothing of it.
        there = (self._variants / line.voice).is_file()
        if not there or self._library.espeak_SetVoiceByName(f"ko+{line.voice}".encode()) != 0:
            raise CorpusError(f"espeak-ng has no voice ko+{line.voice}: reinstall the package espeakng-loader")
        self._library.espeak_SetParameter(self.RATE, line.rate, 0)
        self._library.espeak_SetParameter(self.PITCH, line.pitch, 0)
        self._chunks.clear()
        spoken = normalise(line.text, spell=True).encode()
        self._library.espeak_Synth(spoken, len(spoken) + 1, 0, 0, 0, self.UTF8, None, None)
        self._library.espeak_Synchronize()
        wave = np.concatenate(self._chunks).astype(np.float32) / 32768
        return soxr.resample(wave, self._rate, SAMPLE_RATE)
