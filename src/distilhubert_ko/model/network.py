"""HuBERT and wav2vec 2.0 with a CTC head that give a clip the same answer alone and in any padded batch.

The state dict is key for key that of transformers.HubertForCTC or Wav2Vec2ForCTC, so plain Transformers loads what is
saved here, and for a single clip it gives the same logits. What differs is the front:

- A group norm after the first convolution takes its statistics over each clip's own frames, not over the padding.
  The convolution is linear in windows of 10 samples, so mean and variance of each channel follow exactly from the
  mean and the 10 x 10 covariance of the windows. Scale and shift then fold into the convolution's weights, and the
  normalisation costs no pass over (frames, channels). A layer norm sees one frame at a time, so it is safe as it is.
- The other convolutions run channels-last, as matrix products, which is faster on a CPU.
- Padded frames are zero before the positional convolution and masked in attention.

Training makes DistilHuBERT; loading takes any such folder, whoever made it.
"""

import contextlib

import torch
from torch import Tensor, nn
from transformers import (
    HubertConfig,
    HubertForCTC,
    Wav2Vec2Config,
    Wav2Vec2ForCTC,
)
from transformers.models.hubert.modeling_hubert import HubertPositionalConvEmbedding
from transformers.models.wav2vec2.modeling_wav2vec2 import Wav2Vec2PositionalConvEmbedding

from distilhubert_ko.audio.frames import KERNELS, STRIDES
from distilhubert_ko.errors import ModelError
from distilhubert_ko.model.ctc_network import CtcNetwork

FIRST_KERNEL, FIRST_STRIDE = KERNELS[0], STRIDES[0]
SAFE_CHANNELS = 16
"""In bf16, oneDNN on processors with AMX gives wrong results for long convolutions of fewer channels per group."""


class _InFloat32:
    """A positional convolution that computes in float32 on the CPU, in mixed precision too."""

    def forward(self, hidden_states: Tensor) -> Tensor:
        on_cpu = hidden_states.device.type == "cpu"
        with torch.autocast("cpu", enabled=False) if on_cpu else contextlib.nullcontext():
            result: Tensor = super().forward(hidden_states.float() if on_cpu else hidden_states)  # type: ignore[misc]
        return result


class NarrowHubertPositions(_InFloat32, HubertPositionalConvEmbedding):
    pass


class NarrowWav2Vec2Positions(_InFloat32, Wav2Vec2PositionalConvEmbedding):
    pass


NARROW_POSITIONS = {
    HubertPositionalConvEmbedding: NarrowHubertPositions,
    Wav2Vec2PositionalConvEmbedding: NarrowWav2Vec2Positions,
}


class PaddingSafeForCTC(CtcNetwork):
    """What both models share; see the module's docstring. Raises ModelError for other architectures."""

    def __init__(self, config: HubertConfig | Wav2Vec2Config):
        _check(config)
        super().__init__(config)
        if config.hidden_size // config.num_conv_pos_embedding_groups < SAFE_CHANNELS:
            positions = self.base_model.encoder.pos_conv_embed
            positions.__class__ = NARROW_POSITIONS[type(positions)]

    def encode(self, waves: Tensor, lengths: Tensor) -> Tensor:
        features = self.features(waves, lengths)
        valid = torch.arange(features.shape[1], device=features.device) < self.frame_lengths(lengths)[:, None]
        hidden = self.project(features)
        # SpecAugment, in training alone and only where the configuration asks for it; refused for less than a span.
        if hidden.shape[1] >= self.config.mask_time_length:
            hidden = self.base_model._mask_hidden_states(hidden, attention_mask=valid)
        encoded: Tensor = self.base_model.encoder(hidden, attention_mask=valid)[0]
        return encoded

    def features(self, waves: Tensor, lengths: Tensor) -> Tensor:
        """Return the convolutions' output (batch, frames, channels) for waves (batch, samples)."""
        first, *others = self.base_model.feature_extractor.conv_layers
        by_frame = self.config.feat_extract_norm == "layer"
        if by_frame:
            hidden = first.layer_norm(_biased(sample_windows(waves) @ first.conv.weight[:, 0].T, first.conv))
        else:  # a bias moves a channel's mean alone, which the group norm takes away
            hidden = first_convolution(waves, lengths, first.conv.weight, first.layer_norm)
        hidden = first.activation(hidden)
        for layer in others:
            hidden = _biased(strided_convolution(hidden, layer.conv.weight), layer.conv)
            hidden = layer.activation(layer.layer_norm(hidden) if by_frame else hidden)
        return hidden

    def project(self, features: Tensor) -> Tensor:
        """Return the encoder's input (batch, frames, hidden size) for the convolutions' output."""
        return self.base_model.feature_projection(features)


