"""Korean speech recognition with DistilHuBERT and CTC."""

from typing import TYPE_CHECKING, Any

from distilhubert_ko.version import __version__

if TYPE_CHECKING:
    from distilhubert_ko.recognition.transcriber import Transcriber
    from distilhubert_ko.recognition.transcript import Transcript
    from distilhubert_ko.recognition.vad import VadOptions

__all__ = ["Transcriber", "Transcript", "VadOptions", "__version__"]


def __getattr__(name: str) -> Any:
    # Nothing heavy is imported before it is used.
    match name:
        case "Transcriber":
            from distilhubert_ko.recognition.transcriber import Transcriber

            return Transcriber
        case "Transcript":
            from distilhubert_ko.recognition.transcript import Transcript

            return Transcript
        case "VadOptions":
            from distilhubert_ko.recognition.vad import VadOptions

            return VadOptions
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
