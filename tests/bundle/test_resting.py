"""What rests on each segment of a bundle: counted by hand, and as the command says it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import builders
import numpy as np
import pytest
from builders import said, segad
from bundles import Parts
from PIL import Image
from small_runs import workplace, write

from segad_core.bundle.runtime.bundle import Bundle
from segad_core.bundle.runtime.resting import Resting, count, resting_on
from segad_core.errors import BundleError


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = workplace(tmp_path, monkeypatch)
    mask = np.zeros((48, 48), np.uint8)
    mask[:, 24:] = 1
    Image.fromarray(mask).save(place / "mask.png")
    return place


def fitted(home: Path, row: str = "SegAD", out: str = "b", **changes: Any) -> Path:
    params = {"mask": "mask.png", "segments": ["left", "right"]}
    rows = [{"name": "SegAD", "detectors": ["spotty"]}, {"name": "Spotty", "score": "spotty"}]
    path = write(home, rows=rows, segmenter={"use": "static_mask", "params": params}, **changes)
    return builders.fitted(path, row, out)


def test_counts_by_hand() -> None:
    sums = np.array([[3.0, 1], [2, 2.5], [-1, 6], [-2, -1], [4, 4], [0.5, 0.2]])
    scores = np.array([5.0, 5.5, 6, 5, 4, 1])
    labels = np.array([1, 1, 1, 0, 0, 1])
    table = count(["left", "right"], sums, scores, labels, 4.0, "image")
    # left: 5 - 3 and 5.5 - 2 are below 4; right: 5.5 - 2.5 and 6 - 6. The last one is OK anyhow.
    # Of the good ones, nothing adds to the first (below its constant), and both add as much to the second.
    assert table.lines == [Resting("left", 1, 2, 1, 1), Resting("right", 2, 2, 0, 1)]
    assert (table.catches, table.rejects, table.unit) == (3, 2, "image")


def test_the_command_says_the_same_as_the_reasons(home: Path) -> None:
    bundle = fitted(home, final="logistic")
    said_so = segad("bundle", "segments", bundle)
    assert " bad (catches), " in said_so.stdout.splitlines()[0] and "ones" not in said_so.stdout
    assert said_so.exit_code == 0, said(said_so)
    lines = said_so.output.splitlines()
    assert [line.split()[0] for line in lines[2:]] == ["left", "right", "whole"]
    shown = json.loads(segad("bundle", "segments", bundle, "--json").stdout)
    with Bundle.load(bundle, "cpu") as opened:
        places = [home / "data" / "a" / image.id for image in opened.calibration().images]
        found = opened.predict(places)
    caught = [one for one in found if one.verdict == "NG" and "/bad/" in one.image]
    assert shown["catches"] == len(caught) > 0
    for line in shown["lines"]:
        name = "image" if line["name"] == "whole image" else line["name"]
        sums = [
            {
                segment: sum(c.amount for c in one.contributions if c.segment == segment)
                for segment in ("left", "right", "image")
            }
            for one in caught
        ]
        assert line["catches_led"] == sum(max(own, key=own.__getitem__) == name for own in sums)
        lost = [one.score - own[name] < shown["threshold"] for one, own in zip(caught, sums, strict=True)]
        assert line["catches_lost"] == sum(lost)


def test_bundles_without_segments_or_contributions_say_so(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Bundle.load(fitted(home, "Spotty", "p"), "cpu") as bundle, pytest.raises(BundleError, match="row"):
        resting_on(bundle)
    monkeypatch.delattr("fakes.Table.contributions")
    with Bundle.load(fitted(home), "cpu") as bundle, pytest.raises(BundleError, match="contributions"):
        resting_on(bundle)


def test_a_bundle_of_before_keeps_its_segment_called_ignore(home: Path) -> None:
    """It had features, and scores must stay what they were."""
    made = fitted(home, final="logistic")
    files = {p.relative_to(made).as_posix(): p.read_bytes() for p in made.rglob("*") if p.is_file()}
    manifest = json.loads(files.pop("manifest.json").replace(b"right", b"ignore"))
    del files["manifest.sha256"]
    old = Parts(manifest, files).write(home / "old", "folder")
    images = [home / "data" / "a" / "bad" / f"{i:03}.png" for i in range(3)]
    with Bundle.load(made, "cpu") as new, Bundle.load(old, "cpu") as before:
        scores = [one.score for one in new.predict(images)]
        assert [one.score for one in before.predict(images)] == scores
        assert "ignore" in {one.segment for one in before.predict(images)[0].contributions}
