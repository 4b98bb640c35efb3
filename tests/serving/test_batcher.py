"""One Transcriber for many clients: each gets the same result as alone, and none waits for ever."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import CancelledError
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from distilhubert_ko.audio.frames import SAMPLE_RATE
from distilhubert_ko.errors import AudioError, BusyError, UnavailableError
from distilhubert_ko.recognition import doubt, windows
from distilhubert_ko.recognition.session import ModelSession
from distilhubert_ko.recognition.transcriber import Transcriber
from distilhubert_ko.recognition.transcript import Transcript
from distilhubert_ko.recognition.vad import VadOptions
from distilhubert_ko.serving.batcher import BATCH, INFERENCES, LISTENED, Batcher, _Turns
from distilhubert_ko.serving.options import ServerLimits
from tests.support.model import clip

LENGTHS = [0, 399, 400, 5000, 16_000, 16_100, 16_500, 33_333, 34_000, 80_000]
LENGTHS += [windows.WINDOW, windows.WINDOW + 1, 40 * SAMPLE_RATE]


@pytest.fixture
def transcriber(exported: Path) -> Transcriber:
    return Transcriber(exported, threads=1)


class Gate:
    """A runtime that computes a batch only when released, and records the lengths of the waves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.batches: list[list[int]] = []
        self.free = threading.Semaphore(0)
        self._compute = ModelSession.log_probs
        monkeypatch.setattr(ModelSession, "log_probs", lambda runtime, waves: self.compute(runtime, waves))

    def compute(self, runtime: ModelSession, waves: Sequence[np.ndarray]) -> list[np.ndarray]:
        self.batches.append([len(wave) for wave in waves])
        self.free.acquire()
        return self._compute(runtime, waves)

    def open(self) -> None:
        for _ in range(10_000):
            self.free.release()


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    return Gate(monkeypatch)


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.005)


@asynccontextmanager
async def held_up(
    transcriber: Transcriber, gate: Gate, limits: ServerLimits | None = None
) -> AsyncIterator[tuple[Batcher, list]]:
    """Yield a batcher whose inferences are all busy with a clip of 4 s each, and their tasks."""
    async with Batcher(transcriber, limits) as batcher:
        tasks: list[asyncio.Task[Transcript]] = []
        while len(tasks) < INFERENCES:  # one after the other: together they could be one batch
            tasks.append(asyncio.create_task(batcher.transcribe(clip(64_000, len(tasks)))))
            await until(lambda: len(gate.batches) == len(tasks))
        try:
            yield batcher, tasks
        finally:
            gate.open()


def waiting(batcher: Batcher) -> int:
    return len(batcher._queue._waiting) + len(batcher._queue._urgent)


def test_every_answer_is_the_one_that_a_clip_gets_alone(transcriber: Transcriber) -> None:
    waves = [clip(samples, seed) for seed, samples in enumerate(3 * LENGTHS)]

    async def together() -> list:
        async with Batcher(transcriber) as batcher:
            return await asyncio.gather(*map(batcher.transcribe, waves))

    for wave, found in zip(waves, asyncio.run(together()), strict=True):
        expected = transcriber(wave)
        assert found.text == expected.text
        assert found.seconds == expected.seconds
        assert [(word.start, word.end) for word in found.words] == [(word.start, word.end) for word in expected.words]
        assert [word.confidence for word in found.words] == pytest.approx(
            [word.confidence for word in expected.words], abs=1e-4
        )


def test_clips_of_like_length_that_wait_are_one_batch_and_others_are_not(transcriber: Transcriber, gate: Gate) -> None:
    lengths = [16_000, 70_000, 16_500, 30_000, 15_000, 72_000]

    async def task() -> None:
        async with held_up(transcriber, gate) as (batcher, tasks):
            for number, length in enumerate(lengths):
                tasks.append(asyncio.create_task(batcher.transcribe(clip(length))))
                await until(lambda number=number: waiting(batcher) > number)
            gate.open()
            await asyncio.gather(*tasks)

    asyncio.run(task())
    assert sorted(gate.batches[INFERENCES:]) == [[16_000, 16_500, 15_000], [30_000], [70_000], [72_000]]
    assert BATCH < 2 * 72_000


