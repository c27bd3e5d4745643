"""Very few images: what check reports before training, and bundles that are refused."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import calibrated
import fakes
import pytest
import views
from builders import fit_command, kinds, run_command, said, segad, workshop, write_recipe

from segad_core.bundle.format.container import Container
from segad_core.bundle.format.operating_point import read_operating_point
from segad_core.cli.point import doubts
from segad_core.operate.operating_point import measure
from segad_core.operate.thresholds import Rule
from segad_core.run import few_images

FOREST = "final: {use: brf, params: {n_estimators: 2, num_parallel_tree: 5}}"
SOME = ("test: {good: 4, bad: 3}", "test: {good: 0.25, bad: 0.5}")
BLEND = (FOREST, FOREST.replace("{use: brf, params: ", "{use: blend, params: {forest: ") + "}")
UNLEARNABLE = "its final classifier 'brf' learns nothing from 2 good and 2 bad images, not even where every"


def few(home: Path, good: int, bad: int, *changes: tuple[str, str]) -> Path:
    workshop(home, good=good, bad=bad)
    return write_recipe(home, SOME, ("detectors: {good: 4}", "detectors: {good: 0.667}"), *changes)


def test_check_says_what_can_be_known_and_which_row_cannot_learn(tmp_path: Path) -> None:
    """8 good and 4 bad: 2 and 2 are tested, and no tree can split what is left."""
    text = said(segad("check", few(tmp_path, 8, 4), "--store", tmp_path / "store"))
    assert "2 good and 2 bad test images: the 95% interval of AUROC is at least 61.4 points wide" in text
    assert f"category 'a', row 'SegAD': {UNLEARNABLE}" in text
    assert "  row 'SegAD' learns from 2 good and 2 bad images\n" in text
    assert kinds(tmp_path / "store") == []


def test_a_forest_without_a_split_has_no_figures_and_no_bundle(tmp_path: Path) -> None:
    """It called every image NG with the score 0, at a threshold of -4.9e-324."""
    recipe = few(tmp_path, 8, 4)
    result = run_command(recipe)
    assert "SegAD: all images have the same score; nothing was learnt" in said(result)
    with (tmp_path / "runs/tiny/latest/results.csv").open() as file:
        rows = {one["row"]: one for one in csv.DictReader(file)}
    assert [rows["SegAD"][name] for name in ("auroc", "auroc_low", "fpr95", "fpr95_roc")] == [""] * 4
    assert (
        rows["PatchCore"]["auroc"]
        and float(rows["PatchCore"]["auroc_high"]) - float(rows["PatchCore"]["auroc_low"]) > 0.6
    )
    table = (tmp_path / "runs/tiny/latest/table.md").read_text()
    assert UNLEARNABLE in table and "61.4 points wide" in table
    assert "- a, seed 0: SegAD: all images have the same score; nothing was learnt, so there are no" in table
    assert "PatchCore: all" not in table
    result = fit_command(recipe)
    assert result.exit_code == 1
    assert "row 'SegAD' of category 'a': all 4 calibration images have the same score" in said(result)
    assert "final: blend, or a detector alone" in said(result)
    assert not (tmp_path / "b").exists()


def test_a_blend_learns_from_as_few_and_the_bundle_says_how_few(tmp_path: Path) -> None:
    recipe = few(tmp_path, 8, 4, BLEND)
    assert "learns nothing" not in said(segad("check", recipe, "--store", tmp_path / "store"))
    result = fit_command(recipe)
    text = said(result)
    assert result.exit_code == 0, text
    assert "learnt from 2 good and 2 bad images\n" in text
    assert "of 2 good parts (" in text and "e-324" not in text
    assert "warning: only 2 bad calibration images: one more or less changes the rate by 50.0%" in text
    shown = segad("bundle", "show", tmp_path / "b")
    assert "learnt from  2 good and 2 bad images\n" in said(shown)
    assert "warning: only 2 good calibration images" in said(shown)
    plain = json.loads(segad("bundle", "show", tmp_path / "b", "--json").stdout)
    assert any("only 2 bad calibration images" in line for line in plain["warnings"])


def test_all_bad_images_can_be_learnt_from(tmp_path: Path) -> None:
    """The one bad image there is; the threshold is then that of good images."""
    recipe = few(tmp_path, 20, 1, BLEND)
    refused = fit_command(recipe)
    assert refused.exit_code == 1
    assert "leaves no bad image for the final classifier" in said(refused)
    assert "lower split.test.bad (0 tests good images only)" in said(refused)
    recipe = write_recipe(tmp_path, ("test: {good: 4, bad: 3}", "test: {good: 0.25, bad: 0}"), BLEND)
    checked = said(segad("check", recipe, "--store", tmp_path / "store"))
    assert "  row 'SegAD' learns from 11 good and 1 bad image\n" in checked
    result = fit_command(recipe)
    assert result.exit_code == 0, said(result)
    assert "learnt from 11 good and 1 bad image\n" in said(result)
    assert "threshold is set for false rejects 5/100: there are no bad test images" in said(result)


def test_a_bundle_that_learnt_nothing_is_named_where_it_is_shown(tmp_path: Path) -> None:
    """One that an earlier version made."""
    rule = Rule(kind="catch", catch=0.95)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(calibrated, "operating_point", lambda table, _: measure(table, rule, -5e-324))
        place = calibrated.bundle(tmp_path / "x", calibrated.table([0.0] * 3, [0.0] * 2))
    container = Container(place)
    (first, *_) = doubts(container, read_operating_point(container))
    assert first.startswith("all 5 calibration images have the same score: the bundle has learnt nothing")
    operated = segad("operate", place, "--false-rejects", "0/1")
    assert operated.exit_code == 1 and "nothing was learnt, so there is no threshold" in said(operated)


def test_one_good_test_image_is_no_distribution(tmp_path: Path) -> None:
    workshop(tmp_path, good=12, bad=0)
    only = ("  - {name: SegAD, detectors: [patchcore]}\n", "")
    recipe = write_recipe(tmp_path, only, ("test: {good: 4, bad: 3}", "test: {good: 1, bad: 3}"))
    text = said(run_command(recipe))
    assert "## Tests without bad images" not in text
    assert "a, seed 0: PatchCore: a single test image gives no threshold, so there are no figures" in text
    result = fit_command(recipe, "PatchCore")
    assert result.exit_code == 1
    assert "there is one calibration image, and a threshold needs images with different" in said(result)


def test_many_images_are_told_in_check_alone(tmp_path: Path) -> None:
    workshop(tmp_path, good=64, bad=44)
    recipe = write_recipe(
        tmp_path, ("test: {good: 4, bad: 3}", "test: {good: 20, bad: 20}"), ("{good: 4}", "{good: 20}")
    )
    text = said(segad("check", recipe, "--store", tmp_path / "store"))
    assert "  20 good and 20 bad test images: the 95% interval of AUROC is at least 10.1 points wide" in text
    assert "learns from" not in text and "warning" not in text


def test_a_final_classifier_is_tried_once_for_all_seeds_and_its_words_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []
    monkeypatch.setattr(few_images, "_learns", lambda *given: bool(tried.append(given[2:])))
    drawn = few(tmp_path, 8, 4, ("seeds: [0]", "seeds: [0, 1, 2]"))
    text = said(segad("check", drawn, "--store", tmp_path / "store"))
    assert tried == [(2, 2, 0)] and text.count(UNLEARNABLE) == 1
    fakes.install(monkeypatch)
    (tmp_path / "views").mkdir()
    views.views(tmp_path / "views/data")
    path = views.recipe(tmp_path / "views", parts={"verdict": "together"}, rows=views.ROWS[1:])
    text = said(segad("check", path, "--store", tmp_path / "store"))
    assert "bad parts, not even where every feature" in text
    assert "use parts.verdict: worst with final: blend" in text
