"""`segad datasets`: the list, and what `check` says of copies on disk, with its exit code."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import described
import numpy as np
import pytest
from builders import data_set, said, segad
from click.testing import Result
from PIL import Image
from published_trees import MVTEC, VAD, VAD_KEYS, mvtec_tree, vad_tree, visa_tree

from segad_core.plugins.registry import Provider, Registry


@pytest.fixture
def described_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    described.install(monkeypatch)


def check(root: Path, *words: str | Path, name: str = "folder") -> Result:
    return segad("datasets", "check", name, "--root", root, "--store", root.parent / "store", *words)


def lines(result: Result) -> list[str]:
    return said(result).splitlines()


# ---- the list


@pytest.mark.usefixtures("described_installed")
def test_the_list_tells_what_each_is_and_where_to_get_it() -> None:
    result = segad("datasets")
    shown = lines(result)
    assert result.exit_code == 0
    assert max(map(len, shown)) > 90
    assert [line for line in shown if len(line) > 100] == [
        f"    {described.Described.source.split(', ')[0]},"
    ]
    start = shown.index("described")
    end = next((i for i in range(start + 1, len(shown)) if not shown[i].startswith(" ")), len(shown))
    own = shown[start + 1 : end]
    assert own[:3] == ["  What described.json says.", "  licence: Made up, free", "  source:"]
    whole = " ".join(line.strip() for line in own[2:])
    assert whole == f"source: {described.Described.source.strip()}"
    assert {"elpv", "folder"} < set(shown)


@pytest.mark.usefixtures("described_installed")
def test_the_list_as_json() -> None:
    entries = {entry["name"]: entry for entry in json.loads(segad("datasets", "--json").output)}
    assert entries["described"] == {
        "name": "described",
        "distribution": "made-up 1.0",
        "about": "What described.json says.",
        "licence": "Made up, free",
        "source": described.Described.source,
        "broken": "",
    }
    assert entries["elpv"]["licence"].startswith("ELPV, CC BY-NC-SA 4.0")
    assert entries["folder"]["licence"] == ""


def test_a_broken_plugin_and_namesakes_in_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [
        Provider("datasets", "one", "left", "1.0", "described:Described"),
        Provider("datasets", "one", "right", "2.0", "described:Described"),
        Provider("datasets", "two", "wrong", "3.0", "builders:SIDE"),
    ]
    monkeypatch.setattr(Registry, "providers", lambda self, kind=None: found)
    result = segad("datasets", "--json")
    entries = json.loads(result.output)
    assert [entry["name"] for entry in entries] == ["left:one", "right:one", "two"]
    assert [bool(entry["broken"]) for entry in entries] == [False, False, True]
    assert result.exit_code == 1
    result = segad("datasets")
    assert "two\n  cannot be used: datasets: the plugin 'two' of wrong 3.0 breaks its contract" in said(
        result
    )
    assert result.exit_code == 1


def test_the_list_imports_nothing_heavy() -> None:
    program = (
        "import json, sys\nfrom segad_core.cli import main\ntry:\n    main(['datasets'])\n"
        "except SystemExit as end:\n    print(end.code, json.dumps([*sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    code, _, modules = done.stdout.splitlines()[-1].partition(" ")
    assert code == "0"
    heavy = {"torch", "torchvision", "timm", "xgboost", "numba", "pandas", "sklearn"}
    assert not heavy.intersection(json.loads(modules))


# ---- check: exit codes and reports


def test_a_sound_folder(tmp_path: Path) -> None:
    data_set(tmp_path / "data", ("a", "b"), good=3, bad=1)
    result = check(tmp_path / "data")
    assert lines(result) == [
        "a",
        "  images: bad 1; good 3",
        "  sizes, width x height: 48 x 48 (4)",
        "b",
        "  images: bad 1; good 3",
        "  sizes, width x height: 48 x 48 (4)",
        "folder: 2 categories, 8 images, 0 problems, 0 notes",
    ]
    assert result.exit_code == 0


def _unreadable(good: Path) -> None:
    (good / "000.png").write_bytes(b"hello")


def _twice(good: Path) -> None:
    shutil.copy(good / "000.png", good / "copy.png")


def _labels(good: Path) -> None:
    shutil.copy(good / "000.png", good.parent / "bad" / "copy.png")


def _leak(good: Path) -> None:
    shutil.copy(good / "000.png", good.parents[1] / "test" / "good" / "copy.png")


FAULTS: dict[str, tuple[list[Callable[[Path], None]], int, list[str]]] = {
    "unreadable": (
        [_unreadable],
        3,
        [
            "  problem: unreadable images (1):",
            "    GOOD/000.png: is not an image that can be read",
            "folder: 1 category, 8 images, 1 problem, 0 notes",
        ],
    ),
    "a note": (
        [_twice],
        0,
        [
            "  note: duplicate images (1):",
            "    identical files: 'train/good/000.png' (train good), 'train/good/copy.png' (train good)",
            "folder: 1 category, 9 images, 0 problems, 1 note",
        ],
    ),
    "two labels": (
        [_labels],
        1,
        [
            "  problem: identical images with different labels (1):",
            "    identical files: 'train/bad/copy.png' (train bad), 'train/good/000.png' (train good)",
            "folder: 1 category, 9 images, 1 problem, 0 notes",
        ],
    ),
    "in training and in test": (
        [_leak],
        1,
        [
            "  problem: images in both training and test (1):",
            "    identical files: 'test/good/copy.png' (test good), 'train/good/000.png' (train good)",
            "folder: 1 category, 9 images, 1 problem, 0 notes",
        ],
    ),
    "another problem beside an unreadable image": (
        [_leak, lambda good: _unreadable(good.parents[1] / "test" / "good")],
        1,
        [
            "  problem: unreadable images (1):",
            "    GOOD/../../test/good/000.png: is not an image that can be read",
            "  problem: images in both training and test (1):",
            "    identical files: 'test/good/copy.png' (test good), 'train/good/000.png' (train good)",
            "folder: 1 category, 9 images, 2 problems, 0 notes",
        ],
    ),
    "a note beside an unreadable image": (
        [_twice, lambda good: _unreadable(good.parents[1] / "test" / "good")],
        3,
        [
            "  problem: unreadable images (1):",
            "    GOOD/../../test/good/000.png: is not an image that can be read",
            "  note: duplicate images (1):",
            "    identical files: 'train/good/000.png' (train good), 'train/good/copy.png' (train good)",
            "folder: 1 category, 9 images, 1 problem, 1 note",
        ],
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults_in_a_folder(name: str, tmp_path: Path) -> None:
    faults, code, expected = FAULTS[name]
    data_set(tmp_path / "data", ("train", "test"), good=2, bad=2)
    good = tmp_path / "data" / "train" / "good"
    for fault in faults:
        fault(good)
    result = check(tmp_path / "data")
    home = (tmp_path / "data").as_posix()
    assert [line for line in lines(result)[2:] if not line.startswith("  sizes")] == [
        line.replace("GOOD/../..", home).replace("GOOD", good.as_posix()) for line in expected
    ]
    assert result.exit_code == code


@pytest.mark.usefixtures("described_installed")
def test_what_a_report_tells(tmp_path: Path) -> None:
    root = tmp_path / "data"
    description = described.sound(root, ("a", "b"))
    description["b"]["published"]["train good"] = 2000
    (root / "b/masks/2.png").unlink()
    described.describe(root, description)
    result = check(root, name="described")
    assert lines(result) == [
        "a",
        "  images, as published: test bad 2; test good 2; train bad 2; train good 2",
        "  defect types: crack 2; dent 4",
        "  subsets of bad training images: 'first' 2",
        "  sizes, width x height: 48 x 48 (8)",
        "b",
        "  images: test bad 2; test good 2; train bad 2; train good 2",
        "  defect types: crack 2; dent 4",
        "  subsets of bad training images: 'first' 2",
        "  sizes, width x height: 48 x 48 (8)",
        "  problem: image counts differ from the published ones (1):",
        "    train good: 2 instead of 2000",
        "  problem: missing masks (1):",
        f"    'b/bad/2.png': {root / 'b/masks/2.png'}",
        "described: 2 categories, 16 images, 2 problems, 0 notes",
    ]
    assert result.exit_code == 1
    one = check(root, "--category", "a", name="described")
    assert lines(one) == [*lines(result)[:5], "described: 1 category, 8 images, 0 problems, 0 notes"]
    assert one.exit_code == 0


@pytest.mark.usefixtures("described_installed")
def test_counts_that_differ_are_a_problem(tmp_path: Path) -> None:
    description = described.sound(tmp_path / "data")
    description["a"]["published"]["test good"] = 3
    described.describe(tmp_path / "data", description)
    assert check(tmp_path / "data", name="described").exit_code == 1


@pytest.mark.usefixtures("described_installed")
def test_a_category_that_cannot_be_listed_hides_no_other(tmp_path: Path) -> None:
    description = described.sound(tmp_path / "data", ("a", "b"))
    description["a"]["error"] = "split.csv is not there"
    described.describe(tmp_path / "data", description)
    result = check(tmp_path / "data", name="described")
    assert lines(result)[:3] == [
        "a",
        "  problem: category cannot be listed (1):",
        "    split.csv is not there. Mend it.",
    ]
    assert "b" in lines(result)
    assert result.exit_code == 1


def test_long_lists_are_cut_unless_all_is_wanted(tmp_path: Path) -> None:
    data_set(tmp_path / "data", good=13, bad=2)
    files = sorted((tmp_path / "data" / "a" / "good").iterdir())
    for path in files:
        path.write_bytes(b"")
    every = [f"    {path}: the file is empty" for path in files]
    heading = "  problem: unreadable images (13):"
    last = "folder: 1 category, 15 images, 13 problems, 0 notes"
    more = "    and 3 more (use --all to show them)"
    assert lines(check(tmp_path / "data"))[3:] == [heading, *every[:10], more, last]
    assert lines(check(tmp_path / "data", "--all"))[3:] == [heading, *every, last]
    findings = json.loads(check(tmp_path / "data", "--json").output)["categories"][0]["findings"]
    assert [finding["images"] for finding in findings] == [[f"good/{path.name}"] for path in files]


def test_ten_of_a_kind_are_all_shown(tmp_path: Path) -> None:
    data_set(tmp_path / "data", good=10, bad=1)
    for path in (tmp_path / "data" / "a" / "good").iterdir():
        path.write_bytes(b"")
    assert len(lines(check(tmp_path / "data"))) == 15
    assert "--all" not in check(tmp_path / "data").output


def test_sizes_are_listed_with_counts_and_other_shapes_are_notes(tmp_path: Path) -> None:
    data_set(tmp_path / "data", good=20, bad=3)
    good = tmp_path / "data" / "a" / "good"
    for side in range(10):  # 10 sizes, of one shape with the others
        Image.fromarray(np.full((24 + side, 24 + side, 3), side, np.uint8)).save(good / f"{side:03}.png")
    Image.fromarray(np.full((20, 50, 3), 99, np.uint8)).save(good / "wide.png")
    result = check(tmp_path / "data")
    sizes = "; ".join(["48 x 48 (13)", "50 x 20 (1)", *(f"{side} x {side} (1)" for side in range(24, 32))])
    assert [" ".join(line.split()) for line in result.output.splitlines()][2:-1] == [
        *textwrap.fill(f"sizes, width x height: {sizes}; 2 others (2)", 96).splitlines(),
        "note: images of another shape than most (1):",
        "50 x 20: 'good/wide.png'",
    ]
    assert result.exit_code == 0


@pytest.mark.usefixtures("described_installed")
def test_the_report_as_json(tmp_path: Path) -> None:
    root = tmp_path / "data"
    description = described.sound(root)
    description["a"]["samples"][-1]["mask"] = None
    (root / "a/good/0.png").write_bytes(b"")
    described.describe(root, description)
    result = check(root, "--json", "--param", "extra=4", name="described")
    assert json.loads(result.output) == {
        "dataset": "described",
        "params": {"root": str(root), "extra": 4},
        "images": 8,
        "problems": 1,
        "notes": 1,
        "exit_code": 3,
        "uncounted": [],
        "categories": [
            {
                "category": "a",
                "images": {"test bad": 2, "test good": 2, "train bad": 2, "train good": 2},
                "published": {"train good": 2, "train bad": 2, "test good": 2, "test bad": 2},
                "defects": {"crack": 2, "dent": 4},
                "subsets": {"first": 2},
                "sizes": {"48 x 48": 7},
                "findings": [
                    {
                        "kind": "unreadable",
                        "problem": True,
                        "text": f"{root / 'a/good/0.png'}: the file is empty",
                        "images": ["a/good/0.png"],
                    },
                    {
                        "kind": "unmasked",
                        "problem": False,
                        "text": "test bad: 1 of 2: 'a/bad/3.png'",
                        "images": ["a/bad/3.png"],
                    },
                ],
            }
        ],
    }
    assert result.exit_code == 3


def test_names_that_are_no_text(tmp_path: Path) -> None:
    data_set(tmp_path / "data", good=2, bad=1)
    (tmp_path / "data" / "a" / "good" / "na\udcffme.png").write_bytes(b"")
    result = check(tmp_path / "data")
    assert f"    {tmp_path}/data/a/good/na\\udcffme.png: the file is empty" in lines(result)
    assert result.exit_code == 3
    findings = json.loads(check(tmp_path / "data", "--json").output)["categories"][0]["findings"]
    assert findings[0]["images"] == ["good/na\udcffme.png"]


# ---- check: the command line

MISTAKES: dict[str, tuple[list[str], str]] = {
    "unknown data set": (
        ["foldr"],
        "error: no dataset is called 'foldr' - did you mean 'folder'? known: ",
    ),
    "no root": (
        ["folder"],
        "error: data set folder: 'root' is missing\n  Give the data set's folder with --root DIR.\n",
    ),
    "root that is not there": (
        ["folder", "--root", "nowhere"],
        "error: --root nowhere: there is no folder 'nowhere'\n",
    ),
    "root that is none of its parameters": (
        ["elpv", "--root", "x"],
        "error: --root x: data set elpv has no parameter 'root'\n"
        "  Remove the option; `segad datasets` lists where its images come from.\n",
    ),
    "root as a parameter that is none": (
        ["elpv", "--param", "root=x"],
        "error: --param root=x: unknown key 'root'. known: none\n",
    ),
    "root twice": (
        ["folder", "--root", "x", "--param", "root=y"],
        "error: --root x: 'root' is also given by --param root=y\n  Remove one of them.\n",
    ),
    "unknown parameter": (
        ["folder", "--root", "DATA", "--param", "goood=ok"],
        "error: --param goood=ok: unknown key 'goood' - did you mean 'good'? known: root, good, bad, ",
    ),
    "several": (
        ["folder", "--root", "DATA", "--param", "good=[1]", "--param", "bad=1"],
        "error: --param good=[1]: input should be a valid string\n"
        "--param bad=1: input should be a valid string (got 1): put it in quotes\n",
    ),
    "no value": (
        ["folder", "--root", "DATA", "--param", "good"],
        "error: --param good: must be of the form name=value\n  For example: --param good=ok\n",
    ),
    "no YAML": (
        ["folder", "--root", "DATA", "--param", "good=[1"],
        "error: --param good=[1: the value is not valid YAML\n",
    ),
    "no date": (
        ["folder", "--root", "DATA", "--param", "good=2020-99-99"],
        "error: --param good=2020-99-99: is not a valid value: month must be in 1..12\n",
    ),
    "unknown category": (
        ["folder", "--root", "DATA", "--category", "aa"],
        "error: --category aa: data set folder has no such category - did you mean 'a'? known: a\n",
    ),
    "a folder without images": (
        ["folder", "--root", "."],
        "error: data set folder: . contains no category: neither it nor any of its folders contains 'good' "
        "or 'bad'\n",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_on_the_command_line(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words, expected = MISTAKES[name]
    data_set(tmp_path / "data" / "set", good=1, bad=1)
    monkeypatch.chdir(tmp_path)
    result = segad("datasets", "check", *("data/set" if word == "DATA" else word for word in words))
    assert said(result).startswith(expected)
    assert result.exit_code == 2
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("option", ["--json", "--no-plugins", "--debug"])
def test_options_before_the_command_are_refused(option: str) -> None:
    result = segad("datasets", option, "check", "elpv")
    assert "Error: put options after the command: segad datasets check ..." in result.output
    assert result.exit_code == 2


def test_parameters_and_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names of the folders that are parameters; the second time nothing is decoded."""
    data_set(tmp_path / "data", good=2, bad=1)
    (tmp_path / "data" / "a" / "good").rename(tmp_path / "data" / "a" / "1")
    assert check(tmp_path / "data", "--param", "good='1'").exit_code == 0
    import segad_core.images.inventory

    def never(*_: Any) -> None:
        raise AssertionError("decoded again")

    monkeypatch.setattr(segad_core.images.inventory, "sample_at_full_size", never)
    result = check(tmp_path / "data", "--param", "good='1'")
    assert lines(result)[1] == "  images: bad 1; good 2"
    assert result.exit_code == 0


