"""`segad maps` writes the maps that a run's statistics are of, whole or not at all."""

from __future__ import annotations

import csv
import json
import os
import shlex
import shutil
from collections import namedtuple
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import fakes
import numpy as np
import pytest
import small_splits
from builders import data_set, picture, run_command, said, segad
from numpy.typing import NDArray
from PIL import Image
from small_runs import prepared, write

from segad_core.base import leftovers
from segad_core.base.locks import held
from segad_core.contracts import ImageBatch
from segad_core.errors import DataError
from segad_core.store.store import Store
from segad_core.tools.maps import plan_maps, write_maps

SPOTTY_MAPS = fakes.Spotty.anomaly_maps
ALONE: list[dict[str, Any]] = [{"name": "alone", "score": "spotty"}]
TWO_SEEDS = {"seeds": [0, 1], "test": {"good": 4, "bad": 3}, "detectors": {"good": 8}}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with 24 good and 13 bad images of 48 x 48 and data sets that tests describe."""
    small_splits.workplace(tmp_path, monkeypatch)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def recipe_in(home: Path, **changes: Any) -> Path:
    """A recipe of which one row reads one detector: its maps are an image's red values."""
    if not (home / "data").exists():
        data_set(home / "data", good=24, bad=13)
    return write(home, **{"rows": ALONE, **changes})


def trained(recipe: Path, *words: str) -> Path:
    result = run_command(recipe, *words)
    assert result.exit_code == 0, said(result)
    return recipe


def maps(recipe: Path, *words: str | Path, code: int = 0) -> str:
    result = segad("maps", recipe, "-o", "out", *words)
    text = said(result)
    assert result.exit_code == code, text
    return text


def found(folder: Path | str) -> dict[str, NDArray[np.float32]]:
    """The maps below a folder, by their paths in it."""
    home = Path(folder)
    return {str(p.relative_to(home)): np.load(p, allow_pickle=False) for p in sorted(home.rglob("*.npy"))}


def folders() -> list[str]:
    """Every folder of maps, and whatever else lies beside one."""
    return sorted(str(path.relative_to("out")) for path in Path("out").glob("*/*/*"))


def splits(run: str = "tiny") -> dict[str, dict[str, list[str]]]:
    """The splits of category a, by fold."""
    return json.loads(Path(f"runs/{run}/latest/splits.json").read_text())["a"]


