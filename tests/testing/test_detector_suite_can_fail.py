"""Each clause of the detector suite fails for a plugin that violates it, and passes sound ones."""

import random
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from pickles import keeping_a_pickle
from PIL import Image

from segad_core import contracts
from segad_core.base.digest import array_digest
from segad_core.contracts import to_numpy
from segad_core.errors import PluginError
from segad_core.testing import DetectorSuite, TinyEncoder, good_images


class Detector(contracts.Detector):
    """How far the colours of a place are from those of good images."""

    mean = None

    def layers(self):
        return ("layer1",)

    def fit(self, images, run):
        self.mean = images.features()["layer1"].mean(axis=0)

    def anomaly_maps(self, batch):
        if self.mean is None:
            raise PluginError("not fitted yet")
        features = to_numpy(batch.features()["layer1"])
        if features.shape[1:] != self.mean.shape:
            raise PluginError("images of another size")
        return self.changed(np.abs(features - self.mean).sum(axis=1).repeat(4, 1).repeat(4, 2))

    def changed(self, maps):
        return maps

    def state(self):
        if self.mean is None:
            raise PluginError("not fitted yet")
        return {"mean": self.mean}

    def restore(self, state):
        if "mean" not in state:
            raise PluginError("an entry is missing")
        self.mean = state["mean"]


class Trained(Detector):
    """The same, found in six steps that begin anywhere; a killed training goes on where it was."""

    start = 0.0  # where the steps begin, and how far each goes
    share = 0.5
    steps = 6

    def fit(self, images, run):
        self.mean, begin = np.float32(self.start), 0
        if (left := run.checkpoint.load()) is not None:
            self.mean, begin = left["mean"], int(left["step"])
        goal = images.features()["layer1"].mean(axis=0)
        for step in range(begin, self.steps):
            self.mean = self.mean + np.float32(self.share) * (goal - self.mean)
            self.report(run, step + 1)
            if run.checkpoint.due():
                run.checkpoint.save(self.snapshot(step + 1))

    def report(self, run, done):
        run.progress("steps", done, self.steps, f"share {self.share}")

    def snapshot(self, done):
        return {"mean": self.mean, "step": np.array(done)}


class Sharing(Trained):
    """The same, whose start is an artifact that is trained too, on images of twice the size, seen often."""

    def fit(self, images, run):
        height, width = images.pick([0]).pixels.shape[1:3]
        large = images.resized((2 * height, 2 * width))
        made = run.artifact("start", {"images": large.digest()}, lambda own: self.prepare(large, own))
        self.start = float(made["mean"])
        super().fit(images, run)

    def prepare(self, images, run):
        parts = [to_numpy(batch.features()["layer1"]).mean() for _ in range(2) for batch in images.batches()]
        total, begin = np.random.default_rng(run.seed).normal(), 0
        if (left := run.checkpoint.load()) is not None:
            total, begin = self.resumed(left)
        for place in range(begin, len(parts)):
            total = total + parts[place]
            run.progress("artifact's steps", place + 1, len(parts))
            if run.checkpoint.due():
                run.checkpoint.save({"total": total, "place": np.array(place + 1)})
        return {"mean": np.array(total / len(parts))}

    def resumed(self, left):
        return left["total"], int(left["place"])


class Untrained(contracts.Detector):
    """How bright a place is: nothing is learnt, and it says so."""

    trains = False
    light = 0.0

    def fit(self, images, run):
        pass

    def anomaly_maps(self, batch):
        return np.abs(batch.pixels[..., 0] - np.float32(120 + self.light))

    def state(self):
        return {}

    def restore(self, state):
        pass


def learns_the_light(self, images, run):
    self.light = float(images.pixels().mean()) - 120


def needs_a_fit(self, batch):
    if not self.light:
        raise PluginError("not fitted yet")
    return Untrained.anomaly_maps(self, batch)


def untrained(**methods):
    return type("Broken", (Untrained,), {"__doc__": "What trains, and says that it doesn't.", **methods})


def detector(**methods):
    return type("Broken", (Detector,), {"__doc__": "A detector told wrongly.", **methods})


def trained(base=Trained, **methods):
    return type("Broken", (base,), {"__doc__": "A detector trained wrongly.", **methods})


def told(*words):
    return trained(report=lambda self, run, done: run.progress(*words))


