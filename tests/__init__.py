"""Tests of the package, by its packages."""

import distilhubert_ko  # noqa: F401 (before onnxruntime, which would report to its maker otherwise)
