"""The conformance suite for defect generators."""

from __future__ import annotations

from contextlib import suppress
from copy import copy

import numpy as np
from numpy.typing import NDArray

from segad_core.base.witness import locked
from segad_core.contracts import IGNORED, DefectGenerator
from segad_core.errors import SegadError
from segad_core.testing.checks import is_array, refused, same, unwritten, works
from segad_core.testing.global_random import global_randomness
from segad_core.testing.harmless import HarmlessSuite
from segad_core.testing.images import Pixels, good_images

Labels = NDArray[np.uint8]


class DefectGeneratorSuite(HarmlessSuite):
    """The contract of `segad.defects`, clause by clause. Define `make`.

    Attributes:
        sizes: the image sizes (height, width) to try.
        seeds: the number of seeds to try for each.
    """

    sizes: tuple[tuple[int, int], ...] = ((64, 96), (48, 48), (33, 70))
    seeds: int = 8

    def make(self) -> DefectGenerator:
        raise NotImplementedError(
            f"{type(self).__name__} must define make(), which returns a new defect generator"
        )

    def image(self, height: int, width: int) -> Pixels:
        """A textured image (height, width, 3); override it if the plugin needs a particular one."""
        image: Pixels = locked(good_images(1, height, width)[0])
        return image

    def _exercise(self) -> None:
        size = self.sizes[0]
        self._applied(self.image(*size), _parts(*size))

    def test_gives_an_image_of_the_same_shape(self) -> None:
        """`apply` returns (H, W, 3) uint8, of the size that it was given."""
        for height, width in self.sizes:
            found = self._applied(self.image(height, width), _parts(height, width))
            for image in found:
                is_array(image, (height, width, 3), np.uint8, f"apply() to an image of {height} x {width}")

    def test_leaves_the_image_as_it_is(self) -> None:
        """`apply` returns a new image, and writes neither into the pixels nor into the segments."""
        generator = self.make()
        for size in self.sizes:
            pixels, segments = self.image(*size), _parts(*size)
            with unwritten({"the pixels": pixels, "the segments": segments}, "apply()"):
                generator.apply(pixels, segments, np.random.default_rng(0))

    def test_changes_something(self) -> None:
        """`apply` changes pixels of a textured image, with any seed."""
        for size in self.sizes:
            pixels = self.image(*size)
            for seed, found in enumerate(self._applied(pixels, _parts(*size))):
                assert _changed(found, pixels).any(), _nothing(seed)

    def test_changes_one_segment_only(self) -> None:
        """Pixels change in one segment only, and never where the map is `IGNORED`."""
        for size in self.sizes:
            pixels, segments = self.image(*size), _parts(*size)
            for found in self._applied(pixels, segments):
                _in_one_segment(found, pixels, segments)

    def test_is_deterministic(self) -> None:
        """The same state of `rng` gives the same image, in this instance and in a new one."""
        generator = self.make()
        for size in self.sizes:
            pixels, segments = self.image(*size), _parts(*size)
            first = self._applied(pixels, segments, generator)
            again, fresh = self._applied(pixels, segments, generator), self._applied(pixels, segments)
            for image, expected in zip(again, first, strict=True):
                same(image, expected, "the image after a second call with the same seed")
            for image, expected in zip(fresh, first, strict=True):
                same(image, expected, "the image of a new instance with the same seed")

    def test_an_image_stays_as_it_was_given(self) -> None:
        """Later calls of `apply` do not write into an image that it returned."""
        generator = self.make()
        for size in self.sizes:
            pixels, segments = self.image(*size), _parts(*size)
            given = generator.apply(pixels, segments, np.random.default_rng(0))
            with unwritten({"an image that it returned": given}, "a later call of apply()"):
                self._applied(pixels, segments, generator)

    def test_seeds_differ(self) -> None:
        """Defects are random: several seeds do not all give the same image."""
        for height, width in self.sizes:
            found = {
                image.tobytes() for image in self._applied(self.image(height, width), _parts(height, width))
            }
            assert len(found) > 1, (
                f"{self.seeds} seeds give the same image of {height} x {width}: draw from rng"
            )

    def test_leaves_global_randomness_alone(self) -> None:
        """`apply` neither moves nor reads the global random state of Python and NumPy."""
        for size in self.sizes:
            pixels, segments, found = self.image(*size), _parts(*size), []
            for seed in (310_291, 775_121):
                with global_randomness(seed, "apply()", "rng"):
                    found.append(self._applied(pixels, segments))
            for first, second in zip(*found, strict=True):
                same(second, first, "the image under another global random state")

    def test_one_segment_may_cover_everything(self) -> None:
        """An image with a single segment gets a defect too."""
        for size in self.sizes:
            pixels = self.image(*size)
            with works("apply() works on an image that one segment covers"):
                images = self._applied(pixels, np.full(size, 3, np.uint8))
            for seed, found in enumerate(images):
                assert _changed(found, pixels).any(), f"one segment covers everything: {_nothing(seed)}"

    def test_tiny_segments_are_no_obstacle(self) -> None:
        """Tiny segments next to a large one do not prevent a defect."""
        for size in self.sizes:
            pixels, segments = self.image(*size), _tiny(*size)
            segments[size[0] // 2 :] = 5
            with works("apply() works on an image with a large segment and tiny ones"):
                images = self._applied(pixels, segments)
            for seed, found in enumerate(images):
                assert _changed(found, pixels).any(), f"a large segment and tiny ones: {_nothing(seed)}"
                _in_one_segment(found, pixels, segments)

    def test_tiny_segments_alone_get_a_defect_or_are_refused(self) -> None:
        """If all segments are tiny, one of them changes, or `apply` raises a `SegadError`."""
        generator = self.make()
        for size in self.sizes:
            pixels, segments = self.image(*size), _tiny(*size)
            for seed in range(self.seeds):
                found = None
                with (
                    works("apply() to tiny segments makes a defect or raises a SegadError"),
                    suppress(SegadError),
                ):
                    found = self._apply(generator, pixels, segments, seed)
                if found is not None:
                    assert _changed(found, pixels).any(), f"tiny segments: {_nothing(seed)}"
                    _in_one_segment(found, pixels, segments)

    def test_an_image_without_segments_is_refused(self) -> None:
        """`apply` raises a `SegadError` if the map is `IGNORED` everywhere."""
        for size in self.sizes:
            generator, nothing = self.make(), np.full(size, IGNORED, np.uint8)
            with refused("apply() to an image without any segment must raise a SegadError", SegadError):
                self._apply(generator, self.image(*size), nothing, 0)

    def _apply(self, generator: DefectGenerator, pixels: Pixels, segments: Labels, seed: int) -> Pixels:
        # copies, so that a generator that writes into its arguments violates only the clause about that
        found = generator.apply(pixels.copy(), segments.copy(), np.random.default_rng(seed))
        return copy(found)

    def _applied(
        self, pixels: Pixels, segments: Labels, generator: DefectGenerator | None = None
    ) -> list[Pixels]:
        """One image for each seed."""
        used = generator or self.make()
        return [self._apply(used, pixels, segments, seed) for seed in range(self.seeds)]


def _parts(height: int, width: int) -> Labels:
    """Two halves with a disc between them and an ignored border; label 1 does not occur."""
    rows, columns = np.mgrid[:height, :width]
    labels = np.where(columns < width // 2, 0, 2).astype(np.uint8)
    labels[np.hypot(rows - height / 2, columns - width / 2) < min(height, width) / 4] = 4
    edge = min(height, width) // 8
    labels[:edge] = labels[-edge:] = labels[:, :edge] = labels[:, -edge:] = IGNORED
    return locked(labels)


def _tiny(height: int, width: int) -> Labels:
    """Segments of one, three and four pixels."""
    labels = np.full((height, width), IGNORED, np.uint8)
    labels[0, 0], labels[3, 4:7], labels[6:8, 2:4] = 0, 1, 2
    return labels


def _changed(found: Pixels, pixels: Pixels) -> NDArray[np.bool_]:
    changed: NDArray[np.bool_] = (found != pixels).any(axis=-1)
    return changed


def _nothing(seed: int) -> str:
    return f"apply() returns the image unchanged with the seed {seed}, which is a good image"


def _in_one_segment(found: Pixels, pixels: Pixels, segments: Labels) -> None:
    labels = np.unique(segments[_changed(found, pixels)]).tolist()
    assert IGNORED not in labels, "apply() changes pixels that are IGNORED, which belong to no segment"
    assert len(labels) <= 1, f"apply() changes pixels of the segments {labels}, not of one"
