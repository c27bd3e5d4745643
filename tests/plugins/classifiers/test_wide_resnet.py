"""The classifier `wide_resnet`: what it trains, on what, how, and what its scores are."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import torchvision.models
from trainings import Kept, seed_run

from segad_core.errors import DataError, NonFiniteError, PluginError
from segad_core.evaluate import auroc
from segad_core.testing import ArrayImageSet, bad_images, good_images, image_batch
from segad_core.testing.trial_run import Killed, Told
from segad_plugins.classifiers import wide_resnet
from segad_plugins.classifiers.wide_resnet import WideResNet

_PIXELS = np.concatenate([good_images(5, 32, 48), bad_images(4, 32, 48)])
_LABELS = np.repeat([0, 1], [5, 4])
_WHOLE = len(_PIXELS)

Make = Callable[..., WideResNet]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny network's random weights."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "w.pth"
    torch.save(timm.create_model("test_resnet").state_dict(), path)
    return path


@pytest.fixture
def make(file: Path) -> Make:
    def made(**params: Any) -> WideResNet:
        given = {"source": "timm", "model": "test_resnet", "file": file, "epochs": 3, **params}
        return WideResNet(WideResNet.Params.model_validate(given))

    return made


def _fitted(classifier: WideResNet, seed: int = 1, **run: Any) -> WideResNet:
    classifier.fit(ArrayImageSet(_PIXELS), _LABELS, seed_run(seed, **run))
    return classifier


# ---- what the paper says ----


def test_defaults_are_the_papers() -> None:
    p = WideResNet.Params()
    assert (p.source, p.model, p.weights) == ("torchvision", "wide_resnet50_2", "IMAGENET1K_V1")
    assert (p.learning_rate, p.momentum, p.batch, p.weight_decay) == (0.025, 0.9, 4, 0)
    assert (p.gamma, p.alpha, p.epochs, p.precision) == (2, None, 20, "float32")


def test_cost_is_the_specifications() -> None:
    """66.8 M and a head of 2049 parameters; 14.9 GMAC, three times in training; 1600 good and 800 bad."""
    assert WideResNet().estimate(2400, (256, 256), {}).work == (
        "66.84 M parameters, 48,000 image-steps, 44.65 GMAC each"
    )
    assert round(44.65 / 3, 1) == 14.9
    steps = re.compile(r" ([\d,]+) image-steps")
    assert steps.search(WideResNet().estimate(2403, (64, 64), {}).work)[1] == "48,000"  # the rest is dropped
    assert steps.search(WideResNet().estimate(3, (64, 64), {}).work)[1] == "60"


# ---- training against a plain reference ----


def _reference(
    begin: dict[str, torch.Tensor], steps: int, rate: float, momentum: float, decay: float, **loss: Any
) -> dict[str, np.ndarray]:
    """Training on all images at once in float64, with every formula written out."""
    network = timm.create_model("test_resnet", num_classes=1).double().train()
    network.load_state_dict(begin)
    mean, std = (np.array(network.pretrained_cfg[k]) for k in ("mean", "std"))
    images = torch.from_numpy(((_PIXELS / 255 - mean) / std).transpose(0, 3, 1, 2))
    weights = dict(network.named_parameters())
    speed = {name: torch.zeros_like(w) for name, w in weights.items()}
    for _ in range(steps):
        probability = 1 / (1 + torch.exp(-network(images)[:, 0]))
        true = torch.where(torch.from_numpy(_LABELS) == 1, probability, 1 - probability)
        weight = torch.ones(_WHOLE).double()
        if loss["alpha"] is not None:
            weight = torch.from_numpy(np.where(_LABELS == 1, loss["alpha"], 1 - loss["alpha"]))
        total = -(weight * (1 - true) ** loss["gamma"] * torch.log(true)).sum() / _WHOLE
        slopes = torch.autograd.grad(total, list(weights.values()))
        with torch.no_grad():
            for (name, w), slope in zip(weights.items(), slopes, strict=True):
                speed[name] = momentum * speed[name] + slope + decay * w
                w -= rate * speed[name]
    return {name: value.detach().numpy() for name, value in network.state_dict().items()}


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"gamma": 1.0, "alpha": 0.25, "momentum": 0.5, "weight_decay": 0.1, "learning_rate": 0.01},
        {"gamma": 0.0, "momentum": 0.0},
    ],
)
def test_training_equals_the_reference(make: Make, file: Path, params: dict[str, Any]) -> None:
    """Three steps with every image in each: weights, and the batch norms' running statistics."""
    begin = torch.load(file, weights_only=True)
    first = _fitted(make(batch=_WHOLE, epochs=1, learning_rate=1e-30)).state()
    begin |= {f"fc.{entry}": torch.from_numpy(first[f"network.head.{entry}"]) for entry in ("weight", "bias")}
    p = make(**params).params
    how = (p.learning_rate, p.momentum, p.weight_decay)
    expected = _reference(begin, 3, *how, gamma=p.gamma, alpha=p.alpha)
    found = _by_timms_names(_fitted(make(batch=_WHOLE, epochs=3, **params)))
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-3, atol=1e-5, err_msg=name)
        assert not np.array_equal(found[name], begin[name]), f"{name} did not learn"


