"""Teaching a bundle: the forest that comes of it, what turned, and what stays as it was."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from trained_bundles import bad, bundle_of, good, home

from segad_core.bundle.bundle import Bundle
from segad_core.bundle.container import Container
from segad_core.bundle.learning import Learnt
from segad_core.bundle.operating import calibration_table
from segad_core.bundle.tables import Image, read_golden, read_table
from segad_core.digest import file_digest
from segad_core.errors import BundleError, ImageError, SegadError, UsageError
from segad_plugins.final_classifiers.brf import BoostedRandomForest


def taught(
    out: Path, bad: Sequence[Path] = (), good: Sequence[Path] = (), times: int = 1, row: str = "SegAD"
) -> Learnt:
    with Bundle.load(bundle_of(row), "cpu") as bundle:
        return bundle.learn(out, bad, good, times)


def tested(label: int) -> list[Path]:
    """The calibration images with a label."""
    with Bundle.load(bundle_of("SegAD"), "cpu") as bundle:
        return [home() / "data" / "a" / one.id for one in bundle.calibration().images if one.label == label]


def untested(label: int) -> list[Path]:
    folder = home() / "data" / "a" / ("bad" if label else "good")
    return sorted(set(folder.iterdir()) - set(tested(label)))


def everything(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("row", ["SegAD", "All"])
@pytest.mark.parametrize("times", [1, 3])
def test_the_forest_is_the_one_of_the_training_table_and_the_taught_images(
    tmp_path: Path, row: str, times: int
) -> None:
    escapes, overkill = tested(1)[:2], tested(0)[:1]
    found = taught(tmp_path / "new", escapes, overkill, times, row)
    with Bundle.load(bundle_of(row), "cpu") as old, Bundle.load(tmp_path / "new", "cpu") as new:
        table = read_table(old.container, "training")
        seen = [one.features for one in old.inspect([*escapes, *overkill]) if one.features is not None]
        lessons, labels = np.repeat(np.stack(seen), times, axis=0), np.repeat([1, 1, 0], times)
        forest = BoostedRandomForest(BoostedRandomForest.Params(n_estimators=3, num_parallel_tree=20))
        features = np.concatenate([table.features, lessons])
        forest.fit(features, old.manifest.pipeline.names, np.concatenate([table.labels(), labels]), 0)
        images = [*escapes, *overkill, *tested(0)[3:6]]
        expected = forest.margins(
            np.stack([i.features for i in old.inspect(images) if i.features is not None])
        )
        np.testing.assert_array_equal([one.score for one in new.predict(images)], expected)
        assert [one.after for one in found.taught] == expected[:3].tolist()
        assert [one.before for one in found.taught] == [one.score for one in old.predict(images[:3])]
        assert len(read_table(new.container, "training").images) == len(table.images) + 3 * times


def test_everything_but_the_forest_and_its_scores_stays(tmp_path: Path) -> None:
    before = everything(bundle_of("All"))
    taught(tmp_path / "new", tested(1)[:1], row="All")
    after = everything(tmp_path / "new")
    assert before == everything(bundle_of("All")) and before.keys() == after.keys()
    assert {name for name in before if before[name] != after[name]} == {
        "final/model.json",
        "golden.json",
        "operating.json",
        "training.json",
        "training.safetensors",
        "calibration.safetensors",
        "manifest.json",
        "manifest.sha256",
    }
    old, new = (json.loads(files["manifest.json"]) for files in (before, after))
    assert new["provenance"].pop("learnt") == 1 and old["provenance"].pop("learnt") == 0
    assert {**old, "files": 0} == {**new, "files": 0}


def test_what_turned_is_what_the_bundles_say(tmp_path: Path) -> None:
    """Both ways: taught that bad parts are good and good ones bad, much turns."""
    found = taught(tmp_path / "new", untested(0)[:4], untested(1)[:4], times=20)
    paths = {one.id: home() / "data" / "a" / one.id for one in _calibration(bundle_of("SegAD"))}
    assert [change.image for change in found.regression] == list(paths)
    with Bundle.load(bundle_of("SegAD"), "cpu") as old, Bundle.load(tmp_path / "new", "cpu") as new:
        for change, was, now in zip(
            found.regression, old.predict(paths.values()), new.predict(paths.values()), strict=True
        ):
            assert (change.before, change.was) == (was.score, was.verdict)
            assert (change.after, change.now) == (now.score, now.verdict)
            assert change.flipped == (was.verdict != now.verdict)
            assert change.right == ((now.verdict == "NG") == change.image.startswith("bad/"))
            assert change.label == change.image.startswith("bad/")
        assert found.before == old.operating_point and found.after == new.operating_point
    assert any(change.flipped and change.right != change.label for change in found.regression)


def _calibration(path: Path) -> list[Image]:
    container = Container(path)
    images = list(calibration_table(container).table.images)
    container.close()
    return images


def test_taught_test_images_are_test_images_no_more(tmp_path: Path) -> None:
    lessons = tested(1)[:2]
    found = taught(tmp_path / "new", lessons)
    assert (found.before.caught.of, found.before.rejected.of) == (6, 10)
    assert (found.after.caught.of, found.after.rejected.of) == (4, 10)
    assert len(found.regression) == 14
    assert not {str(one) for one in lessons} & {
        str(home() / "data/a" / one.image) for one in found.regression
    }
    assert "2 of the test images were taught" in found.notes[-1]
    assert {file_digest(one) for one in lessons}.isdisjoint(
        one.digest for one in _calibration(tmp_path / "new")
    )
    with Bundle.load(tmp_path / "new", "cpu") as new:
        again = new.learn(tmp_path / "again", bad=tested(1)[2:3])
    assert again.after.caught.of == 3 and again.notes == (
        ["1 of the test images were taught: they are test images no more"]
    )


def test_the_threshold_is_set_by_the_bundles_rule(tmp_path: Path) -> None:
    found = taught(tmp_path / "new", untested(1)[:1])
    assert found.after.rule == found.before.rule
    scores = sorted(c.after for c in found.regression if c.label)
    assert found.after.threshold <= scores[0]  # catch 0.95 of six is all of them
    assert all(c.now == "NG" for c in found.regression if c.label)


def test_the_new_bundle_is_sound_to_the_last_bit(tmp_path: Path) -> None:
    taught(tmp_path / "new", tested(1)[:3], tested(0)[:3])  # golden images among them
    with Bundle.load(tmp_path / "new", "cpu") as new:
        found = new.verify()
        assert (found.problems, found.largest, found.table) == ([], 0, 0)


def test_golden_images_have_the_label_that_was_taught(tmp_path: Path) -> None:
    with Bundle.load(bundle_of("SegAD"), "cpu") as old:
        first = read_golden(old.container)[0]
        shutil.copy(old.container.file(first.file), tmp_path / "part.png")
    assert first.label == 0
    taught(tmp_path / "new", [tmp_path / "part.png"])
    with Bundle.load(tmp_path / "new", "cpu") as new:
        assert [one.label for one in read_golden(new.container)] == [1, 0, 0, 1, 1, 1]


def test_what_is_said_now_counts(tmp_path: Path) -> None:
    """Of an image that was learnt from, or taught, before."""
    learnt = next(one for one in untested(0) if file_digest(one) in _training(bundle_of("SegAD")))
    found = taught(tmp_path / "new", [learnt])
    assert found.notes == [f"{learnt}: was learnt from before, as good; what is said now counts"]
    assert _training(tmp_path / "new")[file_digest(learnt)] == [1]
    with Bundle.load(tmp_path / "new", "cpu") as new:
        back = new.learn(tmp_path / "back", good=[learnt], times=2)
    assert back.notes == [f"{learnt}: was learnt from before, as bad; what is said now counts"]
    assert _training(tmp_path / "back")[file_digest(learnt)] == [0, 0]


def _training(path: Path) -> dict[str, list[int]]:
    container, labels = Container(path), dict[str, list[int]]()
    for one in read_table(container, "training").images:
        labels.setdefault(one.digest, []).append(one.label)
    container.close()
    return labels


def test_an_image_is_learnt_once_whatever_it_is_called(tmp_path: Path) -> None:
    shutil.copy(bad(0), tmp_path / "copy.png")
    found = taught(tmp_path / "new", [bad(0), bad(0), tmp_path / "copy.png"])
    assert [one.image for one in found.taught] == [str(bad(0))]
    assert _training(tmp_path / "new")[file_digest(bad(0))] == [1]


def test_the_same_lessons_make_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        taught(tmp_path / name, [bad(0)], [good(0)], 2)
    assert everything(tmp_path / "one") == everything(tmp_path / "two")


REFUSED: dict[str, tuple[Callable[[Path], object], type[SegadError], str]] = {
    "nothing": (lambda p: taught(p / "new"), UsageError, "nothing to learn from"),
    "good and bad": (
        lambda p: taught(p / "new", [bad(0)], [bad(0)]),
        UsageError,
        "is given as good, and as bad",
    ),
    "no such file": (lambda p: taught(p / "new", [p / "gone.png"]), ImageError, "gone.png: cannot be read"),
    "no image": (
        lambda p: taught(p / "new", [home() / "trained.yaml"]),
        ImageError,
        "trained.yaml: is not an image",
    ),
    "is there": (lambda p: taught(home(), [bad(0)]), UsageError, "is there already"),
    "never": (lambda p: taught(p / "new", [bad(0)], times=0), UsageError, "is not from 1 to 1000"),
    "too often": (lambda p: taught(p / "new", [bad(0)], times=1001), UsageError, "is not from 1 to 1000"),
    "a detector alone": (
        lambda p: taught(p / "new", [bad(0)], row="PatchCore"),
        BundleError,
        "there is nothing to teach",
    ),
}


@pytest.mark.parametrize(("attempt", "kind", "words"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_learnt_is_told(
    tmp_path: Path, attempt: Callable[[Path], object], kind: type[SegadError], words: str
) -> None:
    with pytest.raises(kind, match=words) as caught:
        attempt(tmp_path)
    assert caught.value.remedy and not (tmp_path / "new").exists()
