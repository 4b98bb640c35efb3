"""Single utterances of an evaluation report as HTML: speaker, player, and the two texts above each other."""

import base64
from collections.abc import Sequence

from distilhubert_ko.evaluation import metrics
from distilhubert_ko.evaluation.breakdown import Prediction
from distilhubert_ko.evaluation.html.markup import both, escaped, percent, tag

KINDS = {"s": ("치환", "substituted"), "d": ("삭제", "deleted"), "n": ("삽입", "inserted")}


def legend() -> str:
    """Return the legend of the marks in an alignment, which differ in form as well as in colour."""
    examples = {"s": _column("각", "갑"), "d": _column("각", ""), "n": _column("", "갑")}
    items = [
        f'<span><span class="aligned" aria-hidden="true">{examples[kind]}</span> {both(*names)}</span>'
        for kind, names in KINDS.items()
    ]
    rows = both("윗줄은 정답, 아랫줄은 인식 결과", "Above: the reference. Below: the recognised text")
    return f'<p class="legend"><span>{rows}</span>{"".join(items)}</p>'


def excerpt(recognised: Sequence[Prediction], clip: bytes | None) -> str:
    """Return one utterance as one or two models recognised it, with a player for the MP3 `clip`."""
    first = recognised[0]
    rates = " ".join(
        f"<b>{tag(index) if len(recognised) > 1 else ''} CER {percent(each.score.characters.rate)}</b>"
        for index, each in enumerate(recognised)
    )
    facts = [escaped(first.id)]
    facts += [both("화자", "speaker") + " " + escaped(first.speaker)] if first.speaker is not None else []
    facts += [both(f"{first.seconds:.1f}초", f"{first.seconds:.1f} s")]
    player = ""
    if clip:
        source = f"data:audio/mpeg;base64,{base64.b64encode(clip).decode('ascii')}"
        player = f'<audio controls preload="none" src="{source}" aria-label="{escaped(first.id)}"></audio>'
    lines = "".join(_aligned(each, tag(index) if len(recognised) > 1 else "") for index, each in enumerate(recognised))
    header = f"<header>{rates}{''.join(f'<span>{fact}</span>' for fact in facts)}{player}</header>"
    return f'<article class="utterance">{header}{lines}</article>'


def _aligned(prediction: Prediction, name: str) -> str:
    pairs = metrics.character_pairs(prediction.reference, prediction.hypothesis)
    columns = "".join(_column(spoken, recognised) for spoken, recognised in pairs)
    spoken, recognised = escaped(prediction.reference), escaped(prediction.hypothesis)
    shown_text = f"{both('정답', 'Reference')}: {spoken}. {both('인식 결과', 'Recognised')}: {recognised}."
    shown = f'<span class="sr">{shown_text}</span><div aria-hidden="true">{columns}</div>'
    return f'<div class="aligned" lang="ko">{name}{shown}</div>'


def _column(spoken: str, recognised: str) -> str:
    """Return a spoken character above the recognised one, with visible marks for wrong spaces and gaps."""
    if spoken == recognised == " ":
        return '<span class="col space"><b> </b><i> </i></span> '
    kind = "" if spoken == recognised else " n" if not spoken else " d" if not recognised else " s"
    above, below = ("␣" if each == " " else escaped(each) for each in (spoken or "+", recognised or "–"))
    return f'<span class="col{kind}"><b>{above}</b><i>{below}</i></span>'
