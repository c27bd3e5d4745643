"""The folder of a run: recipe, environment, splits, figures, the score of every image, the table.

Runs of one recipe whose results can differ have a folder each, `NAME/DIGEST`; `NAME/latest` links to the
newest. Finished results are replaced only by those of another finished run, and kept if these differ.
"""

from __future__ import annotations

import json
import logging
import re
import shutil
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from types import TracebackType

from segad_core.base.csv_text import BOM, csv_text
from segad_core.base.digest import digest_of
from segad_core.base.files import kind_of, sync_folder, write_atomic
from segad_core.base.leftovers import sweep_once, temporary_folder
from segad_core.base.locks import held
from segad_core.base.resources import is_resource, remedy_of
from segad_core.base.text import as_text
from segad_core.errors import StoreError
from segad_core.evaluate import (
    Figures,
    compare,
    comparison_csv,
    last_amounts,
    results_csv,
    results_text,
)
from segad_core.operate.default_point import BUDGET
from segad_core.recipe import Recipe
from segad_core.run.environment import environment
from segad_core.run.log import RunLog
from segad_core.run.prepare import Prepared
from segad_core.run.scored import (
    ScoredImage,
    ScoredPart,
    SegmentedImage,
    parts_csv,
    scores_csv,
    segmentations_csv,
)
from segad_core.split.file import splits_json

log = logging.getLogger("segad.run")

LATEST = "latest"
"""The name of the link to the newest run of a recipe."""
_RUN = re.compile(r"[0-9a-f]{8}\n?")
"""The name of a run's folder, to which `latest` links, as `run_digest` gives it."""

_TABLE = "table.md"  # written last: a run that has it is finished
_FIGURES, _SCORES, _PARTS = "results.csv", "scores.csv", "parts.csv"
_OPTIONAL = (_PARTS, "comparison.csv", "segmentations.csv", "unreadable.csv")


def run_digest(recipe: Recipe, prepared: Prepared) -> str:
    """Identifies a run by what decides its results: eight hexadecimal digits.

    Part of it are the recipe's settings, the code of its plugins, and the content, names and labels of the
    images. The device and the locations of images, store and runs are not.
    """
    rows = [row for plan in prepared.plans for row in plan.rows()]
    plain = {
        "title": recipe.skeleton.title,
        "rows": [[row.category, *row.fold.cells(), row.row.name, row.cells[0].key] for row in rows],
        "means": {name: list(parts) for name, parts in recipe.means.items()},
        "samples": {
            category: [[s.id, s.label, s.defect, s.unseen] for s in samples.values()]
            for category, samples in prepared.samples.items()
        },
        "unreadable": {category: sorted(errors) for category, errors in prepared.unreadable.items()},
        "published": recipe.published.model_dump(mode="json") if recipe.published else None,
    }
    if recipe.skeleton.parts:
        plain["parts"] = {c: parts.plain() for c, parts in prepared.parts.items() if parts}
    return digest_of(plain)[:8]


