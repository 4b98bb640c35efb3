"""DistilHuBERT with a CTC head that gives a clip the same answer alone and in any padded batch.

The state dict is key for key that of transformers.HubertForCTC, so plain Transformers loads what is saved here, and
for a single clip it gives the same logits. What differs is the front:

- The group norm after the first convolution takes its statistics over each clip's own frames, not over the padding.
  The convolution is linear in windows of 10 samples, so mean and variance of each channel follow exactly from the
  mean and the 10 x 10 covariance of the windows. Scale and shift then fold into the convolution's weights, and the
  normalisation costs no pass over (frames, channels).
- The other convolutions run channels-last, as matrix products, which is faster on a CPU.
- Padded frames are zero before the positional convolution and masked in attention.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import HubertConfig, HubertForCTC
from transformers.modeling_outputs import CausalLMOutput

from distilhubert_ko import recipe as recipes
from distilhubert_ko.audio import KERNELS, STRIDES
from distilhubert_ko.errors import ModelError, UnavailableError
from distilhubert_ko.text import Tokenizer

FIRST_KERNEL, FIRST_STRIDE = KERNELS[0], STRIDES[0]


class PaddingSafeHubertForCTC(HubertForCTC):
    """HubertForCTC for padded batches; see the module's docstring.

    Only the group-norm architecture (feat_extract_norm "group", no bias in the convolutions) is meant here.
    """

    def __init__(self, config: HubertConfig):
        super().__init__(config)
        if config.feat_extract_norm != "group" or config.conv_bias:
            raise ModelError(
                f"feat_extract_norm {config.feat_extract_norm!r} with conv_bias {config.conv_bias} is no DistilHuBERT: "
                'use a checkpoint with feat_extract_norm "group" and conv_bias false'
            )
        if tuple(config.conv_kernel) != KERNELS or tuple(config.conv_stride) != STRIDES:
            raise ModelError(
                f"conv_kernel {config.conv_kernel}, conv_stride {config.conv_stride} give other frames than HuBERT's: "
                f"use a checkpoint with {list(KERNELS)}, {list(STRIDES)}"
            )

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
        features = self.features(input_values, lengths)
        frames = self.frame_lengths(lengths)
        valid = torch.arange(features.shape[1], device=features.device) < frames[:, None]
        hidden = self.hubert.feature_projection(features)
        hidden = self.hubert.encoder(hidden, attention_mask=valid)[0]
        logits = self.lm_head(self.dropout(hidden))
        loss = None
        if labels is not None:
            loss = self.loss_function(
                logits=logits,
                labels=labels,
                logit_lengths=frames,
                blank_token_id=self.config.pad_token_id,
                reduction=self.config.ctc_loss_reduction,
                zero_infinity=self.config.ctc_zero_infinity,
            )
        return CausalLMOutput(loss=loss, logits=logits)

    def frame_lengths(self, lengths: Tensor) -> Tensor:
        """Frames (batch,) of clips of `lengths` (batch,) samples."""
        for kernel, stride in zip(KERNELS, STRIDES, strict=True):
            lengths = torch.div(lengths - kernel, stride, rounding_mode="floor") + 1
        return lengths

    def features(self, waves: Tensor, lengths: Tensor) -> Tensor:
        """The convolutions' output (batch, frames, channels) for waves (batch, samples)."""
        layers = self.hubert.feature_extractor.conv_layers
        hidden = functional.gelu(first_convolution(waves, lengths, layers[0].conv.weight, layers[0].layer_norm))
        for layer in layers[1:]:
            hidden = functional.gelu(strided_convolution(hidden, layer.conv.weight))
        return hidden


def first_convolution(waves: Tensor, lengths: Tensor, weight: Tensor, norm: nn.GroupNorm) -> Tensor:
    """Convolution 0 and its group norm over each clip's own frames: (batch, samples) -> (batch, frames, channels).

    For a channel with weights w, the outputs over the windows x have mean w·E[x] and variance w·Cov[x]·w.
    """
    frames = (waves.shape[1] - FIRST_KERNEL) // FIRST_STRIDE + 1
    hops = waves[:, : FIRST_STRIDE * (frames + 1)].unflatten(1, (-1, FIRST_STRIDE))
    windows = torch.cat([hops[:, :-1], hops[:, 1:]], dim=2)
    counts = torch.div(lengths - FIRST_KERNEL, FIRST_STRIDE, rounding_mode="floor") + 1
    # In half precision the squares of quiet audio underflow.
    with torch.autocast(waves.device.type, enabled=False):
        valid = (torch.arange(frames, device=waves.device) < counts[:, None])[:, :, None]
        kernel = weight[:, 0].float()
        mean = torch.where(valid, windows, 0.0).sum(1) / counts[:, None]
        centred = torch.where(valid, windows - mean[:, None], 0.0)
        covariance = centred.transpose(1, 2) @ centred / counts[:, None, None]
        variance = ((kernel @ covariance) * kernel).sum(2)
        scale = norm.weight * torch.rsqrt(variance + norm.eps)
        shift = norm.bias - (mean @ kernel.T) * scale
        folded = kernel.T * scale[:, None]
    return torch.baddbmm(shift[:, None].to(windows.dtype), windows, folded)


