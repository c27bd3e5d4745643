"""Optional knowledge of data sets: what was published, what contradicts itself, and what is not read.

As in `optional`, through which the engine asks. A data set that reads one folder and names another:

    from segad_core.api import Dataset, InputFolder, Parameters, Sample, image_files

    class GoodOnly(Dataset):
        '''The images in the folder `good`.'''

        class Params(Parameters):
            '''Where the images are.'''

            root: InputFolder

        def categories(self):
            return ["parts"]

        def samples(self, category):
            root = self.params.root
            return [Sample(path.relative_to(root).as_posix(), path, 0) for path in image_files(root / "good")]

        def unread(self, category):
            if category is None:
                return []
            count = len(image_files(self.params.root / "bad"))
            return [f"{self.params.root / 'bad'}: {count} images not read"] if count else []
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Protocol, cast

from segad_core.contracts.dataset import Dataset, Sample


class HasPublishedCategories(Protocol):
    """A data set that can be used with some of its published categories missing."""

    def published_categories(self) -> Sequence[str]:
        """The names of all published categories.

        A recipe may have settings for one that is missing. If a recipe asks for one that is missing,
        `samples` raises a `RecipeError` that says what to download.
        """


class HasPublishedCounts(Protocol):
    """A data set that knows how many images were published."""

    def published_counts(self, category: str) -> Mapping[str, int]:
        """The number of images by `Sample.stratum`; empty if unknown for this category.

        Other counts are a warning, not an error: part of a data set can be used too.
        """


class HasBadSubsets(Protocol):
    """A data set that publishes which bad images to train on, such as VAD's low-shot benchmark."""

    def bad_subsets(self, category: str) -> Mapping[str, Sequence[str]]:
        """The ids of each subset's bad training images, by the subset's name, in published order."""


class HasContradictions(Protocol):
    """A data set with more than one source of labels."""

    def contradictions(self, category: str) -> Sequence[str]:
        """A sentence for each contradiction between its sources, for `segad datasets check`."""


class HasUnread(Protocol):
    """A data set that may lie beside images which it does not read, such as a folder with another name."""

    def unread(self, category: str | None) -> Sequence[str]:
        """A sentence for each place with images that are not read: where, how many, and the remedy.

        They are notes of `segad datasets check`, and warnings before a run.

        Args:
            category: one of the categories; None for what lies beside all of them.
        """


def published_categories(dataset: Dataset) -> Sequence[str]:
    """The published categories of a data set; those that it has by default."""
    if hasattr(dataset, "published_categories"):
        return cast(HasPublishedCategories, dataset).published_categories()
    return dataset.categories()


def knows_published_counts(dataset: Dataset) -> bool:
    """Whether a data set says how many images were published, of any category."""
    return hasattr(dataset, "published_counts")


def published_counts(dataset: Dataset, category: str) -> Mapping[str, int]:
    """The published number of images by stratum; empty by default."""
    known = knows_published_counts(dataset)
    return cast(HasPublishedCounts, dataset).published_counts(category) if known else {}


def bad_subsets(dataset: Dataset, category: str) -> Mapping[str, Sequence[str]]:
    """The published subsets of bad training images; none by default."""
    known = hasattr(dataset, "bad_subsets")
    return cast(HasBadSubsets, dataset).bad_subsets(category) if known else {}


def contradictions(dataset: Dataset, category: str) -> Sequence[str]:
    """The contradictions between a data set's sources of labels; none by default."""
    known = hasattr(dataset, "contradictions")
    return cast(HasContradictions, dataset).contradictions(category) if known else ()


def count_differences(dataset: Dataset, category: str, samples: Sequence[Sample]) -> list[str]:
    """How a category's counts differ from the published ones, such as `train good: 1990 instead of 2000`.

    A stratum that is not among the published counts is expected to be empty. Without published counts there
    are no differences.
    """
    published = published_counts(dataset, category)
    if not published:
        return []
    counts = Counter(sample.stratum for sample in samples)
    strata = [*published, *sorted(counts.keys() - published.keys())]
    wanted = {stratum: published.get(stratum, 0) for stratum in strata}
    return [f"{s}: {counts[s]} instead of {n}" for s, n in wanted.items() if counts[s] != n]


def unread(dataset: Dataset, category: str | None) -> Sequence[str]:
    """What lies beside a category, or beside all of them, and is not read; nothing by default."""
    return cast(HasUnread, dataset).unread(category) if hasattr(dataset, "unread") else ()
