"""Images without a score that are tried again: their lines are replaced, counted once, and never lost."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from segad_core.bundle.runtime.prediction import Prediction
from segad_core.errors import StoreError
from segad_core.tools.results import Results, open_results, summary
from segad_core.tools.results import file as results_file
from segad_core.tools.results.lines import Line
from segad_core.tools.results.mending import mended

FORMS = ("csv", "jsonl", "parquet")
TORN = Prediction("b.png", "UNKNOWN", None, "is torn")
MENDED = Prediction("b.png", "NG", 2.5, "spot")
NEW = Prediction("d.png", "OK", 0.0)
OTHERS = [Prediction("a.png", "OK", 0.5), Prediction("c.png", "OK", -1.0)]


def opened(path: Path, mode: Literal["new", "resume"] = "resume") -> Results:
    return open_results(path, "0" * 64, False, mode)


def written(path: Path, predictions: list[Prediction]) -> bytes:
    with opened(path, "new") as results:
        results.write(predictions)
    return path.read_bytes()


def resumed(path: Path, now: dict[str, Prediction], names: list[str]) -> Results:
    with opened(path) as results:
        results.write([now[name] for name in results.left(names)])
        results.write([now[name] for name in results.again()])
    return results


def line(image: str, score: float | None, reason: str = "") -> Line:
    return {"image": image, "score": score, "reason": reason}


def test_a_scored_line_takes_the_place_of_the_earliest_without_a_score() -> None:
    lines = [line("a", None), line("b", 1.0), line("a", None, "x"), line("a", 2.0), line("b", None)]
    assert list(mended(lambda: lines, {})) == [lines[3], lines[1], lines[2], lines[4]]


def test_lines_in_order_stay() -> None:
    lines = [line("a", 1.0), line("a", None), line("b", None)]
    assert list(mended(lambda: lines, {})) == lines


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("at_once", [False, True])
def test_what_has_passed_is_scored_and_its_line_replaced(tmp_path: Path, form: str, at_once: bool) -> None:
    path, a, c = tmp_path / f"x.{form}", *OTHERS
    written(path, [a, TORN, c])
    with opened(path) as results:
        first = list(results.left(["a.png", "b.png", "c.png", "d.png"], at_once))
        assert first == (["b.png", "d.png"] if at_once else ["d.png"])
        results.write(
            [MENDED, Prediction("d.png", "OK", 0.0)] if at_once else [Prediction("d.png", "OK", 0.0)]
        )
        assert list(results.again()) == ([] if at_once else ["b.png"])
        results.write([] if at_once else [MENDED])
    assert summary(results.verdicts) == "4 images: 3 OK, 1 NG, 0 UNKNOWN"
    assert results.unscored == []
    expected = written(tmp_path / f"whole.{form}", [a, MENDED, c, NEW])
    assert path.read_bytes() == expected
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"whole.{form}", f"x.{form}"]


@pytest.mark.parametrize("form", FORMS)
def test_what_fails_again_keeps_one_line_with_the_new_reason(tmp_path: Path, form: str) -> None:
    path, (a, c) = tmp_path / f"x.{form}", OTHERS
    before = written(path, [a, TORN, c])
    results = resumed(path, {"b.png": TORN}, ["a.png", "b.png", "c.png"])
    assert path.read_bytes() == before
    gone = Prediction("b.png", "UNKNOWN", None, "is gone")
    results = resumed(path, {"b.png": gone}, ["a.png", "b.png", "c.png"])
    assert path.read_bytes() == written(tmp_path / f"whole.{form}", [a, gone, c])
    assert results.unscored == [("b.png", "is gone")]
    assert summary(results.verdicts) == "3 images: 2 OK, 0 NG, 1 UNKNOWN"


def test_what_is_not_named_any_more_keeps_its_line_and_counts(tmp_path: Path) -> None:
    path, (a, c) = tmp_path / "x.csv", OTHERS
    before = written(path, [a, TORN])
    results = resumed(path, {"c.png": c}, ["a.png", "c.png"])
    assert path.read_bytes().startswith(before)
    assert summary(results.verdicts) == "3 images: 2 OK, 0 NG, 1 UNKNOWN"
    assert results.unscored == [("b.png", "is torn")]


def test_a_doubtful_image_has_a_score_and_is_not_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    written(path, [Prediction("a.png", "UNKNOWN", 0.5, "doubtful segmentation: askew")])
    with opened(path) as results:
        assert list(results.left(["a.png"])) == list(results.again()) == []


def outcome(name: str, bits: int) -> Prediction:
    if bits == 0:
        return Prediction(name, "UNKNOWN", None, "is torn")
    return Prediction(name, "OK" if bits == 1 else "NG", float(bits))


@pytest.mark.parametrize("form", ["csv", "jsonl"])
@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 2), st.integers(0, 2))), st.data())
def test_killed_at_any_byte_it_ends_as_if_nothing_had_failed(
    tmp_path_factory: pytest.TempPathFactory, form: str, lot: list[tuple[str, int, int]], data: st.DataObject
) -> None:
    """However often an image is named: what can be scored in the end is scored; a line each."""
    names = [name for name, _, _ in lot]
    now = {name: outcome(name, later) for name, _, later in lot}
    home = tmp_path_factory.mktemp("lot")
    path = home / f"x.{form}"
    written(path, [outcome(name, first) for name, first, _ in lot])
    with opened(path) as results:  # killed: the file is not closed in order
        results.write([now[name] for name in results.left(names)])
        results.write([now[name] for name in results.again()])
        raw = path.read_bytes()
    path.write_bytes(raw[: data.draw(st.integers(0, len(raw)))])
    results = resumed(path, now, names)
    assert sum(results.verdicts.values()) == len(names)
    failed = {name for name, found in now.items() if found.score is None}
    assert {name for name, _ in results.unscored} <= failed
    assert path.read_bytes().count(b"\n") == len(names) + (form == "csv")
    again = path.read_bytes()
    resumed(path, now, names)
    assert path.read_bytes() == again


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_failure_of_the_rewriting_loses_nothing(
    tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, (a, c) = tmp_path / f"x.{form}", OTHERS
    written(path, [a, TORN, c])

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched, pytest.raises(StoreError, match="No space left"):
        patched.setattr(results_file, "rewrite", full)
        resumed(path, {"b.png": MENDED}, ["a.png", "b.png", "c.png"])
    results = resumed(path, {}, ["a.png", "b.png", "c.png"])  # nothing is left to be scored
    assert summary(results.verdicts) == "3 images: 2 OK, 1 NG, 0 UNKNOWN"
    assert path.read_bytes() == written(tmp_path / f"whole.{form}", [a, MENDED, c])


def test_the_file_keeps_its_permissions(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    written(path, [TORN])
    path.chmod(0o640)
    resumed(path, {"b.png": MENDED}, ["b.png"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert b"NG" in path.read_bytes()


def test_a_file_that_somebody_put_in_its_place_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    written(path, [TORN])
    with opened(path) as results:
        other = tmp_path / "other"
        other.write_text("mine")
        other.replace(path)
        results.write([MENDED])
    assert path.read_text() == "mine"


def test_an_interrupted_parquet_has_both_and_goes_on(tmp_path: Path) -> None:
    path, (a, c) = tmp_path / "x.parquet", OTHERS
    with pytest.raises(KeyboardInterrupt), opened(path, "new") as results:
        results.write([a, TORN])
        raise KeyboardInterrupt
    names = ["a.png", "b.png", "c.png"]
    with pytest.raises(KeyboardInterrupt), opened(path) as results:
        assert list(results.left(names)) == ["c.png"] and list(results.again()) == ["b.png"]
        results.write([MENDED])
        raise KeyboardInterrupt
    assert [row["verdict"] for row in parquet.read_table(path).to_pylist()] == ["OK", "NG"]
    journal = (tmp_path / "x.parquet.journal").read_text().splitlines()
    assert [json.loads(entry)["score"] for entry in journal] == [0.5, None, 2.5]
    resumed(path, {"c.png": c}, names)
    assert path.read_bytes() == written(tmp_path / "whole.parquet", [a, MENDED, c])
