import json
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from distilhubert_ko.data.corpora import Problem, listing_files, read_corpus
from distilhubert_ko.data.reading import Reading
from distilhubert_ko.errors import CorpusError
from tests.data.readers.annotated_speech import (
    SENTENCES,
    annotated,
    prepared_trained_and_evaluated,
    write_audio,
    write_list,
)
from tests.support.road import travel
from tests.support.speech import tones


def free_talk(text: str, name: str, speaker: str) -> dict[str, Any]:
    return {
        "발화정보": {"stt": text, "fileNm": f"{name}.wavp", "recrdTime": "1.0", "recrdQuality": "16K"},
        "대화정보": {"convrsThema": "일상"},
        "녹음자정보": {"gender": "여", "recorderId": speaker},
    }


def commands(text: str, name: str, speaker: str) -> dict[str, Any]:
    return {
        "기본정보": {"NumberOfSpeaker": speaker},
        "음성정보": {"SamplingRate": "16000"},
        "전사정보": {"OrgLabelText": "대본", "TransLabelText": text},
        "화자정보": {"SpeakerName": "KJW", "Gender": "Female"},
        "파일정보": {"FileName": f"{name}.wav"},
    }


def foreigners(text: str, name: str, speaker: str) -> dict[str, Any]:
    return {"fileName": f"{name}.wav", "transcription": {"AnswerLabelText": "", "ReadingLabelText": text}}


def lectures(text: str, name: str, speaker: str) -> dict[str, Any]:
    return {
        "01_dataset": {"1_identifier": name},
        "03_speakerinfo": {"1_id": speaker, "2_gender": "여성"},
        "04_transcription": {"1_text": text},
    }


def welfare(text: str, name: str, speaker: str) -> dict[str, Any]:
    return {
        "info": [{"metadata": {"speaker_id": speaker, "speaker_sex": "여"}}],
        "inputText": [{"orgtext": text}],
    }


def plain(text: str, name: str, speaker: str) -> dict[str, Any]:
    return {"text": text, "speaker": speaker, "gender": "F"}


ONE_CLIP = [free_talk, commands, foreigners, lectures, welfare, plain]


def write_label(path: Path, label: Any, encoding: str = "utf-8") -> Path:
    return write_list(path, [json.dumps(label, ensure_ascii=False, indent=1)], encoding)


def parallel(root: Path, kind: Any = free_talk, suffix: str = ".wav") -> Path:
    """Audio and labels in parallel folders, as AI Hub's archives unpack."""
    for split, letter, count in (("1.Training", "T", 8), ("2.Validation", "V", 2)):
        for number in range(count):
            text, name = SENTENCES[number + len(split)], f"{letter}_{number:04d}"
            write_audio(root / split / "01.원천데이터" / f"{letter}S_1.실내" / f"{name}{suffix}", text)
            label = kind(annotated(text), name, f"{letter}{number % 2}")
            write_label(root / split / "02.라벨링데이터" / f"{letter}L_1.실내" / f"{name}.json", label)
    return root


def refused(spec: str, complaint: str, reading: Reading = Reading()) -> None:  # noqa: B008 - frozen
    with pytest.raises(CorpusError, match=complaint) as caught:
        read_corpus(spec, reading)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ONE_CLIP)
def test_each_kind_of_label_gives_text_written_form_and_speaker(tmp_path: Path, kind: Any) -> None:
    corpus = read_corpus(f"aihub:{parallel(tmp_path, kind)}#train")
    assert len(corpus.utterances) == 8
    first = corpus.utterances[0]
    text = SENTENCES[len("1.Training")]
    assert (first.id, first.text) == ("1.Training/01.원천데이터/TS_1.실내/T_0000", text)
    assert first.written == " ".join(f"{word}{number}" for number, word in enumerate(text.split(), 1))
    speakers = {commands: ("T0-KJW", "T1-KJW"), foreigners: ()}.get(kind, ("T0", "T1"))
    assert (corpus.speakers, first.gender) == (speakers, None if kind is foreigners else "f")
    assert len(read_corpus(f"aihub:{tmp_path}#dev").utterances) == 2
    refused(f"aihub:{tmp_path}#test", "no split 'test': this corpus has dev, train")


@pytest.mark.parametrize("suffix", [".wav", ".pcm", ".flac"])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "cp949"])
def test_a_label_may_lie_beside_its_audio_in_any_format(tmp_path: Path, suffix: str, encoding: str) -> None:
    audio = write_audio(tmp_path / "a" / f"1{suffix}", SENTENCES[0])
    write_label(audio.with_suffix(".json"), plain(annotated(SENTENCES[0]), "", "kim"), encoding)
    (utterance,) = read_corpus(f"aihub:{tmp_path}").utterances
    assert (utterance.id, utterance.text, utterance.speaker) == ("a/1", SENTENCES[0], "kim")
    np.testing.assert_allclose(utterance.wave(), tones(SENTENCES[0], 100), atol=1e-4)