def make_home(path: Path) -> None:
    """Makes the folder for all runs of a recipe, so that a place that cannot be written is noticed early.

    Raises:
        StoreError: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _failure(path, error) from error


class RunFolder:
    """A run's folder, locked while it is open against another process that runs the same recipe.

    Where a run of the same recipe was finished before, everything is held in memory until this one is
    finished too.
    """

    def __init__(self, path: Path, bom: bool = False) -> None:
        self.path, self._mark = path, BOM if bom else ""
        make_home(path)
        self._lock = held(path, "Wait until it ends, or name another folder with --runs.")
        self._finished_before = False
        self._held: dict[str, str] = {}
        self._written: set[Path] = set()

    def __enter__(self) -> RunFolder:
        self._lock.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.__exit__(kind, error, trace)

    def begin(self, recipe: Recipe, prepared: Prepared, device: str, run_log: RunLog) -> None:
        """Writes what is known before the work starts, and points `latest` here."""
        try:
            self._finished_before = (self.path / _TABLE).exists()
            run_log.open(self.path / "run.log")
            sweep_once(self.path)
            _link(self.path.with_name(LATEST), self.path.name)
        except OSError as error:
            raise _failure(self.path, error) from error
        self._write("recipe.resolved.yaml", prepared.resolved(recipe))
        self._write("environment.json", json.dumps(environment(recipe, device), indent=1) + "\n")
        self._write("splits.json", splits_json(prepared.splits))
        lost = [(c, i, e.what) for c, errors in prepared.unreadable.items() for i, e in errors.items()]
        if lost:
            self._write("unreadable.csv", csv_text([("category", "image", "reason"), *lost]))

    def write_results(
        self, figures: Sequence[Figures], scores: Sequence[ScoredImage], parts: Sequence[ScoredPart] = ()
    ) -> None:
        """Writes the figures and scores of the rows finished so far; and of parts, where these are judged."""
        self._write(_FIGURES, results_csv(figures))
        self._write(_SCORES, scores_csv(scores))
        if parts:
            self._write(_PARTS, parts_csv(parts))

    def finish(
        self,
        recipe: Recipe,
        figures: Sequence[Figures],
        prepared: Prepared,
        maps: Sequence[SegmentedImage],
    ) -> str:
        """Writes the tables, the comparison with published figures, and the quality of segmentation maps.

        Returns:
            The tables.
        """
        if maps:
            self._write("segmentations.csv", segmentations_csv(maps))
        if recipe.published is not None:
            self._write("comparison.csv", comparison_csv(compare(last_amounts(figures), recipe.published)))
        text = results_text(
            recipe.skeleton.title or recipe.name,
            figures,
            published=recipe.published,
            groups=prepared.groups_in_words(recipe),
            notes=prepared.notes,
            unreadable=sum(map(len, prepared.unreadable.values())),
            licence=prepared.licence,
            of_parts=recipe.skeleton.parts is not None,
            budget=str(BUDGET),
        )
        if doubtful := [image for image in maps if image.doubt]:
            log.warning(
                "%d of %d segmentation maps are doubtful: see %s (the first: image '%s', %s)",
                len(doubtful),
                len(maps),
                self.path / "segmentations.csv",
                doubtful[0].image,
                doubtful[0].doubt,
            )
            text += (
                f"\n{len(doubtful)} of {len(maps)} segmentation maps are doubtful: see segmentations.csv.\n"
            )
        if self._finished_before:
            self._replace()
        self._put(_TABLE, text)
        return text

    def files(self) -> tuple[Path, ...]:
        """The files that this run has written, except its log."""
        return tuple(sorted(self._written))

    def _replace(self) -> None:
        """Puts the results that were held in place of the earlier ones, which are kept if they differ."""
        try:
            if any(self._differs(name) for name in (_FIGURES, _SCORES, _PARTS)):
                kept = self._keep_earlier()
                log.warning(
                    "the results differ from those of an earlier run of this recipe, which are kept in %s: "
                    "compare the two environment.json files",
                    kept,
                )
            for name in _OPTIONAL:
                if name not in self._held:
                    (self.path / name).unlink(missing_ok=True)
        except OSError as error:
            raise _failure(self.path, error) from error
        for name, text in self._held.items():
            self._put(name, text)

    def _differs(self, name: str) -> bool:
        earlier, new = self.path / name, self._held.get(name)
        if new is None or not earlier.exists():
            return False
        return earlier.read_bytes().removeprefix(BOM.encode()) != as_text(new).encode()

    def _keep_earlier(self) -> Path:
        """Copies the results that are there to a folder `earlier-1`, `earlier-2`, ... beside them."""
        free = (self.path / f"earlier-{number}" for number in count(1))
        kept = next(path for path in free if not kind_of(path))
        with temporary_folder(kept) as part:
            for path in self.path.iterdir():
                if kind_of(path) == "a file" and not path.name.startswith("."):
                    shutil.copy2(path, part)
            part.rename(kept)
        sync_folder(self.path)
        return kept

    def _write(self, name: str, text: str) -> None:
        if self._finished_before:
            self._held[name] = text
        else:
            self._put(name, text)

    def _put(self, name: str, text: str) -> None:
        try:
            write_atomic(self.path / name, self._mark + text if name.endswith(".csv") else text)
        except OSError as error:
            raise _failure(self.path, error) from error
        self._written.add(self.path / name)


def _link(link: Path, target: str) -> None:
    """Points a symbolic link to its sibling; a text file with the name where the system has no such links."""
    kind = kind_of(link)
    if kind and not _links_to_a_run(link, kind):
        log.warning("%s is %s that does not link to a run, so it stays: move it away", link, kind)
        return
    with temporary_folder(link) as part:
        fresh = part / target
        try:
            fresh.symlink_to(target, target_is_directory=True)
        except OSError as error:
            if is_resource(error):
                raise
            write_atomic(link, f"{target}\n")
        else:
            fresh.replace(link)


def _links_to_a_run(link: Path, kind: str) -> bool:
    """Whether a run made it, and not somebody else."""
    if kind == "a symbolic link":
        return _RUN.fullmatch(str(link.readlink())) is not None
    if kind != "a file":
        return False
    with link.open("rb") as file:
        return _RUN.fullmatch(file.read(100).decode(errors="replace")) is not None


def _failure(path: Path, error: OSError) -> StoreError:
    return StoreError(
        f"the run folder {path} cannot be written: {error.strerror or error}",
        f"{remedy_of(error)} Or name another folder with --runs.",
    )
