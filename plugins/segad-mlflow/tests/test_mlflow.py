"""The hook keeps its contract, and MLflow's own client finds what the run told."""

from statistics import fmean

import pytest
from mlflow.tracking import MlflowClient
from segad_mlflow.hook import MLflow

from segad_core.testing import HookSuite, tell_fit, tell_run, tell_stopped_run


class TestContract(HookSuite):
    """segad's conformance suite."""

    def make(self):
        return MLflow()


def runs(folder, experiment="segad"):
    """MLflow's client, and its runs by name; a name that is there twice is an error."""
    client = MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")
    found = client.search_runs([client.get_experiment_by_name(experiment).experiment_id])
    names = {run.info.run_name: run for run in found}
    assert len(names) == len(found)
    return client, names


@pytest.fixture(scope="module")
def tracked(tmp_path_factory):
    """What the hook was told, MLflow's client, and its runs."""
    home = tmp_path_factory.mktemp("home")
    told = tell_run(MLflow(MLflow.Params(folder=home / "ml", experiment="cables")), home / "run")
    return told, *runs(home / "ml", "cables")


def test_the_run_has_its_parameters_and_files(tracked):
    told, client, names = tracked
    given, run = dict(told), names["Cables, two seeds"]
    assert run.info.status == "FINISHED"
    assert run.data.params["digest"] == given["run_started"]["digest"]
    assert run.data.params["seeds"] == "0, 333"
    assert run.data.params["categories"] == "cable, Kabel größer/neu (2)"
    files = {one.path for one in client.list_artifacts(run.info.run_id)}
    assert files == {"recipe.yaml", *(path.name for path in given["run_finished"]["files"])}
    assert client.get_metric_history(run.info.run_id, "progress")[0].value > 0


def test_each_row_has_its_figures_by_category_over_seeds(tracked):
    told, client, names = tracked
    rows = [given for name, given in told if name == "row_finished"]
    run = names["PatchCore"]
    assert run.data.tags["mlflow.parentRunId"] == names["Cables, two seeds"].info.run_id
    own = [row for row in rows if (row["row"], row["held_out"]) == ("PatchCore", "")]
    expected = [row["figures"]["auroc"] for row in own if row["category"] == "cable"]
    history = client.get_metric_history(run.info.run_id, "cable/auroc")
    assert [(one.step, one.value) for one in history] == list(enumerate(expected))
    assert run.data.metrics["Kabel größer/neu _2_/rejected"] == 2
    assert run.data.metrics["mean auroc"] == fmean(expected)
    assert {"PatchCore, without bent lead", "All AD + SegAD (50%, λ=½)"} <= set(names)


def test_files_can_be_left_where_they_are(tmp_path):
    tell_run(MLflow(MLflow.Params(folder=tmp_path / "ml", files=False)), tmp_path / "run")
    client, names = runs(tmp_path / "ml")
    found = client.list_artifacts(names["Cables, two seeds"].info.run_id)
    assert [one.path for one in found] == ["recipe.yaml"]


def test_a_run_that_stops_has_failed_for_its_reason(tmp_path):
    tell_stopped_run(MLflow(MLflow.Params(folder=tmp_path / "ml")), tmp_path / "run")
    _, names = runs(tmp_path / "ml")
    assert {run.info.status for run in names.values()} == {"FAILED"}
    assert "ValueError: boom" in names["Cables, two seeds"].data.tags["reason"]


def test_a_bundle_is_an_artifact(tmp_path):
    tell_fit(MLflow(MLflow.Params(folder=tmp_path / "ml")), tmp_path / "cable.segad")
    client, names = runs(tmp_path / "ml")
    (run,) = names.values()
    assert [one.path for one in client.list_artifacts(run.info.run_id, "cable.segad")] == [
        "cable.segad/manifest.json"
    ]
