"""Teaching a bundle: refits what learns quickly with more images, and compares the verdicts."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segad_core.base.checked import shown
from segad_core.base.formats import arrays_to_bytes
from segad_core.base.locks import held
from segad_core.base.resources import guarded
from segad_core.base.text import in_one_line
from segad_core.bundle.format.container import Container
from segad_core.bundle.format.operating_point import FILE, judged_units, operating_json, untaught
from segad_core.bundle.format.states import EXPORTED, FINAL, final_files
from segad_core.bundle.format.tables import GOLDEN, golden_json, read_golden, read_table, table_files
from segad_core.bundle.format.vectors import MOST_TIMES, images_learnt_from, vector_files
from segad_core.bundle.format.writing import Content, write_bundle
from segad_core.bundle.runtime.building import Builder, scores_of
from segad_core.bundle.runtime.bundle import Bundle
from segad_core.bundle.runtime.golden import units_of
from segad_core.bundle.runtime.learnt import BAD, Change, Learnt, change_of, in_part
from segad_core.bundle.runtime.lessons import Lesson, lessons_of
from segad_core.bundle.runtime.opening import check_several
from segad_core.bundle.runtime.relearning import Relearnt, relearnt, vectors_kept
from segad_core.bundle.runtime.together import regrouped, with_groups
from segad_core.contracts import FinalClassifier, Run
from segad_core.errors import BundleError, SegadError, UsageError
from segad_core.operate.image_table import ImageTable
from segad_core.operate.operating_point import measure, operating_point


def learn(
    bundle: Bundle,
    out: str | Path,
    bad: Iterable[str | Path] = (),
    good: Iterable[str | Path] = (),
    times: int = 1,
) -> Learnt:
    """Refits the final classifier with more images and writes a new bundle.

    A classifier that learns from vectors is refitted too, if the bundle keeps its vectors; the final
    classifier then learns from its new scores. Detectors, other classifiers and the segmenter stay as they
    are. The threshold is set again by the bundle's rule, on the calibration images that are not taught.

    New images of one label are one group, as of one lot: cross-validation does not divide them.

    Args:
        bundle: is not changed.
        out: must not exist yet.
        bad: missed parts.
        good: falsely rejected parts.
        times: how often each image counts.

    Raises:
        UsageError: there is nothing to learn, an image is both good and bad, or `times` is too high.
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
    container, kept = bundle.container, vectors_kept(bundle)
    if kept is None and bundle.manifest.pipeline.final is None:
        raise _nothing_learns(bundle)
    lessons = lessons_of(bundle, [Path(one) for one in bad], [Path(one) for one in good])
    known, tested = _learnt_from(container), read_table(container, "calibration")
    learnt = [*known.images, *([one.image for one in kept[1].images] if kept else [])]
    images, numbers = with_groups([lesson.image for lesson in lessons], learnt, tested.images)
    known = replace(known, images=regrouped(known.images, numbers))
    lessons = [replace(one, image=image) for one, image in zip(lessons, images, strict=True)]
    training, notes = _with_lessons(known, lessons, times)
    features, told = tested.features, np.stack([one.features for one in lessons])
    written: dict[str, Content] = {}
    refitted: list[str] = []
    scores = tested.scores, np.array([one.score for one in lessons])
    if kept is not None:
        alias, vectors = kept
        taught = [(lesson.image, lesson.vectors[alias]) for lesson in lessons]
        joined = vectors.of(regrouped([one.image for one in vectors.images], numbers))
        again = relearnt(bundle, alias, joined, taught, times)
        own = np.stack([again.taught[lesson.image.digest] for lesson in lessons])
        scores = again.calibration[:, 0], own[:, 0]
        if bundle.pipeline.segad is not None:
            training = _rescored(container, training, again)
            features, told = _with_scores(features, again.calibration), _with_scores(told, own)
        state = f"classifiers/{alias}.safetensors"
        written |= {state: arrays_to_bytes(again.classifier.state()), **vector_files(alias, again.table)}
        refitted.append(f"classifier '{alias}'")
    if bundle.manifest.pipeline.final is not None:
        final = _refitted(bundle, training)
        scores = scores_of(container, final, features), scores_of(container, final, told)
        written |= final_files(final.state()) | table_files(training, "training")
        refitted.append("final classifier")
    fresh = ImageTable(tested.images, features, scores[0])
    old, new = (untaught(container, table, training.images) for table in (tested, fresh))
    point = bundle.operating_point
    before, after = measure(old, point.rule, point.threshold), operating_point(new, point.rule)
    thresholds = (before.threshold, after.threshold)
    pairs = np.stack([old.scores, new.scores], axis=1).tolist()
    changes = [change_of(i.id, i.label, p, thresholds) for i, p in zip(new.images, pairs, strict=True)]
    taught_changes = _changes_of_taught(container, lessons, told, scores[1], thresholds)
    written |= table_files(fresh, "calibration")
    written |= {FILE: operating_json(after), GOLDEN: _golden(container, fresh, lessons)}
    _write(bundle, out, training, written)
    if left_out := len(untaught(container, tested, known.images).images) - len(new.images):
        were = "was" if left_out == 1 else "were"
        notes.append(
            f"{left_out} of the test {after.counted}s {were} used for teaching, so no longer for the test. "
            "Such images are not chosen at random, so the figures for the rest may be optimistic"
        )
    return Learnt(taught_changes, changes, before, after, notes, refitted)


