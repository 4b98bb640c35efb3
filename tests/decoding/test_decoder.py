"""What Transcriber and report make of language models, and the folder that carries one."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from huggingface_hub.utils import filter_repo_objects

from distilhubert_ko import model_folder
from distilhubert_ko.decoding import beam, ctc, kneser_ney
from distilhubert_ko.decoding import decoder as decoding
from distilhubert_ko.decoding import language_model as lm
from distilhubert_ko.decoding.decoder import Decoder
from distilhubert_ko.decoding.language_model import LmWeights
from distilhubert_ko.decoding.pruning import BeamOptions
from distilhubert_ko.errors import CorpusError, InputError, MissingExtraError, ModelError
from distilhubert_ko.evaluation import report, tuning
from distilhubert_ko.export import exporting
from distilhubert_ko.recognition.transcriber import Transcriber
from distilhubert_ko.recognition.transcript import Transcript
from distilhubert_ko.text.tokenizer import Tokenizer
from distilhubert_ko.training import splice
from tests.support.command import call
from tests.support.model import SYLLABLES, clip

pytest.importorskip("kenlm", reason="KenLM, of the extra lm, is not installed")

TEXTS = ["나무 바다", "하늘 구름", "별빛 강물", "바다 나무 하늘", "강물 구름 별빛"]
KNOWN = Tokenizer.from_texts(TEXTS, "syllables")


@pytest.fixture(scope="module")
def arpa(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model over syllables."""
    path = tmp_path_factory.mktemp("lm") / "lm.arpa"
    sentences = [[lm.BOUNDARY if character == " " else character for character in text] for text in TEXTS]
    return kneser_ney.write_arpa(kneser_ney.train_ngrams(sentences, 3), path)


@pytest.fixture
def folder(exported: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported, tmp_path / "model"))


def test_a_recording_in_pieces_and_its_whole_matrix_give_one_transcript(exported: Path, arpa: Path) -> None:
    transcriber = Transcriber(exported, threads=1, lm=arpa, hotwords=["나무"])
    wave = clip(700_000)  # several windows
    (matrix,) = transcriber.log_probs([wave])
    result = transcriber(wave)
    assert result == transcriber.transcript(matrix, len(wave))
    assert result.text != Transcriber(exported, threads=1)(wave).text
    assert all(0 < word.confidence <= 1 and word.start < word.end <= result.seconds for word in result.words)


def test_a_decoder_with_other_hot_words_keeps_the_rest_and_leaves_the_first_as_it_was(
    exported: Path, arpa: Path
) -> None:
    (matrix,) = Transcriber(exported, threads=1).log_probs([clip(80_000)])
    plain = Decoder(SYLLABLES, exported, lm=arpa, beam=20)
    before = plain.decode([matrix])
    hot = Decoder(SYLLABLES, exported, lm=arpa, beam=20, hotwords=["하하타"])
    assert plain.with_hotwords(["하하타"]).decode([matrix]) == hot.decode([matrix]) != before
    assert plain.with_hotwords(["하하타"]).record() == hot.record()
    assert plain.decode([matrix]) == before


def test_without_a_model_any_beam_is_the_greedy_transcript(exported: Path) -> None:
    greedy = Transcriber(exported, threads=1)
    for width in (1, 20):
        transcriber = Transcriber(exported, threads=1, beam=width)
        assert transcriber(clip(40_000)) == greedy(clip(40_000))
        assert transcriber.decoder.record() == decoding.GREEDY_RECORD


def test_greedy_decoding_is_a_hypothesis_like_others(exported: Path) -> None:
    transcriber = Transcriber(exported, threads=1)
    (matrix,) = transcriber.log_probs([clip(40_000)])
    (found,) = transcriber.decoder.decode([matrix[:50], matrix[50:]])
    assert list(found.tokens) == ctc.greedy(matrix, transcriber.tokenizer.blank_id)


def test_alternatives_are_other_texts_in_falling_order_and_in_the_json(exported: Path, arpa: Path) -> None:
    result = Transcriber(exported, threads=1, lm=arpa, n_best=4)(clip(40_000))
    scores = [each.score for each in result.alternatives]
    assert len(scores) == len({result.text, *(each.text for each in result.alternatives)}) - 1 == 3
    assert [0, *scores] == sorted([0, *scores], reverse=True)
    written = json.loads(result.to_json())
    assert [each["text"] for each in written["alternatives"]] == [each.text for each in result.alternatives]
    assert "alternatives" not in json.loads(Transcript((), 1.0).to_json())


