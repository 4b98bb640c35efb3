"""Bulk transcription: one correct record per input, whatever process dies and whatever file is corrupt."""

import contextlib
import itertools
import json
import os
import shutil
import signal
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import psutil
import pytest
import ray
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet
from typer.testing import CliRunner

from distilhubert_ko import Transcriber
from distilhubert_ko.audio.frames import SAMPLE_RATE
from distilhubert_ko.bulk import engine as bulk_engine
from distilhubert_ko.bulk import inputs, outputs
from distilhubert_ko.bulk import run as bulk
from distilhubert_ko.bulk.inputs import BulkInput, Storage
from distilhubert_ko.cli import main as cli
from distilhubert_ko.decoding.kneser_ney import train_ngrams, write_arpa
from distilhubert_ko.errors import BulkError, CorpusError, InputError
from distilhubert_ko.export.exporting import export_graph
from distilhubert_ko.recognition.formats import Numerals
from tests.support.model import clip
from tests.support.processes import pristine

CLIPS = 60
LENGTHS = (1, 399, 400, 4000, 9000, 16000)  # samples; the first two are too short for a frame
DEADLY = 7777  # samples of a recording that kills whoever hears it


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder tree of CLIPS short recordings, one longer than a window, a corrupt one and an empty one."""
    folder = tmp_path_factory.mktemp("recordings")
    (folder / "둘째 폴더").mkdir()
    for number in range(CLIPS):
        place = folder / ("둘째 폴더" if number % 2 else "") / f"{number:02d}.wav"
        soundfile.write(place, clip(LENGTHS[number % len(LENGTHS)], number), SAMPLE_RATE)
    soundfile.write(folder / "long.wav", clip(21 * SAMPLE_RATE), SAMPLE_RATE)
    (folder / "damaged.flac").write_bytes(b"fLaC and no more")
    (folder / "empty.mp3").write_bytes(b"")
    (folder / ".hidden.wav").write_bytes(b"as macOS leaves them")
    return folder


@pytest.fixture(scope="module")
def engine() -> Iterator[None]:
    """Run a local Ray for all tests of this module, which bulk then uses."""
    with bulk.ray_engine(None, 1, 2):
        yield


@pytest.fixture(scope="module")
def work(exported: Path) -> bulk.WorkerOptions:
    return bulk.WorkerOptions(str(exported), 1, {})


def mortal(work: bulk.WorkerOptions, deaths: Path) -> bulk.WorkerOptions:
    """Return a worker that kills itself at a DEADLY recording, and at 16000 samples once per file in `deaths`."""

    class Mortal(bulk.WorkerOptions):  # within a function, so that it goes to the workers by value
        def transcriber(self) -> Transcriber:
            made = bulk.WorkerOptions.transcriber(self)
            hear = made.log_probs

            def log_probs(waves: Sequence[np.ndarray]) -> list[np.ndarray]:
                lengths = {len(wave) for wave in waves}
                if DEADLY in lengths:
                    os.kill(os.getpid(), signal.SIGKILL)
                if 16000 in lengths and (left := [*deaths.iterdir()]):
                    left[0].unlink()
                    os.kill(os.getpid(), signal.SIGKILL)
                return hear(waves)

            made.log_probs = log_probs  # type: ignore[method-assign]
            return made

    return Mortal(work.model, work.threads, work.settings)


def records(out: Path) -> list[dict[str, Any]]:
    """Return all records. The Parquet and JSONL files must agree, and the folder must hold nothing else."""
    names = {place.name for place in out.iterdir() if not place.name.startswith("part-")}
    assert names <= {bulk.SUCCESS, bulk.SETTINGS, outputs.DRAFTS}
    assert not [*out.glob(f"{outputs.DRAFTS}/*")]
    read = [record for place in sorted(out.glob("*.parquet")) for record in parquet.read_table(place).to_pylist()]
    lines = [line for place in sorted(out.glob("*.jsonl")) for line in place.read_text(encoding="utf-8").splitlines()]
    told = [json.loads(line) for line in lines]
    assert [dict.fromkeys(outputs.SCHEMA.names) | record for record in told] == read
    return told


def close(one: Any, other: Any) -> bool:
    """Return whether both are equal up to one unit of the last digit."""
    if isinstance(one, float):
        return abs(one - other) < 1.5e-4
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(close(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(close, one, other))
    return bool(one == other)


def check_right(found: Sequence[dict[str, Any]], transcriber: Transcriber) -> None:
    """Check that every record is the Transcriber's own result for the same recording."""
    for record in found:
        assert record["error"] is None, record
        offline = json.loads(transcriber(record["audio"]).to_json())
        assert close({name: record[name] for name in offline}, offline), record["audio"]


