"""Segmenters that learn from good images: planned, trained once, used for all statistics, bundled."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import run_command, said, segad
from numpy.typing import NDArray
from PIL import Image
from safetensors.numpy import load_file, save_file
from small_runs import done, prepared, row, workplace, write

from segad_core.bundle.format.container import MANIFEST, SEAL
from segad_core.bundle.runtime.bundle import Bundle
from segad_core.errors import BundleError, DataError, PluginError, RecipeError, SegadError
from segad_core.plugins.registry import Registry
from segad_core.recipe import load_recipe
from segad_core.run.cells import FitTask, StatisticsTask
from segad_core.run.estimates import Needs, needs
from segad_core.run.rows import feature_table, segments_of
from segad_core.store.store import Store
from segad_core.testing import TinyEncoder

SPLIT = {"seeds": [0, 1], "test": {"good": 4, "bad": 3}, "detectors": {"good": 8}}
ROWS: list[dict[str, Any]] = [{"name": "learnt", "detectors": "all"}]
DOT = {"from": "generated", "use": ["dot"]}
STATE = "segmenter/state.safetensors"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return workplace(tmp_path, monkeypatch)


def recipe(home: Path, **changes: Any) -> Path:
    return write(home, **{"encoder": "tinyencoder", "segmenter": "levels", "rows": ROWS, **changes})


def shown(home: Path, image: str) -> NDArray[np.uint8]:
    """An image at the recipe's size."""
    picture = Image.open(home / "data" / "a" / image).convert("RGB")
    return np.asarray(picture.resize((48, 48), Image.Resampling.BILINEAR))


def cells(home: Path, image: str) -> NDArray[np.float32]:
    """What the segmenter reads of an image, 12 x 12."""
    layer: NDArray[np.float32] = TinyEncoder().encode(shown(home, image)[None], ["layer1"])["layer1"][0, 0]
    return layer


def segmenter_fits(path: Path) -> list[list[str]]:
    """The keys of the trainings of segmenters, for each task that has some."""
    tasks = [task for task in prepared(path).plans[0].tasks if isinstance(task, FitTask)]
    found = [[cell.key for cell in task.cells if cell.segments] for task in tasks]
    return [keys for keys in found if keys]


def test_segments_are_learnt_from_the_detectors_good_images(home: Path) -> None:
    """By hand, for both seeds: the mean of the detectors' images, and brightness within each segment."""
    path = recipe(home, split=SPLIT)
    splits = prepared(path).splits["a"]
    plan, store = done(path)
    scored = {c.key: t for t in plan.tasks if isinstance(t, StatisticsTask) for c in t.cells}
    levels = []
    for fold, split in splits.items():
        task = next(task for task in plan.rows() if task.seed == fold.seed)
        level = float(np.mean([cells(home, image) for image in split.detectors], dtype=np.float64))
        levels.append(level)
        found, names = feature_table(task, task.table, store)
        number = f"{255 * level:.0f}_of_8"
        assert segments_of(task.table, store) == [f"below_{number}", f"above_{number}"]
        assert names[:2] == [f"below_{number}.spotty.mean", f"above_{number}.spotty.mean"]
        for sample, line in zip(scored[task.table.segment_keys[0]].samples, found, strict=True):
            above = (cells(home, sample.id) > level).repeat(4, axis=0).repeat(4, axis=1)
            brightness = shown(home, sample.id)[..., 0].astype(np.float64)
            for part, value in ((~above, line[0]), (above, line[1])):
                assert value == pytest.approx(brightness[part].mean(), rel=1e-6)
    assert levels[0] != levels[1]  # else this test could not tell one seed's images from another's


def test_folds_that_share_a_detector_training_share_the_segmenters(home: Path) -> None:
    """Seeds draw other images; what is held out of one seed leaves the detectors' images as they are."""
    assert len(segmenter_fits(recipe(home, split=SPLIT))) == 2
    bad = home / "data" / "a" / "bad"
    for i, name in enumerate(sorted(bad.glob("*.png"))):
        (bad / "ab"[i % 2]).mkdir(exist_ok=True)
        name.rename(bad / "ab"[i % 2] / name.name)
    path = recipe(home, split={**SPLIT, "seeds": [0], "hold_out": "defects"})
    assert len(prepared(path).plans[0].rows()) == 3
    assert len(segmenter_fits(path)) == 1


