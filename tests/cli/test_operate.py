"""`segad operate` as it is used."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from builders import said, segad, workshop
from calibrated import bundle, stored, table

GOODS = [i / 100 for i in range(100)]
BADS = [0.5 + i / 50 for i in range(40)]


@pytest.fixture(params=["part.segad", "part.zip"])
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A bundle of 100 good and 40 bad test images, a folder or a zip."""
    return bundle(tmp_path / request.param, table(GOODS, BADS))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return bundle(tmp_path / "part.segad", table(GOODS, BADS))


def operate(place: Path, *words: str, code: int = 0) -> str:
    result = segad("operate", place, *words)
    text = said(result)
    assert result.exit_code == code, text
    return text


def data(place: Path, *words: str) -> dict[str, Any]:
    result = segad("operate", place, *words, "--json")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_it_sets_a_threshold_and_reports_what_it_means(made: Path) -> None:
    text = operate(made, "--false-rejects", "5/100")
    assert "NG at or above 0.945 (false rejects 5/100); before: 0.535 (catch 0.95)" in text
    assert "on 140 test images that were never trained on, it" in text
    assert "  catches 17 of 40 bad parts (42.5%, 95% interval 27.0% to 59.1%)" in text
    assert "  rejects 5 of 100 good parts (5.0%, 95% interval 1.6% to 11.3%)" in text
    assert "at least 59 good parts with none rejected, or 208 with at most 5 rejected" in text
    assert "between lots: the data names no lots" in text
    assert data(made, "--show")["point"]["threshold"] == pytest.approx(0.945)


def test_the_three_rules(made: Path) -> None:
    assert data(made, "--catch", "0.9")["point"]["caught"]["count"] == 36
    assert data(made, "--false-rejects", "0/1")["point"]["rejected"]["count"] == 0
    found = data(made, "--cost", "miss=500, reject=3, bad=0.01")
    assert found["point"]["rule"] == {"kind": "cost", "miss": 500, "reject": 3, "bad": 0.01}
    assert found["before"]["rule"] == {"kind": "false-rejects", "rejected": 0, "of": 1}
    assert data(made, "--show")["point"] == found["point"]


def test_the_same_again_writes_nothing(made: Path) -> None:
    assert data(made, "--catch", "0.9")["changed"] is True
    before = made.stat()
    assert data(made, "--catch", "0.9")["changed"] is False
    assert "threshold unchanged" in operate(made, "--catch", "0.9")
    assert (made.stat().st_mtime_ns, made.stat().st_ino) == (before.st_mtime_ns, before.st_ino)


def test_show_changes_nothing(folder: Path) -> None:
    before = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in folder.rglob("*") if p.is_file()}
    text = operate(folder, "--show")
    assert {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in folder.rglob("*") if p.is_file()} == before
    lines = text[text.index("threshold  caught") :].splitlines()
    lines = [line for line in lines if not line.startswith("warning")]
    assert len(lines) <= 26
    assert lines[0].split() == ["threshold", "caught", "rejected", "rule"]
    now = next(line for line in lines if "now" in line)
    assert now.startswith("0.535      38 of 40 (83.1% to 99.39%)   46 of 100 (36.0% to 56.3%)")
    assert now.endswith("now, catch 0.95")
    for rule in (
        "catch 0.9",
        "catch 0.99",
        "no false rejects",
        "false rejects 1/1000",
        "false rejects 1/100",
    ):
        assert sum(rule in line for line in lines) >= 1


def test_unseen_defects_have_a_column(tmp_path: Path) -> None:
    place = bundle(tmp_path / "x", table(GOODS, BADS, unseen=[0.1, 0.9]))
    assert "caught, unseen" in operate(place, "--show")
    assert data(place, "--show")["candidates"][0]["unseen"]["of"] == 2


def test_it_warns_of_rates_that_the_images_cannot_show(folder: Path) -> None:
    result = segad("operate", folder, "--false-rejects", "2/1000")
    assert "warning: 100 good calibration images cannot show 2/1000" in result.stderr
    assert "1,497" in result.stderr
    assert "warning" not in result.stdout
    found = data(folder, "--false-rejects", "2/1000")
    assert found["certify"]["none"] == 1497
    assert len(found["warnings"]) == 1


def test_it_reports_images_that_have_been_taught_since(tmp_path: Path) -> None:
    tested = table(GOODS, BADS)
    place = bundle(tmp_path / "x", tested, table(GOODS[:3]))
    assert "3 test images are excluded: they have been taught since" in operate(place, "--show")


WRONG = [
    [],
    ["--catch", "0.9", "--show"],
    ["--catch", "0.9", "--false-rejects", "1/10"],
    ["--catch", "95"],
    ["--catch", "0"],
    ["--catch", "nan"],
    ["--catch", "most"],
    ["--catch", ""],
    ["--false-rejects", "2"],
    ["--false-rejects", "0.002"],
    ["--false-rejects", "2/0"],
    ["--false-rejects", "3/2"],
    ["--false-rejects", "-1/2"],
    ["--cost", ""],
    ["--cost", "miss=1"],
    ["--cost", "miss=1,reject=0"],
    ["--cost", "miss=1,reject=2,miss=3"],
    ["--cost", "miss=1,reject=2,ugly=3"],
    ["--cost", "miss=inf,reject=2"],
    ["--cost", "miss=1,reject=2,bad=1"],
    ["--cost", "miss=1,reject=2,"],
]


