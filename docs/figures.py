"""Tables and sentences of the figures in docs/, from the reports in docs/results/.

`evaluate --json`, the benchmarks and the checks wrote the reports. docs/generate.py puts the figures into the pages.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def report(name: str) -> dict[str, Any]:
    """Return a report from docs/results/."""
    loaded: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return loaded


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table."""
    lines = [[*header], *([*row] for row in rows)]
    drawn = [f"| {' | '.join(cells)} |" for cells in lines]
    return "\n".join([drawn[0], "|---" * len(lines[0]) + "|", *drawn[1:]])


def published() -> str:
    """Return the table of benchmarks/published.py: ours against plain Transformers, without and with padding."""
    found = report("published")
    names = {"one length": "cut to one length", "padded": "as they are, padded in batches"}
    rows = []
    for name, shown in names.items():
        row = found["rows"][name]
        first, last = (f"{ours:.3f}, {theirs:.3f}" for ours, theirs in (row["first_losses"], row["last_losses"]))
        apart = [row["loss"], row["mean_loss"], row["learning_rate"], *row["weights"].values()]
        rows.append((shown, first, last, *(f"{value:.1e}" for value in apart)))
    header = ("Clips", "First loss, here and there", "Last loss", "Loss, largest", "Loss, mean", "Learning rate")
    return (
        table((*header, "Encoder's weights", "Head's weights"), rows)
        + f"\n\n{found['steps']} steps of twice {found['batch']} clips of Pansori TEDxKR, {found['seconds'][0]:g} to "
        f"{found['seconds'][1]:g} s. The network has random weights and a width of {found['hidden_size']}. Differences "
        f"from Transformers {found['transformers']} are relative. Weights are compared with how far they went."
    )


def x_real_time(speed: float) -> str:
    """Return how fast something is beside speech."""
    return f"{speed:.0f} x real time"


def signed(value: float, decimals: int = 4) -> str:
    """Return a number with its sign, minus as a minus sign."""
    return f"{value:+.{decimals}f}".replace("-", "−")


def change(test: dict[str, float] | None) -> str:
    """Return the difference and the p of a paired test; "" where there is none."""
    if not test:
        return ""
    p = f"p {test['p']:.4f}" if test["p"] >= 0.0001 else "p < 0.0001"
    return f"{signed(test['difference'])}, {p}"


# docs/installing.md


def licences() -> str:
    """Return the table of the packages by licence, from checks/licences.py."""
    names: dict[tuple[str, str], list[str]] = {}
    for name, found in report("licences")["packages"].items():
        names.setdefault((found["extra"], found["licence"]), []).append(name)
    rows = ((extra, licence, ", ".join(packages)) for (extra, licence), packages in names.items())
    return table(("Comes with", "Licence", "Packages"), rows)


# docs/training.md

MODELS = {"demo": "`recipes/demo.toml`", "pansori": "`recipes/pansori.toml`", "zeroth-sample": "`recipes/pansori.toml`"}


def results() -> str:
    """Return the table of measured models, a row for each report of `evaluate --json`."""
    header = ("Model", "Tested on", "Utterances", "CER", "CER, no spaces", "95 % interval", "Jamo error rate", "Speed")
    rows = []
    for name, model in MODELS.items():
        found = report(name)
        low, high = found["cer_no_space_ci95"]
        rows.append(
            (
                model,
                f"`{found['corpus']}`",
                f"{found['utterances']}",
                f"{found['cer']:.4f}",
                f"{found['cer_no_space']:.4f}",
                f"{low:.4f}–{high:.4f}",
                f"{found['jer']:.4f}",
                x_real_time(found["hours"] * 3600 / found["seconds"]),
            )
        )
    return table(header, rows)


# docs/exporting.md

SYSTEMS = {
    "int8": "**distilhubert-ko, int8**",
    "float32": "**distilhubert-ko, float32**",
    "plain int8": "plain export, ONNX Runtime's int8",
    "openvino int8": "plain export, OpenVINO's int8",
    "plain": "plain export, ONNX Runtime",
    "torch": "Transformers, PyTorch",
    "whisper": "faster-whisper base, int8, greedy",
}


