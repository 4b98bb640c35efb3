"""A small corpus of tones that a small model can learn."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from distilhubert_ko.audio.frames import SAMPLE_RATE

WORDS = ("나무", "바다", "하늘", "구름", "별빛", "강물")
SYLLABLE = SAMPLE_RATE // 5  # samples: 10 frames, room for three jamo with blanks between them


def tones(text: str, pitch: float) -> np.ndarray:
    """(samples,) float32: each syllable a tone of its own frequency in Hz, each space silence."""
    time = np.arange(SYLLABLE) / SAMPLE_RATE
    frequencies = [0.0 if character == " " else pitch * (1 + ord(character) % 16) for character in text]
    return np.concatenate([0.3 * np.sin(2 * np.pi * f * time) for f in frequencies]).astype(np.float32)


@pytest.fixture(scope="session")
def tiny_speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with train.jsonl (18 utterances, speakers s1 to s3) and dev.jsonl (6, speaker s4), NeMo manifests.

    Utterances last 1.0 or 1.6 s. No sentence occurs twice; every character of dev.jsonl occurs in train.jsonl.
    """
    folder = tmp_path_factory.mktemp("tiny_speech")
    sentences = [*itertools.permutations(WORDS, 2)][:16] + [*itertools.permutations(WORDS, 3)][:8]
    manifests: dict[str, list[str]] = {"train": [], "dev": []}
    for index, words in enumerate(sentences):
        speaker = index % 4
        wave = tones(" ".join(words), pitch=100 + 10 * speaker)
        name = f"s{speaker + 1}-{index:02d}.wav"
        soundfile.write(folder / name, wave, SAMPLE_RATE)
        record = {
            "audio_filepath": name,
            "text": " ".join(words),
            "duration": len(wave) / SAMPLE_RATE,
            "speaker": f"s{speaker + 1}",
        }
        manifests["dev" if speaker == 3 else "train"].append(json.dumps(record, ensure_ascii=False) + "\n")
    for split, lines in manifests.items():
        (folder / f"{split}.jsonl").write_text("".join(lines), encoding="utf-8")
    return folder