def test_the_encoder_sees_each_training_image_once_for_all(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Detector and segmenter read different layers of the same pass."""
    seen: list[int] = []
    sound = TinyEncoder.encode

    def counted(self: Any, pixels: Any, layers: Any) -> Any:
        seen.append(len(pixels))
        assert set(layers) == {"layer1", "layer2"}
        return sound(self, pixels, layers)

    monkeypatch.setattr(TinyEncoder, "encode", counted)
    done(recipe(home, detectors={"steps": {"use": "steps", "params": {"layers": ["layer2"]}}}))
    assert sum(seen) == 37  # every image of the category: 8 to train on, and the others to score


def test_what_decides_a_training_is_in_its_key(home: Path) -> None:
    """Images, seed, parameters and encoder; nothing else, and whole maps do not depend on it."""

    def keys(**changes: Any) -> tuple[list[list[str]], set[str], set[str]]:
        path = recipe(home, **changes)
        rows = prepared(path).plans[0].rows()
        tables = [task.table for task in rows]
        return (
            segmenter_fits(path),
            {key for table in tables for key in table.segment_keys},
            {key for table in tables for key in table.image_keys},
        )

    before = keys()
    assert keys(features=["max"])[0] == before[0]
    assert keys(rows=[{**ROWS[0], "name": "other"}]) == before
    for changes in (
        {"split": {**SPLIT, "seeds": [1]}},
        {"split": {**SPLIT, "seeds": [0], "detectors": {"good": 7}}},
        {"segmenter": {"use": "levels", "params": {"above": "over"}}},
        {"segmenter": {"use": "levels", "params": {"layers": ["layer2"]}}},
        {"image": {"size": [32, 32]}},
    ):
        fits, segments, _ = keys(**changes)
        assert fits[0] != before[0][0] and not segments & before[1], changes
    _, segments, whole = keys(segmenter={"use": "levels", "params": {"above": "over"}})
    assert whole == before[2] and not segments & before[1]


def test_another_training_of_the_segmenter_changes_the_statistics_of_segments_alone(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The detector does not read the encoder, whose weights change: only learnt segments depend on them."""
    path = recipe(home, rows=[{**ROWS[0], "bad": DOT}])

    def keys() -> list[set[str]]:
        (task,) = prepared(path).plans[0].rows()
        assert task.generated is not None
        tables = (task.table, task.generated)
        return [set(table.segment_keys) for table in tables] + [set(table.image_keys) for table in tables]

    before = keys()
    monkeypatch.setattr(TinyEncoder, "digest", lambda self: "tiny 2")
    segments, damaged, whole, whole_damaged = keys()
    assert not segments & before[0] and not damaged & before[1]
    assert whole == before[2]
    assert not whole_damaged & before[3]  # the defects lie on learnt segments


def test_two_rows_with_different_parameters_have_their_own(home: Path) -> None:
    over = {"use": "levels", "params": {"above": "over"}}
    path = recipe(home, rows=[*ROWS, {**ROWS[0], "name": "over", "segmenter": over}])
    assert [len(keys) for keys in segmenter_fits(path)] == [2]
    plan, store = done(path)
    names = [segments_of(row(plan, name).table, store)[1].split("_")[0] for name in ("learnt", "over")]
    assert names == ["above", "over"]
    made = home / "over.segad"
    words = ("--category", "a", "--store", home / "store", "--device", "cpu", "-o", made)
    result = segad("fit", path, "--row", "over", *words)
    assert result.exit_code == 0, said(result)
    assert json.loads((made / MANIFEST).read_text())["pipeline"]["segments"][1].startswith("over_")


def test_generated_defects_lie_on_learnt_segments(home: Path) -> None:
    """The fake defect is a white pixel in the last segment, whichever segmenter the row itself has."""
    rows = [
        {**ROWS[0], "bad": DOT},
        {"name": "whole", "detectors": "all", "segmenter": "whole_image", "bad": DOT},
    ]
    plan, store = done(recipe(home, rows=rows, features=["max"], image_features=["max"]))
    task = row(plan, "learnt")
    assert task.generated is not None
    damaged = feature_table(task, task.generated, store)[0]
    good = feature_table(task, task.table, store)[0][list(task.train)]
    np.testing.assert_array_equal(damaged[:, 0], good[:, 0])
    assert (damaged[:, 1] == 255).all() and (good[:, 1] < 255).all()
    whole = row(plan, "whole")
    assert whole.generated is not None
    np.testing.assert_array_equal(feature_table(whole, whole.generated, store)[0][:, 0], damaged[:, 1])
    tasks = [task for task in plan.tasks if isinstance(task, StatisticsTask) and task.defects]
    (fit,) = {task.defects.segmenter_fit.key for task in tasks}  # type: ignore[union-attr]
    assert all(fit in task.needs for task in tasks)


def test_features_that_learn_see_learnt_segments(home: Path) -> None:
    plan, store = done(recipe(home, features=["above"]))
    found, names = feature_table(row(plan, "learnt"), row(plan, "learnt").table, store)
    assert names[1].startswith("above_") and (found[:, :2] > 0).any()


def test_images_are_required_if_only_the_segmenter_learns(home: Path) -> None:
    maps = home / "maps" / "a"
    for image in (home / "data" / "a").rglob("*.png"):
        file = maps / image.relative_to(home / "data" / "a").with_suffix(".npy")
        file.parent.mkdir(parents=True, exist_ok=True)
        np.save(file, np.zeros((48, 48), np.float32))
    detectors = {"maps": {"use": "precomputed", "params": {"maps": "maps", "names": "path"}}}
    split = {**SPLIT, "seeds": [5], "detectors": {"good": 0}}
    assert prepared(recipe(home, detectors=detectors, segmenter="halves", split=split)).plans
    with pytest.raises(DataError, match="leaves no good image for the detectors"):
        prepared(recipe(home, detectors=detectors, split=split))


def test_an_encoder_without_the_layer_is_a_problem_of_the_recipe(home: Path) -> None:
    path = recipe(home, segmenter={"use": "levels", "params": {"layers": ["layer9"]}})
    with pytest.raises(RecipeError, match=r"segmenter.*there is no encoder layer 'layer9'"):
        load_recipe(str(path), Registry())
    with pytest.raises(RecipeError, match="the recipe has no encoder"):
        load_recipe(str(recipe(home, encoder=None)), Registry())


def test_a_mask_that_comes_with_segad_is_named(home: Path) -> None:
    for name, told in (("elpv_mono.png", r": segad:masks/elpv_mono\.png comes with segad"), ("no.png", "$")):
        params = {"mask": f"masks/{name}", "segments": ["a", "b"]}
        path = recipe(home, segmenter={"use": "static_mask", "params": params})
        with pytest.raises(RecipeError, match=rf"there is no file '.*{name}'{told}"):
            load_recipe(str(path), Registry())


def test_a_text_for_the_layers_is_told_as_such(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from segad_plugins.detectors.patchcore import PatchCore

    monkeypatch.setattr(PatchCore, "layers", lambda self: "layer2")
    path = recipe(home, detectors={"d": {"use": "patchcore", "params": {"coreset_ratio": 0.1}}})
    with pytest.raises(
        SegadError, match=r"'patchcore' \(segad .*layers: returns 'layer2', not a list of names"
    ):
        load_recipe(str(path), Registry())


def test_names_that_suit_no_feature_are_refused(home: Path) -> None:
    with pytest.raises(PluginError, match=r"'too\.high_.*' cannot name a segment"):
        done(recipe(home, segmenter={"use": "levels", "params": {"above": "too.high"}}))


def test_trainings_of_segmenters_are_estimated(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = recipe(home)
    assert "segmenter levels" in needs(prepared(path).plans, Store(home / "store")).unknown
    result = segad("check", path, "--store", home / "store")
    assert "trained detectors and segmenters: 2 cells, 0 in the store" in said(result)
    assert isinstance(needs((), Store(home / "store")), Needs)


@pytest.fixture
def bundle(home: Path) -> Path:
    path, out = recipe(home, final="brf"), home / "made.segad"
    options = ("--store", home / "store", "--device", "cpu")
    result = segad("fit", path, "--category", "a", "--row", "learnt", "-o", out, *options)
    assert result.exit_code == 0, said(result)
    return out


def test_a_bundle_takes_along_what_the_segmenter_learnt(home: Path, bundle: Path) -> None:
    """Scores are those of the run; reasons name the learnt segments."""
    result = run_command(home / "tiny.yaml")
    assert result.exit_code == 0, said(result)
    with next(home.glob("runs/*/*/scores.csv")).open(encoding="utf-8") as file:
        expected = {line["image"]: float(line["score"]) for line in csv.DictReader(file)}
    with Bundle.load(bundle, "cpu") as loaded:
        segments = loaded.manifest.pipeline.segments
        assert [name.split("_")[0] for name in segments] == ["below", "above"]
        assert segments[0].endswith("_of_8")
        for image, score in expected.items():
            (found,) = loaded.inspect([home / "data" / "a" / image])
            assert found.prediction.score == pytest.approx(score, abs=1e-9)
            assert {one.segment for one in found.prediction.contributions} == {*segments, "image"}
            level = load_file(bundle / STATE)["level"]
            above = (cells(home, image) > level).repeat(4, axis=0).repeat(4, axis=1)
            assert found.segments is not None
            np.testing.assert_array_equal(found.segments, above)
    result = segad("bundle", "verify", bundle)
    assert result.exit_code == 0, said(result)


def test_a_bundle_that_learns_keeps_the_segments(home: Path, bundle: Path) -> None:
    out = home / "taught.segad"
    result = segad("learn", bundle, "--bad", home / "data/a/bad/000.png", "-o", out)
    assert result.exit_code == 0, said(result)
    assert (out / STATE).read_bytes() == (bundle / STATE).read_bytes()
    with Bundle.load(out, "cpu") as taught, Bundle.load(bundle, "cpu") as before:
        assert taught.manifest.pipeline.segments == before.manifest.pipeline.segments


def changed(bundle: Path, **state: NDArray[Any]) -> Path:
    """A bundle whose segmenter has another state, with right digests."""
    from bundles import Parts

    save_file(state, bundle / STATE)
    files = {p.relative_to(bundle).as_posix(): p.read_bytes() for p in bundle.rglob("*") if p.is_file()}
    manifest = json.loads(files.pop(MANIFEST))
    files.pop(SEAL)
    folder = bundle.parent / "changed"
    folder.mkdir()
    return Parts(manifest, files).write(folder, "folder")


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"level": np.array(0.4)}, f"'{STATE}' cannot be restored: levels: the state is incomplete"),
        ({"level": np.array(0.9), "images": np.array(8)}, "its plugins have other segments"),
    ],
)
def test_a_state_that_does_not_fit_is_refused(
    bundle: Path, state: dict[str, NDArray[Any]], message: str
) -> None:
    with pytest.raises(BundleError) as caught:
        Bundle.load(changed(bundle, **state), "cpu")
    assert message in caught.value.what


