"""What the card of a model with Whisper's encoder says of its network, and how plain Transformers loads it."""

from distilhubert_ko.model_folder import TrainingRecord

PLAIN = """\
import torch
from safetensors.torch import load_file
from transformers import Wav2Vec2CTCTokenizer, WhisperFeatureExtractor, WhisperModel

extractor, encoder = WhisperFeatureExtractor.from_pretrained("FOLDER"), WhisperModel.from_pretrained("FOLDER").encoder
mel = extractor(wave, sampling_rate=16000, padding=False, return_tensors="pt").input_features
encoder.config.max_source_positions = encoder.embed_positions.num_embeddings = mel.shape[2] // 2
head = load_file("FOLDER/model.safetensors")
logits = encoder(mel[..., : mel.shape[2] // 2 * 2])[0] @ head["lm_head.weight"].T + head["lm_head.bias"]
text = Wav2Vec2CTCTokenizer.from_pretrained("FOLDER").decode(logits[0].argmax(-1))"""
"""Python for `wave` (samples,) of at most 30 s; FOLDER stands for the model's."""


def describe_whisper(training: TrainingRecord, vocabulary: int, meaning: str) -> str:
    """Return the section in Markdown, from the number of units and what they mean."""
    return (
        "The encoder of Whisper ([arXiv 2212.04356](https://arxiv.org/abs/2212.04356)) with a CTC head instead of its "
        f"decoder: a log-mel spectrogram, two convolutions, {training.num_hidden_layers} transformer layers of "
        f"width {training.hidden_size}, {training.parameters:,} parameters in all. Clips are not padded to 30 s. "
        f"It writes one of {vocabulary:,} units ({meaning}, with a blank, an unknown unit and a word delimiter) every "
        "20 ms.\n\n"
        "`model.onnx` is the network for ONNX Runtime, from the 16 kHz wave on, which gives a clip the same answer "
        "alone and in any padded batch.\n\n"
        "```sh\n"
        "pip install distilhubert-ko\n"
        "distilhubert-ko transcribe speech.wav --model FOLDER\n"
        "```\n\n"
        "Plain Transformers has no class for Whisper's encoder with this head. These lines load its parts there, for a "
        "mono 16 kHz `wave` of at most 30 s:\n\n"
        f"```python\n{PLAIN}\n```"
    )