def write_texts(home: Path) -> None:
    """Two clips with .txt labels, one with a JSON label beside that has no text; and another text."""
    for number in (1, 2):
        write_audio(home / f"KsponSpeech_{number}.pcm", SENTENCES[number])
        write_list(home / f"KsponSpeech_{number}.txt", [annotated(SENTENCES[number])], "cp949")
    write_label(home / "KsponSpeech_2.json", {"강의": {"분야": "경제"}})
    write_list(home / "readme.txt", ["KsponSpeech"])


def test_a_txt_file_beside_the_audio_is_a_label_where_no_json_has_the_text(tmp_path: Path) -> None:
    write_texts(tmp_path)
    write_audio(tmp_path / "KsponSpeech_3.pcm", SENTENCES[3])
    (tmp_path / "KsponSpeech_3.txt").write_bytes(b"\xff\xff")
    corpus = read_corpus(f"aihub:{tmp_path}")
    assert [each.text for each in corpus.utterances] == SENTENCES[1:3]
    assert corpus.problems == (Problem("KsponSpeech_3", "label unreadable"),)


def test_hidden_files_are_no_part_of_the_corpus(tmp_path: Path) -> None:
    audio = write_audio(tmp_path / "a" / "1.wav", SENTENCES[0])
    write_label(audio.with_suffix(".json"), plain(annotated(SENTENCES[0]), "", "kim"))
    for file in [*audio.parent.iterdir()]:
        file.with_name(f"._{file.name}").write_bytes(b"\0\x05\x16\x07")
    corpus = read_corpus(f"aihub:{tmp_path}")
    assert ([each.id for each in corpus.utterances], corpus.problems) == (["a/1"], ())


def test_names_in_another_form_of_hangul_are_found(tmp_path: Path) -> None:
    write_audio(tmp_path / unicodedata.normalize("NFD", "실내.wav"), SENTENCES[0])
    write_label(tmp_path / "라벨.json", free_talk("그래", "실내", "1"))
    assert read_corpus(f"aihub:{tmp_path}").utterances[0].text == "그래"


def write_sessions(home: Path) -> None:
    """Two sessions of two clips, with the same names."""
    for session in ("S01", "S02"):
        dialogs = []
        for number in (1, 2):
            text = SENTENCES[number + (10 if session == "S02" else 0)]
            write_audio(home / "원천데이터" / "TS_D60" / session / f"{number:04d}.wav", text)
            write_list(home / "라벨링데이터" / "TL_D60" / session / f"{number:04d}.txt", [text])
            path = f"KresSpeech/D60/{session}/{number:04d}.wav"
            dialogs.append({"audioPath": path, "text": annotated(text), "speaker": f"{session}고객"})
        speakers = [{"id": f"{session}고객", "gender": "남", "type": "고객"}]
        label = {"dataSet": {"typeInfo": {"speakers": speakers}, "dialogs": dialogs}}
        write_label(home / "라벨링데이터" / "TL_D60" / session / f"{session}.json", label)


def test_a_session_names_the_file_of_each_of_its_clips(tmp_path: Path) -> None:
    write_sessions(tmp_path)
    corpus = read_corpus(f"aihub:{tmp_path}")
    assert [each.text for each in corpus.utterances] == [SENTENCES[number] for number in (1, 2, 11, 12)]
    assert (corpus.speakers, corpus.utterances[0].gender) == (("S01고객", "S02고객"), "m")
    for each in corpus.utterances:
        np.testing.assert_allclose(each.wave(), tones(each.text, 100), atol=1e-4)


def write_recording(home: Path, kind: str) -> list[np.ndarray]:
    """One file with the first two sentences, whose waves are returned."""
    texts = SENTENCES[:2]
    waves = [tones(text, 100) for text in texts]
    (home / "원천데이터").mkdir()
    soundfile.write(home / "원천데이터" / "R1.wav", np.concatenate(waves), 16_000)
    ends = np.cumsum([len(wave) / 16_000 for wave in waves])
    if kind == "utterance":
        items = [
            {"form": annotated(text), "start": end - 1, "end": str(end), "speaker_id": number}
            for number, (text, end) in enumerate(zip(texts, ends, strict=True), 1)
        ]
        label = {"utterance": items, "speaker": [{"id": 1, "sex": "여성"}, {"id": 2, "sex": "남성"}]}
    else:
        items = [
            {"speakerText": annotated(text), "startTime": f"00:00:{end - 1:06.3f}", "endTime": end, "speaker": f"{n}"}
            for n, (text, end) in enumerate(zip(texts, ends, strict=True), 1)
        ]
        label = {"dialogs": items, "speakers": [{"speaker": "1", "gender": "여성"}, {"speaker": "2", "gender": "남성"}]}
    write_label(home / "라벨링데이터" / "R1.json", label)
    return waves