def looks_at_the_file(self, batch):
    lights = [1e-3 * batch.full_size(i).mean() for i in range(len(batch))]
    return Detector.anomaly_maps(self, batch) + np.float32(lights)[:, None, None]


def unfitted_maps(self, batch):
    self.mean = np.float32(0) if self.mean is None else self.mean
    return Detector.anomaly_maps(self, batch)


def scaled_in_place(self, batch):
    Detector.anomaly_maps(self, batch)
    features = to_numpy(batch.features()["layer1"])
    features -= self.mean if self.mean is not None else Detector.state(self)
    return np.abs(features).sum(axis=1).repeat(4, 1).repeat(4, 2)


def centred_in_fit(self, images, run):
    Detector.fit(self, images, run)
    for batch in images.batches():
        batch.pixels[:] = 0


def random_fit(self, images, run):
    Detector.fit(self, images, run)
    self.mean = self.mean + np.random.default_rng().normal(0, 0.01, self.mean.shape).astype(np.float32)


def shuffled_fit(self, images, run):
    random.shuffle(list(images.samples))
    Detector.fit(self, images, run)


def seeding_fit(self, images, run):
    np.random.seed(int(run.seed.generate_state(1)[0]))  # noqa: NPY002
    Detector.fit(self, images, run)
    self.mean = self.mean + np.float32(np.random.normal(0, 0.01))  # noqa: NPY002


def reading_fit(self, images, run):
    Detector.fit(self, images, run)
    self.mean = self.mean + np.float32(random.getstate()[1][1] % 7 / 100)


def torch_seeding_fit(self, images, run):
    Detector.fit(self, images, run)
    torch.manual_seed(1)


def torch_reading_fit(self, images, run):
    Detector.fit(self, images, run)
    with torch.random.fork_rng(devices=[]):
        self.mean = self.mean + 0.01 * torch.rand(1).numpy()


def writes_through_torch(self, images, run):
    Detector.fit(self, images, run)
    torch.from_dlpack(images.pixels()).zero_()


def numpy_alone(self, batch):
    if self.mean is None:
        raise PluginError("not fitted yet")
    return np.abs(batch.features()["layer1"] - self.mean).sum(axis=1).repeat(4, 1).repeat(4, 2)


def numpy_alone_in_fit(self, images, run):
    self.mean = sum(batch.features()["layer1"].sum(axis=0) for batch in images.batches()) / len(images)


def leaves_a_model(self, images, run):
    Detector.fit(self, images, run)
    np.save("model.npy", self.mean)


def leaves_a_log(self, batch, maps):
    Path("logs").mkdir(exist_ok=True)
    return Detector.image_scores(self, batch, maps)


def growing_fit(self, images, run):
    before = self.mean
    Detector.fit(self, images, run)
    self.mean = self.mean if before is None else (before + self.mean) / 2


def begins_where_it_was(self, images, run):
    self.start = self.start if self.mean is None else self.mean
    Trained.fit(self, images, run)


def epochs_of_encoding(self, images, run):
    for _ in range(2):
        self.mean = np.concatenate([to_numpy(b.features()["layer1"]) for b in images.batches()]).mean(axis=0)


def one_more_pick(self, images, run):
    Detector.fit(self, images, run)
    images.pick([3]).features()


def counts_from_zero(self, images, run):
    """What it saves after it went on says how far it is since then."""
    left = run.checkpoint.load()
    self.past = int(left["step"]) if left else 0
    Trained.fit(self, images, run)


def saves_only(self, images, run):
    run.checkpoint.load = lambda: None
    Trained.fit(self, images, run)


def at_its_own_size(self, batch):
    at_its_size = to_numpy(batch.features()["layer1"]).shape[1:] == self.state()["mean"].shape
    return Detector.anomaly_maps(self, batch) if at_its_size else np.zeros((len(batch), 64, 96), np.float32)


def broadcasts(self, batch):
    distances = np.abs(to_numpy(batch.features()["layer1"]) - self.state()["mean"])
    return distances.sum(axis=1).repeat(4, 1).repeat(4, 2)


def needs_a_file(self, batch):
    batch.full_size(0)
    return Detector.anomaly_maps(self, batch)


def two_entries(self):
    return {**Detector.state(self), "scale": np.ones(1)}


def restores_the_mean(self, state):
    self.mean = state["mean"]


def restores_anything(self, state):
    self.mean = state.get("mean", np.zeros((6, 16, 24), np.float32))


