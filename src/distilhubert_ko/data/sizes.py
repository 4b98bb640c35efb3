"""How much speech a recipe trains on, where that can be known without the network."""

from dataclasses import dataclass

from distilhubert_ko.data.corpora import read_corpus
from distilhubert_ko.data.reading import Reading
from distilhubert_ko.errors import CorpusError
from distilhubert_ko.recipe import Recipe, listed_corpora


@dataclass(frozen=True)
class CorpusSize:
    """Utterances of a corpus, and hours of speech; None where they are unknown."""

    utterances: int
    hours: float | None

    def hours_heard(self, epochs: int) -> float | None:
        """Return the hours of speech that training goes through; None where they are unknown."""
        return None if self.hours is None else round(self.hours * epochs, 1)


# From openslr.org/40 and the data set's page on the Hub.
PUBLISHED_SIZES = {"hub:Bingsu/zeroth-korean#train": CorpusSize(22_263, 51.6)}


def training_size(recipe: Recipe) -> CorpusSize:
    """Return the published sizes of the recipe's training corpora, or those of the local ones, before any filter.

    Raises CorpusError for a Hub corpus of unknown size and for a local one that cannot be read.
    """
    sizes = [_corpus_size(spec, recipe) for spec in listed_corpora(recipe.data.train)]
    hours = [size.hours for size in sizes if size.hours is not None]
    return CorpusSize(sum(size.utterances for size in sizes), sum(hours) if len(hours) == len(sizes) else None)


def _corpus_size(spec: str, recipe: Recipe) -> CorpusSize:
    if spec in PUBLISHED_SIZES:
        return PUBLISHED_SIZES[spec]
    if spec.removeprefix("aihub:").startswith("hub:"):
        raise CorpusError(f"{spec}: its size is not known here; give it with --utterances N")
    corpus = read_corpus(spec, Reading.from_recipe(recipe))
    return CorpusSize(len(corpus.utterances), corpus.hours)
