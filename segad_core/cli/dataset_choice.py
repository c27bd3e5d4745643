"""The data set and the categories that the command line names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segad_core.contracts import Dataset
    from segad_core.plugins.registry import Registry


def chosen_categories(dataset: Dataset, name: str, wanted: Sequence[str]) -> list[str]:
    """The categories to check.

    Raises:
        SegadError: one does not exist.
    """
    from segad_core.contracts import optional
    from segad_core.errors import UsageError
    from segad_core.plugins.registry import suggest

    known = list(dataset.categories())
    published = set(optional.published_categories(dataset))
    for category in wanted:
        if category not in known:
            if category in published:
                dataset.samples(category)  # explains what its folder lacks
            raise UsageError(
                f"--category {category}: data set {name} has no such category{suggest(category, known)}"
            )
    return [category for category in known if not wanted or category in wanted]


def open_dataset(name: str, root: str | None, words: Sequence[str], registry: Registry) -> Dataset:
    """The data set with the parameters from the command line.

    Raises:
        UsageError: there is no such data set, or a parameter is unknown, missing or wrong.
        PluginError: its plugin is broken.
    """
    from segad_core.cli.params import checked_params
    from segad_core.errors import PluginError, UsageError

    try:
        provider = registry.find("datasets", name)
    except PluginError as error:
        raise UsageError(error.what, error.remedy) from error
    component: Any = registry.component(provider)
    dataset: Dataset = component(checked_params(component.Params, root, words, f"data set {name}"))
    return dataset
