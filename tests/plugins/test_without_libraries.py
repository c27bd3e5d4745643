"""Statistics, the probe and final classifiers where torch, numba, XGBoost and others are not installed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from forests import run_of
from numpy.typing import NDArray

from segad_core.contracts import SegmentValues
from segad_plugins.classifiers.linear_probe import LinearProbe
from segad_plugins.features.moments import Kurtosis, Mean, Skew
from segad_plugins.features.order import Maximum, Quantile995
from segad_plugins.features.std import Std
from segad_plugins.final_classifiers.blend import Blend
from segad_plugins.final_classifiers.brf import BoostedRandomForest
from segad_plugins.final_classifiers.bt import BoostedTrees
from segad_plugins.final_classifiers.logistic import Logistic
from segad_plugins.final_classifiers.rf import RandomForest

NAMES = ["left.a.mean", "right.a.q995", "image.a.max", "image.g.score"]
SMALL = BoostedRandomForest.Params(n_estimators=3, num_parallel_tree=10)
FINAL = {
    "brf": BoostedRandomForest(BoostedRandomForest.Params(num_parallel_tree=10, base_margin=NAMES[3])),
    "rf": RandomForest(RandomForest.Params(num_parallel_tree=20)),
    "bt": BoostedTrees(BoostedTrees.Params(n_estimators=20)),
    "blend": Blend(Blend.Params(forest=SMALL)),
    "logistic": Logistic(),
}
PROBE = LinearProbe(LinearProbe.Params(per_layer=True))
FEATURES = (Mean, Skew, Kurtosis, Std, Quantile995, Maximum)

CHILD = """
import importlib, json, sys
from types import SimpleNamespace

MISSING = {"torch", "numba", "llvmlite", "xgboost", "sklearn", "scipy", "pandas", "torchvision", "timm"}

class NotInstalled:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in MISSING:
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)

sys.meta_path.insert(0, NotInstalled())
import numpy as np
from segad_core.api import SegmentValues

given = {name: array for name, array in np.load(sys.argv[1]).items()}
found = {}
for key, (module, name, params) in json.loads(sys.argv[2]).items():
    kind = getattr(importlib.import_module(f"segad_plugins.{module}"), name)
    component = kind(kind.Params.model_validate(params))
    prefix = f"state/{key}/"
    state = {n.removeprefix(prefix): a for n, a in given.items() if n.startswith(prefix)}
    if module.startswith("final"):
        component.restore(state)
        found[f"{key} margins"] = component.margins(given["rows"])
        found[f"{key} contributions"] = component.contributions(given["rows"])
        assert set(component.state()) == set(state)
    elif module.startswith("classifiers"):
        component.restore(state)
        layers = {n.removeprefix("layer/"): a for n, a in given.items() if n.startswith("layer/")}
        found[f"{key} scores"] = component.judge(component.vectors(SimpleNamespace(features=lambda: layers)))
    else:
        for how in ("values", "runs"):
            values = SegmentValues(given["values"], given["offsets"])
            if how == "runs":
                values = SegmentValues(None, given["offsets"], anomaly_map=given["map"], runs=given["runs"])
            found[f"{key} {how}"] = component.compute(values)
assert not MISSING & {name.partition(".")[0] for name in sys.modules}
np.savez(sys.argv[3], **found)
"""


def fit() -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
    """Fits all; what the child is given, and what it should find."""
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], [40, 20])
    features = rng.normal(size=(60, 4)) + labels[:, None] * np.array([1, 0, 2, 1])
    given: dict[str, NDArray[Any]] = {"rows": rng.normal(size=(9, 4))}
    expected: dict[str, NDArray[Any]] = {}
    for name, final in FINAL.items():
        final.fit(features, NAMES, labels, run_of(1))
        given |= {f"state/{name}/{key}": array for key, array in final.state().items()}
        expected[f"{name} margins"] = final.margins(given["rows"])
        expected[f"{name} contributions"] = final.contributions(given["rows"])

    layers = {f"layer{i}": rng.normal(size=(60, 4, 6, 6)).astype(np.float32) for i in range(2)}
    layers["layer1"][labels == 1] += 1
    given |= {f"layer/{name}": layer for name, layer in layers.items()}
    batch: Any = SimpleNamespace(features=lambda: layers)
    PROBE.learn(PROBE.vectors(batch), labels, run_of(1))
    given |= {f"state/probe/{key}": array for key, array in PROBE.state().items()}
    expected["probe scores"] = PROBE.judge(PROBE.vectors(batch))

    anomaly_map = rng.lognormal(size=(20, 30)).astype(np.float32)
    runs = np.array([[0, 5], [30, 200], [300, 290], [5, 7]])
    offsets = np.array([0, 205, 205, 495, 502])
    flat = anomaly_map.reshape(-1)
    values = np.concatenate([flat[first : first + length] for first, length in runs])
    given |= {"map": anomaly_map, "runs": runs, "offsets": offsets, "values": values}
    for kind in FEATURES:
        for how in ("values", "runs"):
            expected[f"{kind.__name__} {how}"] = kind().compute(SegmentValues(values, offsets))
    return given, expected


@pytest.fixture(scope="module")
def results(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
    """What is expected, and what a process without the libraries found."""
    folder: Path = tmp_path_factory.mktemp("light")
    given, expected = fit()
    np.savez(folder / "given.npz", **given)
    components: dict[str, Any] = {**FINAL, "probe": PROBE, **{kind.__name__: kind() for kind in FEATURES}}
    described = {
        key: (
            type(one).__module__.removeprefix("segad_plugins."),
            type(one).__name__,
            one.params.model_dump(mode="json"),
        )
        for key, one in components.items()
    }
    command = [
        sys.executable,
        "-c",
        CHILD,
        str(folder / "given.npz"),
        json.dumps(described),
        str(folder / "found.npz"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return expected, dict(np.load(folder / "found.npz"))


def test_all_is_computed(results: tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]) -> None:
    expected, found = results
    assert found.keys() == expected.keys() and len(found) == 2 * 5 + 1 + 2 * 6
    assert all(np.isfinite(array).all() and np.ptp(array) > 0 for array in found.values())


@pytest.mark.parametrize("name", FINAL)
def test_final_classifiers_give_the_same_bits(
    name: str, results: tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]
) -> None:
    expected, found = results
    for what in ("margins", "contributions"):
        np.testing.assert_array_equal(found[f"{name} {what}"], expected[f"{name} {what}"])


def test_scores_of_the_probe_differ_by_rounding(
    results: tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]],
) -> None:
    expected, found = results
    scores = expected["probe scores"]
    np.testing.assert_allclose(found["probe scores"], scores, rtol=0, atol=1e-5 * np.ptp(scores))


@pytest.mark.parametrize("kind", FEATURES)
@pytest.mark.parametrize("how", ["values", "runs"])
def test_statistics_differ_by_rounding(
    kind: type[Any], how: str, results: tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]
) -> None:
    expected, found = results
    key = f"{kind.__name__} {how}"
    assert found[key].shape == (4, 1)
    np.testing.assert_allclose(found[key], expected[key], rtol=1e-9)
