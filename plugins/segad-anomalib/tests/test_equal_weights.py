"""segad's own detectors have the maps and scores of anomalib's, where both have the same random weights."""

from copy import deepcopy
from functools import cache, partial

import numpy as np
import pytest
from speed import coreset, peers, training
from speed.detectors import by_anomalib, by_segad
from speed.interleaved import Contestant, Differs, compare

from segad_core.testing import bad_images, good_images

SMALL, SIZE = "resnet18", 64
PAIRS = {  # detector: encoder, size of images; anomalib's networks fit no others
    "patchcore": (SMALL, SIZE),
    "fastflow": (SMALL, SIZE),
    "rd4ad": ("wide_resnet50_2", SIZE),
    "efficientad": (SMALL, 256),
}


@cache
def pair(name):
    """anomalib's model, segad's detector and encoder, and images that they do not know."""
    network, size = PAIRS[name]
    good, new = good_images(3, size, size), bad_images(1 if size > SIZE else 2, size, size, seed=1)
    weights = peers.backbone(network, good)
    make = {
        "patchcore": lambda: peers.patchcore(network, weights, good, 50),
        "fastflow": lambda: peers.fastflow(network, weights, good),
        "rd4ad": lambda: peers.rd4ad(network, weights, good),
        "efficientad": lambda: peers.efficientad(good[:1], "small"),
    }
    return *make[name](), peers.encoder(network, weights), new


@pytest.mark.parametrize("name", PAIRS)
def test_maps_and_scores_are_the_same(name):
    model, detector, encoder, new = pair(name)
    both = [
        Contestant("anomalib", partial(by_anomalib, {name: model}, new)),
        Contestant("segad", partial(by_segad, {name: detector}, encoder, new)),
    ]
    compare(both, 1e-4)
    maps = both[0].work()[f"maps of {name}"]
    assert np.ptp(maps) > 1e-3 and np.isfinite(maps).all(), "networks that say nothing would agree, too"


@pytest.mark.parametrize("name", training.OPTIMISERS)
def test_losses_of_trainings_are_the_same(name):
    """After a step of Adam, which divides small gradients by their size, rounding is no longer small."""
    model, detector, encoder, new = pair(name)
    both = training.contestants(name, (model, detector), encoder, new)
    compare(both, 1e-4)
    second = {one.name: one.work()["loss"][0] for one in both}
    third = {one.name: one.work()["loss"][0] for one in both}
    fallen = {name: second[name] - third[name] for name in second}
    assert fallen["segad"] > 0 and fallen["segad"] == pytest.approx(fallen["anomalib"], rel=0.1)


def test_other_weights_are_noticed():
    model, detector, encoder, new = pair("patchcore")
    other = deepcopy(model)
    other.memory_bank[::2] += 0.1
    both = [
        Contestant("anomalib", partial(by_anomalib, {"patchcore": other}, new)),
        Contestant("segad", partial(by_segad, {"patchcore": detector}, encoder, new)),
    ]
    with pytest.raises(Differs, match="maps of patchcore"):
        compare(both, 1e-4)


def test_the_coreset_has_the_same_picks_in_the_same_order():
    points = coreset.features(2000, 40)
    expected, found = coreset.by_anomalib(points, 0.05), coreset.by_segad(points, 0.05)
    np.testing.assert_array_equal(found["picks"], expected["picks"])
    assert len(set(found["picks"])) == 100
    assert coreset.other_picks(found["picks"], expected["picks"]) == 0
    assert coreset.other_picks(found["picks"] % 1000, expected["picks"]) > 0.2
