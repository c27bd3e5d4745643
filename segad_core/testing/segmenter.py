"""The conformance suite for segmenters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load

from segad_core.base.digest import array_digest, digest_of
from segad_core.base.formats import arrays_to_bytes
from segad_core.contracts import IGNORED, Array, Arrays, ImageBatch, MapQuality, Sample, Segmenter
from segad_core.testing.checks import is_array, same, unwritten, works
from segad_core.testing.harmless import HarmlessSuite
from segad_core.testing.images import ArrayImageSet, Pixels, bad_images, good_images, image_batch

Encode = Callable[[Pixels], Mapping[str, Array]]
"""Features of images (N, H, W, 3), by layer."""


class SegmenterSuite(HarmlessSuite):
    """The contract of `segad.segmenters`, clause by clause. Define `make`.

    Attributes:
        sizes: the image sizes (height, width) to try.
    """

    sizes: tuple[tuple[int, int], ...] = ((64, 64), (48, 80))

    def make(self) -> Segmenter:
        raise NotImplementedError(f"{type(self).__name__} must define make(), which returns a new segmenter")

    def images(self, height: int, width: int) -> Pixels:
        """Three images (3, height, width, 3); override it if the plugin needs particular ones."""
        return np.concatenate([good_images(2, height, width), bad_images(1, height, width)])

    def samples(self, pixels: Pixels) -> Sequence[Sample]:
        """What is known about images (N, H, W, 3); override it if the segmenter depends on their names."""
        return image_batch(pixels).samples

    def test_names_are_unique_and_usable(self) -> None:
        """Names of segments are unique, non-empty, without dots, not `image`, at most 255, and stable."""
        names = list(self.make().segments())
        assert 1 <= len(names) <= IGNORED, f"segments() returns {len(names)} names, not 1 to {IGNORED}"
        assert len(set(names)) == len(names), f"segments() contains a name twice: {names}"
        for name in names:
            assert isinstance(name, str) and name, (
                f"segments() contains the name {name!r}, which is not a non-empty string"
            )
            assert "." not in name, (
                f"the segment '{name}' contains a dot, which separates the parts of feature names"
            )
            assert name != "image", "a segment is called 'image', which stands for the whole map"
        assert list(self.make().segments()) == names, "segments() of a second instance returns other names"

    def test_maps_are_uint8_of_the_images_size(self) -> None:
        """`segment` returns uint8 (N, H, W), or (1, H, W) for all images, at any image size."""
        for height, width in self.sizes:
            maps = self._maps(self._ready(), self.images(height, width))
            for_all = isinstance(maps, np.ndarray) and maps.shape[:1] == (1,)
            what = f"segment() of 3 images of {height} x {width}"
            is_array(maps, (1 if for_all else 3, height, width), np.uint8, what)

    def test_labels_have_names(self) -> None:
        """Every label is below the number of names, or `IGNORED`."""
        for size in self.sizes:
            segmenter = self._ready()
            names = len(segmenter.segments())
            labels = set(np.unique(self._maps(segmenter, self.images(*size))).tolist())
            stray = sorted(label for label in labels if label >= names and label != IGNORED)
            assert not stray, f"segment() returns the labels {stray}, but only 0 to {names - 1} have names"

    def test_is_deterministic(self) -> None:
        """The same images give the same maps, in this instance and in a new one."""
        for size in self.sizes:
            segmenter, pixels = self._ready(), self.images(*size)
            maps = self._maps(segmenter, pixels)
            same(self._maps(segmenter, pixels), maps, "the segmentation map at a second call")
            same(self._maps(self._ready(), pixels), maps, "the segmentation map of a new instance")

    def test_images_do_not_depend_on_their_neighbours(self) -> None:
        """An image's map does not depend on the other images in the batch, nor on their order."""
        for size in self.sizes:
            segmenter, pixels = self._ready(), self.images(*size)
            together = np.broadcast_to(self._maps(segmenter, pixels), pixels.shape[:3])
            turned = np.broadcast_to(self._maps(segmenter, pixels[::-1].copy()), pixels.shape[:3])
            same(turned[::-1], together, "the segmentation map in a batch of reversed order")
            for i in range(len(pixels)):
                alone = self._maps(segmenter, pixels[i : i + 1])
                same(alone, together[i : i + 1], "the segmentation map of an image alone")

    def test_leaves_the_pixels_as_they_are(self) -> None:
        """`segment` does not write into the pixels, which are shared."""
        for size in self.sizes:
            pixels = self.images(*size)
            with unwritten({"the pixels": pixels}, "segment()"):
                self._maps(self._ready(), pixels)

    def test_quality_is_told_of_each_image(self) -> None:
        """`quality` is None, or has a fit of 0 to 1 and a doubt in words for each image, always the same."""
        for size in self.sizes:
            segmenter, pixels = self._ready(), self.images(*size)
            found = segmenter.quality(self._batch(pixels))
            if found is not None:
                _are_qualities(found, len(pixels))
            batch = self._batch(pixels)
            again, fresh = segmenter.quality(batch), self._ready().quality(batch)
            assert _listed(again) == _listed(found), (
                f"quality() returns {again} at a second call, not {found}"
            )
            assert _listed(fresh) == _listed(found), f"quality() of a new instance is {fresh}, not {found}"

    def test_what_is_kept_of_an_image_gives_the_same_map(self) -> None:
        """What `batch.artifact` keeps is valid at any image size: its inputs determine it."""
        full = self.images(*self.sizes[0]).repeat(2, axis=1).repeat(2, axis=2)
        disk, what = _OnDisk(full, self.samples, self._encode), "from what was kept"
        for size in (*self.sizes, self.sizes[0]):
            anew, segmenter = self._ready(), self._ready()
            batch, kept = disk.batch(size, keeping=False), disk.batch(size, keeping=True)
            same(segmenter.segment(kept), anew.segment(batch), f"the segmentation map made {what}")
            found, expected = segmenter.quality(kept), anew.quality(batch)
            assert _listed(found) == _listed(expected), f"quality() {what} is {found}, not {expected}"

    def _exercise(self) -> None:
        segmenter, batch = self._ready(), self._batch(self.images(*self.sizes[0]))
        segmenter.segment(batch)
        segmenter.quality(batch)

    def _ready(self) -> Segmenter:
        """A new instance that can segment images."""
        return self.make()

    @property
    def _encode(self) -> Encode | None:
        """The encoder's pass, if the segmenter reads its layers."""
        return None

    def _maps(self, segmenter: Segmenter, pixels: Pixels) -> NDArray[Any]:
        return segmenter.segment(self._batch(pixels))

    def _batch(self, pixels: Pixels) -> ImageBatch:
        return image_batch(pixels, samples=self.samples(pixels))