def test_a_long_recording_keeps_no_clip_waiting_for_more_than_a_few_of_its_windows(
    transcriber: Transcriber, gate: Gate
) -> None:
    async def task() -> None:
        async with held_up(transcriber, gate) as (batcher, tasks):
            long = asyncio.create_task(batcher.transcribe(clip(20 * windows.WINDOW)))
            await until(lambda: waiting(batcher) == INFERENCES)
            tasks.append(asyncio.create_task(batcher.transcribe(clip(16_000))))
            await until(lambda: waiting(batcher) == INFERENCES + 1)
            gate.open()
            await asyncio.gather(*tasks)
            assert not long.done()
            await long

    asyncio.run(task())
    assert gate.batches[INFERENCES:].index([16_000]) <= 2 * INFERENCES


def test_a_step_of_captions_goes_before_what_waits(transcriber: Transcriber, gate: Gate) -> None:
    async def task() -> None:
        async with held_up(transcriber, gate) as (batcher, tasks):
            tasks += [asyncio.create_task(batcher.transcribe(clip(48_000 + 16_000 * each))) for each in range(3)]
            await until(lambda: waiting(batcher) == 3)
            tasks.append(asyncio.create_task(asyncio.to_thread(batcher.stream().feed, clip(8000))))
            await until(lambda: waiting(batcher) == 4)
            gate.open()
            await asyncio.gather(*tasks)

    asyncio.run(task())
    assert gate.batches[INFERENCES] == [8000]


def test_captions_are_those_of_the_transcriber(transcriber: Transcriber) -> None:
    wave, alone = clip(100_000), transcriber.stream()

    async def task() -> str:
        async with Batcher(transcriber) as batcher:
            stream = batcher.stream()
            for start in range(0, len(wave), 7000):
                await asyncio.to_thread(stream.feed, wave[start : start + 7000])
            return (await asyncio.to_thread(stream.finish)).text

    alone.feed(wave)
    assert asyncio.run(task()) == alone.finish().text


def test_more_requests_than_are_taken_are_refused_with_a_time_to_come_back(
    transcriber: Transcriber, gate: Gate
) -> None:
    async def task() -> None:
        async with held_up(transcriber, gate, ServerLimits(requests=INFERENCES + 1)) as (batcher, tasks):
            tasks.append(asyncio.create_task(batcher.transcribe(clip(16_000))))
            await until(lambda: batcher.requests == INFERENCES + 1)
            with pytest.raises(BusyError, match=r"3 recordings of 9 s are being transcribed") as error:
                await batcher.transcribe(clip(16_000))
            assert 1 <= error.value.retry_after < 60
            gate.open()
            await asyncio.gather(*tasks)
            assert (batcher.requests, batcher.audio_seconds) == (0, 0)
            await batcher.transcribe(clip(16_000))

    asyncio.run(task())


def test_more_audio_than_is_taken_is_refused_but_any_length_of_it_alone_and_any_clip(
    transcriber: Transcriber, gate: Gate
) -> None:
    async def task() -> None:
        async with held_up(transcriber, gate, ServerLimits(waiting_seconds=40)) as (batcher, tasks):
            batcher.check(32.0, "other")
            batcher.check(22.0)  # three quarters of it for the one that has 8 s there
            batcher.check(20.0)
            for seconds, client in ((32.01, "other"), (22.01, "")):
                with pytest.raises(BusyError):
                    batcher.check(seconds, client)
            with pytest.raises(BusyError):
                await batcher.transcribe(clip(23 * SAMPLE_RATE))
            gate.open()
            await asyncio.gather(*tasks)
            assert (await batcher.transcribe(clip(41 * SAMPLE_RATE))).seconds == 41
            assert not batcher._by_client

    asyncio.run(task())


def test_a_client_with_many_recordings_keeps_another_waiting_for_one_of_them(
    transcriber: Transcriber, gate: Gate
) -> None:
    lengths = [(48_000 + 16_000 * each) for each in range(6)]

    async def task() -> None:
        async with held_up(transcriber, gate) as (batcher, tasks):
            tasks += [asyncio.create_task(batcher.transcribe(clip(length), "greedy")) for length in lengths]
            await until(lambda: waiting(batcher) == len(lengths))
            for count in (1, 2):
                tasks.append(asyncio.create_task(batcher.transcribe(clip(8000), "modest")))
                await until(lambda count=count: waiting(batcher) == len(lengths) + count)
            gate.open()
            await asyncio.gather(*tasks)
            await batcher.transcribe(clip(8000), "modest")
            assert not batcher._queue._taken or len(batcher._queue._taken) <= 3

    asyncio.run(task())
    assert [8000, 8000] in gate.batches[INFERENCES : INFERENCES + 2]


