"""What a segmenter owes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from segad_core.contracts import IGNORED, Segmenter
from segad_core.testing.checks import is_array, same, unwritten
from segad_core.testing.component import ComponentSuite
from segad_core.testing.images import Pixels, bad_images, good_images, image_batch


class SegmenterSuite(ComponentSuite):
    """The contract of `segad.segmenters`, clause by clause. Define `make`.

    Attributes:
        sizes: the image sizes (height, width) to try.
    """

    sizes: tuple[tuple[int, int], ...] = ((64, 64), (48, 80))

    def make(self) -> Segmenter:
        raise NotImplementedError(f"{type(self).__name__} has to define make(): it returns a fresh segmenter")

    def images(self, height: int, width: int) -> Pixels:
        """Three images (3, height, width, 3); a plugin that needs particular ones gives its own."""
        return np.concatenate([good_images(2, height, width), bad_images(1, height, width)])

    def test_names_are_unique_and_usable(self) -> None:
        """Names of segments are unique, not empty, without dots, not `image`, at most 255, and stable."""
        names = list(self.make().segments())
        assert 1 <= len(names) <= IGNORED, f"segments() gives {len(names)} names, not 1 to {IGNORED}"
        assert len(set(names)) == len(names), f"segments() gives one name twice: {names}"
        for name in names:
            assert isinstance(name, str) and name, (
                f"segments() gives the name {name!r}, not a string that says something"
            )
            assert "." not in name, f"the segment '{name}' has a dot, which parts the names of features"
            assert name != "image", "a segment is called 'image', which means the whole map"
        assert list(self.make().segments()) == names, "segments() gives other names in a second instance"

    def test_maps_are_uint8_of_the_images_size(self) -> None:
        """`segment` gives uint8 (N, H, W), or (1, H, W) for all images alike, at any image size."""
        for height, width in self.sizes:
            maps = self._maps(self.make(), self.images(height, width))
            for_all = isinstance(maps, np.ndarray) and maps.shape[:1] == (1,)
            what = f"segment() of 3 images of {height} x {width}"
            is_array(maps, (1 if for_all else 3, height, width), np.uint8, what)

    def test_labels_have_names(self) -> None:
        """Every label is below the number of names, or `IGNORED`."""
        for size in self.sizes:
            segmenter = self.make()
            names = len(segmenter.segments())
            labels = set(np.unique(self._maps(segmenter, self.images(*size))).tolist())
            stray = sorted(label for label in labels if label >= names and label != IGNORED)
            assert not stray, f"segment() gives the labels {stray}, but only 0 to {names - 1} have names"

    def test_is_deterministic(self) -> None:
        """The same images give the same maps, in this instance and in a fresh one."""
        for size in self.sizes:
            segmenter, pixels = self.make(), self.images(*size)
            maps = self._maps(segmenter, pixels)
            same(self._maps(segmenter, pixels), maps, "the segmentation map at a second call")
            same(self._maps(self.make(), pixels), maps, "the segmentation map of a fresh instance")

    def test_images_do_not_depend_on_their_neighbours(self) -> None:
        """The map of an image does not depend on what else is in the batch, nor on its place there."""
        for size in self.sizes:
            segmenter, pixels = self.make(), self.images(*size)
            together = np.broadcast_to(self._maps(segmenter, pixels), pixels.shape[:3])
            turned = np.broadcast_to(self._maps(segmenter, pixels[::-1].copy()), pixels.shape[:3])
            same(turned[::-1], together, "the segmentation map in a batch of reversed order")
            for i in range(len(pixels)):
                alone = self._maps(segmenter, pixels[i : i + 1])
                same(alone, together[i : i + 1], "the segmentation map of an image in a batch of its own")

    def test_leaves_the_pixels_as_they_are(self) -> None:
        """`segment` does not write into the pixels, which others use too."""
        for size in self.sizes:
            pixels = self.images(*size)
            with unwritten({"the pixels": pixels}, "segment()"):
                self._maps(self.make(), pixels)

    def _maps(self, segmenter: Segmenter, pixels: Pixels) -> NDArray[Any]:
        return segmenter.segment(image_batch(pixels))
