"""What the server of tests/support/processes.py imports, since a new interpreter would spend most of its life on it."""

import gc

import pyarrow.parquet  # noqa: F401

import distilhubert_ko.training.distill  # noqa: F401
import tests.support.model  # noqa: F401

gc.freeze()  # Transformers collects garbage several times a run, half a second each if all modules are looked through
