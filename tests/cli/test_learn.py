"""`segad learn` as it is typed: what it says, its exit codes, its JSON."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from builders import said, segad
from click.testing import Result
from trained_bundles import bad, bundle_of, good

from segad_core.bundle.runtime.bundle import Bundle


def learn(*words: str | Path, row: str = "SegAD") -> Result:
    return segad("learn", bundle_of(row), *words, "--device", "cpu")


def taught(bundle: Path) -> int:
    with Bundle.load(bundle, "cpu") as opened:
        return opened.manifest.provenance.learnt


def test_options_take_all_words_up_to_the_next_option(tmp_path: Path) -> None:
    """As a shell hands over what a pattern matches."""
    new = tmp_path / "new"
    result = learn("--bad", bad(0), bad(1), "--good", good(0), good(1), good(2), "-o", new)
    assert result.exit_code == 0, said(result)
    assert taught(new) == 5
    lines = said(result).splitlines()
    assert lines[0].startswith(f"{new}: NG at or above ") and "(catch 0.95); before: " in lines[0]
    assert [line.split()[0] for line in lines[2:7]] == ["bad", "bad", "good", "good", "good"]
    assert all(str(path) in line for path, line in zip((bad(0), bad(1), good(0)), lines[2:5], strict=False))
    for words in ("bad parts now caught: ", "good parts now passed: ", "bad parts now missed: "):
        assert any(line.startswith(f"  {words}") for line in lines)
    assert any(line.startswith("  catches ") for line in lines)


def test_folders_and_patterns(tmp_path: Path) -> None:
    (tmp_path / "missed").mkdir()
    for i in range(2):
        shutil.copy(bad(i), tmp_path / "missed" / f"{i}.png")
    (tmp_path / "missed" / "notes.txt").touch()
    pattern = f"{good().parent}/00[0-2].png"
    result = learn("--bad", tmp_path / "missed", "-o", tmp_path / "new.zip", f"--good={pattern}")
    assert result.exit_code == 0, said(result)
    assert taught(tmp_path / "new.zip") == 5
    assert "note: 1 other file is left out" in said(result)


def test_json_says_the_same(tmp_path: Path) -> None:
    result = learn("--bad", bad(0), "-o", tmp_path / "new", "--json")
    found = json.loads(result.stdout)
    assert found["bundle"] == str(tmp_path / "new")
    (change,) = found["taught"]
    assert (change["image"], change["label"]) == (str(bad(0)), 1) and change["before"] != change["after"]
    with Bundle.load(tmp_path / "new", "cpu") as new:
        assert new.predict([bad(0)])[0].score == change["after"]
        assert found["after"]["threshold"] == new.operating_point.threshold
    assert found["regression"]["images"] == 16


def test_what_is_not_learnt_yet_is_told(tmp_path: Path) -> None:
    """Good parts taught as bad, one time each, stay what they look like."""
    words = said(learn("--bad", good(0), good(1), "-o", tmp_path / "new"))
    assert "2 of 2 are still wrong" in words and "--times" in words


@pytest.mark.parametrize(
    ("words", "exit_code", "expected"),
    [
        (["-o", "{new}"], 2, "there is nothing to learn"),
        (["--bad", "-o", "{new}"], 2, "Option '--bad' requires an argument"),
        (["--bad", "-o", "{new}", "--good", "{bad}"], 2, "Option '--bad' requires an argument"),
        (["-o", "{new}", "--good", "{bad}", "--bad"], 2, "Option '--bad' requires an argument"),
        (["--bad", "{bad}"], 2, "Missing option '-o'"),
        (["--bad", "{bad}", "-o", "{bundle}/new"], 2, "is inside the bundle"),
        (["--bad", "-", "-o", "{new}"], 2, "cannot be piped"),
        (["--bad", "{bad}", "-o", "{new}", "--times", "0"], 2, "between 1 and 1000"),
        (["--bad", "{bad}", "--good", "{bad}", "-o", "{new}"], 2, "as good and as bad"),
        (["--bad", "{new}/gone.png", "-o", "{new}"], 1, "gone.png: there is no such file"),
        (["--bad", "{new}/*.png", "-o", "{new}"], 2, "matches nothing"),
    ],
)
def test_mistakes_are_told(tmp_path: Path, words: list[str], exit_code: int, expected: str) -> None:
    places = {"new": tmp_path / "new", "bad": bad(0), "bundle": bundle_of("SegAD")}
    result = learn(*(word.format(**places) for word in words))
    assert expected in said(result)
    assert result.exit_code == exit_code
    assert not (tmp_path / "new").exists()
