"""The example programs give the features, scores and verdicts that segad gave for the calibration images.

`prepare.py` makes the bundles; SEGAD_EXPORTED is the folder. C# is tested where Mono is installed.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import openvino
import pytest
from PIL import Image
from safetensors.numpy import load_file

GIVEN = Path(os.environ["SEGAD_EXPORTED"])
BUNDLE = GIVEN / "examples.segad"
EXAMPLES = Path(__file__).parents[1] / "examples"
OPENVINO = Path(openvino.__file__).parent
SYSTEM_XML = ["-r:System.Runtime.Serialization", "-r:System.Xml", "-r:System.Xml.Linq"]

Words = Sequence[str | Path]


def done(command: Words, **options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        list(map(str, command)), env={**os.environ, **options}, capture_output=True, text=True
    )


@pytest.fixture(scope="module", params=["cpp", "csharp"])
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Words:
    """The words that run a program."""
    folder, source = tmp_path_factory.mktemp(request.param), EXAMPLES / request.param
    if request.param == "cpp":
        if not shutil.which("g++"):
            pytest.fail("the C++ example is compiled with g++, which is not installed: apt-get install g++")
        (library,) = OPENVINO.glob("libs/libopenvino.so.*")
        out, flags = folder / "segad_example", ["-std=c++17", "-O1"]
        paths = ["-isystem", OPENVINO / "include", library, f"-Wl,-rpath,{library.parent}"]
        made = done(["g++", *flags, source / "main.cpp", *paths, "-o", out])
        words: Words = [out]
    else:
        if not (shutil.which("mcs") and shutil.which("mono")):
            pytest.skip("the C# example is tested where Mono is installed: apt-get install mono-mcs")
        (library,) = OPENVINO.glob("libs/libopenvino_c.so.*")
        (folder / "libopenvino_c.so").symlink_to(library)
        out = folder / "segad_example.exe"
        made = done(["mcs", *SYSTEM_XML, f"-out:{out}", *source.glob("*.cs")])
        words = ["env", f"LD_LIBRARY_PATH={folder}:{library.parent}", "mono", out]
    assert made.returncode == 0, made.stdout + made.stderr
    return words


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("labels") / "labels.pgm"
    written = done([sys.executable, EXAMPLES / "labels.py", BUNDLE, path])
    assert written.returncode == 0, written.stderr
    return path


def test_features_scores_and_verdicts(program: Words, labels: Path) -> None:
    table = load_file(BUNDLE / "calibration.safetensors")
    names = json.loads((BUNDLE / "manifest.json").read_bytes())["pipeline"]["names"]
    threshold = json.loads((BUNDLE / "operating.json").read_bytes())["threshold"]
    images = [one["id"] for one in json.loads((BUNDLE / "calibration.json").read_bytes())]
    plain = [(GIVEN / "small" / "ppm" / image).with_suffix(".ppm") for image in images]
    ran = done([*program, "--features", BUNDLE, labels, *plain])
    assert ran.returncode == 0, ran.stderr
    lines = iter(ran.stdout.splitlines())
    found = [(next(lines).split(), [next(lines).split() for _ in names]) for _ in images]
    assert list(lines) == []
    assert [name for name, _ in found[0][1]] == names and "none.patchcore.kurtosis" in names
    features = np.array([[float(value) for _, value in one] for _, one in found])
    np.testing.assert_allclose(features, table["features"], rtol=1e-4, atol=1e-4)
    assert not table["features"][:, [name.startswith("none.") for name in names]].any()
    scores, verdicts = [float(line[1]) for line, _ in found], [line[2] for line, _ in found]
    np.testing.assert_allclose(scores, table["scores"], atol=1e-3 * np.ptp(table["scores"]))
    assert verdicts == ["NG" if score >= threshold else "OK" for score in table["scores"]]
    assert set(verdicts) == {"NG", "OK"}


def test_what_they_do_not_show_is_refused(program: Words, labels: Path) -> None:
    ran = done([*program, GIVEN / "onnx.segad", labels, "image.ppm"])
    assert ran.returncode == 1 and ran.stdout == ""
    assert "'fit'" in ran.stderr and "segad-runtime" in ran.stderr


@pytest.mark.parametrize("size", [(64, 63), (65, 64)])
def test_images_of_another_size_are_refused(
    program: Words, labels: Path, size: tuple[int, int], tmp_path: Path
) -> None:
    Image.new("RGB", size).save(tmp_path / "small.ppm")
    ran = done([*program, BUNDLE, labels, tmp_path / "small.ppm"])
    assert ran.returncode == 1 and ran.stdout == ""
    assert "small.ppm" in ran.stderr and "P6 64 64 255" in ran.stderr