def test_no_text_is_its_own_alternative(exported: Path) -> None:
    """Two hypotheses may spell one text: a second space in a row says nothing."""
    blank, space = SYLLABLES.blank_id, SYLLABLES.delimiter_id
    first, last, other = SYLLABLES.encode("가나다")
    probabilities = np.full((5, len(SYLLABLES)), 1e-6)
    frames = [{first: 1.0}, {space: 1.0}, {blank: 0.6, space: 0.4}, {space: 1.0}, {last: 0.9, other: 0.1}]
    for row, likely in zip(probabilities, frames, strict=True):
        row[[*likely]] = [*likely.values()]
    options = BeamOptions(n_best=3)
    labels = [[token.id for token in each.tokens] for each in beam.search_beam(np.log(probabilities), options)]
    assert labels[:2] == [[first, space, space, last], [first, space, last]]
    found = Decoder(SYLLABLES, exported, n_best=2).decode([np.log(probabilities)])
    assert [SYLLABLES.decode(token.id for token in each.tokens) for each in found] == ["가 나", "가 다"]


# The folder that carries a model


def test_a_model_folder_carries_its_language_model_and_weights(folder: Path, arpa: Path) -> None:
    chosen = LmWeights(0.45, 1.25, -2.0)
    installed = decoding.install_language_model(folder, arpa, chosen)
    assert installed == folder / "language_model" / "lm.arpa"
    assert installed.read_bytes() == arpa.read_bytes()
    attrs = json.loads((folder / "language_model" / "attrs.json").read_text())
    assert attrs == {"alpha": 0.45, "beta": 1.25, "unk_score_offset": -2.0, "score_boundary": True}
    transcriber = Transcriber(folder, threads=1)
    assert transcriber.decoder.weights == chosen
    record = {"beam": transcriber.decoder.options.width, "lm": "lm.arpa", "lm_order": 3, "alpha": 0.45, "beta": 1.25}
    assert transcriber.decoder.record() == record
    assert Transcriber(folder, threads=1, lm="none").decoder.record() == decoding.GREEDY_RECORD


def test_another_language_model_takes_the_place_of_the_one_before(folder: Path, arpa: Path, tmp_path: Path) -> None:
    decoding.install_language_model(folder, arpa, LmWeights())
    other = Path(shutil.copy(arpa, tmp_path / "other.arpa"))
    decoding.install_language_model(folder, other, LmWeights(0.1, 0.2))
    assert sorted(path.name for path in (folder / "language_model").iterdir()) == ["attrs.json", "other.arpa"]
    installed = decoding.carried_language_model(folder)
    assert installed is not None
    decoding.install_language_model(folder, installed, LmWeights(0.3, 0.4))  # itself, with other weights
    assert decoding.read_lm_weights(lm.LanguageModel(installed)) == LmWeights(0.3, 0.4)
    assert installed.read_bytes() == arpa.read_bytes()


@pytest.mark.parametrize("name", ["mine.arpa", "attrs.json", "unigrams.txt", "notes/a.txt"])
def test_a_language_model_that_somebody_put_into_the_folder_stays(
    name: str, folder: Path, arpa: Path, tmp_path: Path
) -> None:
    place = folder / "language_model" / name
    place.parent.mkdir(parents=True)
    place.write_text('{"alpha": 0.123}', encoding="utf-8")
    for refuse in (decoding.check_installable, lambda *given: decoding.install_language_model(*given, LmWeights())):
        with pytest.raises(InputError, match=f"holds {name}, which this program did not write"):
            refuse(folder, arpa)
    assert [path for path in (folder / "language_model").rglob("*") if path.is_file()] == [place]
    assert place.read_text(encoding="utf-8") == '{"alpha": 0.123}'


def test_somebodys_language_model_gets_weights_where_it_lies(folder: Path, arpa: Path) -> None:
    place = folder / "language_model" / "lm.arpa"
    place.parent.mkdir()
    place.write_bytes(arpa.read_bytes() + b"\n")
    assert decoding.install_language_model(folder, place, LmWeights(0.3, 0.4)) == place
    assert decoding.read_lm_weights(lm.LanguageModel(place)) == LmWeights(0.3, 0.4)