def _are_qualities(found: Sequence[MapQuality], count: int) -> None:
    given = f"quality() of {count} images returns"
    assert isinstance(found, Sequence), f"{given} a {type(found).__name__}, not a sequence or None"
    assert len(found) == count, f"{given} {len(found)} values, not one per image"
    for one in found:
        assert isinstance(one, MapQuality), f"{given} a {type(one).__name__} for an image, not a MapQuality"
        assert one.fit is None or (isinstance(one.fit, float | int) and 0 <= one.fit <= 1), (
            f"{given} the fit {one.fit!r}, not 0 to 1"
        )
        assert isinstance(one.doubt, str), f"{given} the doubt {one.doubt!r}, not a string"


def _listed(found: Sequence[MapQuality] | None) -> list[MapQuality] | None:
    return None if found is None else list(found)


class _OnDisk:
    """Images as on disk (N, H, W, 3), and the artifacts that were made of them."""

    def __init__(
        self, full: Pixels, samples: Callable[[Pixels], Sequence[Sample]], encode: Encode | None
    ) -> None:
        self._full, self._samples, self._encode = full, samples, encode
        self._places: dict[str, int] = {}
        self._kept: dict[str, bytes] = {}

    def batch(self, size: tuple[int, int], keeping: bool) -> ImageBatch:
        """The images at a size, with artifacts that are kept or not."""
        pixels = ArrayImageSet(self._full).resized(size).array
        samples = self._samples(pixels)
        self._places |= {sample.id: place for place, sample in enumerate(samples)}
        return ImageBatch(samples, pixels, self._encode, self._load, self._keep if keeping else None)

    def _load(self, sample: Sample) -> Pixels:
        image: Pixels = self._full[self._places[sample.id]]
        return image

    def _keep(self, sample: Sample, inputs: Mapping[str, Any], make: Callable[[Pixels], Arrays]) -> Arrays:
        image = self._load(sample)
        with works("the inputs of batch.artifact() are plain data"):
            maker = getattr(make, "func", make)
            key = digest_of([array_digest(image), maker.__module__, maker.__qualname__, dict(inputs)])
        if key not in self._kept:
            made = make(image.copy())
            with works("what batch.artifact() makes is named arrays that safetensors can store"):
                self._kept[key] = arrays_to_bytes(made)
        return load(self._kept[key])
