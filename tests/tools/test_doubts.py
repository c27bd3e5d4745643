"""Doubtful labels: judged by models that have not seen the image, ranked as by hand, shown without harm."""

from __future__ import annotations

import base64
import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fakes
import numpy as np
import pytest
import views
from builders import said, segad, workshop, write_recipe
from numpy.typing import NDArray
from PIL import Image

from segad_core.base.decoding import Decoding
from segad_core.contracts import Run, Sample
from segad_core.errors import DataError, RecipeError
from segad_core.images import Facts
from segad_core.plugins.registry import Registry
from segad_core.recipe import load_recipe
from segad_core.run.cells import FitCell, FitTask, ScoresTask
from segad_core.split.groups import Groups
from segad_core.tools.doubts import Doubt, Judged, doubts_csv, doubts_page, only_row, unseen
from segad_core.tools.doubts.judge import doubts_of
from segad_core.tools.doubts.page import About, in_words


def test_doubts_by_hand() -> None:
    """Shares of the other label beyond which an image scores, and of its own; ties count half."""
    scores = {"g1": 0.0, "g2": 1.0, "g3": 5.0, "g4": 2.0, "b1": 2.0, "b2": 6.0}
    found = doubts_of(scores, {name: int(name[0] == "b") for name in scores})
    assert found == {
        "g1": (0.0, 0.125),
        "g2": (0.0, 0.375),
        "g3": (0.5, 0.875),
        "g4": (0.25, 0.625),
        "b1": (0.375, 0.75),
        "b2": (0.0, 0.25),
    }


def test_doubts_do_not_depend_on_the_scale() -> None:
    rng = np.random.default_rng(0)
    scores = {str(i): float(value) for i, value in enumerate(rng.normal(size=40))}
    labels = {name: int(rng.random() < 0.4) for name in scores}
    assert doubts_of({name: np.exp(3 * one) for name, one in scores.items()}, labels) == doubts_of(
        scores, labels
    )


