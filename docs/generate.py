"""Writes what would rot if it were typed: docs/commands.md from the commands' own help, and the tables of figures in
both READMEs from the reports in docs/results/, which `evaluate --json` and the benchmarks wrote.
"""

import json
import re
from pathlib import Path
from typing import Any

import typer

from distilhubert_ko.cli.main import app

DOCS = Path(__file__).parent
PAGE = DOCS / "commands.md"
READMES = {"en": DOCS.parent / "README.md", "ko": DOCS.parent / "README.ko.md"}
HEADERS = {
    "en": ("Model", "Tested on", "Utterances", "CER", "CER, no spaces", "95 % interval", "Jamo error rate", "Speed"),
    "ko": ("모델", "평가 데이터", "발화 수", "CER", "CER(공백 제외)", "95% 신뢰구간", "자모 오류율", "속도"),
}
MODELS = {"demo": "`recipes/demo.toml`", "pansori": "`recipes/pansori.toml`", "zeroth-sample": "`recipes/pansori.toml`"}
SPEED_HEADERS = {
    "en": ("System", "Seconds of speech a second", "Ratio", "Time to text, longest clip", "Peak memory"),
    "ko": ("방식", "1초에 처리하는 음성(초)", "배율", "가장 긴 클립의 글이 나오기까지", "최대 메모리"),
}
SYSTEMS = {
    "int8": {"en": "**distilhubert-ko, int8**", "ko": "**distilhubert-ko, int8**"},
    "float32": {"en": "**distilhubert-ko, float32**", "ko": "**distilhubert-ko, float32**"},
    "plain int8": {"en": "plain export, ONNX Runtime's int8", "ko": "그냥 내보낸 그래프, ONNX Runtime의 int8"},
    "openvino int8": {"en": "plain export, OpenVINO's int8", "ko": "그냥 내보낸 그래프, OpenVINO의 int8"},
    "plain": {"en": "plain export, ONNX Runtime", "ko": "그냥 내보낸 그래프, ONNX Runtime"},
    "torch": {"en": "Transformers, PyTorch", "ko": "Transformers, PyTorch"},
    "whisper": {"en": "faster-whisper base, int8, greedy", "ko": "faster-whisper base, int8, greedy"},
}
ROWS = {
    "published": "the published recipe's settings (syllables)",
    "jamo": "jamo instead of syllables",
    "head": "jamo; the head first and faster",
    "masks": "jamo; SpecAugment",
    "speeds": "jamo; speeds 0.9, 1.0, 1.1",
    "noise": "jamo; noise and rooms",
    "decay": "jamo; weight decay, dropout before the head",
    "stages": "jamo; tri-stage learning rate",
    "average": "jamo; moving average of the weights",
    "splices": "jamo; spliced sentences",
    "all": "all of these together",
    "light": "all of these, with lighter masks, noise and dropouts",
    "distilled": "a narrower student, distilled, then jamo",
    "random": "the same student from random weights, jamo",
}
DECODINGS = {
    "greedy": "greedy",
    "transcripts": "LM of transcripts",
    "texts": "LM of transcripts and texts",
    "wide": "the same, beam of 100",
}
BEAM_HEADERS = {
    "en": ("Log-probabilities", "CER, greedy", "CER, language model, beam {}", "Speed of the search, one core"),
    "ko": ("로그 확률", "CER, 언어 모델 없음", "CER, 언어 모델, 빔 {}", "코어 하나에서 탐색 속도"),
}
HEARD = {
    "model": {"en": "the jamo model of docs/accuracy.md, real speech", "ko": "docs/accuracy.md의 자모 모델, 실제 음성"},
    "made up, jamo": {"en": "made up, jamo", "ko": "지어낸 확률, 자모"},
    "made up, syllables": {"en": "made up, syllables", "ko": "지어낸 확률, 음절"},
}
LOADED = {
    "decode": "decoded anew",
    "cache_first_pass": "decoded and written to the cache",
    "cache": "read from the cache",
    "memory": "in memory",
    "memory_augmented": "in memory, augmented as `recipes/zeroth-plus.toml` says, without splices",
}
SPEED = {"en": "{:.0f} x real time", "ko": "실시간의 {:.0f}배"}
WIDTH: dict[str, Any] = {"terminal_width": 100, "max_content_width": 100}


