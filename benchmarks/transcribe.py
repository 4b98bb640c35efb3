"""Transcription speed and accuracy on a CPU, against other ways to run the same weights and against faster-whisper.

    python -m benchmarks.transcribe CORPUS --out DIR [--model DIR] [--int8 DIR] [--second DIR] [--whisper DIR]

CORPUS is scheme:location#split, as in a recipe. Without --model the weights are those of a full-width DistilHuBERT at
random: good for speed, not for CER. --int8 names the folder that `distilhubert-ko export --precision int8` made of
--model; without it, int8 is made here, on CORPUS, whatever its CER. --second names a model folder with another encoder,
such as Whisper's, and with a language model or without. --whisper names a CTranslate2 folder.

Each system runs in a process of its own, in turns, so that the machine's drift falls on all; the others sleep. Speed
is the best of its turns. Peak memory is that of the process, after all turns. The first text is what a user waits for
on the longest clip. Writes transcribe.json and transcribe.png into DIR.
"""

import argparse
import json
import multiprocessing
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from distilhubert_ko.audio.frames import SAMPLE_RATE
from distilhubert_ko.data.corpora import read_corpus
from distilhubert_ko.evaluation import metrics
from distilhubert_ko.model_folder import LANGUAGE_MODEL
from distilhubert_ko.text.normalise import normalise
from distilhubert_ko.text.tokenizer import Tokenizer

