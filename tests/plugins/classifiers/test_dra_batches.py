"""What DRA sees: pseudo-anomalies, references, and the order of the images."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import plain_supervised as plain
import pytest

from segad_core.testing import bad_images, good_images
from segad_plugins.classifiers.cutmix import CutMix
from segad_plugins.classifiers.dra_batches import BAD, GOOD, PSEUDO, Mixing, Steps, drawn_references

PIXELS = np.concatenate([good_images(9, 24, 20), bad_images(5, 24, 20)])
GOODS, BADS = np.arange(9), np.arange(9, 14)


def steps(share: float = 0.5, mix_references: bool = False, seeds: Any = (1, 2, 3, 4)) -> Steps:
    counts = 5, 8, 4
    return Steps(PIXELS, GOODS, BADS, counts, Mixing(CutMix(), share), mix_references, seeds)


def made_of(image: np.ndarray) -> int:
    """The good image of which a pseudo-anomaly is made: all but a rectangle of it."""
    (source,) = [i for i in GOODS if (PIXELS[i] == image).all(axis=2).mean() > 0.8]
    return int(source)


def test_references_come_first_then_good_then_bad() -> None:
    images, kinds = steps()[0]
    assert images.shape == (17, 24, 20, 3) and images.dtype == np.uint8
    assert len(kinds) == 12 and set(kinds[:8]) == {GOOD, PSEUDO} and (kinds[8:] == BAD).all()
    assert all(0 <= place < 9 for place in plain.places(images[:5], PIXELS))
    assert all(place >= 9 for place in plain.places(images[13:], PIXELS))


def test_half_of_the_good_places_become_pseudo_anomalies_of_any_good_image() -> None:
    shown, sources = steps(), Counter()
    pseudo = []
    for step in range(60):
        images, kinds = shown[step]
        for image, kind, place in zip(images[5:13], kinds, plain.places(images[5:13], PIXELS), strict=False):
            assert (place == -1) == (kind == PSEUDO)
            if kind == PSEUDO:
                sources[made_of(image)] += 1
        pseudo.extend(kinds[:8] == PSEUDO)
    assert np.mean(pseudo) == pytest.approx(0.5, abs=0.08)
    assert sorted(sources) == GOODS.tolist() and max(sources.values()) < 60


def test_a_pseudo_anomaly_is_not_of_the_image_in_whose_place_it_stands() -> None:
    """But of one that is drawn: rarely the same."""
    plain_steps, mixed_steps = steps(0.0), steps(1.0)
    same = []
    for step in range(20):
        kept, mixed = plain_steps[step][0][5:13], mixed_steps[step][0][5:13]
        same += [a == made_of(b) for a, b in zip(plain.places(kept, PIXELS), mixed, strict=True)]
    assert len(same) == 160
    assert 0.03 < np.mean(same) < 0.25  # one in nine


@pytest.mark.parametrize(("share", "kind"), [(0.0, GOOD), (1.0, PSEUDO)])
def test_the_share_is_the_one_asked_for(share: float, kind: int) -> None:
    images, kinds = steps(share)[3]
    assert (kinds[:8] == kind).all()
    assert ({-1} == set(plain.places(images[5:13], PIXELS))) == (kind == PSEUDO)


def test_images_come_out_of_endless_permutations() -> None:
    """5 references and 8 of 9 good ones a step, 4 of 5 bad ones."""
    chosen = np.array([plain.places(steps(0.0)[step][0], PIXELS) for step in range(45)])
    for part, often in ((chosen[:, :5], 25), (chosen[:, 5:13], 40)):
        assert Counter(part.ravel().tolist()) == dict.fromkeys(range(9), often)
        assert sorted(part.ravel()[:9]) == GOODS.tolist()
    assert Counter(chosen[:, 13:].ravel().tolist()) == dict.fromkeys(range(9, 14), 36)
    assert chosen[0, :5].tolist() != chosen[0, 5:10].tolist()


def test_references_are_plain_or_about_half_mixed() -> None:
    plain_ones = [steps()[step][0][:5] for step in range(30)]
    assert min(place for images in plain_ones for place in plain.places(images, PIXELS)) >= 0
    mixed = [
        place for step in range(30) for place in plain.places(steps(mix_references=True)[step][0][:5], PIXELS)
    ]
    assert np.mean([place == -1 for place in mixed]) == pytest.approx(0.5, abs=0.12)
    assert max(mixed) < 9


@pytest.mark.parametrize("mix_references", [True, False])
def test_a_step_depends_on_its_number_and_the_seeds_alone(mix_references: bool) -> None:
    first, again = steps(mix_references=mix_references), steps(mix_references=mix_references)
    later = [again[step] for step in (4, 2)][::-1]
    for (images, kinds), (same_images, same_kinds) in zip([first[2], first[4]], later, strict=True):
        assert (images == same_images).all() and (kinds == same_kinds).all()
    for place in range(4):
        seeds = [1, 2, 3, 4]
        seeds[place] = 99
        assert (steps(mix_references=mix_references, seeds=tuple(seeds))[2][0] != first[2][0]).any()


def test_the_training_images_stay_as_they_are() -> None:
    before = PIXELS.copy()
    for step in range(3):
        steps(1.0, mix_references=True)[step]
    assert (before == PIXELS).all()


# ---- references drawn while testing ----

POOL = PIXELS[:9]
HALF = Mixing(CutMix(), 0.5)


def test_drawn_references_are_half_mixed_ones_of_the_pool() -> None:
    found = []
    for seed in range(40):
        references = drawn_references(bad_images(1, 24, 20, seed)[0], POOL, 5, HALF)
        assert references.shape == (5, 24, 20, 3) and references.dtype == np.uint8
        found += plain.places(references, POOL)
        assert all(0 <= made_of(image) < 9 for image in references)
    assert np.mean([place == -1 for place in found]) == pytest.approx(0.5, abs=0.12)
    assert set(found) == {-1, *range(9)}


def test_drawn_references_are_different_images_as_long_as_there_are() -> None:
    none = Mixing(CutMix(), 0.0)
    assert len(set(plain.places(drawn_references(POOL[0], POOL, 9, none), POOL))) == 9
    twice = Counter(plain.places(drawn_references(POOL[0], POOL[:3], 5, none), POOL))
    assert set(twice) == {0, 1, 2} and max(twice.values()) == 2


def test_drawn_references_depend_on_the_images_pixels_alone() -> None:
    image = bad_images(1, 24, 20, 7)[0]
    first = drawn_references(image, POOL, 5, HALF)
    assert (drawn_references(image.copy(), POOL, 5, HALF) == first).all()
    image[3, 4, 2] ^= 1
    assert (drawn_references(image, POOL, 5, HALF) != first).any()
