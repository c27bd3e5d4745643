"""Teaching a bundle: refits the final classifier with more images and compares the verdicts."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from segad_core.base.checked import shown
from segad_core.base.digest import array_digest
from segad_core.base.locks import held
from segad_core.base.resources import guarded
from segad_core.base.text import in_one_line
from segad_core.bundle.format.container import Container
from segad_core.bundle.format.operating_point import FILE, operating_json
from segad_core.bundle.format.states import FINAL, final_files
from segad_core.bundle.format.tables import GOLDEN, golden_json, read_golden, read_table, table_files
from segad_core.bundle.format.writing import Content, write_bundle
from segad_core.bundle.runtime.building import Builder, scores_of
from segad_core.bundle.runtime.bundle import Bundle
from segad_core.bundle.runtime.opening import check_several, whole
from segad_core.bundle.runtime.prediction import Verdict, side
from segad_core.contracts import FinalClassifier, Run
from segad_core.errors import BundleError, ImageError, SegadError, UsageError
from segad_core.operate.image_table import Image, ImageTable
from segad_core.operate.operating_point import OperatingPoint, measure, operating_point

GOOD: Final = 0
BAD: Final = 1
MOST_TIMES = 1000


@dataclass(frozen=True)
class Change:
    """The scores and verdicts of an image before and after teaching.

    Attributes:
        image: its path as it was passed, or its id among the calibration images.
        label: 0 good, 1 bad.
        before, after: scores; higher is worse.
        was, now: verdicts at the thresholds before and after, whether or not the segmentation is doubtful.
    """

    image: str
    label: int
    before: float
    after: float
    was: Verdict
    now: Verdict

    @property
    def flipped(self) -> bool:
        """Whether the verdict changed."""
        return self.was != self.now

    @property
    def right(self) -> bool:
        """Whether the verdict now agrees with the label."""
        return (self.now == "NG") == (self.label == BAD)


@dataclass(frozen=True)
class Learnt:
    """The result of teaching a bundle.

    Attributes:
        taught: the images that it was taught.
        regression: the calibration images that nothing was ever trained on: which other verdicts changed.
        before, after: the operating points before and after, by the bundle's rule, both on those images.
        notes: what the user should know.
    """

    taught: Sequence[Change]
    regression: Sequence[Change]
    before: OperatingPoint
    after: OperatingPoint
    notes: Sequence[str]


@dataclass(frozen=True)
class _Lesson:
    """An image to be learnt, scored by the bundle as it is."""

    path: str
    image: Image
    score: float
    features: NDArray[np.float64]
    doubt: str


def learn(
    bundle: Bundle,
    out: str | Path,
    bad: Iterable[str | Path] = (),
    good: Iterable[str | Path] = (),
    times: int = 1,
) -> Learnt:
    """Refits the final classifier with more images and writes a new bundle.

    Detectors, classifiers and segmenter stay as they are. The threshold is set again by the bundle's rule, on
    the calibration images that are not taught.

    Args:
        bundle: is not changed.
        out: must not exist yet.
        bad: missed parts.
        good: falsely rejected parts.
        times: how often each image counts.

    Raises:
        UsageError: there is nothing to learn, or an image is passed as both good and bad.
        ImageError: an image cannot be scored.
        BundleError: the bundle has nothing that learns, or the new one cannot be written.
    """
    check_several(bad)
    check_several(good)
    out = Path(out)
    _check(bundle, out, times)
    with held(out, "Wait until it has finished, or choose another place."):
        return _learn(bundle, out, list(bad), list(good), times)


def _learn(
    bundle: Bundle, out: Path, bad: Sequence[str | Path], good: Sequence[str | Path], times: int
) -> Learnt:
    container = bundle.container
    lessons = _lessons(bundle, [Path(one) for one in bad], [Path(one) for one in good])
    known = read_table(container, "training")
    training, notes = _with_lessons(known, lessons, times)
    final = _refitted(bundle, training)
    tested = read_table(container, "calibration")
    fresh = ImageTable(tested.images, tested.features, scores_of(container, final, tested.features))
    old, new, point = tested.without(training), fresh.without(training), bundle.operating_point
    before, after = measure(old, point.rule, point.threshold), operating_point(new, point.rule)
    thresholds = (before.threshold, after.threshold)
    pairs = np.stack([old.scores, new.scores], axis=1).tolist()
    changes = [_change(i.id, i.label, p, thresholds) for i, p in zip(new.images, pairs, strict=True)]
    scores = scores_of(container, final, np.stack([one.features for one in lessons]))
    taught = [
        _change(lesson.path, lesson.image.label, (lesson.score, float(score)), thresholds)
        for lesson, score in zip(lessons, scores, strict=True)
    ]
    written = table_files(training, "training") | table_files(fresh, "calibration")
    written |= {FILE: operating_json(after), GOLDEN: _golden(container, fresh, lessons)}
    _write(bundle, out, training, final_files(final.state()) | written)
    if left_out := len(tested.without(known).images) - len(new.images):
        notes.append(
            f"{left_out} of the test images were used for teaching and are no longer test images. They were "
            "not chosen at random, so the figures for the rest may be optimistic"
        )
    return Learnt(taught, changes, before, after, notes)


def _check(bundle: Bundle, out: Path, times: int) -> None:
    if bundle.manifest.pipeline.final is None:
        raise BundleError(
            f"{bundle.container.path}: its row has no final classifier, so there is nothing to teach",
            "Make the bundle from a row with SegAD.",
        )
    if os.path.lexists(out):
        raise UsageError(f"{out}: already exists", "Choose another place with -o, or move it away.")
    if not 1 <= times <= MOST_TIMES:
        raise UsageError(f"--times {times}: is not between 1 and {MOST_TIMES}", "Choose a number in between.")


def _refitted(bundle: Bundle, training: ImageTable) -> FinalClassifier:
    """The final classifier, trained again on a table.

    Raises:
        SegadError: it cannot learn from it.
    """
    container, pipeline = bundle.container, bundle.manifest.pipeline
    assert pipeline.final is not None
    build = Builder(container, bundle.registry, bundle.device)
    final: FinalClassifier = build.component("final_classifiers", pipeline.final)
    run = Run(np.random.SeedSequence(pipeline.seed), groups=training.groups())
    try:
        with guarded(f"teaching the final classifier of {container.path}"):
            final.fit(training.features, pipeline.names, training.labels(), run)
    except SegadError:
        raise
    except Exception as error:  # numbers that are not its own can make a plugin raise anything
        reason = shown(f"{type(error).__name__}: {error}")
        what = f"{container.path}: its final classifier cannot learn from its tables ({reason})"
        raise BundleError(what, "Make the bundle again.") from error
    return final


def _write(bundle: Bundle, out: Path, training: ImageTable, changed: Mapping[str, Content]) -> None:
    """Writes a bundle that differs in its final classifier, its tables and its operating point."""
    container, manifest = bundle.container, bundle.manifest
    contents: dict[str, Content] = {
        name: container.member(name) for name in manifest.files if not name.startswith(FINAL)
    }
    count = len({one.digest for one in training.images if one.taught})
    provenance = manifest.provenance.model_copy(update={"learnt": count})
    write_bundle(out, manifest.model_copy(update={"provenance": provenance}), {**contents, **changed})


def _lessons(bundle: Bundle, bad: Sequence[Path], good: Sequence[Path]) -> list[_Lesson]:
    """The images to learn from, scored; each once, whatever names lead to it."""
    labels: dict[str, tuple[str, int]] = {}
    for label, paths in ((BAD, bad), (GOOD, good)):
        for path in paths:
            digest = array_digest(whole(path, bundle.manifest.pipeline.white))
            other, known = labels.setdefault(digest, (str(path), label))
            if known != label:
                raise UsageError(
                    f"{path}: is passed as good and as bad ({other})",
                    "Pass it with --good or with --bad, not both.",
                )
    if not labels:
        raise UsageError("there is nothing to learn", "Name images with --bad or --good.")
    inspections = bundle.inspect([name for name, _ in labels.values()], explain=False)
    lessons = []
    for (digest, (name, label)), one in zip(labels.items(), inspections, strict=True):
        if one.prediction.score is None or one.features is None:
            raise ImageError(f"{name}: {one.prediction.reason}", "Nothing was learnt.")
        image = Image(id=in_one_line(name), digest=digest, label=BAD if label else GOOD, taught=True)
        lessons.append(_Lesson(name, image, one.prediction.score, one.features, one.doubt))
    return lessons


def _with_lessons(known: ImageTable, lessons: Sequence[_Lesson], times: int) -> tuple[ImageTable, list[str]]:
    """The new training table: a lesson replaces what the same image was labelled before."""
    notes = [f"{one.path}: {one.doubt}; it is used anyway" for one in lessons if one.doubt]
    digests = {lesson.image.digest for lesson in lessons}
    lines = {
        one.digest: i for i, one in enumerate(known.images) if one.digest in digests and not one.artificial
    }
    for lesson in lessons:
        was = {one.label for one in known.images if one.digest == lesson.image.digest and not one.artificial}
        if was:
            label = "as good and as bad" if len(was) > 1 else "as bad" if BAD in was else "as good"
            notes.append(f"{lesson.path}: was learnt before, {label}; the new label counts")
    kept = known.only(
        [i for i, one in enumerate(known.images) if one.artificial or one.digest not in digests]
    )
    added = [lesson for lesson in lessons for _ in range(times)]
    # features of a known image may come from a classifier that had not seen it, and are kept
    features = [
        known.features[lines[d]] if (d := one.image.digest) in lines else one.features for one in added
    ]
    images = [*kept.images, *(lesson.image for lesson in added)]
    return ImageTable(images, np.concatenate([kept.features, features]), np.zeros(len(images))), notes


def _change(image: str, label: int, scores: Sequence[float], thresholds: Sequence[float]) -> Change:
    was, now = (side(s, t) for s, t in zip(scores, thresholds, strict=True))
    return Change(image, label, scores[0], scores[1], was, now)


def _golden(container: Container, tested: ImageTable, lessons: Sequence[_Lesson]) -> bytes:
    """The golden images with their new scores; they are test images, whose features are known."""
    scores = dict(zip((one.digest for one in tested.images), tested.scores.tolist(), strict=True))
    labels = {lesson.image.digest: lesson.image.label for lesson in lessons}
    listed = []
    for golden in read_golden(container):
        if golden.digest not in scores:
            raise BundleError(
                f"{container.path}: '{golden.file}' is not one of its calibration images",
                "Make the bundle again.",
            )
        label, score = labels.get(golden.digest, golden.label), scores[golden.digest]
        listed.append(golden.model_copy(update={"label": label, "score": score}))
    return golden_json(listed)
