"""Teaching a bundle: the final classifier anew with a few images more, and what that turns."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from segad_core.bundle.building import Builder
from segad_core.bundle.container import Container
from segad_core.bundle.operating import (
    FILE,
    OperatingPoint,
    calibration_table,
    operating_json,
    operating_point,
)
from segad_core.bundle.prediction import Verdict
from segad_core.bundle.tables import GOLDEN, Image, ImageTable, read_golden, read_table
from segad_core.bundle.writing import write_bundle
from segad_core.contracts import FinalClassifier
from segad_core.digest import file_digest
from segad_core.errors import BundleError, ImageError, UsageError
from segad_core.files import as_text

if TYPE_CHECKING:
    from segad_core.bundle.bundle import Bundle

GOOD: Final = 0
BAD: Final = 1
MOST_TIMES = 1000


@dataclass(frozen=True)
class Change:
    """What a bundle said of an image before it was taught, and says now.

    Attributes:
        image: its path as it was given, or its id among the calibration images.
        label: 0 good, 1 bad.
        before, after: scores; higher is worse.
        was, now: verdicts by the thresholds of then and now; of what may be in doubt only the side is told.
    """

    image: str
    label: int
    before: float
    after: float
    was: Verdict
    now: Verdict

    @property
    def flipped(self) -> bool:
        """Whether the verdict is another one."""
        return self.was != self.now

    @property
    def right(self) -> bool:
        """Whether the verdict is now what the label says."""
        return (self.now == "NG") == (self.label == BAD)


@dataclass(frozen=True)
class Learnt:
    """What teaching a bundle came to.

    Attributes:
        taught: the images that it was taught.
        regression: the calibration images that trained nothing, then or now: what else turned.
        before, after: the operating point on those images; both by the bundle's rule.
        notes: what a person should know.
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


def learn(bundle: Bundle, bad: Sequence[Path], good: Sequence[Path], out: Path, times: int) -> Learnt:
    """Fits the final classifier anew with images more, and writes the bundle that comes of it.

    Detectors, classifiers and segmenter stay as they are. The threshold is set anew by the bundle's rule, on
    its calibration images without those that are taught.

    Args:
        bundle: stays as it is.
        bad: missed parts.
        good: parts that were rejected wrongly.
        out: must not be there yet.
        times: how often each image counts.

    Raises:
        UsageError: there is nothing to learn from, or an image is given as good and as bad.
        ImageError: an image cannot be scored.
        BundleError: the bundle has nothing that learns, or the new one cannot be written.
    """
    container, given = bundle.container, bundle.manifest.pipeline
    if given.final is None:
        raise BundleError(
            f"{container.path}: its row has no final classifier: there is nothing to teach",
            "Make the bundle of a row with SegAD.",
        )
    if out.exists():
        raise UsageError(f"{out}: is there already", "Name another place with -o, or move it away.")
    if not 1 <= times <= MOST_TIMES:
        raise UsageError(f"--times {times}: is not from 1 to {MOST_TIMES}")
    lessons = _lessons(bundle, bad, good)
    known = read_table(container, "training")
    training, notes = _with_lessons(known, lessons, times)
    final: FinalClassifier = Builder(container, bundle.registry, bundle.device).component(
        "final_classifiers", given.final
    )
    final.fit(training.features, given.names, training.labels(), given.seed)
    tested = read_table(container, "calibration")
    fresh = ImageTable(tested.images, tested.features, _margins(container, final, tested.features))
    regression = _untaught(fresh, training)
    before, after = bundle.operating_point, operating_point(regression, bundle.operating_point.rule)
    changes = _regression(tested, regression, before.threshold, after.threshold)
    scores = _margins(container, final, np.stack([one.features for one in lessons]))
    taught = [
        _change(
            lesson.path,
            lesson.image.label,
            (lesson.score, float(score)),
            (before.threshold, after.threshold),
        )
        for lesson, score in zip(lessons, scores, strict=True)
    ]
    contents: dict[str, bytes | Path] = {
        name: container.file(name) for name in bundle.manifest.files if not name.startswith("final/")
    }
    contents |= {f"final/{name}": data for name, data in final.state().items()}
    contents |= training.files("training") | fresh.files("calibration")
    contents |= {FILE: operating_json(after), GOLDEN: _golden(container, fresh, lessons)}
    provenance = bundle.manifest.provenance
    count = provenance.learnt + len(lessons)
    manifest = bundle.manifest.model_copy(
        update={"provenance": provenance.model_copy(update={"learnt": count})}
    )
    write_bundle(out, manifest, contents)
    left_out = len(tested.images) - len(regression.images) - calibration_table(container).learnt
    if left_out:
        notes.append(f"{left_out} of the test images were taught: they are test images no more")
    return Learnt(taught, changes, before, after, notes)


