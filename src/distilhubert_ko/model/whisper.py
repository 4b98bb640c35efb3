"""Whisper's encoder with a CTC head, which gives a clip the same answer alone and in any padded batch.

From the outside it is like the HuBERTs of `network`: waves and lengths in, logits and frame counts out. The log-mel is
computed inside. A clip needs no padding to 30 s:

- the log-mel takes its maximum over a clip's own frames, and its floor with it;
- the convolutions see zeros after a clip, as they do after 30 s;
- of the sinusoidal positions only those of the clip's frames are added, and attention sees no others.

Weights have the names of transformers.WhisperForConditionalGeneration ("model.encoder. ..."), plus lm_head; config.json
is a WhisperConfig whose vocabulary is the head's. So transformers.WhisperModel finds the encoder in a saved folder.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedConfig, WhisperConfig, WhisperFeatureExtractor
from transformers.models.whisper.modeling_whisper import WhisperEncoderLayer, _compute_mask_indices

from distilhubert_ko import recipe
from distilhubert_ko.audio.frames import FRAME_STEP, SAMPLE_RATE, WHISPER_FRAMES
from distilhubert_ko.errors import DistilhubertKoError, ModelError, RecipeError
from distilhubert_ko.model.checkpoint import check_encoder, load_class, pretrained_folder
from distilhubert_ko.model.ctc_network import CtcNetwork
from distilhubert_ko.model.log_mel import HOP, WINDOW, log_mel, mel_frames
from distilhubert_ko.text.tokenizer import Tokenizer

MELS = (80, 128)
SIZES = "vocab_size d_model encoder_ffn_dim encoder_attention_heads num_mel_bins max_source_positions".split()
"""Of a config: those that cannot be larger than the largest dimension of the weights; first that of the head alone."""

NEVER = -1e9  # added to an attention score, it leaves a weight of 0


class WhisperEncoder(nn.Module):
    """Layers of transformers.WhisperEncoder, under its names, for clips of any length up to its positions."""

    def __init__(self, config: WhisperConfig):
        super().__init__()
        self.dropout = nn.Dropout(config.dropout)
        self.conv1 = nn.Conv1d(config.num_mel_bins, config.d_model, kernel_size=3, padding=1)
        self.conv2 = nn.Conv1d(config.d_model, config.d_model, kernel_size=3, stride=2, padding=1)
        self.embed_positions = nn.Embedding(config.max_source_positions, config.d_model)
        self.layers = nn.ModuleList(WhisperEncoderLayer(config) for _ in range(config.encoder_layers))
        self.layer_norm = nn.LayerNorm(config.d_model)

    def convolved(self, mel: Tensor, counts: Tensor) -> Tensor:
        """Return (batch, frames, width) of a log-mel (batch, mel frames, mels), zero from `counts` (batch,) on."""
        valid = torch.arange(mel.shape[1], device=mel.device) < counts[:, None]
        hidden = functional.gelu(self.conv1(mel.transpose(1, 2)))
        hidden = torch.where(valid[:, None], hidden, 0.0)
        return functional.gelu(self.conv2(hidden)).transpose(1, 2)

    def forward(self, hidden: Tensor, attention_mask: Tensor) -> tuple[Tensor]:
        """Return the encoding (batch, frames, width) of the convolutions' output; the mask (batch, frames) is True
        where a clip is."""
        hidden = self.dropout(hidden + self.embed_positions.weight[: hidden.shape[1]])
        bias = torch.zeros_like(attention_mask, dtype=hidden.dtype).masked_fill(~attention_mask, NEVER)[:, None, None]
        for layer in self.layers:
            hidden = layer(hidden, bias)
        return (self.layer_norm(hidden),)


class WhisperBase(nn.Module):
    """What stands for transformers.WhisperModel, which has a decoder beside the encoder."""

    def __init__(self, config: WhisperConfig):
        super().__init__()
        self.encoder = WhisperEncoder(config)


class PaddingSafeWhisperForCTC(CtcNetwork):
    """See the module's docstring. Raises ModelError for an architecture that is not meant here."""

    grid = WHISPER_FRAMES
    config_class = WhisperConfig
    base_model_prefix = "model"
    main_input_name = "input_values"
    _supports_sdpa = True
    _keys_to_ignore_on_load_unexpected = [r"decoder\.", r"proj_out\.", r"encoder\.layers\."]  # noqa: RUF012 (Transformers')

    def __init__(self, config: WhisperConfig):
        _check(config)
        super().__init__(config)
        self.model = WhisperBase(config)
        self.dropout = nn.Dropout(getattr(config, "final_dropout", 0.0))  # which a Whisper without this head has not
        self.lm_head = nn.Linear(config.d_model, config.vocab_size)
        self.longest = config.max_source_positions * FRAME_STEP
        """Samples of a clip, at most: 30 s."""
        self.post_init()

    def freeze_feature_encoder(self) -> None:
        """Keep the two convolutions as they were loaded."""
        for convolution in (self.model.encoder.conv1, self.model.encoder.conv2):
            convolution.requires_grad_(False)

    def encode(self, waves: Tensor, lengths: Tensor) -> Tensor:
        hidden = self.features(waves, lengths)
        valid = torch.arange(hidden.shape[1], device=hidden.device) < self.frame_lengths(lengths)[:, None]
        encoded: Tensor = self.model.encoder(hidden, valid)[0]
        return encoded

    def features(self, waves: Tensor, lengths: Tensor) -> Tensor:
        """Return the convolutions' output (batch, frames, width) for waves (batch, samples).

        Raises ModelError for clips longer than the encoder has positions for.
        """
        if waves.shape[1] > self.longest:
            if (most := int(lengths.max())) > self.longest:
                raise ModelError(
                    f"a clip of {most / SAMPLE_RATE:.1f} s: Whisper's encoder takes "
                    f"{self.longest / SAMPLE_RATE:g} s at most: cut it, or leave it out"
                )
            waves = waves[:, : self.longest]
        mel = log_mel(waves, lengths, self.config.num_mel_bins)
        counts = mel_frames(lengths)
        if self.training and self.config.apply_spec_augment:
            mel = self._masked(mel, counts)
        return self.model.encoder.convolved(mel, counts)

    def _masked(self, mel: Tensor, counts: Tensor) -> Tensor:
        """Return the log-mel (batch, frames, mels) with spans of frames, and of mels, set to 0: SpecAugment.

        As transformers.WhisperModel does it, by numpy's global random numbers.
        """
        config: Any = self.config
        batch, frames, mels = mel.shape
        own: Any = (torch.arange(frames, device=mel.device) < counts[:, None]).long()
        if config.mask_time_prob and frames >= config.mask_time_length:
            spans = _compute_mask_indices((batch, frames), config.mask_time_prob, config.mask_time_length, own)
            mel = mel.masked_fill(torch.from_numpy(spans).to(mel.device)[:, :, None], 0.0)
        if config.mask_feature_prob:
            spans = _compute_mask_indices((batch, mels), config.mask_feature_prob, config.mask_feature_length)
            mel = mel.masked_fill(torch.from_numpy(spans).to(mel.device)[:, None], 0.0)
        return mel