def _by_timms_names(classifier: WideResNet) -> dict[str, np.ndarray]:
    inner = {n.removeprefix("network.trunk.body.network."): v for n, v in classifier.state().items()}
    named = {n.replace("network.head.", "fc."): v for n, v in inner.items()}
    return {name: value for name, value in named.items() if name != "version"}


def test_training_begins_with_the_files_weights(make: Make, file: Path) -> None:
    found = _by_timms_names(_fitted(make(learning_rate=1e-30)))
    for name, value in torch.load(file, weights_only=True).items():
        if not name.startswith("fc.") and name.endswith(("weight", "bias")):
            np.testing.assert_allclose(found[name], value.numpy(), rtol=0, atol=1e-20)


def test_scores_are_logits_of_the_mean_of_the_map(make: Make) -> None:
    classifier = _fitted(make())
    whole = timm.create_model("test_resnet", num_classes=1).double().eval()
    whole.load_state_dict({n: torch.from_numpy(v) for n, v in _by_timms_names(classifier).items()})
    mean, std = (np.array(whole.pretrained_cfg[k]) for k in ("mean", "std"))
    images = torch.from_numpy(((_PIXELS / 255 - mean) / std).transpose(0, 3, 1, 2))
    found = classifier.scores(image_batch(_PIXELS))
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, whole(images)[:, 0].detach().numpy(), rtol=1e-4, atol=1e-4)
    state, moved = dict(classifier.state()), make()
    moved.restore({**state, "network.head.bias": state["network.head.bias"] + np.float32(1000)})
    np.testing.assert_allclose(moved.scores(image_batch(_PIXELS)), found + 1000, atol=1e-3)


def test_scoring_changes_nothing(make: Make) -> None:
    classifier = _fitted(make())
    before = classifier.state()
    classifier.scores(image_batch(_PIXELS))
    after = classifier.state()
    assert all(np.array_equal(before[name], after[name]) for name in before)


# ---- batches ----


def _batches(make: Make, monkeypatch: pytest.MonkeyPatch, count: int, seed: int = 1, **params: Any) -> list:
    """The places of the images of each step."""
    seen = []
    own = np.arange(count, dtype=np.uint8)[:, None, None, None] * np.ones((32, 32, 3), np.uint8)
    plain = wide_resnet.normalised

    def noted(pixels: Any, *args: Any) -> Any:
        seen.append(pixels[:, 0, 0, 0].tolist())
        return plain(pixels, *args)

    monkeypatch.setattr(wide_resnet, "normalised", noted)
    labels = (np.arange(count) == 0).astype(np.int64)
    make(**params).fit(ArrayImageSet(own), labels, seed_run(seed))
    return seen


@pytest.mark.parametrize(
    ("count", "batch", "sizes"), [(9, 4, [4, 4]), (8, 4, [4, 4]), (3, 4, [3]), (2, 4, [2])]
)
def test_no_batch_has_one_image(
    make: Make, monkeypatch: pytest.MonkeyPatch, count: int, batch: int, sizes: list[int]
) -> None:
    steps = _batches(make, monkeypatch, count, batch=batch, epochs=4)
    assert [len(step) for step in steps] == 4 * sizes
    per = len(sizes)
    epochs = [sum(steps[i : i + per], []) for i in range(0, len(steps), per)]  # noqa: RUF017
    assert all(len(set(epoch)) == sum(sizes) for epoch in epochs)


def test_the_order_differs_by_epoch_and_seed(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [_batches(make, monkeypatch, 9, seed, batch=9, epochs=2) for seed in (1, 2)]
    assert len({tuple(epoch) for run in runs for epoch in run}) == 4


# ---- seeds, kills, precision ----


def test_the_head_depends_on_the_seed(make: Make) -> None:
    first, second, again = (_fitted(make(learning_rate=1e-30), seed).state() for seed in (1, 2, 1))
    assert not np.array_equal(first["network.head.weight"], second["network.head.weight"])
    assert all(np.array_equal(first[name], again[name]) for name in first)


@pytest.mark.slow
def test_a_network_that_leaves_out_layers_at_random_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    """efficientnet_b0 does so while it trains: torch's global state must not matter."""
    torch.manual_seed(0)
    torch.save(torchvision.models.efficientnet_b0().state_dict(), tmp_path / "w.pth")
    given = {"model": "efficientnet_b0", "file": tmp_path / "w.pth", "epochs": 2, "learning_rate": 1e-3}

    def made() -> WideResNet:
        return WideResNet(WideResNet.Params.model_validate(given))

    torch.manual_seed(1)
    expected, kept = _fitted(made()).state(), Kept()
    torch.manual_seed(2)
    with pytest.raises(Killed):
        _fitted(made(), progress=Told(kill_at=3), checkpoint=kept)
    assert kept.saved
    found = _fitted(made(), checkpoint=kept).state()
    for name in expected:
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)


