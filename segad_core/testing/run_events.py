"""The events of small runs, as the engine tells them, with the files that are there meanwhile."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from segad_core.base.digest import digest_of
from segad_core.plugins import hooks

Event = tuple[str, dict[str, Any]]
"""The name of an event, and its arguments."""

WRITTEN = ("recipe.resolved.yaml", "results.csv", "table.md")
"""The files of the run folder, at the end of the run."""

_RECIPE = """segad: 1
title: Cables, two seeds
dataset: {use: segad:folder, version: 0.1.0, params: {root: /data/cables}}
rows:
- {name: PatchCore, score: patchcore}
- {name: 'All AD + SegAD (50%, λ=½)', detectors: [patchcore]}
"""
_ROWS = ("PatchCore", "All AD + SegAD (50%, λ=½)")
_CATEGORIES = ("cable", "Kabel größer/neu (2)")
_SEEDS = (0, 333)
_TABLE = "# Cables, two seeds\n\n| | cable |\n| --- | --- |\n| PatchCore | 91.3 ± 0.4 |\n"


def tell_run(hook: object, folder: Path) -> list[Event]:
    """Tells a hook the events of a small run, as the engine does; what it raises is not caught.

    Two categories, two seeds and two rows, one of the categories with a held-out defect type, one without
    bad images; names have all kinds of characters.

    Args:
        hook: the hook.
        folder: the run folder; files are written into it as a run would.

    Returns:
        The events that it was told.
    """
    return _tell(hook, run_events(folder))


def tell_stopped_run(hook: object, folder: Path) -> list[Event]:
    """The same, of a run that stops after its first fold because a plugin failed."""
    return _tell(hook, stopped_events(folder))


def tell_fit(hook: object, bundle: Path) -> list[Event]:
    """The same, of `segad fit`, which measures no row; the bundle is a folder."""
    return _tell(hook, fit_events(bundle))


def _tell(hook: object, events: Iterator[Event]) -> list[Event]:
    observers = hooks.manager()
    observers.register(hook, "hook")
    told = []
    for name, given in events:
        getattr(observers.hook, name)(**given)
        told.append((name, given))
    return told


def run_events(folder: Path) -> Iterator[Event]:
    """The events of a run of several rows."""
    yield from _preparation()
    yield from _start(folder, "Cables, two seeds", tasks=9, seeds=_SEEDS)
    _write(folder, "recipe.resolved.yaml", _RECIPE)
    for category in _CATEGORIES:
        for seed in _SEEDS:
            for held_out in ("", "bent lead") if category == _CATEGORIES[0] else ("",):
                yield from _fold(category, seed, held_out)
    _write(folder, "results.csv", "category,seed,row,held_out,auroc\ncable,0,PatchCore,,0.913\n")
    _write(folder, "table.md", _TABLE)
    files = tuple(folder / name for name in WRITTEN)
    yield "run_finished", {"folder": folder, "table": _TABLE, "files": files}


def stopped_events(folder: Path) -> Iterator[Event]:
    """The events of a run that stops after its first row."""
    yield from _preparation()
    yield from _start(folder, "Cables, two seeds", tasks=9, seeds=_SEEDS)
    yield from _fold(_CATEGORIES[0], _SEEDS[0], "")
    yield "task_started", {"name": f"{_CATEGORIES[0]}, seed 333: fit"}
    why = "detector 'patchcore' (segad 0.1.0): fit: ValueError: boom. This is a defect of segad."
    yield "run_stopped", {"folder": folder, "reason": why}


def fit_events(bundle: Path) -> Iterator[Event]:
    """The events of `segad fit`, which makes a bundle and measures no row."""
    yield from _preparation()
    yield from _start(bundle, f"{_ROWS[1]}, cable", tasks=1, seeds=_SEEDS[:1])
    yield from _task("cable, seed 0: fit", 40, ("patchcore: coreset", "loss 0.25"))
    _write(bundle, "manifest.json", "{}\n")
    yield "run_finished", {"folder": bundle, "table": "", "files": (bundle,)}


def _preparation() -> Iterator[Event]:
    for done in (0, 20):
        yield "task_progress", {"name": "", "what": "reading images", "done": done, "total": 20, "note": ""}


def _start(folder: Path, title: str, tasks: int, seeds: tuple[int, ...]) -> Iterator[Event]:
    given = {"title": title, "folder": folder, "tasks": tasks, "work": 40 * tasks, "recipe": _RECIPE}
    digest = digest_of(title)[:8]
    yield "run_started", {**given, "digest": digest, "categories": _CATEGORIES, "seeds": seeds}


def _fold(category: str, seed: int, held_out: str) -> Iterator[Event]:
    place = f"{category}, seed {seed}" + (f", held out {held_out}" if held_out else "")
    yield from _task(f"{place}: fit", 40, ("patchcore: coreset", "loss 0.25"))
    for row in _ROWS:
        yield from _task(f"{place}: row '{row}'", 0 if row == _ROWS[0] else 1)
        yield "row_finished", _row(category, seed, held_out, row)


def _task(name: str, work: int, *steps: tuple[str, str]) -> Iterator[Event]:
    yield "task_started", {"name": name}
    for what, note in steps:
        for done in (1, 2):
            yield "task_progress", {"name": name, "what": what, "done": done, "total": 2, "note": note}
    yield "task_finished", {"name": name, "seconds": 0.125, "work": work}


def _row(category: str, seed: int, held_out: str, row: str) -> dict[str, Any]:
    has_bad = category == _CATEGORIES[0]
    auroc, fpr95 = (0.90625 + 0.03125 * _SEEDS.index(seed), 0.25) if has_bad else (math.nan, math.nan)
    figures: Mapping[str, float] = (
        {"auroc": auroc, "auroc_low": 0.875, "auroc_high": 0.96875, "fpr95": fpr95, "n_good": 40, "n_bad": 20}
        if has_bad
        else {"n_good": 40, "n_bad": 0, "threshold": 12.5, "rejected": 2}
    )
    place = {"category": category, "seed": seed, "held_out": held_out, "amount": "", "row": row}
    return {**place, "auroc": auroc, "fpr95": fpr95, "figures": MappingProxyType(figures)}


def _write(folder: Path, name: str, text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")
