"""Good parts only: what can be trained on them, what is told of them, and bundles that are made of them."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest
from builders import fit_command, kinds, picture, run_command, said, segad, workshop, write_recipe
from PIL import Image

from segad_core.bundle.format.tables import read_table
from segad_core.bundle.runtime.bundle import Bundle
from segad_core.bundle.runtime.selftest import verify
from segad_core.errors import DataError
from segad_core.plugins.registry import Registry
from segad_core.recipe import load_recipe
from segad_core.split.good_only import check_rows

BLEND = "{use: blend, params: {forest: {n_estimators: 2, num_parallel_tree: 5}}}"
GENERATED = (
    "  - {name: Generated, detectors: [patchcore], bad: {from: generated, use: [rectangle]}, "
    f"final: {BLEND}}}\n"
)
ROWS = ("  - {name: SegAD, detectors: [patchcore]}\n", GENERATED)
SOME = ("test: {good: 4, bad: 3}", "test: {good: 21, bad: 0.5}")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """30 good images, of which 21 are tested, 4 are the detector's and 5 the final classifier's."""
    place = tmp_path_factory.mktemp("good")
    workshop(place, good=30, bad=0)
    write_recipe(place, ROWS, SOME)
    return place


def fitted(home: Path, row: str) -> Path:
    if (home / f"{row}.segad").exists():
        return home / f"{row}.segad"
    result = fit_command(home / "tiny.yaml", row, f"{row}.segad")
    assert result.exit_code == 0, said(result)
    assert "the threshold is set for false rejects 5/100: there are no bad test images" in said(result)
    return home / f"{row}.segad"


def test_a_table_says_what_good_images_tell_and_what_not(home: Path) -> None:
    result = run_command(home / "tiny.yaml")
    text = said(result)
    assert result.exit_code == 0, text
    assert "Cl. AUROC |" not in text and "FPR@95TPR |" not in text
    assert "AUROC and FPR@95TPR cannot be\nmeasured" in text
    assert "warning: category 'a': there are good images only, so AUROC and FPR@95TPR cannot" in text
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if "|" in line]
    assert lines[0][-1] == "rejected"
    assert [line[0] for line in lines[2:]] == ["PatchCore", "Generated"]
    assert {line[-1] for line in lines[2:]} == {"1 [0.1%, 23.8%]"}  # of 21: Clopper and Pearson
    with (home / "runs/tiny/latest/results.csv").open() as file:
        results = list(csv.DictReader(file))
    assert {(one["auroc"], one["fpr95"], one["n_good"], one["n_bad"]) for one in results} == {
        ("", "", "21", "0")
    }
    with (home / "runs/tiny/latest/scores.csv").open() as file:
        scores = [float(one["score"]) for one in csv.DictReader(file) if one["row"] == "PatchCore"]
    assert float(results[0]["good_highest"]) == max(scores)
    assert sum(score >= float(results[0]["threshold"]) for score in scores) == 1


def test_the_bundle_of_a_detector_has_its_threshold_from_good_parts(home: Path) -> None:
    place = fitted(home, "PatchCore")
    shown = said(segad("bundle", "show", place))
    assert "rejects 1 of 21 good parts (4.8%, 95% interval 0.12% to 23.8%)" in shown
    assert "an unknown share of bad parts" in shown
    assert "certifying 5/100 with 95% confidence takes at least 59 good parts with none rejected" in shown
    spot = home / "spot.png"
    Image.fromarray(picture(77, bad=True)).save(spot)
    with Bundle.load(place, "cpu") as bundle:
        assert not verify(bundle).problems
        assert [one.verdict for one in bundle.predict([spot])] == ["NG"]
    operated = said(segad("operate", place, "--false-rejects", "0/1"))
    assert "rejects 0 of 21 good parts" in operated
    refused = segad("operate", place, "--catch", "0.9")
    assert refused.exit_code == 1 and "none of the calibration images is bad" in said(refused)


def test_a_bundle_of_generated_defects_learns_from_the_first_bad_parts(home: Path) -> None:
    place, spots = fitted(home, "Generated"), []
    for i in range(2):
        spots.append(home / f"spot{i}.png")
        Image.fromarray(picture(80 + i, bad=True)).save(spots[-1])
    out = home / "taught.segad"
    result = segad("learn", place, "--bad", *spots, "--times", "3", "-o", out, "--json", "--device", "cpu")
    assert result.exit_code in (0, 4), said(result)
    learnt = json.loads(result.stdout)
    assert [one["label"] for one in learnt["taught"]] == [1, 1]
    assert [one["now"] for one in learnt["taught"]] == ["NG", "NG"]
    with Bundle.load(out, "cpu") as bundle:
        assert not verify(bundle).problems
        assert bundle.manifest.provenance.learnt == 2
        images = read_table(bundle.container, "training").images
        assert [one.taught for one in images if one.label and not one.artificial] == [True] * 6
        assert bundle.operating_point.rule.kind == "false-rejects"


def test_a_detector_alone_says_what_to_do_with_the_first_bad_parts(home: Path) -> None:
    place = fitted(home, "PatchCore")
    spot = home / "spot.png"
    Image.fromarray(picture(77, bad=True)).save(spot)
    result = segad("learn", place, "--bad", spot, "-o", home / "x", "--device", "cpu")
    assert result.exit_code == 1
    assert "nothing to teach" in said(result)
    assert "add the images to the data set" in said(result) and "final: blend" in said(result)


def test_rows_that_need_bad_images_are_named_before_anything_is_trained(tmp_path: Path) -> None:
    workshop(tmp_path, good=30, bad=0)
    probe = "  - {name: probe, score: probe}\n  - {name: both, detectors: [patchcore], classifier: probe}\n"
    recipe = write_recipe(
        tmp_path,
        (ROWS[0], ROWS[0] + GENERATED + probe),
        ("segmenter: w", "classifiers: {probe: linear_probe}\nsegmenter: w"),
    )
    for command in ("check", "run"):
        result = segad(command, recipe, "--store", tmp_path / "store")
        assert result.exit_code == 1
        assert "category 'a' has no bad image, and the rows 'SegAD', 'probe', 'both' learn" in said(result)
        assert "from: generated" in said(result) and "final: blend" in said(result)
    assert kinds(tmp_path / "store") == []
    one = ("--category", "a", "--row", "SegAD", "-o", tmp_path / "x", "--store", tmp_path / "store")
    assert "the row 'SegAD' learns from bad images" in said(segad("fit", recipe, *one))


def test_other_categories_keep_their_figures(tmp_path: Path) -> None:
    workshop(tmp_path, ("a", "b"), good=12, bad=7)
    shutil.rmtree(tmp_path / "data/b/bad")
    text = said(run_command(write_recipe(tmp_path, ROWS)))
    (line,) = [line for line in text.splitlines() if line.startswith("| PatchCore") and "| b" not in line][:1]
    cells = [cell.strip() for cell in line.split("|")[1:-1]]
    assert cells[1] and cells[2:] == ["", ""]  # of b, and of the mean over both
    assert "category 'b': there are good images only" in text and "category 'a': there are" not in text


@pytest.mark.parametrize(
    ("count", "words"), [(1, "its bad image cannot"), (3, "none of the 3 bad images can")]
)
def test_bad_images_that_cannot_be_read_are_not_called_absent(tmp_path: Path, count: int, words: str) -> None:
    workshop(tmp_path, good=30, bad=count)
    for image in (tmp_path / "data/a/bad").rglob("*.png"):
        image.write_bytes(b"torn")
    text = said(segad("check", write_recipe(tmp_path, ROWS, SOME), "--store", tmp_path / "store"))
    assert f"category 'a': {words} be read, so AUROC" in text and "good images only" not in text


def test_several_amounts_of_bad_images_are_one_without_any(tmp_path: Path) -> None:
    workshop(tmp_path, good=30, bad=0)
    recipe = write_recipe(
        tmp_path,
        ROWS,
        SOME,
        ("detectors: {good: 4}", "detectors: {good: 4}\n  final: {bad: {amount: [2, 4]}}"),
    )
    result = run_command(recipe, "--set", "split.hold_out=defects")
    assert result.exit_code == 0, said(result)
    with (tmp_path / "runs/tiny/latest/results.csv").open() as file:
        assert [one["row"] for one in csv.DictReader(file)] == ["PatchCore", "Generated"]


def test_no_image_at_all_is_called_that() -> None:
    recipe = load_recipe("elpv", Registry(third_parties=False))
    with pytest.raises(DataError, match="category 'x' has no image at all"):
        check_rows(recipe, "x", [])