def scores(run: str) -> list[dict[str, str]]:
    with Path(f"runs/{run}/latest/scores.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def npy_names(images: list[str]) -> list[str]:
    return sorted(str(Path(image).with_suffix(".npy")) for image in images)


# ---------------------------------------------------------------- what is written


def test_the_maps_of_the_test(home: Path) -> None:
    recipe = trained(recipe_in(home))
    text = maps(recipe)
    own = found("out/a/spotty/seed_0")
    assert sorted(own) == npy_names(splits()["0"]["test"])
    assert len(own) == 7
    for name, values in own.items():
        kind, number = name.removesuffix(".npy").split("/")
        red = picture(int(number), kind == "bad")[..., 0]
        assert values.dtype == np.float32
        np.testing.assert_array_equal(values, red)
    assert text.splitlines() == [
        "7 maps of 48 x 48 pixels in 1 folder below out: 64 KiB",
        "out/a/spotty/seed_0: 7 maps",
    ]
    record = json.loads(Path("out/a/spotty/seed_0/maps.json").read_text())
    assert record | {"segad": "", "training": "", "origin": ""} == {
        **{"category": "a", "detector": "spotty", "plugin": "faulty:spotty", "seeds": ["0"]},
        **{"size": [48, 48], "maps": 7, "segad": "", "training": "", "origin": ""},
    }


def test_all_that_is_scored(home: Path) -> None:
    recipe = trained(recipe_in(home))
    maps(recipe, "--images", "all")
    split = splits()["0"]
    others = [image for part in ("final", "test", "doubtful", "unused") for image in split[part]]
    assert sorted(found("out/a/spotty/seed_0")) == npy_names(others)
    assert len(others) == 24 + 13 - 8


def test_doubtful_images_are_among_them(home: Path) -> None:
    small_splits.data(home, doubtful=2)
    maps(trained(small_splits.write(home)))
    assert {"doubtful/0.npy", "doubtful/1.npy"} < found("out/a/spotty/seed_0").keys()


@pytest.mark.parametrize("images", ["test", "all"])
def test_they_are_the_maps_of_the_run_even_if_rounding_depends_on_the_batch_size(
    home: Path, monkeypatch: pytest.MonkeyPatch, images: str
) -> None:
    def rounding(self: fakes.Spotty, batch: ImageBatch) -> NDArray[np.float32]:
        return batch.pixels[..., 0] + np.float32(len(batch) / 1024)

    monkeypatch.setattr(fakes.Spotty, "anomaly_maps", rounding)
    maps(trained(recipe_in(home)), "--images", images)
    own = found("out/a/spotty/seed_0")
    lines = scores("tiny")
    assert len(lines) == 7
    for line in lines:
        assert own[str(Path(line["image"]).with_suffix(".npy"))].max() == float(line["score"])


PATCHCORE: dict[str, Any] = {
    "use": "patchcore",
    "params": {
        **{"layers": ["layer1", "layer3"], "coreset_ratio": 0.1, "blur_sigma": 1},
        "image_score": "maximum",
    },
}


def round_trip(home: Path, detectors: dict[str, Any]) -> dict[str, Any]:
    rows = [{"name": f"{alias} alone", "score": alias} for alias in detectors]
    rows += [{"name": "SegAD", "detectors": ["all"]}]
    return {
        **{"encoder": "tinyencoder", "detectors": detectors, "rows": rows, "segmenter": "halves"},
        **{"features": ["q995", "skew", "kurtosis", "mean"], "image_features": ["mean"]},
        **{"final": {"use": "brf", "params": {"n_estimators": 2, "num_parallel_tree": 5}}},
        "split": TWO_SEEDS,
    }


def test_a_recipe_that_reads_them_back_comes_to_the_same_bits(home: Path) -> None:
    """Statistics and scores, of every seed, under the names that the detectors had."""
    detectors = {"patchcore": PATCHCORE, "steps": {"use": "steps"}}
    recipe = trained(recipe_in(home, **round_trip(home, detectors)))
    maps(recipe, "--images", "all")
    assert folders() == [f"a/{alias}/seed_{seed}" for alias in detectors for seed in (0, 1)]
    first = scores("tiny")
    assert len(first) == 2 * 3 * 7
    assert len({line["score"] for line in first}) > 20
    statistics = tables(home / "store")
    for seed in (0, 1):
        again = {
            alias: {"use": "precomputed", "params": {"maps": f"out/a/{alias}/seed_{seed}", "names": "path"}}
            for alias in detectors
        }
        back = recipe_in(home, **round_trip(home, again)).rename(home / f"back_{seed}.yaml")
        set_seed = ("--set", f"split.seeds=[{seed}]")
        assert run_command(back, *set_seed, store=home / f"store_{seed}").exit_code == 0
        assert scores(back.stem) == [line for line in first if line["seed"] == str(seed)]
        own = tables(home / f"store_{seed}")
        assert len(own) == 2 * 3  # within segments, of the whole map, the detector's own score
        assert own < statistics


def tables(store: Path) -> set[bytes]:
    """The numbers of all statistics in a store."""
    manifests = list(store.glob("objects/*/*/manifest.json"))
    kept = [path.parent for path in manifests if json.loads(path.read_text())["kind"] == "statistics"]
    return {(folder / "values.npy").read_bytes() for folder in kept}


def test_seeds_that_share_a_training_share_a_folder(home: Path) -> None:
    """It holds the tests of all of them, whichever seed is asked for."""
    small_splits.data(home, train=(), test=("",) * 9)
    split = {
        **{"seeds": [3, 1], "detectors": {"good": 5, "seed": 7}},
        "final": {"bad": {"from": "test", "amount": 4}},
    }
    recipe = trained(small_splits.write(home, split=split))
    tests = {image for turn in splits().values() for image in turn["test"]}
    assert len(tests) > len(splits()["3"]["test"])
    for words in ([], ["--seed", "1"], ["--seed", "3"]):
        text = maps(recipe, *words)
        assert f"out/a/spotty/seed_3: {len(tests)} maps, of seeds 3, 1" in text
        assert folders() == ["a/spotty/seed_3"]
        assert sorted(found("out/a/spotty/seed_3")) == npy_names([*tests])
        shutil.rmtree("out")


def test_turns_without_a_type_of_defect_share_it_too(home: Path) -> None:
    small_splits.data(home, train=("melt", "bent", "melt"), test=("melt", "bent"))
    recipe = trained(small_splits.write(home, split={"hold_out": "defects"}))
    text = maps(recipe)
    assert "of seeds 0, 0 without bent, 0 without melt" in text
    assert folders() == ["a/spotty/seed_0"]
    assert sorted(found("out")) == npy_names([f"a/spotty/seed_0/{i}" for i in splits()["0"]["test"]])


def test_other_training_images_are_another_training_whatever_the_detectors_seed(home: Path) -> None:
    recipe = trained(recipe_in(home, split={**TWO_SEEDS, "detectors": {"good": 8, "seed": 7}}))
    maps(recipe)
    assert folders() == ["a/spotty/seed_0", "a/spotty/seed_1"]
    for seed in ("0", "1"):
        assert sorted(found(f"out/a/spotty/seed_{seed}")) == npy_names(splits()[seed]["test"])


def test_two_names_of_one_training_have_a_folder_each(home: Path) -> None:
    same = {"use": "spotty", "params": {"wrong": "nowhere"}}
    rows = [*ALONE, {"name": "twin", "detectors": ["twin"]}]
    recipe = trained(recipe_in(home, detectors={"spotty": same, "twin": same}, rows=rows))
    maps(recipe)
    one, two = found("out/a/spotty/seed_0"), found("out/a/twin/seed_0")
    assert len(one) == 7
    assert one.keys() == two.keys()
    assert all(np.array_equal(one[name], two[name]) for name in one)
    maps(recipe, "--detector", "twin", "--force")


def test_maps_of_artificial_defects_are_not_among_them(home: Path) -> None:
    rows = [{"name": "SegAD", "detectors": ["spotty"], "bad": {"from": "generated", "use": ["dot"]}}]
    recipe = trained(recipe_in(home, rows=rows))
    maps(recipe, "--images", "all")
    for name, values in found("out/a/spotty/seed_0").items():
        kind, number = name.removesuffix(".npy").split("/")
        np.testing.assert_array_equal(values, picture(int(number), kind == "bad")[..., 0])


def test_what_is_asked_for_and_nothing_else(home: Path) -> None:
    data_set(home / "data", ("a", "b"), good=24, bad=13)
    rows = [*ALONE, {"name": "SegAD", "detectors": ["steps"]}]
    detectors = {"spotty": {"use": "spotty", "params": {"wrong": "nowhere"}}, "steps": "steps"}
    recipe = trained(recipe_in(home, detectors=detectors, rows=rows, split=TWO_SEEDS))
    text = maps(recipe, "--category", "b", "--seed", "1", "--detector", "steps")
    assert folders() == ["b/steps/seed_1"]
    assert text.startswith("7 maps of 48 x 48 pixels in 1 folder below out")
    text = maps(recipe)
    assert text.startswith("49 maps of 48 x 48 pixels in 7 folders below out")
    assert "(1 already written, from the same training and images)" in text
    assert len(folders()) == 8


def test_images_of_other_categories_are_not_looked_at(home: Path) -> None:
    data_set(home / "data", ("a", "b"), good=24, bad=13)
    (home / "data/b/good/000.png").write_bytes(b"no image")
    recipe = recipe_in(home)
    assert run_command(recipe).exit_code == 3
    assert "not read" not in maps(recipe, "--category", "a")
    assert "not read: " in maps(recipe, code=3)
    assert folders() == ["a/spotty/seed_0", "b/spotty/seed_0"]


def test_a_name_that_is_no_text(home: Path) -> None:
    data_set(home / "data", good=24, bad=13)
    name = b"\xff.png".decode(errors="surrogateescape")
    Image.fromarray(picture(77, True)).save(home / "data/a/bad" / name)
    maps(trained(recipe_in(home)), "--images", "all")
    own = found("out/a/spotty/seed_0")[f"bad/{name.removesuffix('.png')}.npy"]
    np.testing.assert_array_equal(own, picture(77, True)[..., 0])


# ---------------------------------------------------------------- what is refused


def test_a_detector_that_is_not_trained(home: Path) -> None:
    """The command that is named trains it; nothing is trained by this one."""
    recipe = recipe_in(home, split=TWO_SEEDS)
    trained(recipe, "--set", "split.seeds=[0]")
    words = ["--set", "title=my title", "--store", str(home / "store"), "--no-plugins"]
    text = maps(recipe, *words, code=1)
    assert "error: detector 'spotty' of category 'a', seed 1: is not in the store" in text
    assert "more" not in text
    assert not Path("out").exists()
    command = shlex.split(text.strip().splitlines()[-1].partition("code: ")[2])
    assert command == ["segad", "run", str(recipe), *words]
    assert segad(*command[1:]).exit_code == 0
    maps(recipe, *words)
    assert folders() == ["a/spotty/seed_0", "a/spotty/seed_1"]


def test_several_that_are_not_trained(home: Path) -> None:
    text = maps(recipe_in(home, split=TWO_SEEDS), code=1)
    assert "seed 0: is not in the store store (and 1 more)" in text
    assert "segad run" in text


def test_what_is_trained_suffices_for_what_is_asked(home: Path) -> None:
    recipe = recipe_in(home, split=TWO_SEEDS)
    trained(recipe, "--set", "split.seeds=[0]")
    maps(recipe, "--seed", "0")
    assert folders() == ["a/spotty/seed_0"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--category", "aa"], "--category aa: recipe 'tiny' has no category 'aa'"),
        (["--seed", "2"], "--seed 2: recipe 'tiny' has no seed '2'"),
        (["--detector", "spoty"], "has no detector 'spoty' that a row reads - did you mean 'spotty'?"),
        (["--detector", "idle"], "has no detector 'idle' that a row reads"),
    ],
)
def test_what_the_recipe_does_not_have(home: Path, words: list[str], says: str) -> None:
    detectors = {"spotty": {"use": "spotty", "params": {"wrong": "nowhere"}}, "idle": "steps"}
    text = maps(recipe_in(home, detectors=detectors), *words, code=2)
    assert says in text
    assert not Path("out").exists()