def test_the_list_of_words_beside_a_model_comes_and_goes_with_it(folder: Path, arpa: Path, tmp_path: Path) -> None:
    words = tmp_path / "words.bin"
    ngrams = kneser_ney.train_ngrams([text.split() for text in TEXTS], 2)
    shutil.copy(kneser_ney.write_arpa(ngrams, tmp_path / "words.arpa"), words)
    (tmp_path / lm.UNIGRAMS).write_text("나무\n바다\n", encoding="utf-8")
    installed = decoding.install_language_model(folder, words, LmWeights())
    assert lm.LanguageModel(installed).begins == {"나", "나무", "바", "바다"}
    decoding.install_language_model(folder, arpa, LmWeights())
    assert sorted(path.name for path in (folder / "language_model").iterdir()) == ["attrs.json", "lm.arpa"]


def test_a_language_model_that_the_folder_would_not_be_found_to_carry_is_refused(
    folder: Path, arpa: Path, tmp_path: Path
) -> None:
    other = Path(shutil.copy(arpa, tmp_path / "lm.txt"))
    with pytest.raises(InputError, match=r"ends in \.arpa or \.bin"):
        decoding.install_language_model(folder, other, LmWeights())
    assert not (folder / "language_model").exists()
    with pytest.raises(InputError, match="name one"):
        decoding.check_installable(tmp_path / "owner" / "name", arpa)


def test_what_attrs_json_leaves_out_is_as_untuned(arpa: Path) -> None:
    attrs = arpa.with_name("attrs.json")
    attrs.write_text('{"alpha": 0.25}')
    try:
        assert decoding.read_lm_weights(lm.LanguageModel(arpa)) == LmWeights(alpha=0.25)
    finally:
        attrs.unlink()


def test_a_hub_gives_all_that_a_folder_carries() -> None:
    names = [
        f"{model_folder.LANGUAGE_MODEL}/{name}"
        for name in ("lm.arpa", "5gram.bin", "5gram.binary", "attrs.json", lm.UNIGRAMS)
    ]
    assert [*filter_repo_objects(names, allow_patterns=model_folder.PATTERNS)] == names


def test_a_named_language_model_comes_before_the_folders_own(folder: Path, arpa: Path, tmp_path: Path) -> None:
    decoding.install_language_model(folder, arpa, LmWeights(0.1, 0.2))
    other = Path(shutil.copy(arpa, tmp_path / "other.arpa"))
    assert Transcriber(folder, threads=1, lm=other).decoder.record()["lm"] == "other.arpa"


def test_pyctcdecodes_folder_is_read(folder: Path, tmp_path: Path) -> None:
    path = folder / "language_model" / "5gram.arpa"
    kneser_ney.write_arpa(kneser_ney.train_ngrams([text.split() for text in TEXTS], 2), path)
    attrs = {"alpha": 0.5, "beta": 1.5, "unk_score_offset": -10.0, "score_boundary": True}
    (folder / "language_model" / "attrs.json").write_text(json.dumps(attrs))
    (folder / "language_model" / "unigrams.txt").write_text("\n".join(sorted({*" ".join(TEXTS).split()})))
    decoder = Transcriber(folder, threads=1).decoder
    assert decoder.model is not None
    assert decoder.model.of_words
    assert decoder.weights == LmWeights(0.5, 1.5, -10.0)


