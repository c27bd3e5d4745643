"""Teaching a bundle: the forest that comes of it, what turned, and what stays as it was."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from builders import segad
from forests import run_of
from PIL import Image as Picture
from trained_bundles import bad, bundle_of, good, home

from segad_core.base.digest import array_digest
from segad_core.bundle.format.container import Container
from segad_core.bundle.format.operating_point import calibration_table
from segad_core.bundle.format.tables import read_golden, read_table
from segad_core.bundle.runtime import learning
from segad_core.bundle.runtime.bundle import Bundle
from segad_core.bundle.runtime.learning import Learnt, learn
from segad_core.bundle.runtime.lessons import Lesson
from segad_core.bundle.runtime.selftest import verify
from segad_core.contracts import MapQuality
from segad_core.errors import BundleError, ImageError, SegadError, UsageError
from segad_core.images import decode
from segad_core.operate.image_table import Image, ImageTable
from segad_plugins.final_classifiers.brf import BoostedRandomForest
from segad_plugins.segmenters.static_mask import StaticMask


def taught(
    out: Path, bad: Sequence[Path] = (), good: Sequence[Path] = (), times: int = 1, row: str = "SegAD"
) -> Learnt:
    with Bundle.load(bundle_of(row), "cpu") as bundle:
        return learn(bundle, out, bad, good, times)


def linked(link: Path) -> Path:
    """A link that leads nowhere."""
    link.symlink_to("nowhere")
    return link


def of_the_test(label: int) -> list[Path]:
    """The calibration images with a label."""
    with Bundle.load(bundle_of("SegAD"), "cpu") as bundle:
        return [home() / "data" / "a" / one.id for one in bundle.calibration().images if one.label == label]


def of_the_training(label: int) -> list[Path]:
    folder = home() / "data" / "a" / ("bad" if label else "good")
    return sorted(set(folder.iterdir()) - set(of_the_test(label)))


def shown(path: Path) -> str:
    """What identifies an image, whatever file it is in."""
    return array_digest(decode(path).pixels)


def everything(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("row", ["SegAD", "All"])
@pytest.mark.parametrize("times", [1, 3])
def test_the_forest_is_the_one_of_the_training_table_and_the_taught_images(
    tmp_path: Path, row: str, times: int
) -> None:
    escapes, overkill = of_the_test(1)[:2], of_the_test(0)[:1]
    found = taught(tmp_path / "new", escapes, overkill, times, row)
    with Bundle.load(bundle_of(row), "cpu") as old, Bundle.load(tmp_path / "new", "cpu") as new:
        table = read_table(old.container, "training")
        seen = [one.features for one in old.inspect([*escapes, *overkill]) if one.features is not None]
        lessons, labels = np.repeat(np.stack(seen), times, axis=0), np.repeat([1, 1, 0], times)
        forest = BoostedRandomForest(BoostedRandomForest.Params(n_estimators=3, num_parallel_tree=20))
        features = np.concatenate([table.features, lessons])
        forest.fit(features, old.manifest.pipeline.names, np.concatenate([table.labels(), labels]), run_of(0))
        images = [*escapes, *overkill, *of_the_test(0)[3:6]]
        expected = forest.margins(
            np.stack([i.features for i in old.inspect(images) if i.features is not None])
        )
        np.testing.assert_array_equal([one.score for one in new.predict(images)], expected)
        assert [one.after for one in found.taught] == expected[:3].tolist()
        assert [one.before for one in found.taught] == [one.score for one in old.predict(images[:3])]
        assert len(read_table(new.container, "training").images) == len(table.images) + 3 * times


def test_everything_but_the_forest_and_its_scores_stays(tmp_path: Path) -> None:
    before = everything(bundle_of("All"))
    taught(tmp_path / "new", of_the_test(1)[:1], row="All")
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


@pytest.mark.parametrize(("rule", "label"), [(("--catch", "0.95"), 0), (("--false-rejects", "1/10"), 1)])
def test_what_turned_is_what_the_bundles_say(tmp_path: Path, rule: tuple[str, str], label: int) -> None:
    """Both ways: taught that bad is good and good is bad, much turns, and back when taught the truth."""
    shutil.copytree(bundle_of("SegAD"), tmp_path / "0")
    assert segad("operate", tmp_path / "0", *rule).exit_code == 0
    goods, bads = of_the_training(0)[:4], of_the_training(1)[:4]
    turned = set()
    for number, (as_bad, as_good) in enumerate(((goods, bads), (bads, goods))):
        old_path, new_path = tmp_path / str(number), tmp_path / str(number + 1)
        with Bundle.load(old_path, "cpu") as old:
            found = learn(old, new_path, as_bad, as_good, times=20)
        compare(old_path, new_path, found)
        turned |= {(change.label, change.right) for change in found.regression if change.flipped}
    assert turned >= {(label, False), (label, True)}


def compare(old_path: Path, new_path: Path, found: Learnt) -> None:
    """What was found is what the bundles say of all images that trained neither."""
    paths = {one.id: home() / "data" / "a" / one.id for one in _calibration(bundle_of("SegAD"))}
    assert [change.image for change in found.regression] == list(paths)
    with Bundle.load(old_path, "cpu") as old, Bundle.load(new_path, "cpu") as new:
        for change, was, now in zip(
            found.regression, old.predict(paths.values()), new.predict(paths.values()), strict=True
        ):
            assert (change.before, change.was) == (was.score, was.verdict)
            assert (change.after, change.now) == (now.score, now.verdict)
            assert change.flipped == (was.verdict != now.verdict)
            assert change.right == ((now.verdict == "NG") == change.image.startswith("bad/"))
            assert change.label == change.image.startswith("bad/")
        assert found.before == old.operating_point and found.after == new.operating_point


def _calibration(path: Path) -> list[Image]:
    container = Container(path)
    images = list(calibration_table(container).table.images)
    container.close()
    return images


def test_taught_test_images_are_test_images_no_more(tmp_path: Path) -> None:
    lessons = of_the_test(1)[:2]
    found = taught(tmp_path / "new", lessons)
    assert (found.before.caught.of, found.before.rejected.of) == (4, 10)
    assert (found.after.caught.of, found.after.rejected.of) == (4, 10)
    counted = sum(c.was == "NG" for c in found.regression if c.label)
    assert found.before.caught.count == counted
    assert len(found.regression) == 14
    assert not {str(one) for one in lessons} & {
        str(home() / "data/a" / one.image) for one in found.regression
    }
    assert "2 of the test images were" in found.notes[-1]
    assert {shown(one) for one in lessons}.isdisjoint(one.digest for one in _calibration(tmp_path / "new"))
    with Bundle.load(tmp_path / "new", "cpu") as new:
        again = learn(new, tmp_path / "again", bad=of_the_test(1)[2:3])
    assert again.after.caught.of == 3
    assert again.notes == [found.notes[-1].replace("2 of the test images were", "1 of the test images was")]


def test_the_threshold_is_set_by_the_bundles_rule(tmp_path: Path) -> None:
    found = taught(tmp_path / "new", of_the_training(1)[:1])
    assert found.after.rule == found.before.rule
    scores = sorted(c.after for c in found.regression if c.label)
    assert found.after.threshold <= scores[0]  # catch 0.95 of six is all of them
    assert all(c.now == "NG" for c in found.regression if c.label)


def test_the_new_bundle_is_sound_to_the_last_bit(tmp_path: Path) -> None:
    taught(tmp_path / "new", of_the_test(1)[:3], of_the_test(0)[:3])  # golden images among them
    with Bundle.load(tmp_path / "new", "cpu") as new:
        found = verify(new)
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
    learnt = next(one for one in of_the_training(0) if shown(one) in _training(bundle_of("SegAD")))
    found = taught(tmp_path / "new", [learnt])
    (note,) = found.notes
    assert note.startswith(f"{learnt}: ") and "before, as good" in note
    assert _training(tmp_path / "new")[shown(learnt)] == [1]
    with Bundle.load(tmp_path / "new", "cpu") as new:
        back = learn(new, tmp_path / "back", good=[learnt], times=2)
    (note,) = back.notes
    assert note.startswith(f"{learnt}: ") and "before, as bad" in note
    assert _training(tmp_path / "back")[shown(learnt)] == [0, 0]


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
    assert _training(tmp_path / "new")[shown(bad(0))] == [1]


def test_a_copy_in_another_format_is_the_same_image(tmp_path: Path) -> None:
    """Of a test image, which then is one no more; of one that was learnt from; of one that is named twice."""
    known = of_the_training(1)[0]
    places = (("a.bmp", of_the_test(1)[0]), ("b.bmp", known), ("c.tif", known))
    for name, path in places:
        Picture.fromarray(decode(path).pixels).save(tmp_path / name)
    found = taught(tmp_path / "new", [tmp_path / "a.bmp", tmp_path / "b.bmp", tmp_path / "c.tif"])
    assert [one.image for one in found.taught] == [str(tmp_path / "a.bmp"), str(tmp_path / "b.bmp")]
    assert found.after.caught.of == 5
    assert found.notes[0].startswith(f"{tmp_path / 'b.bmp'}: ") and "before, as bad" in found.notes[0]
    assert found.notes[1].startswith("1 of the test images was")


def table_of(images: Sequence[Image]) -> ImageTable:
    features = np.arange(2.0 * len(images)).reshape(-1, 2)
    return ImageTable(images, features, np.zeros(len(images)))


def test_a_known_image_keeps_its_features_and_its_damaged_twin() -> None:
    """Its features may be those of a classifier that had not seen it; the twin is another image."""
    a, b = "a" * 64, "b" * 64
    known = table_of(
        [
            Image(id="a", digest=a, label=0),
            Image(id="b", digest=b, label=0),
            Image(id="a", digest=a, label=1, artificial=True),
        ]
    )
    now = np.array([7.0, 7.0])
    lesson = Lesson("a.png", Image(id="a.png", digest=a, label=1, taught=True), 0.5, now, "")
    fresh = Lesson("c.png", Image(id="c.png", digest="c" * 64, label=1, taught=True), 0.5, now, "")
    found, notes = learning._with_lessons(known, [lesson, fresh], 2)
    assert [(one.id, one.label) for one in found.images] == [
        ("b", 0),
        ("a", 1),
        *[("a.png", 1)] * 2,
        *[("c.png", 1)] * 2,
    ]
    np.testing.assert_array_equal(found.features, [[2, 3], [4, 5], [0, 1], [0, 1], [7, 7], [7, 7]])
    (note,) = notes
    assert note.startswith("a.png: ") and "before, as good" in note


def test_a_part_in_doubt_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    doubt = MapQuality(0.1, "no part in sight")
    monkeypatch.setattr(StaticMask, "quality", lambda self, batch: [doubt] * len(batch))
    found = taught(tmp_path / "new", of_the_training(1)[:1])
    assert str(of_the_training(1)[0]) in found.notes[0] and "no part in sight" in found.notes[0]


def test_the_same_lessons_make_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        taught(tmp_path / name, [bad(0)], [good(0)], 2)
    assert everything(tmp_path / "one") == everything(tmp_path / "two")


REFUSED: dict[str, tuple[Callable[[Path], object], type[SegadError], str]] = {
    "nothing": (lambda p: taught(p / "new"), UsageError, "nothing to learn"),
    "good and bad": (
        lambda p: taught(p / "new", [bad(0)], [bad(0)]),
        UsageError,
        "good and as bad",
    ),
    "no such file": (
        lambda p: taught(p / "new", [p / "gone.png"]),
        ImageError,
        "gone.png: there is no",
    ),
    "no image": (
        lambda p: taught(p / "new", [home() / "trained.yaml"]),
        ImageError,
        "trained.yaml: is not an image",
    ),
    "is there": (lambda p: taught(home(), [bad(0)]), UsageError, "already exists"),
    "is a link to nowhere": (
        lambda p: taught(linked(p / "link"), [bad(0)]),
        UsageError,
        "already exists",
    ),
    "never": (lambda p: taught(p / "new", [bad(0)], times=0), UsageError, "times (0|1001): .* 1 and 1000"),
    "too often": (
        lambda p: taught(p / "new", [bad(0)], times=1001),
        UsageError,
        "times (0|1001): .* 1 and 1000",
    ),
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
