"""The tables of docs/accuracy.md."""

from docs.figures import change, report, table

CORPORA = {
    "manifest:emotiontts/test.jsonl": "EmotionTTS, test speakers",
    "librispeech:pansori-tedxkr#test": "Pansori TEDxKR, test speakers",
    "kaldi:zeroth-sample/data": "Zeroth-Korean, sample of the test split",
}
RECOGNISERS = {
    "greedy": "**korean-small**, greedy",
    "language model": "**korean-small**, language model",
    "Whisper, beam 5": "Whisper base, beam of 5",
}


def recognition() -> str:
    """Return the table of benchmarks/recognition.py."""
    header = (
        *("Corpus", "Clips", "Speakers", "System", "CER, no spaces", "95 % interval", "CER", "Jamo error rate"),
        "Against Whisper, over utterances",
    )
    rows = []
    for row in report("recognition")["rows"]:
        low, high = row["cer_no_space_ci95_speakers"] or row["cer_no_space_ci95_utterances"]
        rows.append(
            (
                CORPORA[row["corpus"]],
                f"{row['utterances']}",
                f"{row['speakers'] or 'not known'}",
                RECOGNISERS[row["system"]],
                f"{row['cer_no_space']:.4f}",
                f"{low:.4f}–{high:.4f} over {'speakers' if row['cer_no_space_ci95_speakers'] else 'utterances'}",
                f"{row['cer']:.4f}",
                f"{row['jer']:.4f}",
                "" if row["system"] == "Whisper, beam 5" else change(row["against_whisper"]["utterances"]),
            )
        )
    return table(header, rows)


LEVERS = {
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


def accuracy() -> str:
    """Return the table of benchmarks/accuracy.py."""
    measured = report("accuracy")
    records, sample = measured["rows"], measured["zeroth_sample"]
    header = ("Row", "Decoding", "CER", "95 % interval", "Seeds", "CER, no spaces", "Jamo error rate")
    rows = []
    for record in sorted(records, key=lambda record: [*LEVERS].index(record["row"])):
        low, high = record["ci95"]
        rows.append(
            (
                LEVERS[record["row"]],
                DECODINGS[record["decoding"]],
                f"{record['cer']:.4f}",
                f"{low:.4f}–{high:.4f}",
                " ".join(f"{cer:.3f}" for cer in record["cers"]),
                f"{record['cer_no_space']:.4f}",
                f"{record['jer']:.4f}",
                *(change(record.get(f"against_{other}_utterances")) for other in ("published", "jamo")),
            )
        )
    low, high = sample["cer_no_space_ci95"]
    distilled = next(each["against_random_utterances"] for each in records if each["row"] == "distilled")
    return "\n".join(
        [
            table((*header, "Against published", "Against jamo"), rows),
            "",
            "The lighter levers were also tried with the larger language model and a beam of 100 on "
            f"{sample['utterances']} clips of Zeroth's test split. Nothing was trained or tuned on Zeroth. "
            f"CER without spaces is {sample['cer_no_space']:.4f} ({low:.4f}–{high:.4f}), jamo error rate "
            f"{sample['jer']:.4f}.",
            "",
            f"The distilled student against the same one from random weights: {change(distilled)}.",
        ]
    )


METHODS = {
    "plain": "Whisper's first two layers",
    "consistent": "the same with CR-CTC, half of the epochs",
    "untaught": "a narrow HuBERT from random weights",
    "taught": "the same with a teacher, fewer epochs",
}


def levers() -> str:
    """Return the table of benchmarks/whisper_levers.py."""
    header = ("Row", "CER, each seed", "CER", "CER, no spaces", "Against", "Over utterances", "Over speakers")
    rows = []
    for record in report("whisper_levers")["rows"]:
        against = record.get("against")
        tests = (change(record.get(f"against_{against}_{unit}")) for unit in ("utterances", "speakers"))
        cers = " ".join(f"{cer:.3f}" for cer in record["cers"])
        scores = (f"{record[key]:.4f}" for key in ("cer", "cer_no_space"))
        rows.append((METHODS[record["row"]], cers, *scores, METHODS[against] if against else "", *tests))
    return table(header, rows)
