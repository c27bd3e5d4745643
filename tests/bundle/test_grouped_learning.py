"""`learn` keeps together what the run kept together, and nothing else."""

from __future__ import annotations

import atexit
import json
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import light_bundle
import numpy as np
import pytest
import views
from builders import data_set, said, segad
from small_runs import write
from trainings import same_bits

from segad_core import learn, verify
from segad_core.bundle.format.states import read_final_state
from segad_core.bundle.format.tables import read_arrays, read_table
from segad_core.bundle.format.vectors import NO_FOLD, Described, VectorTable, read_vector_table
from segad_core.bundle.runtime import learning, relearning
from segad_core.bundle.runtime.bundle import Bundle
from segad_core.bundle.runtime.relearning import scores_of_vectors, trained
from segad_core.bundle.runtime.together import regrouped, with_groups
from segad_core.operate.image_table import Image

CASES: dict[str, tuple[dict[str, str], dict[str, Any]]] = {
    "lots that the recipe ignores": ({"lot": r"([0-9])\.png"}, {"group": False}),
    "parts of several lots": ({"lot": r"([0-9])[0-9]\.png", "serial": r"([0-9])\.png"}, {"group": "serial"}),
    "one lot": ({"lot": r"\.(png)"}, {}),
}
CASE = pytest.mark.parametrize("case", CASES)


@pytest.fixture(autouse=True)
def fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    light_bundle.install(monkeypatch)


@cache
def bundle_of(case: str) -> Path:
    """A bundle, a folder; not to be changed."""
    folder = tempfile.TemporaryDirectory(prefix="segad-test-")
    atexit.register(folder.cleanup)
    place, (names, split) = Path(folder.name), CASES[case]
    data_set(place / "data", good=24, bad=17)
    recipe = write(
        place,
        dataset={"use": "folder", "params": {"root": "data", **names}},
        encoder="tinyencoder",
        classifiers={"probe": "linear_probe"},
        final="logistic",
        rows=[{"name": "SegAD", "detectors": ["spotty"], "classifier": "probe"}],
        split={"seeds": [3], "test": {"good": 4, "bad": 3}, "detectors": {"good": 5}, **split},
    )
    words = ("--category", "a", "--row", "SegAD", "--device", "cpu", "--store", place / "store")
    result = segad("fit", recipe, *words, "-o", place / "b")
    assert result.exit_code == 0, said(result)
    return place / "b"


def table_of(bundle: Bundle) -> VectorTable:
    table = read_vector_table(bundle.container, "probe")
    assert table is not None
    return table


@CASE
def test_trained_again_without_lessons_the_same_comes_out(case: str) -> None:
    """To the last bit: classifier, scores out of fold and final classifier choose by the run's groups."""
    with Bundle.load(bundle_of(case), "cpu") as bundle:
        table, training = table_of(bundle), read_table(bundle.container, "training")
        assert (training.groups() is not None) == (case == "parts of several lots")
        state = read_arrays(bundle.container, "classifiers/probe.safetensors")
        assert same_bits(trained(bundle, "probe", table).state(), state)
        scores = {one.digest: row[-1] for one, row in zip(training.images, training.features, strict=True)}
        for fold in range(table.folds()):
            lines = [i for i, one in enumerate(table.images) if one.fold == fold and one.scored]
            again = trained(bundle, "probe", table, without=fold)
            found = scores_of_vectors(bundle, again, table.lines(lines), "probe")
            expected = [scores[table.images[i].image.digest] for i in lines]
            np.testing.assert_array_equal(found[:, 0], expected)
        assert same_bits(learning._refitted(bundle, training).state(), read_final_state(bundle.container))


def test_a_training_leaves_out_whole_groups_with_the_detectors_images() -> None:
    with Bundle.load(bundle_of("parts of several lots"), "cpu") as bundle:
        images = table_of(bundle).images
    (split,) = json.loads((bundle_of("parts of several lots") / "splits.json").read_text())["a"].values()
    assert {one.image.id for one in images if one.scored} == set(split["final"])
    folds: dict[str, set[int]] = {}
    for one in images:
        folds.setdefault(one.image.serial, set()).add(one.fold)
    assert all(len(own) == 1 for own in folds.values())
    with_final = {one.image.serial for one in images if one.scored}
    assert {serial for serial, own in folds.items() if own != {NO_FOLD}} == with_final
    assert any(not one.scored and one.fold != NO_FOLD for one in images)
    numbers = {one.image.serial: one.image.group_number for one in images}
    assert None not in numbers.values() and len({*numbers.values()}) == len(numbers)


# ---- lessons ----


def image(name: str, label: int = 1, number: int | None = None, **facts: Any) -> Image:
    return Image(id=name, digest=name * 64, label=label, group_number=number, **facts)


def test_images_that_are_taught_are_of_one_group_unless_the_bundle_knows_theirs() -> None:
    learnt = [image("a", number=0), image("b"), image("c", number=2)]
    tested = [image("d", number=1), image("e")]
    told = [image(name, taught=True) for name in "abde01"] + [image("2", 0), image("3", 0), image("4", 0)]
    found, joined = with_groups(told, learnt, tested)
    assert not joined
    assert [one.digest for one in found] == [one.digest for one in told]
    assert [one.group_number for one in found] == [0, None, 1, 4, 4, 4, 3, 3, 3]
    assert [one.group_number for one in with_groups(told[4:7], [], [])[0]] == [0, 0, None]
    assert with_groups(told[4:5], learnt, tested)[0][0].group_number is None  # stands alone


