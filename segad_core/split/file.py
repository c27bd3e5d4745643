"""Splits as a file: the `splits.json` that every run writes, and that a recipe may name."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from pydantic import AliasChoices, ConfigDict, Field, TypeAdapter, ValidationError

from segad_core.base.json_file import read_json
from segad_core.base.strict_types import StrictTypes
from segad_core.errors import RecipeError
from segad_core.recipe.split_spec import Seed
from segad_core.split.draw import Fold, Split

Splits = Mapping[str, Mapping[Fold, Split]]
"""The splits of each category, by fold."""


_AMOUNT = r"^([0-9]{1,18}(\.[0-9]{1,20})?(e-[0-9]{1,3})?|rest)?$"


class _Entry(StrictTypes):
    model_config = ConfigDict(extra="forbid")

    seed: Seed
    held_out: str = ""
    amount: Annotated[str, Field(pattern=_AMOUNT)] = ""
    subset: str = ""
    detectors_seed: Seed | None = None
    detectors: tuple[str, ...]
    final: tuple[str, ...]
    test: tuple[str, ...]
    doubtful: tuple[str, ...] = Field(default=(), validation_alias=AliasChoices("doubtful", "apart"))
    unused: tuple[str, ...] = ()
    classifiers: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    detector_folds: tuple[tuple[str, ...], ...] = ()


_FILE = TypeAdapter(dict[str, dict[str, _Entry]])
_LARGEST = 1 << 28  # bytes; 10,000 images in a hundred folds take 60 million


def splits_json(splits: Splits) -> str:
    """The splits as JSON: the ids for each purpose, by category and fold."""
    plain = {
        category: {str(fold): _plain(fold, split) for fold, split in folds.items()}
        for category, folds in splits.items()
    }
    return json.dumps(plain, indent=1) + "\n"


def _plain(fold: Fold, split: Split) -> dict[str, Any]:
    """A split without what it does not have."""
    plain = {**fold._asdict(), **asdict(split)}
    absent = [key for key in ("amount", "detector_folds") if not plain[key]]
    return {key: value for key, value in plain.items() if key not in absent}


def read_splits(path: Path) -> dict[str, dict[Fold, Split]]:
    """The splits in a file.

    Raises:
        RecipeError: it cannot be read, is not a file of splits, or lists a fold or an image twice.
    """
    try:
        # read by our own parser: pydantic's rejects file names that are not valid text
        content = _FILE.validate_python(read_json(path, _LARGEST))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else _first(error)
        raise RecipeError(
            f"split.file: {path} cannot be read as splits ({reason})",
            "Name the splits.json of a run folder.",
        ) from error
    splits: dict[str, dict[Fold, Split]] = {}
    for category, entries in content.items():
        folds = splits[category] = {}
        for name, entry in entries.items():
            fold = Fold(entry.seed, entry.held_out, entry.amount)
            parts = entry.model_dump(exclude={*Fold._fields, "detectors_seed"})
            detectors_seed = entry.seed if entry.detectors_seed is None else entry.detectors_seed
            split = Split(**parts, detectors_seed=detectors_seed)
            detectors = () if split.detector_folds else split.detectors  # which are in `final`, too
            purposes = (*detectors, *split.final, *split.test, *split.doubtful)
            listed = (purposes, split.detectors, *split.classifiers.values())
            twice = next((i for ids in listed for i in _twice(ids)), "")
            if fold in folds or twice:
                what = f"lists the image '{twice}' twice" if twice else f"is listed twice, as seed {fold}"
                raise RecipeError(
                    f"split.file: {path}: category '{category}', '{name}' {what}", "Remove one of them."
                )
            folds[fold] = split
    return splits


def _twice(images: Sequence[str]) -> list[str]:
    return [image for image, times in Counter(images).items() if times > 1]


def _first(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors(include_url=False)[0]
    where = ".".join(map(str, first["loc"]))
    return f"{where}: {first['msg']}" if where else first["msg"]
