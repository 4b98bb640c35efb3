"""Splicing: new sentences are made of whole words of one speaker, cut where it is quiet."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distilhubert_ko.audio.frames import SAMPLE_RATE
from distilhubert_ko.data.corpora import read_corpus
from distilhubert_ko.data.dataset import usable_split
from distilhubert_ko.data.examples import Example
from distilhubert_ko.recipe import Augment, Text
from distilhubert_ko.recognition.transcriber import Transcriber
from distilhubert_ko.training import splice
from distilhubert_ko.training.clips import AugmentedClips
from distilhubert_ko.training.splice import FADE, Splicer, cross_fade, quietest_place
from tests.support.model import SYLLABLES

SYLLABLE = SAMPLE_RATE // 5  # of the tones in conftest.py: each character, a space included, is this long


@pytest.fixture(scope="module")
def examples(tiny_speech: Path) -> tuple[Example, ...]:
    return usable_split(read_corpus(f"manifest:{tiny_speech}/train.jsonl"), Text(), None).examples


@pytest.fixture(scope="module")
def splicer(examples: tuple[Example, ...]) -> Splicer:
    """Cuts in the middle of each space, where the tones of the corpus are silent."""
    spaces = [[i for i, character in enumerate(example.text) if character == " "] for example in examples]
    return Splicer(examples, [[i * SYLLABLE + SYLLABLE // 2 for i in places] for places in spaces])


def test_a_spliced_sentence_is_the_beginning_of_one_and_the_end_of_another_of_the_same_speaker(
    splicer: Splicer, examples: tuple[Example, ...]
) -> None:
    waves = [example.utterance.wave() for example in examples]
    texts = {example.text for example in examples}
    random = np.random.default_rng(0)
    new = 0
    for index, example in enumerate(examples):
        own = [other.text.split() for other in examples if other.utterance.speaker == example.utterance.speaker]
        spliced = splicer.splice(index, waves.__getitem__, random)
        assert spliced is not None
        wave, text = spliced
        words = text.split()
        assert any(
            words == example.text.split()[:cut] + other[after:]
            for other in own
            for cut in range(1, len(words) + 1)
            for after in range(1, len(other))
        )
        # The tones make the length of a clip the number of its characters.
        assert len(wave) == pytest.approx(len(text) * SYLLABLE, abs=FADE)
        new += text not in texts
    assert new > 0


def test_each_tone_of_a_spliced_clip_is_that_of_its_character(splicer: Splicer, examples: tuple[Example, ...]) -> None:
    waves = [example.utterance.wave() for example in examples]
    wave, text = splicer.splice(3, waves.__getitem__, np.random.default_rng(1)) or (None, "")
    assert wave is not None
    speaker = examples[3].utterance.speaker
    pitch = 100 + 10 * (int(speaker[1:]) - 1) if speaker else 0
    for place, character in enumerate(text):
        if character != " ":
            # The middle of the syllable, far from fades and from the shift by them.
            part = wave[place * SYLLABLE + 800 : (place + 1) * SYLLABLE - 800]
            found = np.abs(np.fft.rfft(part)).argmax() * SAMPLE_RATE / len(part)
            assert found == pytest.approx(pitch * (1 + ord(character) % 16), abs=SAMPLE_RATE / len(part))


def test_a_clip_without_cuts_or_without_a_partner_stays_whole(examples: tuple[Example, ...]) -> None:
    waves = [example.utterance.wave() for example in examples]
    random = np.random.default_rng(0)
    nothing = Splicer(examples, [[] for _ in examples])
    assert nothing.splice(0, waves.__getitem__, random) is None
    alone = Splicer(examples, [[8000], *([] for _ in examples[1:])])
    assert alone.splice(0, waves.__getitem__, random) is None


@given(left=st.integers(0, 400), right=st.integers(0, 400))
def test_a_joint_overlaps_by_the_fade_and_leaves_the_rest_alone(left: int, right: int) -> None:
    a, b = np.full(left, 2, np.float32), np.full(right, 2, np.float32)
    whole = cross_fade(a, b)
    assert len(whole) == left + right - min(FADE, left, right)
    np.testing.assert_allclose(whole, 2, rtol=1e-6)


def test_the_quietest_place_is_found_and_lies_in_the_region() -> None:
    wave = np.random.default_rng(0).normal(size=16_000).astype(np.float32)
    wave[9000:9200] *= 0.01
    assert 9000 + FADE // 2 <= quietest_place(wave, 8000, 12_000) <= 9200 - FADE // 2
    assert 100 <= quietest_place(wave, 100, 150) <= 150
    assert quietest_place(wave, 15_990, 20_000) <= 16_000


def test_there_is_a_cut_for_each_space_and_they_rise(exported: Path, tiny_speech: Path) -> None:
    transcriber = Transcriber(exported)
    corpus = read_corpus(f"manifest:{tiny_speech}/train.jsonl")
    examples = [
        Example(utterance, text)
        for utterance, text in zip(corpus.utterances, ["가 나", "다라 마 바", "사"], strict=False)
    ]
    assert all(not SYLLABLES.unknown(example.text) for example in examples)
    found = splice.find_cuts(transcriber, examples)
    assert [len(cuts) for cuts in found] == [1, 2, 0]
    for example, cuts in zip(examples, found, strict=True):
        assert cuts == sorted(cuts)
        assert all(0 < cut < example.samples for cut in cuts)


def test_cuts_are_read_again_for_the_same_clips_and_found_anew_for_others(
    exported: Path, tiny_speech: Path, tmp_path: Path
) -> None:
    corpus = read_corpus(f"manifest:{tiny_speech}/train.jsonl")
    examples = [Example(utterance, "가 나") for utterance in corpus.utterances[:2]]
    path = tmp_path / splice.CUTS
    found = splice.read_or_find_cuts(path, str(exported), examples)
    table = json.loads(path.read_text(encoding="utf-8"))
    assert [*table.values()] == found
    assert splice.read_or_find_cuts(path, "no such model", examples) == found
    assert len(splice.read_or_find_cuts(path, str(exported), examples[:1])) == 1


def test_an_epoch_of_spliced_clips_is_the_same_when_it_is_heard_again(
    splicer: Splicer, examples: tuple[Example, ...]
) -> None:
    tokenizer = SYLLABLES.from_texts([example.text for example in examples], "jamo")
    augment = Augment(speeds=(0.9, 1.1), splice_prob=0.5, splice_model="any", noise_prob=0.5)
    clips = AugmentedClips(examples, tokenizer, augment, splicer, seed=3)
    first = [clips[i] for i in range(len(clips))]
    clips.epoch = 1
    other = [clips[i] for i in range(len(clips))]
    clips.epoch = 0
    for again, before in zip([clips[i] for i in range(len(clips))], first, strict=True):
        np.testing.assert_array_equal(again["wave"], before["wave"])
        np.testing.assert_array_equal(again["labels"], before["labels"])
    texts = [tokenizer.decode(one["labels"].tolist()) for one in first]
    assert texts != [tokenizer.decode(one["labels"].tolist()) for one in other]
    assert any(text != example.text for text, example in zip(texts, examples, strict=True))
    assert any(text == example.text for text, example in zip(texts, examples, strict=True))
