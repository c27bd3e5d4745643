"""Results as JSON, and the tables that docs/benchmarks.md shows of them, between markers.

python -m benchmarks.speed.tables
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).parents[2]
RESULTS = Path(__file__).with_name("results.json")
PAGE = ROOT / "docs" / "benchmarks.md"

_LIBRARIES = ("torch", "numpy", "scipy", "numba", "anomalib")

Result = Mapping[str, Any]


@dataclass(frozen=True)
class Table:
    """A table of the page.

    Attributes:
        subjects: whose results are its rows, with what the first column calls them; no column without names.
        settings: the columns that tell rows apart, and their titles.
    """

    subjects: Mapping[str, str]
    settings: Mapping[str, str]


TABLES = {
    "detectors": Table(
        {
            "patchcore": "PatchCore",
            "fastflow": "FastFlow",
            "rd4ad": "RD4AD",
            "efficientad": "EfficientAD-M",
            "all_four": "all four",
        },
        {"threads": "threads", "batch": "batch"},
    ),
    "runtimes": Table(
        {
            "runtime_lite0": "Lite0",
            "runtime_encoder": "Wide ResNet-50-2",
            "runtime_fastflow": "FastFlow",
            "runtime_rd4ad": "RD4AD",
        },
        {"threads": "threads", "batch": "batch"},
    ),
    "training": Table(
        {"training_fastflow": "FastFlow", "training_rd4ad": "RD4AD"},
        {"threads": "threads", "batch": "batch"},
    ),
    "statistics": Table({"statistics": ""}, {"map": "segmentation map", "threads": "threads"}),
    "coreset": Table({"coreset": ""}, {"points": "points", "width": "width", "threads": "threads"}),
    "growth_points": Table({"growth_points": ""}, {"points": "points", "threads": "threads"}),
    "growth_images": Table({"growth_images": ""}, {"images": "images", "threads": "threads"}),
    "growth_size": Table({"growth_size": ""}, {"side": "side", "threads": "threads"}),
    "growth_segments": Table({"growth_segments": ""}, {"segments": "segments", "threads": "threads"}),
}

CONDITIONS = "conditions"
"""Where the page says on what all of it was measured."""


def read(path: Path) -> list[Result]:
    """The results in a file; none if there is no such file."""
    return json.loads(path.read_text())["results"] if path.exists() else []


def write(path: Path, results: Sequence[Result]) -> None:
    """Replaces the results in a file, one on a line."""
    lines = ",\n".join(json.dumps(rounded(one)) for one in results)
    new = path.with_name(f"{path.name}.new")
    new.write_text(f'{{"results": [\n{lines}\n]}}\n')
    new.replace(path)


def merged(results: Iterable[Result], new: Result) -> list[Result]:
    """The results with a new one, which replaces that of the same subject and settings."""
    return [one for one in results if _which(one) != _which(new)] + [new]


def rounded(value: Any) -> Any:
    """Numbers to six digits, in whatever they are."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, Mapping):
        return {name: rounded(one) for name, one in value.items()}
    return [rounded(one) for one in value] if isinstance(value, list | tuple) else value


def line(result: Result) -> str:
    """A result in a line of plain text."""
    settings = ", ".join(f"{name} {value}" for name, value in result["settings"].items())
    times = ", ".join(
        f"{name} {_milliseconds(result, name)} ms{_memory(result, name)}" for name in result["seconds"]
    )
    first, *others = result["seconds"]
    ratios = ", ".join(f"{name} {_ratio(result, name)}" for name in others)
    return f"{result['subject']} ({settings}): {times}; times as fast as {first}: {ratios}"


