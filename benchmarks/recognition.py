"""Error rates of a model and of Whisper on the same clips, with intervals over speakers and paired tests.

    python -m benchmarks.recognition MODEL WHISPER CORPUS ... --work DIR --json docs/results/recognition.json

WHISPER is a folder or a name that faster-whisper opens. The model decodes greedily and, where its folder carries a
language model, with that. Whisper decodes in int8 with a beam of 5. Its text goes through the same rules as the
references, with digits spelled out. DIR keeps Whisper's answers, so that a second call does not ask again.
"""

import argparse
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from distilhubert_ko import Transcriber
from distilhubert_ko.data.examples import Split
from distilhubert_ko.data.reading import Reading
from distilhubert_ko.decoding.decoder import NO_LM
from distilhubert_ko.evaluation import metrics, significance
from distilhubert_ko.evaluation.report import evaluate_split, read_evaluation_split
from distilhubert_ko.files.writing import write_json
from distilhubert_ko.text.normalise import normalise

WHISPER, WHISPER_BEAM = "Whisper, beam 5", 5
FEWEST_SPEAKERS = 5  # below that, an interval over speakers would say more than the data can


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("whisper")
    parser.add_argument("corpora", nargs="+")
    parser.add_argument("--root", type=Path, default=Path("."), help="Relative locations of corpora start here.")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--beam", type=int, default=100, help="Of the model with its language model.")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = []
    for corpus in options.corpora:
        split = read_evaluation_split(options.model, corpus, Reading(root=options.root, allow_outside=True))
        rows += compared(corpus, split, answers(options, corpus, split))
        for row in rows[-3:]:
            print(json.dumps(row, ensure_ascii=False), flush=True)
    if options.json:
        write_json(options.json, {"rows": rows})


def answers(options: argparse.Namespace, corpus: str, split: Split) -> dict[str, list[str]]:
    """Return for each system its texts of the clips of a split."""
    found = {}
    ways: dict[str, dict[str, Any]] = {"greedy": {"lm": NO_LM}, "language model": {"beam": options.beam}}
    for name, settings in ways.items():
        transcriber = Transcriber(options.model, threads=options.threads, **settings)
        found[name] = [each.hypothesis for each in evaluate_split(transcriber, split).predictions]
    kept = options.work / f"{''.join(c if c.isalnum() else '-' for c in corpus)}.json"
    if not kept.is_file():
        write_json(kept, {"texts": whisper_texts(options.whisper, split, options.threads)})
    found[WHISPER] = [normalise(text, spell=True) for text in json.loads(kept.read_text(encoding="utf-8"))["texts"]]
    return found


def whisper_texts(model: str, split: Split, threads: int) -> list[str]:
    from faster_whisper import WhisperModel

    whisper = WhisperModel(model, device="cpu", compute_type="int8", cpu_threads=threads)
    texts = []
    for example in split.examples:
        segments, _ = whisper.transcribe(example.utterance.wave(), language="ko", beam_size=WHISPER_BEAM)
        texts.append(" ".join(segment.text.strip() for segment in segments))
    return texts


def compared(corpus: str, split: Split, texts: dict[str, list[str]]) -> list[dict[str, Any]]:
    """Return a row for each system, with a paired test over utterances against Whisper.

    Five speakers are too few for a test over speakers.
    """
    references = [example.text for example in split.examples]
    speakers = [example.utterance.speaker or "" for example in split.examples]
    groups = speakers if len(set(speakers)) >= FEWEST_SPEAKERS and all(speakers) else None
    scores = {name: [*map(metrics.score, references, found)] for name, found in texts.items()}
    rival = [score.characters_no_space for score in scores[WHISPER]]
    return [
        {"corpus": corpus, "utterances": len(references), "speakers": len(set(filter(None, speakers))), "system": name}
        | figures(found, groups)
        | {"against_whisper": against(found, rival)}
        for name, found in scores.items()
    ]


def figures(scores: Sequence[metrics.Score], groups: Sequence[str] | None) -> dict[str, Any]:
    total = sum(scores, metrics.Score())
    counts = [score.characters_no_space for score in scores]
    return {
        "cer": total.characters.rate,
        "cer_no_space": total.characters_no_space.rate,
        "jer": total.jamo.rate,
        "cer_no_space_ci95_utterances": metrics.bootstrap_interval(counts),
        "cer_no_space_ci95_speakers": significance.speaker_interval(counts, groups) if groups else None,
    }


def against(scores: Sequence[metrics.Score], rival: Sequence[metrics.ErrorCounts]) -> dict[str, Any]:
    test = significance.paired_test([score.characters_no_space for score in scores], rival)
    return {"utterances": dataclasses.asdict(test)}


if __name__ == "__main__":
    main()
