"""Plugins of kinds whose results are return values leave no files; detectors have tests of their own."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from contract_examples import example_of

from segad_core import testing
from segad_plugins.datasets.folder import Folder
from segad_plugins.defects.rectangle import Rectangle
from segad_plugins.features.order import Maximum
from segad_plugins.final_classifiers.logistic import Logistic
from segad_plugins.segmenters.whole_image import WholeImage

METHODS = {
    "Dataset": (Folder, "samples"),
    "DefectGenerator": (Rectangle, "apply"),
    "Encoder": (example_of("encoder")["MeanColours"], "encode"),
    "Feature": (Maximum, "compute"),
    "FinalClassifier": (Logistic, "fit"),
    "Segmenter": (WholeImage, "segment"),
}
CLAUSE = "test_leaves_no_files"


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """A working folder with a data set, which is no temporary folder."""
    for path in (Path("parts/good/a.png"), Path("parts/bad/b.png"), Path("temporary/nothing")):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).touch()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.chdir(tmp_path)


def case(kind, leave):
    """The suite of a sound plugin, which calls `leave` whenever it is used."""
    plugin, name = METHODS[kind]

    def method(self, *args, **kwargs):
        leave()
        return getattr(plugin, name)(self, *args, **kwargs)

    changed = type("Changed", (plugin,), {"__doc__": "It leaves something.", name: method})
    params = changed.Params(root=Path("parts")) if kind == "Dataset" else None
    suite = getattr(testing, f"{kind}Suite")
    return type("Case", (suite,), {"make": lambda self: changed(params)})


@pytest.mark.parametrize("kind", METHODS)
@pytest.mark.parametrize("what", ["model.npy", "folder"])
def test_a_file_is_told_with_its_place(kind, what, tmp_path):
    def leave():
        Path(what).mkdir(exist_ok=True) if what == "folder" else np.save(what, np.zeros(3))

    with pytest.raises(AssertionError) as caught:
        getattr(case(kind, leave)(), CLAUSE)()
    assert str(tmp_path / what) in str(caught.value)


@pytest.mark.parametrize("kind", METHODS)
def test_temporary_files_and_what_is_removed_are_nothing_to_tell(kind):
    def leave():
        with tempfile.NamedTemporaryFile(delete=False) as file:
            file.write(b"1")
        Path("scratch").write_text("1")
        Path("scratch").unlink()

    getattr(case(kind, leave)(), CLAUSE)()
