"""docs/benchmarks.md shows what benchmarks/speed/results.json holds."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from speed import plots, tables
from speed.interleaved import ratio

RESULTS = tables.read(tables.RESULTS)


def result(**changes: Any) -> dict[str, Any]:
    """Two rounds: 0.4 s and 0.8 s of processor time by anomalib for four images, half of that by segad."""
    times = {"anomalib": [0.4, 0.8], "segad": [0.2, 0.4]}
    told: dict[str, Any] = {
        "subject": "patchcore",
        "settings": {"threads": 1, "batch": 4},
        "unit": "image",
        "units": 4,
        "differences": {"segad": 2e-6},
        "seconds": {name: {"processor": one, "wall": [5.0, 9.0]} for name, one in times.items()},
        "ratios": {
            "segad": {
                "processor": {"median": 2.0, "low": 1.9, "high": 12.345},
                "wall": {"median": 1.0, "low": 1.0, "high": 1.0},
            }
        },
        "rates": {"convolution": {"wall": 1.0, "processor": 200.5}},
        "machine": {"processor": "A CPU", "cores": 2, "load": 1.2, "torch": "2.14", "date": "2026-11-30"},
    }
    return told | changes


def test_a_table_is_as_written_by_hand() -> None:
    fast = result(subject="fastflow", settings={"threads": 2, "batch": 1})
    found = tables.table([fast, result()], tables.TABLES["detectors"]).splitlines()
    assert found[:4] == [
        "|  | threads | batch | anomalib, ms | segad, ms | times as fast: segad | by the wall: segad |",
        "| --- | --- | --- | ---: | ---: | ---: | ---: |",
        "| PatchCore | 1 | 4 | 150 | 75.0 | 2.00 (1.90 to 12.3) | 1.00 |",
        "| FastFlow | 2 | 1 | 150 | 75.0 | 2.00 (1.90 to 12.3) | 1.00 |",
    ]
    assert found[-1] == "For each image; medians of 2 rounds; results differ by at most 2e-06."


@pytest.mark.parametrize(("load", "busy"), [(1.4, False), (1.6, True)])
def test_a_busy_machine_is_told(load: float, busy: bool) -> None:
    """One thread of our own is no other work."""
    told = result()
    told["machine"]["load"] = load
    found = tables.conditions([told])
    assert ("busy with other work" in found) == busy
    assert (
        f"a load of {load}" in found and "200.5 Gflop/s in a convolution" in found and "torch 2.14" in found
    )
    assert tables.conditions([]) == ""


def test_rows_are_in_the_order_of_numbers_not_of_words() -> None:
    batches = [result(settings={"threads": 1, "batch": n}) for n in (16, 8, 1)]
    rows = tables.table(batches, tables.TABLES["detectors"]).splitlines()[2:5]
    assert [row.split(" | ")[2] for row in rows] == ["1", "8", "16"]


def test_memory_stands_beside_the_time() -> None:
    told = tables.Table({"growth_points": ""}, {"points": "points"})
    one = result(
        subject="growth_points",
        settings={"threads": 1, "points": 16000},
        memory={"anomalib": 3 * 2**20, "segad": None},
    )
    found = tables.table([one], told).splitlines()
    assert found[0].startswith("| points | anomalib, ms (MiB) |")
    assert found[2].startswith("| 16,000 | 150 (3) | 75.0 |")


def test_measured_again_a_result_replaces_that_of_the_same_settings(tmp_path: Path) -> None:
    old, other = result(), result(settings={"threads": 2, "batch": 4})
    new = result(settings={"batch": 4, "threads": 1}, units=1)
    path = tmp_path / "results.json"
    tables.write(path, tables.merged([old, other], new))
    assert tables.read(path) == [other, new]
    assert tables.read(tmp_path / "none.json") == []


def test_a_page_without_a_place_for_each_table_is_refused() -> None:
    page = "\n".join(
        f"<!-- speed: {name} -->\n<!-- end of {name} -->" for name in (*tables.TABLES, "conditions")
    )
    assert tables.filled(page, []) == page
    assert "| PatchCore |" in (once := tables.filled(page, [result()]))
    assert tables.filled(once, [result()]) == once
    with pytest.raises(ValueError, match="has places for"):
        tables.filled(page.replace("speed: coreset", "speed: choreset"), [])
    with pytest.raises(ValueError, match="end of coreset"):
        tables.filled(page.replace("end of coreset", "end of choreset"), [])


def test_the_page_shows_the_results_of_now() -> None:
    """After a measurement: `python -m benchmarks.speed.tables`."""
    page = tables.PAGE.read_text(encoding="utf-8")
    assert tables.filled(page, RESULTS) == page
    changed = copy.deepcopy(RESULTS)
    changed[0]["units"] *= 2
    assert tables.filled(page, changed) != page


def test_the_picture_shows_the_results_of_now() -> None:
    """After a measurement: `python -m benchmarks.speed.plots`."""
    assert plots.digest(RESULTS) in plots.PICTURE.read_text(encoding="utf-8")


def test_every_ratio_is_that_of_its_seconds_and_every_result_was_compared() -> None:
    assert {one["subject"] for one in RESULTS} == {
        subject for table in tables.TABLES.values() for subject in table.subjects
    }
    for one in RESULTS:
        first, *others = one["seconds"]
        assert one["differences"].keys() == set(others)
        assert max(one["differences"].values()) <= one["tolerance"]
        for name in others:
            for clock, told in one["ratios"][name].items():
                found = ratio(one["seconds"][first][clock], one["seconds"][name][clock])
                assert (found.low, found.median, found.high) == pytest.approx(
                    (told["low"], told["median"], told["high"]), rel=1e-3
                )
