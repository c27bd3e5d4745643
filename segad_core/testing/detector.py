"""What a detector owes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load as load_arrays

from segad_core.checkpoints import to_bytes
from segad_core.contracts import Array, Detector, Encoder, ImageBatch, Progress, Run, unseen
from segad_core.errors import SegadError
from segad_core.evaluate import auroc
from segad_core.testing.checks import ROUNDING, is_array, not_fitted, refused, same, unwritten, works
from segad_core.testing.component import ComponentSuite
from segad_core.testing.images import ArrayImageSet, Pixels, arrays_of, bad_images, good_images, image_batch
from segad_core.testing.tiny_encoder import TinyEncoder
from segad_core.testing.trial_run import (
    CountingEncoder,
    Killed,
    Left,
    Told,
    TrialRun,
    global_randomness,
)


class DetectorSuite(ComponentSuite):
    """The contract of `segad.detectors`, clause by clause. Define `make`; nearly every clause fits anew.

    Attributes:
        size: height and width of the images; they differ so that what is confused shows.
        good: how many good images `fit` gets.
        least_auroc: how well images with a visible defect have to be told from good ones.
    """

    size: tuple[int, int] = (64, 96)
    good: int = 12
    least_auroc: float = 0.9

    def make(self) -> Detector:
        raise NotImplementedError(f"{type(self).__name__} has to define make(): it returns a fresh detector")

    def encoder(self) -> Encoder:
        """The encoder whose layers the detector reads; by default one of a few lines of NumPy."""
        return TinyEncoder()

    @cached_property
    def _encoder(self) -> Encoder:
        return self.encoder()

    def _images(self, pixels: Pixels | None = None, encoder: Encoder | None = None) -> ArrayImageSet:
        given = good_images(self.good, *self.size) if pixels is None else pixels
        return ArrayImageSet(given, encoder or self._encoder, self.make().layers())

    def _run(self, progress: Progress = unseen, left: Left | None = None) -> Run:
        return TrialRun(np.random.SeedSequence(1), progress, self._encoder, left)

    def _batch(self, pixels: Pixels) -> ImageBatch:
        return image_batch(pixels, self._encoder, self.make().layers())

    def _good_and_bad(self, each: int = 3) -> Pixels:
        return np.concatenate([good_images(each, *self.size, seed=2), bad_images(each, *self.size, seed=3)])

    def _fitted(self) -> Detector:
        detector = self.make()
        detector.fit(self._images(), self._run())
        return detector

    def _results(self, detector: Detector, pixels: Pixels) -> dict[str, NDArray[Any]]:
        batch = self._batch(pixels)
        maps = detector.anomaly_maps(batch)
        return {"map": maps, "image score": detector.image_scores(batch, maps)}

    def test_layers_exist_in_the_encoder(self) -> None:
        """Each layer that a detector reads is one of the encoder's; `cost` says in words what a fit takes."""
        detector, (h, w), known = self.make(), self.size, self._encoder.layers()
        shapes = {}
        for name in detector.layers():
            assert name in known, f"layers() names '{name}', but the encoder has {', '.join(known)}"
            shapes[name] = (known[name].channels, -(-h // known[name].stride), -(-w // known[name].stride))
        detector.check(self.size, shapes)
        words = detector.cost(100, self.size, shapes)
        assert isinstance(words, str), f"cost() gives a {type(words).__name__}, not a string"

    def test_maps_are_finite_float32_of_the_images_size(self) -> None:
        """`anomaly_maps` gives (N, H, W) float32, none NaN or infinite, whatever the number of images."""
        detector = self._fitted()
        for count in (1, 3):
            maps = detector.anomaly_maps(self._batch(good_images(count, *self.size)))
            is_array(maps, (count, *self.size), np.float32, f"anomaly_maps() of {count} images")

    def test_image_scores_are_finite_float64(self) -> None:
        """`image_scores` gives (N,) float64, none NaN or infinite."""
        scores = self._results(self._fitted(), self._good_and_bad())["image score"]
        is_array(scores, (6,), np.float64, "image_scores() of 6 images")

    def test_fit_is_deterministic(self) -> None:
        """Two fits with one seed give the same maps and scores: `run.seed` is the only randomness."""
        pixels = self._good_and_bad()
        first, second = self._results(self._fitted(), pixels), self._results(self._fitted(), pixels)
        for name in first:
            same(second[name], first[name], f"the {name} after a second fit with the same seed")

    def test_state_restores_to_the_last_bit(self) -> None:
        """`state` is named arrays that safetensors holds; a fresh instance that takes them up is the same."""
        detector, fresh, pixels = self._fitted(), self.make(), self._good_and_bad()
        with works("what state() gives is named arrays that safetensors can hold"):
            stored = to_bytes(detector.state())
        with works("restore() takes up what state() gave"):
            fresh.restore(load_arrays(stored))
        first, second = self._results(detector, pixels), self._results(fresh, pixels)
        for name in first:
            same(second[name], first[name], f"the {name} of a restored instance")

    def test_images_do_not_depend_on_their_neighbours(self) -> None:
        """An image's map and score do not depend on what else is in the batch, nor on its place there."""
        detector, pixels = self._fitted(), self._good_and_bad()
        together, turned = self._results(detector, pixels), self._results(detector, pixels[::-1].copy())
        good, bad = self._results(detector, pixels[:1]), self._results(detector, pixels[-1:])
        for name, values in together.items():
            same(turned[name][::-1], values, f"the {name} in a batch of reversed order", ROUNDING)
            same(good[name], values[:1], f"the {name} of a good image in a batch of its own", ROUNDING)
            same(bad[name], values[-1:], f"the {name} of a bad image in a batch of its own", ROUNDING)

    def test_leaves_the_images_as_they_are(self) -> None:
        """Pixels and encoder features belong to everybody: neither `fit` nor scoring writes into them."""
        detector, images, batch = self.make(), self._images(), self._batch(self._good_and_bad())
        with unwritten(arrays_of(images), "fit()"):
            detector.fit(images, self._run())
        with unwritten(arrays_of(batch), "anomaly_maps() or image_scores()"):
            detector.image_scores(batch, detector.anomaly_maps(batch))

    def test_ranks_visible_defects_above_good_images(self) -> None:
        """Higher is more anomalous: images with a stain that anybody sees score above good ones."""
        scores = self._results(self._fitted(), self._good_and_bad(12))["image score"]
        area = auroc(np.repeat([0, 1], 12), scores)
        assert area >= self.least_auroc, f"visible defects: AUROC {area:.3f}, below {self.least_auroc}"

    def test_use_before_fit_is_refused(self) -> None:
        """Maps or a state asked for before `fit` or `restore` raise a `SegadError` that says so."""
        detector, batch = self.make(), self._batch(self._good_and_bad())
        with not_fitted("anomaly_maps()"):
            detector.anomaly_maps(batch)
        with not_fitted("state()"):
            detector.state()

    def test_encoder_runs_once_per_batch(self) -> None:
        """Maps and image scores of a batch cost one pass of the encoder: they share `batch.features()`."""
        detector, pixels = self._fitted(), self._good_and_bad()
        passes: list[int] = []

        def encode(given: Pixels) -> Mapping[str, Array]:
            passes.append(len(given))
            return self._encoder.encode(given, detector.layers())

        batch = ImageBatch(image_batch(pixels).samples, pixels, encode)
        detector.image_scores(batch, detector.anomaly_maps(batch))
        most = min(1, len(detector.layers()))
        assert len(passes) <= most, f"a batch costs {len(passes)} passes of the encoder, not {most}"

    def test_fit_encodes_each_image_once(self) -> None:
        """`fit` passes no training image through the encoder twice: `images.features()` keeps the layers."""
        encoder = CountingEncoder(self._encoder, self.size)
        self.make().fit(self._images(encoder=encoder), self._run())
        most = max(encoder.seen.values(), default=0)
        assert most <= 1, (
            f"fit() passes an image through the encoder {most} times at the set's own size; "
            "images.features() passes each once and keeps what comes out"
        )

    def test_fit_leaves_global_randomness_alone(self) -> None:
        """`fit` neither moves nor reads the global random state of Python and NumPy."""
        results = []
        for seed in (310_291, 775_121):
            with global_randomness(seed):
                detector = self._fitted()
            results.append(self._results(detector, self._good_and_bad()))
        for name in results[0]:
            same(results[1][name], results[0][name], f"the {name} under another global random state")

    def test_a_second_fit_forgets_the_first(self) -> None:
        """`fit` on an instance that was fitted and used before gives what it gives on a fresh one."""
        detector, pixels = self.make(), self._good_and_bad()
        others = 255 - good_images(self.good // 2 + 1, *self.size, seed=4)
        detector.fit(self._images(others), self._run())
        self._results(detector, pixels)
        detector.fit(self._images(), self._run())
        second, fresh = self._results(detector, pixels), self._results(self._fitted(), pixels)
        for name in fresh:
            same(second[name], fresh[name], f"the {name} of an instance that was fitted to others before")

    def test_progress_is_told_consistently(self) -> None:
        """`run.progress` is told in words what is done, 0 <= done <= total, a total above 0, and a note."""
        told = Told()
        self.make().fit(self._images(), self._run(told))
        for what, done, total, note in told.calls:
            call = f"fit() tells progress({what!r}, {done!r}, {total!r}, {note!r})"
            assert isinstance(what, str) and what, f"{call}: say in words what is being done"
            assert isinstance(note, str), f"{call}: a note is a string"
            assert type(done) is int and type(total) is int, (
                f"{call}: these are a {type(done).__name__} and a {type(total).__name__}, not two integers"
            )
            assert 0 <= done <= total and total >= 1, f"{call}: {done} of {total} is no progress"

    def test_a_killed_training_goes_on(self) -> None:
        """A fit that is killed, and begun again with the checkpoint that it left, ends in the same maps."""
        told, undisturbed, left = Told(), self.make(), Left()
        undisturbed.fit(self._images(), self._run(told))
        for _ in range(2):  # the second time in what goes on after the first
            with suppress(Killed):
                self.make().fit(self._images(), self._run(Told(-(-len(told.calls) // 3)), left))
        detector, pixels = self.make(), self._good_and_bad()
        detector.fit(self._images(), self._run(unseen, left))
        assert left.checkpoints.keys() <= left.asked, "fit() saves checkpoints and asks for none: load() them"
        expected, found = self._results(undisturbed, pixels), self._results(detector, pixels)
        for name in expected:
            same(found[name], expected[name], f"the {name} after a training that was killed and went on")

    def test_restore_refuses_what_is_incomplete(self) -> None:
        """A state without one of its entries, or without any, raises a `SegadError`."""
        state = self._fitted().state()
        for missing in {re.sub(r"\d+", "", name): name for name in state}.values():  # one of each kind
            with refused(f"restore() of a state without '{missing}' has to raise a SegadError", SegadError):
                self.make().restore({name: array for name, array in state.items() if name != missing})
        if state:
            with refused("restore() of an empty state has to raise a SegadError", SegadError):
                self.make().restore({})

    def test_images_of_another_size_are_mapped_or_refused(self) -> None:
        """Images of another size than it was fitted to get maps of that size, or a `SegadError`."""
        detector, (h, w) = self._fitted(), self.size
        for size in ((w, h), (h + 9, w + 5)):
            what = f"anomaly_maps() of images of {size}, after a fit to {self.size},"
            batch, maps = self._batch(good_images(2, *size)), None
            with works(f"{what} gives maps or a SegadError"), suppress(SegadError):
                maps = detector.anomaly_maps(batch)
                detector.image_scores(batch, maps)
            if maps is not None:
                is_array(maps, (2, *size), np.float32, what)