class PaddingSafeHubertForCTC(PaddingSafeForCTC, HubertForCTC):
    """HubertForCTC for padded batches."""

    config_class = HubertConfig


class PaddingSafeWav2Vec2ForCTC(PaddingSafeForCTC, Wav2Vec2ForCTC):
    """Wav2Vec2ForCTC for padded batches."""

    config_class = Wav2Vec2Config

    def project(self, features: Tensor) -> Tensor:
        return super().project(features)[0]  # beside it come the features that pretraining quantises


def _check(config: HubertConfig | Wav2Vec2Config) -> None:
    if tuple(config.conv_kernel) != KERNELS or tuple(config.conv_stride) != STRIDES:
        raise ModelError(
            f"conv_kernel {config.conv_kernel}, conv_stride {config.conv_stride} give other frames than HuBERT's: "
            f"use a checkpoint with {list(KERNELS)}, {list(STRIDES)}"
        )
    # Adapters change frames or wait for a language's weights; batch norm makes padding other than zero.
    for name in ("add_adapter", "adapter_attn_dim", "conv_pos_batch_norm"):
        if value := getattr(config, name, None):
            raise ModelError(f"{name} {value} is not supported here: use a checkpoint without, or Transformers itself")


def normalise_waves(waves: Tensor, lengths: Tensor) -> Tensor:
    """Return waves (batch, samples), each with mean 0 and variance 1 over its own `lengths` samples, and 0 after them.

    As Wav2Vec2FeatureExtractor does with do_normalize, 1e-7 included.
    """
    valid = torch.arange(waves.shape[1], device=waves.device) < lengths[:, None]
    # Sums in single precision over 5 s moved log-probabilities by 2e-4 on ONNX Runtime, ten times what the rest does.
    mean = torch.where(valid, waves, 0.0).sum(1, dtype=torch.float64) / lengths
    centred = torch.where(valid, waves - mean.to(waves.dtype)[:, None], 0.0)
    variance = centred.square().sum(1, dtype=torch.float64) / lengths
    return centred * torch.rsqrt(variance + 1e-7).to(waves.dtype)[:, None]


def sample_windows(waves: Tensor) -> Tensor:
    """Return the windows (batch, frames, 10) of waves (batch, samples) that the first convolution sees."""
    frames = (waves.shape[1] - FIRST_KERNEL) // FIRST_STRIDE + 1
    hops = waves[:, : FIRST_STRIDE * (frames + 1)].unflatten(1, (-1, FIRST_STRIDE))
    return torch.cat([hops[:, :-1], hops[:, 1:]], dim=2)


def first_convolution(waves: Tensor, lengths: Tensor, weight: Tensor, norm: nn.GroupNorm) -> Tensor:
    """Apply convolution 0 and its group norm: (batch, samples) -> (batch, frames, channels).

    The statistics are over each clip's own frames. For a channel with weights w, the outputs over the windows x have
    mean w·E[x] and variance w·Cov[x]·w.
    """
    seen = sample_windows(waves)
    counts = torch.div(lengths - FIRST_KERNEL, FIRST_STRIDE, rounding_mode="floor") + 1
    # In half precision the squares of quiet audio underflow.
    with torch.autocast(waves.device.type, enabled=False):
        valid = (torch.arange(seen.shape[1], device=waves.device) < counts[:, None])[:, :, None]
        kernel = weight[:, 0].float()
        mean = torch.where(valid, seen, 0.0).sum(1) / counts[:, None]
        centred = torch.where(valid, seen - mean[:, None], 0.0)
        covariance = centred.transpose(1, 2) @ centred / counts[:, None, None]
        variance = ((kernel @ covariance) * kernel).sum(2)
        scale = norm.weight * torch.rsqrt(variance + norm.eps)
        shift = norm.bias - (mean @ kernel.T) * scale
        folded = kernel.T * scale[:, None]
    return torch.baddbmm(shift[:, None].to(seen.dtype), seen, folded)


def strided_convolution(hidden: Tensor, weight: Tensor) -> Tensor:
    """Apply a convolution of stride 2 and kernel 2 or 3, without bias, to (batch, frames, channels).

    Two neighbouring frames are one row of a matrix product; a third one comes with a second product.
    """
    frames = (hidden.shape[1] - weight.shape[2]) // 2 + 1
    pairs = hidden[:, : 2 * frames].unflatten(1, (-1, 2)).flatten(2)
    result = pairs @ weight[:, :, :2].permute(2, 1, 0).flatten(0, 1)
    if weight.shape[2] == 3:
        result = result + hidden[:, 2 : 2 * frames + 1 : 2] @ weight[:, :, 2].T
    return result


def _biased(hidden: Tensor, convolution: nn.Conv1d) -> Tensor:
    return hidden if convolution.bias is None else hidden + convolution.bias
