"""A recipe that tries a plugin of each kind on drawn images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from segad_core.tools.scaffold.example import camel


def recipe_of(kind: str, name: str) -> str:
    """The text of a recipe with a row that uses the plugin."""
    recipe: dict[str, Any] = {
        "segad": 1,
        "title": f"{camel(name)}, tried on drawn images",
        "dataset": {"use": "folder", "params": {"root": "images"}},
        "image": {"size": [64, 64]},
        "encoder": "efficientnet_lite0",
        "split": {"seeds": [0], "test": {"good": 0.3, "bad": 0.5}, "detectors": {"good": 0.6}},
        "detectors": {"patchcore": {"use": "patchcore", "params": {"coreset_ratio": 0.1}}},
        "segmenter": "whole_image",
        "features": ["q995", "mean"],
        "final": "brf",
        "rows": [
            {"name": "PatchCore", "score": "patchcore"},
            {"name": "PatchCore + SegAD", "detectors": ["patchcore"]},
        ],
    }
    recipe |= _with(kind, name)
    return yaml.safe_dump(recipe, sort_keys=False, width=100, default_flow_style=None)


def _with(kind: str, name: str) -> Mapping[str, Any]:
    """What differs in the recipe where a plugin of a kind is used."""
    title = camel(name)
    detector = {"use": "patchcore", "params": {"coreset_ratio": 0.1, "layers": ["layer1"]}}
    rows: list[dict[str, Any]] = [{"name": "PatchCore", "score": "patchcore"}]
    with_segad: dict[str, Any] = {"name": f"PatchCore + {title} + SegAD", "detectors": ["patchcore"]}
    changes: dict[str, Mapping[str, Any]] = {
        "datasets": {"dataset": {"use": name, "params": {"root": "images"}}},
        "encoders": {"encoder": name, "detectors": {"patchcore": detector}},
        "detectors": {
            "detectors": {name: name},
            "rows": [{"name": title, "score": name}, {"name": f"{title} + SegAD", "detectors": [name]}],
        },
        "classifiers": {
            "classifiers": {name: name},
            "rows": [*rows, {"name": title, "score": name}, {**with_segad, "classifier": name}],
        },
        "segmenters": {"segmenter": name},
        "features": {"features": [name, "mean"]},
        "final_classifiers": {"final": name},
        "defects": {"rows": [*rows, {**with_segad, "bad": {"from": "generated", "use": [name]}}]},
        "executors": {"executor": name},
        "hooks": {"hooks": [name]},
    }
    return changes[kind]
