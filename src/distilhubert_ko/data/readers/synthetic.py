"""The corpus that the program speaks itself, as its manifests list it."""

from distilhubert_ko.data.readers.entries import Listing
from distilhubert_ko.data.readers.manifest import manifest_entries
from distilhubert_ko.data.reading import Reading


def read_synthetic(location: str, split: str | None, reading: Reading) -> Listing:
    """List every split of a synthetic corpus, which is made first where it is not there yet."""
    from distilhubert_ko.data.synthetic import synthetic_folder

    files = sorted(synthetic_folder(location).glob("*.jsonl"))
    return Listing([entry for file in files for _, entry in manifest_entries(file, split=file.stem)])
