"""OpenAI's audio API, tested with OpenAI's own client against a running server."""

import asyncio
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import openai
import pytest
import soundfile
import webvtt

from distilhubert_ko.audio.frames import SAMPLE_RATE
from distilhubert_ko.errors import BusyError, UnavailableError
from distilhubert_ko.recognition.speakers import transcribe_channels
from distilhubert_ko.recognition.transcriber import Transcriber
from distilhubert_ko.recognition.transcript import Transcript
from distilhubert_ko.recognition.vad import SpeechDetector
from tests.support.model import clip
from tests.support.serving import Running, metric, running, wait_until


@pytest.fixture(scope="module")
def server(exported: Path) -> Iterator[Running]:
    with running(exported) as server:
        yield server


@pytest.fixture(scope="module")
def client(server: Running) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0) as client:
        yield client


def wav(wave: np.ndarray, **options: str) -> bytes:
    """Return a wave as a lossless WAV file, or as another one."""
    file = io.BytesIO()
    soundfile.write(file, wave, SAMPLE_RATE, **{"format": "WAV", "subtype": "FLOAT", **options})
    return file.getvalue()


WAVE = clip(3 * SAMPLE_RATE + 77)
FILE = ("말.wav", wav(WAVE))
TRUNCATED = wav(WAVE, format="FLAC", subtype="PCM_16")[:5000]


@pytest.fixture(scope="module")
def expected(server: Running) -> Transcript:
    return server.transcriber(WAVE)


def test_json_is_the_default_and_has_the_offline_text(client: openai.OpenAI, expected: Transcript) -> None:
    answer = client.audio.transcriptions.create(file=FILE, model="whisper-1", language="ko")
    assert answer.text == expected.text
    assert answer.usage.seconds == 4


@pytest.mark.parametrize("stream", [False, True])
def test_numbers_come_in_digits_on_request(client: openai.OpenAI, expected: Transcript, stream: bool) -> None:
    def text(numerals: str) -> str:
        answer = client.audio.transcriptions.create(
            file=FILE, model="m", stream=stream, extra_body={"numerals": numerals}
        )
        return [*answer][-1].text if stream else answer.text

    assert text("digits") == expected.with_digits().text
    with pytest.raises(openai.BadRequestError, match="'digits'"):
        text("roman")


@pytest.mark.parametrize("stream", [False, True])
def test_what_nobody_said_is_not_written_unless_the_filter_is_off(
    client: openai.OpenAI, server: Running, expected: Transcript, stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server.transcriber, "detector", SpeechDetector())

    def text(**fields: str) -> str:
        answer = client.audio.transcriptions.create(file=FILE, model="m", stream=stream, extra_body=fields)
        return [*answer][-1].text if stream else answer.text

    assert text() == text(vad_filter="true") == ""
    assert text(vad_filter="false") == expected.text != ""


def test_text_and_subtitles_are_those_of_the_command(client: openai.OpenAI, expected: Transcript) -> None:
    given = {
        form: client.audio.transcriptions.create(file=FILE, model="m", response_format=form)
        for form in ("text", "srt", "vtt")
    }
    assert given == {"text": expected.text + "\n", "srt": expected.to_srt(), "vtt": expected.to_vtt()}
    assert len(webvtt.from_string(given["vtt"]).captions) == len(expected.segments)


def test_verbose_json_has_segments_by_default(client: openai.OpenAI, expected: Transcript) -> None:
    answer = client.audio.transcriptions.create(file=FILE, model="m", response_format="verbose_json")
    assert (answer.text, answer.language, answer.words) == (expected.text, "korean", None)
    assert answer.duration == pytest.approx(len(WAVE) / SAMPLE_RATE, abs=1e-3)
    assert [(s.id, s.text) for s in answer.segments] == [(i, s.text) for i, s in enumerate(expected.segments)]
    for segment, other in zip(answer.segments, expected.segments, strict=True):
        assert (segment.start, segment.end) == pytest.approx((other.start, other.end), abs=1e-3)
        assert np.exp(segment.avg_logprob) == pytest.approx(other.confidence, abs=1e-3)


def test_verbose_json_has_words_with_probabilities_where_they_are_asked_for(
    client: openai.OpenAI, expected: Transcript
) -> None:
    answer = client.audio.transcriptions.create(
        file=FILE, model="m", response_format="verbose_json", timestamp_granularities=["word"]
    )
    assert answer.segments is None
    found = [(word.word, word.start, word.end, word.model_extra["probability"]) for word in answer.words]
    assert found == [(w.text, round(w.start, 3), round(w.end, 3), round(w.confidence, 4)) for w in expected.words]
    both = client.audio.transcriptions.create(
        file=FILE, model="m", response_format="verbose_json", timestamp_granularities=["word", "segment"]
    )
    assert both.words == answer.words
    assert both.segments