def test_images_of_one_part_are_of_one_group() -> None:
    """Whatever their labels, and with those that the bundle has learnt from."""
    learnt = [image("a", number=0, serial="S1"), image("b", number=1, serial="S2")]
    told = [image("0", 1, serial="S2"), image("1", 1, serial="S3"), image("2", 0, serial="S3")]
    found, joined = with_groups(told, learnt, [])
    assert [one.group_number for one in found] == [1, 2, 2] and not joined


def test_a_part_of_one_image_becomes_a_group_when_another_is_taught() -> None:
    """The image that was learnt alone has no number, and gets one."""
    learnt = [image("a", 0, number=0, serial="S1"), image("b", 0, serial="S2"), image("c", 0, serial="S3")]
    told = [image("0", 0, serial="S2"), image("1", 1, serial="S4"), image("2", 1), image("3", 1, serial="S2")]
    found, joined = with_groups(told, learnt, [])
    assert [one.group_number for one in found] == [1, 2, 2, 1] and joined == {"b" * 64: 1}
    assert [one.group_number for one in regrouped(learnt, joined)] == [0, 1, None]
    known, joined = with_groups([image("c", 1, serial="S3")], learnt, [])  # a new label is no new image
    assert known[0].group_number is None and not joined


def test_a_training_leaves_out_a_part_whole_when_another_image_of_it_is_taught() -> None:
    """Also one that no training left out before, as only the classifier or a detector learns from it."""
    known = [Described(image=image(str(i), label=i % 2, number=i), learns=True, fold=i % 3) for i in range(6)]
    known.append(Described(image=image("6", 0, 6), learns=True, scored=False))
    known.append(Described(image=image("7", 0, 7), learns=True, scored=False))
    table = VectorTable(known, {"x": np.zeros((8, 1), np.float32)}, {"x": np.zeros((0, 1), np.float32)})
    line = {"x": np.zeros((1, 1), np.float32)}
    images = relearning._with_taught(table, [(image("a", 0, 6), line)], 1).images
    folds = {one.image.digest[0]: one.fold for one in images}
    assert folds["6"] == folds["a"] != NO_FOLD and folds["7"] == NO_FOLD
    assert [one.scored for one in images[6:]] == [False, False, True]


def test_no_training_sees_a_part_that_it_is_left_out_of(tmp_path: Path) -> None:
    """A part that was taught with one view stood alone; its other view is taught later."""
    views.views(tmp_path / "data")
    recipe = views.recipe(
        tmp_path,
        encoder="tinyencoder",
        classifiers={"probe": "linear_probe"},
        final="logistic",
        rows=[{"name": "SegAD", "detectors": ["spotty"], "classifier": "probe"}],
        parts={"verdict": "worst", "missing": "allow"},
    )
    views.views(tmp_path / "later", good=24, bad=0)
    first, second = (tmp_path / f"later/a/good/SN023_{view}.png" for view in "AB")
    with Bundle.load(views.fitted(recipe), "cpu") as bundle:
        learn(bundle, tmp_path / "one", good=[first])
    with Bundle.load(tmp_path / "one", "cpu") as bundle:
        (alone,) = [one.image for one in table_of(bundle).images if one.image.serial == "SN023"]
        assert alone.group_number is None
        learn(bundle, tmp_path / "two", good=[second])
    with Bundle.load(tmp_path / "two", "cpu") as bundle:
        both = [one for one in table_of(bundle).images if one.image.serial == "SN023"]
        assert len({one.fold for one in both}) == 1 and both[0].fold != NO_FOLD
        assert len({one.image.group_number for one in both}) == 1 and both[0].image.group_number is not None
        training = read_table(bundle.container, "training")
        assert not verify(bundle).problems
    groups = training.groups()
    assert groups is not None
    pairs = {(one.serial, group) for one, group in zip(training.images, groups.tolist(), strict=True)}
    assert len(pairs) == len({serial for serial, _ in pairs})
    assert sum(one.serial == "SN023" for one in training.images) == 2


def test_a_group_that_is_taught_joins_one_fold() -> None:
    """That of its group, or that with the fewest images of its label."""
    known = [Described(image=image(str(i), label=i % 2, number=i), learns=True, fold=i % 3) for i in range(9)]
    known[8] = known[8].model_copy(update={"scored": False})  # folds have 2, 1, 1 good and 1, 2, 1 bad
    table = VectorTable(known, {"x": np.zeros((9, 1), np.float32)}, {"x": np.zeros((0, 1), np.float32)})
    told = [image("a", 1, 20), image("b", 1, 5), image("c", 1, 20), image("d", 1, 20), image("e", 0)]
    line = {"x": np.zeros((1, 1), np.float32)}
    found = relearning._with_taught(table, [(one, line) for one in told], 1).images[9:]
    sizes = [
        [sum(i.scored and (i.image.label, i.fold) == (y, f) for i in known) for f in range(3)] for y in (0, 1)
    ]
    fewest = sizes[1].index(min(sizes[1]))
    assert [one.fold for one in found[:4]] == [fewest, 2, fewest, fewest]
    assert found[4].fold == sizes[0].index(min(sizes[0]))
    assert all(one.scored and one.learns for one in found)