def test_two_images_for_one_file(home: Path) -> None:
    data_set(home / "data", good=24, bad=13)
    Image.fromarray(picture(99, True)).save(home / "data/a/bad/004.jpg")
    text = maps(trained(recipe_in(home)), "--images", "all", code=1)
    assert (
        "category 'a': the maps of 'bad/004.jpg' and 'bad/004.png' would be the same file, bad/004.npy"
        in text
    )
    assert not Path("out").exists()


@pytest.mark.parametrize("name", ["../1.png", "a/../../1.png", "/1.png", ""])
def test_nothing_is_written_outside(home: Path, name: str) -> None:
    plan = prepared(recipe_in(home)).plans[0]
    with pytest.raises(DataError, match="is not a valid path within a folder"):
        plan_maps(replace(plan, category=name), home / "out", ["spotty"], [0], "all")
    tasks = tuple(
        replace(task, samples=(replace(task.samples[0], id=name),)) if hasattr(task, "samples") else task
        for task in plan.tasks
    )
    with pytest.raises(DataError, match="is not a valid path within a folder"):
        plan_maps(replace(plan, tasks=tasks), home / "out", ["spotty"], [0], "all")


def test_a_disk_that_is_too_small(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = trained(recipe_in(home))
    needed = 7 * (128 + 4 * 48 * 48)
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(0, 0, needed - 1))
    text = maps(recipe, code=1)
    assert "error: out: 7 maps need 64 KiB, but only 64 KiB are free" in text
    assert not Path("out").exists()
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(0, 0, needed))
    maps(recipe)
    assert sum(path.stat().st_size for path in Path("out").rglob("*.npy")) == needed