def encodes_again(self, batch, maps):
    batch.with_pixels(batch.pixels).features()
    return Detector.image_scores(self, batch, maps)


def scores_as_maps(self, batch, maps):
    return maps.max(axis=(1, 2))


def scores_by_rank(self, batch, maps):
    return np.argsort(np.argsort(maps.max(axis=(1, 2)))).astype(np.float64)


def replaces_pixels(self, batch):
    batch.pixels = 255 - batch.pixels
    return Detector.anomaly_maps(self, batch)


def replaces_samples(self, images, run):
    images.samples = images.samples[:2]
    Detector.fit(self, images, run)


MAPS = "test_maps_are_finite_float32_of_the_images_size"
SCORES = "test_image_scores_are_finite_float64"
FIT = "test_fit_is_deterministic"
STATE = "test_state_restores_to_the_last_bit"
RANKS = "test_ranks_visible_defects_above_good_images"
LEAVES = "test_leaves_the_images_as_they_are"
UNFITTED = "test_use_before_fit_is_refused"
ALONE = "test_images_do_not_depend_on_their_neighbours"
ONCE = "test_fit_encodes_each_image_once"
GLOBAL = "test_fit_leaves_global_randomness_alone"
SECOND = "test_a_second_fit_forgets_the_first"
TOLD = "test_progress_is_told_consistently"
KILLED = "test_a_killed_training_goes_on"
LACKS = "test_restore_refuses_what_is_incomplete"
UNTRAINED = "test_without_trains_a_fit_changes_nothing"
IGNORED = "test_what_is_ignored_changes_nothing"
TILES = "test_tiles_are_mapped_like_images"
SIZE = "test_images_of_another_size_are_mapped_or_refused"
LIBRARY = "test_reads_features_of_any_library"
FILES = "test_leaves_no_files"


