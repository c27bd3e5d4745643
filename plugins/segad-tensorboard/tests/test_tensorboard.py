"""The hook keeps its contract, and TensorBoard's own reader finds what the run told."""

import pytest
from segad_tensorboard.hook import TensorBoard
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from segad_core.testing import HookSuite, tell_run, tell_stopped_run


class TestContract(HookSuite):
    """segad's conformance suite."""

    def make(self):
        return TensorBoard()


def read(path):
    found = EventAccumulator(str(path))
    found.Reload()
    return found


def text(reader, tag):
    (event,) = reader.Tensors(f"{tag}/text_summary")
    return event.tensor_proto.string_val[0].decode()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """What the hook was told, and where it wrote."""
    home = tmp_path_factory.mktemp("home")
    params = TensorBoard.Params(folder=home / "tb", figures=("auroc", "rejected"))
    told = tell_run(TensorBoard(params), home / "run")
    (place,) = (home / "tb").iterdir()
    return told, place


def test_each_row_has_its_figures_by_category_over_seeds(run):
    told, place = run
    rows = [given for name, given in told if name == "row_finished"]
    reader = read(place / "PatchCore")
    assert reader.Tags()["scalars"] == ["auroc/cable", "rejected/Kabel größer/neu (2)"]
    expected = [
        (i, row["figures"]["auroc"])
        for i, seed in enumerate((0, 333))
        for row in rows
        if (row["row"], row["category"], row["seed"], row["held_out"]) == ("PatchCore", "cable", seed, "")
    ]
    assert [(one.step, one.value) for one in reader.Scalars("auroc/cable")] == expected
    setups = {path.name for path in place.iterdir() if path.is_dir()}
    assert len(setups) == 4 and "PatchCore, without bent lead" in setups


def test_the_run_has_its_recipe_its_table_and_its_progress(run):
    told, place = run
    reader = read(place)
    given = dict(told)
    assert text(reader, "recipe").replace("    ", "").split() == given["run_started"]["recipe"].split()
    assert text(reader, "table") == given["run_finished"]["table"]
    shares = [one.value for one in reader.Scalars("progress/share of the work")]
    assert shares == sorted(shares) and shares[0] > 0


def test_a_second_run_has_a_place_of_its_own(tmp_path):
    for _ in range(2):
        tell_run(TensorBoard(TensorBoard.Params(folder=tmp_path / "tb")), tmp_path / "run")
    first, second = sorted((tmp_path / "tb").iterdir())
    assert second.name == f"{first.name} 2"
    for place in (first, second):
        assert len(read(place / "PatchCore").Scalars("auroc/cable")) == 2


def test_a_run_that_stops_has_the_reason(tmp_path):
    tell_stopped_run(TensorBoard(TensorBoard.Params(folder=tmp_path / "tb")), tmp_path / "run")
    (place,) = (tmp_path / "tb").iterdir()
    assert "ValueError: boom" in text(read(place), "stopped")
