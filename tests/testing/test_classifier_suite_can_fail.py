"""Each clause of the classifier suite fails for a plugin that violates it, and passes sound ones.

The clauses that detectors share are tested more thoroughly in test_detector_suite_can_fail.py.
"""

import random

import numpy as np
import pytest
from pickles import keeping_a_pickle

from segad_core import contracts
from segad_core.contracts import to_numpy
from segad_core.errors import PluginError
from segad_core.testing import ClassifierSuite
from segad_core.testing.classifier import _mixed, _ordered


class Classifier(contracts.Classifier):
    """How much nearer an image's darkest and brightest places are to those of the bad than of the good."""

    means = None
    least = 1  # images of a class

    def layers(self):
        return ("layer1",)

    def fit(self, images, labels, run):
        if min((labels == 0).sum(), (labels == 1).sum()) < self.least:
            raise PluginError("too few of one class")
        seen = self.extremes(images.features()["layer1"])
        self.means = np.stack([seen[labels == label].mean(axis=0) for label in (0, 1)])

    def extremes(self, features):
        return np.concatenate([features.min(axis=(2, 3)), features.max(axis=(2, 3))], axis=1)

    def scores(self, batch):
        if self.means is None:
            raise PluginError("not fitted yet")
        seen = self.extremes(to_numpy(batch.features()["layer1"]))
        good, bad = (np.abs(seen - mean).sum(axis=1) for mean in self.means)
        return self.changed((good - bad).astype(np.float64))

    def changed(self, scores):
        return scores

    def state(self):
        if self.means is None:
            raise PluginError("not fitted yet")
        return {"means": self.means}

    def restore(self, state):
        if "means" not in state:
            raise PluginError("an entry is missing")
        self.means = state["means"]


class Trained(Classifier):
    """The same, found in six steps; a killed training goes on where it was."""

    def fit(self, images, labels, run):
        super().fit(images, labels, run)
        goal, self.means, begin = self.means, np.zeros_like(self.means), 0
        if (left := run.checkpoint.load()) is not None:
            self.means, begin = left["means"], int(left["step"])
        for step in range(begin, 6):
            self.means = self.means + np.float32(0.5) * (goal - self.means)
            self.report(run, step + 1)
            if run.checkpoint.due():
                run.checkpoint.save(self.snapshot(step + 1))

    def report(self, run, done):
        run.progress("steps", done, 6)

    def snapshot(self, done):
        return {"means": self.means, "step": np.array(done)}


class Careful(Classifier):
    """The same, for three images of each class at least, and for images of the size that it has seen."""

    least = 3
    size = (64, 96)

    def scores(self, batch):
        if batch.pixels.shape[1:3] != self.size:
            raise PluginError("images of another size")
        return super().scores(batch)


class Vectors(contracts.VectorClassifier):
    """The same from vectors, with a second score."""

    means = None

    def layers(self):
        return ("layer1",)

    def outputs(self):
        return ["score", "bright"]

    def vectors(self, batch):
        features = to_numpy(batch.features()["layer1"])
        return {"dark": features.min(axis=(2, 3)), "bright": features.max(axis=(2, 3))}

    def learn(self, vectors, labels, run):
        if len(set(labels.tolist())) < 2:
            raise PluginError("too few of one class")
        seen = np.concatenate([vectors["dark"], vectors["bright"]], axis=1)
        self.means = np.stack([seen[labels == label].mean(axis=0) for label in (0, 1)])

    def judge(self, vectors):
        seen = np.concatenate([vectors["dark"], vectors["bright"]], axis=1)
        good, bad = (np.abs(seen - mean).astype(np.float64) for mean in self.state()["means"])
        return np.stack([(good - bad).sum(axis=1), (good - bad)[:, 6:].sum(axis=1)], axis=1)

    def state(self):
        return Classifier.state(self)

    def restore(self, state):
        Classifier.restore(self, state)


def classifier(base=Classifier, **methods):
    return type("Broken", (base,), {"__doc__": "A classifier told wrongly.", **methods})


def after(change):
    """A classifier that does something more once it is fitted."""

    def fit(self, images, labels, run):
        Classifier.fit(self, images, labels, run)
        change(self, images, labels, run)

    return classifier(fit=fit)


def off_by_one(self, images, labels, run):
    Classifier.fit(self, images, np.roll(labels, 1), run)


