"""Keys of what knows images by name have ids and labels; marked parameters are in no key; notes of all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import described
import fakes
import pytest
from small_runs import prepared, row
from small_splits import ROWS, data, workplace, write

from segad_core.contracts import Component
from segad_core.plugins.registry import Registry
from segad_core.recipe import load_recipe
from segad_core.run.cells import FitTask
from segad_plugins.executors.serial import Serial
from segad_plugins.features.moments import Mean
from segad_plugins.features.order import Maximum
from segad_plugins.final_classifiers.brf import BoostedRandomForest
from segad_plugins.segmenters.static_mask import StaticMask
from segad_plugins.segmenters.whole_image import WholeImage

CLASSIFIED: dict[str, Any] = {
    "classifiers": {"memory": {"use": "memory", "split": {"good": 4, "bad": 2}}},
    "rows": [
        {"name": "alone", "score": "spotty"},
        {"name": "g", "score": "memory"},
        {"name": "SegAD", "detectors": ["spotty"], "bad": {"from": "generated", "use": ["dot"]}},
    ],
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return workplace(tmp_path, monkeypatch)


def renamed(home: Path, part: str) -> None:
    """Gives the images of a part other names, which change nothing of their order."""
    described_as = json.loads((home / "data/described.json").read_text())
    for sample in described_as["a"]["samples"]:
        if sample["id"].startswith(part):
            own = home / "data" / sample["id"]
            sample["id"] = f"{part}/{own.stem}0.png"
            own.rename(home / "data" / sample["id"])
    described.describe(home / "data", described_as)


def keys(path: Path) -> list[set[str]]:
    """Of each row: its own and those of all that it reads; then those of each training."""
    plan = prepared(path).plans[0]
    trained = [{task.cells[0].key} for task in plan.tasks if isinstance(task, FitTask)]
    return [*({task.cells[0].key, *task.needs} for task in plan.rows()), *trained]


@pytest.mark.parametrize("part", ["train/good", "test/good"])
def test_names_are_in_no_key(home: Path, part: str) -> None:
    data(home)
    path = write(home, **CLASSIFIED)
    before = keys(path)
    renamed(home, part)
    assert keys(path) == before


@pytest.mark.parametrize(
    ("plugin", "part", "kept"),
    [
        (fakes.Spotty, "train/good", (0, 2, 0, 0, 1)),
        (fakes.Spotty, "test/good", (0, 2, 0, 1, 1)),
        (fakes.Memory, "train/good", (2, 0, 5, 1, 0)),
        (fakes.Memory, "test/good", (2, 0, 5, 1, 1)),
        (WholeImage, "train/good", (2, 2, 1, 1, 1)),
        (WholeImage, "test/good", (2, 2, 3, 1, 1)),
    ],
)
def test_but_in_those_of_what_knows_images_by_name(
    home: Path, monkeypatch: pytest.MonkeyPatch, plugin: type[Component], part: str, kept: tuple[int, ...]
) -> None:
    """Of a detector and of a classifier all; of a segmenter all but the statistics of whole maps, which do
    not need it: those of generated defects do, as it says where defects are."""
    data(home)
    monkeypatch.setattr(plugin, "knows_images_by_name", True, raising=False)
    rows = CLASSIFIED["rows"]
    if plugin is fakes.Spotty:  # and so knows nothing of generated defects
        rows = [*rows[:2], {"name": "SegAD", "detectors": ["spotty"]}]
    path = write(home, **{**CLASSIFIED, "rows": rows})
    before = keys(path)
    renamed(home, part)
    assert tuple(len(old & new) for old, new in zip(before, keys(path), strict=True)) == kept


def test_a_label_is_known_with_the_name(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That of a doubtful image, by which nothing else is chosen."""
    monkeypatch.setattr(fakes.Spotty, "knows_images_by_name", True, raising=False)
    data(home, doubtful=2)
    path = write(home, rows=ROWS)
    before = row(prepared(path).plans[0], "alone").table.scores_key
    described_as = json.loads((home / "data/described.json").read_text())
    described_as["a"]["samples"][-1]["label"] = 1
    described.describe(home / "data", described_as)
    assert row(prepared(path).plans[0], "alone").table.scores_key != before
    monkeypatch.setattr(fakes.Spotty, "knows_images_by_name", False, raising=False)
    anyway = row(prepared(path).plans[0], "alone").table.scores_key
    described_as["a"]["samples"][-1]["label"] = None
    described.describe(home / "data", described_as)
    assert row(prepared(path).plans[0], "alone").table.scores_key == anyway


def test_parameters_that_decide_nothing_are_in_no_key(home: Path) -> None:
    data(home)
    mask = Path(__file__).parents[2] / "recipes/masks/visa_pcb1_template.png"
    segments = ["background", "board", "part_1", "part_2", "part_3", "part_4"]
    encoder = {"use": "torchvision", "params": {"model": "resnet18", "file": "weights.pth"}}
    (home / "weights.pth").write_bytes(b"weights")
    digest = "DAD3AD14EFD5FA1D95A8C1D3EC8A85B5E0C1A0C3F1E0F31B6D6BC5B1E9C3D9A1"

    def recipe(encoded: dict[str, Any], drawn: dict[str, Any], grown: dict[str, Any]) -> list[Any]:
        segmenter = {"use": "static_mask", "params": {"mask": str(mask), "segments": segments, **drawn}}
        changes = {"segmenter": segmenter, "final": {"use": "brf", "params": grown}}
        own = {**encoder, "params": {**encoder["params"], **encoded}}
        found = load_recipe(str(write(home, encoder=own, rows=ROWS, **changes)), Registry())
        choices = [found.encoder, found.rows[1].segmenter, found.rows[1].final]
        return [choice.identity() for choice in choices if choice]

    before = recipe({}, {}, {})
    assert recipe({"sha256": digest}, {"template": True, "size": [1, 1]}, {"nthread": 4}) == before
    for other in (
        recipe({"model": "resnet34"}, {}, {}),
        recipe({}, {"segments": segments[::-1]}, {}),
        recipe({}, {}, {"max_depth": 4}),
    ):
        assert sum(one != same for one, same in zip(other, before, strict=True)) == 1


@pytest.mark.parametrize(
    "plugin",
    [
        *(fakes.Spotty, fakes.Memory, fakes.Dot, fakes.TinyEncoder, described.Described),
        *(StaticMask, Mean, Maximum, BoostedRandomForest, Serial),
    ],
)
def test_the_notes_of_every_plugin_are_told(
    home: Path, monkeypatch: pytest.MonkeyPatch, plugin: type[Component]
) -> None:
    """Once, however often it is read."""
    data(home, names=("a", "b"))
    monkeypatch.setattr(plugin, "notes", lambda self: ["It is odd.", "Mind it."], raising=False)
    mask = Path(__file__).parents[2] / "recipes/masks/visa_pcb1_template.png"
    segments = ["background", "board", "part_1", "part_2", "part_3", "part_4"]
    segad = {"detectors": ["spotty"], "bad": {"from": "generated", "use": ["dot"]}}
    rows = [*CLASSIFIED["rows"][:2], {"name": "one", **segad}, {"name": "two", **segad}]
    changes = {
        **CLASSIFIED,
        "encoder": "tinyencoder",
        "final": "brf",
        "segmenter": {"use": "static_mask", "params": {"mask": str(mask), "segments": segments}},
        "rows": rows,
    }
    recipe = load_recipe(str(write(home, **changes)), Registry())
    assert recipe.notes(["a", "b"]) == ["It is odd.", "Mind it."]