def speeds() -> str:
    """Return the table of benchmarks/transcribe.py."""
    header = ("System", "Speech per second", "Ratio", "Time to text, longest clip", "Peak memory")
    systems = report("transcribe")["systems"]
    rows = [
        (
            shown,
            f"{systems[name]['speed']:.1f} s",
            f"{systems[name]['ratio']:.2f}",
            f"{systems[name]['first_text_seconds']:.2f} s",
            f"{systems[name]['peak_memory_mib']:.0f} MiB",
        )
        for name, shown in SYSTEMS.items()
    ]
    return table(header, rows)


# docs/language-models.md

LOG_PROBABILITIES = {
    "model": "the jamo model of accuracy.md, real speech",
    "made up, jamo": "synthetic, jamo",
    "made up, syllables": "synthetic, syllables",
}


def default_beam(found: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the rows of benchmarks/beam.py for greedy decoding and for the default width."""
    greedy = next(row for row in found["rows"] if not row["lm"])
    return greedy, next(row for row in found["rows"] if row["lm"] and row["beam"] == found["default_beam"])


def beams() -> str:
    """Return the table of benchmarks/beam.py."""
    measured = report("beam")
    width = measured["model"]["default_beam"]
    header = ("Log-probabilities", "CER, greedy", f"CER, language model, beam {width}", "Search speed, one core")
    rows = []
    for name, shown in LOG_PROBABILITIES.items():
        greedy, best = default_beam(measured[name])
        rows.append((shown, f"{greedy['cer']:.4f}", f"{best['cer']:.4f}", x_real_time(best["speed"])))
    return table(header, rows)


# docs/reliability.md

AUDIO_SOURCES = {
    "decode": "decoded again",
    "cache_first_pass": "decoded and written to the cache",
    "cache": "read from the cache",
    "memory": "in memory",
    "memory_augmented": "in memory, augmented as in `recipes/zeroth-plus.toml`, without splices",
}


def kills() -> str:
    """Return the table of checks/kills.py."""
    found = report("kills")
    header = ("Kills", "While saving", "Corrupt checkpoints", "Runs", "Steps of a run", "Runs with the same weights")
    keys = ("kills", "died_while_saving", "torn_checkpoints", "runs", "steps", "runs_equal")
    return table(header, [[f"{found[key]}" for key in keys]])


def significance() -> str:
    """Return the table of checks/significance.py."""
    rows = [
        (
            f"{each['speakers']}",
            f"{100 * each['below_0.05_over_speakers']:.1f} %",
            f"{100 * each['below_0.05_over_utterances']:.1f} %",
            "none"
            if each["interval_over_speakers_holds"] is None
            else f"{100 * each['interval_over_speakers_holds']:.1f} %",
        )
        for each in report("significance")["speakers"]
    ]
    header = (
        "Speakers",
        "Test over speakers",
        "Test over utterances",
        "95 % interval over speakers holds the true CER",
    )
    return table(header, rows)


def ranks() -> str:
    """Return the table of checks/ranks.py."""
    found = report("ranks")
    header = ("Processes", "Steps", "Loss", "Held-out loss", "Gradient norm", "CER")
    losses = (f"{found[f'{key}_largest_relative_difference']:.1e}" for key in ("loss", "eval_loss", "grad_norm"))
    equal = f"{'equal' if found['cer_equal'] else 'not equal'} in {found['evaluations']} evaluations"
    return table(header, [(f"{found['ranks']}", f"{found['steps']}", *losses, equal)])


def loader() -> str:
    """Return what benchmarks/loader.py found."""
    found = report("loader")
    hours, starts = found["hours_of_speech_per_core_second"], found["start_core_seconds"]
    rows = [(shown, f"{hours[way]:.2f}") for way, shown in AUDIO_SOURCES.items()]
    return table(("Clips", "Hours of speech per second of one core"), rows) + (
        f"\n\nMeasured on `{found['corpus']}`: {found['hours']:.1f} h in clips of {found['mean_clip_seconds']:.1f} s. "
        f"The cache takes {found['cache_gb_per_hour_of_speech']:.3f} GB per hour of speech. At the start, one core "
        f"measures {found['start_files']:,} files in {starts['measured']:.2f} s, or reads their lengths from the cache "
        f"in {starts['from_cache']:.2f} s."
    )


def bulk() -> str:
    """Return the table of benchmarks/bulk.py."""
    found = report("bulk")
    overhead, scaled, killed = found["overhead"], found["scaling"], found["kills"]
    return table(
        ("What", "Measured on", "Figure"),
        [
            (
                "throughput of two workers, of one core each, over that of one",
                f"{scaled['speech_seconds'] / 60:.1f} min of speech",
                f"{scaled['second_worker']:.2f}",
            ),
            (
                "time of one worker over that of a plain loop",
                f"{overhead['speech_seconds'] / 60:.1f} min of speech",
                f"{signed(100 * overhead['overhead'], 1)} %",
            ),
            (
                "time to start a worker and load the model, not counted above",
                "one core",
                f"{overhead['start_seconds_1']:.1f} s",
            ),
            (
                f"`kill -9` of a worker every {killed['kill_every_seconds']:g} s",
                f"{killed['clips']:,} clips, {killed['kills']} kills",
                f"{killed['records']:,} records, {killed['inputs_with_one_record']:,} inputs with one, "
                f"{killed['records_right']:,} right",
            ),
        ],
    )


def hostile() -> str:
    """Return the table of checks/fuzz.py."""
    found = report("fuzz")
    seconds, megabytes = found["limits"]["cpu_seconds"], found["limits"]["memory_mb"]
    rows = []
    for name, counts in found["readers"].items():
        figures = (sum(counts.values()), counts["read"], counts["refused"], counts["failed"])
        rows.append((name.replace("sound", "audio"), *(f"{figure:,}" for figure in figures)))
    return table(("Reader", "Cases", "Read", "Refused", "Neither"), rows) + (
        f"\n\n{found['cases']:,} cases, seed {found['seed']}. A case may take {seconds:.0f} s of processor time, and "
        f"{megabytes} MB more memory than its process had before."
    )


# docs/scaling.md


def scales() -> str:
    """Return what an amount of speech needs, by benchmarks/scaling.py."""
    found = report("scaling")
    amounts = found["scales"]
    rows = (
        ("Clips", "utterances", "{:,.0f}"),
        ("FLAC, GB", "gigabytes", "{:,.0f}"),
        (f"Shards of {1000 * found['shard_gigabytes']:.0f} MB", "shards", "{:,.0f}"),
        (f"Row groups of {1000 * found['row_group_gigabytes']:.0f} MB", "row_groups", "{:,.0f}"),
        ("Decoded, in `data.cache`, GB", "cache_gigabytes", "{:,.0f}"),
        ("Examples in memory, GB per process", "index_gigabytes", "{:.1f}"),
        ("Start: measuring files, core minutes", "probing_core_minutes", "{:.1f}"),
        ("Start: listing shards, core minutes", "index_core_minutes", "{:.1f}"),
        ("Steps per epoch", "steps_per_epoch", "{:,.0f}"),
        ("Evaluations and checkpoints per epoch", "evaluations_per_epoch", "{:,.0f}"),
    )
    lines = [(name, *(form.format(each[key]) for each in amounts.values())) for name, key, form in rows]
    for row in found["per_gpu"]:
        gpu, share = row["gpu"], row["utilisation"]
        hours = (each["gpu_hours_per_epoch"][gpu][str(share)] for each in amounts.values())
        lines.append((f"GPU hours per epoch, {gpu} at {share:.0%}", *(f"{each:.1f}" for each in hours)))
    return table(("", *(f"{int(hours):,} h" for hours in amounts)), lines)


def gpus() -> str:
    """Return what a GPU consumes, by benchmarks/scaling.py."""
    found = report("scaling")
    cores = {
        "stream": "Cores from shards",
        "decode": "Cores from files",
        "cache": "Cores from the cache",
        "memory_augmented": "Cores augmenting",
    }
    header = ("GPU, share of its bf16 peak", "Hours of speech per hour", "FLAC, MB/s", *cores.values())
    rows = [
        (
            f"{row['gpu']}, {row['utilisation']:.0%}",
            f"{row['hours_of_speech_per_hour']:,.0f}",
            f"{row['megabytes_per_second']:.0f}",
            *(f"{row['cores'][way]:.1f}" for way in cores),
            f"{row['seconds_between_checkpoints']:.0f}",
        )
        for row in found["per_gpu"]
    ]
    peaks = ", ".join(f"{gpu} {flops / 1e12:g}" for gpu, flops in found["peak_bf16_flops"].items())
    return table((*header, "Seconds between checkpoints"), rows) + (
        f"\n\nA second of speech takes {found['step_flops'] / 1e9:.1f} billion floating-point operations in training. "
        f"The forward pass takes {found['forward_flops'] / 1e9:.1f} billion of them. Peaks in bf16 without sparsity, "
        f"in TFLOPS: {peaks}. They come from NVIDIA's data sheets, where the H100's is twice as high, with sparsity."
    )


def checkpoint() -> str:
    """Return the size of a checkpoint, by benchmarks/scaling.py."""
    return f"{report('scaling')['checkpoint_bytes'] / 1e6:.0f} MB"


# docs/serving.md


def load() -> str:
    """Return the tables of benchmarks/serve_load.py for the demo's network and for korean-small."""
    demo, small = _load("serve_load"), _load("serve_load_small")
    return f"The demo's network:\n\n{demo}\n\nkorean-small with its language model:\n\n{small}"


def _load(name: str) -> str:
    found = report(name)
    header = ("Clients", "Recordings", "Answers", "Wrong or lost", "Refused", "Audio/s", "Answers/s", "Median", "99 %")
    rows = []
    kinds = (("load", found["clients"], "1 to 60 s"), ("one", 1, "3 and 5 s"), ("sixteen", 16, "3 and 5 s"))
    for kind, clients, lengths in kinds:
        row = found[kind]
        refused = row["outcomes"].get("refused", 0)
        wrong = sum(row["outcomes"].values()) - refused - row["outcomes"].get("equal", 0)
        rows.append(
            (
                *(f"{clients}", lengths, f"{row['answers']}", f"{wrong}", f"{refused}"),
                *(f"{row['audio_per_second']:.1f} s", f"{row['requests_per_second']:.1f}"),
                *(f"{row['latency']['median']:.2f} s", f"{row['latency']['p99']:.2f} s"),
            )
        )
    memory = found["memory_mib"]
    ratio = found["sixteen"]["audio_per_second"] / found["one"]["audio_per_second"]
    return table(header, rows) + (
        f"\n\nClients and server shared {found['cores']} cores for {found['seconds']:.0f} s. 16 clients get "
        f"{ratio:.1f} times the throughput of one. Memory of the server and its decoders: {memory['middle_third']} MiB "
        f"in the middle third, {memory['last_third']} MiB in the last, {memory['peak']} MiB at most."
    )


def fuzz() -> str:
    """Return what checks/fuzz_server.py found."""
    found = report("serve_fuzz")
    before, after = found["before"], found["after"]
    return (
        f"{found['attempts']:,} malformed uploads, heads, WebSocket messages and Wyoming events were sent. "
        f"{found['failures']} of them led to a server error or left something behind. "
        "Before and after the last three quarters of them, the server "
        f"held {before['descriptors']} and {after['descriptors']} descriptors, {before['files']} and {after['files']} "
        f"files, {before['memory'] >> 20} and {after['memory'] >> 20} MiB."
    )