# ---- real and published data


@pytest.mark.slow
def test_elpv(tmp_path: Path) -> None:
    result = segad("datasets", "check", "elpv", "--store", tmp_path / "store")
    assert lines(result)[0::3][:2] == ["mono", "poly"]
    assert lines(result)[1].endswith("bad 313; doubtful 173; good 588")
    assert lines(result)[4].endswith("bad 402; doubtful 228; good 920")
    assert lines(result)[5] == "  sizes, width x height: 300 x 300 (1550)"
    assert "note: near-identical images" in lines(result)[6]  # wafers cut one after the other; none in mono
    assert "'images/cell2369.png' (doubtful), 'images/cell2370.png' (good)" in result.output
    assert lines(result)[-1].startswith("elpv: 2 categories, 2624 images, 0 problems, ")
    assert result.exit_code == 0


def test_a_vad_with_a_training_image_among_those_for_the_test(tmp_path: Path) -> None:
    numbers = {"train good": 6, "train bad": 4, "test good": 4, "test bad": 3, "test bad, unseen": 2}
    home = vad_tree(tmp_path, counts=numbers, low_shot_size=2, masks=True)
    shutil.copy(home / "train" / "good" / "0002.png", home / "test" / "good" / "0099.png")
    result = check(home, "--json", name="vad")
    (vad,) = json.loads(result.stdout)["categories"]
    assert vad["images"] == numbers | {"test good": 5}
    assert vad["published"] == VAD
    assert list(vad["subsets"].items()) == [(key, 2) for key in VAD_KEYS]
    told = [(finding["kind"], finding["text"]) for finding in vad["findings"]]
    assert told == [
        ("counts", "train good: 6 instead of 2000"),
        ("counts", "train bad: 4 instead of 1000"),
        ("counts", "test good: 5 instead of 1000"),
        ("counts", "test bad: 3 instead of 835"),
        ("counts", "test bad, unseen: 2 instead of 165"),
        ("leaks", "identical files: 'test/good/0099.png' (test good), 'train/good/0002.png' (train good)"),
        ("unmasked", vad["findings"][-1]["text"]),
    ]
    assert vad["findings"][-1]["images"] == [f"train/bad/000{i}.png" for i in range(4)]
    assert result.exit_code == 1


