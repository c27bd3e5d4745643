"""Each clause of the defect-generator suite fails for a plugin that violates it, and passes sound ones."""

import random

import numpy as np
import pytest

from segad_core import contracts
from segad_core.errors import PluginError
from segad_core.testing import DefectGeneratorSuite


class Generator(contracts.DefectGenerator):
    """A square of the inverse colours around a pixel, as far as it lies in that pixel's segment."""

    half = 3

    def apply(self, pixels, segments, rng):
        row, column = self.place(np.argwhere(segments != contracts.IGNORED), segments, rng)
        square = np.zeros(segments.shape, bool)
        square[max(row - self.half, 0) : row + self.half, max(column - self.half, 0) : column + self.half] = (
            True
        )
        return self.painted(pixels, self.within(square, segments, segments[row, column]))

    def place(self, places, segments, rng):
        if not len(places):
            raise PluginError("no segment")
        return places[rng.integers(len(places))]

    def within(self, square, segments, label):
        return square & (segments == label)

    def painted(self, pixels, where):
        return np.where(where[..., None], 255 - pixels, pixels)


class Demanding(Generator):
    """The same, for segments of at least ten pixels."""

    def place(self, places, segments, rng):
        large = [label for label in range(contracts.IGNORED) if (segments == label).sum() >= 10]
        if not large:
            raise PluginError("no segment is large enough")
        return super().place(np.argwhere(np.isin(segments, large)), segments, rng)


def generator(base=Generator, **methods):
    return type("Broken", (base,), {"__doc__": "A generator told wrongly.", **methods})


def changed(change):
    """A generator whose image is changed at the end."""
    return generator(apply=lambda self, *given: change(self, Generator.apply(self, *given), *given))


def painted_in_place(self, pixels, where):
    pixels[where] = 255 - pixels[where]
    return pixels.copy()


def marks_the_place(self, square, segments, label):
    where = Generator.within(self, square, segments, label)
    segments[where] = contracts.IGNORED
    return where


def in_a_buffer(self, found, *given):
    """One array for all images of a size."""
    kept = self.__dict__.setdefault("kept", {})
    buffer = kept.setdefault(found.shape, np.empty_like(found))
    buffer[:] = found
    return buffer


def counting(self, found, *given):
    """Ever brighter, from one call to the next; one segment all the same."""
    self.calls = getattr(self, "calls", 0) + 1
    return np.where(found != given[0], found // 2 + np.uint8(self.calls % 100), found)


def by_the_process(self, places, segments, rng):
    place = Generator.place(self, places, segments, rng)
    return places[np.random.default_rng().integers(len(places))] if len(places) else place


def by_numpy(self, places, segments, rng):
    place = Generator.place(self, places, segments, rng)
    np.random.random_sample()  # noqa: NPY002
    return place


def by_python(self, places, segments, rng):
    Generator.place(self, places, segments, rng)
    return places[int(random.getstate()[1][5] % len(places))]


def at_the_first(self, places, segments, rng):
    Generator.place(self, places, segments, rng)
    return places[len(places) // 2]


def sometimes_none(self, places, segments, rng):
    self.half = 3 if rng.random() < 0.8 else 0
    return Generator.place(self, places, segments, rng)


def at_two_labels(self, places, segments, rng):
    if len(np.unique(segments)) == 1 and len(places):
        raise PluginError("there is nothing but this segment")
    return Generator.place(self, places, segments, rng)


def one_try(self, places, segments, rng):
    """Draws one of the segments and refuses if that is too small."""
    Generator.place(self, places, segments, rng)
    places = np.argwhere(segments == rng.choice(np.unique(segments[tuple(places.T)])))
    if len(places) < 10:
        raise PluginError("this segment is too small")
    return places[rng.integers(len(places))]


def breaks_at_tiny_ones(self, places, segments, rng):
    labels = np.unique(segments[segments != contracts.IGNORED])
    if len(labels) and max((segments == label).sum() for label in labels) < 10:
        raise ZeroDivisionError
    return Generator.place(self, places, segments, rng)


def beyond_tiny_ones(self, square, segments, label):
    where = Generator.within(self, square, segments, label)
    return where if (segments == label).sum() >= 10 else square


def nothing_at_tiny_ones(self, square, segments, label):
    where = Generator.within(self, square, segments, label)
    return where & ((segments == label).sum() >= 10)


def whatever_is_there(self, places, segments, rng):
    return Generator.place(self, places if len(places) else np.array([[9, 9]]), segments, rng)


SHAPE = "test_gives_an_image_of_the_same_shape"
LEAVES = "test_leaves_the_image_as_it_is"
SOME = "test_changes_something"
ONE = "test_changes_one_segment_only"
SAME = "test_is_deterministic"
STAYS = "test_an_image_stays_as_it_was_given"
SEEDS = "test_seeds_differ"
GLOBAL = "test_leaves_global_randomness_alone"
COVERS = "test_one_segment_may_cover_everything"
BESIDE = "test_tiny_segments_are_no_obstacle"
TINY = "test_tiny_segments_alone_get_a_defect_or_are_refused"
NOTHING = "test_an_image_without_segments_is_refused"


@pytest.mark.parametrize(
    ("plugin", "expected"),
    [
        (Generator, ""),
        (Demanding, ""),
        (changed(lambda self, found, *given: found.astype(np.int64)), SHAPE),
        (changed(lambda self, found, *given: found.tolist()), SHAPE),
        (changed(lambda self, found, *given: found.transpose(1, 0, 2)), SHAPE),
        (changed(lambda self, found, *given: found[:, 1:]), SHAPE),
        (generator(painted=painted_in_place), LEAVES),
        (generator(within=marks_the_place), LEAVES),
        (generator(painted=lambda self, pixels, where: pixels), f"{SOME} {SEEDS} {COVERS} {BESIDE} {TINY}"),
        (generator(place=sometimes_none), f"{SOME} {COVERS} {BESIDE} {TINY}"),
        (generator(within=lambda self, square, *_: square), f"{ONE} {TINY}"),
        (
            generator(within=lambda self, square, segments, label: square & (segments != contracts.IGNORED)),
            f"{ONE} {TINY}",
        ),
        (changed(in_a_buffer), STAYS),
        (changed(counting), SAME),
        (generator(place=by_the_process), f"{SAME} {GLOBAL}"),
        (generator(place=by_numpy), GLOBAL),
        (generator(place=by_python), f"{GLOBAL} {SEEDS}"),
        (generator(place=at_the_first), SEEDS),
        (generator(place=at_two_labels), COVERS),
        (generator(place=one_try), BESIDE),
        (generator(place=breaks_at_tiny_ones), TINY),
        (generator(within=beyond_tiny_ones), TINY),
        (generator(within=nothing_at_tiny_ones), TINY),
        (generator(place=whatever_is_there), NOTHING),
        (generator(place=lambda self, places, segments, rng: places[rng.integers(len(places))]), NOTHING),
    ],
)
def test_generator(check, plugin, expected):
    check(DefectGeneratorSuite, plugin, expected)
