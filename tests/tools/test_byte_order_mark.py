"""CSV files with a byte order mark: Excel takes them for UTF-8, and segad for its own."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from builders import picture, run_command, said, segad, workshop
from PIL import Image

from segad_core.bundle.runtime.prediction import Prediction
from segad_core.errors import UsageError
from segad_core.images.find import piped
from segad_core.tools.results import open_results
from segad_core.tools.results.file import Mode

MARK = b"\xef\xbb\xbf"
PREDICTIONS = [
    Prediction("größe.png", "OK", 0.5),
    Prediction("b.png", "NG", 1.5, "ä"),
    Prediction("c.png", "OK", 0.25),
]


def write(path: Path, predictions: list[Prediction], mode: Mode = "new", bom: bool = True) -> list[str]:
    """Writes those of the predictions whose image has no line, and returns their images."""
    with open_results(path, "0" * 64, False, mode, bom=bom) as results:
        left = list(results.left([one.image for one in predictions]))
        results.write([one for one in predictions if one.image in left])
    return left


def test_a_file_begins_with_one_mark(tmp_path: Path) -> None:
    write(tmp_path / "a.csv", PREDICTIONS)
    write(tmp_path / "b.csv", PREDICTIONS, bom=False)
    data = (tmp_path / "a.csv").read_bytes()
    assert data == MARK + (tmp_path / "b.csv").read_bytes()
    assert data.count(MARK) == 1
    assert next(csv.DictReader(io.StringIO(data.decode("utf-8-sig"))))["image"] == "größe.png"


@pytest.mark.parametrize("bom", [True, False])
def test_a_file_goes_on_as_it_began(tmp_path: Path, bom: bool) -> None:
    """Whatever the second command says: a mark is only at the beginning of a file."""
    write(tmp_path / "whole.csv", PREDICTIONS, bom=bom)
    for again in (True, False):
        path = tmp_path / f"{again}.csv"
        write(path, PREDICTIONS[:1], bom=bom)
        assert write(path, PREDICTIONS, "resume", again) == ["b.png", "c.png"]
        assert path.read_bytes() == (tmp_path / "whole.csv").read_bytes()


@pytest.mark.parametrize("kept", range(12))
def test_a_file_that_was_cut_in_its_first_line(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "a.csv"
    write(path, PREDICTIONS)
    whole = path.read_bytes()
    path.write_bytes(whole[:kept])
    if 0 < kept < len(MARK):  # too short to tell what it began with
        write(path, PREDICTIONS, "resume")
    else:
        write(path, PREDICTIONS, "resume", bom=kept == 0)
    assert path.read_bytes() == whole


def test_images_without_a_score_are_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    write(path, [PREDICTIONS[0], Prediction("b.png", "UNKNOWN", None, "torn"), PREDICTIONS[2]])
    with open_results(path, "0" * 64, False, "resume") as results:
        assert list(results.left([one.image for one in PREDICTIONS])) == []
        assert list(results.again()) == ["b.png"]
        results.write([PREDICTIONS[1]])
    write(tmp_path / "whole.csv", PREDICTIONS)
    assert path.read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_another_file_with_a_mark_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(MARK + b"image;verdict\r\n")
    with pytest.raises(UsageError, match=r"a\.csv"):
        write(tmp_path / "a.csv", PREDICTIONS, "resume")
    assert (tmp_path / "a.csv").read_bytes() == MARK + b"image;verdict\r\n"


def test_a_mark_needs_a_csv_file(tmp_path: Path) -> None:
    for words in (["-o", tmp_path / "a.jsonl"], []):
        result = segad("predict", tmp_path / "b.segad", tmp_path, "--bom", *words)
        assert result.exit_code == 2
        assert "--bom" in said(result)


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_a_list_of_images_may_begin_with_a_mark(size: int) -> None:
    """As Windows writes text, a few bytes at a time or all at once."""

    class Slow(io.BytesIO):
        def read1(self, _: int | None = -1, /) -> bytes:
            return self.read(size)

    assert list(piped(Slow(MARK + "größe.png\r\n\r\nb.png".encode()), b"\n")) == ["größe.png", "b.png"]
    assert list(piped(Slow(b"a.png\n" + MARK + b".png\n"), b"\n")) == ["a.png", "\ufeff.png"]


def test_a_run_writes_its_tables_with_a_mark(tmp_path: Path) -> None:
    """A second run with and without it has no other results."""
    recipe = workshop(tmp_path)
    Image.fromarray(picture(77)).save(tmp_path / "data/a/good/größe.png")
    (tmp_path / "data/a/good/torn.png").write_bytes(b"torn")
    for words, marked in (([], False), (["--bom"], True), ([], False)):
        result = run_command(recipe, *words)
        assert "differ" not in said(result)
        folder = tmp_path / "runs/tiny/latest"
        found = {path.name: path.read_bytes().startswith(MARK) for path in folder.glob("*.csv")}
        assert found == dict.fromkeys(("results.csv", "scores.csv", "unreadable.csv"), marked)
        assert not list(folder.glob("earlier*"))
        assert not (folder / "table.md").read_bytes().startswith(MARK)