def _check(config: WhisperConfig) -> None:
    if config.num_mel_bins not in MELS:
        raise ModelError(f"num_mel_bins {config.num_mel_bins}: give a Whisper of {' or '.join(map(str, MELS))} mels")
    if config.activation_function != "gelu" or config.scale_embedding:
        raise ModelError(
            f"activation_function {config.activation_function!r}, scale_embedding {config.scale_embedding} are not "
            "Whisper's: give a checkpoint of openai/whisper, or one fine-tuned from it"
        )


def whisper_config(given: WhisperConfig, config: recipe.Model, tokenizer: Tokenizer) -> WhisperConfig:
    """Return the config of a recipe's network: the encoder of `given`, the head and the dropouts of the recipe.

    Raises RecipeError for keys of the recipe that the encoder cannot follow.
    """
    if config.encoder_layers > given.encoder_layers:
        raise RecipeError(
            f"model.encoder_layers is {config.encoder_layers}: {config.pretrained} has {given.encoder_layers}; give as "
            "many at most, or 0 for all"
        )
    if config.feat_proj_dropout:
        raise RecipeError(
            f"model.feat_proj_dropout is {config.feat_proj_dropout}: Whisper has no feature projection; set it to 0"
        )
    if config.mask_feature_prob and config.mask_feature_length > given.num_mel_bins:
        raise RecipeError(
            f"model.mask_feature_length is {config.mask_feature_length}: give {given.num_mel_bins}, the mels, at most"
        )
    head: dict[str, Any] = {
        "final_dropout": config.final_dropout,
        "ctc_loss_reduction": "mean",
        "ctc_zero_infinity": False,
    }
    kept = (
        "num_mel_bins d_model encoder_attention_heads encoder_ffn_dim max_source_positions activation_function "
        "scale_embedding init_std"
    ).split()
    masks = "mask_time_prob mask_time_length mask_feature_prob mask_feature_length".split()
    values: dict[str, Any] = {key: getattr(given, key) for key in kept} | {key: getattr(config, key) for key in masks}
    return WhisperConfig(
        **values,
        mask_time_min_masks=0,
        apply_spec_augment=bool(config.mask_time_prob or config.mask_feature_prob),
        encoder_layers=config.encoder_layers or given.encoder_layers,
        decoder_layers=0,
        vocab_size=len(tokenizer),
        pad_token_id=tokenizer.blank_id,
        bos_token_id=None,
        eos_token_id=None,
        decoder_start_token_id=tokenizer.blank_id,
        begin_suppress_tokens=None,
        dropout=config.hidden_dropout,
        attention_dropout=config.attention_dropout,
        activation_dropout=config.activation_dropout,
        **head,
    )


def build_whisper(config: recipe.Model, tokenizer: Tokenizer) -> PaddingSafeWhisperForCTC:
    """Return the network of a recipe whose model.pretrained is a Whisper, a folder or a Hub id, with a new head.

    Raises ModelError for a checkpoint that is not whole, quantised, or of other mels, RecipeError, and UnavailableError
    where the Hub cannot give it.
    """
    name = config.pretrained
    folder = pretrained_folder(name)
    raw = PreTrainedConfig.get_config_dict(folder)[0]
    if "quantization_config" in raw:
        raise ModelError(f"{name}: its weights are quantised: give the checkpoint in float32 or float16")
    try:
        network, found = load_class(
            PaddingSafeWhisperForCTC,
            folder,
            config=whisper_config(WhisperConfig.from_pretrained(folder), config, tokenizer),
            ignore_mismatched_sizes=True,
        )
    except DistilhubertKoError:
        raise
    except Exception as error:  # what a damaged config.json leads to in Transformers is of any kind
        raise ModelError(f"{name}: no loadable Whisper (config.json and weights): {error}") from error
    check_encoder(name, found)
    network.base_model.encoder.embed_positions.requires_grad_(False)  # sinusoids
    if config.freeze_feature_encoder:
        network.freeze_feature_encoder()
    built: PaddingSafeWhisperForCTC = network
    return built


def whisper_extractor(mels: int) -> WhisperFeatureExtractor:
    """Return the settings that the saved folder has for readers of other programs; the network does this itself."""
    return WhisperFeatureExtractor(feature_size=mels, n_fft=WINDOW, hop_length=HOP, sampling_rate=SAMPLE_RATE)
