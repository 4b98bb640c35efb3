"""Networks built from a recipe or loaded from a folder, checked before memory is allocated for them.

The model_type in config.json decides which class a folder is loaded as.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safetensors import safe_open
from transformers import HubertConfig, PreTrainedConfig, Wav2Vec2FeatureExtractor

from distilhubert_ko import recipe
from distilhubert_ko.audio.frames import KERNELS, SAMPLE_RATE, STRIDES
from distilhubert_ko.errors import DistilhubertKoError, ModelError, RecipeError
from distilhubert_ko.files.hub_client import hub_or_cache
from distilhubert_ko.model import whisper
from distilhubert_ko.model.checkpoint import check_encoder, load_class, pretrained_folder, safetensors_folder
from distilhubert_ko.model.ctc_network import CtcNetwork
from distilhubert_ko.model.network import PaddingSafeHubertForCTC, PaddingSafeWav2Vec2ForCTC
from distilhubert_ko.model_folder import weights
from distilhubert_ko.text.tokenizer import Tokenizer

CLASSES: dict[str, Any] = {
    "hubert": PaddingSafeHubertForCTC,
    "wav2vec2": PaddingSafeWav2Vec2ForCTC,
    "whisper": whisper.PaddingSafeWhisperForCTC,
}
"""model_type -> the network's class."""
SIZES = "vocab_size hidden_size intermediate_size num_attention_heads conv_dim num_conv_pos_embeddings".split()
"""Keys of a config that cannot be larger than the largest dimension of the weights. The first is the head's."""


def build_network(config: recipe.Model, tokenizer: Tokenizer) -> CtcNetwork:
    """Return the network of a recipe, with a head for the tokenizer's vocabulary.

    The model_type of a pretrained checkpoint decides whether it is Whisper's encoder or a DistilHuBERT. Raises
    UnavailableError where the Hub cannot be reached, ModelError for a checkpoint that is neither, and RecipeError for
    keys that the encoder cannot follow.
    """
    if config.pretrained != "random" and model_type(config.pretrained) == "whisper":
        return whisper.build_whisper(config, tokenizer)
    if config.encoder_layers:
        raise RecipeError(
            f"model.encoder_layers is {config.encoder_layers}: only a Whisper can be cut to its first layers; set it "
            "to 0"
        )
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
    if config.mask_time_prob or config.mask_feature_prob:
        keys = "mask_time_prob mask_time_length mask_feature_prob mask_feature_length".split()
        common |= {"apply_spec_augment": True} | {key: getattr(config, key) for key in keys}
    if config.pretrained == "random":
        model = PaddingSafeHubertForCTC(hubert_config(config, **common))
    else:
        model = _pretrained(config.pretrained, common)
    if config.mask_feature_prob and config.mask_feature_length > model.config.hidden_size:
        raise RecipeError(
            f"model.mask_feature_length is {config.mask_feature_length}: give {model.config.hidden_size}, the hidden "
            "size, at most"
        )
    if config.freeze_feature_encoder:
        model.freeze_feature_encoder()
    return model


def hubert_config(config: recipe.Model, **others: Any) -> HubertConfig:
    """Return the HubertConfig of a recipe's [model]; with the defaults, that of ntu-spml/distilhubert."""
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


def model_type(name: str | Path) -> str | None:
    """Return the model_type of a checkpoint, a folder or a Hub id; None where config.json cannot be read.

    That of a Hub id is in the cache then.
    """
    try:
        with hub_or_cache(name):
            kind = PreTrainedConfig.get_config_dict(name)[0].get("model_type")
    except Exception:  # as in `load_network`; loading the model says what is wrong
        return None
    return kind if isinstance(kind, str) else None


