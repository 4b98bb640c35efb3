"""CR-CTC's loss against its definition, clip by clip, on clips of uneven lengths."""

import pytest
import torch
from torch.nn import functional

from distilhubert_ko.training.consistency import disagreement, two_views

FRAMES, LABELS = [7, 1, 4], torch.tensor([[3, 1, 2], [1, -100, -100], [-100, -100, -100]])


@pytest.fixture
def logits() -> torch.Tensor:
    return torch.randn(6, 7, 5, generator=torch.Generator().manual_seed(1))


def test_the_disagreement_is_that_of_the_definition(logits: torch.Tensor) -> None:
    expected = 0.0
    for clip, frames in enumerate(FRAMES):
        first, second = (functional.softmax(logits[row, :frames].double(), -1) for row in (clip, clip + 3))
        divergences = first * (first / second).log() + second * (second / first).log()
        expected += 0.5 * float(divergences.sum()) / max(1, int((LABELS[clip] >= 0).sum())) / len(FRAMES)

    found = disagreement(logits, torch.tensor(FRAMES * 2), LABELS.repeat(2, 1))

    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_each_view_moves_towards_the_other_as_it_stands(logits: torch.Tensor) -> None:
    logits.requires_grad_()

    disagreement(logits, torch.tensor(FRAMES * 2), LABELS.repeat(2, 1)).backward()

    posteriors = functional.softmax(logits.detach(), -1)
    other = torch.cat([posteriors[3:], posteriors[:3]])
    units = (LABELS >= 0).sum(1).clamp(min=1).repeat(2)
    expected = (posteriors - other) / units[:, None, None] / 6
    expected[torch.arange(7) >= torch.tensor(FRAMES * 2)[:, None]] = 0
    assert logits.grad is not None
    torch.testing.assert_close(logits.grad, expected)


def test_equal_views_agree_and_frames_of_padding_do_not_count(logits: torch.Tensor) -> None:
    views = two_views({"logits": logits[:3], "frames": torch.tensor(FRAMES), "labels": LABELS})
    assert float(disagreement(**views)) == 0

    views["logits"][4, 1:] += 100 * torch.randn(6, 5)
    assert float(disagreement(**views)) == 0
