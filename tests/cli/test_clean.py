"""What killed commands left is listed and removed; what is in use, or somebody else's, stays."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from builders import said, segad

from segad_core.base.leftovers import scratch_folder, temporary_file, temporary_folder
from segad_core.base.locks import held

TOKEN = "0123456789abcdef"
LEFT = (
    "tmp/segad-scratch-abc_1234/model",
    f"store/objects/ab/.ab12.{TOKEN}.segad-part/values.npy",
    f"store/checkpoints/ab12/.x.safetensors.{TOKEN}.segad-part",
    f"runs/tiny/.latest.{TOKEN}.segad-part/0badcafe",
    f"runs/tiny/0badcafe/.scores.csv.{TOKEN}.segad-part",
    "out/deep/.x.csv.segad-lock",
    f"out/deep/.bundle.{TOKEN}.segad-part/golden/0.png",
)
OTHERS = ("tmp/other/.x.part", "tmp/segad-bundle", "out/.x.12345.part", "out/x.segad-lock", "elsewhere/x")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    for name in (*LEFT, *OTHERS, f"elsewhere/.x.{TOKEN}.segad-part", f"tmp/other/.x.{TOKEN}.segad-part"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x" * 2000)
    (tmp_path / "out" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "out" / f".x.{TOKEN}.segad-part").symlink_to(tmp_path / "elsewhere")
    return tmp_path


def files(home: Path) -> set[str]:
    return {path.relative_to(home).as_posix() for path in home.rglob("*") if not path.is_dir()}


def test_leftovers_are_listed_and_removed(home: Path) -> None:
    before = files(home)
    text = said(segad("clean", "out", "--dry-run"))
    assert text.count("would remove ") == len(LEFT) and text.endswith("7 leftovers, 14 KiB\n")
    assert files(home) == before
    result = segad("clean", "out")
    assert result.exit_code == 0 and said(result) == text.replace("would remove", "removed")
    assert files(home) == before - set(LEFT)
    assert not (home / "tmp/segad-scratch-abc_1234").exists()
    assert said(segad("clean", "out")) == "0 leftovers, 0 B\n"


def test_what_living_commands_use_stays(home: Path) -> None:
    segad("clean", "out")
    before = files(home)
    with (
        scratch_folder() as scratch,
        temporary_folder(home / "out" / "bundle") as part,
        temporary_file(home / "runs" / "x.csv") as (file, _),
        held(home / "out" / "f.csv", ""),
    ):
        left = part / f".x.{TOKEN}.segad-part"  # its command sweeps this itself
        left.write_text("half")
        for words in (["--dry-run"], []):
            assert said(segad("clean", "out", *words)) == "0 leftovers, 0 B\n"
        assert scratch.exists() and left.exists() and file.exists()
        assert (home / "out" / ".f.csv.segad-lock").exists()
    assert files(home) == before


def test_a_folder_that_was_being_replaced_gets_its_name_back(home: Path) -> None:
    left = home / "out" / f".b.{TOKEN}.segad-old"
    left.mkdir()
    (left / "manifest.json").write_text("{}")
    segad("clean", "out")
    assert (home / "out" / "b" / "manifest.json").exists() and not left.exists()


def test_a_folder_that_is_none_is_refused(home: Path) -> None:
    result = segad("clean", "out", "gone")
    assert result.exit_code == 2 and "gone" in said(result)
    assert files(home) >= set(LEFT)


def test_a_folder_that_cannot_be_read_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scandir = os.scandir

    def refused(path: str | Path = ".") -> object:
        if str(path).endswith("deep"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", refused)
        result = segad("clean", "out")
    assert result.exit_code == 1 and "not cleaned: out/deep: Permission denied" in said(result)
    assert files(home) & set(LEFT) == {name for name in LEFT if "deep" in name}