def commands() -> str:
    """docs/commands.md as Markdown."""
    group = typer.main.get_command(app)
    top = typer.Context(group, info_name="distilhubert-ko", **WIDTH)
    below = [typer.Context(command, info_name=name, parent=top, **WIDTH) for name, command in group.commands.items()]
    sections = [f"## {each.command_path}\n\n```text\n{each.get_help()}\n```" for each in [top, *below]]
    return "\n\n".join(["# Commands\n\nWritten by `make docs` from the commands themselves.", *sections]) + "\n"


def results(language: str) -> str:
    """The table of measured models, a row for each report in docs/results/."""
    header = HEADERS[language]
    rows = [f"| {' | '.join(header)} |", "|---" * len(header) + "|"]
    for name, model in MODELS.items():
        report = json.loads((DOCS / "results" / f"{name}.json").read_text(encoding="utf-8"))
        low, high = report["cer_no_space_ci95"]
        speed = SPEED[language].format(report["hours"] * 3600 / report["seconds"])
        rows.append(
            f"| {model} | `{report['corpus']}` | {report['utterances']} | {report['cer']:.4f} | "
            f"{report['cer_no_space']:.4f} | {low:.4f}–{high:.4f} | {report['jer']:.4f} | {speed} |"
        )
    return "\n".join(rows)


def speeds(language: str) -> str:
    """The table of benchmarks/transcribe.py, whose JSON lies in docs/results/."""
    header = SPEED_HEADERS[language]
    rows = [f"| {' | '.join(header)} |", "|---" * len(header) + "|"]
    measured = json.loads((DOCS / "results" / "transcribe.json").read_text(encoding="utf-8"))["systems"]
    for system, names in SYSTEMS.items():
        each = measured[system]
        rows.append(
            f"| {names[language]} | {each['speed']:.1f} | {each['ratio']:.2f} | {each['first_text_seconds']:.2f} s | "
            f"{each['peak_memory_mib']:.0f} MiB |"
        )
    return "\n".join(rows)


def beams(language: str) -> str:
    """The table of benchmarks/beam.py, greedily and at the default width."""
    measured = json.loads((DOCS / "results" / "beam.json").read_text(encoding="utf-8"))
    shown = [(names[language], measured[name]) for name, names in HEARD.items() if name in measured]
    header = [each.format(shown[0][1]["default_beam"]) for each in BEAM_HEADERS[language]]
    rows = [f"| {' | '.join(header)} |", "|---" * len(header) + "|"]
    for name, result in shown:
        greedy = next(row for row in result["rows"] if not row["lm"])
        default = next(row for row in result["rows"] if row["lm"] and row["beam"] == result["default_beam"])
        speed = SPEED[language].format(default["speed"])
        rows.append(f"| {name} | {greedy['cer']:.4f} | {default['cer']:.4f} | {speed} |")
    return "\n".join(rows)


def accuracy() -> str:
    """docs/accuracy.md with the table of benchmarks/accuracy.py, whose JSON lies in docs/results/."""
    measured = json.loads((DOCS / "results" / "accuracy.json").read_text(encoding="utf-8"))
    records, sample = measured["rows"], measured["zeroth_sample"]
    header = ("Row", "Decoding", "CER", "95 % interval", "Seeds", "CER, no spaces", "Jamo error rate")
    header += ("Against published", "Against jamo")
    lines = [f"| {' | '.join(header)} |", "|---" * len(header) + "|"]
    for record in sorted(records, key=lambda record: [*ROWS].index(record["row"])):
        low, high = record["ci95"]
        seeds = " ".join(f"{cer:.3f}" for cer in record["cers"])
        changes = [_change(record.get(f"against_{other}_utterances")) for other in ("published", "jamo")]
        lines.append(
            f"| {ROWS[record['row']]} | {DECODINGS[record['decoding']]} | {record['cer']:.4f} | {low:.4f}–{high:.4f} | "
            f"{seeds} | {record['cer_no_space']:.4f} | {record['jer']:.4f} | {' | '.join(changes)} |"
        )
    low, high = sample["cer_no_space_ci95"]
    lines += [
        "",
        "The lighter levers with the larger language model, beam of 100, on "
        f"{sample['utterances']} clips of Zeroth's test split, on which "
        f"nothing was trained or tuned: CER without spaces {sample['cer_no_space']:.4f} ({low:.4f}–{high:.4f}), jamo "
        f"error rate {sample['jer']:.4f}.",
        "",
        "The distilled student against the same one from random weights: "
        f"{next(_change(each['against_random_utterances']) for each in records if each['row'] == 'distilled')}.",
    ]
    return _between((DOCS / "accuracy.md").read_text(encoding="utf-8"), "accuracy", "\n".join(lines))