def test_what_cannot_be_used_is_refused(folder: Path, arpa: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such language model"):
        Transcriber(folder, threads=1, lm=tmp_path / "missing.arpa")
    with pytest.raises(InputError, match="beam width 0"):
        Transcriber(folder, threads=1, beam=0)
    decoding.install_language_model(folder, arpa, LmWeights())
    (folder / "language_model" / "attrs.json").write_text('{"alpha": "much"}')
    with pytest.raises(ModelError, match="tune them again"):
        Transcriber(folder, threads=1)
    shutil.copy(arpa, folder / "language_model" / "second.bin")
    with pytest.raises(ModelError, match="several language models"):
        Transcriber(folder, threads=1)


def test_without_kenlm_the_extra_is_named(folder: Path, arpa: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kenlm", None)
    with pytest.raises(MissingExtraError, match=r"distilhubert-ko\[lm\]"):
        Transcriber(folder, threads=1, lm=arpa)
    assert Transcriber(folder, threads=1, hotwords=["나무"])(clip(8000)).seconds == 0.5


def test_what_decodes_nothing_does_without_the_language_model_of_a_folder(
    folder: Path, arpa: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    decoding.install_language_model(folder, arpa, LmWeights())
    monkeypatch.setitem(sys.modules, "kenlm", None)
    assert splice.read_or_find_cuts(tmp_path / splice.CUTS, str(folder), []) == []
    soundfile.write(tmp_path / "clip.wav", clip(16_000), 16_000)
    (tmp_path / "text.txt").write_text("가나", encoding="utf-8")
    code, out, _ = call(
        *(capsys, monkeypatch, "align", tmp_path / "clip.wav", tmp_path / "text.txt", "--model", folder),
    )
    assert code == 0
    assert "가나" in out


def test_an_exported_folder_carries_the_language_model_on(folder: Path, arpa: Path, tmp_path: Path) -> None:
    decoding.install_language_model(folder, arpa, LmWeights(0.4, 1.5))
    exporting.export_folder(folder, tmp_path / "out")
    transcriber = Transcriber(tmp_path / "out", threads=1)
    assert transcriber.decoder.record() == Transcriber(folder, threads=1).decoder.record()
    assert transcriber(clip(8000)).text == Transcriber(folder, threads=1)(clip(8000)).text


# Reports


def test_a_report_says_how_it_was_decoded(folder: Path, arpa: Path, tiny_speech: Path, tmp_path: Path) -> None:
    spec = f"manifest:{tiny_speech}/dev.jsonl"
    with_lm = report.evaluate_model(Transcriber(folder, threads=1, lm=arpa, beam=7), spec)
    assert with_lm.decoding["lm"] == "lm.arpa"
    assert with_lm.decoding["beam"] == 7
    report.save_report(with_lm, tmp_path / model_folder.REPORT)
    assert report.load_report(tmp_path).decoding == with_lm.decoding
    table = json.loads((tmp_path / model_folder.REPORT).read_text())
    del table["decoding"]  # as reports once were
    (tmp_path / model_folder.REPORT).write_text(json.dumps(table))
    assert report.load_report(tmp_path).decoding == decoding.GREEDY_RECORD


# Tuning


def heard(size: int = 12) -> tuning.RecognisedCorpus:
    """Matrices in which every syllable is a little likelier to be another one than the one of the reference."""
    rng = np.random.default_rng(0)
    references, matrices = [], []
    for index in range(size):
        text = TEXTS[index % len(TEXTS)]
        frames = []
        for character in text:
            token = KNOWN.encode(character)[0]
            frame = rng.dirichlet(np.full(len(KNOWN), 0.05)) + 1e-4
            frame[token] += 0.3
            frames += [frame / frame.sum(), np.eye(len(KNOWN))[KNOWN.blank_id] * 0.99 + 1e-4]
        references.append(text)
        matrices.append(np.log(np.array(frames)).astype(np.float32))
    return tuning.RecognisedCorpus(tuple(references), tuple(matrices))


def test_tuning_tries_a_grid_and_then_around_the_best_and_each_once(arpa: Path) -> None:
    shown: list[tuning.WeightTrial] = []
    options = BeamOptions(width=4)
    corpus, model = heard(), lm.LanguageModel(arpa)
    trials = tuning.tune_weights(corpus, KNOWN, model, options, shown.append)
    assert trials == shown
    pairs = [(trial.weights.alpha, trial.weights.beta) for trial in trials]
    assert len(set(pairs)) == len(pairs)
    assert {(alpha, beta) for alpha in tuning.ALPHAS for beta in tuning.BETAS} <= {*pairs}
    assert len(pairs) > len(tuning.ALPHAS) * len(tuning.BETAS)
    best = tuning.best_trial(trials)
    assert best.cer == min(trial.cer for trial in trials)
    assert best.cer == tuning.error_rate(corpus, KNOWN, model, best.weights, options)
    assert best.cer < tuning.error_rate(corpus, KNOWN, None, LmWeights(), options)


@pytest.mark.parametrize("spec", ["zeroth:x#test", "hub:a/b#test_clean", "librispeech:x#Test-other"])
def test_weights_are_not_tuned_on_a_test_split(spec: str) -> None:
    with pytest.raises(CorpusError, match="test split"):
        tuning.refuse_test_split(spec)


def test_a_sample_is_drawn_from_a_long_corpus(
    exported: Path, tiny_speech: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    transcriber = Transcriber(exported, threads=1)
    split = report.read_evaluation_split(exported, f"manifest:{tiny_speech}/train.jsonl")
    assert len(tuning.recognise_split(transcriber, split).references) == 18
    monkeypatch.setattr(tuning, "SPEECH", 5.0)
    drawn = tuning.recognise_split(transcriber, split)
    assert 3 <= len(drawn.references) == len(drawn.log_probs) <= 5
    assert {*drawn.references} <= {example.text for example in split.examples}


# Commands


def test_lm_trains_on_text_files_and_counts_what_it_leaves_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = tmp_path / "one.txt", tmp_path / "two.txt"
    one.write_text("나무가 3그루 있다.\n\n漢字\n", encoding="utf-8")
    two.write_text("하늘 구름\nㅋㅋ\n" * 3, encoding="utf-8")
    code, out, err = call(capsys, monkeypatch, "lm", one, two, "--out", tmp_path / "lm.arpa", "--order", "2")
    assert code == 0
    assert "n-grams of 1 to 2 syllables" in out
    assert "left out, empty: 1" in err
    assert "left out, with characters that are not Hangul: 4" in err
    model = lm.LanguageModel(tmp_path / "lm.arpa")
    assert not model.of_words
    assert all(unit in model for unit in "세그루하늘|")  # 3 is spelled out
    assert "3" not in model
    code, out, _ = call(capsys, monkeypatch, "lm", two, "--out", tmp_path / "words.arpa", "--units", "words")
    assert "n-grams of 1 to 3 words" in out
    assert lm.LanguageModel(tmp_path / "words.arpa").of_words


def test_evaluate_and_transcribe_take_a_language_model(
    exported: Path,
    arpa: Path,
    tiny_speech: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    code, _, _ = call(
        *(capsys, monkeypatch, "evaluate", exported, f"manifest:{tiny_speech}/dev.jsonl"),
        *("--lm", arpa, "--beam", "3", "--json", tmp_path / "r.json"),
    )
    assert code == 0
    assert json.loads((tmp_path / "r.json").read_text())["decoding"]["beam"] == 3
    wave = next(tiny_speech.glob("*.wav"))
    code, _, _ = call(
        *(capsys, monkeypatch, "transcribe", wave, "--model", exported, "--lm", arpa, "--hotword", "나무"),
        *("--n-best", "3", "-f", "json", "-o", tmp_path),
    )
    assert code == 0
    assert len(json.loads((tmp_path / f"{wave.stem}.json").read_text())["alternatives"]) == 2
    code, _, err = call(capsys, monkeypatch, "transcribe", wave, "--model", exported, "--lm", tmp_path / "x.arpa")
    assert code == 2
    assert "no such language model" in err


def test_tune_prints_its_trials_and_refuses_the_test_split(
    folder: Path,
    arpa: Path,
    tiny_speech: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tuning, "ALPHAS", (0.0, 0.5))
    monkeypatch.setattr(tuning, "BETAS", (0.0, 1.0))
    monkeypatch.setattr(tuning, "HALVINGS", 0)
    rates = [0.6, 0.5, 0.25, 0.75, 1.0]  # greedy first
    trials = iter(rates)
    monkeypatch.setattr(tuning, "error_rate", lambda *_: next(trials))
    corpus = f"manifest:{tiny_speech}/dev.jsonl"
    code, out, _ = call(capsys, monkeypatch, "tune", folder, corpus, "--lm", arpa, "--beam", "2", "--save")
    assert code == 0
    assert [line.split()[-1] for line in out.splitlines()[2:7]] == [f"{rate:.4f}" for rate in rates]
    assert "best: alpha 0, beta 1: CER 0.2500" in out
    assert Transcriber(folder, threads=1).decoder.weights == LmWeights(0.0, 1.0)
    code, _, err = call(capsys, monkeypatch, "tune", folder, f"{corpus}#test", "--lm", arpa)
    assert code == 2
    assert "test split" in err


def test_a_language_model_that_does_not_help_is_not_saved(
    folder: Path,
    arpa: Path,
    tiny_speech: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tuning, "error_rate", lambda *_: 0.5)
    corpus = f"manifest:{tiny_speech}/dev.jsonl"
    code, _, err = call(capsys, monkeypatch, "tune", folder, corpus, "--lm", arpa, "--save")
    assert code == 2
    assert "does not lower the CER" in err
    assert Decoder(SYLLABLES, folder).greedy