@pytest.mark.parametrize("kind", ["utterance", "dialogs"])
def test_a_recording_is_cut_at_the_times_of_its_label(tmp_path: Path, kind: str) -> None:
    waves = write_recording(tmp_path, kind)
    corpus = read_corpus(f"aihub:{tmp_path}")
    assert [(each.id, each.text) for each in corpus.utterances] == [
        ("원천데이터/R1-1", SENTENCES[0]),
        ("원천데이터/R1-2", SENTENCES[1]),
    ]
    assert corpus.speakers == ("R1-1", "R1-2")
    for each, wave in zip(corpus.utterances, waves, strict=True):
        np.testing.assert_allclose(each.wave(), wave, atol=1e-4)


def test_what_was_said_in_a_dialect_comes_before_the_form_with_both(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tones(SENTENCES[0], 100), 16_000)
    item = {"form": "(가쁜디)/(갑자기) 왔다", "dialect_form": "가쁜디 왔다", "standard_form": "갑자기 왔다"}
    write_label(tmp_path / "a.json", {"utterance": [item | {"start": 0.0, "end": 0.9}]})
    assert read_corpus(f"aihub:{tmp_path}").utterances[0].text == "가쁜디 왔다"


def test_a_label_is_never_paired_with_audio_of_another_session(tmp_path: Path) -> None:
    write_audio(tmp_path / "원천" / "S02" / "0001.wav", SENTENCES[1])  # the audio of S01 was not downloaded
    for session in ("S01", "S02"):
        write_label(tmp_path / "라벨" / session / "0001.json", plain(f"{session}는 그래", "", "kim"))
    corpus = read_corpus(f"aihub:{tmp_path}")
    assert [each.text for each in corpus.utterances] == ["S02는 그래"]
    assert corpus.problems == (Problem("라벨/S01/0001", "no audio that is surely its own"),)


def test_pcm_at_another_rate_is_left_out(tmp_path: Path) -> None:
    for number, rate in ((1, "16000"), (2, "8000")):
        write_audio(tmp_path / f"{number}.pcm", SENTENCES[number])
        label = commands("그래", str(number), "kim") | {"음성정보": {"SamplingRate": rate}}
        write_label(tmp_path / f"{number}.json", label)
    corpus = read_corpus(f"aihub:{tmp_path}")
    assert [each.id for each in corpus.utterances] == ["1"]
    assert corpus.problems == (Problem("2", "PCM at another rate than 16 kHz"),)


def test_labels_of_an_unknown_kind_are_refused_with_their_keys_and_what_is_wanted(tmp_path: Path) -> None:
    write_audio(tmp_path / "a.wav", SENTENCES[0])
    refused(f"aihub:{tmp_path}", "holds no JSON or .txt labels")
    label = write_label(tmp_path / "a.json", {"영상": {"자막": [{"말": "그래"}]}, "번호": 3})
    refused(
        f"aihub:{tmp_path}",
        r"a.json has no transcript .* its keys are 영상.자막\[\].말, 번호; wanted is one of 발화정보.stt, .*"
        r"dataSet.dialogs\[\].text, .*utterance\[\].dialect_form, text: .*aihub:manifest:FILE",
    )
    write_label(label, {"dialogs": [{"text": "그래", "speaker": "1"}]})
    refused(f"aihub:{tmp_path}", "a.json: utterance 1 has neither audioPath nor a start and an end in seconds")
    write_label(label, {"utterance": [{"form": "그래", "start": 0, "end": 3_500_000}]})  # ms
    refused(f"aihub:{tmp_path}", "utterance 1 has neither audioPath nor a start and an end in seconds")
    write_label(label, ["그래"])
    refused(f"aihub:{tmp_path}", "a.json holds no JSON object")
    label.write_text("{", encoding="utf-8")
    refused(f"aihub:{tmp_path}", "a.json is no JSON")
    refused("aihub:no", "there is no folder", Reading(root=tmp_path))


def test_audio_that_is_a_link_out_of_the_corpus_is_refused(tmp_path: Path) -> None:
    outside = write_audio(tmp_path / "outside.wav", SENTENCES[0])
    label = write_label(tmp_path / "corpus" / "a.json", plain("그래", "", "kim"))
    label.with_suffix(".wav").symlink_to(outside)
    refused(f"aihub:{label.parent}", "a.json names .*a.wav.*--allow-outside")