@pytest.mark.parametrize("seconds", [1, 45])
def test_the_parts_of_a_stream_make_the_offline_text(client: openai.OpenAI, server: Running, seconds: int) -> None:
    wave = clip(seconds * SAMPLE_RATE)
    events = [*client.audio.transcriptions.create(file=("a.wav", wav(wave)), model="m", stream=True)]
    deltas, last = [event.delta for event in events[:-1]], events[-1]
    assert {event.type for event in events[:-1]} == {"transcript.text.delta"}
    assert last.type == "transcript.text.done"
    assert "".join(deltas) == last.text == server.transcriber(wave).text
    assert (len(deltas) > 2) == (seconds > 20)


def test_a_stream_of_verbose_json_says_how_far_it_is_and_ends_with_all_of_that_format(
    client: openai.OpenAI, server: Running
) -> None:
    file = ("a.wav", wav(clip(45 * SAMPLE_RATE)))
    options = {"response_format": "verbose_json", "timestamp_granularities": ["word"]}
    plain = client.audio.transcriptions.create(file=file, model="m", **options)
    *deltas, last = client.audio.transcriptions.create(file=file, model="m", stream=True, **options)
    assert {each.type for each in deltas} == {"transcript.text.delta"}
    assert "".join(each.delta for each in deltas) == last.text == plain.text
    seconds = [each.seconds for each in deltas]
    assert seconds == sorted(seconds)
    assert (0 < seconds[0] < 20, seconds[-1]) == (True, pytest.approx(45, abs=0.1))
    assert {each.duration for each in deltas} == {45.0} == {plain.duration, last.duration}
    assert last.words == [each.model_dump() for each in plain.words]
    assert last.type == "transcript.text.done"


def test_a_stream_of_two_speakers_says_how_far_it_is_and_has_the_text_at_its_end(client: openai.OpenAI) -> None:
    call = ("a.wav", wav(np.stack([clip(30 * SAMPLE_RATE), clip(30 * SAMPLE_RATE, 1)], axis=1)))
    fields = {"file": call, "model": "m", "response_format": "verbose_json", "extra_body": {"channel": "split"}}
    plain = client.audio.transcriptions.create(**fields)
    *deltas, last = client.audio.transcriptions.create(**fields, stream=True)
    assert [each.delta for each in deltas if each.delta] == [plain.text] == [last.text]
    assert last.segments == [each.model_dump() for each in plain.segments]
    seconds = [each.seconds for each in deltas]
    assert seconds == sorted(seconds)
    assert (0 < seconds[0] < 15, seconds[-1], deltas[0].duration) == (True, 30, 30)


def test_a_client_that_leaves_a_stream_frees_what_it_held(client: openai.OpenAI, server: Running) -> None:
    file = ("a.wav", wav(clip(200 * SAMPLE_RATE)))
    events = client.audio.transcriptions.create(file=file, model="m", stream=True)
    assert next(iter(events)).delta
    events.close()
    wait_until(lambda: metric(server.url, "requests_held") == 0)


def test_what_goes_wrong_at_once_in_a_stream_has_its_status(
    client: openai.OpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(self: object, wave: object, client: str, **options: object) -> None:
        raise BusyError("too much to do", retry_after=7)

    monkeypatch.setattr("distilhubert_ko.serving.batcher.Batcher.transcribe", full)
    for stream in (False, True):
        with pytest.raises(openai.RateLimitError, match="too much to do") as refused:
            client.audio.transcriptions.create(file=FILE, model="m", stream=stream)
        assert refused.value.response.headers["retry-after"] == "7"


def test_what_goes_wrong_later_in_a_stream_is_an_event(client: openai.OpenAI, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*given: object, on_text: Callable, on_progress: Callable, **options: object) -> None:
        on_text("말")
        on_progress(1.0)
        await asyncio.sleep(0.1)
        raise UnavailableError("the server is shutting down")

    monkeypatch.setattr("distilhubert_ko.serving.batcher.Batcher.transcribe", broken)
    events = client.audio.transcriptions.create(file=FILE, model="m", stream=True)
    assert next(iter(events)).delta == "말"
    with pytest.raises(openai.APIError, match="shutting down"):
        next(iter(events))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"chunking_strategy": "auto", "prompt": ""}, None),
        ({"prompt": "이름", "temperature": 0.2}, "prompt, temperature"),
        (
            {"include": ["logprobs"], "chunking_strategy": {"type": "server_vad"}, "known_speaker_names": ["가"]},
            "chunking_strategy, include, known_speaker_names",
        ),
    ],
)
def test_what_has_no_effect_is_taken_and_named_in_a_header(
    client: openai.OpenAI, expected: Transcript, stream: bool, fields: dict, named: str | None
) -> None:
    answer = client.audio.transcriptions.with_raw_response.create(
        file=FILE, model="m", language="Korean", stream=stream, **fields
    )
    assert answer.headers.get("x-ignored-fields") == named
    assert answer.headers.get("x-accel-buffering") == ("no" if stream else None)
    if not stream:
        assert answer.parse().text == expected.text