def _nothing_learns(bundle: Bundle) -> BundleError:
    worst = " and parts.verdict: worst" * (bundle.manifest.pipeline.parts is not None)
    return BundleError(
        f"{bundle.container.path}: its row has no final classifier, so there is nothing to teach",
        "Make the bundle from a row with SegAD, or with a classifier that learns from vectors. From the "
        f"first bad images on: add the images to the data set, and fit a row with final: blend{worst}.",
    )


def _changes_of_taught(
    container: Container,
    lessons: Sequence[Lesson],
    features: NDArray[np.float64],
    scores: NDArray[np.float64],
    thresholds: tuple[float, float],
) -> list[Change]:
    """What the old and the new bundle say of what was taught: images, or parts where these are judged.

    Args:
        container: of the old bundle.
        lessons: with the old scores.
        features, scores: the new ones of the lessons.
        thresholds: the old and the new one.
    """
    given = [lesson.image.model_copy(update={"id": in_one_line(lesson.path)}) for lesson in lessons]
    before, after = (
        judged_units(container, ImageTable(given, features, np.asarray(own, np.float64)))
        for own in ([lesson.score for lesson in lessons], scores)
    )
    pairs = zip(before.scores, after.scores, strict=True)
    partly = in_part(container.manifest.pipeline.parts, given)
    return [
        change_of(image.id, image.label, pair, thresholds, partly.get(image.serial, ""))
        for image, pair in zip(before.images, pairs, strict=True)
    ]


def _learnt_from(container: Container) -> ImageTable:
    """The images that the final classifier, or a classifier alone, learnt from before."""
    if container.manifest.pipeline.final is not None:
        return read_table(container, "training")
    return ImageTable.of(images_learnt_from(container))


def _rescored(container: Container, training: ImageTable, again: Relearnt) -> ImageTable:
    """The training table with the classifier's new scores, out of fold where the bundle has folds."""
    missing = [one.digest for one in training.images if one.digest not in again.training]
    if missing:
        raise BundleError(
            f"{container.path}: the vectors of its classifier '{again.alias}' lack images of 'training.json'",
            "Make the bundle again.",
        )
    scores = np.stack([again.training[one.digest] for one in training.images])
    return replace(training, features=_with_scores(training.features, scores))


def _with_scores(features: NDArray[np.float64], scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Feature vectors with other scores of the classifier, which come last."""
    return np.concatenate([features[:, : features.shape[1] - scores.shape[1]], scores], axis=1)


def _check(bundle: Bundle, out: Path, times: int) -> None:
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
    final = build.new_final(pipeline.final)
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
    """Writes a bundle that differs in what learnt, in its tables and in its operating point."""
    container, manifest = bundle.container, bundle.manifest
    contents: dict[str, Content] = {
        name: container.member(name) for name in manifest.files if not name.startswith((FINAL, EXPORTED))
    }
    count = len({one.digest for one in training.images if one.taught})
    provenance = manifest.provenance.model_copy(update={"learnt": count})
    write_bundle(out, manifest.model_copy(update={"provenance": provenance}), {**contents, **changed})


def _with_lessons(known: ImageTable, lessons: Sequence[Lesson], times: int) -> tuple[ImageTable, list[str]]:
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


def _golden(container: Container, tested: ImageTable, lessons: Sequence[Lesson]) -> bytes:
    """The golden images with their new scores; they are test images, whose features are known."""
    scores = dict(zip((one.digest for one in tested.images), tested.scores.tolist(), strict=True))
    labels = {lesson.image.digest: lesson.image.label for lesson in lessons}
    listed = []
    for unit in units_of(read_golden(container)):
        if unit.digest not in scores:
            raise BundleError(
                f"{container.path}: '{unit.name}' is not one of its calibration images",
                "Make the bundle again.",
            )
        label, score = labels.get(unit.digest, unit.images[0].label), scores[unit.digest]
        listed += [golden.model_copy(update={"label": label, "score": score}) for golden in unit.images]
    return golden_json(listed)