Run = Callable[[list[np.ndarray]], list[str]]
SYSTEMS = {
    "plain": "plain export, ONNX Runtime, float32",
    "plain int8": "plain export, ONNX Runtime, static int8 (QDQ)",
    "torch": "Transformers on PyTorch, float32",
    "float32": "distilhubert-ko, float32",
    "int8": "distilhubert-ko, int8",
    "int8 batches": "distilhubert-ko, int8, batches of 8",
    "second": "distilhubert-ko, the second encoder, float32",
    "second int8": "distilhubert-ko, the second encoder, int8",
    "second int8, language model": "distilhubert-ko, the second encoder, int8, language model",
    "openvino": "distilhubert-ko's float32 graph on OpenVINO",
    "openvino int8": "plain export on OpenVINO, int8 (NNCF)",
    "whisper": "faster-whisper, int8, greedy",
}
OPTIONAL = {"openvino": "openvino", "openvino int8": "nncf", "whisper": "faster_whisper"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--int8", type=Path)
    parser.add_argument("--second", type=Path)
    parser.add_argument("--whisper", type=Path)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--clips", type=int, default=10, help="of the corpus, spread evenly")
    parser.add_argument("--seconds", type=float, default=20.0, help="the longest clip taken")
    arguments = parser.parse_args()
    clips, references = read(arguments.corpus, arguments.clips, arguments.seconds)
    wanted = [name for name in SYSTEMS if name not in OPTIONAL or installed(OPTIONAL[name])]
    wanted = [name for name in wanted if name != "whisper" or arguments.whisper]
    wanted = [name for name in wanted if not name.startswith("second") or arguments.second]
    wanted = [name for name in wanted if "language model" not in name or (arguments.second / LANGUAGE_MODEL).is_dir()]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # In a process of its own, so that what it takes is not counted for anybody.
        prepare = multiprocessing.get_context("spawn").Process(target=build, args=(folder, arguments, clips))
        prepare.start()
        prepare.join()
        if prepare.exitcode:
            sys.exit("the graphs could not be built; see above")
        figures = measure(wanted, folder, arguments, clips)
        for system in figures:
            if arguments.model or system.startswith(("second", "whisper")):
                figures[system]["cer"] = error_rates(references, figures[system].pop("texts"))
            else:
                del figures[system]["texts"]
        result = {
            "corpus": arguments.corpus,
            "clips": len(clips),
            "seconds": sum(map(len, clips)) / SAMPLE_RATE,
            "threads": arguments.threads,
            "model": str(arguments.model.name) if arguments.model else "full-width DistilHuBERT, random weights",
            "second": str(arguments.second.name) if arguments.second else None,
            "systems": figures,
            "cold_start": cold_start(folder, clips),
        }
    print(table(result))
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "transcribe.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    plot(result, arguments.out / "transcribe.png")


def read(corpus: str, number: int, longest: float) -> tuple[list[np.ndarray], list[str]]:
    """Waves (samples,) and texts of utterances, spread evenly over the corpus, the longest first."""
    utterances = [each for each in read_corpus(corpus).utterances if each.seconds <= longest]
    chosen = utterances[:: max(1, len(utterances) // number)][:number]
    chosen.sort(key=lambda utterance: utterance.seconds, reverse=True)
    return [each.wave() for each in chosen], [each.text for each in chosen]


def installed(package: str) -> bool:
    try:
        __import__(package)
    except ImportError:
        return False
    return True


def build(folder: Path, arguments: argparse.Namespace, clips: list[np.ndarray]) -> None:
    """The graphs and models that the systems run, in `folder`."""
    import shutil

    import torch

    from distilhubert_ko import recipe
    from distilhubert_ko.export import exporting
    from distilhubert_ko.model.loading import build_network
    from distilhubert_ko.model.saving import save_network

    torch.set_num_threads(arguments.threads)
    if arguments.model:
        shutil.copytree(
            arguments.model, folder / "model", ignore=shutil.ignore_patterns("checkpoints", "last", "best", "runs")
        )
    else:
        torch.manual_seed(0)
        syllables = [chr(code) for code in range(ord("가"), ord("힣"), 9)][:1200]
        tokenizer = Tokenizer.from_texts(["".join(syllables) + " "], "syllables")
        save_network(build_network(recipe.Model(pretrained="random"), tokenizer), folder / "model", tokenizer)
    exporting.export_graph(folder / "model")
    if arguments.int8:
        shutil.copytree(arguments.int8, folder / "int8")
    else:
        int8(folder / "model", folder / "int8", clips)
    if arguments.second:
        ignored = shutil.ignore_patterns("checkpoints", "last", "best", "runs", "*.onnx")
        shutil.copytree(arguments.second, folder / "second", ignore=ignored)
        exporting.export_graph(folder / "second")
        int8(folder / "second", folder / "second int8", clips)
    plain_export(folder)
    plain_int8(folder, clips)
    if installed("nncf"):
        openvino_int8(folder, clips)


def int8(model: Path, target: Path, clips: list[np.ndarray]) -> None:
    """The folder of a model with a graph in int8, calibrated on the clips."""
    import shutil

    import onnx

    from distilhubert_ko.export import calibration, graphs
    from distilhubert_ko.model.loading import load_network

    shutil.copytree(model, target, ignore=shutil.ignore_patterns("*.onnx", "*.safetensors"))
    network = load_network(model)
    weights, config = {k: v.numpy() for k, v in network.state_dict().items()}, network.config.to_dict()
    speech = calibration.observe_ranges(weights, config, clips)
    onnx.save(graphs.build_graph(weights, config, speech=speech), target / "model.onnx")


def plain_export(folder: Path) -> None:
    """What Transformers' model and torch.onnx.export give, without further thought: one clip, no padding."""
    import torch
    from transformers import HubertForCTC

    class Plain(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = HubertForCTC.from_pretrained(folder / "model").eval()

        def forward(self, waves: torch.Tensor) -> torch.Tensor:
            return self.network(waves).logits

    with torch.no_grad():
        torch.onnx.export(
            Plain(),
            (torch.randn(1, 160_000),),
            folder / "plain.onnx",
            input_names=["waves"],
            dynamic_axes={"waves": {0: "batch", 1: "samples"}},
            opset_version=18,
            dynamo=False,  # the other exporter's graph was 12 % slower
        )


def plain_int8(folder: Path, clips: list[np.ndarray]) -> None:
    """ONNX Runtime's own static quantisation, with weights of 7 bits as it advises without VNNI."""
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Clips(CalibrationDataReader):
        def __init__(self) -> None:
            self.left = iter(clips)

        def get_next(self) -> dict[str, np.ndarray] | None:
            wave = next(self.left, None)
            return None if wave is None else {"waves": wave[None]}

    quant_pre_process(folder / "plain.onnx", folder / "prepared.onnx", skip_symbolic_shape=True)
    quantize_static(
        folder / "prepared.onnx",
        folder / "plain-int8.onnx",
        Clips(),
        per_channel=True,
        reduce_range=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        op_types_to_quantize=["Conv", "MatMul", "Gemm"],
    )


def openvino_int8(folder: Path, clips: list[np.ndarray]) -> None:
    import nncf
    import openvino

    plain = openvino.Core().read_model(folder / "plain.onnx")
    dataset = nncf.Dataset(clips, lambda wave: {"waves": wave[None]})
    openvino.save_model(nncf.quantize(plain, dataset, subset_size=len(clips)), folder / "plain-int8.xml")


def runner(system: str, folder: Path, threads: int, whisper: Path | None) -> Run:
    """What turns waves into texts, loaded and ready."""
    from distilhubert_ko.decoding import ctc
    from distilhubert_ko.decoding.decoder import NO_LM
    from distilhubert_ko.recognition.transcriber import Transcriber
    from distilhubert_ko.text.tokenizer import Tokenizer

    tokenizer = Tokenizer.load(folder / "model")

    def decoded(logits: np.ndarray) -> str:
        return tokenizer.decode(token.id for token in ctc.greedy(logits, blank=tokenizer.blank_id))

    match system:
        case "plain" | "plain int8":
            import onnxruntime

            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = threads
            file = folder / f"{system.replace(' ', '-')}.onnx"
            session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
            return lambda waves: [decoded(session.run(None, {"waves": wave[None]})[0][0]) for wave in waves]
        case "torch":
            import torch
            from transformers import HubertForCTC

            torch.set_num_threads(threads)
            network = HubertForCTC.from_pretrained(folder / "model").eval()

            @torch.inference_mode()
            def run(waves: list[np.ndarray]) -> list[str]:
                return [decoded(network(torch.from_numpy(wave)[None]).logits[0].numpy()) for wave in waves]

            return run
        case "float32" | "int8":
            transcriber = Transcriber(folder / ("int8" if system == "int8" else "model"), threads)
            return lambda waves: [transcriber(wave).text for wave in waves]
        case "second" | "second int8":
            second = Transcriber(folder / system, threads, lm=NO_LM)
            return lambda waves: [second(wave).text for wave in waves]
        case "second int8, language model":
            searching = Transcriber(folder / "second int8", threads)
            return lambda waves: [searching(wave).text for wave in waves]
        case "int8 batches":
            batched = Transcriber(folder / "int8", threads)

            def in_batches(waves: list[np.ndarray]) -> list[str]:
                order = sorted(range(len(waves)), key=lambda i: len(waves[i]))
                texts = [""] * len(waves)
                for start in range(0, len(order), 8):
                    batch = order[start : start + 8]
                    for i, log_probs in zip(batch, batched.runtime.log_probs([waves[i] for i in batch]), strict=True):
                        texts[i] = batched.transcript(log_probs, len(waves[i])).text
                return texts

            return in_batches
        case "openvino" | "openvino int8":
            import openvino

            file = folder / ("model/model.onnx" if system == "openvino" else "plain-int8.xml")
            options = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
            compiled = openvino.Core().compile_model(file, "CPU", options)
            request = compiled.create_infer_request()

            def infer(wave: np.ndarray) -> str:
                inputs = {"waves": wave[None]} | ({"lengths": np.array([len(wave)])} if system == "openvino" else {})
                return decoded(request.infer(inputs)[compiled.output(0)][0])

            return lambda waves: [infer(wave) for wave in waves]
        case "whisper":
            from faster_whisper import WhisperModel

            model = WhisperModel(str(whisper), device="cpu", compute_type="int8", cpu_threads=threads)

            def whispered(wave: np.ndarray) -> str:
                segments, _ = model.transcribe(wave, language="ko", beam_size=1, temperature=0, without_timestamps=True)
                return " ".join(segment.text.strip() for segment in segments)

            return lambda waves: [whispered(wave) for wave in waves]
    raise ValueError(system)


def worker(
    system: str, folder: Path, threads: int, whisper: Path | None, clips: list[np.ndarray], pipe: Connection
) -> None:
    """Answers each message with the seconds and texts of the clips, or of the first of them."""
    run = runner(system, folder, threads, whisper)
    run(clips[:1])  # not counted: first allocations
    pipe.send(None)
    while (number := pipe.recv()) is not None:
        started = time.perf_counter()
        texts = run(clips[:number])
        pipe.send((time.perf_counter() - started, texts, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


def measure(
    systems: list[str], folder: Path, arguments: argparse.Namespace, clips: list[np.ndarray]
) -> dict[str, dict[str, Any]]:
    context = multiprocessing.get_context("spawn")
    pipes, processes = {}, {}
    for system in systems:
        pipes[system], other = context.Pipe()
        given = (system, folder, arguments.threads, arguments.whisper, clips, other)
        processes[system] = context.Process(target=worker, args=given, daemon=True)
        processes[system].start()
        pipes[system].recv()
    seconds: dict[str, list[float]] = {system: [] for system in systems}
    first: dict[str, list[float]] = {system: [] for system in systems}
    figures: dict[str, dict[str, Any]] = {}
    for _ in range(arguments.turns):
        for system, pipe in pipes.items():
            time.sleep(0.3)  # until threads that wait for work have given up
            pipe.send(1)
            first[system].append(pipe.recv()[0])
            pipe.send(len(clips))
            elapsed, texts, memory = pipe.recv()
            seconds[system].append(elapsed)
            figures[system] = {"texts": texts, "peak_memory_mib": memory}
    speech = sum(map(len, clips)) / SAMPLE_RATE
    for system in systems:
        pipes[system].send(None)
        processes[system].join()
        figures[system] |= {
            "speed": speech / min(seconds[system]),
            "speed_median": speech / statistics.median(seconds[system]),
            "ratio": min(seconds["plain"]) / min(seconds[system]),
            "first_text_seconds": min(first[system]),
        }
    return figures


def error_rates(references: list[str], texts: list[str]) -> dict[str, float]:
    """CER with and without spaces, punctuation dropped on both sides, as whisper writes it."""
    scores = [
        metrics.score(normalise(reference), normalise(hypothesis))
        for reference, hypothesis in zip(references, texts, strict=True)
    ]
    total = sum(scores, metrics.Score())
    return {"with_spaces": total.characters.rate, "without_spaces": total.characters_no_space.rate}


def cold_start(folder: Path, clips: list[np.ndarray]) -> dict[str, float]:
    """Seconds from the start of a process: to the text of 3 s of speech, and to the end of an import."""
    wave = np.concatenate([*clips, *clips])[: 3 * SAMPLE_RATE]
    soundfile.write(folder / "clip.wav", wave, SAMPLE_RATE)
    command = [str(Path(sys.executable).with_name("distilhubert-ko")), "transcribe", str(folder / "clip.wav")]

    def fastest(*arguments: str) -> float:
        found = []
        for _ in range(5):
            started = time.perf_counter()
            subprocess.run(arguments, check=True, capture_output=True)
            found.append(time.perf_counter() - started)
        return min(found)

    return {
        "transcribe_3_s_float32": fastest(*command, "--model", str(folder / "model")),
        "transcribe_3_s_int8": fastest(*command, "--model", str(folder / "int8")),
        "import": fastest(sys.executable, "-c", "import distilhubert_ko") - fastest(sys.executable, "-c", "pass"),
    }


def table(result: dict[str, Any]) -> str:
    lines = [
        f"{result['clips']} clips, {result['seconds']:.0f} s of speech, {result['threads']} threads, {result['model']}",
        f"{'':46} s of speech/s  ratio  first text  peak memory  CER (no spaces)",
    ]
    for system, each in result["systems"].items():
        cer = f"{each['cer']['with_spaces']:.3f} ({each['cer']['without_spaces']:.3f})" if "cer" in each else "-"
        lines.append(
            f"{SYSTEMS[system]:46} {each['speed']:13.1f} {each['ratio']:6.2f} {each['first_text_seconds']:9.2f} s "
            f"{each['peak_memory_mib']:8.0f} MiB  {cer}"
        )
    for name, seconds in result["cold_start"].items():
        lines.append(f"cold start, {name.replace('_', ' ')}: {seconds:.2f} s")
    return "\n".join(lines)


def plot(result: dict[str, Any], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    systems = sorted(result["systems"], key=lambda system: result["systems"][system]["speed"])
    figures = [result["systems"][system] for system in systems]
    speeds = [each["speed"] for each in figures]
    figure, axes = pyplot.subplots(figsize=(9, 0.5 * len(systems) + 1.4), layout="constrained")
    colours = ["#1f6feb" if SYSTEMS[system].startswith("distilhubert-ko, ") else "#9aa4b2" for system in systems]
    bars = axes.barh([SYSTEMS[system] for system in systems], speeds, color=colours)
    labels = [f"{each['speed']:.1f}  ({each['ratio']:.2f} x)" for each in figures]
    axes.bar_label(bars, labels, padding=4)
    axes.set_xlabel(f"seconds of speech in a second, {result['threads']} threads (higher is better)")
    axes.set_title(result["model"], loc="left", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlim(0, max(speeds) * 1.2)
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
