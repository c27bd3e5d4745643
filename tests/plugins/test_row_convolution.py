"""Convolutions prepared for inference against torch's own in float64, whatever the batch and the threads."""

from collections.abc import Iterator
from threading import Thread

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch_calls import Calls

from segad_plugins import row_convolution
from segad_plugins.row_convolution import PreparedConvolution, RowConvolution, prepared
from segad_plugins.training import seeded

pytestmark = pytest.mark.skipif(
    not row_convolution.runs_here(torch.device("cpu")), reason="torch has no oneDNN here"
)


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    with torch.inference_mode():
        yield
    torch.set_num_threads(before)


def _case(kernel: int, padding: int, shape: tuple[int, ...], outputs: int = 24) -> tuple[nn.Conv2d, Tensor]:
    with seeded(7):
        convolution = nn.Conv2d(shape[1], outputs, kernel, padding=padding)
        return convolution, torch.rand(shape).contiguous(memory_format=torch.channels_last)


def _exact(convolution: nn.Conv2d, x: Tensor) -> Tensor:
    bias = None if convolution.bias is None else convolution.bias.double()
    return F.conv2d(x.double(), convolution.weight.double(), bias, convolution.stride, convolution.padding)


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize(
    ("kernel", "padding", "shape"),
    [
        (4, 3, (1, 16, 20, 9)),
        (4, 0, (3, 16, 4, 4)),  # one row
        (4, 0, (2, 16, 13, 30)),  # two whole tiles
        (4, 3, (2, 16, 7, 5)),
        (3, 1, (2, 16, 12, 10)),  # two whole tiles
        (3, 1, (3, 16, 19, 11)),  # the last tile has one row
        (3, 0, (1, 16, 3, 3)),
    ],
)
def test_rows_equal_the_plain_convolution(
    kernel: int, padding: int, shape: tuple[int, ...], relu: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    convolution, x = _case(kernel, padding, shape)
    expected = _exact(convolution, x)
    if relu:
        assert (expected < 0).any() and (expected > 0).any()
        expected = expected.relu()
    for values in (1 << 20, 2000, 1):  # everything at once, some rows or images, and a tile at a time
        monkeypatch.setattr(row_convolution, "_VALUES", values)
        found = RowConvolution(convolution, relu)(x)
        assert found.is_contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(found.double(), expected, rtol=0, atol=3e-5 * float(expected.std()))


def test_rounding_is_that_of_a_convolution_with_many_channels() -> None:
    """Within five times the plain convolution's own error."""
    convolution, x = _case(4, 3, (1, 256, 33, 16), 64)
    exact = _exact(convolution, x)
    plain = (convolution(x) - exact).abs().max()
    assert 0 < (RowConvolution(convolution)(x) - exact).abs().max() < 5 * plain


def test_without_a_bias_and_with_any_layout() -> None:
    with seeded(1):
        convolution, x = nn.Conv2d(16, 8, 3, padding=1, bias=False), torch.rand(2, 40, 9, 8)
    part = x[:, 4:20]
    for made in (RowConvolution(convolution), PreparedConvolution(convolution)):
        torch.testing.assert_close(made(part).double(), _exact(convolution, part), rtol=0, atol=1e-5)


def test_an_image_has_the_same_bits_in_any_batch_and_on_any_number_of_threads() -> None:
    convolution, x = _case(4, 3, (5, 32, 30, 20))
    torch.set_num_threads(1)
    rows = RowConvolution(convolution)
    together = rows(x)
    assert torch.equal(together, torch.cat([rows(image[None]) for image in x]))
    for threads in (2, 3):
        torch.set_num_threads(threads)
        assert torch.equal(rows(x), together)


def test_threads_of_others_are_left_alone() -> None:
    convolution, x = _case(3, 1, (2, 16, 30, 20))
    row_convolution._workers.cache_clear()
    torch.set_num_threads(2)
    RowConvolution(convolution)(x)
    seen = [torch.get_num_threads()]
    other = Thread(target=lambda: seen.append(torch.get_num_threads()))
    other.start()
    other.join()
    assert seen == [2, 2]


def test_a_failure_in_a_thread_is_told() -> None:
    def fail(number: int) -> None:
        raise ValueError(str(number))

    torch.set_num_threads(2)
    with pytest.raises(ValueError, match="5"):
        row_convolution.each_on_one_thread(fail, [(5,)])


@pytest.mark.parametrize(
    ("convolution", "by_rows"),
    [
        (nn.Conv2d(128, 128, 3), True),
        (nn.Conv2d(256, 128, 4, padding=3), True),
        (nn.Conv2d(128, 128, 1), False),
        (nn.Conv2d(128, 128, 5), False),
        (nn.Conv2d(3, 128, 4), False),
        (nn.Conv2d(128, 64, 4), False),
        (nn.Conv2d(128, 128, 3, stride=2), False),
        (nn.Conv2d(128, 128, 3, dilation=2), False),
    ],
)
def test_rows_where_they_save_products(convolution: nn.Conv2d, by_rows: bool) -> None:
    made = prepared(convolution)
    assert isinstance(made, RowConvolution if by_rows else PreparedConvolution)
    with seeded(2):
        x = torch.rand(1, convolution.in_channels, 10, 10)
    torch.testing.assert_close(made(x), convolution(x), rtol=0, atol=2e-5)


def test_weights_are_laid_out_for_the_shape_that_comes() -> None:
    convolution, large = _case(1, 0, (1, 64, 40, 40), 256)
    step = PreparedConvolution(convolution)
    for x in (large, large[:, :, :2, :2], large, large.repeat(8, 1, 1, 1)):
        torch.testing.assert_close(step(x).double(), _exact(convolution, x), rtol=0, atol=1e-5)
        with Calls() as second:
            step(x)
        assert second.counts["_reorder_convolution_weight"] == 0


def test_what_is_not_built_is_refused() -> None:
    for convolution in (
        nn.Conv2d(8, 8, 3, padding="same"),
        nn.Conv2d(8, 8, 3, padding=1, padding_mode="reflect"),
    ):
        with pytest.raises(ValueError):
            prepared(convolution)
