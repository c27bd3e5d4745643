"""The examples in the contracts' docstrings: each runs, and passes the conformance suite of its kind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from contract_examples import FOLDER, example_of, source_of
from PIL import Image

from segad_core import testing
from segad_core.contracts import KINDS, Arrays, Checkpoint, Component, LearningSegmenter, Parameters, Run
from segad_core.plugins.registry import Provider, contract_problems

WITHOUT = {
    "__init__",
    "declared",
    "faults",
    "frame",
    "images",
    "learner",
    "part_pattern",
    "preconditions",
    "tiles",
    "versions",
}
"""Modules of types that no plugin implements, or that those of the kinds have examples of."""

SUITES: dict[str, type[testing.ComponentSuite]] = {
    "datasets": testing.DatasetSuite,
    "encoders": testing.EncoderSuite,
    "detectors": testing.DetectorSuite,
    "classifiers": testing.ClassifierSuite,
    "segmenters": testing.SegmenterSuite,
    "features": testing.FeatureSuite,
    "final_classifiers": testing.FinalClassifierSuite,
    "defects": testing.DefectGeneratorSuite,
    "executors": testing.ExecutorSuite,
    "hooks": testing.HookSuite,
}

EXAMPLES = [path.stem for path in sorted(FOLDER.glob("*.py")) if path.stem not in WITHOUT]


def plugins(module: str) -> list[tuple[str, type[Component]]]:
    """The plugins that an example defines, with their kinds."""
    classes = [v for v in example_of(module).values() if isinstance(v, type) and issubclass(v, Component)]
    own = [cls for cls in classes if cls.__module__ == f"example_of_{module}"]
    return [(kind, cls) for cls in own for kind, contract in KINDS.items() if issubclass(cls, contract)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Images in `good` and `bad`."""
    for name in ("good", "bad"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (8, 8)).save(tmp_path / name / "1.png")
    return tmp_path


@pytest.mark.parametrize("module", EXAMPLES)
def test_every_contract_has_an_example(module: str) -> None:
    source = source_of(module)
    assert source
    assert "segad_core" not in source.replace("from segad_core.api import", "")


def test_every_kind_has_an_example() -> None:
    assert {kind for module in EXAMPLES for kind, _ in plugins(module)} == set(KINDS)


@pytest.mark.parametrize("module", EXAMPLES)
def test_an_example_keeps_its_contract(module: str, folder: Path) -> None:
    for kind, cls in plugins(module):
        provider = Provider(kind, "example", "example", "1.0", f"example:{cls.__name__}")
        assert not contract_problems(provider, cls)

        def make(self: object, cls: type[Component] = cls) -> Component:
            return cls(cls.Params(root=folder) if "root" in cls.Params.model_fields else None)

        base = testing.LearningSegmenterSuite if issubclass(cls, LearningSegmenter) else SUITES[kind]
        suite = type(f"Test{cls.__name__}", (base,), {"make": make})
        assert testing.violations(suite) == {}


def test_the_example_of_parameters() -> None:
    params = example_of("component")["Params"]
    assert issubclass(params, Parameters)
    assert params().epochs == 200
    with pytest.raises(ValueError, match="epochs"):
        params(epochs=0)


def test_the_example_of_a_training_resumes_where_it_was() -> None:
    train: Callable[..., Any] = example_of("run")["train"]
    images = testing.ArrayImageSet(testing.good_images(5, 16, 20))

    class Kept(Checkpoint):
        """Keeps the arrays, and stops the training after the tenth time."""

        arrays: Arrays | None = None
        saved = 0

        def load(self) -> Arrays | None:
            return self.arrays

        def due(self) -> bool:
            return True

        def save(self, arrays: Arrays) -> None:
            self.arrays, self.saved = arrays, self.saved + 1
            if self.saved == 10:
                raise KeyboardInterrupt

    expected = train(images, Run(np.random.SeedSequence(0)), steps=20)
    checkpoint = Kept()
    with pytest.raises(KeyboardInterrupt):
        train(images, Run(np.random.SeedSequence(0), checkpoint=checkpoint), steps=20)
    resumed = train(images, Run(np.random.SeedSequence(0), checkpoint=checkpoint), steps=20)
    np.testing.assert_array_equal(resumed, expected)
    assert checkpoint.saved == 20
