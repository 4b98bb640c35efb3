"""A network as a folder that plain Transformers loads."""

from pathlib import Path

from transformers import Wav2Vec2CTCTokenizer, Wav2Vec2FeatureExtractor, Wav2Vec2Processor

from distilhubert_ko.files.writing import replaced_files
from distilhubert_ko.model.ctc_network import CtcNetwork
from distilhubert_ko.model.whisper import PaddingSafeWhisperForCTC, whisper_extractor
from distilhubert_ko.text.tokenizer import Tokenizer


def save_network(network: CtcNetwork, folder: Path, tokenizer: Tokenizer | None = None) -> None:
    """Write config, safetensors and feature extractor to `folder`; other files there stay.

    With a tokenizer, write it too, for recognition. Without, write the encoder alone, as a pretrained one.
    Transformers has no class for Whisper's encoder with a CTC head; it loads its parts.
    """
    if isinstance(network, PaddingSafeWhisperForCTC):
        _save_whisper(network, folder, tokenizer)
        return
    extractor = Wav2Vec2FeatureExtractor(do_normalize=False, return_attention_mask=False)
    with replaced_files(folder) as temporary:
        if tokenizer is None:
            network.base_model.save_pretrained(temporary)
        else:
            network.save_pretrained(temporary)
            # It names the class that was saved; readers look for one of Transformers' own.
            network.config.architectures = ["HubertForCTC"]
            network.config.save_pretrained(temporary)
            tokenizer.save(temporary)
            Wav2Vec2Processor(extractor, Wav2Vec2CTCTokenizer.from_pretrained(temporary)).save_pretrained(temporary)
            tokenizer.save(temporary)  # the processor rewrites its files
        # The processor leaves out preprocessor_config.json, which older readers ask for.
        extractor.save_pretrained(temporary)


def _save_whisper(network: PaddingSafeWhisperForCTC, folder: Path, tokenizer: Tokenizer | None) -> None:
    with replaced_files(folder) as temporary:
        network.save_pretrained(temporary)
        if tokenizer:
            tokenizer.save(temporary)
        whisper_extractor(network.config.num_mel_bins).save_pretrained(temporary)
