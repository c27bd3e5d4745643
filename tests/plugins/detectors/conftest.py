"""What the detectors' tests share: a teacher's file, small trainings, and a look inside EfficientAD's."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from plain import random_pdn
from trainings import OF_FEATURES, Spy, Trial

from segad_plugins.detectors.efficientad import EfficientAD


@pytest.fixture(scope="session")
def teacher_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("teacher") / "teacher.pth"
    torch.save({name: torch.from_numpy(array) for name, array in random_pdn("small", 5).items()}, path)
    return path


@pytest.fixture(scope="session")
def make(teacher_file: Path) -> Callable[..., EfficientAD]:
    """Makes small detectors whose teacher comes from a file."""

    def made(**params: Any) -> EfficientAD:
        few = {"size": "small", "padding": False, "iterations": 3, "teacher": teacher_file}
        return EfficientAD(EfficientAD.Params.model_validate({**few, **params}))

    return made


@pytest.fixture
def spy(monkeypatch: pytest.MonkeyPatch) -> Spy:
    return Spy(monkeypatch)


@pytest.fixture(scope="session")
def trials(make: Callable[..., EfficientAD]) -> dict[str, Trial]:
    return {name: Trial(name, make) for name in (*OF_FEATURES, "efficientad")}


@pytest.fixture(params=[*OF_FEATURES, "efficientad"])
def trial(request: pytest.FixtureRequest, trials: dict[str, Trial]) -> Trial:
    """Each of the detectors that train, in turn; what it has trained for one test serves the others."""
    return trials[request.param]


@pytest.fixture
def one_thread() -> Iterator[None]:
    """torch computes on one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