def test_bfloat16_trains_weights_in_float32_to_about_the_same(make: Make) -> None:
    exact, rough = (_fitted(make(learning_rate=1e-3, precision=p)) for p in ("float32", "bfloat16"))
    assert {v.dtype for v in rough.state().values()} == {np.dtype(np.float32), np.dtype(np.int64)}
    first, second = (c.scores(image_batch(_PIXELS)) for c in (exact, rough))
    assert not np.array_equal(first, second)
    np.testing.assert_allclose(second, first, atol=0.05)


# ---- learning ----


@pytest.mark.parametrize("seed", range(2))
def test_it_ranks_visible_defects_above_good_images(seed: int) -> None:
    classifier = WideResNet(WideResNet.Params(source="efficientnet_lite0", batch=10, epochs=4))
    training = np.concatenate([good_images(12, seed=seed), bad_images(8, seed=10 + seed)])
    classifier.fit(ArrayImageSet(training), np.repeat([0, 1], [12, 8]), seed_run(seed))
    tried = image_batch(np.concatenate([good_images(12, seed=20), bad_images(12, seed=21)]))
    assert auroc(np.repeat([0, 1], 12), classifier.scores(tried)) >= 0.9


# ---- what is refused ----


@pytest.mark.parametrize(("labels", "counts"), [([0, 0, 0], "3 good and 0 bad"), ([1], "0 good and 1 bad")])
def test_one_class_is_refused_before_any_weights_are_read(
    monkeypatch: pytest.MonkeyPatch, labels: list[int], counts: str
) -> None:
    monkeypatch.setattr(wide_resnet, "trunk", lambda *_: pytest.fail("reads weights"))
    with pytest.raises(DataError, match=f"WideResNet: .* {counts}") as caught:
        WideResNet().fit(ArrayImageSet(_PIXELS[: len(labels)]), np.array(labels), seed_run())
    assert "split.classifiers" in caught.value.remedy


def test_a_batch_of_one_is_refused() -> None:
    with pytest.raises(ValueError, match="greater than or equal to 2"):
        WideResNet.Params(batch=1)


def test_a_training_that_diverges_is_named(make: Make) -> None:
    with pytest.raises(NonFiniteError, match=r"wide_resnet: the loss is (inf|nan) at step \d of 6"):
        _fitted(make(learning_rate=1e30))


def test_a_state_of_another_network_or_version_is_refused(make: Make) -> None:
    state = _fitted(make(epochs=1)).state()
    with pytest.raises(PluginError, match=r"wide_resnet: the state .* another version"):
        make().restore({**state, "version": np.array(0)})
    with pytest.raises(PluginError, match=r"wide_resnet: the state .* another version"):
        WideResNet(WideResNet.Params(model="resnet18")).restore(state)


def test_check_names_what_cannot_work(make: Make, tmp_path: Path) -> None:
    make().check((32, 48), {})
    WideResNet().check((256, 256), {})  # downloads nothing
    with pytest.raises(PluginError, match="wide_resnet: wide_resnet50_2 has no weights 'V9'"):
        WideResNet(WideResNet.Params(weights="V9")).check((64, 64), {})
    with pytest.raises(PluginError, match=r"wide_resnet: squeezenet1_1 cannot process images of 6 x 6"):
        WideResNet(WideResNet.Params(model="squeezenet1_1")).check((6, 6), {})
    with pytest.raises(PluginError, match=r"w.pth: does not match the network"):
        make(model="resnet10t").check((64, 64), {})
    with pytest.raises(PluginError, match="wide_resnet: torchvision's swin_t has no 'features'"):
        WideResNet(WideResNet.Params(model="swin_t")).check((64, 64), {})


def test_all_logits_are_finite_for_flat_images(make: Make) -> None:
    flat = np.repeat(np.array([0, 255], np.uint8), [32 * 32 * 3] * 2).reshape(2, 32, 32, 3)
    assert np.isfinite(_fitted(make()).scores(image_batch(flat))).all()