def table(results: Iterable[Result], told: Table) -> str:
    """A table in Markdown, and what it was measured on; empty without results."""
    rows = [one for subject in told.subjects for one in _of(results, subject, told)]
    if not rows:
        return ""
    first, *others = rows[0]["seconds"]
    named = any(told.subjects.values())
    unit = rows[0]["unit"]
    titles = [*([""] if named else []), *told.settings.values()]
    left = len(titles)
    titles += [f"{name}, ms{_mib(rows[0])}" for name in (first, *others)]
    titles += [f"times as fast: {name}" for name in others] + [f"by the wall: {name}" for name in others]
    body = [titles, ["---"] * left + ["---:"] * (len(titles) - left)]
    for one in rows:
        cells = [told.subjects[one["subject"]]] if named else []
        cells += [_setting(one["settings"][name]) for name in told.settings]
        cells += [f"{_milliseconds(one, name)}{_memory(one, name)}" for name in (first, *others)]
        cells += [_ratio(one, name) for name in others]
        cells += [_digits(one["ratios"][name]["wall"]["median"]) for name in others]
        body.append(cells)
    lines = [f"| {' | '.join(cells)} |" for cells in body]
    worst = max(apart for one in rows for apart in (0.0, *one["differences"].values()))
    same = f"results differ by at most {worst:.1g}" if worst else "results are the same"
    return "\n".join([*lines, "", f"For each {unit}; medians of {_rounds(rows)} rounds; {same}."])


def conditions(results: Sequence[Result]) -> str:
    """On what, when and with what they were measured, and whether the machine was busy; empty without any."""
    if not results:
        return ""
    machines = [one["machine"] for one in results]
    last, loads = machines[-1], [one["load"] for one in machines]
    busy = any(one["machine"]["load"] > one["settings"]["threads"] + 0.5 for one in results)
    load = f"a load of {_span(loads)}"
    load += ": busy with other work, so times by the wall say little" if busy else ""
    rates = " and ".join(
        f"{_span([one['rates'][kind]['processor'] for one in results])} Gflop/s in a {kind}"
        for kind in results[0]["rates"]
    )
    versions = {name: one[name] for one in machines for name in _LIBRARIES if name in one}
    libraries = ", ".join(f"{name} {versions[name]}" for name in _LIBRARIES if name in versions)
    return (
        f"Measured in processor time; quartiles of the ratios in brackets. {last['processor']}, "
        f"{last['cores']} cores, {load}. Its own rate in the same runs, by processor time: {rates}. "
        f"{libraries}; {_span([one['date'] for one in machines])}."
    )


def filled(page: str, results: Sequence[Result]) -> str:
    """The page with the tables between its markers.

    Raises:
        ValueError: a table has no place, or a place has no table.
    """
    made = {name: table(results, told) for name, told in TABLES.items()}
    made[CONDITIONS] = conditions(results)
    places = re.findall(r"<!-- speed: (\w+) -->", page)
    if sorted(places) != sorted(made):
        raise ValueError(f"the page has places for {sorted(places)}, but there are tables {sorted(made)}")
    for name, text in made.items():
        begin, end = f"<!-- speed: {name} -->", f"<!-- end of {name} -->"
        before, _, rest = page.partition(begin)
        _, found, after = rest.partition(end)
        if not found:
            raise ValueError(f"'{end}' is missing")
        page = f"{before}{begin}\n{text}\n{end}{after}" if text else f"{before}{begin}\n{end}{after}"
    return page


def _which(result: Result) -> tuple[str, str]:
    return result["subject"], json.dumps(result["settings"], sort_keys=True)


def _of(results: Iterable[Result], subject: str, told: Table) -> list[Result]:
    """A subject's results, in the order of the columns that tell them apart."""
    found = [one for one in results if one["subject"] == subject]
    return sorted(found, key=lambda one: [_order(one["settings"][name]) for name in told.settings])


def _order(value: Any) -> tuple[bool, Any]:
    return isinstance(value, str), value


def _setting(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _milliseconds(result: Result, name: str) -> str:
    value = 1000 * median(result["seconds"][name]["processor"]) / result["units"]
    return f"{value:,.0f}" if value >= 100 else f"{value:#.3g}"


def _mib(result: Result) -> str:
    return " (MiB)" if "memory" in result else ""


def _memory(result: Result, name: str) -> str:
    memory = result.get("memory", {}).get(name)
    return "" if memory is None else f" ({memory / 2**20:,.0f})"


def _ratio(result: Result, name: str) -> str:
    found = result["ratios"][name]["processor"]
    return f"{_digits(found['median'])} ({_digits(found['low'])} to {_digits(found['high'])})"


def _rounds(results: Sequence[Result]) -> str:
    return _span([len(next(iter(one["seconds"].values()))["processor"]) for one in results])


def _digits(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"


def _span(values: Sequence[Any]) -> str:
    low, high = min(values), max(values)
    return f"{low}" if low == high else f"{low} to {high}"


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), read(RESULTS)), encoding="utf-8")