def test_a_visa_as_published_that_lacks_a_mask(tmp_path: Path) -> None:
    root = visa_tree(tmp_path / "visa", ("cashew",), side=8)
    masks = root / "cashew" / "Data" / "Masks" / "Anomaly"
    whole = check(root, "--category", "cashew", name="visa")
    assert "  images, as published: test bad 100; test good 50; train good 450" in lines(whole)
    assert lines(whole)[-1] == "visa: 1 category, 600 images, 0 problems, 0 notes"
    assert whole.exit_code == 0
    (masks / "007.png").unlink()
    (masks / "008.png").write_bytes(b"")
    (category,) = json.loads(check(root, "--category", "cashew", "--json", name="visa").stdout)["categories"]
    found = {finding["kind"]: finding["images"] for finding in category["findings"]}
    assert found.pop("mask_unreadable") == ["Data/Images/Anomaly/008.JPG"]
    assert list(found.values()) == [["Data/Images/Anomaly/007.JPG"]]
    assert set(found) == {"mask_absent"}


@pytest.mark.parametrize("setup", ["1cls", "2cls_highshot"])
def test_a_set_up_without_published_counts_is_one_note(setup: str, tmp_path: Path) -> None:
    numbers = {"train good": 6, "test good": 4, "test bad": 5}
    root = visa_tree(tmp_path / "visa", ("cashew", "pcb1"), counts=numbers, side=8)
    words = ("--category", "cashew", "--category", "pcb1", "--param", f"setup={setup}")
    result = check(root, *words, name="visa")
    told = "  note: no published image counts for cashew, pcb1" in lines(result)
    assert told == (setup != "1cls")
    assert result.exit_code == (0 if told else 1)
    uncounted = json.loads(check(root, *words, "--json", name="visa").stdout)["uncounted"]
    assert uncounted == ["cashew", "pcb1"] * told


