"""The audio cache: what it gives is what decoding gives, whatever was killed, flipped, filled or changed before."""

import dataclasses
import itertools
import os
import pickle
import shutil
import signal
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from distilhubert_ko import recipe
from distilhubert_ko.audio.reading import load_audio
from distilhubert_ko.data import audio_cache, lengths
from distilhubert_ko.data.audio_cache import AudioCache, open_cache, pack_wave, unpack_wave
from distilhubert_ko.data.corpora import Corpus, Utterance, read_corpus
from distilhubert_ko.data.dataset import prepare_dataset, read_unlabelled
from distilhubert_ko.data.reading import Reading
from distilhubert_ko.errors import AudioError, InputError
from distilhubert_ko.evaluation import report
from tests.support.full_disk import no_file_above
from tests.support.processes import pristine


def bits(wave: np.ndarray) -> bytes:
    assert wave.dtype == np.float32
    return wave.tobytes()


def noise(file: Path, samples: int = 50, rate: int = 16_000, channels: int = 1, subtype: str | None = None) -> Path:
    """A file of noise, which differs from file name to file name."""
    file.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(list(file.name.encode()))
    soundfile.write(file, random.uniform(-1, 1, (samples, channels)), rate, subtype=subtype)
    return file


def kept(cache: AudioCache, kind: str = "clips") -> list[Path]:
    return sorted((cache.folder / kind).glob("*/*"))


@pytest.fixture
def cache(tmp_path: Path) -> AudioCache:
    return open_cache(tmp_path / "cache")