@pytest.mark.parametrize("field", ["hotword", "vad_filter[]", "말", "Prompt"])
def test_a_field_that_nobody_knows_is_refused_by_its_name(client: openai.OpenAI, field: str) -> None:
    with pytest.raises(openai.BadRequestError, match="no field of a transcription") as refused:
        client.audio.transcriptions.create(file=FILE, model="m", extra_body={field: "x"})
    assert refused.value.param == field.partition("[")[0]


def test_hot_words_of_a_request_are_those_of_the_transcriber_and_of_no_other_request(
    client: openai.OpenAI, exported: Path, expected: Transcript
) -> None:
    hot = Transcriber(exported, threads=1, hotwords=["하하타", "거너"])(WAVE).text
    for words, text in (("하하타, 거너,", hot), ("", expected.text), (" , ", expected.text)):
        answer = client.audio.transcriptions.create(file=FILE, model="m", extra_body={"hotwords": words})
        assert answer.text == text
    assert hot != expected.text
    events = client.audio.transcriptions.create(
        file=FILE, model="m", stream=True, extra_body={"hotwords": "하하타,거너"}
    )
    assert [*events][-1].text == hot
    for wrong in ("서울,Ж", ",".join(["서울"] * 501)):
        with pytest.raises(openai.BadRequestError, match="hot word") as refused:
            client.audio.transcriptions.create(file=FILE, model="m", extra_body={"hotwords": wrong})
        assert refused.value.param == "hotwords"


def test_each_channel_of_a_call_is_a_speaker(client: openai.OpenAI, server: Running, tmp_path: Path) -> None:
    lanes = [WAVE, clip(len(WAVE), 1)]
    path = tmp_path / "call.wav"
    path.write_bytes(wav(np.stack(lanes, axis=1)))
    expected = transcribe_channels(server.transcriber, path)

    def answer(channel: str, form: str, **options: Any) -> Any:
        return client.audio.transcriptions.create(
            file=path, model="m", response_format=form, extra_body={"channel": channel}, **options
        )

    for channel, wave in (("left", lanes[0]), ("right", lanes[1]), ("mix", np.mean(lanes, axis=0))):
        assert answer(channel, "json").text == server.transcriber(wave).text
    assert answer("split", "text") == expected.dialogue + "\n"
    assert answer("split", "srt") == expected.to_srt()
    diarized = answer("split", "diarized_json")
    assert (diarized.text, diarized.task, diarized.usage.seconds) == (expected.text, "transcribe", 4)
    found = [("AB".index(each.speaker) + 1, each.start, each.end, each.text) for each in diarized.segments]
    assert found == [(s.speaker, round(s.start, 3), round(s.end, 3), s.text) for s in expected.segments]
    assert {each.speaker for each in diarized.segments} == {"A", "B"}
    verbose = answer("split", "verbose_json", timestamp_granularities=["word", "segment"])
    assert [(each.speaker, each.word) for each in verbose.words] == [(w.speaker, w.text) for w in expected.words]
    assert [each.speaker for each in verbose.segments] == [each.speaker for each in expected.segments]


def test_a_translation_is_refused_in_the_shape_of_that_api(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="translates nothing") as refused:
        client.audio.translations.create(file=FILE, model="m")
    assert refused.value.body["type"] == "invalid_request_error"


@pytest.mark.parametrize("language", ["ko", "ko-KR", "KO_kr", "ko-Kore-KR", "kor", " Korean ", ""])
def test_korean_is_korean_however_a_client_writes_it(client: openai.OpenAI, language: str) -> None:
    assert client.audio.transcriptions.create(file=FILE, model="m", language=language).text


@pytest.mark.parametrize("name", ["timestamp_granularities", "timestamp_granularities[]"])
def test_granularities_are_taken_with_and_without_brackets(server: Running, name: str) -> None:
    def answer(form: str) -> httpx2.Response:
        data = {"model": "m", "response_format": form, name: ["word", "segment"]}
        return httpx2.post(f"{server.url}/v1/audio/transcriptions", files={"file": FILE}, data=data)

    assert {"words", "segments"} <= answer("verbose_json").json().keys()
    refused = answer("json")
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, name)


