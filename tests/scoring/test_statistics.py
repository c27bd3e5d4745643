"""Statistics of anomaly maps: each feature is held to its names, and what it receives is read-only."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import Bright
from numpy.typing import NDArray

from segad_core.base import parallel
from segad_core.contracts import Feature, ImageBatch, Sample, SegmentValues
from segad_core.errors import NonFiniteError, PluginError
from segad_core.scoring.statistics import MapStatistics


class Odd(Feature):
    """Names some statistics and returns an array of a shape."""

    def __init__(self, names: Sequence[str], shape: tuple[int, ...]) -> None:
        super().__init__()
        self.names, self.shape = names, shape

    def statistics(self) -> Sequence[str]:
        return self.names

    def compute(self, values: SegmentValues) -> NDArray[np.float64]:
        return np.zeros(self.shape)


class Writer(Feature):
    """Writes into one of the arrays that it is given."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def statistics(self) -> Sequence[str]:
        return ("w",)

    def compute(self, values: SegmentValues) -> NDArray[np.float64]:
        getattr(values, self.name)[...] = 1
        return np.zeros((1, 1))


def computed(*features: Feature) -> Any:
    batch = ImageBatch([Sample("a", Path("a"), None)], np.zeros((1, 4, 4, 3), np.uint8))
    detector = Bright()
    statistics = MapStatistics("key", "bright", None, features)
    return statistics.compute(detector, detector.anomaly_maps(batch), batch, None)


@pytest.mark.parametrize(
    "features",
    [
        (Odd(["a"], (1, 2)), Odd(["b", "c"], (1, 1))),  # as many as named, under the wrong names
        (Odd(["a"], (1,)),),
        (Odd(["a", "b"], (1, 1)),),
        (Odd(["a"], (2, 1)),),
    ],
)
def test_a_feature_that_returns_another_shape_than_it_names_is_an_error(
    features: tuple[Feature, ...],
) -> None:
    with pytest.raises(PluginError, match=r"feature 'Odd': compute.*detector 'bright'"):
        computed(*features)


class Slow(Feature):
    """The sum of the map, in a thread of its own where there are several."""

    def __init__(self) -> None:
        super().__init__()
        self.threads: set[int] = set()

    def statistics(self) -> Sequence[str]:
        return ("sum",)

    def compute(self, values: SegmentValues) -> NDArray[np.float64]:
        self.threads.add(threading.get_ident())
        return np.array([[values.values.sum(dtype=np.float64)]])


def test_the_number_of_threads_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "_WORTH", 0.0)
    maps = np.random.default_rng(0).normal(size=(9, 6, 6)).astype(np.float32)
    samples = [Sample(str(i), Path(str(i)), None) for i in range(9)]
    batch, rows, used = ImageBatch(samples, np.zeros((9, 6, 6, 3), np.uint8)), [], []
    for count in (1, 3):
        monkeypatch.setenv("OMP_NUM_THREADS", str(count))
        feature = Slow()
        rows.append(MapStatistics("key", "bright", None, [feature]).compute(Bright(), maps, batch, None))
        used.append(len(feature.threads))
    np.testing.assert_array_equal(rows[0], rows[1])
    np.testing.assert_allclose(rows[0][:, 0], maps.sum(axis=(1, 2), dtype=np.float64), rtol=1e-12)
    assert used[0] == 1 and used[1] > 1


def test_a_value_that_is_not_finite_is_named() -> None:
    class Infinite(Odd):
        def compute(self, values: SegmentValues) -> NDArray[np.float64]:
            return np.array([[1.0, np.inf]])

    with pytest.raises(NonFiniteError, match=r"'image\.bright\.b' is not finite for image 'a'"):
        computed(Infinite(["a", "b"], (1, 2)))


def test_features_side_by_side() -> None:
    assert computed(Odd(["a"], (1, 1)), Odd(["b", "c"], (1, 2))).shape == (1, 3)


@pytest.mark.parametrize("name", ["values", "offsets", "anomaly_map", "pixels", "runs"])
def test_what_a_feature_receives_cannot_be_written_to(name: str) -> None:
    with pytest.raises(ValueError, match="read-only"):
        computed(Writer(name))