@pytest.mark.parametrize("wrong", ["nan map", "infinite map", "shape", "type"])
def test_a_map_that_breaks_the_contract(home: Path, monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    recipe = trained(recipe_in(home))
    broken = fakes.Spotty(fakes.Spotty.Params(wrong=wrong))
    monkeypatch.setattr(fakes.Spotty, "anomaly_maps", lambda _, batch: SPOTTY_MAPS(broken, batch))
    text = maps(recipe, "--images", "all", code=1)
    if wrong.endswith("map"):
        assert "detector 'spotty' (faulty 1.0): the anomaly map is not finite for image 'bad/000.png'" in text
    else:
        assert "detector 'spotty' (faulty 1.0): anomaly_maps() returned" in text
    assert folders() == []


# ---------------------------------------------------------------- what is there already


def stamps() -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in Path("out").rglob("*") if path.is_file()}


def test_what_is_there_is_not_written_again(home: Path) -> None:
    recipe = trained(recipe_in(home))
    maps(recipe)
    before = stamps()
    text = maps(recipe)
    assert text == "nothing to write (1 already written, from the same training and images)\n"
    assert stamps() == before
    assert len(before) == 8


def test_what_is_there_needs_no_training(home: Path) -> None:
    recipe = trained(recipe_in(home))
    maps(recipe)
    shutil.rmtree(home / "store")
    assert maps(recipe).startswith("nothing to write")


