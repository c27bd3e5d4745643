"""segad's own detectors have the maps and scores of anomalib's, where both have the same random weights."""

from functools import partial

import numpy as np
import pytest
from speed import coreset, peers
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


def pair(name, weights, good):
    network, _ = PAIRS[name]
    if name == "patchcore":
        return peers.patchcore(network, weights, good, 50)
    if name == "fastflow":
        return peers.fastflow(network, weights, good)
    return peers.rd4ad(network, weights, good) if name == "rd4ad" else peers.efficientad(good[:1], "small")


def contestants(name):
    network, size = PAIRS[name]
    good, new = good_images(3, size, size), bad_images(1 if size > SIZE else 2, size, size, seed=1)
    weights = peers.backbone(network, good)
    model, detector = pair(name, weights, good)
    encoder = peers.encoder(network, weights)
    return [
        Contestant("anomalib", partial(by_anomalib, {name: model}, new)),
        Contestant("segad", partial(by_segad, {name: detector}, encoder, new)),
    ]


@pytest.mark.parametrize("name", PAIRS)
def test_maps_and_scores_are_the_same(name):
    both = contestants(name)
    compare(both, 1e-4)
    maps = both[0].work()[f"maps of {name}"]
    assert np.ptp(maps) > 1e-3 and np.isfinite(maps).all(), "networks that say nothing would agree, too"


def test_other_weights_are_noticed():
    good = good_images(3, SIZE, SIZE)
    weights = peers.backbone(SMALL, good)
    model, detector = peers.patchcore(SMALL, weights, good, 50)
    model.memory_bank[::2] += 0.1
    both = [
        Contestant("anomalib", partial(by_anomalib, {"patchcore": model}, good)),
        Contestant("segad", partial(by_segad, {"patchcore": detector}, peers.encoder(SMALL, weights), good)),
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
