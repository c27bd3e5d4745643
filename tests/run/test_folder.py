"""Run folders: one for each set of results, the newest linked, finished ones never lost."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fakes
import numpy as np
import pytest
from builders import data_set, run_command, said
from numpy.typing import NDArray
from small_runs import workplace, write

from segad_core.base.csv_text import csv_text
from segad_core.contracts import ImageBatch, Sample
from segad_core.errors import StoreError
from segad_core.run import engine, folder, ledger
from segad_core.run.cells import RowTask
from segad_core.run.scored import ScoredImage, SegmentedImage
from segad_core.split.draw import Fold

ROWS: list[dict[str, Any]] = [
    {"name": "spotty", "score": "spotty"},
    {"name": "SegAD", "detectors": ["spotty"]},
]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return workplace(tmp_path, monkeypatch)


@pytest.fixture
def recipe(home: Path) -> Path:
    return write(home, rows=ROWS)


def run(recipe: Path, *words: str | Path, **places: Path) -> Path:
    """Runs a recipe to its end; returns the folder that it names, which is the newest."""
    result = run_command(recipe, *words, **places)
    assert result.exit_code == 0, said(result)
    named = Path(said(result).rpartition("run folder: ")[2].strip())
    assert (named.parent / "latest").resolve() == named
    assert named.parent.name == recipe.stem
    return named


def content(run_folder: Path) -> dict[str, bytes]:
    """The files of a run, but for its log."""
    files = [path for path in run_folder.iterdir() if path.is_file() and not path.name.startswith(".")]
    return {path.name: path.read_bytes() for path in files if path.name != "run.log"}


def test_set_keeps_the_tables_of_both(recipe: Path) -> None:
    first = run(recipe)
    before = content(first)
    second = run(recipe, "--set", "split.seeds=[7]")
    assert second != first
    assert content(first) == before
    assert content(second)["scores.csv"] != before["scores.csv"]


def test_another_recipe_of_the_same_name_keeps_the_tables_of_both(home: Path, recipe: Path) -> None:
    first = run(recipe)
    before = content(first)
    (home / "other").mkdir()
    data_set(home / "other" / "data", good=24, bad=13)
    other = write(home / "other", rows=ROWS, image={"size": [40, 40]})
    second = run(other, runs=home / "runs")
    assert second.parent == first.parent and second != first
    assert content(first) == before
    assert content(second).keys() == before.keys()


def _retitle(home: Path) -> Path:
    return write(home, rows=ROWS, title="another title")


def _rename(home: Path) -> Path:
    return write(home, rows=[{**ROWS[0], "name": "another name"}, ROWS[1]])


def _relabel(home: Path) -> Path:
    (home / "data/a/good/000.png").rename(home / "data/a/bad/900.png")
    return home / "tiny.yaml"


def _spoil(home: Path) -> Path:
    (home / "data/a/good/900.png").write_bytes(b"")
    return home / "tiny.yaml"


def _code(home: Path) -> Path:
    return home / "tiny.yaml"  # the test changes the digest of the plugins' code


@pytest.mark.parametrize("change", [_retitle, _rename, _relabel, _spoil, _code])
def test_what_decides_the_results_gives_a_folder(
    home: Path, recipe: Path, change: Callable[[Path], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run(recipe)
    before = content(first)
    if change is _code:
        monkeypatch.setattr("segad_core.recipe.choice.code_digest", lambda component, distribution: "another")
    changed = run_command(change(home))
    assert changed.exit_code in (0, 3)
    assert (first.parent / "latest").resolve() != first
    assert content(first) == before


def test_where_things_lie_and_how_they_run_give_none(home: Path, recipe: Path, tmp_path: Path) -> None:
    """Neither the store, nor the place of the images, nor a parameter that decides nothing."""
    first = run(recipe)
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(home / "data", elsewhere / "data")
    moved = write(elsewhere, rows=ROWS)
    second = run(moved, "--set", "executor=serial", runs=tmp_path / "other runs")
    assert second.name == first.name
    assert content(second)["scores.csv"] == content(first)["scores.csv"]


def test_a_finished_run_gives_the_same_bytes(recipe: Path) -> None:
    first = run(recipe)
    before = content(first)
    assert run(recipe) == first
    assert content(first) == before
    assert not list(first.glob("earlier*"))


@pytest.mark.parametrize("moment", ["begin", "row", "write", "finish"])
@pytest.mark.parametrize("error", [StoreError("stopped"), KeyboardInterrupt()])
def test_results_survive_a_run_that_stops(
    recipe: Path, moment: str, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the store was lost, so that everything is computed again."""
    first = run(recipe)
    before = content(first)
    shutil.rmtree(recipe.parent / "store")

    def stop(*arguments: object) -> None:
        raise error

    places = {
        "begin": (engine, "run_tasks"),
        "row": (ledger.Ledger, "_scored_images"),
        "write": (folder.RunFolder, "write_results"),
        "finish": (folder, "results_text"),
    }
    with monkeypatch.context() as patch:
        patch.setattr(*places[moment], stop)
        assert run_command(recipe).exit_code == 1
    assert content(first) == before
    assert (first.parent / "latest").resolve() == first
    assert run(recipe) == first
    assert content(first) == before