def test_nobody_else_reaches_the_ray_of_this_machine(engine: None) -> None:
    """Any who can connect to Ray can run code as this user."""
    own = psutil.Process()
    listening = {
        connection.laddr.ip.removeprefix("::ffff:")
        for process in [own, *own.children(recursive=True)]
        if process.is_running()
        for connection in process.net_connections()
        if connection.status == "LISTEN"
    }
    assert listening
    assert listening <= {"127.0.0.1", "::1"}
    session = Path(ray._private.worker._global_node.get_session_dir_path())
    private = session.parents[1]
    assert private.name.startswith(bulk_engine.PREFIX)
    assert private.stat().st_mode & 0o077 == 0
    assert os.environ["RAY_AUTH_MODE"] == "token"  # which Ray sets by itself
    assert bulk_engine.TOKEN.expanduser().stat().st_mode & 0o077 == 0


def test_the_folder_of_ray_goes_unless_its_logs_are_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    for error, kept in ((None, 0), (KeyboardInterrupt(), 0), (BulkError("Ray gave up"), 1)):
        with contextlib.suppress(KeyboardInterrupt, BulkError), bulk_engine._private_folder() as folder:
            (folder / "ray").mkdir()
            if error:
                raise error
        assert len([*tmp_path.iterdir()]) == kept


def test_whatever_dies_each_input_has_one_right_record(
    engine: None, work: bulk.WorkerOptions, recordings: Path, tmp_path: Path
) -> None:
    deaths, out = tmp_path / "deaths", tmp_path / "out"
    deaths.mkdir()
    for name in "12":
        (deaths / name).touch()
    poison = recordings / "poison.wav"
    soundfile.write(poison, clip(DEADLY), SAMPLE_RATE)
    steps: list[tuple[int, int]] = []
    try:
        counts = bulk.transcribe_all(
            str(recordings), out, mortal(work, deaths), workers=1, on_progress=lambda *step: steps.append(step)
        )
    finally:
        poison.unlink()
    assert not [*deaths.iterdir()], "no worker died"
    found = records(out)
    assert Counter(record["audio"] for record in found) == Counter(
        str(path) for path in [*recordings.rglob("[!.]*.*"), poison]
    )
    failed = {record["id"]: record["error"] for record in found if record["error"] is not None}
    assert failed.keys() == {"damaged.flac", "empty.mp3", "poison.wav"}
    assert "3 workers died" in failed["poison.wav"]
    right = [record for record in found if record["id"] not in failed]
    assert sum(bool(record["text"]) for record in right) > CLIPS / 3, "the model says something"
    check_right(right, work.transcriber())
    assert (counts.records, counts.failures) == (CLIPS + 4, 3)
    assert json.loads((out / bulk.SUCCESS).read_text(encoding="utf-8")) == vars(counts)
    assert steps[-1] == (CLIPS + 4, CLIPS + 4)
    assert steps == sorted(steps)