@pytest.mark.parametrize(
    ("plugin", "expected"),
    [
        (Detector, ""),
        (Trained, ""),
        (Sharing, ""),
        (Untrained, ""),
        (untrained(trains=True), UNFITTED),
        (untrained(fit=learns_the_light), f"{UNTRAINED} {STATE}"),
        (untrained(anomaly_maps=needs_a_fit, fit=learns_the_light), UNTRAINED),
        (untrained(anomaly_maps=lambda self, batch: -Untrained.anomaly_maps(self, batch)), RANKS),
        (detector(trains=False), UNTRAINED),
        (detector(layers=lambda self: ("layer9",)), "test_layers_exist_in_the_encoder"),
        (detector(estimate=lambda self, images, size, shapes: 3.5), "test_layers_exist_in_the_encoder"),
        (detector(anomaly_maps=replaces_pixels), LEAVES),
        (detector(fit=replaces_samples), LEAVES),
        (detector(changed=lambda self, maps: maps.astype(np.float64)), MAPS),
        (detector(changed=lambda self, maps: maps[:, ::2]), MAPS),
        (detector(changed=lambda self, maps: maps.transpose(0, 2, 1)), MAPS),
        (detector(changed=lambda self, maps: np.log(maps * 0)), f"{MAPS} {SCORES}"),
        (detector(changed=lambda self, maps: -maps), RANKS),
        (detector(changed=lambda self, maps: maps / maps.max()), ALONE),
        (detector(image_scores=scores_as_maps), SCORES),
        (detector(image_scores=lambda self, batch, maps: maps.astype(np.float64)), SCORES),
        (detector(image_scores=scores_by_rank), ALONE),
        (detector(image_scores=encodes_again), "test_encoder_runs_once_per_batch"),
        (detector(fit=random_fit), f"{FIT} {GLOBAL} {SECOND} {KILLED}"),
        (detector(fit=centred_in_fit), LEAVES),
        (detector(anomaly_maps=scaled_in_place), LEAVES),
        (detector(state=lambda self: {"mean": self.mean.tolist()}), f"{STATE} {UNFITTED}"),
        (detector(state=lambda self: {"mean": np.array(self.mean, object)}), f"{STATE} {UNFITTED}"),
        (detector(state=lambda self: {"mean": Detector.state(self)["mean"].astype(np.float16)}), STATE),
        (keeping_a_pickle(Detector), STATE),
        (detector(state=lambda self: {}), f"{STATE} {UNFITTED}"),
        (detector(anomaly_maps=unfitted_maps), UNFITTED),
        (detector(fit=epochs_of_encoding), ONCE),
        (detector(fit=one_more_pick), ONCE),
        (detector(fit=shuffled_fit), GLOBAL),
        (detector(fit=seeding_fit), GLOBAL),
        (detector(fit=reading_fit), GLOBAL),
        (detector(fit=torch_seeding_fit), GLOBAL),
        (detector(fit=torch_reading_fit), GLOBAL),
        (detector(fit=writes_through_torch), LEAVES),
        (detector(anomaly_maps=numpy_alone), LIBRARY),
        (detector(fit=numpy_alone_in_fit), LIBRARY),
        (detector(fit=leaves_a_model), FILES),
        (detector(image_scores=leaves_a_log), FILES),
        (detector(fit=growing_fit), SECOND),
        (trained(fit=begins_where_it_was), SECOND),
        (told("steps", 7, 6), TOLD),
        (told("steps", -1, 6), TOLD),
        (told("steps", 0, 0), TOLD),
        (told("steps", 0.5, 1), TOLD),
        (told("", 1, 6), TOLD),
        (told(None, 1, 6), TOLD),
        (told("steps", 1, 6, 0.25), TOLD),
        (trained(snapshot=lambda self, done: {"mean": self.mean, "step": np.array(0)}), KILLED),
        (trained(snapshot=lambda self, done: {"mean": self.mean * 2, "step": np.array(done)}), KILLED),
        (trained(snapshot=lambda self, done: {"mean": np.array([None]), "step": np.array(done)}), KILLED),
        (
            trained(
                past=0,
                fit=counts_from_zero,
                snapshot=lambda self, done: {"mean": self.mean, "step": np.array(done - self.past)},
            ),
            KILLED,
        ),
        (trained(fit=saves_only), KILLED),
        (trained(Sharing, resumed=lambda self, left: (left["total"], 0)), KILLED),
        (detector(restore=restores_the_mean), LACKS),
        (detector(restore=restores_anything), LACKS),
        (detector(state=two_entries), LACKS),
        (detector(anomaly_maps=at_its_own_size), SIZE),
        (detector(anomaly_maps=broadcasts), SIZE),
        (detector(anomaly_maps=looks_at_the_file), f"{IGNORED} {TILES}"),
        (detector(anomaly_maps=needs_a_file), TILES),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_detector(check, plugin, expected, tmp_path, monkeypatch):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.chdir(tmp_path)
    check(DetectorSuite, plugin, expected)


def test_an_artifact_is_arrays():
    def fit(self, images, run):
        run.artifact("odd", {}, lambda own: {"odd": np.array([None])})

    case = type("Case", (DetectorSuite,), {"make": lambda self: trained(fit=fit)()})
    with pytest.raises(AssertionError, match="the artifact 'odd' is named arrays"):
        case().test_fit_is_deterministic()


def test_folders_of_images_come_with_the_encoder(tmp_path):
    """A fit on a folder's images, at the size that the detector wants, is a fit on them."""
    Image.fromarray(good_images(1)[0]).save(tmp_path / "one.png")

    def fit(self, images, run):
        self.mean = run.images(tmp_path, (64, 96), ("layer1",)).features()["layer1"][0]

    case = type("Case", (DetectorSuite,), {"make": lambda self: detector(fit=fit)()})()
    expected = TinyEncoder().encode(good_images(1), ["layer1"])["layer1"][0]
    np.testing.assert_array_equal(case._fitted().mean, expected)
    case.test_ranks_visible_defects_above_good_images()


def test_a_suite_says_what_is_known_of_the_images(check):
    """A detector that goes by names meets, in every clause, the names that the suite gives."""
    maps = {}

    class Case(DetectorSuite):
        def samples(self, pixels):
            names = [f"{array_digest(image)}.png" for image in pixels]
            maps.update(zip(names, np.abs(pixels[..., 0] - np.float32(120)), strict=True))
            return [contracts.Sample(name, Path(name), 0) for name in names]

    def by_name(self, batch):
        return np.stack([maps[sample.id] for sample in batch.samples])

    check(Case, untrained(anomaly_maps=by_name), "")
    check(DetectorSuite, untrained(anomaly_maps=lambda self, batch: by_place(batch)), f"{ALONE} {RANKS}")


def by_place(batch):
    """What names mean where the suite gives them by place: nothing."""
    numbers = np.array([int(Path(sample.id).stem) for sample in batch.samples], np.float32)
    return -np.broadcast_to(numbers[:, None, None], batch.pixels.shape[:3]).copy()