@pytest.mark.parametrize(
    "words", [["--images", "all"], ["--set", "image.size=[40, 48]"], ["--set", "detectors.spotty=steps"]]
)
def test_other_maps_are_written_over_only_when_asked_to(home: Path, words: list[str]) -> None:
    recipe = trained(recipe_in(home))
    maps(recipe)
    before = stamps()
    trained(recipe, *(words if words[0] == "--set" else []))
    text = maps(recipe, *words, code=2)
    assert "error: out/a/spotty/seed_0: already exists, with maps of other images, another" in text
    assert "--force" in text
    assert stamps() == before
    maps(recipe, *words, "--force")
    assert folders() == ["a/spotty/seed_0"]
    assert stamps() != before
    assert maps(recipe, *words).startswith("nothing to write")


def test_a_changed_image_is_noticed(home: Path) -> None:
    recipe = trained(recipe_in(home))
    maps(recipe)
    image = splits()["0"]["test"][0]
    Image.fromarray(picture(555)).save(home / "data" / "a" / image)
    trained(recipe)
    assert "already exists, with maps of other images" in maps(recipe, code=2)


@pytest.mark.parametrize("kind", ["folder", "file", "link", "record"])
def test_what_somebody_else_put_there_stays(home: Path, kind: str) -> None:
    recipe, place = trained(recipe_in(home)), Path("out/a/spotty/seed_0")
    if kind == "link":
        maps(recipe)
        place.rename("elsewhere")
        place.symlink_to(home / "elsewhere")
    elif kind == "file":
        place.parent.mkdir(parents=True)
        place.write_text("mine")
    else:
        place.mkdir(parents=True)
        (place / ("maps.json" if kind == "record" else "mine.txt")).write_text("[1]")
    before = stamps()
    for words in ([], ["--force"]):
        text = maps(recipe, *words, code=2)
        assert "out/a/spotty/seed_0: already exists, but is not a folder written by 'segad maps'" in text
    assert stamps() == before
    assert folders() == ["a/spotty/seed_0"]


@pytest.mark.parametrize("name", ["notes.txt", "bad/notes.txt", "bad/maps.json"])
def test_a_file_of_somebody_else_in_a_folder_of_maps_stays(home: Path, name: str) -> None:
    recipe = trained(recipe_in(home))
    maps(recipe)
    path = Path("out/a/spotty/seed_0") / name
    path.write_text("mine")
    before = stamps()
    text = maps(recipe, "--force", code=2)
    assert "error: out/a/spotty/seed_0: " in text
    assert name in text
    assert stamps() == before
    assert path.read_text() == "mine"
    assert maps(recipe).startswith("nothing to write")
    path.unlink()
    maps(recipe, "--force")


# ---------------------------------------------------------------- interrupted


@pytest.fixture
def stopping(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[BaseException]]:
    """What the detector raises from its second batch on."""
    errors: list[BaseException] = []
    calls = []

    def spotty(self: fakes.Spotty, batch: ImageBatch) -> NDArray[np.float32]:
        calls.append(batch)
        if errors and len(calls) > 1:
            raise errors[0]
        return SPOTTY_MAPS(self, batch)

    monkeypatch.setattr(fakes.Spotty, "anomaly_maps", spotty)
    yield errors


def test_interrupted_what_is_there_is_whole(home: Path, stopping: list[BaseException]) -> None:
    data_set(home / "data", ("a", "b"), good=24, bad=13)
    recipe = trained(recipe_in(home))
    maps(recipe, "--category", "b")
    stopping.append(KeyboardInterrupt())
    text = maps(recipe, code=1)
    assert "interrupted: existing folders are complete" in text
    assert folders() == ["b/spotty/seed_0"]
    stopping.clear()
    maps(recipe)
    assert folders() == ["a/spotty/seed_0", "b/spotty/seed_0"]
    assert len(found("out")) == 14


