"""The names in a recipe: checked before any plugin is imported."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from segad_core.base.decoding import VIEWS
from segad_core.base.files import is_file
from segad_core.contracts.component import SHIPPED, shipped_file
from segad_core.errors import PluginError
from segad_core.plugins.registry import Registry, suggest
from segad_core.recipe.document import Place
from segad_core.recipe.schema import RowSpec, Skeleton, ignore_masks, uses_in

Problem = tuple[Place, str]
"""Where something is wrong, and what."""

_ALIAS = re.compile(r"[A-Za-z0-9_-]+")
"""Aliases of detectors are parts of feature names (`wires.patchcore.q995`), which are joined by dots."""
_ONE_FOR_ALL = ("datasets", "encoders", "executors", "hooks")
_REAL_BAD_IMAGES = "a classifier needs real bad images, but the bad images here are generated"


def name_problems(skeleton: Skeleton, registry: Registry, base: Path) -> Iterator[Problem]:
    """Every plugin, detector, classifier, row and file that a recipe names but that does not exist.

    Args:
        skeleton: the recipe.
        registry: the installed plugins.
        base: the folder that paths are relative to.
    """
    yield from _plugins(skeleton, registry)
    yield from _aliases(skeleton)
    split = skeleton.split.file
    if split is not None and not is_file(base / split):
        yield missing(("split", "file"), "file", base / split)
    yield from _parts(skeleton)
    if skeleton.image.scale is not None and skeleton.regions is None:
        yield ("image", "scale"), "is for the areas of regions, but none are wanted: add 'regions: true'"
    for place, mask in ignore_masks(skeleton).items():
        if not is_file(base / mask):
            yield missing(place, "file", base / mask)
    names = [row.name for row in skeleton.rows]
    for i, row in enumerate(skeleton.rows):
        if row.name in names[:i]:
            yield ("rows", i, "name"), f"two rows are called '{row.name}'"
        yield from _row(skeleton, row, ("rows", i))


def missing(place: Place, kind: str, path: Path, or_shipped: bool = False) -> Problem:
    """The problem of a file or folder that does not exist.

    Args:
        or_shipped: whether one that comes with segad can be named in its place.
    """
    if kind == "folder" and is_file(path.parent / "draw_images.py"):  # of `segad plugin new`
        return place, f"there is no folder '{path}': run `python draw_images.py`, which draws it"
    shipped = f"masks/{path.name}"
    comes = or_shipped and kind == "file" and is_file(shipped_file(shipped))
    return place, f"there is no {kind} '{path}'{f': {SHIPPED}{shipped} comes with segad' if comes else ''}"


def _plugins(skeleton: Skeleton, registry: Registry) -> Iterator[Problem]:
    for kind, place, use in uses_in(skeleton):
        try:
            provider = registry.find(kind, use.use)
        except PluginError as error:
            yield (*place, "use"), error.sentence()
            continue
        if use.version not in (None, provider.version):
            yield (
                (*place, "version"),
                f"requires {provider.distribution} {use.version}, but {provider.version} is installed: "
                f"install {use.version}, or remove the version",
            )
        if use.per_category and kind in _ONE_FOR_ALL:
            yield (*place, "per_category"), "must be the same for all categories: use 'params' only"


def _aliases(skeleton: Skeleton) -> Iterator[Problem]:
    aliases: tuple[tuple[str, Iterable[str]], ...] = (
        ("detectors", skeleton.detectors),
        ("classifiers", skeleton.classifiers),
    )
    for kind, names in aliases:
        for alias in names:
            if alias == "all" or not _ALIAS.fullmatch(alias):
                yield (
                    (kind, alias),
                    f"not a valid name of a {kind[:-1]}: use letters, digits, '_' and '-'; 'all' is reserved",
                )
    for alias in skeleton.classifiers:
        if alias in skeleton.detectors:
            yield ("classifiers", alias), f"a detector is called '{alias}' too"


def _parts(skeleton: Skeleton) -> Iterator[Problem]:
    """What cannot be done with several images of a part."""
    spec, bad = skeleton.parts, skeleton.split.final.bad
    if spec is None and skeleton.image.page == VIEWS:
        yield ("image", "page"), "'views' makes pages views of a part: add 'parts', such as parts: {}"
    if spec is None:
        return
    if skeleton.split.group is False:
        yield ("split", "group"), "false would divide the images of a part: remove it, or 'parts'"
    if bad.origin == "subsets":
        yield ("split", "final", "bad"), "published subsets list images, not parts: remove 'parts'"
    if spec.verdict != "together":
        return
    if bad.origin == "generated" or any(row.bad for row in skeleton.rows):
        yield (
            ("parts", "verdict"),
            "generated defects are of single images, and 'together' learns from parts: use 'worst'",
        )


def _row(skeleton: Skeleton, row: RowSpec, place: Place) -> Iterator[Problem]:
    """Names in a row, and parts that neither the row nor the recipe gives."""
    if row.mean_of is not None:
        measured = [other.name for other in skeleton.rows if other.mean_of is None]
        for name in row.mean_of:
            if name not in measured:
                yield (*place, "mean_of"), f"no measured row is called '{name}'{suggest(name, measured)}"
    elif row.score is not None:
        yield from _score(skeleton, row.score, (*place, "score"))
    else:
        yield from _segad(skeleton, row, place)


def _score(skeleton: Skeleton, alias: str, place: Place) -> Iterator[Problem]:
    learners = {**skeleton.detectors, **skeleton.classifiers}
    if alias not in learners:
        yield place, f"the recipe has no detector or classifier '{alias}'{suggest(alias, learners)}"
    elif alias in skeleton.classifiers and skeleton.split.final.bad.origin == "generated":
        yield (
            place,
            f"{_REAL_BAD_IMAGES}: move 'bad: {{from: generated}}' from the split to the rows",
        )


def _segad(skeleton: Skeleton, row: RowSpec, place: Place) -> Iterator[Problem]:
    for name in row.detectors or []:
        if name not in skeleton.detectors and name != "all":
            hint = suggest(name, skeleton.detectors)
            yield (*place, "detectors"), f"the recipe has no detector '{name}'{hint}"
    if not skeleton.detectors and row.detectors == ["all"]:
        yield (*place, "detectors"), "the recipe has no detectors"
    if row.classifier is not None and row.classifier not in skeleton.classifiers:
        hint = suggest(row.classifier, skeleton.classifiers)
        yield (*place, "classifier"), f"the recipe has no classifier '{row.classifier}'{hint}"
    for key in ("segmenter", "features", "final"):
        if not getattr(row, key) and not getattr(skeleton, key):  # a row's list is never empty
            yield place, f"'{key}' is missing, both here and at the top of the recipe"
    if row.classifier is not None and (row.bad or skeleton.split.final.bad).origin == "generated":
        yield (*place, "classifier"), f"{_REAL_BAD_IMAGES}: remove one of them"