# Any other corpus


def manifest(tmp_path: Path, text: str) -> Path:
    write_audio(tmp_path / "a.wav", SENTENCES[0])
    return write_list(tmp_path / "m.jsonl", [json.dumps({"audio_filepath": "a.wav", "text": text}, ensure_ascii=False)])


@pytest.mark.parametrize("text", ["(70%)/(칠십 퍼센트) 그래", "b/ 그래", "그래o/", "(FP:음) 그래"])
def test_another_corpus_with_these_marks_is_refused_and_read_as_what_the_line_names(tmp_path: Path, text: str) -> None:
    spec = f"manifest:{manifest(tmp_path, text)}"
    refused(
        spec, r"the transcript of a has AI Hub's marks, '.*': read it as aihub:manifest:.*m\.jsonl, or .*ksponspeech:"
    )
    (utterance,) = read_corpus(f"aihub:{spec}").utterances
    assert "그래" in utterance.text
    assert "/" not in utterance.text
    assert listing_files(f"aihub:{spec}") == listing_files(spec) == [tmp_path / "m.jsonl"]


def test_a_list_may_say_itself_how_a_text_is_written(tmp_path: Path) -> None:
    row = {"audio_filepath": "a.wav", "text": "칠십 퍼센트", "written": "70%"}
    manifest(tmp_path, "").write_text(json.dumps(row), encoding="utf-8")
    for spec in (f"manifest:{tmp_path}/m.jsonl", f"aihub:manifest:{tmp_path}/m.jsonl"):
        (utterance,) = read_corpus(spec).utterances
        assert (utterance.text, utterance.written) == ("칠십 퍼센트", "70%")


def test_the_columns_of_a_list_with_these_marks_may_be_named(tmp_path: Path) -> None:
    write_audio(tmp_path / "a.wav", SENTENCES[0])
    write_list(tmp_path / "list.csv", ["녹음,대본", "a.wav,(1)/(일) 그래"])
    (utterance,) = read_corpus(f"aihub:manifest:{tmp_path}/list.csv?audio=녹음&text=대본").utterances
    assert (utterance.text, utterance.written) == ("일 그래", "1 그래")
    refused(f"aihub:{tmp_path}?text=대본", "columns are named for folder, hub, manifest, not for aihub")


def test_a_corpus_without_these_marks_is_read_either_way(tmp_path: Path) -> None:
    spec = f"manifest:{manifest(tmp_path, '사과/ 배 O/X')}"
    assert read_corpus(spec).utterances[0].text == "사과/ 배 O/X"
    write_list(tmp_path / "m.jsonl", [json.dumps({"audio_filepath": "a.wav", "text": "그래 뭐"})])
    assert read_corpus(f"aihub:{spec}").utterances[0].text == "그래 뭐"


# The road


@pytest.mark.parametrize("layout", ["parallel", "beside", "manifest"])
def test_each_layout_is_prepared_trained_on_and_evaluated(tmp_path: Path, layout: str) -> None:
    root = tmp_path / "corpus"
    train, dev = "aihub:.#train", "aihub:.#dev"
    if layout == "parallel":
        parallel(root, commands, ".pcm")
    elif layout == "beside":
        for split, numbers in (("Training", range(8)), ("Validation", range(8, 10))):
            for number in numbers:
                audio = write_audio(root / split / f"{number}.wav", SENTENCES[number])
                write_label(audio.with_suffix(".json"), plain(annotated(SENTENCES[number]), "", "kim"))
    else:
        train, dev = "aihub:manifest:train.jsonl", "aihub:manifest:dev.jsonl"
        for split, numbers in (("train", range(8)), ("dev", range(8, 10))):
            for number in numbers:
                write_audio(root / f"{number}.wav", SENTENCES[number])
            rows = [{"audio_filepath": f"{n}.wav", "text": annotated(SENTENCES[n])} for n in numbers]
            write_list(root / f"{split}.jsonl", [json.dumps(row) for row in rows])
    found = prepared_trained_and_evaluated(train, dev, root, tmp_path / "run")
    assert len(found.examples) == 8
    assert all(example.text in SENTENCES for example in found.examples)


def test_sessions_and_parts_of_recordings_and_texts_go_all_the_road(tmp_path: Path) -> None:
    homes = [tmp_path / name for name in ("sessions", "recording", "texts")]
    for home in homes:
        home.mkdir()
    write_sessions(homes[0])
    write_recording(homes[1], "dialogs")
    write_texts(homes[2])
    specs = [f"aihub:{home}" for home in homes]
    assert travel(specs, specs, tmp_path / "run")["train"].utterances == 4 + 2 + 2
