"""The corpus formats that can be read, by the scheme that names them in a spec."""

from collections.abc import Callable

from distilhubert_ko.data.readers.aihub import read_aihub
from distilhubert_ko.data.readers.commonvoice import read_commonvoice
from distilhubert_ko.data.readers.entries import Listing
from distilhubert_ko.data.readers.folder import read_folder
from distilhubert_ko.data.readers.hub import read_hub
from distilhubert_ko.data.readers.kaldi import read_kaldi
from distilhubert_ko.data.readers.ksponspeech import read_ksponspeech
from distilhubert_ko.data.readers.librispeech import read_librispeech
from distilhubert_ko.data.readers.manifest import read_manifest
from distilhubert_ko.data.readers.synthetic import read_synthetic
from distilhubert_ko.data.readers.zeroth import read_zeroth
from distilhubert_ko.data.reading import Reading

READERS: dict[str, Callable[[str, str | None, Reading], Listing]] = {
    "aihub": read_aihub,
    "commonvoice": read_commonvoice,
    "folder": read_folder,
    "hub": read_hub,
    "kaldi": read_kaldi,
    "ksponspeech": read_ksponspeech,
    "librispeech": read_librispeech,
    "manifest": read_manifest,
    "synthetic": read_synthetic,
    "zeroth": read_zeroth,
}
"""Scheme -> reader(location, split, reading). A reader opens no audio.

`split` is the split that is wanted, where the corpus's own splits count. A reader may list more than that.
"""