def load_network(folder: Path, *, head: bool = True) -> CtcNetwork:
    """Return the network saved in `folder`, in float32 and evaluation mode.

    Without `head`, an encoder alone is enough; its head is then random. Raises ModelError where the folder cannot be
    loaded.
    """
    source = safetensors_folder(folder)
    try:
        config = PreTrainedConfig.get_config_dict(source)[0]
        kind = config.get("model_type")
        if not isinstance(kind, str) or kind not in CLASSES:
            raise ModelError(f"{folder}: model_type {kind!r} in config.json; give a model of {' or '.join(CLASSES)}")
        sizes = whisper.SIZES if kind == "whisper" else SIZES
        _check_sizes(folder, source, config, sizes if head else sizes[1:])
        network, found = load_class(CLASSES[kind], source)
    except DistilhubertKoError:
        raise
    except Exception as error:  # what a damaged config.json leads to in Transformers is of any kind
        raise ModelError(f"{folder}: the model cannot be loaded ({error}); save or download it again") from error
    # Transformers gives random values to what is missing. The mask's embedding is for training alone.
    missing = sorted(name for name in found["missing_keys"] if not name.endswith("masked_spec_embed"))
    if not head:
        missing = [name for name in missing if not name.startswith("lm_head.")]
    if missing:
        raise ModelError(f"{folder}: no weights for {', '.join(missing[:3])}; give a model fine-tuned with CTC")
    return network.eval()


def _check_sizes(name: str | Path, folder: Path, config: dict[str, Any], keys: Sequence[str]) -> None:
    """Raise ModelError where a config asks for more than the weights have, before memory is allocated for it.

    `name` is what the user calls the model in `folder`.
    """
    shapes = []
    for path in weights(folder):
        with safe_open(path, framework="np") as stored:
            shapes += [stored.get_slice(name).get_shape() for name in stored.keys()]  # noqa: SIM118 (no mapping)
    if not shapes:
        return  # loading says it better
    most = {key: max(map(max, filter(None, shapes)), default=0) for key in keys} | {"num_hidden_layers": len(shapes)}
    for key, largest in most.items():
        sizes = config.get(key)
        for size in sizes if isinstance(sizes, list) else [sizes]:
            if isinstance(size, int | float) and not 0 <= size <= largest:
                raise ModelError(
                    f"{name}: its weights do not fit its own config.json ({key} {size}): download it again"
                )


def wants_normalised_waves(folder: Path) -> bool:
    """Return do_normalize of a folder's feature extractor: whether its model needs `normalise_waves`.

    Raises ModelError where these are missing or want another sample rate.
    """
    if model_type(folder) == "whisper":
        return False  # its log-mel is made in the network
    try:
        extractor = Wav2Vec2FeatureExtractor.from_pretrained(folder)
    except Exception as error:  # as in `load_network`
        raise ModelError(
            f"{folder}: neither preprocessor_config.json nor processor_config.json says do_normalize; copy one from "
            "the model that this one was fine-tuned from"
        ) from error
    if extractor.sampling_rate != SAMPLE_RATE:
        raise ModelError(f"{folder}: sampling_rate {extractor.sampling_rate}; give a model of {SAMPLE_RATE} Hz")
    return bool(extractor.do_normalize)


def _pretrained(name: str, common: dict[str, Any]) -> PaddingSafeHubertForCTC:
    folder = pretrained_folder(name)
    try:
        _check_sizes(name, folder, PreTrainedConfig.get_config_dict(folder)[0], SIZES[1:])
        # A head for another vocabulary is replaced.
        model, found = load_class(PaddingSafeHubertForCTC, folder, ignore_mismatched_sizes=True, **common)
    except DistilhubertKoError:
        raise
    except Exception as error:  # as in `load_network`
        raise ModelError(f"{name}: no loadable checkpoint (config.json and weights): {error}") from error
    check_encoder(name, found)
    if model.config.feat_extract_norm != "group" or model.config.conv_bias:
        raise ModelError(
            f"feat_extract_norm {model.config.feat_extract_norm!r} with conv_bias {model.config.conv_bias} is no "
            'DistilHuBERT: use a checkpoint with feat_extract_norm "group" and conv_bias false'
        )
    return model
