"""Pseudo-labels: confidence, the manifest and its reading, dropped utterances, and the choice of a threshold."""

import json
import math
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from distilhubert_ko import recipe
from distilhubert_ko.data.corpora import Corpus, Utterance, read_corpus
from distilhubert_ko.data.dataset import read_scored_split
from distilhubert_ko.data.reading import Reading
from distilhubert_ko.errors import CorpusError, InputError
from distilhubert_ko.evaluation import labelling, metrics
from distilhubert_ko.evaluation.labellers import CtcLabeller, Recognised, label_confidence
from distilhubert_ko.evaluation.labelling import Label, Labels
from distilhubert_ko.recognition.transcriber import Transcriber
from distilhubert_ko.text.normalise import normalise
from tests.support.command import call
from tests.support.model import clip
from tests.support.whisper_stand_in import Segment, StandIn

LENGTHS = (16_000, 40_000, 24_001)


@pytest.fixture(scope="module")
def transcriber(exported: Path) -> Transcriber:
    return Transcriber(exported, threads=1)


@pytest.fixture
def untranscribed(tmp_path: Path) -> Path:
    """Return a folder of three clips and a silent one, without transcripts."""
    for name, samples in zip("abc", LENGTHS, strict=True):
        soundfile.write(tmp_path / f"{name}.wav", clip(samples), 16_000, subtype="FLOAT")
    soundfile.write(tmp_path / "silence.wav", np.zeros(16_000), 16_000)
    return tmp_path


def heard(confidence: float, text: str = "말", reference: str = "말") -> Label:
    return Label(
        Utterance(id=f"{confidence}", audio=Path("x.wav"), text="", speaker=None, seconds=1.0),
        text,
        confidence,
        reference,
    )


@given(st.integers(0, 2**32), st.integers(1, 30), st.integers(0, 2), st.integers(0, 6))
def test_confidence_is_the_likelihood_by_torch_to_the_power_of_one_over_the_units(
    seed: int, frames: int, blank: int, count: int
) -> None:
    random = np.random.default_rng(seed)
    logits = random.normal(size=(frames, 4), scale=3)
    log_probs = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    units = [int(unit) for unit in random.choice([unit for unit in range(4) if unit != blank], count)]
    found = label_confidence(log_probs, units, blank)
    if not units:
        assert found == 0
        return
    loss = functional.ctc_loss(
        torch.from_numpy(log_probs)[:, None], torch.tensor([units]), (frames,), (len(units),), blank, "sum"
    )
    assert found == pytest.approx(torch.exp(-loss / len(units)).item(), rel=1e-6)
    assert 0 <= found <= 1


