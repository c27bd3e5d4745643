"""`predict --resume` of parts: one row each, on the images that there are now; no NG is lifted in silence."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import pytest
from pyarrow import parquet

from segad_core.bundle.runtime.part_judge import PartJudge
from segad_core.bundle.runtime.part_names import PartNames
from segad_core.bundle.runtime.prediction import Inspection, Prediction
from segad_core.cli.passes import passes
from segad_core.errors import UsageError
from segad_core.operate.parts import PartRule
from segad_core.tools.results import Results, open_results, place_of

THRESHOLD = 5.0
FORMS = ["csv", "jsonl", "parquet"]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rule(missing: Literal["unknown", "allow"] = "allow", views: str = "AB") -> PartRule:
    pattern = r"(?P<serial>S\d+)_(?P<view>[A-Z])" if views else r"(?P<serial>S\d+)"
    return PartRule(pattern=pattern, views=list(views), verdict="worst", missing=missing)


def files(**scores: float) -> list[str]:
    """Images whose text is their score."""
    for name, score in scores.items():
        Path(name).write_text(str(score))
    return list(scores)


def seen(image: str) -> Inspection:
    """What a bundle would find: the score that the file says; without one, the image is torn."""
    try:
        score = float(Path(image).read_text())
    except (OSError, ValueError):
        return Inspection(Prediction(image, "UNKNOWN", None, "torn"))
    ng = score >= THRESHOLD
    return Inspection(Prediction(image, "NG" if ng else "OK", score, "hot" * ng))


def opened(out: str, mode: Literal["new", "resume"] = "resume") -> Results:
    return open_results(Path(out), "0" * 64, False, mode, parts=True)


def too_late(found: Inspection, _: str) -> None:
    raise AssertionError(found.prediction.image)


def predict(
    images: Sequence[str], out: str = "x.csv", given: PartRule | None = None, piped: bool = False
) -> Results:
    """As the command does it, with `--resume` if there is a file."""
    given = given or rule()
    with opened(out, "resume" if Path(out).exists() else "new") as results:
        bundle: Any = SimpleNamespace(part_names=PartNames(given))
        for one in passes(bundle, images, piped, results):
            judge = PartJudge(given, THRESHOLD, one.expected, late=too_late, least=one.least)
            for image in one.images:
                results.write([part.prediction for part in judge.take(seen(image))])
            results.write([part.prediction for part in judge.rest()])
    return results


def rows(out: str = "x.csv") -> list[tuple[str, str, float | None, list[str]]]:
    """Serial, verdict, score and images of each row."""
    if out.endswith(".parquet"):
        lines = parquet.read_table(out).to_pylist()
    elif out.endswith(".jsonl"):
        lines = [json.loads(line) for line in Path(out).read_text().splitlines()]
    else:
        lines = list(csv.DictReader(Path(out).read_text().splitlines()))
    return [
        (
            line["image"],
            line["verdict"],
            None if line["score"] in ("", None) else float(line["score"]),
            line["images"] if isinstance(line["images"], list) else line["images"].split("; "),
        )
        for line in lines
    ]


@pytest.mark.parametrize("piped", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_more_images_of_a_part_are_judged_with_those_before(
    home: Path, form: str, piped: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    out = f"x.{form}"
    predict(files(S1_A=1.0, S2_A=2.0), out, piped=piped)
    assert rows(out) == [("S1", "OK", 1.0, ["S1_A"]), ("S2", "OK", 2.0, ["S2_A"])]
    found = predict(["S1_A", "S2_A", *files(S1_B=9.0)], out, piped=piped)
    (first, second) = rows(out)
    assert first[:3] == ("S1", "NG", 9.0) and sorted(first[3]) == ["S1_A", "S1_B"]
    assert second == ("S2", "OK", 2.0, ["S2_A"])
    assert {k: v for k, v in found.verdicts.items() if v} == {"NG": 1, "OK": 1}
    assert "1 part with a verdict had images" in capsys.readouterr().err
    before = Path(out).read_bytes()
    assert predict(["S1_A", "S2_A", "S1_B"], out, piped=piped).verdicts.total() == 2
    assert Path(out).read_bytes() == before and not capsys.readouterr().err
    if not piped:
        predict(["S1_A", "S2_A", "S1_B"], f"fresh.{form}")
        assert sorted(rows(f"fresh.{form}")) == sorted(rows(out))


@pytest.mark.parametrize("piped", [False, True])
def test_images_from_before_count_although_only_the_new_one_is_named(home: Path, piped: bool) -> None:
    predict(files(S1_A=9.0, S2_A=1.0), piped=piped, given=rule("unknown"))
    assert [row[:3] for row in rows()] == [("S1", "NG", 9.0), ("S2", "UNKNOWN", None)]
    predict(files(S1_B=1.0, S2_B=2.0), piped=piped, given=rule("unknown"))
    assert rows() == [("S1", "NG", 9.0, ["S1_B", "S1_A"]), ("S2", "OK", 2.0, ["S2_B", "S2_A"])]


def test_a_complete_part_is_known_no_more(home: Path) -> None:
    images = files(S1_A=1.0)
    predict(images, given=rule("unknown"))
    assert rows() == [("S1", "UNKNOWN", None, ["S1_A"])]
    found = predict([*images, *files(S1_B=2.0)], given=rule("unknown"))
    assert rows() == [("S1", "OK", 2.0, ["S1_A", "S1_B"])] and not found.unscored
    fresh = predict(["S1_A", "S1_B"], "fresh.csv", rule("unknown"))
    assert Path("fresh.csv").read_bytes() == Path("x.csv").read_bytes()
    assert fresh.verdicts == found.verdicts


def test_an_image_that_cannot_be_read_takes_an_ok_back(home: Path) -> None:
    predict(files(S1_A=1.0))
    Path("S1_B").write_text("half")
    found = predict(["S1_A", "S1_B"])
    assert rows() == [("S1", "UNKNOWN", None, ["S1_A", "S1_B"])]
    assert [name for name, _ in found.unscored] == ["S1"] and found.verdicts.total() == 1
    files(S1_B=3.0)
    assert predict(["S1_A", "S1_B"]).verdicts["OK"] == 1
    assert rows() == [("S1", "OK", 3.0, ["S1_A", "S1_B"])]


def test_parts_that_are_not_named_are_counted_and_keep_their_rows(home: Path) -> None:
    Path("S2_A").write_text("torn")
    predict([*files(S1_A=1.0, S3_A=2.0), "S2_A"])
    before = Path("x.csv").read_bytes()
    found = predict(["S3_A"])
    assert (found.verdicts["OK"], found.verdicts["UNKNOWN"]) == (2, 1)
    assert [name for name, _ in found.unscored] == ["S2"]
    assert Path("x.csv").read_bytes() == before


@pytest.mark.parametrize("piped", [False, True])
def test_an_image_that_is_gone_changes_no_verdict(
    home: Path, piped: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    predict(files(S1_A=9.0, S1_B=1.0, S2_A=1.0, S2_B=2.0), piped=piped)
    before = Path("x.csv").read_bytes()
    Path("S1_A").unlink()
    Path("S2_B").unlink()
    predict(["S1_B", "S2_A"], piped=piped)
    assert Path("x.csv").read_bytes() == before
    said = capsys.readouterr().err
    assert "2 parts lacked images" in said and "S1, S2" in said and "--force" in said


@pytest.mark.parametrize("piped", [False, True])
def test_an_ng_whose_image_is_gone_is_not_lifted_by_another(
    home: Path, piped: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    predict(files(S1_A=9.0, S2_A=1.0), piped=piped)
    Path("S1_A").unlink()
    Path("S2_A").unlink()
    predict(files(S1_B=1.0, S2_B=2.0), piped=piped)
    assert rows() == [("S1", "NG", 9.0, ["S1_A"]), ("S2", "OK", 2.0, ["S2_B"])]
    said = capsys.readouterr().err
    assert "1 part had images that its NG did not rest on" in said and "S1. " in said and "--force" in said


def test_images_that_count_already_are_not_taken_twice_from_a_pipe(home: Path) -> None:
    predict(files(S1_A=1.0), piped=True)
    predict([*files(S1_B=2.0), "S1_A", "./S1_B"], piped=True)
    assert rows() == [("S1", "OK", 2.0, ["S1_B", "S1_A"])]


@pytest.mark.parametrize("piped", [False, True])
def test_the_worst_view_of_all_there_are_decides(home: Path, piped: bool) -> None:
    predict(files(S1_A=9.0), given=rule(views="ABC"), piped=piped)
    predict(["S1_A", *files(S1_B=12.0, S1_C=1.0)], given=rule(views="ABC"), piped=piped)
    ((serial, verdict, score, images),) = rows()
    assert (serial, verdict, score) == ("S1", "NG", 12.0)
    assert sorted(images) == ["S1_A", "S1_B", "S1_C"]


def test_a_second_image_of_a_view_from_a_pipe_waits_for_those_before(home: Path) -> None:
    """Judged once all views have come, the last of the earlier images would be left out."""
    files(S1_A=1.0, S1_A2=2.0, S1_B=9.0)
    predict(["S1_A", "S1_A2", "S1_B"])
    (old,) = rows()
    predict(files(S1_B2=3.0), piped=True)
    assert rows() == [("S1", "NG", 9.0, ["S1_B2", "S1_A", "S1_A2", "S1_B"])] and len(old[3]) == 3


def test_views_without_names(home: Path) -> None:
    predict(files(S1_left=1.0), given=rule(views=""))
    predict(["S1_left", *files(S1_right=6.0)], given=rule(views=""))
    assert rows() == [("S1", "NG", 6.0, ["S1_left", "S1_right"])]


def test_another_way_to_name_the_same_image_is_no_new_image(home: Path) -> None:
    predict(files(S1_A=1.0))
    before = Path("x.csv").read_bytes()
    predict([str(home / "S1_A"), "./S1_A"])
    assert Path("x.csv").read_bytes() == before
    assert place_of(str(home / "S1_A")) == place_of("S1_A")


def test_a_replaced_image_is_a_new_one(home: Path) -> None:
    """As many images as before, but others."""
    predict(files(S1_A=1.0))
    Path("S1_A").unlink()
    predict(files(S1_B=2.0))
    assert rows() == [("S1", "OK", 2.0, ["S1_B"])]


@pytest.mark.parametrize("form", FORMS)
def test_names_with_semicolons_and_escapes_survive(home: Path, form: str) -> None:
    names = ["S1_A; b\\x3b.png", "S1_B;=1+1.png"]
    for name in names:
        Path(name).write_text("1.0")
    out = f"x.{form}"
    predict(names, out)
    with opened(out) as results:
        row = results.judged("S1")
        assert row is not None and [place_of(one) for one in row.images] != list(map(place_of, names))
        assert row.images == ("S1_A; b\\x5cx3b.png", "S1_B;=1+1.png")
    before = Path(out).read_bytes()
    predict(names, out)
    assert Path(out).read_bytes() == before


@pytest.mark.parametrize("form", FORMS)
def test_after_a_crash_the_last_row_of_a_part_stands(home: Path, form: str) -> None:
    out = f"x.{form}"
    predict(files(S1_A=1.0, S2_A=1.0, S3_A=9.0), out)
    files(S1_B=9.0)
    new = [
        Prediction("S1", "NG", 9.0, images=("S1_A", "S1_B")),
        Prediction("S3", "OK", 1.0, images=("S3_B",)),  # an NG that rests on an image that is not among these
    ]
    results = opened(out)
    results.write(new)
    raw = results.journal.read_bytes()
    results.close(complete=False)
    results.journal.write_bytes(raw)  # as if it had not been closed
    found = predict(["S1_A", "S1_B", "S2_A"], out)
    expected = [("S1", "NG", 9.0), ("S2", "OK", 1.0), ("S3", "NG", 9.0)]
    assert [row[:3] for row in rows(out)] == expected
    assert found.verdicts["NG"] == 2 and found.verdicts.total() == 3


@pytest.mark.parametrize("form", FORMS)
def test_a_file_that_does_not_name_images_is_refused_and_stays(home: Path, form: str) -> None:
    out = Path(f"x.{form}")
    with open_results(out, "0" * 64, False, "new") as results:
        results.write([Prediction("S1", "OK", 1.0)])
    before = out.read_bytes()
    with pytest.raises(UsageError, match="on which images") as error:
        opened(str(out))
    assert str(out) in str(error.value) and "--force" in error.value.remedy
    assert out.read_bytes() == before


@pytest.mark.parametrize("value", [3, ["a", 1], None])
def test_images_that_are_no_names_are_refused(home: Path, value: object) -> None:
    predict(files(S1_A=1.0), "x.jsonl")
    line = json.loads(Path("x.jsonl").read_text())
    Path("x.jsonl").write_text(json.dumps({**line, "images": value}) + "\n")
    with pytest.raises(UsageError, match="images"):
        opened("x.jsonl")


@pytest.mark.parametrize("name", ["S1_" + 5000 * "x", "S1_\x00", "S1_\ud800", "", "S1_pipe", "S2_A"])
def test_hostile_names_of_images_are_of_images_that_are_gone(home: Path, name: str) -> None:
    """Nor is an image of another part read, or anything that is no file."""
    predict(files(S1_A=1.0, S2_A=2.0), "x.jsonl")
    os.mkfifo("S1_pipe")
    first, second = map(json.loads, Path("x.jsonl").read_text().splitlines())
    lines = [{**first, "images": ["S1_A", name]}, second]
    Path("x.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
    predict([*files(S1_B=3.0)], "x.jsonl")
    assert rows("x.jsonl")[0] == ("S1", "OK", 3.0, ["S1_B", "S1_A"])