class Calls:
    """The sources that a function of a module was asked for, in order; see `decoded` and `probed`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, module: ModuleType, name: str):
        self.sources: list[Any] = []
        original = getattr(module, name)

        def called(source: Any, *args: Any) -> Any:
            self.sources.append(source)
            return original(source, *args)

        monkeypatch.setattr(module, name, called)

    def take(self) -> list[Any]:
        """Those since it was last asked."""
        taken, self.sources[:] = [*self.sources], []
        return taken


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> Calls:
    return Calls(monkeypatch, audio_cache, "load_audio")


@pytest.fixture
def probed(monkeypatch: pytest.MonkeyPatch) -> Calls:
    return Calls(monkeypatch, lengths, "audio_duration")


# What is read is what was decoded


@pytest.mark.parametrize(
    ("name", "options", "sample_bytes"),
    [
        ("one.wav", {"samples": 1}, 2),
        ("whole.flac", {"samples": 16_000}, 2),
        ("stereo.wav", {"channels": 2}, 4),
        ("resampled.wav", {"samples": 4_410, "rate": 44_100}, 4),
        ("telephone.wav", {"samples": 800, "rate": 8_000}, 4),
        ("more-bits.flac", {"subtype": "PCM_24"}, 4),
        ("floats.wav", {"subtype": "FLOAT"}, 4),
        ("lossy.mp3", {"samples": 16_000}, 4),
    ],
)
def test_a_clip_from_the_cache_is_the_decoded_clip_bit_for_bit(
    cache: AudioCache, tmp_path: Path, decoded: Calls, name: str, options: dict[str, Any], sample_bytes: int
) -> None:
    file = noise(tmp_path / name, **options)
    expected = load_audio(file)
    decoded.take()
    for source in (file, file.read_bytes):
        assert bits(cache.wave(source)) == bits(expected)
        assert len(decoded.take()) == 1
        again = cache.wave(source)
        assert bits(again) == bits(expected)
        assert decoded.take() == []
        again[:] = 0  # who has it may write in it
        assert bits(cache.wave(source)) == bits(expected)
    for written in kept(cache):
        assert 0 <= written.stat().st_size - sample_bytes * len(expected) < 200


@given(st.lists(st.floats(-(2.0**31), 2.0**31, width=32) | st.integers(-(2**15), 2**15).map(lambda n: n / 2**15)))
def test_every_wave_comes_back_from_its_bytes(samples: list[float]) -> None:
    wave = np.array(samples, dtype=np.float32)
    assert bits(unpack_wave(pack_wave(wave))) == bits(wave)


def test_minus_zero_stays_what_it_is() -> None:
    assert bits(unpack_wave(pack_wave(np.array([-0.0], np.float32)))) == bits(np.array([-0.0], np.float32))


def test_slices_of_a_recording_are_clips_of_their_own(cache: AudioCache, tmp_path: Path, decoded: Calls) -> None:
    file = noise(tmp_path / "talk.flac", 16_000)
    slices = [(0.0, None), (0.25, None), (0.25, 0.5), (0.0, 0.5)]
    expected = [load_audio(file, *each) for each in slices]
    for _ in range(2):
        assert [bits(cache.wave(file, *each)) for each in slices] == [bits(wave) for wave in expected]
    assert len(decoded.take()) == len(slices)


# Sources that change


def test_a_source_that_changes_is_decoded_anew_and_no_other(cache: AudioCache, tmp_path: Path, decoded: Calls) -> None:
    files = [noise(tmp_path / f"{name}.wav") for name in "abc"]
    for file in files:
        cache.wave(file)
    modified = files[1].stat().st_mtime_ns
    shutil.copyfile(noise(tmp_path / "longer.wav", 60), files[1])
    os.utime(files[1], ns=(0, modified))
    os.utime(files[2], ns=(0, files[2].stat().st_mtime_ns + 1))
    decoded.take()
    waves = [cache.wave(file) for file in files]
    assert decoded.take() == files[1:]
    assert [bits(wave) for wave in waves] == [bits(load_audio(file)) for file in files]
    assert len(kept(cache)) == 3, "what was made from the old sources has gone"
    decoded.take()
    for file in files:
        cache.wave(file)
    assert decoded.take() == []


def test_what_a_function_fetches_is_known_by_its_content(cache: AudioCache, tmp_path: Path, decoded: Calls) -> None:
    files = [noise(tmp_path / name) for name in ("a.wav", "b.wav")]
    for file in (*files, *files):
        assert bits(cache.wave(file.read_bytes)) == bits(soundfile.read(file, dtype="float32")[0])
    assert len(decoded.take()) == 2


def test_what_another_decoder_left_is_not_used(cache: AudioCache, tmp_path: Path, decoded: Calls) -> None:
    file = noise(tmp_path / "a.wav")
    cache.wave(file)
    newer = dataclasses.replace(cache, decoder=f"{cache.decoder}.1")
    newer.wave(file)
    assert decoded.take() == [file, file]
    newer.wave(file)
    assert decoded.take() == []
    assert soundfile.__libsndfile_version__ in cache.decoder


@pytest.mark.parametrize("damage", ["missing", "empty", "truncated", "folder"])
def test_a_clip_that_cannot_be_decoded_says_what_it_says_without_a_cache_and_is_tried_again(
    cache: AudioCache, tmp_path: Path, damage: str
) -> None:
    file = noise(tmp_path / "a.flac", 16_000)
    whole = file.read_bytes()
    cache.wave(file)
    file.unlink()
    if damage == "folder":
        file.mkdir()
    elif damage != "missing":
        file.write_bytes(whole[: len(whole) // 2] if damage == "truncated" else b"")
    utterance = Utterance(id="u", audio=file, text="", speaker=None, seconds=1.0)
    with pytest.raises(AudioError) as plain:
        utterance.wave()
    for _ in range(2):
        with pytest.raises(AudioError) as found:
            dataclasses.replace(utterance, cache=cache).wave()
        assert str(found.value) == str(plain.value)
    if damage == "folder":
        file.rmdir()
    file.write_bytes(whole)
    assert len(cache.wave(file)) == 16_000


# Damage


def test_whatever_bit_flips_and_wherever_a_file_is_cut_it_is_found_said_and_mended(
    cache: AudioCache, tmp_path: Path, decoded: Calls, caplog: pytest.LogCaptureFixture
) -> None:
    file = noise(tmp_path / "a.wav", 20)
    expected = bits(cache.wave(file))
    (clip,) = kept(cache)
    whole = clip.read_bytes()
    flipped = [bytes([*whole[:at], whole[at] ^ 1 << at % 8, *whole[at + 1 :]]) for at in range(len(whole))]
    cut = [whole[:length] for length in (*range(6), len(whole) // 2, len(whole) - 1)]
    for damaged in (*flipped, *cut, whole + b"\0"):
        clip.write_bytes(damaged)
        decoded.take()
        assert bits(cache.wave(file)) == expected
        assert len(decoded.take()) == 1
        assert clip.read_bytes() == whole
        assert caplog.messages == [f"{clip} of the audio cache is damaged: made anew"]
        caplog.clear()


def test_a_file_of_the_cache_that_cannot_be_read_is_made_anew_where_that_is_possible(
    cache: AudioCache, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = noise(tmp_path / "a.wav")
    cache.wave(file)
    (clip,) = kept(cache)
    clip.unlink()
    clip.mkdir()
    with pytest.raises(InputError, match="the audio cache cannot be written"):
        cache.wave(file)
    assert f"{clip} of the audio cache cannot be read" in caplog.text
    assert not list(cache.folder.rglob("*.tmp"))


# Processes


def build(folder: Path, files: list[Path], start: Any = None, waves: Any = None) -> None:
    """Reads all files through the cache in a folder; puts what was read into a queue, and warnings into a file."""
    said = os.open(folder.with_suffix(".said"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(said, 2)
    cache = open_cache(folder)
    if start:
        start.wait()
    read = [bits(cache.wave(file)) for file in files]
    if waves:
        waves.put(read)


def said(folder: Path) -> str:
    return folder.with_suffix(".said").read_text(encoding="utf-8")


def test_a_builder_says_what_it_meets(tmp_path: Path) -> None:
    """Or the tests below would find nothing said because nothing is heard."""
    folder, files = tmp_path / "cache", [noise(tmp_path / "a.wav")]
    cache = open_cache(folder)
    cache.wave(files[0])
    kept(cache)[0].write_bytes(b"half")
    process = pristine.Process(target=build, args=(folder, files))
    process.start()
    process.join()
    assert process.exitcode == 0
    assert "is damaged: made anew" in said(folder)


def test_processes_that_build_at_once_all_read_right_and_leave_one_whole_cache(
    tmp_path: Path, decoded: Calls, caplog: pytest.LogCaptureFixture
) -> None:
    files = [noise(tmp_path / f"{number}.flac", 2_000) for number in range(40)]
    expected = [bits(load_audio(file)) for file in files]
    start, waves = pristine.Barrier(2), pristine.Queue()
    processes = [pristine.Process(target=build, args=(tmp_path / "cache", files, start, waves)) for _ in range(2)]
    for process in processes:
        process.start()
    assert [waves.get(timeout=300) for _ in processes] == [expected, expected]
    for process in processes:
        process.join()
        assert process.exitcode == 0
    cache = open_cache(tmp_path / "cache")
    decoded.take()
    assert [bits(cache.wave(file)) for file in files] == expected
    assert decoded.take() == [], "built once: the third process finds everything"
    assert len(kept(cache)) == len(files)
    assert not list(cache.folder.rglob("*.tmp"))
    assert said(tmp_path / "cache") == "", "nobody met a half-written file"
    assert caplog.messages == []


def killed_at(fatal: int, folder: Path, files: list[Path]) -> None:
    """Builds in a process that SIGKILL ends as it deals with a file of the cache for the `fatal`-th time."""
    met = 0

    def watch(event: str, args: tuple[Any, ...]) -> None:
        nonlocal met
        if event in ("open", "os.mkdir", "os.rename", "os.remove") and f"{folder}{os.sep}" in f"{args[0]}{os.sep}":
            met += 1
            if met == fatal:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    build(folder, files)


def test_a_builder_killed_at_any_dealing_with_a_file_leaves_nothing_that_is_taken_for_whole(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = [noise(tmp_path / f"{name}.wav", 30_000) for name in "abc"]
    expected = [bits(load_audio(file)) for file in files]
    done = set()
    (tmp_path / "caches").mkdir()
    for fatal in itertools.count(1):
        folder = tmp_path / "caches" / str(fatal)
        process = pristine.Process(target=killed_at, args=(fatal, folder, files))
        process.start()
        process.join()
        cache = open_cache(folder)
        done.add(len(kept(cache)))
        assert [bits(cache.wave(file)) for file in files] == expected
        assert said(folder) == ""
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
    assert done == {0, 1, 2, 3}
    assert caplog.messages == []


# No room


def test_a_clip_that_finds_no_room_is_an_error_that_says_what_to_do_and_loses_nothing(
    cache: AudioCache, tmp_path: Path, decoded: Calls
) -> None:
    small, large = noise(tmp_path / "small.wav", 100), noise(tmp_path / "large.wav", 16_000)
    utterance = Utterance(id="u", audio=large, text="", speaker=None, seconds=1.0, cache=cache)
    with no_file_above(10_000):
        cache.wave(small)
        with pytest.raises(
            InputError, match=r"audio cache cannot be written to .*GB are free.*data\.cache.*--resume"
        ) as e:
            utterance.wave()
        assert not isinstance(e.value, AudioError), "or training would take it for a clip that cannot be decoded"
        assert len(kept(cache)) == 1
        assert not list(cache.folder.rglob("*.tmp"))
    decoded.take()
    assert len(utterance.wave()) == 16_000
    cache.wave(small)
    assert decoded.take() == [large]


def test_a_cache_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"cannot be written to .*file.*data\.cache"):
        open_cache(tmp_path / "file")


# Lengths


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    """A folder without metadata: a.wav, b.wav and c.wav, and d.wav, which is no audio."""
    for number, name in enumerate("abc"):
        noise(tmp_path / "speech" / f"{name}.wav", 1600 * (number + 1))
    (tmp_path / "speech" / "d.wav").write_bytes(b"no audio")
    return tmp_path / "speech"


def read(speech: Path, cache: AudioCache | None) -> Corpus:
    return read_corpus(f"folder:{speech}", Reading(cache=cache.folder if cache else None), transcribed=False)


def test_a_second_start_measures_no_file_that_can_be_used_and_finds_the_same_corpus(
    speech: Path, cache: AudioCache, probed: Calls
) -> None:
    plain = read(speech, None)
    assert [utterance.seconds for utterance in plain.utterances] == [0.1, 0.2, 0.3]
    for expected in (["a", "b", "c", "d"], ["d"], ["d"]):
        probed.take()
        found = read(speech, cache)
        assert sorted(path.stem for path in probed.take()) == expected
        assert found.problems == plain.problems
        assert found.utterances == tuple(dataclasses.replace(each, cache=cache) for each in plain.utterances)


def test_files_that_came_changed_or_went_are_measured_anew_and_no_others(
    speech: Path, cache: AudioCache, probed: Calls
) -> None:
    read(speech, cache)
    noise(speech / "b.wav", 8_000)
    noise(speech / "e.wav", 3_200)
    (speech / "c.wav").unlink()
    probed.take()
    found = read(speech, cache)
    assert sorted(path.name for path in probed.take()) == ["b.wav", "d.wav", "e.wav"]
    assert {each.id: each.seconds for each in found.utterances} == {"a": 0.1, "b": 0.5, "e": 0.2}
    (lengths,) = kept(cache, "lengths")
    assert b"c.wav" not in lengths.read_bytes()


def test_damaged_lengths_are_measured_anew(
    speech: Path, cache: AudioCache, probed: Calls, caplog: pytest.LogCaptureFixture
) -> None:
    expected = read(speech, cache)
    (lengths,) = kept(cache, "lengths")
    whole = lengths.read_bytes()
    lengths.write_bytes(whole.replace(b"0.2", b"0.3"))
    assert read(speech, cache) == expected
    assert "damaged: made anew" in caplog.text
    assert lengths.read_bytes() == whole


def test_each_corpus_keeps_lengths_of_its_own(speech: Path, cache: AudioCache, probed: Calls) -> None:
    read(speech, cache)
    other = speech.parent / "other"
    noise(other / "a.wav", 800)
    for _ in range(2):
        assert read(other, cache).utterances[0].seconds == 0.05
        assert read(speech, cache).utterances[0].seconds == 0.1
    assert [path for path in probed.take() if path.stem == "a"] == [speech / "a.wav", other / "a.wav"]


def test_a_path_need_not_be_unicode(cache: AudioCache, tmp_path: Path, probed: Calls) -> None:
    korean = tmp_path / "speech" / os.fsdecode("말".encode("euc-kr"))
    try:
        noise(tmp_path / "speech" / "a.wav").rename(korean.with_suffix(".wav"))
    except OSError:
        pytest.skip("this file system takes Unicode alone")
    waves = [read(tmp_path / "speech", cache).utterances[0].wave() for _ in range(2)]
    assert bits(waves[0]) == bits(waves[1])
    assert len(probed.take()) == 1


def test_what_a_function_fetches_is_measured_each_time(cache: AudioCache, tmp_path: Path) -> None:
    source = noise(tmp_path / "a.wav", 800).read_bytes
    asked = []

    def measure(sources: Any) -> dict[Any, audio_cache.Length]:
        asked.append([*sources])
        return dict.fromkeys(asked[-1], 0.05)

    for _ in range(2):
        assert cache.lengths("corpus", [source], measure) == {source: 0.05}
    assert asked == [[source], [source]]


# In a recipe


def test_a_recipe_with_a_cache_decodes_and_measures_once(
    tiny_speech: Path, tmp_path: Path, decoded: Calls, probed: Calls
) -> None:
    data = recipe.Data(
        train=f"manifest:{tiny_speech}/train.jsonl",
        eval=f"manifest:{tiny_speech}/dev.jsonl",
        cache=str(tmp_path / "cache"),
    )
    config = recipe.Recipe(data=data)
    waves = []
    for _ in range(2):
        prepared = pickle.loads(pickle.dumps(prepare_dataset(config)))  # as new processes receive it
        waves.append(b"".join(bits(e.utterance.wave()) for e in (*prepared.train.examples, *prepared.eval.examples)))
        assert len(decoded.take()) == len(probed.take()) == (24 if len(waves) == 1 else 0)
    assert waves[0] == waves[1]
    assert read_unlabelled(data.eval, config).examples[0].utterance.cache is not None
    assert probed.take() == []


def test_a_home_folder_is_understood(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert recipe.Recipe(data=recipe.Data(cache="~/cache")).cache == tmp_path / "cache"
    assert recipe.Recipe().cache is None


def test_a_model_that_somebody_gave_away_writes_into_no_cache(tiny_speech: Path, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    config = recipe.Recipe(data=recipe.Data(cache=str(tmp_path / "cache")))
    recipe.save_recipe(config, tmp_path / "model" / "recipe.toml")
    split = report.read_evaluation_split(tmp_path / "model", f"manifest:{tiny_speech}/dev.jsonl")
    assert split.examples[0].utterance.cache is None
    assert not (tmp_path / "cache").exists()
