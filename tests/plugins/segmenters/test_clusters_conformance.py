"""Segmenter `clusters` against the conformance suite."""

from __future__ import annotations

import pytest

from segad_core.contracts import Segmenter
from segad_core.testing import LearningSegmenterSuite
from segad_plugins.segmenters.clusters import Clusters


class TestClusters(LearningSegmenterSuite):
    def make(self) -> Clusters:
        return Clusters(Clusters.Params(k=4))


class TestStillClusters(LearningSegmenterSuite):
    def make(self) -> Clusters:
        return Clusters(Clusters.Params(k=3, still=True))


class TestStableClusters(LearningSegmenterSuite):
    def make(self) -> Clusters:
        return Clusters(Clusters.Params(layers=("layer1",), k="stable", most=4, pooling=1))


@pytest.mark.parametrize("wrong", [{"k": 1}, {"k": "many"}, {"pooling": 2}, {"layers": ()}, {"most": 65}])
def test_parameters_that_are_rejected(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Clusters.Params.model_validate(wrong)


def test_it_is_a_segmenter() -> None:
    assert issubclass(Clusters, Segmenter)