def test_a_visa_whose_annotations_deny_its_folders(tmp_path: Path) -> None:
    root = visa_tree(tmp_path / "visa", ("cashew",), side=8)
    table = root / "cashew" / "image_anno.csv"
    table.write_text(table.read_text().replace("Anomaly/000.JPG,burnt", "Anomaly/000.JPG,normal"))
    result = check(root, "--category", "cashew", name="visa")
    assert "  problem: contradictory lists (1):" in lines(result)
    said = f"    {table}:2: labels cashew/Data/Images/Anomaly/000.JPG as normal, but it is a bad image"
    assert said in lines(result)
    assert result.exit_code == 1


def test_half_a_category_is_named_with_what_it_lacks(tmp_path: Path) -> None:
    root = mvtec_tree(tmp_path / "mvtec", ("grid", "bottle"), scale=0.1, side=8)
    shutil.rmtree(root / "bottle" / "test")
    result = check(root, name="mvtec")
    said = f"{root / 'bottle'} is not a valid category: test/good does not exist"
    assert "  problem: category cannot be listed (1):" in lines(result)
    assert any(line.startswith(f"    data set mvtec: {said}. ") for line in lines(result))
    assert "  images: test bad 6; test good 3; train good 27" in lines(
        result
    )  # grid is looked at all the same
    assert result.exit_code == 1