def test_captions_that_come_faster_than_they_were_spoken_take_turns(transcriber: Transcriber, gate: Gate) -> None:
    async def task() -> None:
        async with Batcher(transcriber) as batcher:
            live = batcher.stream()
            feeding = asyncio.create_task(asyncio.to_thread(live.feed, clip(10 * SAMPLE_RATE)))
            for _ in range(5):
                gate.free.release()
            await until(lambda: len(gate.batches) == 6)  # half a second each: the next is 3 s ahead
            assert not batcher._queue._urgent
            gate.open()
            await feeding

    asyncio.run(task())


def test_speech_is_found_as_the_transcriber_finds_it_and_for_nobody_who_is_gone(
    transcriber: Transcriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    wave = np.concatenate([clip(16_000), np.zeros(5 * LISTENED, np.float32)])  # these tones are speech to Silero
    monkeypatch.setattr(doubt, "SPEECH", 0.5)  # of which it is not quite sure

    async def task() -> Transcript:
        async with Batcher(transcriber) as batcher:
            listening = batcher._with(_Turns(batcher._queue, "")).detector.listen()
            listening._over.set()
            with pytest.raises(CancelledError):
                listening.feed(wave)
            return await batcher.transcribe(wave, vad=VadOptions())

    found = asyncio.run(task())
    assert found == transcriber(wave, VadOptions())
    assert found.text


def test_a_client_who_is_gone_has_nothing_more_computed(transcriber: Transcriber, gate: Gate) -> None:
    async def task() -> None:
        async with held_up(transcriber, gate) as (batcher, tasks):
            long = asyncio.create_task(batcher.transcribe(clip(20 * windows.WINDOW)))
            await until(lambda: waiting(batcher) == INFERENCES)
            long.cancel()
            with pytest.raises(asyncio.CancelledError):
                await long
            assert batcher.requests == INFERENCES
            gate.open()
            await asyncio.gather(*tasks)
            await batcher.transcribe(clip(16_000))

    asyncio.run(task())
    assert gate.batches[INFERENCES:] == [[16_000]]


def test_what_goes_wrong_with_one_is_nobody_elses(transcriber: Transcriber, monkeypatch: pytest.MonkeyPatch) -> None:
    compute = ModelSession.log_probs

    def fragile(runtime: ModelSession, waves: Sequence[np.ndarray]) -> list[np.ndarray]:
        if any(len(wave) == 16_000 for wave in waves):
            raise RuntimeError("no memory")
        return compute(runtime, waves)

    monkeypatch.setattr(ModelSession, "log_probs", fragile)

    async def task() -> None:
        async with Batcher(transcriber) as batcher:
            waves = [clip(16_000), np.zeros((2, 2), np.float32), clip(80_000)]
            found = await asyncio.gather(*map(batcher.transcribe, waves), return_exceptions=True)
            assert [type(each) for each in found[:2]] == [RuntimeError, AudioError]
            assert found[2].text == transcriber(waves[2]).text

    asyncio.run(task())


def test_closing_waits_for_what_was_begun_and_takes_nothing_more(transcriber: Transcriber) -> None:
    async def task() -> None:
        batcher = Batcher(transcriber)
        async with batcher:
            begun = [asyncio.create_task(batcher.transcribe(clip(160_000, seed))) for seed in range(5)]
            stream = batcher.stream()
            await asyncio.sleep(0)
        assert [(await each).text for each in begun] == [transcriber(clip(160_000, seed)).text for seed in range(5)]
        with pytest.raises(UnavailableError, match="shutting down"):
            await batcher.transcribe(clip(16_000))
        with pytest.raises(UnavailableError, match="shutting down"):
            stream.feed(clip(16_000))
        assert not [each for each in threading.enumerate() if each.name.startswith(("inference", "request"))]

    asyncio.run(task())
