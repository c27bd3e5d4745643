"""Keys: whatever can change a result changes them, and nothing else does; one encoder pass serves all."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray
from PIL import Image

from segad_core.errors import RecipeError
from segad_core.plugins.registry import Registry
from segad_core.recipe import load_recipe
from segad_core.run.cells import RowTask
from segad_core.run.plan import CategoryPlan
from segad_core.run.prepare import prepare
from segad_core.run.tasks import execute
from segad_core.store.store import Store
from segad_plugins.encoders.efficientnet_lite0 import EfficientNetLite0

_ROWS: list[dict[str, Any]] = [
    {"name": "A", "score": "one"},
    {"name": "A + SegAD", "detectors": ["one"]},
    {"name": "all + SegAD", "detectors": "all"},
]


def _recipe(folder: Path, **changes: Any) -> dict[str, Any]:
    return {
        "segad": 1,
        "dataset": {"use": "folder", "params": {"root": str(folder / "data")}},
        "image": {"size": [32, 32]},
        "encoder": "efficientnet_lite0",
        "split": {"seeds": [0], "test": {"good": 4, "bad": 3}, "detectors": {"good": 6}},
        "detectors": {
            "one": {"use": "patchcore", "params": {"coreset_ratio": 0.2}},
            "two": {"use": "patchcore", "params": {"coreset_ratio": 0.5}},
        },
        "segmenter": "whole_image",
        "features": ["q995", "mean"],
        "image_features": ["max"],
        "final": {"use": "brf", "params": {"num_parallel_tree": 3}},
        "rows": _ROWS,
        **changes,
    }


@pytest.fixture
def home(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for label, count in (("good", 14), ("bad", 7)):
        (tmp_path / "data" / label).mkdir(parents=True)
        for i in range(count):
            Image.fromarray(_picture(rng, label == "bad")).save(tmp_path / "data" / label / f"{i}.png")
    return tmp_path


def _picture(rng: np.random.Generator, bad: bool) -> NDArray[np.uint8]:
    pixels = rng.integers(90, 130, (40, 40, 3)).astype(np.uint8)
    if bad:
        pixels[10:25, 10:25] = 250
    return pixels


def _plan(home: Path, recipe: dict[str, Any] | None = None) -> CategoryPlan:
    path = home / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe or _recipe(home)))
    return prepare(load_recipe(str(path), Registry()), Store(home / "store")).plans[0]


def _keys(plan: CategoryPlan) -> dict[str, set[str]]:
    keys: dict[str, set[str]] = {}
    for task in plan.tasks:
        keys.setdefault(type(task).__name__, set()).update(cell.key for cell in task.cells)
    return keys


def test_the_same_recipe_gives_the_same_keys(home: Path) -> None:
    assert _keys(_plan(home)) == _keys(_plan(home))


def test_a_resolved_recipe_is_a_recipe_with_the_same_keys(home: Path) -> None:
    mask = np.zeros((32, 32), np.uint8)
    mask[16:] = 1
    Image.fromarray(mask).save(home / "mask.png")
    segmenter = {"use": "static_mask", "params": {"mask": "mask.png", "segments": ["top", "low"]}}
    before = _keys(_plan(home, _recipe(home, segmenter=segmenter)))
    resolved = load_recipe(str(home / "recipe.yaml"), Registry()).resolved()
    (home / "elsewhere").mkdir()
    path = home / "elsewhere" / "recipe.resolved.yaml"
    path.write_text(resolved)
    again = load_recipe(str(path), Registry())
    assert again.resolved() == resolved
    assert _keys(prepare(again, Store(home / "store")).plans[0]) == before
    path.write_text(resolved.replace("version: ", "version: 9", 1))
    with pytest.raises(RecipeError, match=r"requires segad 9"):
        load_recipe(str(path), Registry())


def test_names_decide_nothing(home: Path) -> None:
    """The names of rows, of image files and of the folder above the data set are in no key."""
    before = _keys(_plan(home))
    (home / "moved").mkdir()
    (home / "data").rename(home / "moved" / "data")
    for path in (home / "moved" / "data" / "good").iterdir():
        path.rename(path.with_name(f"x{path.name}"))
    recipe = _recipe(home / "moved")
    recipe["rows"] = [{**row, "name": f"renamed {i}"} for i, row in enumerate(_ROWS)]
    assert _keys(_plan(home, recipe)) == before


@pytest.mark.parametrize(
    ("change", "kinds"),
    [
        ({"image": {"size": [40, 40]}}, {"FitTask", "StatisticsTask", "RowTask"}),
        # training amplifies how another batch size rounds (decision 0015)
        ({"batch_size": 4}, {"FitTask", "StatisticsTask", "RowTask"}),
        ({"features": ["q995"]}, {"StatisticsTask", "RowTask"}),
        ({"image_features": []}, {"StatisticsTask", "RowTask"}),
        ({"final": {"use": "brf", "params": {"num_parallel_tree": 4}}}, {"RowTask"}),
        (
            {"split": {"seeds": [1], "test": {"good": 4, "bad": 3}, "detectors": {"good": 6}}},
            {"FitTask", "StatisticsTask", "RowTask"},
        ),
        (
            {
                "split": {
                    "seeds": [0],
                    "test": {"good": 4, "bad": 3},
                    "detectors": {"good": 6},
                    "final": {"good": 2},
                }
            },
            {"RowTask"},
        ),
    ],
)
def test_what_changes_a_result_changes_its_key(home: Path, change: dict[str, Any], kinds: set[str]) -> None:
    before, after = _keys(_plan(home)), _keys(_plan(home, _recipe(home, **change)))
    assert {kind for kind in before if before[kind] != after[kind]} == kinds


def test_one_pixel_of_one_image_changes_the_keys(home: Path) -> None:
    before = _keys(_plan(home))
    path = sorted((home / "data" / "good").iterdir())[0]
    pixels = np.array(Image.open(path))
    pixels[0, 0, 0] ^= 1
    Image.fromarray(pixels).save(path)
    after = _keys(_plan(home))
    assert before["StatisticsTask"].isdisjoint(after["StatisticsTask"])


def test_another_detector_leaves_the_first_ones_cells_alone(home: Path) -> None:
    alone = _recipe(home, rows=_ROWS[:2])
    before, after = _keys(_plan(home, alone)), _keys(_plan(home))
    for kind in before:
        assert before[kind] < after[kind]


def test_a_detector_that_no_row_reads_is_not_trained(home: Path) -> None:
    assert len(_keys(_plan(home, _recipe(home, rows=_ROWS[:2])))["FitTask"]) == 1


def test_equal_detectors_under_two_names_are_trained_once(home: Path) -> None:
    detectors = {name: {"use": "patchcore", "params": {"coreset_ratio": 0.2}} for name in ("one", "two")}
    plan = _plan(home, _recipe(home, detectors=detectors))
    assert len(plan.tasks[0].cells) == 1


def test_tasks_travel_to_other_processes(home: Path) -> None:
    """A task is plain data: what a copy of it makes is what the task itself would make."""
    plan = _plan(home)
    for task in plan.tasks:
        copy = pickle.loads(pickle.dumps(task))
        assert [cell.key for cell in copy.cells] == [cell.key for cell in task.cells]
        execute(copy, pickle.loads(pickle.dumps(Store(home / "store"))), "cpu", lambda *_: None)
    assert all(Store(home / "store").has(cell.key) for task in plan.tasks for cell in task.cells)


def test_one_detector_seed_serves_all_seeds(home: Path) -> None:
    for part in ("train", "test"):
        for label in ("good", "bad"):
            (home / "data" / part / label).mkdir(parents=True)
    for label in ("good", "bad"):
        for i, path in enumerate(sorted((home / "data" / label).iterdir())):
            path.rename(home / "data" / ("test" if i % 2 else "train") / label / path.name)
        (home / "data" / label).rmdir()
    split = {"seeds": [1, 2, 3], "detectors": {"good": 0.6, "seed": 333}}
    plan = _plan(home, _recipe(home, split=split))
    assert [type(task).__name__ for task in plan.tasks[:3]] == ["FitTask", "StatisticsTask", "RowTask"]
    assert len(_keys(plan)["FitTask"]) == 2
    assert len({task.seed for task in plan.rows()}) == 3


def test_a_batch_goes_through_the_encoder_once_whatever_reads_it(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes: list[int] = []
    encode = EfficientNetLite0.encode

    def counted(self: EfficientNetLite0, pixels: NDArray[np.uint8], layers: Any) -> Any:
        passes.append(len(pixels))
        return encode(self, pixels, layers)

    monkeypatch.setattr(EfficientNetLite0, "encode", counted)
    plan, store = _plan(home, _recipe(home, batch_size=5)), Store(home / "store")
    fit, statistics, *rows = plan.tasks
    execute(fit, store, "cpu", lambda *_: None)
    assert sum(passes) == 6  # two detectors, six training images
    passes.clear()
    execute(statistics, store, "cpu", lambda *_: None)
    assert passes == [5, 5, 5]  # two detectors, three tables each, the fifteen other images
    passes.clear()
    for row in rows:
        execute(row, store, "cpu", lambda *_: None)
    assert passes == []


def test_feature_vectors_are_ordered_by_segment_detector_statistic_then_image(home: Path) -> None:
    import json

    mask = np.zeros((32, 32), np.uint8)
    mask[16:] = 1
    Image.fromarray(mask).save(home / "mask.png")
    segmenter = {"use": "static_mask", "params": {"mask": "mask.png", "segments": ["top", "low"]}}
    plan, store = _plan(home, _recipe(home, segmenter=segmenter)), Store(home / "store")
    for task in plan.tasks:
        execute(task, store, "cpu", lambda *_: None)
    row = next(task for task in plan.tasks if isinstance(task, RowTask) and task.row.name == "all + SegAD")
    files = store.get(row.cells[0].key)
    assert files is not None
    assert json.loads(files["names.json"]) == [
        "top.one.q995",
        "top.one.mean",
        "top.two.q995",
        "top.two.mean",
        "low.one.q995",
        "low.one.mean",
        "low.two.q995",
        "low.two.mean",
        "image.one.max",
        "image.two.max",
    ]


def test_statistics_are_those_of_the_maps(home: Path) -> None:
    """The stored numbers, computed again from the restored detector's maps with NumPy alone."""
    from segad_core.images import FileImageSet
    from segad_core.run.fit import restored
    from segad_core.store.values import read_values

    plan, store = _plan(home), Store(home / "store")
    fit, statistics = plan.tasks[:2]
    execute(fit, store, "cpu", lambda *_: None)
    execute(statistics, store, "cpu", lambda *_: None)
    cell = next(c for c in statistics.cells if c.segmenter is not None)  # type: ignore[union-attr]
    values, columns = read_values(store, cell.key)
    assert columns == [("whole", "q995"), ("whole", "mean")]
    detector = restored(cell.fit, store, plan.category, "cpu")  # type: ignore[union-attr]
    images = FileImageSet(
        statistics.samples,  # type: ignore[union-attr]
        statistics.preprocessing,  # type: ignore[union-attr]
        EfficientNetLite0(),
        detector.layers(),
    )
    maps = np.concatenate([detector.anomaly_maps(batch) for batch in images.batches()]).astype(np.float64)
    np.testing.assert_allclose(values[:, 0], [np.quantile(m, 0.995) for m in maps], rtol=1e-6)
    np.testing.assert_allclose(values[:, 1], [m.mean() for m in maps], rtol=1e-6)