def _lessons(bundle: Bundle, bad: Sequence[Path], good: Sequence[Path]) -> list[_Lesson]:
    """The images to learn from, each once whatever names lead to it, with what the bundle says of them."""
    labels: dict[str, tuple[str, int]] = {}
    for label, paths in ((BAD, bad), (GOOD, good)):
        for path in paths:
            try:
                digest = file_digest(path)
            except OSError as error:
                raise ImageError(f"{path}: cannot be read ({error.strerror or error})") from error
            other, known = labels.setdefault(digest, (str(path), label))
            if known != label:
                raise UsageError(
                    f"{path}: is given as good, and as bad ({other})", "Say which of them it is."
                )
    if not labels:
        raise UsageError("there is nothing to learn from", "Name images with --bad or --good.")
    found = bundle.inspect([name for name, _ in labels.values()], explain=False)
    lessons = []
    for (digest, (name, label)), one in zip(labels.items(), found, strict=True):
        if one.prediction.score is None or one.features is None:
            raise ImageError(f"{name}: {one.prediction.reason}", "Nothing was learnt.")
        image = Image(id=as_text(name), digest=digest, label=BAD if label else GOOD, taught=True)
        lessons.append(_Lesson(name, image, one.prediction.score, one.features))
    return lessons


def _with_lessons(known: ImageTable, lessons: Sequence[_Lesson], times: int) -> tuple[ImageTable, list[str]]:
    """What is learnt from now: what one image is said to be now stands in place of what it was said to be."""
    digests, notes = {lesson.image.digest for lesson in lessons}, list[str]()
    for lesson in lessons:
        was = {one.label for one in known.images if one.digest == lesson.image.digest}
        if was:
            said = "as good and as bad" if len(was) > 1 else "as bad" if BAD in was else "as good"
            notes.append(f"{lesson.path}: was learnt from before, {said}; what is said now counts")
    kept = [i for i, one in enumerate(known.images) if one.digest not in digests]
    added = [lesson for lesson in lessons for _ in range(times)]
    images = [*(known.images[i] for i in kept), *(lesson.image for lesson in added)]
    features = np.concatenate([known.features[kept], np.stack([lesson.features for lesson in added])])
    return ImageTable(images, features, np.zeros(len(images))), notes


def _untaught(tested: ImageTable, training: ImageTable) -> ImageTable:
    """The images that trained nothing."""
    learnt = {one.digest for one in training.images}
    kept = [i for i, one in enumerate(tested.images) if one.digest not in learnt]
    return ImageTable([tested.images[i] for i in kept], tested.features[kept], tested.scores[kept])


def _regression(tested: ImageTable, now: ImageTable, old: float, new: float) -> list[Change]:
    before = dict(zip((one.digest for one in tested.images), tested.scores.tolist(), strict=True))
    return [
        _change(image.id, image.label, (before[image.digest], score), (old, new))
        for image, score in zip(now.images, now.scores.tolist(), strict=True)
    ]


def _change(image: str, label: int, scores: tuple[float, float], thresholds: tuple[float, float]) -> Change:
    was, now = ("NG" if s >= t else "OK" for s, t in zip(scores, thresholds, strict=True))
    return Change(image, label, *scores, was, now)  # type: ignore[arg-type]


def _margins(
    container: Container, final: FinalClassifier, features: NDArray[np.float64]
) -> NDArray[np.float64]:
    scores = np.asarray(final.margins(features), np.float64)
    if scores.shape != (len(features),) or not np.isfinite(scores).all():
        raise BundleError(f"{container.path}: its final classifier gives scores that are not finite")
    return scores


def _golden(container: Container, tested: ImageTable, lessons: Sequence[_Lesson]) -> bytes:
    """The self-test with the scores of now; its images are test images, of which the features are known."""
    scores: Mapping[str, float] = dict(
        zip((one.digest for one in tested.images), tested.scores.tolist(), strict=True)
    )
    labels = {lesson.image.digest: lesson.image.label for lesson in lessons}
    listed: list[dict[str, Any]] = []
    for golden in read_golden(container):
        digest = container.manifest.files[golden.file].sha256
        if digest not in scores:
            raise BundleError(
                f"{container.path}: '{golden.file}' is none of its calibration images",
                "Make the bundle again.",
            )
        label = labels.get(digest, golden.label)
        listed.append({"file": golden.file, "label": label, "score": scores[digest]})
    return json.dumps(listed, indent=1).encode()