def reliability() -> str:
    """docs/reliability.md with the figures of its benchmarks, whose JSON lies in docs/results/."""
    found = json.loads((DOCS / "results" / "kills.json").read_text(encoding="utf-8"))
    lines = [
        "| Kills | While saving | Torn checkpoints | Runs | Steps of a run | Runs with the same weights |",
        "|---|---|---|---|---|---|",
        f"| {found['kills']} | {found['died_while_saving']} | {found['torn_checkpoints']} | {found['runs']} | "
        f"{found['steps']} | {found['runs_equal']} |",
    ]
    page = _between((DOCS / "reliability.md").read_text(encoding="utf-8"), "kills", "\n".join(lines))
    blocks = {"ranks": ranks(), "loader": loader(), "bulk": bulk(), "fuzz": hostile()}
    for name, block in blocks.items():
        page = _between(page, name, block)
    return page


def ranks() -> str:
    """The table of checks/ranks.py, whose JSON lies in docs/results/."""
    found = json.loads((DOCS / "results" / "ranks.json").read_text(encoding="utf-8"))
    difference = "{}_largest_relative_difference"
    losses = " | ".join(f"{found[difference.format(key)]:.1e}" for key in ("loss", "eval_loss", "grad_norm"))
    equal = f"{found['evaluations']} of them, {'equal' if found['cer_equal'] else 'not equal'}"
    return "\n".join(
        [
            "| Processes | Steps | Loss | Held-out loss | Norm of the gradient | CER |",
            "|---|---|---|---|---|---|",
            f"| {found['ranks']} | {found['steps']} | {losses} | {equal} |",
        ]
    )


def loader() -> str:
    """What benchmarks/loader.py found, whose JSON lies in docs/results/."""
    found = json.loads((DOCS / "results" / "loader.json").read_text(encoding="utf-8"))
    speeds, starts = found["hours_of_speech_per_core_second"], found["start_core_seconds"]
    lines = ["| Clips | Hours of speech a second of one core |", "|---|---|"]
    lines += [f"| {shown} | {speeds[way]:.2f} |" for way, shown in LOADED.items()]
    return "\n".join(lines) + (
        f"\n\n`{found['corpus']}`, {found['hours']:.1f} h in clips of {found['mean_clip_seconds']:.1f} s, of which the "
        f"cache takes {found['cache_gb_per_hour_of_speech']:.3f} GB an hour. To start, its {found['start_files']:,} "
        f"files take {starts['measured']:.2f} s of one core to measure, and {starts['from_cache']:.2f} s with lengths "
        "from the cache."
    )


def _change(test: dict[str, float] | None) -> str:
    return f"{_signed(test['difference'])}, p {test['p']:.4f}" if test else ""


def scaling() -> str:
    """docs/scaling.md with the tables of benchmarks/scaling.py, whose JSON lies in docs/results/."""
    found = json.loads((DOCS / "results" / "scaling.json").read_text(encoding="utf-8"))
    page = (DOCS / "scaling.md").read_text(encoding="utf-8")
    for name, block in (("scales", _scales(found)), ("gpus", _gpus(found))):
        page = _between(page, name, block)
    size = f"<!-- checkpoint -->{found['checkpoint_bytes'] / 1e6:.0f} MB<!-- /checkpoint -->"
    return re.sub(r"<!-- checkpoint -->.*<!-- /checkpoint -->", size, page)


def _scales(found: dict[str, Any]) -> str:
    scales = found["scales"]
    lines = [f"| | {' | '.join(f'{int(hours):,} h' for hours in scales)} |", "|---" * (1 + len(scales)) + "|"]
    rows = (
        ("Clips", "utterances", "{:,.0f}"),
        ("FLAC, GB", "gigabytes", "{:,.0f}"),
        (f"Shards of {1000 * found['shard_gigabytes']:.0f} MB", "shards", "{:,.0f}"),
        (f"Row groups of {1000 * found['row_group_gigabytes']:.0f} MB", "row_groups", "{:,.0f}"),
        ("Decoded, in `data.cache`, GB", "cache_gigabytes", "{:,.0f}"),
        ("Examples in memory, GB a process", "index_gigabytes", "{:.1f}"),
        ("Start: measuring files, core minutes", "probing_core_minutes", "{:.1f}"),
        ("Start: listing shards, core minutes", "index_core_minutes", "{:.1f}"),
        ("Steps an epoch", "steps_per_epoch", "{:,.0f}"),
        ("Evaluations and checkpoints an epoch", "evaluations_per_epoch", "{:,.0f}"),
    )
    lines += [
        f"| {name} | {' | '.join(form.format(each[key]) for each in scales.values())} |" for name, key, form in rows
    ]
    for row in found["per_gpu"]:
        gpu, share = row["gpu"], row["utilisation"]
        hours = (each["gpu_hours_per_epoch"][gpu][str(share)] for each in scales.values())
        lines.append(f"| GPU hours an epoch, {gpu} at {share:.0%} | {' | '.join(f'{each:.1f}' for each in hours)} |")
    return "\n".join(lines)


