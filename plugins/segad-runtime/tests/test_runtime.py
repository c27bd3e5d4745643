"""In an environment without torch: exported bundles say what the original says with all of segad.

`prepare.py` makes the bundles; SEGAD_EXPORTED is the folder.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

import pytest

GIVEN = Path(os.environ["SEGAD_EXPORTED"])
ENGINES = ("onnx", "openvino")
MIB = 1 << 20


def segad(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "segad_core.cli", *map(str, words)]
    return subprocess.run(command, cwd=GIVEN, capture_output=True, text=True)


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("module", ["torch", "xgboost", "numba", "scipy", "sklearn", "pandas", "timm"])
def test_there_is_nothing_of_training(module: str) -> None:
    assert importlib.util.find_spec(module) is None


@pytest.mark.parametrize("engine", ENGINES)
def test_the_same_predictions(engine: str, tmp_path: Path) -> None:
    done = segad("predict", f"{engine}.segad", "lot/parts", "-o", tmp_path / "out.jsonl")
    assert done.returncode == 3, done.stderr
    before, after = lines(GIVEN / "whole.jsonl"), lines(tmp_path / "out.jsonl")
    assert [one["image"] for one in after] == [one["image"] for one in before]
    assert [one["verdict"] for one in after] == [one["verdict"] for one in before]
    assert {one["verdict"] for one in after} == {"OK", "NG", "UNKNOWN"}
    for one, other in zip(before, after, strict=True):
        if one["score"] is None:
            assert {**other, "bundle": ""} == {**one, "bundle": ""}
            continue
        assert other["score"] == pytest.approx(one["score"], abs=1e-3)
        assert _words(other["reason"]) == _words(one["reason"])


def _words(reason: object) -> str:
    """A reason without its numbers, which may be rounded otherwise."""
    return re.sub(r"[-+]?\d+(\.\d+)?(e[-+]\d+)?", "#", str(reason))


@pytest.mark.parametrize("engine", ENGINES)
def test_bundles_verify_themselves(engine: str) -> None:
    done = segad("bundle", "verify", f"{engine}.segad")
    assert done.returncode == 0, done.stderr
    assert "same verdicts" in done.stdout


def test_all_plugins_load() -> None:
    done = segad("list-plugins", "--check")
    assert done.returncode == 0, done.stdout
    assert done.stdout.count(" loads ") == done.stdout.count(" segad ") > 15


def test_the_original_says_what_it_lacks() -> None:
    done = segad("bundle", "verify", "whole.segad")
    assert done.returncode == 1
    assert "segad:efficientnet_lite0" in done.stderr or "segad:patchcore" in done.stderr
    assert "Traceback" not in done.stderr


def test_teaching_says_what_it_lacks(tmp_path: Path) -> None:
    done = segad("learn", "onnx.segad", "--bad", "lot/parts/scratched", "-o", tmp_path / "out.segad")
    assert done.returncode == 1
    assert "segad-runtime comes without it" in done.stderr and "pip install segad" in done.stderr
    assert "Traceback" not in done.stderr


def test_it_takes_less_than_300_mib() -> None:
    sizes: dict[str, int] = {}

    def add(name: str, extra: str) -> None:
        key = re.sub("[-_.]+", "-", name).lower()
        if key in sizes:
            return
        found = distribution(name)
        paths = [Path(str(file.locate())) for file in found.files or ()]
        sizes[key] = sum(path.stat().st_size for path in paths if path.is_file())
        for line in found.requires or ():
            needed, _, marker = line.partition(";")
            if "extra" not in marker or f'extra == "{extra}"' in marker.replace("'", '"'):
                add(re.split(r"[ <>=!~\[(]", needed.strip())[0], "")

    add("segad-runtime", "onnx")
    assert {"numpy", "onnxruntime", "pillow"} < sizes.keys()
    assert sum(sizes.values()) < 300 * MIB, sorted(sizes.items(), key=lambda one: -one[1])[:5]
