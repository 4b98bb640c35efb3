"""Korean speech recognition with DistilHuBERT and CTC."""

__version__ = "0.1.0"