def _gpus(found: dict[str, Any]) -> str:
    cores = {
        "stream": "from shards",
        "decode": "from files",
        "cache": "from the cache",
        "memory_augmented": "augmenting",
    }
    header = [
        "GPU, share of its bf16 peak",
        "Hours of speech an hour",
        "FLAC, MB/s",
        *(f"Cores {v}" for v in cores.values()),
    ]
    lines = [f"| {' | '.join(header)} | Seconds between checkpoints |", "|---" * (len(header) + 1) + "|"]
    for row in found["per_gpu"]:
        needed = " | ".join(f"{row['cores'][way]:.1f}" for way in cores)
        lines.append(
            f"| {row['gpu']}, {row['utilisation']:.0%} | {row['hours_of_speech_per_hour']:,.0f} | "
            f"{row['megabytes_per_second']:.0f} | {needed} | {row['seconds_between_checkpoints']:.0f} |"
        )
    peaks = ", ".join(f"{gpu} {flops / 1e12:g}" for gpu, flops in found["peak_bf16_flops"].items())
    lines += [
        "",
        f"A second of speech takes {found['step_flops'] / 1e9:.1f} billion floating-point operations in training, "
        f"{found['forward_flops'] / 1e9:.1f} of them forward. Peaks in bf16 without sparsity, TFLOPS: {peaks}, by "
        "NVIDIA's data sheets (the H100's gives twice as much, with sparsity).",
    ]
    return "\n".join(lines)


LOADS = {
    "serve_load.json": "A narrow network:",
    "serve_load_full.json": "DistilHuBERT's full width, with random weights:",
}


def serving() -> str:
    """docs/serving.md with the tables of benchmarks/captions.py, benchmarks/serve_load.py and checks/fuzz_server.py."""
    found = json.loads((DOCS / "results" / "captions.json").read_text(encoding="utf-8"))
    lines = [
        "| Streams at once | Words | Shown, median | 99th percentile | Final, median | 99th percentile |",
        "|---|---|---|---|---|---|",
    ]
    for row in found["rows"]:
        times = (row[kind][figure] for kind in ("partial", "final") for figure in ("median", "p99"))
        cells = " | ".join(f"{seconds:.2f} s" for seconds in times)
        lines.append(f"| {row['streams']} | {row['words_timed']} | {cells} |")
    model = found["model"]
    size = f"{model['parameters'] / 1e6:.1f} million parameters"
    lines += ["", f"A model of {size} on {found['cores']} cores; threads of an inference: {model['threads']}."]
    page = _between((DOCS / "serving.md").read_text(encoding="utf-8"), "captions", "\n".join(lines))
    loads = "\n\n".join(load(results, network) for results, network in LOADS.items())
    return _between(_between(page, "load", loads), "fuzz", fuzz())


def load(results: str, network: str) -> str:
    """A table of benchmarks/serve_load.py, whose JSON lies in docs/results/."""
    found = json.loads((DOCS / "results" / results).read_text(encoding="utf-8"))
    lines = [
        network,
        "",
        "| Clients | Recordings | Answers | Wrong or lost | Refused | Audio/s | Answers/s | Median | 99 % |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, clients, lengths in (
        ("load", found["clients"], "1 to 60 s"),
        ("one", 1, "3 and 5 s"),
        ("sixteen", 16, "3 and 5 s"),
    ):
        row = found[name]
        refused = row["outcomes"].get("refused", 0)
        wrong = sum(row["outcomes"].values()) - refused - row["outcomes"].get("equal", 0)
        lines.append(
            f"| {clients} | {lengths} | {row['answers']} | {wrong} | {refused} | {row['audio_per_second']:.1f} s | "
            f"{row['requests_per_second']:.1f} | {row['latency']['median']:.2f} s | {row['latency']['p99']:.2f} s |"
        )
    memory = found["memory_mib"]
    ratio = found["sixteen"]["audio_per_second"] / found["one"]["audio_per_second"]
    lines += [
        "",
        f"On {found['cores']} cores, clients included, over {found['seconds']:.0f} s. 16 clients get {ratio:.1f} times "
        f"the throughput of one. Memory of the server and its decoders: {memory['middle_third']} MiB in the middle "
        f"third, {memory['last_third']} in the last, {memory['peak']} at most.",
    ]
    return "\n".join(lines)


