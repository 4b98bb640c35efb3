"""The files of a transcript, read back by other programs where there are any."""

import html
import io
import json
import re
from dataclasses import replace
from itertools import pairwise

import pysubs2
import pytest
import webvtt

from distilhubert_ko.cli.align import AlignmentFormat
from distilhubert_ko.cli.transcribe import OutputFormat
from distilhubert_ko.recognition.formats import (
    ALIGNMENT_FORMATS,
    FORMATS,
    SERVED_FORMATS,
    TRANSCRIPT_FORMATS,
    render_transcript,
)
from distilhubert_ko.recognition.segments import Layout
from distilhubert_ko.recognition.transcript import Transcript
from distilhubert_ko.recognition.words import Syllable, Word
from distilhubert_ko.serving.openai_replies import ResponseFormat
from tests.support.transcripts import TWO, spoken


def test_srt_has_hours_and_commas() -> None:
    assert TWO.to_srt() == (
        "1\n00:00:00,500 --> 00:00:01,750\n안녕하세요 여러분\n\n2\n00:00:03,000 --> 00:00:04,000\n반갑습니다\n"
    )
    late = spoken(("끝", 3 * 3600 + 61.5, 3 * 3600 + 62.9996))
    assert "03:01:01,500 --> 03:01:03,000" in late.to_srt()


def test_vtt_has_its_header_full_stops_and_no_markup_from_the_text() -> None:
    odd = spoken(("<b>&", 0.0, 1.0))
    assert odd.to_vtt() == "WEBVTT\n\n00:00:00.000 --> 00:00:01.000\n&lt;b&gt;&amp;\n"
    assert TWO.to_vtt().startswith("WEBVTT\n\n00:00:00.500 --> 00:00:01.750\n안녕하세요 여러분\n\n00:00:03.000")


def test_tsv_has_whole_milliseconds() -> None:
    assert TWO.to_tsv() == "start\tend\ttext\n500\t1750\t안녕하세요 여러분\n3000\t4000\t반갑습니다\n"


def test_json_has_hangul_segments_and_words() -> None:
    written = TWO.to_json()
    assert "안녕하세요" in written
    table = json.loads(written)
    assert table["text"] == TWO.text
    assert [segment["text"] for segment in table["segments"]] == ["안녕하세요 여러분", "반갑습니다"]
    times = {"start": 1.3, "end": 1.75, "confidence": 0.5}
    assert table["segments"][0]["words"][1] == {"text": "여러분", **times, "syllables": []}
    assert table["segments"][1]["confidence"] == 0.5


def test_txt_has_a_line_a_segment_and_an_empty_transcript_is_empty_in_each_format() -> None:
    assert TWO.to_txt() == "안녕하세요 여러분\n반갑습니다\n"
    nothing = Transcript((), 1.0)
    assert (nothing.text, nothing.to_txt(), nothing.to_srt()) == ("", "", "")
    assert nothing.to_vtt() == "WEBVTT\n"
    assert json.loads(nothing.to_json())["segments"] == []


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(ValueError, match="choose one of txt, srt"):
        render_transcript(TWO, "doc")


def test_every_list_of_formats_is_one_of_the_registry() -> None:
    assert [each.value for each in OutputFormat] == [*TRANSCRIPT_FORMATS, "all"]
    assert [each.value for each in AlignmentFormat] == [*ALIGNMENT_FORMATS]
    assert {each.value for each in ResponseFormat} == {"json", "text", "verbose_json", "diarized_json", *SERVED_FORMATS}
    assert {*TRANSCRIPT_FORMATS, *ALIGNMENT_FORMATS} == FORMATS.keys()
    assert {*SERVED_FORMATS} <= {*TRANSCRIPT_FORMATS}


def test_json_has_the_syllables_of_a_word() -> None:
    word = Word("가나", 0.1, 0.30001, 0.5, (Syllable("가", 0.1, 0.2, 0.123456), Syllable("나", 0.2, 0.30001, 1.0)))
    (written,) = json.loads(Transcript((word,), 1.0).to_json())["segments"][0]["words"]
    assert written["syllables"] == [
        {"text": "가", "start": 0.1, "end": 0.2, "confidence": 0.1235},
        {"text": "나", "start": 0.2, "end": 0.3, "confidence": 1.0},
    ]


