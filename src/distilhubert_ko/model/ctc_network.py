"""What every network here is from the outside: waves and lengths in, logits and frame counts out."""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput

from distilhubert_ko.audio.frames import HUBERT_FRAMES, FrameGrid


class CtcNetwork(PreTrainedModel):
    """An encoder with a linear CTC head, padding-safe: a clip alone and in any batch has the same logits."""

    # The Trainer would take **ignored for a promise to average over accumulated batches, and only add them up.
    accepts_loss_kwargs = False

    grid: ClassVar[FrameGrid] = HUBERT_FRAMES
    base_model: Any
    dropout: nn.Dropout
    lm_head: nn.Linear

    def forward(
        self,
        input_values: Tensor,
        lengths: Tensor | None = None,
        labels: Tensor | None = None,
        **ignored: Any,
    ) -> CausalLMOutput:
        """Logits (batch, frames, vocabulary) of waves (batch, samples) padded with anything.

        `lengths` (batch,) are samples without padding, at least 400 each; None means no padding. `labels`
        (batch, units) are padded with -100. The loss is CTC's, reduced as config.ctc_loss_reduction says. Logits of
        padded frames mean nothing.
        """
        if lengths is None:
            lengths = torch.full((len(input_values),), input_values.shape[1], device=input_values.device)
        logits = self.lm_head(self.dropout(self.encode(input_values, lengths)))
        frames = self.frame_lengths(lengths)
        loss = None if labels is None else self.losses(logits, frames, labels, self.config.ctc_loss_reduction)
        return CausalLMOutput(loss=loss, logits=logits)

    def encode(self, waves: Tensor, lengths: Tensor) -> Tensor:
        """Return the encoder's output (batch, frames, width), masked by SpecAugment in training alone."""
        raise NotImplementedError

    def losses(self, logits: Tensor, frames: Tensor, labels: Tensor, reduction: str) -> Tensor:
        """CTC's loss of logits (batch, frames, vocabulary), of which `frames` (batch,) count: "none" gives (batch,)."""
        loss: Tensor = self.loss_function(
            logits=logits,
            labels=labels,
            logit_lengths=frames,
            blank_token_id=self.config.pad_token_id,
            reduction=reduction,
            zero_infinity=self.config.ctc_zero_infinity,
        )
        return loss

    def frame_lengths(self, lengths: Tensor) -> Tensor:
        """Frames (batch,) of clips of `lengths` (batch,) samples."""
        for stride, added in self.grid.layers:
            lengths = torch.div(lengths + added, stride, rounding_mode="floor")
        return lengths
