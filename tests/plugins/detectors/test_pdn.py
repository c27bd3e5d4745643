"""EfficientAD's networks: sizes, parameters and cost against the published figures and plain counting."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from segad_plugins.detectors.pdn import Autoencoder, Size, pdn, pdn_side, smallest_side
from segad_plugins.estimate_tools import count_parameters, macs

_PDN = {
    # (padded, unpadded) side after every convolution and pool, for an image of 256
    "medium": ([259, 130, 133, 67, 67, 67, 64, 64], [253, 126, 123, 61, 61, 59, 56, 56]),
    "small": ([259, 130, 133, 67, 67, 64], [253, 126, 123, 61, 59, 56]),
}


def _weights(*convolutions: tuple[int, int, int]) -> int:
    """Parameters of convolutions (kernel, channels in, channels out)."""
    return sum(k * k * a * b + b for k, a, b in convolutions)


def _own_macs(network: nn.Module, image: torch.Tensor) -> int:
    """Multiply-adds counted layer by layer: values put out times what goes into each."""
    total = 0

    def count(layer: nn.Conv2d, _: object, output: torch.Tensor) -> None:
        nonlocal total
        total += output.numel() * layer.in_channels * layer.kernel_size[0] * layer.kernel_size[1]

    handles = [m.register_forward_hook(count) for m in network.modules() if isinstance(m, nn.Conv2d)]
    network(image)
    for handle in handles:
        handle.remove()
    return total


def _sides(network: nn.Module, kinds: tuple[type, ...], image: torch.Tensor) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for module in network.modules():
        if isinstance(module, kinds):
            module.register_forward_hook(lambda _, __, output: found.append(tuple(output.shape[2:])))
    network(image)
    return found


@pytest.mark.parametrize("size", ["small", "medium"])
@pytest.mark.parametrize("padding", [True, False])
def test_sides_of_a_patch_description_network(size: Size, padding: bool) -> None:
    with torch.device("meta"):
        network, image = pdn(size, 384, padding), torch.empty(1, 3, 256, 256)
    expected = _PDN[size][0 if padding else 1]
    assert _sides(network, (nn.Conv2d, nn.AvgPool2d), image) == [(side, side) for side in expected]
    assert pdn_side(size, padding, 256) == expected[-1] == (64 if padding else 56)


def test_channels_and_the_relu_that_is_not_last() -> None:
    with torch.device("meta"):
        networks = {size: pdn(size, 768, True) for size in ("small", "medium")}
    for size, outputs in {"medium": [256, 512, 512, 512, 768, 768], "small": [128, 256, 256, 768]}.items():
        convolutions = [m for m in networks[size] if isinstance(m, nn.Conv2d)]
        assert [m.out_channels for m in convolutions] == outputs
        assert sum(isinstance(m, nn.ReLU) for m in networks[size]) == len(convolutions) - 1
        assert isinstance(networks[size][-1], nn.Conv2d)


def test_parameters_and_cost_of_the_papers_setting() -> None:
    """Size medium, padded, 256 x 256: the published millions and GMAC, and each weight counted by hand."""
    with torch.device("meta"):
        image = torch.empty(1, 3, 256, 256)
        teacher, student = pdn("medium", 384, True), pdn("medium", 768, True)
        autoencoder = Autoencoder((256, 256), (64, 64))
    common = [(4, 3, 256), (4, 256, 512), (1, 512, 512), (3, 512, 512)]
    assert count_parameters(teacher) == _weights(*common, (4, 512, 384), (1, 384, 384))
    assert count_parameters(student) == _weights(*common, (4, 512, 768), (1, 768, 768))
    assert count_parameters(autoencoder) == _weights(
        *[(4, 3, 32), (4, 32, 32), (4, 32, 64), (4, 64, 64), (4, 64, 64), (8, 64, 64)],
        *[(4, 64, 64)] * 6,
        *[(3, 64, 64), (3, 64, 384)],
    )
    facts = [(teacher, 8.0, 63.2), (student, 11.6, 77.9), (autoencoder, 1.1, 2.6)]
    for network, millions, gmac in facts:
        assert round(count_parameters(network) / 1e6, 1) == millions
        assert round(macs(network, image) / 1e9, 1) == gmac
        assert macs(network, image) == _own_macs(network, image)


@pytest.mark.parametrize(("padding", "gmac"), [(True, 143.7), (False, 118)])
def test_cost_of_a_map(padding: bool, gmac: float) -> None:
    side = 64 if padding else 56
    with torch.device("meta"):
        image = torch.empty(1, 3, 256, 256)
        networks = (pdn("medium", 384, padding), pdn("medium", 768, padding))
        autoencoder = Autoencoder((256, 256), (side, side))
    total = sum(macs(network, image) for network in (*networks, autoencoder)) / 1e9
    assert round(total, 1 if padding else 0) == gmac


@pytest.mark.parametrize("size", ["small", "medium"])
def test_padding_changes_no_weight(size: Size) -> None:
    with torch.device("meta"):
        padded, plain = pdn(size, 384, True).state_dict(), pdn(size, 384, False).state_dict()
    assert {k: v.shape for k, v in padded.items()} == {k: v.shape for k, v in plain.items()}


def test_pools_count_the_zeros_around() -> None:
    pool = next(m for m in pdn("small", 384, True) if isinstance(m, nn.AvgPool2d))
    pooled = pool(torch.ones(1, 1, 4, 4))[0, 0].tolist()
    assert pooled == [[0.25, 0.5, 0.25], [0.5, 1.0, 0.5], [0.25, 0.5, 0.25]]


@settings(deadline=None, max_examples=60)
@given(
    size=st.sampled_from(["small", "medium"]),
    padding=st.booleans(),
    height=st.integers(1, 80) | st.integers(1, 700),
    width=st.integers(24, 700),
)
def test_side_agrees_with_the_network(size: Size, padding: bool, height: int, width: int) -> None:
    """Also that an image which is too small has a side that is not positive."""
    with torch.device("meta"):
        network, image = pdn(size, 384, padding), torch.empty(1, 3, height, width)
    sides = (pdn_side(size, padding, height), pdn_side(size, padding, width))
    if min(sides) < 1:
        with pytest.raises(RuntimeError):
            network(image)
    else:
        assert tuple(network(image).shape) == (1, 384, *sides)


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
@pytest.mark.parametrize("size", ["small", "medium"])
@pytest.mark.parametrize("padding", [True, False])
def test_smallest_side_is_the_smallest_that_works(size: Size, padding: bool) -> None:
    def run(side: int) -> tuple[int, ...]:
        with torch.device("meta"):
            image, grid = torch.empty(1, 3, side, side), pdn_side(size, padding, side)
            described = pdn(size, 384, padding)(image)
            imitated = Autoencoder((side, side), (grid, grid))(image)
        assert described.shape == imitated.shape
        return tuple(imitated.shape)

    least = smallest_side(size, padding)
    assert run(least)[1] == 384
    assert run(least)[2:] >= (2, 2)
    if padding:  # the autoencoder's limit
        with pytest.raises((RuntimeError, ValueError)):
            run(least - 1)
    else:  # a map of one value a side cannot be normalised
        assert (least, run(least - 1)[2:]) == (37, (1, 1))


def test_sides_of_the_autoencoder() -> None:
    """Five halvings, one vector; then 3, 8, 15, 32, 63, 127, each one more after its convolution; then 64."""
    with torch.device("meta"):
        image, autoencoder = torch.empty(1, 3, 256, 256), Autoencoder((256, 256), (64, 64))
    resized: list[tuple[int, int]] = []
    for ascent in (*autoencoder.ascents, autoencoder.head):
        ascent.register_forward_pre_hook(lambda _, inputs: resized.append(tuple(inputs[0].shape[2:])))
    sides = [side for side, _ in _sides(autoencoder, (nn.Conv2d,), image)]
    assert sides[:6] == [128, 64, 32, 16, 8, 1]
    assert [side for side, _ in resized] == [3, 8, 15, 32, 63, 127, 64]
    assert sides[6:] == [4, 9, 16, 33, 64, 128, 64, 64]
    assert isinstance(autoencoder.encoder[-1], nn.Conv2d)  # no ReLU behind the vector


@settings(deadline=None, max_examples=25)
@given(height=st.integers(32, 400), width=st.integers(32, 400), grid=st.tuples(*[st.integers(1, 70)] * 2))
def test_the_autoencoder_takes_any_size_through_one_vector(
    height: int, width: int, grid: tuple[int, int]
) -> None:
    with torch.device("meta"):
        image, autoencoder = torch.empty(1, 3, height, width), Autoencoder((height, width), grid)
    assert autoencoder.encoder(image).shape == (1, 64, 1, 1)
    assert autoencoder(image).shape == (1, 384, *grid)


def test_dropout_of_a_fifth_follows_each_of_six_relus_and_only_in_training() -> None:
    torch.manual_seed(0)
    autoencoder, image = Autoencoder((64, 64), (16, 16)), torch.rand(1, 3, 64, 64)
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    autoencoder.dropout.register_forward_hook(lambda _, inputs, out: seen.append((inputs[0], out)))
    with torch.no_grad():
        first, second = autoencoder(image), autoencoder(image)
        assert len(seen) == 12 and not torch.equal(first, second)
        before, after = (torch.cat([pair[i].flatten() for pair in seen]) for i in (0, 1))
        alive = before > 0
        assert (before >= 0).all() and 0.05 < alive.float().mean() < 0.95
        assert (after[alive] == 0).float().mean() == pytest.approx(0.2, abs=0.01)
        autoencoder.eval()
        assert torch.equal(autoencoder(image), autoencoder(image))
