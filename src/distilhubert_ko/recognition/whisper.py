"""Whisper, complete with its decoder, through faster-whisper: the text of a wave and how sure Whisper is of it.

It is slow, and knows Korean from far more speech than any recipe here: its texts become labels for training.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from distilhubert_ko.errors import MissingExtraError, ModelError, UnavailableError, reason

if TYPE_CHECKING:
    from faster_whisper import WhisperModel

BEAM = 5
MODEL_FILES = ("model.bin", "config.json", "tokenizer.json")
"""Files that a folder needs: faster-whisper would fetch a missing tokenizer from the Hub."""


@dataclass(frozen=True)
class WhisperText:
    """The text of a wave with Whisper's own figures, those of the worst of its 30 s windows."""

    text: str
    """As Whisper writes it, with digits and punctuation."""
    confidence: float
    """Mean probability of a token: the geometric mean, over all windows."""
    log_probability: float
    """Lowest average log-probability of the tokens of a window, in nats."""
    compression_ratio: float
    """Highest ratio of a window's text in UTF-8 to the same compressed by zlib: high where the text repeats itself."""
    no_speech: float
    """Highest probability that a window has no speech."""


NOTHING = WhisperText("", 0.0, -math.inf, 0.0, 1.0)


class WhisperRecogniser:
    """A Whisper model in CTranslate2's format: a folder, a Hub id, or a size such as "base".

    It decodes by beam search alone. Whisper's usual second tries with random samples are left out, so that a wave has
    one text. A text that would have been tried again is told by its figures.

    Raises MissingExtraError without faster-whisper, ModelError for a folder or a name that is no such model or knows
    no Korean, and UnavailableError where the Hub cannot give it.
    """

    def __init__(self, name: str):
        folder = _whisper_folder(name)
        self._model = _open_model(folder)
        network, mels = self._model.model, self._model.feature_extractor.mel_filters.shape[0]
        if not network.is_multilingual:
            raise ModelError(f"{name}: this Whisper knows English only: give a multilingual one, such as whisper:base")
        if network.n_mels != mels:
            raise ModelError(
                f"{name}: the network takes {network.n_mels} mels and the folder's settings give {mels}: "
                f"copy preprocessor_config.json of the original model into {folder}"
            )

    def __call__(self, wave: NDArray[np.float32]) -> WhisperText:
        """Return the Korean text of a wave (samples,) at 16 kHz, of any length."""
        if not wave.any():  # Whisper would say something, slowly
            return NOTHING
        segments, _ = self._model.transcribe(
            wave,
            language="ko",
            beam_size=BEAM,
            temperature=[0.0],
            compression_ratio_threshold=None,  # no second try, and nothing left out: the figures tell
            log_prob_threshold=None,
            no_speech_threshold=None,
            condition_on_previous_text=False,  # a loop in a window would go over to the next
        )
        spoken = [segment for segment in segments if segment.text.strip()]
        if not spoken:
            return NOTHING
        tokens = sum(len(segment.tokens) for segment in spoken)
        total = sum(segment.avg_logprob * len(segment.tokens) for segment in spoken)
        return WhisperText(
            " ".join(segment.text.strip() for segment in spoken),
            math.exp(total / tokens),
            min(segment.avg_logprob for segment in spoken),
            max(segment.compression_ratio for segment in spoken),
            max(segment.no_speech_prob for segment in spoken),
        )


def _whisper_folder(name: str) -> Path:
    """Return the folder of a model, downloaded where it must be. Raises as WhisperRecogniser does."""
    try:
        import faster_whisper
        from huggingface_hub.errors import HfHubHTTPError
    except ImportError as error:
        raise MissingExtraError(
            'labels from Whisper need faster-whisper: pip install "distilhubert-ko[whisper]"'
        ) from error
    folder = Path(name)
    if not folder.is_dir():
        try:
            folder = Path(faster_whisper.download_model(name))
        except (OSError, HfHubHTTPError) as error:
            raise UnavailableError(
                f"{name}: no such folder, and the Hub could not give it ({type(error).__name__}): "
                "give the folder of a Whisper in CTranslate2's format"
            ) from error
        except ValueError as error:
            raise ModelError(
                f"{name!r} names no Whisper: give a folder in CTranslate2's format, a Hub id (owner/name), "
                "or a size, such as base"
            ) from error
    if missing := [file for file in MODEL_FILES if not (folder / file).is_file()]:
        raise ModelError(
            f"{name}: no {' and no '.join(missing)}, so no Whisper in CTranslate2's format: convert the original with "
            "ct2-transformers-converter --copy_files tokenizer.json preprocessor_config.json"
        )
    return folder


def _open_model(folder: Path) -> "WhisperModel":
    from faster_whisper import WhisperModel

    try:
        return WhisperModel(str(folder), compute_type="int8")
    except Exception as error:  # bare Exception for a tokenizer, RuntimeError for weights
        raise ModelError(f"{folder}: faster-whisper cannot open it ({reason(error)}): convert it again") from error
