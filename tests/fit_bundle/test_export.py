"""Exported bundles give the results of the original, and none is written that does not."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import light_bundle
import numpy as np
import onnxruntime
import pytest
import trained_bundles
from builders import said, segad
from numpy.typing import NDArray
from PIL import Image

from segad_core.api import Graph, ImageBatch, Wanted
from segad_core.bundle.format.container import Container
from segad_core.bundle.format.tables import read_golden
from segad_core.bundle.runtime import selftest
from segad_core.bundle.runtime.bundle import Bundle
from segad_core.bundle.runtime.golden import GoldenUnit
from segad_core.bundle.runtime.prediction import Prediction
from segad_core.errors import BundleError
from segad_core.fit_bundle import export
from segad_core.fit_bundle.parity import _problems_alone, compared
from segad_plugins.detectors import graph
from segad_plugins.detectors.patchcore import PatchCore
from segad_plugins.graphs import patchcore


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, object]]:
    """The bundle of all learners, exported, and what the command said."""
    out = tmp_path_factory.mktemp("exported") / "new" / "folder" / "all.segad"
    images = trained_bundles.home() / "data"
    words = ("--to", "onnx", "--images", images, "--needs-segad", "--json")
    result = segad("export", trained_bundles.bundle_of("All"), "-o", out, *words)
    assert result.exit_code == 0, said(result)
    return out, json.loads(result.stdout)


def test_the_same_scores_verdicts_and_reasons(exported: tuple[Path, dict[str, object]]) -> None:
    paths = list(
        trained_bundles.run_scores("All")
    )  # of test images: training images lie on the trees' splits
    with Bundle.load(trained_bundles.bundle_of("All"), "cpu") as bundle:
        before, span = bundle.predict(paths), np.ptp(bundle.calibration().scores)
    with Bundle.load(exported[0], "cpu") as bundle:
        after = bundle.predict(paths)
    scores = [[one.score for one in some] for some in (before, after)]
    assert np.ptp(scores[0]) > 0
    np.testing.assert_allclose(scores[1], scores[0], atol=1e-3 * span)
    assert [one.verdict for one in after] == [one.verdict for one in before]
    assert {one.verdict for one in after} == {"OK", "NG"}
    for one, other in zip(before, after, strict=True):
        assert one.reason.partition(" ")[0] == other.reason.partition(" ")[0]
        found = [
            [c.amount for c in sorted(some, key=lambda c: (c.segment, c.source, c.statistic))]
            for some in (one.contributions, other.contributions)
        ]
        np.testing.assert_allclose(found[1], found[0], atol=1e-2 * span)


def test_graphs_take_the_place_of_networks_alone(exported: tuple[Path, dict[str, object]]) -> None:
    out, told = exported
    assert told["replaced"] == ["segad:devnet", "segad:efficientnet_lite0", "segad:patchcore"]
    assert told["kept"] == ["segad:brf", "segad:max", "segad:mean", "segad:q995", "segad:static_mask"]
    before, after = (Container(path) for path in (trained_bundles.bundle_of("All"), out))
    try:
        pipeline = after.manifest.pipeline
        assert pipeline.encoder is not None and pipeline.encoder.use == "segad:onnx"
        assert {use.use for use in pipeline.detectors.values()} == {"segad:onnx"}
        same = before.manifest.files.items() & after.manifest.files.items()
        gone = {name for name, _ in before.manifest.files.items() - same}
        learners = ("detectors/patchcore", "detectors/smooth", "classifiers/devnet")
        assert gone == {f"{name}.safetensors" for name in learners}
        assert after.manifest.provenance.environment["export"] == {
            "engine": "onnx",
            "of": Bundle.load(trained_bundles.bundle_of("All"), "cpu").digest,
        }
    finally:
        before.close()
        after.close()


def test_calibration_images_are_compared_too(exported: tuple[Path, dict[str, object]]) -> None:
    parity = exported[1]["parity"]
    assert isinstance(parity, dict)
    with Bundle.load(trained_bundles.bundle_of("All"), "cpu") as bundle:
        calibration = bundle.calibration()
        golden = sum(name.startswith("golden/") for name in bundle.manifest.files)
    assert parity["images"] == golden + len(calibration.images)
    assert parity["largest"] <= parity["tolerated"] == pytest.approx(1e-3 * np.ptp(calibration.scores))


def test_the_forest_is_there_for_other_programs(exported: tuple[Path, dict[str, object]]) -> None:
    forest = onnxruntime.InferenceSession(exported[0] / "graphs" / "forest.onnx")
    with Bundle.load(exported[0], "cpu") as bundle:
        calibration = bundle.calibration()
    (margins,) = forest.run(None, {"features": calibration.features.astype(np.float32)})
    np.testing.assert_allclose(margins, calibration.scores, atol=1e-5)


def test_it_verifies_itself_later(exported: tuple[Path, dict[str, object]]) -> None:
    result = segad("bundle", "verify", exported[0])
    assert result.exit_code == 0, said(result)
    shown = said(segad("bundle", "show", exported[0]))
    with Bundle.load(trained_bundles.bundle_of("All"), "cpu") as bundle:
        assert f"to onnx, from the bundle {bundle.digest[:16]}" in shown


def test_teaching_leaves_out_the_forest_of_before(
    exported: tuple[Path, dict[str, object]], tmp_path: Path
) -> None:
    bad = next(path for path in trained_bundles.run_scores("All") if path.parent.name == "bad")
    result = segad("learn", exported[0], "--bad", bad, "-o", tmp_path / "taught")
    assert result.exit_code in (0, 4), said(result)
    assert (exported[0] / "graphs" / "forest.onnx").is_file()
    assert not (tmp_path / "taught" / "graphs").exists()
    assert segad("bundle", "verify", tmp_path / "taught").exit_code == 0


def test_what_needs_torch_is_found_by_a_process_without_it(exported: tuple[Path, dict[str, object]]) -> None:
    assert _problems_alone(exported[0]) == []
    (problem,) = _problems_alone(trained_bundles.bundle_of("DevNet"))
    assert "devnet" in problem and "torch" in problem


def test_other_results_are_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = graph.Onnx.image_scores

    def noisy(self: graph.Onnx, batch: ImageBatch, maps: NDArray[np.float32]) -> NDArray[np.float64]:
        return whole(self, batch, maps) * 1.01

    monkeypatch.setattr(graph.Onnx, "image_scores", noisy)
    words = ("-o", tmp_path / "out.segad", "--to", "onnx", "--batch", "2", "--needs-segad")
    result = segad("export", trained_bundles.bundle_of("PatchCore"), *words)
    assert result.exit_code == 1
    assert "golden/" in said(result) and "more than" in said(result)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("engine", "words"),
    [("tensorrt", "no encoder is called 'tensorrt'"), ("efficientnet_lite0", "does not run graphs")],
)
def test_what_runs_no_graphs(engine: str, words: str, tmp_path: Path) -> None:
    bundle = trained_bundles.bundle_of("PatchCore")
    result = segad("export", bundle, "-o", tmp_path / "out.segad", "--to", engine)
    assert result.exit_code == 2
    assert words in said(result) and "Name onnx, openvino" in said(result)
    assert not list(tmp_path.iterdir())


def test_images_that_cannot_be_compared_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    light_bundle.install(monkeypatch)
    Image.new("RGB", (20, 20)).save(tmp_path / "a.png")
    words = ("-o", tmp_path / "out", "--to", "onnx", "--images", tmp_path / "a.png", "--images", "gone.png")
    result = segad("export", light_bundle.made() / "b", *words)
    assert result.exit_code == 2
    assert "of 2 images, none is a calibration image" in said(result)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_a_graph_that_reads_what_nobody_gives_names_its_plugin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = patchcore.graph

    def other(detector: PatchCore, wanted: Wanted) -> Graph:
        return replace(real(detector, wanted), inputs=("another",))

    monkeypatch.setattr(patchcore, "graph", other)
    result = segad("export", trained_bundles.bundle_of("PatchCore"), "-o", tmp_path / "out", "--to", "onnx")
    assert result.exit_code == 1
    assert "'segad:patchcore' as 'patchcore'" in said(result) and "'another'" in said(result)
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_run_is_not_exported_and_its_place_not_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    light_bundle.install(monkeypatch)
    with Bundle.load(light_bundle.made() / "b", "cpu") as bundle:
        with pytest.raises(BundleError) as error:
            compared(bundle, tmp_path / "gone", [], alone=False)
        assert error.value.what.startswith(f"{bundle.container.path}: is not exported: ")
        assert "gone" not in error.value.what


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    result = segad("export", trained_bundles.bundle_of("PatchCore"), "-o", tmp_path / "out", "--to", "onnx")
    assert result.exit_code == 1
    assert "already exists" in said(result)


def test_an_exported_bundle_is_exported_already(
    exported: tuple[Path, dict[str, object]], tmp_path: Path
) -> None:
    result = segad("export", exported[0], "-o", tmp_path / "out", "--to", "openvino")
    assert result.exit_code == 1
    assert "is exported already" in said(result)


def test_a_bundle_without_networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    light_bundle.install(monkeypatch)
    result = segad("export", light_bundle.made() / "b", "-o", tmp_path / "out", "--to", "onnx")
    assert result.exit_code == 1
    assert "none of its plugins can be exported" in said(result)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("shift", "threshold", "problems"),
    [(0.9, 50.0, 0), (1.1, 50.0, 1), (-0.5, 0.2, 0), (-0.5, 0.0, 0), (-0.5, -0.45, 0)],
)
def test_verdicts_near_the_threshold_may_turn_as_far_as_scores_may_differ(
    exported: tuple[Path, dict[str, object]],
    shift: float,
    threshold: float,
    problems: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Shifts and distances to the threshold in thousandths of the range, from the first golden image."""
    with Bundle.load(exported[0], "cpu") as bundle:
        thousandth = 1e-3 * float(np.ptp(bundle.calibration().scores))
        first = read_golden(bundle.container)[0].score
        point = bundle.operating_point.model_copy(update={"threshold": first + threshold * thousandth})
        monkeypatch.setattr(bundle, "operating_point", point)
        real = selftest.predictions

        def shifted(bundle: Bundle, units: Sequence[GoldenUnit]) -> list[Prediction]:
            one, *rest = real(bundle, units)
            assert one.score is not None
            return [replace(one, score=first + shift * thousandth), *rest]

        monkeypatch.setattr(selftest, "predictions", shifted)
        monkeypatch.setattr(selftest, "_point_problems", lambda _: [])
        assert len(selftest.verify(bundle).problems) == problems


def test_interrupted_nothing_is_left_and_no_store_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(export, "_graphs", stopped)
    result = segad("export", trained_bundles.bundle_of("PatchCore"), "-o", tmp_path / "out", "--to", "onnx")
    assert result.exit_code == 1
    assert said(result).splitlines()[-1] == "interrupted"
    assert not list(tmp_path.iterdir())