@pytest.mark.parametrize("words", WRONG, ids=" ".join)
def test_a_wrong_command_line_is_an_error_before_the_bundle_is_opened(
    words: list[str], tmp_path: Path
) -> None:
    text = operate(tmp_path / "none", *words, code=2)
    assert text.startswith("error: ")
    assert "--" in text.splitlines()[-1]


def test_a_missing_bundle_is_an_error(tmp_path: Path) -> None:
    assert "there is no such bundle" in operate(tmp_path / "none", "--catch", "0.9", code=1)


@pytest.mark.parametrize("name", ["calibration.safetensors", "calibration.json", "operating.json"])
def test_a_bundle_that_was_tampered_with_is_refused(name: str, folder: Path) -> None:
    place = folder / name
    data = place.read_bytes()
    place.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    before = (folder / "manifest.json").read_bytes()
    for words in (["--show"], ["--catch", "0.5"]):
        assert f"'{name}' has changed" in operate(folder, *words, code=1)
    assert (folder / "manifest.json").read_bytes() == before


def test_a_file_that_operate_does_not_read_is_still_refused_afterwards(folder: Path) -> None:
    place = folder / "detectors/a.safetensors"
    place.write_bytes(place.read_bytes()[:-1] + b"?")
    operate(folder, "--catch", "0.5")
    result = segad("bundle", "show", folder)
    assert result.exit_code == 1
    assert "'detectors/a.safetensors' has changed" in said(result)


def test_files_that_stay_the_same_are_neither_read_nor_copied(folder: Path) -> None:
    program = (
        "import sys\n"
        "sys.addaudithook(lambda event, args: event == 'open' and print('open', args[0], file=sys.stderr))\n"
        "from segad_core.cli import main\n"
        "main(sys.argv[1:])\n"
    )
    detector = folder / "detectors/a.safetensors"
    before = detector.stat()
    words = [sys.executable, "-c", program, "operate", str(folder), "--catch", "0.9"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    opened = [line.removeprefix("open ") for line in done.stderr.splitlines() if line.startswith("open ")]
    assert any(name.endswith("calibration.safetensors") for name in opened)
    assert not [name for name in opened if "detectors/a" in name]
    after = detector.stat()
    assert (after.st_ino, after.st_mtime_ns, after.st_nlink) == (before.st_ino, before.st_mtime_ns, 1)
    assert stored(folder)["rule"] == {"kind": "catch", "catch": 0.9}


def test_a_rule_about_good_parts_where_no_good_image_is_left(tmp_path: Path) -> None:
    place = bundle(tmp_path / "x", table([], BADS))
    assert "none of the calibration images is good" in operate(place, "--false-rejects", "1/9", code=1)
    assert stored(place)["rule"] == {"kind": "catch", "catch": 0.95}


def test_it_is_found_by_other_names(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = folder.with_name("link")
    link.symlink_to(folder)
    operate(link, "--catch", "0.9")
    assert link.is_symlink()
    assert stored(folder)["rule"] == {"kind": "catch", "catch": 0.9}
    monkeypatch.chdir(folder)
    operate(Path(), "--catch", "0.8")
    assert stored(folder)["rule"] == {"kind": "catch", "catch": 0.8}


def test_it_imports_no_plugin_and_nothing_heavy(folder: Path) -> None:
    program = (
        "import sys; from segad_core.cli import main\ntry: main(sys.argv[1:])\nexcept SystemExit: pass\n"
    )
    program += "print(*sys.modules)"
    words = [sys.executable, "-c", program, "operate", str(folder), "--catch", "0.9"]
    done = subprocess.run(words, capture_output=True, text=True, check=True, env={**os.environ})
    modules = done.stdout.splitlines()[-1].split()
    assert "segad_core.operate.operating_point" in modules
    heavy = {"torch", "torchvision", "timm", "xgboost", "numba", "sklearn", "segad_plugins"}
    assert not heavy & {module.partition(".")[0] for module in modules}


@pytest.mark.slow
def test_the_verdicts_of_a_bundle_follow_its_threshold(tmp_path: Path) -> None:
    from segad_core.bundle.runtime.bundle import Bundle

    recipe, place = workshop(tmp_path, good=16, bad=8), tmp_path / "a.segad"
    words = (
        "--category",
        "a",
        "--row",
        "SegAD",
        "-o",
        place,
        "--store",
        tmp_path / "store",
        "--device",
        "cpu",
    )
    assert segad("fit", recipe, *words).exit_code == 0
    images = sorted((tmp_path / "data").rglob("*.png"))
    for words in (["--catch", "0.9"], ["--false-rejects", "0/1"], ["--cost", "miss=1,reject=9"]):
        found = data(place, *words)["point"]
        trained = Bundle.load(place, device="cpu")
        assert trained.operating_point.threshold == found["threshold"]
        table = trained.calibration()
        ng = table.scores >= found["threshold"]
        assert ng[table.labels() == 1].sum() == found["caught"]["count"]
        for prediction in trained.predict(images):
            assert prediction.score is not None
            assert (prediction.verdict == "NG") == (prediction.score >= found["threshold"])
        trained.close()
