"""Tables of docs/reliability.md, docs/scaling.md and docs/accuracy.md from what was seen on a GPU."""

from docs.figures import report, table

NETWORKS = {"DistilHuBERT": "DistilHuBERT", "Whisper": "Whisper base's encoder"}
PRECISIONS = ("float32", "float32, TF32", "fp16", "bf16")
RUNS = {
    "zeroth": "`zeroth.toml`, stopped and resumed",
    "zeroth in fp16": "the same in fp16",
    "whisper": "`whisper.toml`",
    "distillation": "`distill.toml`",
    "teaching": "`zeroth.toml` with a teacher",
}


def numbers() -> str:
    """Return the table of relative errors against float32 on the CPU."""
    header = ("Network", "Precision", "Loss", "All gradients", "Worst tensor's gradient")
    found = report("gpu")["parts"]["numbers"]
    rows = [
        (
            shown,
            precision,
            *(f"{found[name][precision][key]:.1e}" for key in ("loss_error", "gradient_error", "largest_of_a_tensor")),
        )
        for name, shown in NETWORKS.items()
        for precision in PRECISIONS
    ]
    padding = max(found[name]["padding_error"] for name in NETWORKS)
    return (
        f"{table(header, rows)}\n\nErrors are relative. A clip's logits alone and in the batch differ by {padding:.0e} "
        "of their spread at most."
    )


def runs() -> str:
    """Return the table of runs through the whole trainer, and on what they were seen."""
    header = ("Run", "Outcome", "Loss, first and last", "Hours of speech per hour", "GPU memory, GiB")
    measured = report("gpu")
    parts = measured["parts"]
    rows = [
        (
            shown,
            parts[name]["outcome"],
            f"{parts[name]['losses'][0]:.2f}, {parts[name]['losses'][-1]:.2f}",
            f"{parts[name]['hours_per_hour']:,.0f}",
            f"{parts[name]['peak_gib']:.1f}",
        )
        for name, shown in RUNS.items()
    ]
    steps = f"{parts['zeroth']['total_steps']} and {parts['zeroth in fp16']['total_steps']} steps of `zeroth.toml`"
    machine = f"{measured['gpu']}, {measured['cpus']} cores, PyTorch {measured['torch']}, {steps}"
    runtime = parts["onnxruntime"]
    said = runtime["outcome"] if runtime["outcome"] == "passed" else f"{runtime['outcome']} ({runtime['reason']})"
    return f"{table(header, rows)}\n\nSeen on: {machine}. ONNX Runtime on the GPU: {said}."


def steps() -> str:
    """Return the table of training steps beside plain Transformers, on the same batch."""
    header = (
        *("Network, clips", "Precision", "Hours of speech per hour", "Transformers", "Ratio"),
        *("GPU memory, GiB", "Transformers, GiB", "TFLOP/s", "Share of bf16 peak"),
    )
    measured = report("gpu")
    rows = []
    for name, shown in NETWORKS.items():
        found = measured["parts"]["speed"][name]
        for precision, ratio in found["times_as_fast"].items():
            ours, theirs = (found[way][precision] for way in ("ours", "Transformers"))
            rows.append(
                (
                    f"{shown}, {found['batch']}",
                    precision,
                    *(f"{way['hours_per_hour']:,.0f}" for way in (ours, theirs)),
                    f"{ratio:.2f}",
                    *(f"{way['peak_gib']:.1f}" for way in (ours, theirs)),
                    f"{ours['flops_per_second'] / 1e12:.0f}",
                    f"{ours['share_of_peak']:.0%}",
                )
            )
    return f"{table(header, rows)}\n\nMeasured on one {measured['gpu']} with PyTorch {measured['torch']}."


def consistency() -> str:
    """Return the table of the runs of korean-small on a GPU, with and without CR-CTC."""
    steps = (400, 800, 1200, 1600, 2000)
    header = ("Run", "Learning rate", "Mel frames masked", *(f"CER at step {step:,}" for step in steps), "Loss")
    rows = []
    for run in report("korean_small_gpu")["runs"]:
        found = {each["step"]: each for each in run["evaluations"]}
        cers = (f"{found[step]['cer']:.4f}" for step in steps)
        masked = f"{run['mask_time_prob']:.0%}"
        rows.append((run["run"], f"{run['learning_rate']:g}", masked, *cers, f"{found[steps[-1]]['loss']:.3f}"))
    return table(header, rows)
