"""Korean speech recognition with DistilHuBERT and CTC.

Importing it turns off the usage statistics that libraries under it send. Variables that the user has set stay.
"""

import os
from typing import TYPE_CHECKING, Any

from distilhubert_ko.version import __version__

if TYPE_CHECKING:
    from distilhubert_ko.recognition.transcriber import Transcriber
    from distilhubert_ko.recognition.transcript import Transcript
    from distilhubert_ko.recognition.vad import VadOptions

# Here, since ONNX Runtime opens its record of events as it is imported, and every process imports this first.
NO_STATISTICS = {
    "ORT_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_UPDATE_DOWNLOAD_COUNTS": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
}
for _name, _value in NO_STATISTICS.items():
    os.environ.setdefault(_name, _value)

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
