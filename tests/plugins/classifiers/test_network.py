"""What is learnt goes through a state to the same scores, also where a backbone keeps buffers out of it."""

from pathlib import Path
from typing import Any

import numpy as np
import plain_supervised as plain
import pytest
import timm
import torch
from trainings import same_bits, seed_run

from segad_core.testing import bad_images, good_images, image_batch
from segad_plugins.classifiers.devnet import DevNet
from segad_plugins.classifiers.dra import DRA
from segad_plugins.classifiers.network import NetworkClassifier
from segad_plugins.classifiers.wide_resnet import WideResNet

_FEW = {"steps_per_epoch": 1, "batch_good": 2, "batch_bad": 1}
_CHOICES: list[tuple[type[NetworkClassifier], dict[str, Any]]] = [
    (WideResNet, {"batch": 4}),
    (DevNet, _FEW),
    (DRA, _FEW),
    (DRA, {**_FEW, "references": "upstream"}),
]


@pytest.fixture(scope="module")
def blurring(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights of a ResNet whose blurring filters are in no state dict."""
    torch.manual_seed(0)
    network = timm.create_model("resnetblur18", num_classes=0)
    assert {n for n, _ in network.named_buffers() if n.endswith("filt")} - set(network.state_dict())
    path = tmp_path_factory.mktemp("weights") / "w.pth"
    torch.save(network.state_dict(), path)
    return path


@pytest.mark.parametrize(("kind", "choices"), _CHOICES)
def test_buffers_that_are_in_no_state_are_restored(
    blurring: Path, kind: type[NetworkClassifier], choices: dict[str, Any]
) -> None:
    def made() -> NetworkClassifier:
        given = {"source": "timm", "model": "resnetblur18", "file": blurring, "epochs": 1, **choices}
        return kind(kind.Params.model_validate(given))

    trained, again = made(), made()
    plain.fit_to(trained, seed_run(), good=3, bad=2)
    state = trained.state()
    again.restore(state)
    batch = image_batch(np.concatenate([good_images(2, *plain.SIZE), bad_images(2, *plain.SIZE)]))
    expected = trained.scores(batch)
    assert np.isfinite(expected).all() and len(set(expected)) == 4
    assert (again.scores(batch) == expected).all()
    assert same_bits(again.state(), state)
