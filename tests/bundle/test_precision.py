"""Bundles keep the precision of their networks; another one is used on request, and told."""

from __future__ import annotations

from pathlib import Path

import pytest
from builders import said, segad
from trained_bundles import bad, bundle_of, good, home

from segad_core.bundle.runtime.bundle import Bundle
from segad_plugins.encoders.efficientnet_lite0 import EfficientNetLite0


@pytest.fixture(scope="module")
def rough(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of the row SegAD, made in bfloat16."""
    out = tmp_path_factory.mktemp("precision") / "rough"
    words = ("--category", "a", "--row", "SegAD", "-o", out, "--store", home() / "store", "--device", "cpu")
    made = segad("fit", home() / "trained.yaml", *words, "--precision", "bfloat16")
    assert made.exit_code == 0, said(made)
    return out


def scores(bundle: Path, precision: str = "auto") -> list[float | None]:
    with Bundle.load(bundle, "cpu", precision=precision) as opened:
        return [one.score for one in opened.predict([good(0), bad(0), bad(1)])]


def test_a_bundle_in_float32_says_nothing_of_it() -> None:
    assert b'"precision"' not in (bundle_of("SegAD") / "manifest.json").read_bytes()
    assert "computed in" not in said(segad("bundle", "show", bundle_of("SegAD")))


def test_a_bundle_is_used_in_what_it_was_made_in(rough: Path) -> None:
    assert "bfloat16" in said(segad("bundle", "show", rough))
    assert scores(rough) == scores(rough, "bfloat16")
    with Bundle.load(rough, "cpu") as bundle:
        assert bundle.manifest.pipeline.precision == "bfloat16"
        assert bundle.pipeline.encoder is not None
        assert bundle.pipeline.encoder.network_precision == "bfloat16"  # type: ignore[attr-defined]
    verified = segad("bundle", "verify", rough, "--device", "cpu")
    assert verified.exit_code == 0 and "warning" not in said(verified), said(verified)


def test_another_precision_is_told_and_verified(rough: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its threshold was set on other scores."""
    monkeypatch.setattr(EfficientNetLite0, "exact", ())  # scores leave the tolerance
    fine = bundle_of("PatchCore")
    assert scores(fine) == scores(fine, "float32") != scores(fine, "bfloat16")
    verified = segad("bundle", "verify", fine, "--device", "cpu", "--precision", "bfloat16")
    assert verified.exit_code == 1 and "differ" in said(verified), said(verified)
    assert "was made in bfloat16" in said(segad("predict", rough, good(0), "--precision", "float32"))


def test_predictions_of_two_precisions_do_not_mix_in_a_file(rough: Path, tmp_path: Path) -> None:
    out = tmp_path / "found.csv"
    first = segad("predict", rough, good(0), "-o", out, "--device", "cpu")
    assert first.exit_code == 0, said(first)
    same = segad("predict", rough, good(1), "-o", out, "--resume", "--precision", "bfloat16")
    assert same.exit_code == 0, said(same)
    other = segad("predict", rough, good(2), "-o", out, "--resume", "--precision", "float32")
    assert other.exit_code == 2, said(other)
    assert len(out.read_text().splitlines()) == 3


def test_learning_keeps_the_precision(rough: Path, tmp_path: Path) -> None:
    learnt = segad("learn", rough, "--bad", bad(0), "-o", tmp_path / "learnt", "--device", "cpu")
    assert learnt.exit_code in (0, 4), said(learnt)
    with Bundle.load(tmp_path / "learnt", "cpu") as bundle:
        assert bundle.manifest.pipeline.precision == "bfloat16"