def test_a_bundle_without_the_state_is_refused(bundle: Path) -> None:
    path = changed(bundle, level=np.array(0.4))
    manifest = json.loads((path / MANIFEST).read_text())
    del manifest["files"][STATE]
    from bundles import sealed

    files = {p.relative_to(path).as_posix(): p.read_bytes() for p in path.rglob("*") if p.is_file()}
    plain = {name: data for name, data in files.items() if name not in (MANIFEST, SEAL, STATE)}
    (path / STATE).unlink()
    for name, data in sealed(plain, json.dumps(manifest).encode()).items():
        (path / name).write_bytes(data)
    with pytest.raises(BundleError, match=f"has no file '{STATE}'"):
        Bundle.load(path, "cpu")


def test_a_preview_learns_the_segments_first(home: Path) -> None:
    result = segad("mask", "preview", recipe(home), "--store", home / "store", "-o", home / "p.png")
    assert result.exit_code == 0, said(result)
    level = np.mean([cells(home, f"good/{i:03}.png") for i in range(24)], dtype=np.float64)
    above = float((cells(home, "good/000.png") > level).mean())
    number = f"{255 * level:.0f}_of_24"
    assert f"above_{number}  {100 * above:6.1f}%" in said(result)
    assert "learnt from 24 good images" in said(result)
