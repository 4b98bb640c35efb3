"""AI Hub's marks in transcripts: what they say, and what is not sure enough to be learnt."""

import unicodedata

import pytest

from distilhubert_ko.text import annotations
from distilhubert_ko.text.annotations import Transcript, UnclearTranscriptError, find_annotation, read_annotated


@pytest.mark.parametrize(
    ("annotated", "spoken", "written"),
    [
        ("b/ 아/ 모+ 몬 소리야 (70%)/(칠 십 퍼센트) n/", "아 모 몬 소리야 칠 십 퍼센트", "아 모 몬 소리야 70%"),
        ("(70%) / (칠십 퍼센트)가", "칠십 퍼센트가", "70%가"),
        ("(1시)/(한 시)에서 (2시)/(두 시)까지", "한 시에서 두 시까지", "1시에서 2시까지"),
        ("(b/ 70%)/(b/ 칠십 퍼센트)", "칠십 퍼센트", "70%"),
        ("(뭐)/(모)+ (뭐)/(모)/ 그래", "모 모 그래", "뭐 뭐 그래"),
        # Some corpora put what was said first; between two Hangul sides, the second was said.
        ("(칠십)/(70)이다", "칠십이다", "70이다"),
        ("(@유튜브)/(@YouTube) 봐", "유튜브 봐", "YouTube 봐"),
    ],
)  # fmt: skip
def test_a_dual_transcript_gives_what_was_said_and_how_it_is_written(annotated: str, spoken: str, written: str) -> None:
    assert read_annotated(annotated) == Transcript(spoken, written)
    assert read_annotated(unicodedata.normalize("NFD", annotated)) == Transcript(spoken, written)
    assert find_annotation(annotated)


@pytest.mark.parametrize(
    ("annotated", "spoken"),
    [
        ("b/ 안녕", "안녕"),
        ("b/안녕", "안녕"),
        ("안녕 l/", "안녕"),
        ("안녕o/", "안녕"),
        ("안녕n/하세요", "안녕하세요"),
        ("b/ o/ 그래 u/ 뭐", "그래 뭐"),
        ("b/o/그래", "그래"),
        ("ｎ／ 그래", "그래"),
        ("그래. b/", "그래."),
        ("u/", ""),
        ("(FP:음) 그래 (SN:기침) 뭐 (NO:)", "음 그래 뭐"),
    ],
)
def test_noise_marks_go_and_take_no_word_with_them(annotated: str, spoken: str) -> None:
    assert read_annotated(annotated).spoken == spoken
    assert find_annotation(annotated)


@pytest.mark.parametrize(
    ("annotated", "spoken"),
    [
        ("아/, 몬 소리야", "아, 몬 소리야"),
        ("아/그래", "아 그래"),
        ("그+ 그래", "그 그래"),
        ("그 +그래", "그 그래"),
        ("그+그래", "그 그래"),
        ("시간* *없어", "시간 없어"),
        ("PC+ PC방", "PC PC방"),
        ("그래 {laughing} 뭐", "그래 뭐"),
    ],
)
def test_words_that_are_fillers_repeated_or_unclear_stay(annotated: str, spoken: str) -> None:
    assert read_annotated(annotated).spoken == spoken


@pytest.mark.parametrize("text", ["24/7 해", "시속 30km/h", "TCP/IP", "1+1 행사", "3*4", "and/or", "남/여 KBS N"])
def test_slashes_and_signs_of_real_text_stay(text: str) -> None:
    assert read_annotated(text).written in (text, text.replace("남/여", "남 여"))
    assert find_annotation(text) == ""


@pytest.mark.parametrize(
    ("annotated", "reason"),
    [
        ("((70)%)/(칠십)", annotations.BROKEN),
        ("(70%)/칠십 퍼센트)", annotations.BROKEN),
        ("(70%)(칠십 퍼센트)", annotations.BROKEN),
        ("(70%)/(칠십", annotations.BROKEN),
        ("70%)/(칠십)", annotations.BROKEN),
        ("(1)/(일)/(하나)", annotations.BROKEN),
        ("(웃음) 그래", annotations.BROKEN),
        ("(70%)/()", annotations.SIDE),
        ("( )/(칠십)", annotations.SIDE),
        ("o/x 퀴즈", annotations.SLASH),
        ("n/1 하자", annotations.SLASH),
        ("b/14개월", annotations.SLASH),
        ("N/ 그래", annotations.SLASH),
        ("TVn/ 봤어", annotations.SLASH),
        ("Web/앱", annotations.SLASH),
        ("그래 / 저래", annotations.SLASH),
        ("&name1& 씨", annotations.HIDDEN),
        ("#@이름# 씨", annotations.HIDDEN),
        ("@이름1 씨", annotations.HIDDEN),
        ("[박수] 그래", annotations.HIDDEN),
        ("(SP:떡) 떡", annotations.TAG),
    ],
)
def test_what_is_not_sure_is_named_and_not_learnt(annotated: str, reason: str) -> None:
    with pytest.raises(UnclearTranscriptError, match=reason):
        read_annotated(annotated)


@pytest.mark.parametrize(
    "text", ["", "(웃음) 정말요?", "O/X 퀴즈", "n/a", "사과/ 배", "별 * 셋", "서울(Seoul)은", "가 + 나"]
)
def test_a_plain_transcript_is_not_taken_for_an_annotated_one(text: str) -> None:
    assert find_annotation(text) == ""
