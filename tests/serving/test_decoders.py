"""Decoding in separate processes: the same waves, within limits, and a failure of one file affects no other."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Coroutine
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from distilhubert_ko.audio.channel_names import Channel
from distilhubert_ko.audio.frames import SAMPLE_RATE
from distilhubert_ko.audio.reading import load_audio
from distilhubert_ko.errors import AudioError, DecodingError, TooLongError, UnavailableError
from distilhubert_ko.serving.decoder_turns import DecoderTurns
from distilhubert_ko.serving.decoders import Decoders
from distilhubert_ko.serving.options import ServerLimits
from tests.support.speech import tones

WAVE = tones("나무 바다", pitch=100)
if not hasattr(os, "mkfifo"):
    pytest.skip("limits of processes are POSIX's", allow_module_level=True)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "upload"
    soundfile.write(path, WAVE, SAMPLE_RATE, format="WAV", subtype="FLOAT")
    return path


@pytest.fixture
def endless(tmp_path: Path) -> Path:
    """Return a file whose worker waits for its first byte for ever."""
    path = tmp_path / "endless"
    os.mkfifo(path)
    return path


def within(decoders: Decoders, task: Callable[[Decoders], Coroutine[Any, Any, Any]]) -> Any:
    """Return the result of a task that runs while the workers live."""

    async def whole() -> Any:
        async with decoders:
            return await task(decoders)

    return asyncio.run(whole())


async def outcome(decoders: Decoders, path: Path) -> np.ndarray | AudioError | UnavailableError:
    try:
        return await decoders.decode(path)
    except (AudioError, UnavailableError) as error:
        return error


async def busy(decoders: Decoders, count: int) -> None:
    """Return once so many workers have a file."""
    while sum(decoders._turns._busy.values()) < count or len(decoders._alive) < count:
        await asyncio.sleep(0.01)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize(("kind", "subtype"), [("WAV", "PCM_16"), ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("MP3", None)])
def test_a_wave_is_the_one_that_is_decoded_here_and_leaves_no_file(
    kind: str, subtype: str | None, tmp_path: Path
) -> None:
    path = tmp_path / "upload"
    soundfile.write(path, np.repeat(WAVE, 3), 48_000, format=kind, subtype=subtype)
    wave = within(Decoders(workers=1), lambda decoders: decoders.decode(path))
    assert wave.dtype == np.float32
    assert np.array_equal(wave, load_audio(path))
    assert names(tmp_path) == {"upload"}


def test_what_ffmpeg_opens_is_decoded_within_the_limits(tmp_path: Path) -> None:
    pytest.importorskip("av", reason="needs the extra media")
    from tests.support.media import encoded

    path = tmp_path / "upload"
    path.write_bytes(encoded(WAVE, SAMPLE_RATE, "ipod", "aac"))
    wave = within(Decoders(workers=1), lambda decoders: decoders.decode(path))
    assert np.array_equal(wave, load_audio(path))


def test_an_error_says_the_same_but_names_no_path(tmp_path: Path, clip: Path) -> None:
    path = tmp_path / "noise"
    path.write_bytes(bytes(range(256)))

    async def task(decoders: Decoders) -> None:
        with pytest.raises(AudioError, match=r"^the file is not audio") as error:
            await decoders.decode(path)
        assert str(tmp_path) not in str(error.value)
        assert len(await decoders.decode(clip)) == len(WAVE)
        assert len(decoders._alive) == 1  # the same worker went on

    within(Decoders(workers=1), task)
    assert names(tmp_path) == {"noise", "upload"}


def test_a_recording_that_is_too_long_is_refused_before_it_is_decoded_whole(tmp_path: Path) -> None:
    path = tmp_path / "bomb"  # ten hours of silence in less than a megabyte
    with soundfile.SoundFile(path, "w", 16_000, 1, format="FLAC") as file:
        for _ in range(10):
            file.write(np.zeros(3600 * 1600, np.int16))
    assert path.stat().st_size < 1e6

    async def task(decoders: Decoders) -> None:
        with pytest.raises(TooLongError, match="the file lasts more than 30 s"):
            await decoders.decode(path)

    within(Decoders(ServerLimits(audio_seconds=30), workers=1), task)


@pytest.mark.parametrize("difference", [0, 1])
def test_the_longest_recording_that_is_taken_has_as_many_samples_as_the_limit_says(difference: int, clip: Path) -> None:
    limits = ServerLimits(audio_seconds=(len(WAVE) - difference) / SAMPLE_RATE)
    found = within(Decoders(limits, workers=1), lambda decoders: outcome(decoders, clip))
    assert isinstance(found, TooLongError if difference else np.ndarray)


def test_what_would_cost_too_much_is_refused_by_its_header(tmp_path: Path) -> None:
    """A few seconds in very many samples: six such files of a minute each kept a clip waiting for three minutes."""
    path = tmp_path / "costly"
    soundfile.write(path, np.zeros((96_000, 8), np.int16), 96_000, format="FLAC")
    limits = ServerLimits(decoding_samples=8 * 96_000 // 2)
    cases = (
        (ServerLimits(), np.ndarray, ""),
        (limits, TooLongError, "more than 0.5 s, .* from 8 channels at 96,000 Hz to mono"),
        (ServerLimits(decoding_rate=700_000), AudioError, "8 channels at 96,000 Hz, more than this server decodes"),
    )
    for given, kind, words in cases:
        found = within(Decoders(given, workers=1), lambda decoders: outcome(decoders, path))
        assert isinstance(found, kind)
        assert isinstance(found, np.ndarray) or re.search(words, str(found))
    least = ServerLimits()
    assert least.decoding_samples >= 2 * 48_000 * least.audio_seconds, "an hour of stereo is an honest recording"
    assert 8 * 655_350 > least.decoding_rate >= 6 * 96_000


def test_clients_take_turns_and_none_holds_all_workers() -> None:
    async def task() -> list[str]:
        turns, order = DecoderTurns(2), []

        async def decode(client: str, size: int) -> None:
            worker = await turns.take(client, size)
            try:
                order.append(f"{client}{size}")
                await asyncio.sleep(0.02)
            finally:
                turns.give(client, worker)

        begun = [asyncio.create_task(decode("greedy", size)) for size in (9, 5, 7, 1)]
        await asyncio.sleep(0)
        assert len(turns.idle) == 1, "the other worker is kept for others"
        begun += [asyncio.create_task(decode(client, 8)) for client in ("modest", "gone", "modest", "third")]
        await asyncio.sleep(0)
        begun.pop(5).cancel()
        await asyncio.gather(*begun)
        served = asyncio.create_task(decode("gone", 1))
        asyncio.get_running_loop().call_soon(served.cancel)  # between its turn and its start
        await asyncio.wait([served])
        assert (turns.idle, turns._turns, turns._waiting) == ([None, None], {}, [])
        return order

    order = asyncio.run(task())
    assert order[:3] == ["greedy9", "modest8", "third8"]
    assert [each for each in order if each.startswith("greedy")] == ["greedy9", "greedy1", "greedy5", "greedy7"]
    assert "gone8" not in order


def test_a_file_that_takes_too_long_ends_its_worker_and_the_next_file_gets_another(endless: Path, clip: Path) -> None:
    async def task(decoders: Decoders) -> None:
        with pytest.raises(DecodingError, match=r"more than 0.5 s"):
            await decoders.decode(endless)
        assert not decoders._alive
        assert names(endless.parent) == {"endless", "upload"}
        decoders.limits = ServerLimits()  # a busy machine may take longer for the next one
        assert np.array_equal(await decoders.decode(clip), WAVE)

    within(Decoders(ServerLimits(decoding_seconds=0.5), workers=1), task)


def test_a_file_that_takes_too_much_memory_ends_its_worker_alone(endless: Path, clip: Path) -> None:
    def feed() -> None:
        try:
            with endless.open("wb", 0) as pipe:
                while True:
                    pipe.write(bytes(1 << 20))
        except BrokenPipeError:
            pass

    async def task(decoders: Decoders) -> None:
        feeding = asyncio.to_thread(feed)
        found, other, _ = await asyncio.gather(outcome(decoders, endless), outcome(decoders, clip), feeding)
        assert isinstance(found, DecodingError)
        assert "more than 400 MiB" in str(found)
        assert np.array_equal(other, WAVE)

    within(Decoders(ServerLimits(decoding_memory=400 << 20), workers=2), task)


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (signal.SIGSEGV, DecodingError),
        (signal.SIGABRT, DecodingError),
        (signal.SIGXCPU, DecodingError),
        (signal.SIGKILL, UnavailableError),
        (signal.SIGTERM, UnavailableError),
    ],
)
def test_the_death_of_a_worker_costs_its_file_only_and_is_its_fault_only_if_it_crashed(
    number: signal.Signals, kind: type[Exception], endless: Path, clip: Path
) -> None:
    async def task(decoders: Decoders) -> None:
        lost = asyncio.create_task(outcome(decoders, endless))
        await busy(decoders, 1)
        (worker,) = decoders._alive
        kept = [asyncio.create_task(outcome(decoders, clip)) for _ in range(3)]
        worker.send_signal(number)
        assert isinstance(await lost, kind)
        for each in kept:
            assert np.array_equal(await each, WAVE)

    within(Decoders(workers=1), task)


def test_a_worker_that_dies_while_it_has_nothing_to_do_costs_no_file(clip: Path) -> None:
    async def task(decoders: Decoders) -> None:
        (worker,) = decoders._alive
        worker.kill()
        await worker.wait()
        assert np.array_equal(await decoders.decode(clip), WAVE)

    within(Decoders(workers=1), task)


def test_a_caller_who_gives_up_frees_the_worker_and_leaves_no_file(endless: Path, clip: Path) -> None:
    async def task(decoders: Decoders) -> None:
        gone = asyncio.create_task(decoders.decode(endless))
        await busy(decoders, 1)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        assert names(endless.parent) == {"endless", "upload"}
        assert np.array_equal(await decoders.decode(clip), WAVE)

    within(Decoders(workers=1), task)


def test_many_files_share_few_workers_and_neither_processes_nor_descriptors_are_left(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}" for number in range(12)]
    for number, path in enumerate(paths):
        soundfile.write(path, WAVE[: 1000 * (number + 1)], SAMPLE_RATE, format="WAV", subtype="FLOAT")
    descriptors = Path("/proc/self/fd")

    async def task(decoders: Decoders) -> list[int]:
        waves = await asyncio.gather(*map(decoders.decode, paths))
        for number, wave in enumerate(waves):
            assert np.array_equal(wave, WAVE[: 1000 * (number + 1)])
        assert len(decoders._alive) <= 2
        return [worker.pid for worker in decoders._alive]

    before = len(list(descriptors.iterdir())) if descriptors.exists() else 0
    for pid in within(Decoders(workers=2), task):
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    if descriptors.exists():
        assert len(list(descriptors.iterdir())) == before


def test_the_channels_of_a_file_are_waves_that_may_last_as_long_as_one_recording_together(tmp_path: Path) -> None:
    lanes = np.stack([WAVE, -WAVE, WAVE[::-1]])
    path = tmp_path / "upload"
    soundfile.write(path, lanes.T, SAMPLE_RATE, format="WAV", subtype="FLOAT")

    async def task(decoders: Decoders) -> np.ndarray:
        assert np.array_equal(await decoders.decode(path, channel=Channel.RIGHT), lanes[1])
        return await decoders.decode(path, channel=Channel.SPLIT)

    seconds = lanes.size / SAMPLE_RATE
    assert np.array_equal(within(Decoders(ServerLimits(audio_seconds=seconds), workers=1), task), lanes)
    with pytest.raises(TooLongError, match="lasts more than"):
        within(Decoders(ServerLimits(audio_seconds=seconds - 3), workers=1), task)


def test_a_worker_ends_with_its_server_even_in_the_middle_of_a_file(endless: Path) -> None:
    limits = json.dumps(asdict(ServerLimits()))
    command = [sys.executable, "-m", "distilhubert_ko.serving.decoders", limits]
    worker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert worker.stdin
    assert worker.stdout
    assert worker.stdout.readline() == b"ready\n"
    worker.stdin.write(json.dumps([str(endless), f"{endless}.wave", Channel.MIX]).encode() + b"\n")
    worker.stdin.flush()
    with endless.open("wb"):  # it reads, and waits for more
        worker.stdin.close()
        assert worker.wait(300) == 0  # seconds; the machine may be busy
    worker.stdout.close()


def test_a_worker_that_cannot_start_is_an_error_that_says_so(monkeypatch: pytest.MonkeyPatch, clip: Path) -> None:
    monkeypatch.setattr("sys.executable", "/no/python")
    with pytest.raises(UnavailableError, match="no process for decoding audio"):
        within(Decoders(workers=1), lambda decoders: decoders.decode(clip))
    monkeypatch.setattr("sys.executable", "/bin/true")
    with pytest.raises(UnavailableError, match="did not start"):
        within(Decoders(workers=1), lambda decoders: decoders.decode(clip))


def test_a_wave_that_cannot_be_written_is_no_fault_of_the_file(clip: Path) -> None:
    clip.with_name("upload.wave").touch()

    async def task(decoders: Decoders) -> None:
        with pytest.raises(UnavailableError, match=r"no space for decoded audio \(File exists\)"):
            await decoders.decode(clip)

    within(Decoders(workers=1), task)


def test_a_worker_starts_without_what_recognition_needs() -> None:
    heavy = "{'onnxruntime', 'torch', 'huggingface_hub', 'fastapi'}"
    script = f"import sys, distilhubert_ko.serving.decoders; print({heavy} & {{*sys.modules}})"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout == "set()\n"
