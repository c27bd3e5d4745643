"""Hook `mlflow`: a run and its rows as runs of MLflow, in files on disk."""

from __future__ import annotations

import logging
import os
import re
import time
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from pydantic import Field

from segad_core.api import Hook, Parameters, hookimpl

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

_LONGEST = 6000  # of a value of a parameter, in characters


class MLflow(Hook):
    """Tracks a run with MLflow in files on disk: parameters, the figures of each row, and the results."""

    contract = 1

    class Params(Parameters):
        """What a recipe can set."""

        folder: Path = Field(Path("mlruns"), description="where MLflow's database and files are")
        experiment: str = Field("segad", min_length=1, description="the experiment that runs belong to")
        files: bool = Field(True, description="copy the run's files, or the bundle, to MLflow's artifacts")

    params: Params
    _client: MlflowClient
    _run = ""
    _seeds: tuple[int, ...] = ()
    _done = _work = _tasks = 0

    @hookimpl
    def run_started(
        self,
        title: str,
        folder: Path,
        recipe: str,
        digest: str,
        categories: tuple[str, ...],
        seeds: tuple[int, ...],
        work: int,
    ) -> None:
        self._client = _client(self.params.folder)
        self._experiment = _experiment(self._client, self.params)
        self._rows: dict[str, str] = {}
        self._names: dict[str, str] = {}
        self._measured: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        self._seeds, self._work = seeds, work
        self._run = self._start(title, {"mlflow.note.content": f"Results: `{folder}`"})
        for name, value in {
            "title": title,
            "digest": digest,
            "categories": ", ".join(categories),
            "seeds": ", ".join(map(str, seeds)),
            "folder": str(folder),
        }.items():
            self._client.log_param(self._run, name, value[:_LONGEST])
        self._client.log_text(self._run, recipe, "recipe.yaml")

    @hookimpl
    def task_finished(self, work: int) -> None:
        if work:
            self._done, self._tasks = self._done + work, self._tasks + 1
            self._client.log_metric(self._run, "progress", self._done / self._work, step=self._tasks)

    @hookimpl
    def row_finished(
        self, category: str, seed: int, held_out: str, amount: str, row: str, figures: Mapping[str, float]
    ) -> None:
        """A row is a run below that of the recipe; its metrics are of categories, a step for each seed."""
        setup = row + (f", without {held_out}" if held_out else "") + (f", {amount} bad" if amount else "")
        if setup not in self._rows:
            self._rows[setup] = self._start(setup, {"mlflow.parentRunId": self._run})
            for name, value in {"row": row, "held_out": held_out, "amount": amount}.items():
                if value:
                    self._client.log_param(self._rows[setup], name, value[:_LONGEST])
        self._log(
            setup,
            {self._metric(f"{category}/{name}"): figure for name, figure in figures.items()},
            self._seeds.index(seed),
        )
        for name, figure in figures.items():
            self._measured[setup][name].append(figure)

    @hookimpl
    def run_finished(self, table: str, files: tuple[Path, ...]) -> None:
        for setup, figures in self._measured.items():
            self._log(setup, {f"mean {name}": fmean(values) for name, values in figures.items()})
        for path in files if self.params.files else ():
            if path.is_dir():
                self._client.log_artifacts(self._run, str(path), path.name)
            else:
                self._client.log_artifact(self._run, str(path))
        if table:
            self._client.set_tag(self._run, "mlflow.note.content", table)
        self._end("FINISHED")

    @hookimpl
    def run_stopped(self, reason: str) -> None:
        self._client.set_tag(self._run, "reason", reason)
        self._end("KILLED" if reason == "interrupted" else "FAILED")

    def _start(self, name: str, tags: Mapping[str, str]) -> str:
        run = self._client.create_run(self._experiment, run_name=name, tags=dict(tags))
        return str(run.info.run_id)

    def _log(self, setup: str, metrics: Mapping[str, float], step: int = 0) -> None:
        """Several metrics of a row at once, as each call writes to the disk."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        found = [Metric(name, value, now, step) for name, value in metrics.items()]
        self._client.log_batch(self._rows[setup], metrics=found)

    def _end(self, status: str) -> None:
        for run in (*self._rows.values(), self._run):
            self._client.set_terminated(run, status)

    def _metric(self, name: str) -> str:
        """A name of its own with the characters that MLflow allows."""
        if name not in self._names:
            plain = number = re.sub(r"[^\w.\-/ ]", "_", name)
            count = 1
            while number in self._names.values():
                count += 1
                number = f"{plain} {count}"
            self._names[name] = number
        return self._names[name]


def _client(folder: Path) -> MlflowClient:
    """MLflow's client of a database in a folder."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # MLflow would report to its makers
    from mlflow.tracking import MlflowClient  # takes seconds, so not where recipes are checked

    logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)  # tells each table it makes
    folder.mkdir(parents=True, exist_ok=True)
    return MlflowClient(tracking_uri=f"sqlite:///{(folder / 'mlflow.db').resolve()}")


def _experiment(client: MlflowClient, params: MLflow.Params) -> str:
    """The id of the experiment, which is made if there is none."""
    found = client.get_experiment_by_name(params.experiment)
    if found is not None:
        return str(found.experiment_id)
    place = (params.folder / "artifacts").resolve()
    return str(client.create_experiment(params.experiment, artifact_location=place.as_uri()))
