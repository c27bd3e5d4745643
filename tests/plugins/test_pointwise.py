"""1 x 1 convolutions by oneDNN: the same values up to rounding, and the network as before afterwards."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import nn

from segad_plugins.pointwise import pointwise_by_onednn


@pytest.fixture
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 6, 1), nn.Conv2d(6, 4, 1, stride=2))


def operators(called: nn.Module, pixels: torch.Tensor) -> list[str]:
    with torch.profiler.profile() as found:
        called(pixels).sum().backward()
    return [event.key for event in found.key_averages()]


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="torch without oneDNN")
def test_one_thread_and_few_images_are_no_reason_for_another_implementation(one_thread: None) -> None:
    plain, pixels = network(), torch.randn(2, 3, 9, 9)
    expected = plain(pixels)
    expected.sum().backward()
    with pointwise_by_onednn(chosen := network()):
        found = operators(chosen, pixels)
        values = chosen(pixels)
    assert not [name for name in found if "slow_conv2d" in name]
    assert [name for name in operators(network(), pixels) if "slow_conv2d" in name]
    torch.testing.assert_close(values, expected)
    for one, other in zip(chosen.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)


def test_the_network_is_as_before_even_after_an_error() -> None:
    given = network()
    with pytest.raises(ZeroDivisionError), pointwise_by_onednn(given):
        assert [one.dilation for one in given] == [(1, 1), (2, 2), (2, 2)]
        raise ZeroDivisionError
    assert [one.dilation for one in given] == [(1, 1)] * 3