def by_contrast(self, batch):
    """Ranks as an anomaly detector would, whatever the labels said."""
    darkest, brightest = np.split(self.extremes(to_numpy(batch.features()["layer1"])), 2, axis=1)
    return Classifier.scores(self, batch) * 0 + (brightest - darkest).sum(axis=1)


def relabels(self, images, labels, run):
    labels[:] = 1 - labels


def blackens(self, images, labels, run):
    for batch in images.batches():
        batch.pixels[:] = 0


def trembles(self, images, labels, run):
    self.means = self.means + np.random.default_rng().normal(0, 0.01, self.means.shape).astype(np.float32)


def shuffles(self, images, labels, run):
    random.shuffle([*labels])


def picks_one_more(self, images, labels, run):
    images.pick([3]).features()


def keeps_a_half(self, images, labels, run):
    before, self.before = getattr(self, "before", self.means), self.means
    self.means = (before + self.means) / 2


def nothing_of_few(self, images, labels, run):
    if labels.sum() < 3:
        self.means = self.means * np.float32(np.nan)


def breaks_at_few(self, images, labels, run):
    if labels.sum() < 3:
        raise ZeroDivisionError


def in_place(self, batch):
    found = Classifier.scores(self, batch)
    features = to_numpy(batch.features()["layer1"])
    features -= features.mean()
    return found


def encodes_again(self, batch):
    Classifier.scores(self, batch)
    return Classifier.scores(self, batch.with_pixels(batch.pixels))


def not_at_other_sizes(self, batch):
    known = batch.pixels.shape[1:3] == (64, 96)
    return Classifier.scores(self, batch) * (1.0 if known else np.nan)


def unfitted_scores(self, batch):
    self.means = np.zeros((2, 12), np.float32) if self.means is None else self.means
    return Classifier.scores(self, batch)


def restores_anything(self, state):
    self.means = state.get("means", np.zeros((2, 12), np.float32))


def vectors(change):
    """A classifier whose vectors are changed by a function of itself, their name, and themselves."""

    def changed(self, batch):
        return {name: change(self, name, block) for name, block in Vectors.vectors(self, batch).items()}

    return classifier(Vectors, vectors=changed)


def fits_otherwise(self, images, labels, run):
    Vectors.fit(self, images, labels, run)
    self.means = self.means * np.float32(1.5)


def in_place_learnt(self, vectors, labels, run):
    Vectors.learn(self, vectors, labels, run)
    vectors["dark"][:] = 0


def by_rank(self, vectors):
    return np.argsort(np.argsort(Vectors.judge(self, vectors), axis=0), axis=0).astype(np.float64)


SCORES = "test_scores_are_finite_float64"
LABELS = "test_labels_say_what_is_bad"
FEW = "test_few_bad_images_work_or_are_refused"
GIVEN = "test_leaves_the_labels_as_they_are"
RANKS = "test_ranks_visible_defects_above_good_images"
FIT = "test_fit_is_deterministic"
STATE = "test_state_restores_to_the_last_bit"
ALONE = "test_images_do_not_depend_on_their_neighbours"
LEAVES = "test_leaves_the_images_as_they_are"
UNFITTED = "test_use_before_fit_is_refused"
BATCH = "test_encoder_runs_once_per_batch"
ONCE = "test_fit_encodes_each_image_once"
GLOBAL = "test_fit_leaves_global_randomness_alone"
SECOND = "test_a_second_fit_forgets_the_first"
TOLD = "test_progress_is_told_consistently"
KILLED = "test_a_killed_training_goes_on"
LACKS = "test_restore_refuses_what_is_incomplete"
SIZE = "test_images_of_another_size_are_mapped_or_refused"
LAYERS = "test_layers_exist_in_the_encoder"
OUTPUTS = "test_outputs_are_names"
VECTORS = "test_vectors_are_float32"
ITSELF = "test_vectors_depend_on_the_image_alone"
LEARNS = "test_learning_from_vectors_is_fitting"