def strided_convolution(hidden: Tensor, weight: Tensor) -> Tensor:
    """A convolution of stride 2 and kernel 2 or 3 over (batch, frames, channels), without bias.

    Two neighbouring frames are one row of a matrix product; a third one comes with a second product.
    """
    frames = (hidden.shape[1] - weight.shape[2]) // 2 + 1
    pairs = hidden[:, : 2 * frames].unflatten(1, (-1, 2)).flatten(2)
    result = pairs @ weight[:, :, :2].permute(2, 1, 0).flatten(0, 1)
    if weight.shape[2] == 3:
        result = result + hidden[:, 2 : 2 * frames + 1 : 2] @ weight[:, :, 2].T
    return result


def build(config: recipes.Model, tokenizer: Tokenizer) -> PaddingSafeHubertForCTC:
    """The model of a recipe, with a head for the tokenizer's vocabulary.

    Raises UnavailableError where the Hub cannot be reached and ModelError for a checkpoint that is no DistilHuBERT.
    """
    common = {
        "vocab_size": len(tokenizer),
        "pad_token_id": tokenizer.blank_id,
        "bos_token_id": None,
        "eos_token_id": None,
        "ctc_loss_reduction": "mean",
        "apply_spec_augment": False,
        "layerdrop": 0.0,
        "hidden_dropout": config.hidden_dropout,
        "attention_dropout": config.attention_dropout,
        "activation_dropout": config.activation_dropout,
        "feat_proj_dropout": config.feat_proj_dropout,
        "final_dropout": config.final_dropout,
    }
    if config.pretrained == "random":
        model = PaddingSafeHubertForCTC(architecture(config, **common))
    else:
        model = _pretrained(config.pretrained, common)
    if config.freeze_feature_encoder:
        model.freeze_feature_encoder()
    return model


def architecture(config: recipes.Model, **others: Any) -> HubertConfig:
    """The HubertConfig of a recipe's [model]; with the defaults, that of ntu-spml/distilhubert."""
    return HubertConfig(
        conv_dim=config.conv_dim,
        conv_kernel=KERNELS,
        conv_stride=STRIDES,
        conv_bias=False,
        feat_extract_norm="group",
        feat_proj_layer_norm=False,
        hidden_size=config.hidden_size,
        num_hidden_layers=config.num_hidden_layers,
        num_attention_heads=config.num_attention_heads,
        intermediate_size=config.intermediate_size,
        num_conv_pos_embeddings=config.num_conv_pos_embeddings,
        num_conv_pos_embedding_groups=config.num_conv_pos_embedding_groups,
        do_stable_layer_norm=False,
        layer_norm_eps=1e-5,
        **others,
    )


def load(folder: Path) -> PaddingSafeHubertForCTC:
    """The model saved in `folder`, in evaluation mode. Raises ModelError where it cannot be loaded."""
    if not (folder / "model.safetensors").is_file():
        raise ModelError(f"{folder}: no model.safetensors here; give the folder that `distilhubert-ko train` wrote")
    return PaddingSafeHubertForCTC.from_pretrained(folder, use_safetensors=True).eval()


def _pretrained(name: str, common: dict[str, Any]) -> PaddingSafeHubertForCTC:
    try:
        # Safetensors alone: a pickle from the Hub could run anything.
        return PaddingSafeHubertForCTC.from_pretrained(name, use_safetensors=True, **common)
    except OSError as error:
        if Path(name).is_dir():
            raise ModelError(f"{name}: no loadable checkpoint (config.json and model.safetensors): {error}") from error
        raise UnavailableError(
            f"{name}: not in the local cache, and the Hub could not give it. Download it on another machine and set "
            'model.pretrained to its folder, or set model.pretrained = "random" to train from random weights'
        ) from error