def test_an_unfinished_run_is_resumed_in_its_folder(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entered = ledger.Ledger.enter

    def stop_at_the_second(self: ledger.Ledger, task: RowTask) -> None:
        if task.row.name == "SegAD":
            raise KeyboardInterrupt
        entered(self, task)

    with monkeypatch.context() as patch:
        patch.setattr(ledger.Ledger, "enter", stop_at_the_second)
        assert run_command(recipe).exit_code == 1
    (begun,) = [path for path in (recipe.parent / "runs" / "tiny").iterdir() if not path.is_symlink()]
    assert "table.md" not in content(begun)
    assert {line.split(b",")[3] for line in content(begun)["scores.csv"].splitlines()} == {b"row", b"spotty"}
    assert run(recipe) == begun
    assert "table.md" in content(begun)
    log = (begun / "run.log").read_text()
    assert "the run stopped" in log and "AUROC" in log


def test_results_that_differ_are_kept_beside_the_new_ones(
    recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on another device, or with another version of a library."""
    first = run(recipe)
    before = content(first)
    maps = fakes.Spotty.anomaly_maps

    def other(self: fakes.Spotty, batch: ImageBatch) -> NDArray[np.float32]:
        return maps(self, batch) + np.float32(1e-3)

    monkeypatch.setattr(fakes.Spotty, "anomaly_maps", other)
    shutil.rmtree(recipe.parent / "store")
    result = run_command(recipe)
    assert result.exit_code == 0
    assert f"kept in {first / 'earlier-1'}" in said(result)
    assert content(first / "earlier-1") == before
    assert content(first)["scores.csv"] != before["scores.csv"]
    monkeypatch.setattr(fakes.Spotty, "anomaly_maps", maps)
    shutil.rmtree(recipe.parent / "store")
    assert run_command(recipe).exit_code == 0
    assert content(first) == before
    assert sorted(path.name for path in first.glob("earlier*")) == ["earlier-1", "earlier-2"]


def test_without_symbolic_links_latest_is_a_text_file(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **words: object) -> None:
        raise OSError("not supported")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    for words in ((), ("--set", "split.seeds=[7]")):
        result = run_command(recipe, *words)
        assert result.exit_code == 0
        named = Path(said(result).rpartition("run folder: ")[2].strip())
        assert (named.parent / "latest").read_text() == f"{named.name}\n"


def test_runs_of_one_recipe_that_fail_early_leave_latest_alone(recipe: Path, home: Path) -> None:
    first = run(recipe)
    for path in (home / "data/a/bad").iterdir():
        path.write_bytes(b"")
    assert run_command(recipe).exit_code == 1
    assert (first.parent / "latest").resolve() == first
    assert {path.name for path in first.parent.iterdir()} == {first.name, "latest"}


def test_a_folder_in_the_place_of_latest_stops_no_run(recipe: Path) -> None:
    """A copy of the runs without symbolic links has a real folder there."""
    latest = recipe.parent / "runs" / recipe.stem / "latest"
    (latest / "kept").mkdir(parents=True)
    result = run_command(recipe)
    assert result.exit_code == 0, said(result)
    assert str(latest) in said(result) and "move it away" in said(result)
    assert (latest / "kept").is_dir()
    assert not list(latest.parent.glob(".latest*"))


def test_a_link_that_cannot_be_put_in_place_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(OSError, match="Input/output"):
        folder._link(tmp_path / "latest", "0123abcd")
    assert not list(tmp_path.iterdir())


def test_names_in_csv_run_as_no_formula() -> None:
    sample = Sample("=1+1.png", Path("x"), None, defect="@SUM(A1)")
    scored = ScoredImage("-a", Fold(3, "+b"), "=row", sample, -1e-7)
    fitted = SegmentedImage("-a", "=s", "+i", -0.1, "@d")
    assert csv_text([scored.cells(), fitted.cells()]) == (
        "'-a,3,'+b,'=row,'=1+1.png,,'@SUM(A1),0,-1e-07\n'-a,'=s,'+i,-0.1000,'@d\n"
    )
