"""Making bundles: the data that they hold, and rows that are rejected before training."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import torchvision
from builders import kinds, said, segad, workshop, write_recipe
from PIL import Image

from segad_core.bundle.runtime.bundle import Bundle
from segad_core.bundle.runtime.selftest import verify
from segad_core.contracts import Sample
from segad_core.fit_bundle.image_data import ImageData
from segad_core.images import Facts
from segad_core.store.store import Store
from segad_plugins.segmenters.static_mask import StaticMask

FIT = ("--category", "a", "--device", "cpu")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("test: {good: 4, bad: 3}", "test: {good: 0, bad: 3}"), "leaves no good image for the test"),
    ],
)
def test_splits_that_give_no_threshold_are_rejected_before_training(
    change: tuple[str, str], words: str, tmp_path: Path
) -> None:
    workshop(tmp_path)
    recipe = write_recipe(tmp_path, change)
    result = segad("fit", recipe, *FIT, "--row", "SegAD", "--store", tmp_path / "store", "-o", tmp_path / "x")
    assert words in said(result)
    assert result.exit_code == 1
    assert not {"detector", "statistics", "row"} & set(kinds(tmp_path / "store"))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--row", "SegaD"), "the row 'SegaD' is not in the recipe"),
        (("--row", "SegAD", "--seed", "7"), "the recipe has no seed 7"),
    ],
)
def test_a_missing_row_or_seed_is_an_error(words: tuple[str, ...], expected: str, tmp_path: Path) -> None:
    result = segad("fit", workshop(tmp_path), *FIT, *words, "-o", tmp_path / "x", "--store", tmp_path / "s")
    assert result.exit_code == 2
    assert expected in said(result)


def test_a_link_that_leads_nowhere_is_in_the_way_before_training(tmp_path: Path) -> None:
    (tmp_path / "x").symlink_to(tmp_path / "nowhere")
    recipe, store = workshop(tmp_path), tmp_path / "store"
    result = segad("fit", recipe, *FIT, "--row", "SegAD", "--store", store, "-o", tmp_path / "x")
    assert "already exists" in said(result) and result.exit_code == 2
    assert "detector" not in kinds(store)


def test_images_that_cannot_be_read_are_listed(tmp_path: Path) -> None:
    """As in a run, and the bundle is made from the others."""
    recipe = workshop(tmp_path)
    (tmp_path / "data/a/good/torn.png").write_bytes(b"torn")
    result = segad("fit", recipe, *FIT, "--row", "SegAD", "-o", tmp_path / "x", "--store", tmp_path / "s")
    assert result.exit_code == 3
    assert f"not read: {tmp_path / 'data/a/good/torn.png'}: is not an image" in said(result)
    with Bundle.load(tmp_path / "x", "cpu") as bundle:
        assert not verify(bundle).problems


def test_weights_in_torchs_format_are_converted_to_safetensors(tmp_path: Path) -> None:
    """A `.pth` is a pickle inside; the converted weights give the scores of the run."""
    workshop(tmp_path)
    torch.manual_seed(0)
    torch.save(torchvision.models.resnet18().state_dict(), tmp_path / "net.pth")
    encoder = "{use: torchvision, params: {model: resnet18, file: net.pth}}"
    recipe = write_recipe(tmp_path, ("encoder: efficientnet_lite0", f"encoder: {encoder}"))
    store, out = ("--store", tmp_path / "store"), tmp_path / "x.zip"
    assert segad("fit", recipe, *FIT, "--row", "SegAD", *store, "-o", out).exit_code == 0
    (tmp_path / "net.pth").unlink()
    with Bundle.load(out, "cpu") as bundle:
        assert bundle.manifest.pipeline.encoder is not None
        assert bundle.manifest.pipeline.encoder.files == {"file": ["files/encoder-file-0.safetensors"]}
        assert not [name for name in bundle.manifest.files if name.endswith(".pth")]
        assert not verify(bundle).problems


def test_a_file_that_bundles_do_not_accept_is_rejected_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("L", (48, 48)).save(tmp_path / "mask.png")
    monkeypatch.setattr(StaticMask, "plain_file", lambda self, path: (".pkl", path), raising=False)
    workshop(tmp_path)
    mask = "segmenter: {use: static_mask, params: {mask: mask.png, segments: [all]}}"
    recipe = write_recipe(tmp_path, ("segmenter: whole_image", mask))
    result = segad("fit", recipe, *FIT, "--row", "SegAD", "-o", tmp_path / "x", "--store", tmp_path / "s")
    assert "segad:static_mask" in said(result)
    assert all(word in said(result) for word in ("'mask'", "'.pkl'", ".png"))
    assert result.exit_code == 2
    assert not {"detector", "statistics", "row"} & set(kinds(tmp_path / "s"))


def test_lots_of_the_data_are_lots_of_the_threshold(tmp_path: Path) -> None:
    workshop(tmp_path, good=24, bad=14)
    recipe = write_recipe(
        tmp_path,
        ("params: {root: data}", "params: {root: data, lot: '([0-3])[.]png'}"),
        ("test: {good: 4, bad: 3}", "test: {good: 12, bad: 8}"),
    )
    result = segad("fit", recipe, *FIT, "--row", "SegAD", "--store", tmp_path / "store", "-o", tmp_path / "x")
    assert result.exit_code == 0, said(result)
    with Bundle.load(tmp_path / "x", "cpu") as bundle:
        images, lots = bundle.calibration().images, bundle.operating_point.lots
    expected = {one.id[-5] if one.id[-5] in "0123" else "" for one in images}
    assert {one.group for one in images} == expected and len(expected) > 2
    assert lots.named == len(expected - {""}) and lots.unnamed == sum(not one.group for one in images)
    assert len(lots.measured) + len(lots.without) == lots.named


def test_names_that_are_not_text_are_escaped(tmp_path: Path) -> None:
    name, facts = "bad/\udcff.png", Facts("0" * 64, "1" * 64, False, (9, 9))
    sample = Sample(name, tmp_path / "a.png", 1, defect="be\udcfft", group="\udcfe")
    image = ImageData({name: sample}, {name: facts}, Store(tmp_path / "store")).image(name)
    assert image.digest == facts.pixels
    assert (image.id, image.defect, image.group) == ("bad/\\udcff.png", "be\\udcfft", "\\udcfe")


def test_the_largest_amount_is_taken_and_said_or_the_one_that_is_named(tmp_path: Path) -> None:
    recipe = workshop(tmp_path)
    common = (*FIT, "--row", "SegAD", "--store", tmp_path / "s", "--set", "split.final.bad.amount=[2, 3, 50]")
    result = segad("fit", recipe, *common, "-o", tmp_path / "last")
    assert "learns from the amount 3 of bad images, the largest of split.final.bad.amount" in said(result)
    result = segad("fit", recipe, *common, "-o", tmp_path / "named", "--amount", "2")
    assert "learns from the amount 2 of bad images of split.final.bad.amount" in said(result)
    for name, count in (("last", 3), ("named", 2)):
        images = json.loads((tmp_path / name / "training.json").read_text())
        assert sum(image["label"] for image in images) == count
        (entry,) = json.loads((tmp_path / name / "splits.json").read_text())["a"].values()
        assert entry["amount"] == str(count)
    for words, expected in (
        ((*common, "--amount", "50"), "compares no amount 50 of bad images"),
        ((*common[:-2], "--amount", "2"), "compares no amount 2 of bad images"),
    ):
        result = segad("fit", recipe, *words, "-o", tmp_path / "x")
        assert expected in said(result)
        assert result.exit_code == 2