def test_what_has_a_record_is_not_done_again(
    engine: None, work: bulk.WorkerOptions, recordings: Path, tmp_path: Path
) -> None:
    out, listed = tmp_path / "out", tmp_path / "list.jsonl"
    lines = [
        {"audio_filepath": "here.wav"},
        {"audio_filepath": f"{recordings}/둘째 폴더/05.wav", "id": "가"},
        {"audio_filepath": f"file://{recordings}/둘째 폴더/05.wav"},
        {"audio_filepath": "missing.wav"},
        {"audio_filepath": f"{recordings}/long.wav", "offset": 1.0, "duration": 0.5},
        {"audio_filepath": f"{recordings}/long.wav", "offset": 30.0},
    ]
    soundfile.write(tmp_path / "here.wav", clip(5000), SAMPLE_RATE)
    listed.write_text("".join(json.dumps(line) + "\n" for line in [*lines, lines[0]]), encoding="utf-8")
    first = bulk.transcribe_all(str(listed), out, work, allow_outside=True, workers=2)
    assert (first.records, first.failures) == (len(lines), 2), "a line that is given twice is one input"
    found = {(record["id"], record["offset"]): record for record in records(out)}
    assert found["가", 0.0]["segments"] == found[f"file://{recordings}/둘째 폴더/05", 0.0]["segments"]
    transcriber = work.transcriber()
    check_right([found["here", 0.0], found["가", 0.0]], transcriber)
    heard, _ = soundfile.read(recordings / "long.wav", dtype="float32")
    sliced = json.loads(transcriber(heard[SAMPLE_RATE : SAMPLE_RATE * 3 // 2]).to_json())
    assert close({name: found[f"{recordings}/long@1.0", 1.0][name] for name in sliced}, sliced)

    before = {place: place.stat().st_mtime_ns for place in out.glob("part-*")}
    listed.write_text(listed.read_text(encoding="utf-8") + '{"audio_filepath": "new.wav"}\n', encoding="utf-8")
    soundfile.write(tmp_path / "new.wav", clip(6000), SAMPLE_RATE)
    (out / bulk.SUCCESS).unlink()  # as where the command was killed
    assert bulk.transcribe_all(str(listed), out, work, allow_outside=True, workers=1).records == len(lines) + 1
    after = {place: place.stat().st_mtime_ns for place in out.glob("part-*")}
    assert before.items() < after.items()
    assert len(after) == len(before) + 2

    def nobody(done: int, all_: int) -> None:
        raise AssertionError("nothing was left to do")

    assert bulk.transcribe_all(str(listed), out, work, allow_outside=True, on_progress=nobody).records == len(lines) + 1
    with pytest.raises(InputError, match="another folder as --out"):
        bulk.transcribe_all(str(listed), out, bulk.WorkerOptions(work.model, 1, {"n_best": 2}), allow_outside=True)


def test_whispers_encoder_says_in_bulk_what_it_says_alone(
    engine: None, exported_whisper: Path, recordings: Path, tmp_path: Path
) -> None:
    work = bulk.WorkerOptions(str(exported_whisper), 1, {})
    counts = bulk.transcribe_all(str(recordings / "둘째 폴더"), tmp_path / "out", work, workers=1)
    assert counts.records == CLIPS // 2
    check_right(records(tmp_path / "out"), Transcriber(exported_whisper, threads=1))


def test_the_command_writes_one_record_each(
    engine: None, work: bulk.WorkerOptions, recordings: Path, tmp_path: Path
) -> None:
    source = recordings / "둘째 폴더"
    options = ["--out", str(tmp_path / "out"), "--model", work.model, "--workers", "1", "--n-best", "2"]
    result = CliRunner().invoke(cli.app, ["bulk", str(source), *options])
    assert result.exit_code == 0, result.output
    assert f"{CLIPS // 2} records" in result.output
    assert len(records(tmp_path / "out")) == CLIPS // 2


def test_an_output_that_cannot_be_written_ends_the_run_with_one_line(
    engine: None, work: bulk.WorkerOptions, recordings: Path, tmp_path: Path
) -> None:
    bulk._claim(tmp_path, work)
    (tmp_path / outputs.DRAFTS).write_text("where a folder should be")
    with pytest.raises(InputError, match=r"^[^\n]*cannot be written[^\n]*$"):
        bulk.transcribe_all(str(recordings / "둘째 폴더"), tmp_path, work, workers=1)


@pytest.mark.parametrize("content", ["", "[", "{}", "[" * 100_000])
def test_a_corrupt_file_of_an_earlier_run_is_begun_again_or_named(
    work: bulk.WorkerOptions, recordings: Path, tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    whole, transcriber = shard(recordings), work.transcriber()
    bulk._claim(tmp_path, work)
    draft = tmp_path / outputs.DRAFTS / f"{whole.name}.json"
    for step in (
        lambda: bulk._gather(tmp_path),
        lambda: outputs.transcribe_shard(whole, tmp_path, Storage(), transcriber),
    ):
        draft.parent.mkdir(exist_ok=True)
        draft.write_text(content, encoding="utf-8")
        step()
        assert f"{draft.name} is corrupt" in caplog.text
        caplog.clear()
    assert len(records(tmp_path)) == len(whole.inputs)
    (tmp_path / bulk.SETTINGS).write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=bulk.SETTINGS):
        bulk.transcribe_all(str(recordings / "둘째 폴더"), tmp_path, work)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


NAMES = ["manifest.jsonl", "part-000.jsonl", "other.parquet", "notes.txt"]


def test_a_run_into_the_folder_of_its_manifest_deletes_nothing(
    engine: None, work: bulk.WorkerOptions, recordings: Path, tmp_path: Path
) -> None:
    soundfile.write(tmp_path / "a.wav", clip(5000), SAMPLE_RATE)
    for name in NAMES:
        (tmp_path / name).write_text('{"audio_filepath": "a.wav"}\n', encoding="utf-8")
    before = files(tmp_path)
    for _ in range(2):
        assert bulk.transcribe_all(str(tmp_path / "manifest.jsonl"), tmp_path, work, workers=1).records == 1
        assert files(tmp_path).items() > before.items()


@pytest.mark.parametrize("name", ["_SUCCESS", "_drafts/part-0123456789abcdef.json", "part-0123456789abcdef.jsonl"])
def test_a_folder_with_files_like_its_own_but_without_its_settings_is_refused(
    name: str, work: bulk.WorkerOptions, recordings: Path, tmp_path: Path
) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("somebody's")
    before = files(tmp_path)
    with pytest.raises(InputError, match=rf"holds {name.partition('/')[0]}, but no _settings\.json"):
        bulk.transcribe_all(str(recordings), tmp_path, work)
    assert files(tmp_path) == before


def test_every_content_that_a_transcript_depends_on_has_to_be_as_before(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Path(shutil.copytree(exported, tmp_path / "model"))
    lm, other = tmp_path / "lm.arpa", tmp_path / "other.arpa"
    for path, text in ((lm, "가 나"), (other, "가 다")):
        write_arpa(train_ngrams([text.split()], 2), path)

    def record(**settings: Any) -> dict[str, Any]:
        return bulk.WorkerOptions(str(model), 1, {"lm": str(lm), "hotwords": ["나무"], **settings}).record()

    seen = [record(), record(hotword_weight=3.0), record(n_best=2), record(beam=7), record(hotwords=["바다"])]
    digits = bulk.WorkerOptions(str(model), 1, {"lm": str(lm), "hotwords": ["나무"]}, Numerals.DIGITS)
    seen.append(digits.record())
    lm.write_bytes(other.read_bytes())  # trained again, under the same name
    seen.append(record())
    lm.with_name("attrs.json").write_text('{"unk_score_offset": -3}')
    seen.append(record())
    vocabulary = (model / "vocab.json").read_text(encoding="utf-8")
    (model / "vocab.json").write_text(vocabulary + " ", encoding="utf-8")
    export_graph(model)
    seen.append(record())
    assert all(one != two for one, two in itertools.combinations(seen, 2))
    assert record() == json.loads(json.dumps(seen[-1]))


# What a shard leaves behind, without Ray


def test_a_pipe_and_a_name_in_euc_kr_have_a_record(work: bulk.WorkerOptions, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    strange = os.fsencode(tmp_path) + b"/\xc7\xd1.wav"
    soundfile.write(strange, clip(5000), SAMPLE_RATE, format="WAV")
    transcriber = work.transcriber()
    (found,) = inputs.read_inputs(str(tmp_path), Storage())
    pipe = BulkInput("pipe", str(tmp_path / "pipe.wav"))
    whole, out = outputs.BulkShard((found, pipe), (0, 0)), tmp_path / "out"
    outputs.transcribe_shard(whole, out, Storage(), transcriber)
    told = {record["id"]: record for record in records(out)}
    assert told[r"\xc7\xd1.wav"]["error"] is None
    assert "no ordinary file" in told["pipe"]["error"]
    assert {bulk._key(record) for record in bulk._finished(out)} == {found.key, pipe.key}


def transcribe_with_one_endless(whole: outputs.BulkShard, out: Path, work: bulk.WorkerOptions) -> None:
    """The second input of a shard never ends, and it alone has little time."""
    slow = whole.inputs[1]

    def opened(each: BulkInput, *rest: Any) -> np.ndarray:
        if each == slow:
            time.sleep(3600)
        return clip(4000)

    patch = pytest.MonkeyPatch()
    patch.setattr(outputs, "time_limit", lambda group: 0.3 if slow in group else 3600)
    patch.setattr(outputs, "_wave_or_transcript", opened)
    outputs.transcribe_shard(whole, out, Storage(), work.transcriber())


def test_an_input_that_takes_too_long_ends_its_worker_once_and_has_a_record(
    work: bulk.WorkerOptions, recordings: Path, tmp_path: Path
) -> None:
    whole = outputs.BulkShard(shard(recordings).inputs[:3], (0, 0, 0))
    ends = []
    for _ in range(3):
        process = pristine.Process(target=transcribe_with_one_endless, args=(whole, tmp_path, work))
        process.start()
        process.join()
        ends.append(process.exitcode)
    assert ends == [1, 1, 0]  # with the others, then alone; after that it is recorded
    errors = {record["audio"]: record["error"] for record in records(tmp_path)}
    assert "it took too long" in errors.pop(whole.inputs[1].audio)
    assert {*errors.values()} == {None}


def test_the_time_limit_grows_with_the_audio_and_is_never_short() -> None:
    known, unknown = BulkInput("a", "/a.wav", seconds=100.0), BulkInput("b", "http://host/b.wav")
    assert outputs.time_limit([known]) == outputs.PATIENCE + outputs.SLOWEST * 100
    assert outputs.time_limit([known, unknown]) > outputs.time_limit([known]) + 3600


class Death(BaseException):
    """Ends a worker at once."""


def shard(recordings: Path) -> outputs.BulkShard:
    (whole,) = outputs.cut_shards(
        [each for each in inputs.read_inputs(str(recordings), Storage()) if each.id != "long.wav"], {}
    )
    return whole


def hearing(transcriber: Transcriber, monkeypatch: pytest.MonkeyPatch, calls: int) -> None:
    """Let the worker die in log_probs after so many `calls`."""
    hear, left = transcriber.log_probs, iter(range(calls))

    def log_probs(waves: Sequence[np.ndarray]) -> list[np.ndarray]:
        if next(left, None) is None:
            raise Death
        return hear(waves)

    monkeypatch.setattr(transcriber, "log_probs", log_probs)


@pytest.mark.parametrize("calls", [0, 1, 2, 3])
def test_a_run_that_was_killed_leaves_what_the_next_one_needs(
    work: bulk.WorkerOptions, recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calls: int
) -> None:
    whole, transcriber = shard(recordings), work.transcriber()
    with monkeypatch.context() as patch:
        hearing(transcriber, patch, calls)
        with pytest.raises(Death):
            outputs.transcribe_shard(whole, tmp_path, Storage(), transcriber)
    begun = bulk._gather(tmp_path)
    assert sum(begun.values()) == min(outputs.GROUP, len(whole.inputs) - calls * outputs.GROUP)
    done = {bulk._key(record) for record in bulk._finished(tmp_path)}
    assert len(done) == calls * outputs.GROUP
    left = [each for each in whole.inputs if each.key not in done]
    for rest in outputs.cut_shards(left, begun):
        outputs.transcribe_shard(rest, tmp_path, Storage(), transcriber)
    assert bulk._conclude(whole.inputs, tmp_path).records == len(whole.inputs) == len(records(tmp_path))
    assert bulk._gather(tmp_path) == {}


def test_a_shard_that_is_done_twice_leaves_one_pair_of_files(
    work: bulk.WorkerOptions, recordings: Path, tmp_path: Path
) -> None:
    whole, transcriber = shard(recordings), work.transcriber()
    for _ in range(2):
        outputs.transcribe_shard(whole, tmp_path, Storage(), transcriber)
    assert len([*tmp_path.glob("part-*")]) == 2
    assert len(records(tmp_path)) == len(whole.inputs)


def test_success_is_not_claimed_where_a_record_is_missing_or_twice(
    work: bulk.WorkerOptions, recordings: Path, tmp_path: Path
) -> None:
    whole, transcriber = shard(recordings), work.transcriber()
    rest = whole.inputs[1:]
    outputs.transcribe_shard(outputs.BulkShard(rest, (0,) * len(rest)), tmp_path, Storage(), transcriber)
    with pytest.raises(bulk.BulkError, match="1 inputs have no record"):
        bulk._conclude(whole.inputs, tmp_path)
    outputs.transcribe_shard(whole, tmp_path, Storage(), transcriber)
    with pytest.raises(bulk.BulkError, match=f"{len(rest)} inputs"):
        bulk._conclude(whole.inputs, tmp_path)
    assert not (tmp_path / bulk.SUCCESS).exists()


@given(st.lists(st.floats(0, 1000), max_size=300))
def test_shards_hold_each_input_once_and_are_of_bounded_size(lengths: list[float]) -> None:
    wanted = [BulkInput(str(number), f"/{number}.wav", seconds=seconds) for number, seconds in enumerate(lengths)]
    shards = outputs.cut_shards(wanted, {wanted[0].key: 2} if wanted else {})
    assert sorted(each.id for part in shards for each in part.inputs) == sorted(each.id for each in wanted)
    assert len({part.name for part in shards}) == len(shards)
    for part in shards:
        total = sum(each.seconds for each in part.inputs)
        assert len(part.inputs) == 1 or (len(part.inputs) <= outputs.LARGEST and total <= outputs.LONGEST)
        assert part.begun == tuple(2 if each.id == "0" else 0 for each in part.inputs)


# Where inputs come from


def test_a_folder_and_a_manifest_in_another_file_system_are_read() -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe({"/talks/가/하나 둘.wav": b"123", "/talks/._x.wav": b"", "/talks/notes.txt": b"x"})
    memory.pipe("/lists/a.csv", "audio_filepath,duration\n가/b.wav,2\nmemory://talks/c.wav,\n/d.wav,\n".encode())
    storage = Storage()
    (found,) = inputs.read_inputs("memory://talks", storage)
    assert (found.id, found.audio) == ("가/하나 둘.wav", "memory://talks/가/하나 둘.wav")
    assert storage.read(found.audio) == b"123"
    listed = inputs.read_inputs("memory://lists/a.csv", storage, allow_outside=True)
    assert [each.audio for each in listed] == ["memory://lists/가/b.wav", "memory://talks/c.wav", "/d.wav"]
    assert [each.length for each in listed] == [2.0, None, None]


@pytest.mark.parametrize(
    ("source", "content", "error", "message"),
    [
        ("nothing.jsonl", None, InputError, "cannot be read"),
        ("empty.jsonl", "", InputError, "empty manifest"),
        ("a.jsonl", "[]", InputError, "empty manifest"),
        ("b.jsonl", "[1]", CorpusError, "line 1 is malformed"),
        ("a.wav", "", InputError, "use `distilhubert-ko transcribe`"),
        ("", None, InputError, "no audio files in this folder"),
    ],
)
def test_what_lists_no_recordings_is_refused(
    tmp_path: Path, source: str, content: str | None, error: type[Exception], message: str
) -> None:
    if content is not None:
        (tmp_path / source).write_text(content, encoding="utf-8")
    with pytest.raises(error, match=message):
        inputs.read_inputs(str(tmp_path / source), Storage())


@pytest.mark.parametrize(
    "path", ["../b.wav", "가/../../b.wav", "/etc/b.wav", "memory://talks/b.wav", "http://host/b.wav"]
)
@pytest.mark.parametrize("there", ["memory://lists/talks", "folder"])
def test_a_manifest_names_nothing_outside_its_folder_unless_that_is_allowed(
    tmp_path: Path, there: str, path: str
) -> None:
    home = there if inputs.is_remote(there) else str(tmp_path / there)
    rows = f"audio_filepath\n가/b.wav\n{path}\n".encode()
    if inputs.is_remote(there):
        fsspec.filesystem("memory").pipe("/lists/talks/a.csv", rows)
    else:
        (tmp_path / there).mkdir()
        (tmp_path / there / "a.csv").write_bytes(rows)
    with pytest.raises(CorpusError, match=r"a\.csv.* names .*b\.wav', which leaves .*--allow-outside"):
        inputs.read_inputs(f"{home}/a.csv", Storage())
    assert len(inputs.read_inputs(f"{home}/a.csv", Storage(), allow_outside=True)) == 2


def test_a_link_is_no_way_out_of_a_manifests_folder(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.csv").write_text("audio_filepath\nlink.wav\n", encoding="utf-8")
    (tmp_path / "folder" / "link.wav").symlink_to(tmp_path / "b.wav")
    with pytest.raises(CorpusError, match="--allow-outside"):
        inputs.read_inputs(str(tmp_path / "folder" / "a.csv"), Storage())


@pytest.mark.parametrize("url", ["nonsense://a/b", "memory://nowhere/a.jsonl"])
def test_a_url_that_cannot_be_read_is_an_error_that_names_it(url: str) -> None:
    with pytest.raises(InputError, match=url.partition("/a")[0]):
        inputs.read_inputs(url, Storage())
