"""The names of a row's statistics, which tell its features apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from segad_core.contracts import Feature, Parameters
from segad_core.contracts.declared import names_of
from segad_core.errors import SegadError
from segad_core.recipe.choice import Choice


def problems_of_statistics(features: Sequence[Choice]) -> Iterator[tuple[int, str]]:
    """What is wrong with the names of features' statistics, by the place of the feature in the list."""
    known: dict[str, Choice] = {}
    for place, choice in enumerate(features):
        own: set[str] = set()
        for params in _different([choice.params, *choice.per_category.values()]):
            try:
                feature: Feature = choice.component(params)  # type: ignore[assignment]
                names = names_of(feature, "statistics")
            except SegadError as error:
                yield place, error.sentence()
                continue
            own.update(names)
        for name in sorted(one for one in own if "." in one):
            yield (
                place,
                f"the statistic '{name}' of {choice.provider.described} contains a dot, which separates the "
                "parts of feature names: report this to its authors",
            )
        for name in sorted(own & set(known)):
            yield (
                place,
                f"the statistic '{name}' of {choice.provider.described} is also one of "
                f"{known[name].provider.described}: leave one of them out; a feature that is used with "
                "several parameters has to name its statistics by them",
            )
        known |= dict.fromkeys(own, choice)


def _different(params: Sequence[Parameters | None]) -> list[Parameters]:
    """Each of some parameters once."""
    found: list[Parameters] = []
    for one in params:
        if one is not None and one not in found:
            found.append(one)
    return found