AWKWARD = spoken(
    ("-->", 0.0, 0.5),
    ("a-->b", 1.4, 1.6),
    ("&", 2.5, 3.0),
    ("&amp;", 3.9, 4.1),
    ("<b>", 5.0, 5.5),
    ("</b>그리고", 6.4, 6.5),
    ("7", 7.5, 8.0),
    ("WEBVTT", 9.0, 9.1234),
    ("NOTE", 59.9996, 60.4),
    ("끝<", 99 * 3600 + 3598.0, 99 * 3600 + 3598.5),
)
NOTHING = Transcript((), 1.0)


def shown(transcript: Transcript) -> list[tuple[int, int, str]]:
    """What a parser should read: milliseconds and text of each segment."""
    return [(round(1000 * each.start), round(1000 * each.end), each.text) for each in transcript.segments]


@pytest.mark.parametrize("transcript", [TWO, AWKWARD, NOTHING], ids=["plain", "awkward", "empty"])
def test_pysubs2_reads_from_srt_what_was_written(transcript: Transcript) -> None:
    """SubRip has no way to escape what looks like a tag, so the parser is told to leave tags alone."""
    parsed = pysubs2.SSAFile.from_string(transcript.to_srt(), format_="srt", keep_html_tags=True)
    assert [(cue.start, cue.end, cue.text) for cue in parsed] == shown(transcript)


@pytest.mark.parametrize("transcript", [TWO, AWKWARD, NOTHING], ids=["plain", "awkward", "empty"])
def test_webvtt_py_reads_from_vtt_what_was_written(transcript: Transcript) -> None:
    """It leaves character references to its caller."""
    parsed = webvtt.from_string(transcript.to_vtt())
    cues = [(cue.start_time.in_milliseconds(), cue.end_time.in_milliseconds(), cue.text) for cue in parsed]
    assert [(start, end, html.unescape(text)) for start, end, text in cues] == shown(transcript)


@pytest.mark.parametrize("transcript", [TWO, AWKWARD, NOTHING], ids=["plain", "awkward", "empty"])
def test_pysubs2_reads_from_ass_what_was_written(transcript: Transcript) -> None:
    parsed = pysubs2.SSAFile.from_string(render_transcript(transcript, "ass"))
    assert (parsed.format, list(parsed.styles), parsed.info["PlayResY"]) == ("ass", ["Default"], "1080")
    assert [(cue.start, cue.end, cue.text) for cue in parsed] == [
        (round(start, -1), round(end, -1), text) for start, end, text in shown(transcript)
    ]
    assert {(cue.style, cue.name, cue.type) for cue in parsed} <= {("Default", "", "Dialogue")}


def test_ass_has_lines_a_speaker_and_no_markup_from_the_text() -> None:
    (first, second) = spoken((r"{\b1}가,", 0.0, 1.0), (r"\N나", 1.1, 2.0)).words
    said = Transcript((replace(first, speaker=2), replace(second, speaker=2)), 3600.0)
    segments = said.segmented(Layout(8, 2))
    (cue,) = pysubs2.SSAFile.from_string(render_transcript(said, "ass", segments))
    assert (cue.name, cue.text) == ("화자 2", "\\{\\\u2060b1}가,\\N\\\u2060N나")


def read_lyrics(text: str) -> list[tuple[float, str]]:
    """Return start and text of every line, as FFmpeg reads them."""
    av = pytest.importorskip("av")
    with av.open(io.BytesIO(text.encode()), format="lrc") as file:
        packets = [each for each in file.demux() if each.pts is not None]
        return [(float(each.pts * each.time_base), bytes(each).decode().strip()) for each in packets]


@pytest.mark.parametrize("transcript", [TWO, AWKWARD], ids=["plain", "awkward"])
def test_ffmpeg_reads_from_lrc_the_segments_that_were_written(transcript: Transcript) -> None:
    found = [(start, text) for start, text in read_lyrics(render_transcript(transcript, "lrc")) if text]
    assert found == [(round(each.start, 2), each.text) for each in transcript.segments]


def test_a_line_of_lrc_is_cleared_in_a_pause_and_is_not_where_the_next_one_follows_at_once() -> None:
    assert (
        render_transcript(TWO, "lrc") == "[00:00.50]안녕하세요 여러분\n[00:01.75]\n[00:03.00]반갑습니다\n[00:04.00]\n"
    )
    long = spoken(("가" * 30, 3599.0, 3600.0), ("나" * 30, 3600.0, 3606.5))
    text = render_transcript(long, "lrc")
    assert text == f"[59:59.00]{'가' * 30}\n[60:00.00]{'나' * 30}\n[60:06.50]\n"
    assert render_transcript(NOTHING, "lrc") == ""


