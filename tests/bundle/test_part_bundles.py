"""Bundles that judge parts: made, read, set, taught, verified, and hostile ones."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import fakes
import pytest
import views
from builders import run_command, said, segad
from small_runs import prepared
from views import fitted, recipe, serial

from segad_core import Bundle, learn, predict_parts, verify
from segad_core.bundle.format.container import MANIFEST, SEAL, seal_of
from segad_core.bundle.runtime.learnt import in_part
from segad_core.bundle.runtime.part_judge import PartInspection, PartJudge
from segad_core.bundle.runtime.part_list import read_part_list
from segad_core.bundle.runtime.prediction import Contribution, Inspection, Prediction
from segad_core.errors import BundleError, RecipeError, UsageError
from segad_core.fit_bundle import part_rule
from segad_core.operate.image_table import Image
from segad_core.operate.parts import PartRule


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    fakes.install(monkeypatch)
    return tmp_path


@pytest.mark.parametrize("row", ["SegAD", "alone"])
def test_a_bundle_gives_the_scores_of_the_run(home: Path, row: str) -> None:
    views.views(home / "data", missing={"SN001_A"})
    path = recipe(home)
    said(run_command(path))
    with (home / "runs/tiny/latest/parts.csv").open(newline="") as file:
        lines = [line for line in csv.DictReader(file) if line["row"] == row]
    with Bundle.load(fitted(path, row), "cpu") as bundle:
        rule = bundle.manifest.pipeline.parts
        assert rule is not None and rule.views == ["A", "B"] and rule.pattern == views.PATTERN
        found = {one.image: one for one in predict_parts(bundle, sorted((home / "data").rglob("*.png")))}
        assert len(found) == 19 and found["SN001"].reason == "view A is missing"
        for line in lines:
            prediction = found[line["part"]]
            assert prediction.score == float(line["score"])
            if prediction.verdict == "NG":
                assert prediction.reason.startswith(f"view {line['view']}: ")
        point = bundle.operating_point
        assert (point.caught.of, point.rejected.of, point.unit) == (3, 4, "part")
        worst = {line["part"]: float(line["score"]) for line in lines}
        good = max(score for name, score in worst.items() if int(name[2:]) < 12)
        bad = sorted(score for name, score in worst.items() if int(name[2:]) >= 12)
        assert point.threshold == (good + bad[0]) / 2
        assert not verify(bundle).problems


def test_predict_writes_a_line_for_each_part_and_resumes(home: Path) -> None:
    views.views(home / "data", missing={"SN001_A", "SN013_B"})
    bundle, out = fitted(recipe(home)), home / "verdicts.csv"
    late = home / "data/a/good/SN005_B.png"
    kept = late.read_bytes()
    late.unlink()
    result = segad("predict", bundle, home / "data", "-o", out, "--device", "cpu")
    assert result.exit_code == 3
    assert "19 parts: 11 OK, 5 NG, 3 UNKNOWN (3 not scored)" in said(result)
    lines = list(csv.DictReader(out.open()))
    assert [line["image"] for line in lines][:3] == ["SN012", "SN013", "SN014"]
    assert {line["image"]: line["reason"] for line in lines if line["verdict"] == "UNKNOWN"} == {
        "SN001": "view A is missing",
        "SN005": "view B is missing",
        "SN013": "view B is missing",
    }
    late.write_bytes(kept)
    again = segad("predict", bundle, home / "data", "-o", out, "--device", "cpu", "--resume")
    assert "19 parts: 12 OK, 5 NG, 2 UNKNOWN (2 not scored)" in said(again)
    fresh = home / "fresh.csv"
    segad("predict", bundle, home / "data", "-o", fresh, "--device", "cpu")
    assert fresh.read_bytes() == out.read_bytes()


def test_images_of_a_part_that_come_too_late_are_told(home: Path) -> None:
    views.views(home / "data")
    bundle, good = fitted(recipe(home)), home / "data/a/good"
    names = [f"{good}/{name}.png" for name in ("SN001_A", "SN001_B", "SN001_A", "SN002_B")]
    words = ("predict", bundle, "-", "-o", home / "x.csv", "--device", "cpu")
    result = segad(*words, piped="\n".join(names))
    assert "2 parts: 1 OK, 0 NG, 1 UNKNOWN" in said(result)
    assert f"{names[0]} came after the verdict on part SN001, which stands: alone, it is OK" in said(result)
    result = segad(*words[:2], "-", "--device", "cpu", piped="\n".join(names[:3]))
    assert "1 part: 1 OK" in said(result) and result.exit_code == 3


def test_a_view_that_is_there_twice_is_noted_once(home: Path) -> None:
    views.views(home / "data")
    good = home / "data/a/good"
    (good / "SN001_A_2.png").write_bytes((good / "SN001_A.png").read_bytes())
    path = recipe(home)
    checked = said(segad("check", path, "--store", home / "store"))
    assert "1 of 19 serials, each judged as one part, is with several images of a view" in checked
    assert "SN001 (A: 2 images)" in checked
    text = said(segad("predict", fitted(path), good, "--device", "cpu"))
    assert (
        text.count("note: 1 part has several images of a view, all of which count: SN001 (A: 2 images)") == 1
    )
    assert "12 parts: 12 OK" in text
    (good / "SN001_A_2.png").unlink()
    assert "several" not in said(segad("predict", home / "SegAD.segad", good, "--device", "cpu"))


def test_good_images_of_bad_parts_are_counted(home: Path) -> None:
    views.views(home / "data", one_bad=True)
    checked = said(segad("check", recipe(home), "--store", home / "store"))
    mixed = "7 of 7 bad parts have good images, too, and count as bad: SN012, SN013, SN014, SN015, SN016"
    assert f"warning: category 'a': {mixed} and 2 more" in checked


@pytest.mark.parametrize("piped", [False, True])
def test_resuming_judges_a_part_again_that_has_more_images(home: Path, piped: bool) -> None:
    views.views(home / "data")
    path = recipe(home, parts={"verdict": "worst", "missing": "allow"})
    bundle, good, out = fitted(path), home / "data/a/good", home / "x.csv"
    names = [f"{good}/SN001_{view}.png" for view in "AB"]
    words = ("-o", out, "--device", "cpu")
    assert "1 part: 1 OK" in said(segad("predict", bundle, names[0], *words))
    if piped:
        result = segad("predict", bundle, "-", *words, "--resume", piped="\n".join(names))
    else:
        result = segad("predict", bundle, *names, *words, "--resume")
    assert "judged again: SN001" in said(result) and "1 part: 1 OK" in said(result)
    (line,) = csv.DictReader(out.open())
    with Bundle.load(bundle, "cpu") as opened:
        (prediction,) = predict_parts(opened, names)
    assert (line["image"], float(line["score"])) == ("SN001", prediction.score)
    assert line["images"].split("; ") == (names[::-1] if piped else names)


def test_pictures_are_drawn_for_each_image(home: Path) -> None:
    views.views(home / "data")
    bundle = fitted(recipe(home))
    images = sorted((home / "data/a/bad").glob("SN01[23]*.png"))
    result = segad("predict", bundle, *images, "--overlays", home / "seen", "--device", "cpu")
    assert "2 parts: 0 OK, 2 NG" in said(result)
    assert len(list((home / "seen").rglob("*.jpg"))) == 4


def test_a_picture_of_a_blameless_view_has_its_own_reasons() -> None:
    """One of three views passes the threshold, then two; where views are judged together, reasons decide."""
    rule = PartRule(views=["A", "B", "C"], verdict="worst", missing="unknown", pattern=views.PATTERN)

    def shown(*scores: float) -> list[tuple[str, str, str, float | None]]:
        judge = PartJudge(rule, 1.0, {"SN001": 3}, keep=True)
        for view, score in zip("ABC", scores, strict=True):
            verdict, reason = ("NG", f"because {view}") if score >= 1 else ("OK", "")
            told = Prediction(f"SN001_{view}.png", verdict, score, reason)  # type: ignore[arg-type]
            parts = list(judge.take(Inspection(told)))
        pictures = [(one.heading, one.prediction) for one in parts[0].pictures()]
        return [(heading, own.verdict, own.reason, own.score) for heading, own in pictures]

    assert shown(0.5, 3.0, 0.2) == [
        ("NG (view B)", "NG", "", 0.5),
        ("", "NG", "view B: because B", 3.0),
        ("NG (view B)", "NG", "", 0.2),
    ]
    assert shown(2.0, 3.0, 0.2)[0] == ("", "NG", "because A", 2.0)
    assert shown(0.1, 0.3, 0.2) == [("", "OK", "", 0.3)] * 3
    reasons = tuple(
        Contribution("s", "a", "max", 1.0, amount, view=v) for v, amount in (("B", 2.0), ("A", -1))
    )
    images = [Inspection(Prediction(f"{view}.png", "OK", None)) for view in "AB"]
    together = PartInspection(Prediction("SN1", "NG", 2.0, "view B, s", reasons), images, ["A", "B"])
    assert [(one.heading, one.prediction.reason) for one in together.pictures()] == [
        ("NG (view B)", ""),
        ("", "view B, s"),
    ]


def test_thresholds_count_parts(home: Path) -> None:
    views.views(home / "data", good=20, bad=12)
    split = {**views.SPLIT, "test": {"good": 8, "bad": 6}}
    bundle = fitted(recipe(home, split=split))
    result = segad("operate", bundle, "--false-rejects", "1/8", "--json")
    point = json.loads(result.stdout)["point"]
    assert (point["rejected"]["count"], point["rejected"]["of"], point["caught"]["of"]) == (1, 8, 6)
    shown = said(segad("operate", bundle, "--show"))
    assert "on 14 test parts" in shown and "image" not in shown.replace("images have", "")
    assert "the worst view counts; UNKNOWN if one is missing, unless another view is NG; " in said(
        segad("bundle", "show", bundle)
    )


def test_a_part_that_is_taught_leaves_the_test_with_all_its_views(home: Path) -> None:
    views.views(home / "data")
    with Bundle.load(fitted(recipe(home)), "cpu") as bundle:
        tested = sorted({image.serial for image in bundle.calibration().images})
        bad = [name for name in tested if int(name[2:]) >= 12]
        one = sorted((home / "data/a/bad").glob(f"{bad[0]}_*.png"))
        result = learn(bundle, home / "new.segad", bad=one[:1])
    (change,) = result.taught
    assert (change.image, change.label, change.partly) == (bad[0], 1, "view A alone")
    assert sorted(change.image for change in result.regression) == [n for n in tested if n != bad[0]]
    assert (result.after.caught.of, result.after.rejected.of, result.after.unit) == (2, 4, "part")
    assert "1 of the test parts was used" in result.notes[-1]
    with Bundle.load(home / "new.segad", "cpu") as taught:
        assert not verify(taught).problems
        assert taught.manifest.pipeline.parts is not None
    excluded = segad("operate", home / "new.segad", "--show")
    assert "1 test part is excluded" in said(excluded)


def test_the_score_of_a_view_is_not_called_that_of_its_part(home: Path) -> None:
    """A part that is taught by one of its views has, by all of them, the figure that predict gives."""
    views.views(home / "data")
    path = fitted(recipe(home))
    one, other = (sorted((home / "data/a/bad").glob(f"SN01{n}_*.png")) for n in (2, 3))
    words = said(segad("learn", path, "--bad", one[0], *other, "-o", home / "new.segad", "--device", "cpu"))
    assert "SN012 (view A alone)\n" in words and "SN013\n" in words
    assert "not all were passed" in words and "segad predict" in words
    with Bundle.load(path, "cpu") as old:
        result = learn(old, home / "all.segad", bad=[*one, *other])
        before = {found.image: found.score for found in predict_parts(old, [*one, *other])}
    with Bundle.load(home / "all.segad", "cpu") as new:
        after = {found.image: found.score for found in predict_parts(new, [*one, *other])}
    assert [change.partly for change in result.taught] == ["", ""]
    assert {change.image: (change.before, change.after) for change in result.taught} == {
        name: (before[name], after[name]) for name in before
    }


def test_how_many_images_a_part_has_is_not_known_where_views_have_no_names() -> None:
    images = [Image(id=f"{n}", digest=f"{n}" * 64, label=1, serial=f"SN{n // 2}") for n in range(3)]
    rule = PartRule(views=[], verdict="worst", missing="allow")
    assert in_part(rule, images) == {"SN0": "2 images of it", "SN1": "1 image of it"}
    assert in_part(rule.model_copy(update={"verdict": "together"}), images) == in_part(None, images) == {}


def test_what_shows_no_part_is_not_taught(home: Path) -> None:
    views.views(home / "data")
    stray = home / "scan.png"
    stray.write_bytes((home / "data/a/good/SN000_A.png").read_bytes())
    with Bundle.load(fitted(recipe(home)), "cpu") as bundle, pytest.raises(UsageError) as caught:
        learn(bundle, home / "new.segad", good=[stray])
    assert "scan.png" in caught.value.what and "names no part" in caught.value.what
    assert not (home / "new.segad").exists()


def test_a_pattern_has_to_find_what_the_data_names(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    views.views(home / "data")
    with pytest.raises(AssertionError) as caught:
        fitted(recipe(home, parts={"pattern": r"(?P<serial>N\d+)_(?P<view>[A-Z])"}))
    assert "38 of 38 paths" in str(caught.value) and "N000 A, not SN000 A" in str(caught.value)
    dataset = {"use": "folder", "params": {"root": "data", "serial": r"(SN\d+)"}}
    warned: list[str] = []
    monkeypatch.setattr(part_rule.log, "warning", warned.append)
    with Bundle.load(fitted(recipe(home, dataset=dataset)), "cpu") as made:
        rule = made.manifest.pipeline.parts
        assert rule is not None and rule.pattern is None
        assert len(warned) == 1 and "--parts FILE" in warned[0]
        (one,) = predict_parts(made, [home / "data/a/good/SN000_A.png"])
        assert one.verdict == "UNKNOWN" and "--parts" in one.reason
        made.close()
    (home / "SegAD.segad").rename(home / "without.segad")
    with Bundle.load(fitted(recipe(home, dataset=dataset, parts={"pattern": views.PATTERN})), "cpu") as made:
        rule = made.manifest.pipeline.parts
        assert rule is not None and rule.views == []


def test_a_list_names_parts_where_paths_do_not(home: Path) -> None:
    """Separated by semicolons, with a byte order mark, relative to its folder; images beside it are told."""
    drawn = views.views(home / "data")
    bundle = fitted(recipe(home, parts={"views": ["A", "B"]}))
    lines = ["path;serial;view"]
    (home / "line").mkdir()
    for number, name in enumerate(("good/SN000_A", "good/SN000_B", "bad/SN012_A", "bad/SN012_B")):
        image = home / "line" / f"{number}.png"
        image.write_bytes((home / "data" / "a" / f"{name}.png").read_bytes())
        lines.append(f"{number}.png;part {name[-3]};{name[-1]}" if number < 4 else "")
    listed = home / "line" / "parts.csv"
    listed.write_text("\ufeff" + "\n".join(lines) + "\n")
    (home / "line" / "4.png").write_bytes((home / "line" / "0.png").read_bytes())
    words = ("--parts", listed, "--device", "cpu", "-o", home / "out.jsonl")
    result = segad("predict", bundle, home / "line", *words)
    assert result.exit_code == 3, said(result)
    found = [json.loads(line) for line in (home / "out.jsonl").read_text().splitlines()]
    assert [one["image"] for one in found] == ["part 0", "part 2", str(home / "line" / "4.png")]
    assert found[1]["score"] == max(drawn[f"bad/SN012_{view}.png"] for view in "AB")
    assert "does not name it" in found[2]["reason"]
    bad = [home / "line" / "2.png", home / "line" / "3.png"]
    taught = segad(
        "learn", bundle, "--bad", *bad, "--parts", listed, "-o", home / "n.segad", "--device", "cpu"
    )
    assert "part 2" in said(taught), said(taught)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("path,view\na.png,A\n", "no column serial"),
        ("path,serial,view\n", "lists no image"),
        ("path,serial,view\na.png,,A\n", ":2: has no serial"),
        ("path,serial,view\na.png,1,A\nb.png,1,B,x\n", "line 3 has 4 values, and there are 3 columns"),
        ("path,serial,view\na.png,S,A\nb.png,S\n", "line 3 has 2 values"),
        ("path,serial,view\na.png,S,A\nb.png,S,\n", ":3: has no view"),
        ("path,serial,view\na.png,S,A\na.png,S,B\n", ":3: names 'a.png' again"),
        ("\0", "NUL"),
        ('path,serial,view\n"a.png,S,A\n', "cannot be read"),
    ],
)
def test_lists_that_name_no_parts(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "parts.csv"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        read_part_list(path, with_views=True)
    assert words in caught.value.what and str(path) in caught.value.what
    with pytest.raises(UsageError, match="cannot be read"):
        read_part_list(tmp_path / "absent.csv", with_views=True)


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("path,serial,view\nx/ä.png,1,A\n", "utf-8"),
        ("Path|View|Serial|more\n x\\ä.png | A|1|\n|||\n", "utf-8-sig"),
        ("sep=;\r\nserial;path;view\r\n1;x/ä.png;A\r\n", "utf-8"),
        ("path\tserial\tview\r\nx\\ä.png\t1\tA\r\n", "utf-16"),
    ],
)
def test_lists_as_spreadsheets_write_them(tmp_path: Path, text: str, encoding: str) -> None:
    path = tmp_path / "parts.csv"
    path.write_bytes(text.encode(encoding))
    assert read_part_list(path, with_views=True) == {str(tmp_path / "x" / "ä.png"): ("1", "A")}


def test_a_list_of_parts_is_of_no_use_for_images(home: Path) -> None:
    views.views(home / "data")
    bundle = fitted(recipe(home, parts=None))
    result = segad("predict", bundle, home / "data", "--parts", home / "x.csv", "--device", "cpu")
    assert result.exit_code == 2 and "judges images" in said(result)


@pytest.mark.parametrize(
    "change",
    [
        {"pattern": "(?P<serial>"},
        {"pattern": "SN"},
        {"pattern": "(?P<serial>" + "a" * 1000 + ")"},
        {"views": ["A"] * 101},
        {"views": ["A", "A"]},
        {"verdict": "best"},
        {"missing": True},
        {"more": 1},
    ],
)
def test_hostile_rules_are_rejected(home: Path, change: dict[str, Any]) -> None:
    views.views(home / "data")
    bundle = fitted(recipe(home))
    manifest = json.loads((bundle / MANIFEST).read_text())
    manifest["pipeline"]["parts"] |= change
    head = json.dumps(manifest).encode()
    (bundle / MANIFEST).write_bytes(head)
    (bundle / SEAL).write_bytes(seal_of(head))
    with pytest.raises(BundleError):
        Bundle.load(bundle, "cpu")


def test_images_are_judged_one_by_one_on_request(home: Path) -> None:
    drawn = views.views(home / "data")
    with Bundle.load(fitted(recipe(home, parts=None)), "cpu") as bundle:
        assert bundle.manifest.pipeline.parts is None
        assert "parts" not in bundle.manifest.pipeline.model_dump()
        with pytest.raises(UsageError, match="judges images"):
            predict_parts(bundle, ["a.png"])
        paths = sorted((home / "data/a/bad").glob("*.png"))
        for path, one in zip(paths, bundle.predict(paths), strict=True):
            assert one.score == drawn[f"bad/{path.name}"]
            assert serial(f"bad/{path.name}") in one.image


def test_images_alone_have_no_verdict_where_parts_are_judged(home: Path) -> None:
    views.views(home / "data", missing={"SN001_B"})
    with Bundle.load(fitted(recipe(home)), "cpu") as bundle:
        incomplete = [home / "data/a/good/SN001_A.png"]
        with pytest.raises(UsageError, match=r"judges parts[^$]*predict_parts"):
            bundle.predict(incomplete)
        (part,) = predict_parts(bundle, incomplete)
        assert (part.verdict, part.reason) == ("UNKNOWN", "view B is missing")
        assert [one.prediction.image for one in bundle.inspect(incomplete)] == [str(incomplete[0])]


def test_hostile_rules_need_no_recipe(home: Path) -> None:
    """A recipe is checked in the same way."""
    views.views(home / "data")
    with pytest.raises(RecipeError, match="serial"):
        prepared(recipe(home, parts={"pattern": "SN"}))