def test_interrupted_while_writing_over_the_old_ones_stay(home: Path, stopping: list[BaseException]) -> None:
    recipe = trained(recipe_in(home))
    maps(recipe)
    before = stamps()
    stopping.append(KeyboardInterrupt())
    maps(recipe, "--force", code=1)
    assert stamps() == before


def test_what_a_killed_process_left_is_no_part_of_it(home: Path) -> None:
    recipe = trained(recipe_in(home))
    for words in ([], ["--force"]):
        leftovers._swept.clear()  # as in another process
        kinds = ("part", "old") if words else ("part",)
        for left in (f".seed_0.0123456789abcdef.segad-{kind}" for kind in kinds):
            (Path("out/a/spotty") / left / "bad").mkdir(parents=True)
            (Path("out/a/spotty") / left / "bad" / "left.npy").write_bytes(b"half")
        maps(recipe, *words)
        assert folders() == ["a/spotty/seed_0"]
        assert len(found("out")) == 7


def test_a_folder_of_maps_has_one_writer(home: Path) -> None:
    recipe = trained(recipe_in(home))
    Path("out/a/spotty").mkdir(parents=True)
    with held(Path("out/a/spotty/seed_0"), ""):
        assert f"seed_0 is held by process {os.getpid()} " in maps(recipe, code=1)
    assert folders() == []
    maps(recipe)
    before = {path: path.stat() for path in Path("out").rglob("*.npy")}
    with held(Path("out/a/spotty/seed_0"), ""):
        maps(recipe, "--force", code=1)
    assert {path: path.stat() for path in Path("out").rglob("*.npy")} == before
    assert folders() == ["a/spotty/seed_0"]


def test_force_deletes_no_npy_file_of_somebody(home: Path) -> None:
    recipe = trained(recipe_in(home))
    maps(recipe)
    Path("out/a/spotty/seed_0/mine.npy").write_bytes(b"precious")
    assert "8 npy files instead of 7" in maps(recipe, "--force", code=2)
    assert Path("out/a/spotty/seed_0/mine.npy").read_bytes() == b"precious"


@pytest.mark.parametrize("kind", ["link", "dangling", "pipe", "record"])
def test_something_else_in_the_place_of_a_folder_of_maps_stays(home: Path, kind: str) -> None:
    recipe = trained(recipe_in(home))
    place = Path("out/a/spotty/seed_0")
    place.parent.mkdir(parents=True)
    if kind == "pipe":
        os.mkfifo(place)
    elif kind == "record":
        place.mkdir()
        os.mkfifo(place / "maps.json")
    else:
        (home / "victim").mkdir()
        place.symlink_to(home / ("victim" if kind == "link" else "gone"))
    before = place.lstat()
    for words in ([], ["--force"]):
        assert "seed_0: already exists, but is not a folder" in maps(recipe, *words, code=2)
        assert place.lstat() == before


def test_a_disk_that_becomes_full(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = trained(recipe_in(home))

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    text = maps(recipe, code=1)
    assert "error: out/a/spotty/seed_0: cannot be written (No space left on device)" in text
    assert folders() == []


def test_a_place_that_cannot_be_written_to(home: Path) -> None:
    (home / "out").mkdir()
    (home / "out/a").write_text("a file")
    text = maps(trained(recipe_in(home)), code=1)
    assert "out/a" in text
    assert "cannot be written" in text


def test_what_another_process_wrote_meanwhile_is_left_alone(home: Path) -> None:
    recipe = trained(recipe_in(home))
    (part,) = plan_maps(prepared(recipe).plans[0], home / "out", ["spotty"], [0])
    told: list[tuple[str, int, int]] = []
    store = Store(home / "store")
    for expected in ([part.folders[0]], []):
        made = write_maps(
            part, store, "cpu", lambda what, done, total, note="": told.append((what, done, total))
        )
        assert made == expected
    assert {(what, total) for what, _, total in told} == {("a, seed 0: images with maps", 7)}
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)
    assert told[-1][1] == 7


def test_the_command_is_listed() -> None:
    assert "maps" in said(segad("--help"))
