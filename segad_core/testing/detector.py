"""What a detector owes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from segad_core.contracts import Array, Detector, Encoder, ImageBatch, Run
from segad_core.evaluate import auroc
from segad_core.testing.checks import ROUNDING, is_array, not_fitted, same, unwritten, works
from segad_core.testing.component import ComponentSuite
from segad_core.testing.images import ArrayImageSet, Pixels, arrays_of, bad_images, good_images, image_batch
from segad_core.testing.tiny_encoder import TinyEncoder


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

    def _images(self) -> ArrayImageSet:
        return ArrayImageSet(good_images(self.good, *self.size), self._encoder, self.make().layers())

    def _batch(self, pixels: Pixels) -> ImageBatch:
        return image_batch(pixels, self._encoder, self.make().layers())

    def _good_and_bad(self, each: int = 3) -> Pixels:
        return np.concatenate([good_images(each, *self.size, seed=2), bad_images(each, *self.size, seed=3)])

    def _fitted(self) -> Detector:
        detector = self.make()
        detector.fit(self._images(), Run(np.random.SeedSequence(1)))
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
            stored = save_arrays({n: np.asarray(array, order="C") for n, array in detector.state().items()})
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
            detector.fit(images, Run(np.random.SeedSequence(1)))
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