def test_a_silent_clip_has_an_empty_text_in_every_format(client: openai.OpenAI) -> None:
    file = ("a.wav", wav(np.zeros(SAMPLE_RATE, np.float32)))
    for form, text in (("text", "\n"), ("srt", ""), ("vtt", "WEBVTT\n")):
        assert client.audio.transcriptions.create(file=file, model="m", response_format=form) == text
    answer = client.audio.transcriptions.create(file=file, model="m", response_format="verbose_json")
    assert (answer.text, answer.segments, answer.duration) == ("", [], 1.0)
    events = [*client.audio.transcriptions.create(file=file, model="m", stream=True)]
    assert [(event.type, event.text) for event in events] == [("transcript.text.done", "")]


@pytest.mark.parametrize(
    ("changed", "words", "param"),
    [
        ({"language": "en"}, "Korean only", "language"),
        ({"language": "en-KR"}, "Korean only", "language"),
        ({"language": "kok-IN"}, "Korean only", "language"),
        ({"timestamp_granularities": ["word"]}, "verbose_json", "timestamp_granularities[]"),
        ({"timestamp_granularities": ["line"], "response_format": "verbose_json"}, "'word'", None),
        ({"response_format": "rtf"}, "'json', 'text'", "response_format"),
        ({"response_format": "diarized_json"}, "channel to split", "response_format"),
        ({"extra_body": {"channel": "split"}}, "one channel", "file"),
        ({"extra_body": {"channel": "right"}}, "no channel 2", "file"),
        ({"extra_body": {"channel": "middle"}}, "'mix'", "channel"),
        ({"extra_body": {"channel": "split"}, "stream": True}, "one channel", "file"),
        (
            {"extra_body": {"channel": "split"}, "response_format": "diarized_json", "stream": True},
            "stream to false",
            "response_format",
        ),
        ({"file": ("a.wav", b"")}, "empty", "file"),
        ({"file": ("a.wav", b"no audio at all")}, "audio", "file"),
        ({"file": ("a.flac", TRUNCATED)}, "truncated", "file"),
        ({"file": ("a.flac", TRUNCATED), "stream": True}, "truncated", "file"),
    ],
)
def test_a_request_that_cannot_be_served_is_refused_in_the_shape_of_that_api(
    client: openai.OpenAI, changed: dict, words: str, param: str | None
) -> None:
    with pytest.raises(openai.BadRequestError, match=words) as refused:
        client.audio.transcriptions.create(**{"file": FILE, "model": "m", **changed})
    body = refused.value.body
    assert {*body} == {"message", "type", "param", "code"}
    assert body["type"] == "invalid_request_error"
    assert param is None or body["param"] == param
    assert "/tmp" not in body["message"]


def test_a_wav_whose_header_promises_more_than_there_is_is_transcribed_as_it_is(
    client: openai.OpenAI, expected: Transcript
) -> None:
    content = bytearray(FILE[1])
    size = content.index(b"data") + 4
    content[size : size + 4] = (10_000_000).to_bytes(4, "little")
    answer = client.audio.transcriptions.create(file=("a.wav", bytes(content)), model="m")
    assert answer.text == expected.text


@pytest.mark.parametrize("left_out", ["file", "model"])
def test_a_form_that_lacks_a_field_says_which(server: Running, left_out: str) -> None:
    fields = {"file": FILE, "model": (None, "m")}
    del fields[left_out]
    answer = httpx2.post(f"{server.url}/v1/audio/transcriptions", files=fields)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == left_out


@pytest.mark.parametrize("kind", ["multipart/form-data; boundary=x", "multipart/form-data", "application/json", "?"])
def test_a_body_that_is_no_form_is_refused(server: Running, kind: str) -> None:
    answer = httpx2.post(f"{server.url}/v1/audio/transcriptions", content=b"\0{--x", headers={"content-type": kind})
    assert answer.status_code == 400
    assert {*answer.json()["error"]} == {"message", "type", "param", "code"}


def test_the_one_model_is_listed_and_found_by_its_name(client: openai.OpenAI) -> None:
    (model,) = client.models.list()
    assert (model.id, model.object) == ("tiny", "model")
    assert client.models.retrieve(model.id) == model
    with pytest.raises(openai.NotFoundError, match="use 'tiny'"):
        client.models.retrieve("owner/other")


def test_the_facts_are_those_of_the_folder(server: Running, exported: Path) -> None:
    facts = httpx2.get(f"{server.url}/v1/model_facts").json()
    assert (facts["id"], facts["units"], facts["cer"], facts["language_model"]) == ("tiny", "syllables", None, False)
    assert facts["size_bytes"] == (exported / "model.onnx").stat().st_size
    assert facts["realtime_factor"] > 0
