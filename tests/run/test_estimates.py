"""What a run needs of disk and memory: the estimates of `segad check` against what it really uses."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from builders import RECIPE, data_set, run_command, said, segad
from paper_recipes import SMALL
from plain_supervised import small_backbone

from segad_core.base.text import size_words
from segad_core.cli.check import short_of_room
from segad_core.plugins.blame import named
from segad_core.plugins.registry import Registry
from segad_core.recipe import load_recipe
from segad_core.run.cells import FitTask, StatisticsTask
from segad_core.run.estimates import Estimates, Needs, needs
from segad_core.run.fit import STATE
from segad_core.run.prepare import prepare
from segad_core.store.store import Store
from segad_plugins.estimate_tools import most_alive, training_estimate

LEARNERS = {
    "detectors": {
        "fastflow": "fastflow",
        "rd4ad": "rd4ad",
        "patchcore": "patchcore",
        "efficientad": "efficientad",
    },
    "classifiers": {"wrn": "wide_resnet", "devnet": "devnet", "dra": "dra"},
}
ROWS = [
    *({"name": alias, "score": alias} for alias in ("fastflow", "wrn", "devnet", "dra", "probe")),
    {"name": "SegAD", "detectors": "all", "classifier": "wrn"},
]


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Of all classifiers; one for all tests, as estimates are kept by their parameters."""
    return small_backbone(tmp_path_factory.mktemp("weights"))


@pytest.fixture
def recipe(tmp_path: Path, backbone: dict[str, Any]) -> Path:
    data_set(tmp_path / "data", good=24, bad=12)
    text = RECIPE[: RECIPE.index("detectors:\n  patchcore")] + RECIPE[RECIPE.index("segmenter:") :]
    text = text[: text.index("rows:")].replace("[48, 48]", "[64, 64]")
    for kind, own in LEARNERS.items():
        more = backbone if kind == "classifiers" else {}
        uses = {alias: {"use": use, "params": {**SMALL[alias], **more}} for alias, use in own.items()}
        if kind == "classifiers":
            uses["probe"] = {"use": "linear_probe"}
        text += f"{kind}: {json.dumps(uses, default=str)}\n"
    path = tmp_path / "tiny.yaml"
    path.write_text(f"{text}rows: {json.dumps(ROWS)}\n")
    return path


def _stored(store: Path) -> Counter[str]:
    """Bytes of artifacts by kind, manifests left out."""
    sizes: Counter[str] = Counter()
    for manifest in store.glob("objects/**/manifest.json"):
        kind = json.loads(manifest.read_text())["kind"]
        sizes[kind] += sum(p.stat().st_size for p in manifest.parent.iterdir() if p != manifest)
    return sizes


def _numbers(store: Path, key: str) -> int:
    """Bytes of the arrays of a state."""
    data = (store / "objects" / key[:2] / key / STATE).read_bytes()
    return len(data) - 8 - int.from_bytes(data[:8], "little")


@pytest.mark.slow
def test_the_store_holds_what_was_foretold(recipe: Path) -> None:
    """The states of every built-in learner to a few numbers; tables and rows at most."""
    store = recipe.parent / "store"
    plans = prepare(load_recipe(str(recipe), Registry()), Store(store)).plans
    foretold, estimates = needs(plans, Store(store)), Estimates(plans)
    assert not foretold.unknown
    assert run_command(recipe).exit_code == 0
    cells = [
        cell for plan in plans for task in plan.tasks if isinstance(task, FitTask) for cell in task.cells
    ]
    assert {cell.alias for cell in cells} == {"probe", *LEARNERS["detectors"], *LEARNERS["classifiers"]}
    for cell in cells:
        estimate = estimates.of(cell.key)
        assert estimate is not None
        assert 0 <= _numbers(store, cell.key) - estimate.state <= 128, cell.alias  # the version, and shapes
    real, said_of = _stored(store), foretold.stored
    trained, states = real["fit"] + real["artifact"], said_of["trained detectors"]
    states += said_of["trained classifiers"]
    assert real["artifact"] > 0
    assert trained <= states <= 1.01 * trained + len(cells) * (3 << 15)
    for kind, name in (("statistics", "statistics"), ("scores", "classifier scores"), ("row", "rows")):
        assert 0 < real[kind] <= said_of[name]
    assert real["vectors"] <= said_of["vectors of images"] <= real["vectors"] + (3 << 15)
    tables = sum(len(task.cells) for plan in plans for task in plan.tasks if isinstance(task, StatisticsTask))
    assert said_of["statistics"] < 2 * real["statistics"] + tables * (1 << 16)
    again = needs(prepare(load_recipe(str(recipe), Registry()), Store(store)).plans, Store(store))
    assert (again.stored, again.memory, again.temporary) == ({}, 0, 0)


