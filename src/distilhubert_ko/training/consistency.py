"""CR-CTC: two views of each clip, masked differently, have to agree on their posteriors.

Yao, Kang, Yang, Kuang, Guo, Zhu, Jin, Li, Lin and Povey, "CR-CTC: Consistency regularization on CTC for improved speech
recognition", ICLR 2025 (arXiv 2410.05101).
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


def two_views(batch: dict[str, Any]) -> dict[str, Any]:
    """Return a batch in which each clip comes twice: all clips, then all clips again."""
    return {name: torch.cat([value, value]) for name, value in batch.items()}


def disagreement(logits: Tensor, frames: Tensor, labels: Tensor) -> Tensor:
    """Return the consistency loss of logits (2 x clips, frames, vocabulary) of `two_views`, a mean over clips.

    A clip's loss is half the sum over its frames of KL(b || a) + KL(a || b), in nats. In each of the two, only the view
    that comes second has gradients (section 3.2 of the paper). The sum is divided by the number of labels, as in CTC's
    own loss. `frames` (2 x clips,) count; `labels` (2 x clips, units) are padded with negative ids.
    """
    posteriors = functional.log_softmax(logits.float(), -1)
    other = torch.cat(posteriors.detach().chunk(2)[::-1])
    divergence = functional.kl_div(posteriors, other, reduction="none", log_target=True).sum(-1)
    valid = torch.arange(logits.shape[1], device=logits.device) < frames[:, None]
    each = torch.where(valid, divergence, 0.0).sum(1) / (labels >= 0).sum(1).clamp(min=1)
    return each.mean()  # of both views: half of their sum