@pytest.mark.parametrize(
    ("plugin", "expected"),
    [
        (Classifier, ""),
        (Trained, ""),
        (Careful, ""),
        (classifier(changed=lambda self, scores: scores.astype(np.float32)), f"{SCORES} {FEW} {SIZE}"),
        (classifier(changed=lambda self, scores: scores[:, None]), f"{SCORES} {FEW} {SIZE}"),
        (classifier(changed=lambda self, scores: np.log(scores * 0)), f"{SCORES} {FEW} {SIZE}"),
        (classifier(Careful, changed=lambda self, scores: scores.astype(np.float32)), SCORES),
        (classifier(changed=lambda self, scores: -scores), f"{RANKS} {LABELS}"),
        (classifier(changed=lambda self, scores: scores / np.abs(scores).max()), ALONE),
        (classifier(changed=lambda self, scores: np.argsort(np.argsort(scores)).astype(np.float64)), ALONE),
        (classifier(scores=by_contrast), LABELS),
        (classifier(fit=off_by_one), f"{RANKS} {LABELS}"),
        (classifier(least=0), ""),  # nothing calls fit() with one class alone
        (after(nothing_of_few), FEW),
        (after(breaks_at_few), FEW),
        (after(relabels), GIVEN),
        (after(blackens), LEAVES),
        (classifier(scores=in_place), LEAVES),
        (after(trembles), f"{FIT} {GLOBAL} {SECOND} {KILLED}"),
        (after(shuffles), GLOBAL),
        (after(picks_one_more), ONCE),
        (after(keeps_a_half), SECOND),
        (classifier(scores=encodes_again), BATCH),
        (classifier(scores=unfitted_scores), UNFITTED),
        (classifier(scores=not_at_other_sizes), SIZE),
        (classifier(state=lambda self: {"means": Classifier.state(self)["means"].astype(np.float16)}), STATE),
        (keeping_a_pickle(Classifier), STATE),
        (classifier(state=lambda self: {}), f"{STATE} {UNFITTED}"),
        (classifier(restore=restores_anything), LACKS),
        (classifier(layers=lambda self: ("layer9",)), f"{LAYERS} {FEW}"),
        (classifier(estimate=lambda self, images, size, shapes: "much"), LAYERS),
        (classifier(Trained, report=lambda self, run, done: run.progress("steps", done, 5)), TOLD),
        (classifier(Trained, snapshot=lambda self, done: {"means": self.means, "step": np.array(0)}), KILLED),
        (classifier(outputs=lambda self: ()), OUTPUTS),
        (classifier(outputs=lambda self: "score"), OUTPUTS),
        (classifier(outputs=lambda self: ["a score"]), OUTPUTS),
        (classifier(outputs=lambda self: ["score", "score"]), f"{OUTPUTS} {SCORES}"),
        (Vectors, ""),
        (classifier(Vectors, outputs=lambda self: ["one", "two", "three"]), SCORES),
        (vectors(lambda self, name, block: block.astype(np.float64)), VECTORS),
        (vectors(lambda self, name, block: block[:, :, None]), VECTORS),
        (vectors(lambda self, name, block: block * np.float32("nan")), VECTORS),
        (vectors(lambda self, name, block: block[:, : 4 + (len(block) > 1)]), VECTORS),
        (vectors(lambda self, name, block: block - block.mean(axis=0)), ITSELF),
        (vectors(lambda self, name, block: block * (1 + (self.means is None))), ITSELF),
        (classifier(Vectors, fit=fits_otherwise), LEARNS),
        (classifier(Vectors, learn=in_place_learnt), LEARNS),
        (classifier(Vectors, judge=by_rank), f"{LEARNS} {ALONE}"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:Mean of empty", "ignore:invalid value")
def test_classifier(check, plugin, expected):
    check(ClassifierSuite, plugin, expected)


@pytest.mark.parametrize(
    ("good", "bad", "expected"),
    [(3, 2, [1, 0, 1, 0, 0]), (2, 2, [1, 0, 1, 0]), (4, 1, [1, 0, 0, 0, 0]), (1, 3, [1, 1, 1, 0])],
)
def test_labels_are_mixed(good, bad, expected):
    labels = _mixed(good, bad)
    assert labels.tolist() == expected and labels.dtype == np.int64


def test_images_come_in_the_order_of_their_labels():
    good, bad = np.full((3, 2, 2, 3), [[[[1]]], [[[2]]], [[[3]]]]), np.full((2, 2, 2, 3), [[[[8]]], [[[9]]]])
    assert _ordered(good, bad, np.array([1, 0, 1, 0, 0]))[:, 0, 0, 0].tolist() == [8, 1, 9, 2, 3]
    assert _ordered(good, bad, np.array([0, 1]))[:, 1, 1, 2].tolist() == [1, 8]