def test_an_mvtec_that_lacks_categories(tmp_path: Path) -> None:
    root = mvtec_tree(tmp_path / "mvtec", ("grid", "bottle"), side=8)
    result = check(root, name="mvtec")
    assert "contains 2 of 15 categories; missing: cable, capsule, carpet, hazelnut" in result.stderr
    absent = [name for name in MVTEC if name not in ("bottle", "grid")]
    missing = [[name, "  problem: missing categories (1):", f"    '{name}'"] for name in absent]
    assert result.stdout.splitlines() == [
        "bottle",
        "  images, as published: test bad 63; test good 20; train good 209",
        "  defect types: broken_large 20; broken_small 22; contamination 21",
        "  sizes, width x height: 8 x 8 (292)",
        "grid",
        "  images, as published: test bad 57; test good 21; train good 264",
        "  defect types: bent 12; broken 12; glue 11; metal_contamination 11; thread 11",
        "  sizes, width x height: 8 x 8 (342)",
        *(line for one in missing for line in one),
        "mvtec: 2 categories, 634 images, 13 problems, 0 notes",
    ]
    assert result.exit_code == 1
    assert check(root, "--category", "grid", name="mvtec").exit_code == 0


@pytest.mark.parametrize(
    "word", ["size=[64, 64]", "fit=pad", "tiles={size: [64, 64]}", "scale=0.1", "whit=3"]
)
def test_image_takes_only_what_reading_depends_on(tmp_path: Path, word: str) -> None:
    """Nothing is accepted and then ignored."""
    result = check(data_set(tmp_path / "data", good=1, bad=1), "--image", word)
    assert result.exit_code == 2
    assert f"--image {word}: '{word.partition('=')[0]}'" in said(result)
    assert "white, window, bayer, page" in result.output