def test_a_louder_peak_is_surer_and_length_alone_does_not_matter() -> None:
    def peaked(probability: float, count: int) -> float:
        best = np.arange(2 * count) % 2 * (1 + np.arange(2 * count) // 2 % 2)  # blank, 1, blank, 2, ...
        other = np.full((2 * count, 3), (1 - probability) / 2)
        other[np.arange(2 * count), best] = probability
        return label_confidence(np.log(other), [int(unit) for unit in best if unit], 0)

    assert peaked(0.5, 5) < peaked(0.9, 5) < peaked(0.99, 5) < 1
    assert peaked(0.9, 5) == pytest.approx(peaked(0.9, 50), rel=0.05)


def test_the_manifest_is_read_back_as_the_corpus_with_what_the_model_heard(
    transcriber: Transcriber, untranscribed: Path
) -> None:
    labels = labelling.label_corpus(CtcLabeller(transcriber), f"folder:{untranscribed}")
    kept = labelling.write_labels(labels, untranscribed / "labels.jsonl")
    corpus = read_corpus(f"manifest:{untranscribed / 'labels.jsonl'}")
    assert corpus.problems == ()
    assert [u.id for u in corpus.utterances] == ["a", "b", "c"] == [label.utterance.id for label in kept]
    for utterance, samples in zip(corpus.utterances, LENGTHS, strict=True):
        assert utterance.text == transcriber(clip(samples)).text != ""
        assert len(utterance.wave()) == samples
    records = [json.loads(line) for line in (untranscribed / "labels.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [record["audio_filepath"] for record in records] == ["a.wav", "b.wav", "c.wav"]  # the folder may move
    assert all(0 < record["confidence"] < 1 for record in records)


def test_a_beam_labels_what_the_transcriber_hears_with_it(exported: Path, untranscribed: Path) -> None:
    transcriber = Transcriber(exported, threads=1, hotwords=["하하하"], hotword_weight=20.0)
    labels = labelling.label_corpus(CtcLabeller(transcriber), f"folder:{untranscribed}").labels
    assert [each.text for each in labels[:3]] == [transcriber(clip(samples)).text for samples in LENGTHS]
    greedy = labelling.label_corpus(CtcLabeller(Transcriber(exported, threads=1)), f"folder:{untranscribed}").labels
    assert all(0 < label.confidence < 1 for label in labels[:3])
    assert any(with_words.text != alone.text for with_words, alone in zip(labels, greedy, strict=True))


def test_slices_and_speakers_go_round_and_a_manifest_elsewhere_names_whole_paths(
    transcriber: Transcriber, untranscribed: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    source = {"audio_filepath": "b.wav", "offset": 0.5, "duration": 1.0, "speaker": "s1", "id": "middle"}
    (untranscribed / "slices.jsonl").write_text(json.dumps(source) + "\n")
    out = tmp_path_factory.mktemp("elsewhere") / "labels.jsonl"
    labelling.write_labels(
        labelling.label_corpus(CtcLabeller(transcriber), f"manifest:{untranscribed}/slices.jsonl"), out
    )
    with pytest.raises(CorpusError, match="allow-outside"):
        read_corpus(f"manifest:{out}")
    (utterance,) = read_corpus(f"manifest:{out}", Reading(allow_outside=True)).utterances
    assert (utterance.id, utterance.speaker, utterance.offset, utterance.duration) == ("middle", "s1", 0.5, 1.0)
    assert utterance.text == transcriber(utterance.wave()).text
    np.testing.assert_allclose(utterance.wave(), clip(40_000)[8_000:24_000], atol=1e-4)


def test_a_recording_that_only_decoding_shows_to_be_damaged_is_counted_and_the_rest_go_on(
    transcriber: Transcriber, tmp_path: Path
) -> None:
    for name in "abc":
        soundfile.write(tmp_path / f"{name}.flac", clip(32_000), 16_000)
    whole = (tmp_path / "b.flac").read_bytes()
    (tmp_path / "b.flac").write_bytes(whole[: len(whole) // 2])
    seen: list[tuple[int, int]] = []
    labels = labelling.label_corpus(
        CtcLabeller(transcriber), f"folder:{tmp_path}", on_progress=lambda *pair: seen.append(pair)
    )
    assert [each.utterance.id for each in labels.labels] == ["a", "c"]
    assert (labels.unread, seen) == ({"audio unreadable": ["b"]}, [(3, 3)])


def test_what_is_kept_and_what_is_dropped_add_up() -> None:
    texts = {0.2: "말", 0.5: "세 시", 0.9: "3시 OK", 0.0: "", 0.8: "마\u11af", 0.7: "마 \u11af"}
    labels = Labels("a:b", tuple(heard(*pair) for pair in texts.items()), {"audio unreadable": ["a", "b"]})
    assert [label.confidence for label in labels.kept(0.5)] == [0.5, 0.9, 0.8]
    other = {"audio unreadable": 2, "nothing recognised": 1, "lone jamo or other scripts": 1}
    counts = {least: {reason: len(ids) for reason, ids in labels.dropped(least).items()} for least in (0.0, 0.5)}
    assert counts == {0.0: other, 0.5: other | {"confidence below 0.5": 1}}
    assert len(labels.kept(0.5)) + sum(counts[0.5].values()) == len(labels.labels) + 2


def test_training_takes_every_label_that_is_kept(transcriber: Transcriber, untranscribed: Path) -> None:
    labelling.write_labels(
        labelling.label_corpus(CtcLabeller(transcriber), f"folder:{untranscribed}"), untranscribed / "labels.jsonl"
    )
    rules = recipe.Text(foreign="spell")
    split = read_scored_split(f"manifest:{untranscribed / 'labels.jsonl'}", rules, Reading())
    assert (len(split.examples), split.dropped) == (3, {})


def test_where_nothing_is_sure_enough_nothing_is_written(tmp_path: Path) -> None:
    labels = Labels("a:b", (heard(0.25),), {})
    with pytest.raises(
        CorpusError, match=r"confidence below 0\.3: 1; highest confidence 0\.250\): lower --min-confidence"
    ):
        labelling.write_labels(labels, tmp_path / "labels.jsonl", 0.3)
    with pytest.raises(InputError, match="between 0 and 1"):
        labelling.write_labels(labels, tmp_path / "labels.jsonl", 30)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("count", [10, 11, 25])
def test_deciles_hold_every_transcribed_utterance_once_in_rising_confidence(count: int) -> None:
    random = np.random.default_rng(count)
    labels = [heard(float(random.random()), "말소리"[: 1 + i % 3], "말소리") for i in range(count)]
    parts = labelling.deciles([*labels, heard(0.5, reference="")])
    assert len(parts) == 10
    assert sum(part.utterances for part in parts) == count
    assert [part.low for part in parts] == sorted(part.low for part in parts)
    for part in parts:
        above = [metrics.characters(each.reference, each.text) for each in labels if each.confidence >= part.low]
        assert part.cer_from_here == pytest.approx(sum(above, metrics.ErrorCounts()).rate)
    errors = sum(part.cer * part.utterances for part in parts)  # references are of one length
    assert errors == pytest.approx(count * parts[0].cer_from_here)


@pytest.mark.parametrize("count", [0, 9])
def test_fewer_than_ten_utterances_are_no_deciles(count: int) -> None:
    assert labelling.deciles([heard(0.5)] * count) == []


def test_a_corpus_whose_audio_lies_in_no_files_is_refused(
    transcriber: Transcriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    utterance = Utterance(id="1", audio=lambda: b"", text="", speaker=None, seconds=1.0)
    monkeypatch.setattr(labelling, "read_corpus", lambda *_, **__: Corpus("hub:a/b", (utterance,), ()))
    with pytest.raises(CorpusError, match="save the clips as files"):
        labelling.label_corpus(CtcLabeller(transcriber), "hub:a/b")


class Said:
    """A labeller that says what it is told to, whatever it is given."""

    heldout = ""
    spell = True
    chunk = 2

    def __init__(self, *found: Recognised):
        self.found = iter(found)

    def recognise(self, waves: Sequence[np.ndarray]) -> list[Recognised]:
        return [next(self.found) for _ in waves]


def test_a_second_model_confirms_what_it_recognises_itself(transcriber: Transcriber, untranscribed: Path) -> None:
    own = [transcriber(clip(samples)).text for samples in LENGTHS]
    said = Said(
        Recognised(own[0], 0.9),
        Recognised("말" + own[1], 0.8),
        Recognised(own[2], 0.7, "no speech"),
        Recognised("", 0.0),
    )
    seen: list[tuple[int, int]] = []
    labels = labelling.label_corpus(
        said, f"folder:{untranscribed}", confirm=transcriber, on_progress=lambda *pair: seen.append(pair)
    )
    same, longer, doubted, silent = labels.labels
    assert (same.disagreement, doubted.disagreement, silent.disagreement) == (0, None, None)
    letters = len(normalise(own[1], spell=True).replace(" ", ""))
    assert longer.disagreement == pytest.approx(1 / (letters + 1))
    assert seen == [(2, 4), (4, 4)]
    reasons = {"no speech": ["c"], "nothing recognised": ["silence"]}
    assert labels.kept(0.0, 0.0) == [same]
    assert labels.dropped(0.0, 0.0) == reasons | {"not confirmed within CER 0": ["b"]}
    assert labels.kept(0.0, 1.0) == [same, longer]
    assert labels.dropped(0.0, 1.0) == labels.dropped(0.0) == reasons
    out = untranscribed / "labels.jsonl"
    labelling.write_labels(labels, out, 0.0, 1.0)
    records = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [record["disagreement"] for record in records] == [0, round(1 / (letters + 1), 4)]
    with pytest.raises(CorpusError, match=r"lower --min-confidence, raise --agree-cer, or use a better model"):
        labelling.write_labels(labels, out, 0.95)


def test_levels_of_agreement_say_what_each_would_keep_at_which_error_rate() -> None:
    def confirmed(disagreement: float | None, text: str) -> Label:
        return replace(heard(0.5, text, "가나 다라"), disagreement=disagreement)

    labels = [confirmed(0.0, "가나다라"), confirmed(0.1, "가 나 다 마"), confirmed(2.0, "하"), confirmed(None, "하")]
    found = labelling.agreements([*labels, replace(heard(0.5, reference=""), disagreement=0.0)])
    assert [(each.level, each.utterances) for each in found] == [
        (0, 1), (0.05, 1), (0.1, 2), (0.2, 2), (0.3, 2), (0.5, 2), (math.inf, 3)
    ]  # fmt: skip
    assert [each.cer for each in found[::3]] == [0, 1 / 8, 5 / 12]
    assert labelling.agreements([labels[3]]) == []


def test_the_error_rate_without_spaces_is_that_of_the_transcribed_alone() -> None:
    assert labelling.cer_no_space([heard(0.5, "가 나", "가나"), heard(0.5, "다", "라")]) == pytest.approx(1 / 3)
    assert labelling.cer_no_space([heard(0.5, reference="")]) is None


def test_doubted_labels_are_in_no_decile() -> None:
    labels = [heard(0.5)] * 10
    assert sum(part.utterances for part in labelling.deciles([*labels, replace(heard(0.1), doubt="no speech")])) == 10


def test_a_held_out_rule_that_is_given_comes_before_that_of_the_recipe(
    transcriber: Transcriber, tiny_speech: Path
) -> None:
    spec = f"manifest:{tiny_speech / 'train.jsonl'}#test"
    with pytest.raises(CorpusError, match="has no splits"):
        labelling.label_corpus(CtcLabeller(transcriber), spec)
    labels = labelling.label_corpus(CtcLabeller(transcriber), spec, reading=Reading(heldout="every 3rd speaker"))
    assert len({label.utterance.speaker for label in labels.labels}) == 1


def test_whispers_labels_go_through_the_command_with_counts_of_what_each_filter_dropped(
    whisper: StandIn,
    exported: Path,
    tiny_speech: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whisper.segments = [Segment("세 시 5분")]
    corpus, out = f"manifest:{tiny_speech}/train.jsonl", tmp_path / "labels.jsonl"
    command = ("label", f"whisper:{whisper.folder}", corpus, "--out", out, "--allow-outside")
    code, printed, _ = call(capsys, monkeypatch, *command)
    assert code == 0
    assert f"{out}: 18 of 18 utterances" in printed
    assert "CER, no spaces: " in printed
    assert {json.loads(line)["text"] for line in out.read_text(encoding="utf-8").splitlines()} == {"세 시 오 분"}
    code, printed, _ = call(capsys, monkeypatch, *command, "--agree", exported, "--agree-cer", "1000")
    assert code == 0
    assert "agreement to CER  utterances  CER, no spaces" in printed
    assert len(printed.split("agreement to CER")[1].splitlines()) >= 3
    code, _, error = call(capsys, monkeypatch, *command, "--agree", exported, "--lm", "none")
    assert code == 2
    assert "not confirmed within CER 0.2: 18" in error
    code, _, error = call(capsys, monkeypatch, *command, "--agree", exported, "--lm", tmp_path / "absent.arpa")
    assert code == 2
    assert "absent.arpa" in error
    whisper.segments = [Segment("시청해주셔서 감사합니다", no_speech_prob=0.9)]
    code, _, error = call(capsys, monkeypatch, *command)
    assert code == 2
    assert "no label can be kept (no speech (probability above 0.6): 18" in error


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--agree-cer", "0.1"), "--agree-cer has no effect alone: add --agree MODEL"),
        (
            ("--beam", "8"),
            "--lm and --beam have no effect on Whisper, which searches by itself: drop them, or add --agree",
        ),
        (("--lm", "x.arpa"), "--lm and --beam have no effect on Whisper"),
    ],
)
def test_options_that_would_have_no_effect_are_refused(
    options: tuple[str, ...],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    command = ("label", "whisper:base", "folder:x", "--out", tmp_path / "labels.jsonl")
    code, _, error = call(capsys, monkeypatch, *command, *options)
    assert code == 2
    assert message in error


def test_the_first_ten_clips_that_are_dropped_are_named_with_their_reasons(
    exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    soundfile.write(tmp_path / "whole.flac", clip(32_000), 16_000)
    for number in range(12):
        (tmp_path / f"bad{number:02}.wav").write_bytes(b"no audio")
    content = (tmp_path / "whole.flac").read_bytes()
    (tmp_path / "cut.flac").write_bytes(content[: len(content) // 2])
    (tmp_path / "short.wav").write_bytes(b"")
    code, printed, _ = call(
        capsys, monkeypatch, "label", exported, f"folder:{tmp_path}", "--out", tmp_path / "labels.jsonl"
    )
    assert code == 0
    named = ", ".join(f"bad{number:02}" for number in range(10))
    assert f"dropped, audio unreadable: 14 ({named}, ...)" in printed


def test_the_command_prints_deciles_and_counts_and_needs_no_torch(
    exported: Path, tiny_speech: Path, tmp_path: Path
) -> None:
    script = "import sys; sys.modules['torch'] = None; from distilhubert_ko.cli.main import main; main()"
    arguments = ["label", exported, f"manifest:{tiny_speech}/train.jsonl", "--out", tmp_path / "labels.jsonl"]
    done = subprocess.run([sys.executable, "-c", script, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    header, *rows = done.stdout.splitlines()
    assert header.split() == "confidence from utterances CER CER from here up".split()
    assert [len(row.split()) for row in rows[:10]] == [4] * 10
    kept = len((tmp_path / "labels.jsonl").read_text(encoding="utf-8").splitlines())
    assert rows[10].startswith(f"{tmp_path / 'labels.jsonl'}: {kept} of 18 utterances, 0.0")