def fuzz() -> str:
    """What checks/fuzz_server.py found, whose JSON lies in docs/results/."""
    found = json.loads((DOCS / "results" / "serve_fuzz.json").read_text(encoding="utf-8"))
    before, after = found["before"], found["after"]
    return (
        f"{found['attempts']:,} malformed uploads, heads and WebSocket messages: {found['failures']} answers with an "
        f"error of the server's or things left over. Before and after the last three quarters of them: "
        f"{before['descriptors']} and {after['descriptors']} descriptors, {before['files']} and {after['files']} "
        f"files, {before['memory'] >> 20} and {after['memory'] >> 20} MiB."
    )


def hostile() -> str:
    """The table of checks/fuzz.py, whose JSON lies in docs/results/."""
    found = json.loads((DOCS / "results" / "fuzz.json").read_text(encoding="utf-8"))
    seconds, megabytes = found["limits"]["cpu_seconds"], found["limits"]["memory_mb"]
    lines = ["| Reader | Cases | Read | Refused | Neither |", "|---|---|---|---|---|"]
    for name, counts in found["readers"].items():
        figures = (sum(counts.values()), counts["read"], counts["refused"], counts["failed"])
        lines.append(f"| {name} | {' | '.join(f'{figure:,}' for figure in figures)} |")
    return "\n".join(lines) + (
        f"\n\n{found['cases']:,} cases, seed {found['seed']}. A case may take {seconds:.0f} s of the processor and "
        f"{megabytes} MB more memory than its process had held."
    )


def bulk() -> str:
    """What benchmarks/bulk.py found, whose JSON lies in docs/results/."""
    found = json.loads((DOCS / "results" / "bulk.json").read_text(encoding="utf-8"))
    overhead, scaled, kills = found["overhead"], found["scaling"], found["kills"]
    return "\n".join(
        [
            "| What | Measured on | Figure |",
            "|---|---|---|",
            f"| throughput of two workers, of one core each, over that of one | "
            f"{scaled['speech_seconds'] / 60:.1f} min of speech | {scaled['second_worker']:.2f} |",
            f"| time of one worker over that of a plain loop | {overhead['speech_seconds'] / 60:.1f} min of speech | "
            f"{_signed(100 * overhead['overhead'], 1)} % |",
            "| to start a worker and load the model, left out above | one core | "
            f"{overhead['start_seconds_1']:.1f} s |",
            f"| `kill -9` of a worker every {kills['kill_every_seconds']:g} s | {kills['clips']:,} clips, "
            f"{kills['kills']} kills | {kills['records']:,} records, {kills['inputs_with_one_record']:,} inputs with "
            f"one, {kills['records_right']:,} right |",
        ]
    )


def _signed(value: float, decimals: int = 4) -> str:
    return f"{value:+.{decimals}f}".replace("-", "−")


def _between(page: str, name: str, block: str) -> str:
    """A page with what stands between the markers of a name written anew."""
    whole = f"<!-- {name} -->\n{block}\n<!-- /{name} -->"
    return re.sub(rf"<!-- {name} -->.*<!-- /{name} -->", lambda _: whole, page, flags=re.DOTALL)


def readme(language: str) -> str:
    """The README of a language with its tables written anew between the markers."""
    page = READMES[language].read_text(encoding="utf-8")
    for name, table in (("results", results(language)), ("speeds", speeds(language)), ("beam", beams(language))):
        page = _between(page, name, table)
    return page


if __name__ == "__main__":
    PAGE.write_text(commands(), encoding="utf-8")
    (DOCS / "reliability.md").write_text(reliability(), encoding="utf-8")
    (DOCS / "accuracy.md").write_text(accuracy(), encoding="utf-8")
    (DOCS / "scaling.md").write_text(scaling(), encoding="utf-8")
    (DOCS / "serving.md").write_text(serving(), encoding="utf-8")
    for language, path in READMES.items():
        path.write_text(readme(language), encoding="utf-8")