def test_both_formats_keep_lines_and_words_that_have_several() -> None:
    many = spoken(*((f"낱말{number}", 0.4 * number, 0.4 * number + 0.3) for number in range(60)))
    segments = many.segmented(Layout(12, 2))
    texts = ["\n".join(segment.lines) for segment in segments]
    assert any("\n" in text for text in texts)
    assert [cue.text for cue in webvtt.from_string(render_transcript(many, "vtt", segments))] == texts
    srt = pysubs2.SSAFile.from_string(render_transcript(many, "srt", segments), format_="srt")
    assert [cue.plaintext for cue in srt] == texts


def test_hours_past_99_have_three_figures() -> None:
    """SubRip's parsers stop at two, WebVTT's do not."""
    late = spoken(("끝", 123 * 3600 + 1.5, 123 * 3600 + 2.0))
    assert "123:00:01,500 --> 123:00:02,500\n끝\n" in late.to_srt()
    (cue,) = webvtt.from_string(late.to_vtt())
    assert (cue.start, cue.end) == ("123:00:01.500", "123:00:02.500")


# TextGrid


def parsed_grid(text: str) -> dict[str, list[tuple[float, float, str]]]:
    """Tier -> (start, end, text). Praat reads numbers and quoted strings in order, and skips everything else."""
    found = re.findall(r'(?<=[ =])-?[0-9.]+(?:e-?[0-9]+)?(?=\n)|"(?:[^"]|"")*"|<exists>', text)
    values = iter(each[1:-1].replace('""', '"') if each[0] == '"' else each for each in found)
    assert (next(values), next(values)) == ("ooTextFile", "TextGrid")
    seconds = float(next(values)), float(next(values))
    assert next(values) == "<exists>"
    tiers = {}
    for _ in range(int(next(values))):
        assert next(values) == "IntervalTier"
        name = next(values)
        assert (float(next(values)), float(next(values))) == seconds
        tiers[name] = [(float(next(values)), float(next(values)), next(values)) for _ in range(int(next(values)))]
    assert next(values, None) is None
    return tiers


def word(text: str, *edges: float) -> Word:
    """A word with a syllable from each edge to the next."""
    syllables = [Syllable(each, *span, 0.5) for each, span in zip(text, pairwise(edges), strict=True)]
    return Word(text, edges[0], edges[-1], 0.5, tuple(syllables))


def test_a_textgrid_is_laid_out_as_praat_writes_it() -> None:
    assert render_transcript(Transcript((word("가", 0.5, 1.0),), 1.0), "textgrid") == (
        'File type = "ooTextFile"\nObject class = "TextGrid"\n\nxmin = 0.0\nxmax = 1.0\ntiers? <exists>\nsize = 2\n'
        "item []:\n"
        + "".join(
            f"    item [{number}]:\n"
            '        class = "IntervalTier"\n'
            f'        name = "{name}"\n'
            "        xmin = 0.0\n        xmax = 1.0\n        intervals: size = 2\n"
            '        intervals [1]:\n            xmin = 0.0\n            xmax = 0.5\n            text = ""\n'
            '        intervals [2]:\n            xmin = 0.5\n            xmax = 1.0\n            text = "가"\n'
            for number, name in ((1, "words"), (2, "syllables"))
        )
    )


@pytest.mark.parametrize(
    "words",
    [
        [],
        [word("가나", 0.0, 0.1, 0.2)],
        [word("가", 0.02 * 3, 0.02 * 7), word("나다", 0.02 * 7, 0.02 * 11, 0.5), word("라", 1.9, 2.0)],
    ],
)
def test_the_intervals_of_a_textgrid_lie_end_to_end_over_the_recording_and_none_is_empty(words: list[Word]) -> None:
    tiers = parsed_grid(render_transcript(Transcript(tuple(words), 2.0), "textgrid"))
    assert list(tiers) == ["words", "syllables"]
    for intervals in tiers.values():
        assert (intervals[0][0], intervals[-1][1]) == (0.0, 2.0)
        assert all(left[1] == right[0] for left, right in pairwise(intervals))
        assert all(start < end for start, end, _ in intervals)
    assert [text for _, _, text in tiers["words"] if text] == [word.text for word in words]
    assert [text for _, _, text in tiers["syllables"] if text] == list("".join(word.text for word in words))


def test_quotes_in_a_textgrid_are_doubled() -> None:
    text = render_transcript(Transcript((word('"', 0.0, 1.0),), 1.0), "textgrid")
    assert 'text = """"\n' in text
    assert parsed_grid(text)["words"] == [(0.0, 1.0, '"')]
