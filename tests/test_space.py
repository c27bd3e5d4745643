"""What a run takes of disk and memory, as `segad check` states it, against what it really takes."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from builders import RECIPE, data_set, run_command, said, segad
from paper_recipes import SMALL

from segad_core.contracts import Space
from segad_core.prepare import prepare
from segad_core.recipe import load_recipe
from segad_core.registry import Registry
from segad_core.space import needs, size_words
from segad_core.store import Store

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
    *({"name": alias, "score": alias} for alias in ("fastflow", "wrn", "devnet", "dra")),
    {"name": "SegAD", "detectors": "all", "classifier": "wrn"},
]


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    data_set(tmp_path / "data", good=24, bad=12)
    text = RECIPE[: RECIPE.index("detectors:\n  patchcore")] + RECIPE[RECIPE.index("segmenter:") :]
    text = text[: text.index("rows:")].replace("[48, 48]", "[64, 64]")
    for kind, own in LEARNERS.items():
        uses = {alias: {"use": use, "params": SMALL[alias]} for alias, use in own.items()}
        text += f"{kind}: {json.dumps(uses)}\n"
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


@pytest.mark.slow
def test_the_store_holds_what_was_foretold(recipe: Path) -> None:
    """States of every built-in learner to 1 %; tables and rows at most."""
    store = recipe.parent / "store"
    foretold = needs(prepare(load_recipe(str(recipe), Registry()), Store(store)).plans, Store(store))
    assert not foretold.unknown
    assert run_command(recipe).exit_code == 0
    real, said_of = _stored(store), foretold.stored
    states = said_of["trained detectors"] + said_of["trained classifiers"]
    assert real["fit"] <= states <= 1.01 * real["fit"] + 7 * 8192
    for kind, name in (("statistics", "statistics"), ("scores", "classifiers' scores"), ("row", "rows")):
        assert 0 < real[kind] <= said_of[name]
    assert said_of["statistics"] < 10 * real["statistics"]
    again = needs(prepare(load_recipe(str(recipe), Registry()), Store(store)).plans, Store(store))
    assert (again.stored, again.memory, again.temporary) == ({}, 0, 0)


def test_check_says_it_and_warns_where_there_is_no_room(
    recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = segad("check", recipe, "--store", recipe.parent / "store")
    assert "space: at most " in said(result)
    assert "anomaly maps are not kept" in said(result)
    assert "free, and the run may take" not in said(result)

    class Full:
        free = 1000

    monkeypatch.setattr("shutil.disk_usage", lambda path: Full)
    result = segad("check", recipe, "--store", recipe.parent / "store")
    assert f"warning: the store {recipe.parent / 'store'} has 1000 B free, and the run may take" in said(
        result
    )
    assert result.exit_code == 0


def test_large_features_go_to_the_temporary_folder(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plans = prepare(load_recipe(str(recipe), Registry()), Store(recipe.parent / "store")).plans
    in_memory = needs(plans, Store(recipe.parent / "store"))
    assert in_memory.temporary == 0
    monkeypatch.setattr("segad_core.space.IN_MEMORY", 0)
    filed = needs(plans, Store(recipe.parent / "store"))
    # six layers' worth of features of 12 images at most, and the images themselves
    assert filed.temporary > 3 * 12 * 64 * 64
    assert filed.memory < in_memory.memory


def test_learners_that_do_not_say_are_named(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from segad_plugins.detectors.rd4ad import RD4AD

    monkeypatch.setattr(RD4AD, "space", lambda *_: None)
    assert "; without rd4ad, of which that is not known" in said(
        segad("check", recipe, "--store", recipe.parent / "store")
    )


def test_the_most_bytes_alive_are_those_worked_out_by_hand() -> None:
    """x (8, 4): y = x W^T; then gradients of W and of what came before."""
    import torch

    from segad_plugins.torch_tools import training_space

    with torch.device("meta"):
        layer = torch.nn.Linear(4, 16, bias=False)
        x = torch.empty(8, 4)
        space = training_space(layer, lambda: layer(x))
    state = 4 * 16 * 4
    # y is 512 bytes and its sum 4; backward makes a gradient of y (expanded from one number) and that of W
    assert space.state == state
    assert 3 * state + 512 + state <= space.memory <= 3 * state + 2 * 512 + 2 * state + 64
    assert isinstance(space, Space)


@pytest.mark.parametrize(
    ("size", "words"),
    [(0, "0 B"), (1023, "1023 B"), (1536, "2 KiB"), (5 << 20, "5 MiB"), (3 << 29, "1.5 GiB")],
)
def test_sizes_in_words(size: int, words: str) -> None:
    assert size_words(size) == words