class Remembers:
    """A final classifier that gives every vector that it learnt its label times a thousand, others 0."""

    def __init__(self, trainings: list[tuple[set[float], list[int], Any]]) -> None:
        self.trainings = trainings

    def fit(
        self, features: NDArray[np.float64], names: Sequence[str], labels: NDArray[np.int64], run: Run
    ) -> None:
        self.known = dict(zip(features[:, 0].tolist(), labels.tolist(), strict=True))
        self.trainings.append((set(self.known), labels.tolist(), run.groups))

    def margins(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.array([1000.0 * self.known.get(one, 0) for one in features[:, 0]])


class Sums(Remembers):
    """One whose score is what the feature contributes: its value."""

    params = device = None

    def contributions(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.concatenate([features, np.zeros((len(features), 1))], axis=1)


class Case:
    """A SegAD row of which the features of an image are its number, without anything being computed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, count: int = 24, generated: bool = False) -> None:
        self.trainings: list[tuple[set[float], list[int], Any]] = []
        labels = [None if i == 23 else int(i % 3 == 0) for i in range(count)]
        self.samples = [Sample(str(i), Path(f"{i}.png"), label) for i, label in enumerate(labels)]  # type: ignore[arg-type]
        train = [i for i in range(0, count, 2) if not generated or labels[i] == 0]
        scored = [i for i in range(count) if i not in train]
        tables = {
            "real": np.arange(count, dtype=float)[:, None],
            "generated": np.array([[100.0 + i] for i in train]),
        }
        final = SimpleNamespace(build=lambda *_: Remembers(self.trainings))
        self.task: Any = SimpleNamespace(
            category="a",
            fold="0",
            seed=0,
            train=tuple(train),
            scored=tuple(scored),
            table=SimpleNamespace(segment_keys=["s"], name="real"),
            generated=SimpleNamespace(name="generated") if generated else None,
            row=SimpleNamespace(final=final, weights=()),
        )
        facts = {s.id: Facts(s.id, s.id, False, (1, 1)) for s in self.samples}
        self.prepared: Any = SimpleNamespace(
            samples={"a": {s.id: s for s in self.samples}}, facts={"a": facts}, groups={"a": None}
        )
        monkeypatch.setattr(unseen, "feature_table", lambda _task, table, _store: (tables[table.name], ["n"]))
        source = SimpleNamespace(samples=self.samples)
        monkeypatch.setattr(unseen, "_source", lambda *_: source)

    def scores(self) -> dict[str, float]:
        return unseen.unseen_scores(self.task, (), self.prepared, None, "cpu")  # type: ignore[arg-type]


def test_no_image_is_judged_by_a_model_that_saw_it(monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case(monkeypatch)
    assert case.scores() == dict.fromkeys([s.id for s in case.samples if s.label is not None], 0.0)
    assert len(case.trainings) == 5
    for known, labels, groups in case.trainings:
        assert {*labels} == {0, 1}
        assert 23.0 not in known  # doubtful
        assert groups is None
    counts = [
        sum(float(s.id) in known for known, *_ in case.trainings) for s in case.samples if s.label is not None
    ]
    assert {*counts} == {4}


@pytest.mark.parametrize("how", ["copies", "groups"])
def test_copies_and_groups_are_not_divided(monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    case = Case(monkeypatch)
    pairs = {s.id: int(s.id) // 2 for s in case.samples}
    if how == "copies":
        case.prepared.facts["a"] = {i: Facts(i, f"pixels {pair}", False, (1, 1)) for i, pair in pairs.items()}
    else:
        case.prepared.groups["a"] = Groups(pairs, {}, 12, 0, 0)
    case.scores()
    for known, _, groups in case.trainings:
        assert all((2.0 * i in known) == (2.0 * i + 1 in known) for i in range(11))
        assert (groups is None) == (how == "copies")
        if groups is not None:
            assert len(groups) == len(known)
            assert len({*groups.tolist()}) == len({int(one) // 2 for one in known})


def test_generated_defects_leave_with_their_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """Real bad images are judged, and never learnt from."""
    case = Case(monkeypatch, generated=True)
    assert {*case.scores().values()} == {0.0}
    for known, labels, _ in case.trainings:
        good = {one for one in known if one < 100}
        assert known == good | {100 + one for one in good}
        assert labels == [0] * len(good) + [1] * len(good)
        assert not {float(s.id) for s in case.samples if s.label == 1} & known


def test_weights_of_segments_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in the row's own scores."""
    case = Case(monkeypatch)
    case.task.row = SimpleNamespace(
        final=SimpleNamespace(build=lambda *_: Sums(case.trainings)), weights=(("n", 0.25),)
    )
    assert case.scores() == {s.id: 0.25 * float(s.id) for s in case.samples if s.label is not None}
    assert len(case.trainings) == 5


@pytest.mark.parametrize("shown", [["A", "B"], None])
def test_parts_are_judged_image_by_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shown: list[str] | None
) -> None:
    """Views that the recipe leaves out neither train nor are judged; no advice to set what is set."""
    fakes.install(monkeypatch)
    views.views(tmp_path / "data", names="ABC")
    recipe = views.recipe(tmp_path, parts={"views": shown})
    where = ["-o", tmp_path / "d.html", "--store", tmp_path / "store", "--device", "cpu"]
    text = said(segad("datasets", "doubts", recipe, *where))
    assert "set 'parts'" not in text
    assert ("leaves out the images of other views: C (19)" in text) == bool(shown)
    judged = [one["image"] for one in csv.DictReader(io.StringIO((tmp_path / "d.csv").read_text()))]
    assert {image[-5] for image in judged} == {*(shown or "ABC")}


def test_too_few_images_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case(monkeypatch, count=3)
    with pytest.raises(DataError, match="has 1 bad images"):
        case.scores()


@pytest.mark.parametrize("lines", [(), (2, 3)])
def test_a_classifiers_scores_of_what_it_trained_on_do_not_count(lines: tuple[int, ...]) -> None:
    samples = tuple(Sample(str(i), Path("x"), i % 2) for i in range(6))  # type: ignore[arg-type]
    choice: Any = None
    cells = [FitCell("all", "g", choice, ()), FitCell("fold", "g", choice, (), lines)]
    common: dict[str, Any] = {"category": "a", "encoder": None, "preprocessing": None, "ignore": None}
    fits = [FitTask("f", samples=samples[:4], cells=(*cells,) if lines else (cells[0],), **common)]
    if not lines:
        fits.append(FitTask("f", samples=samples[2:4], cells=(cells[1],), **common))
    parts = ((cells[0], (2, 3, 4, 5)), (cells[1], (0, 1)))
    source = ScoresTask("s", samples=samples, cells=(), parts=parts, needs=(), **common)  # type: ignore[arg-type]
    assert unseen._unseen_by(source, fits) == [4, 5, 0, 1]


def judged(tmp_path: Path) -> Judged:
    path = tmp_path / "a<b>.png"
    Image.new("RGB", (800, 400), (200, 10, 10)).save(path)
    sample = Sample("<script>alert(1)</script>\n", path, 0)
    lost = Sample("=lost.png", tmp_path / "lost.png", 1, defect="dent")
    fine = Sample("fine.png", path, 1)
    return Judged(
        "a&b", [Doubt(sample, 0.75, 1, 2), Doubt(lost, 0.5, 1, 1), Doubt(fine, 0, 0, 1)], ["x", "y"]
    )


def test_a_page_shows_pictures_and_runs_nothing(tmp_path: Path) -> None:
    page = doubts_page([judged(tmp_path)], Decoding(), About("<r>", "row", 60))
    assert "<script" not in page.lower()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\\x0a" in page
    assert "http" not in page.replace("http-equiv", "")
    assert "labelled good, scores above 75% of the bad images" in page
    assert "labelled bad, scores below 50% of the good images" in page
    assert page.count("<figure") == 2  # nothing speaks against the third
    (data,) = re.findall(r"data:image/jpeg;base64,([A-Za-z0-9+/=]+)", page)
    assert Image.open(io.BytesIO(base64.b64decode(data))).size == (360, 180)
    assert doubts_page([judged(tmp_path)], Decoding(), About("r", "row", 1)).count("<figure") == 1


def test_a_table_has_all_images(tmp_path: Path) -> None:
    lines = list(csv.DictReader(io.StringIO(doubts_csv([judged(tmp_path)]))))
    assert [(one["image"], one["label"], one["doubt"], one["contradicted"]) for one in lines] == [
        ("<script>alert(1)</script>\n", "good", "0.7500", "yes"),
        ("'=lost.png", "bad", "0.5000", "yes"),
        ("fine.png", "bad", "0.0000", "no"),
    ]
    words = in_words(judged(tmp_path))
    assert words.startswith("2 of 3 labels are contradicted (only 1 good and 2 bad images were compared")
    assert "2 images were not judged" in words


def test_which_row_judges(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    rows = "  - {name: SegAD, detectors: [patchcore]}\n"
    recipe = write_recipe(
        tmp_path,
        (rows, f"{rows}  - {{name: Probe, score: probe}}\n  - {{name: M, mean_of: [SegAD]}}\n"),
        (
            "segmenter: whole_image",
            "classifiers: {probe: {use: linear_probe, params: {layers: [layer3]}}}\nsegmenter: whole_image",
        ),
        (
            "detectors: {good: 4}",
            "detectors: {good: 4}\n  hold_out: defects\n  final: {bad: {amount: [2, 3]}}",
        ),
    )
    loaded = load_recipe(str(recipe), Registry())
    chosen = only_row(loaded, None)
    assert [row.name for row in chosen.rows] == ["SegAD"]
    assert chosen.skeleton.split.hold_out is None
    assert chosen.skeleton.split.final.bad.amount == 3
    assert only_row(loaded, "Probe").skeleton.classifiers["probe"].out_of_fold == 5
    with pytest.raises(RecipeError, match="'M' is a mean of other rows"):
        only_row(loaded, "M")
    with pytest.raises(RecipeError, match="did you mean 'SegAD'"):
        only_row(loaded, "Segad")


def test_wrong_labels_come_first(tmp_path: Path) -> None:
    """From a recipe to a page; a second call computes nothing again and overwrites nothing."""
    recipe = workshop(tmp_path, good=22, bad=15)
    data = tmp_path / "data" / "a"
    wrong = {"good/wrong1.png", "bad/wrong2.png", "bad/wrong3.png"}
    (data / "bad/001.png").rename(data / "good/wrong1.png")
    (data / "good/002.png").rename(data / "bad/wrong2.png")
    (data / "good/003.png").rename(data / "bad/wrong3.png")
    before = {path: path.read_bytes() for path in sorted(data.rglob("*.png"))}
    words = [
        "datasets",
        "doubts",
        recipe,
        "-o",
        tmp_path / "d.html",
        "--store",
        tmp_path / "store",
        "--device",
        "cpu",
    ]
    seeds = ["--set", "split.seeds=[0,1]", "--set", "split.detectors.seed=0"]
    said(segad(*words, *seeds))
    lines = list(csv.DictReader(io.StringIO((tmp_path / "d.csv").read_text())))
    unjudged = {f"{p.parent.name}/{p.name}" for p in before} - {one["image"] for one in lines}
    first = [one["image"] for one in lines][: len(wrong - unjudged)]
    assert {*first} == wrong - unjudged
    assert len(unjudged) <= 8
    assert len({*first}) >= 2
    assert (tmp_path / "d.html").read_text().count("<figure") >= len(first)
    assert segad(*words).exit_code == 2
    assert {path: path.read_bytes() for path in sorted(data.rglob("*.png"))} == before


def test_what_cannot_be_written_is_said_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = segad("datasets", "doubts", tmp_path / "no.yaml", "-o", tmp_path / "file" / "d.html")
    assert f"{tmp_path / 'file' / 'd.html'}: cannot be written" in said(result)
    assert "ends in .html" in said(
        segad("datasets", "doubts", tmp_path / "no.yaml", "-o", tmp_path / "d.pdf")
    )