def test_check_says_it_and_warns_where_there_is_no_room(
    recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = segad("check", recipe, "--store", recipe.parent / "store")
    assert "space: at most " in said(result)
    assert "anomaly maps are not kept" in said(result)
    assert "free, but the run may need" not in said(result)

    class Full:
        free = 1000

    monkeypatch.setattr("shutil.disk_usage", lambda path: Full)
    result = segad("check", recipe, "--store", recipe.parent / "store")
    assert f"warning: the store {recipe.parent / 'store'}" in said(result)
    assert "1000 B free, but the run may need" in said(result)
    assert result.exit_code == 0


def test_what_shares_a_disk_is_added_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, temporary, free = tmp_path / "store", tmp_path / "temporary", {"store": 10, "temporary": 10}
    for folder in (store, temporary):
        folder.mkdir()
    disks = {"store": 1, "temporary": 1}
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(temporary))
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=free[path.name]))
    monkeypatch.setitem(short_of_room.__globals__, "_disk", lambda path: disks[path.name])
    needed = Needs({"rows": 4}, checkpoints=2, temporary=5)
    (line,) = short_of_room(needed, store)
    assert line.startswith(
        f"the store {store} and the temporary folder {temporary} share a disk that has 10 B free"
    )
    assert line.endswith("may need 11 B")
    disks["temporary"] = 2
    assert list(short_of_room(needed, store)) == []
    free["temporary"] = 4
    (line,) = short_of_room(needed, store)
    assert line == f"the temporary folder {temporary} has 4 B free, but the run may need 5 B"


def test_large_features_go_to_the_temporary_folder(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plans = prepare(load_recipe(str(recipe), Registry()), Store(recipe.parent / "store")).plans
    in_memory = needs(plans, Store(recipe.parent / "store"))
    assert in_memory.temporary == 0
    monkeypatch.setattr("segad_core.run.estimates.IN_MEMORY", 0)
    filed = needs(plans, Store(recipe.parent / "store"))
    # six layers' worth of features of 12 images at most, and the images themselves
    assert filed.temporary > 3 * 12 * 64 * 64
    assert filed.memory < in_memory.memory


def test_learners_without_an_estimate_are_named(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from segad_plugins.detectors.rd4ad import RD4AD

    named.cache_clear()  # classes keep what their methods were made from
    monkeypatch.setattr(RD4AD, "estimate", lambda *_: None)
    assert "; not counting rd4ad, for which there is no estimate" in said(
        segad("check", recipe, "--store", recipe.parent / "store")
    )


def test_the_most_bytes_alive_are_counted() -> None:
    """Each step's own 4,000 bytes, and what it makes of them: the rest is given back."""

    def work(steps: int, kept: list[torch.Tensor]) -> None:
        x = torch.empty(1000, device="meta")
        for _ in range(steps):
            x = x + 1
            kept.append(x.view(10, 100))

    assert most_alive(lambda: work(0, [])) == 4000
    assert most_alive(lambda: work(3, [])) == 3 * 4000  # a view holds what it shows
    assert most_alive(lambda: torch.empty(1000, device="meta").neg().abs().sum()) == 2 * 4000


def test_a_training_holds_every_layers_output_and_scoring_does_not() -> None:
    """Ten layers of 4 x 4 weights without bias, and outputs of 16,000 bytes."""
    with torch.device("meta"):
        network = torch.nn.Sequential(
            *(part for _ in range(10) for part in (torch.nn.Linear(4, 4, bias=False), torch.nn.Sigmoid()))
        )
        x = torch.empty(1000, 4)
        space = training_estimate(network, lambda: network(x), lambda: network(x))
        small = training_estimate(network, lambda: network(x[:1]))
    weights = 10 * 4 * 4 * 4
    assert space.state == small.state == weights
    step = space.memory - 3 * weights - 4 * weights  # weights and moments, and the kernels' copies
    assert 1.25 * 10 * 16_000 <= step <= 1.25 * (13 * 16_000 + weights + 100)  # sigmoids' outputs are kept
    assert space.per_image == 1.25 * 2 * 16_000
    # gradients, and two copies of weights and moments, are more than a small step
    assert small.memory == 3 * weights + 7 * weights


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1536, "2 KiB"),
        (5 << 20, "5 MiB"),
        (3 << 29, "1.5 GiB"),
        (3 << 39, "1.5 TiB"),
    ],
)
def test_sizes_in_words(size: int, words: str) -> None:
    assert size_words(size) == words
