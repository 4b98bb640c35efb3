"""Tables of docs/serving.md on live captions."""

from docs.figures import report, table


def captions() -> str:
    """Return the table of benchmarks/captions.py."""
    found = report("captions")
    header = ("Concurrent streams", "Words", "Shown, median", "99th percentile", "Final, median", "99th percentile")
    rows = []
    for row in found["rows"]:
        times = (row[kind][figure] for kind in ("partial", "final") for figure in ("median", "p99"))
        rows.append((f"{row['streams']}", f"{row['words_timed']}", *(f"{seconds:.2f} s" for seconds in times)))
    model = found["model"]
    return table(header, rows) + (
        f"\n\nModel: {model['parameters'] / 1e6:.1f} million parameters. Cores: {found['cores']}. Threads per "
        f"inference: {model['threads']}."
    )


def caption_search() -> str:
    """Return the table of benchmarks/caption_search.py."""
    found = report("caption_search")
    header = (
        *("Captions", "CER, no spaces", "CER as one recording", "Final, median", "99th percentile"),
        *("Computing per step, median", "99th percentile"),
    )
    rows = [
        (
            row["decoding"],
            f"{row['cer_no_space']:.4f}",
            f"{row['whole_cer_no_space']:.4f}",
            *(f"{row['final'][figure]:.2f} s" for figure in ("median", "p99")),
            *(f"{1000 * row['computing'][figure]:.0f} ms" for figure in ("median", "p99")),
        )
        for row in found["rows"]
    ]
    found_words = " and ".join(
        f"{row['hotwords_found']} with {row['decoding']}" for row in found["rows"] if "hot words" in row["decoding"]
    )
    network = found["network"]
    return table(header, rows) + (
        f"\n\n{found['clips']} clips of {found['streams']} speakers, {found['seconds']:.0f} s. Beam: {found['beam']}.\n"
        f"Of {found['hotwords']} hot words, captions have {found_words}.\n"
        f"The network took {1000 * network['median']:.0f} ms per step (99th percentile: {1000 * network['p99']:.0f} ms)"
        f" on one thread.\nProcessor: {found['processor']}."
    )
