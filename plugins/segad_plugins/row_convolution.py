"""Convolutions for inference on a CPU: weights laid out once, ReLU included, and fewer multiplications.

Rows are convolved by minimal filtering (Winograd 1980; Lavin and Gray, CVPR 2016), in one direction only:
8 rows of the input become 8 sums of rows, each is convolved with a row of weights, and sums of the results
are 5 (kernel 4) or 6 (kernel 3) rows of the output: 8 products in place of 20 or 18. In one direction the
rounding is hardly worse than a plain convolution's: a few millionths of the output's spread.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from threading import Barrier
from typing import Any

import torch
from torch import Tensor, nn

_POINTS = (0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5)  # and infinity; of other points, rounding is worse
_ROWS = len(_POINTS) + 1  # of the input, and sums of them
_VALUES = 1 << 20  # of a result of one sum: more would leave the cache
_LEAST_CHANNELS = 128  # with fewer, sums cost more than products save


def runs_here(device: torch.device) -> bool:
    """Whether torch has what these convolutions need: oneDNN, on a CPU."""
    return (
        device.type == "cpu"
        and torch.backends.mkldnn.is_available()
        and hasattr(torch.ops.mkldnn, "_convolution_pointwise")
        and hasattr(torch.ops.mkldnn, "_reorder_convolution_weight")
    )


def prepared(
    convolution: nn.Conv2d, relu: bool = False, most: float | None = None
) -> PreparedConvolution | RowConvolution:
    """A convolution, and a ReLU if wanted, for inference: by rows where that saves products.

    Args:
        convolution: it; its padding is zeros, given by number.
        relu: whether a ReLU follows.
        most: the highest value after the ReLU, as 6 of ReLU6; any if None.
    """
    by_rows = (
        convolution.kernel_size[0] in (3, 4)
        and convolution.stride == (1, 1)
        and convolution.dilation == (1, 1)
        and convolution.groups == 1
        and most is None
        and min(convolution.in_channels, convolution.out_channels) >= _LEAST_CHANNELS
    )
    return RowConvolution(convolution, relu) if by_rows else PreparedConvolution(convolution, relu, most)


def like(convolution: nn.Conv2d, weight: Tensor, bias: Tensor) -> nn.Conv2d:
    """A convolution with other weights and another bias, for inference."""
    made = nn.Conv2d(
        weight.shape[1],
        len(weight),
        convolution.kernel_size,
        convolution.stride,
        convolution.padding,
        device="meta",
    )
    made.weight = nn.Parameter(weight.float(), requires_grad=False)
    made.bias = nn.Parameter(bias.float(), requires_grad=False)
    return made


class PreparedConvolution:
    """A convolution whose weights lie as oneDNN wants them, with its ReLU: no other pass over the output.

    How it wants them depends on the input's shape: they are laid out anew for another one, and kept once.
    """

    def __init__(self, convolution: nn.Conv2d, relu: bool = False, most: float | None = None) -> None:
        strides = [list(convolution.stride), list(convolution.dilation)]
        self._how = [_padding(convolution), *strides, convolution.groups]
        self._bias, self._shape = convolution.bias, convolution.weight.shape
        self._then: list[Any] = ["relu" if relu else "none", [], ""]
        if relu and most is not None:
            self._then = ["hardtanh", [0.0, most], ""]
        self._laid_out: tuple[object, Tensor] = (None, convolution.weight)

    def __call__(self, x: Tensor, shape: Sequence[int] | None = None) -> Tensor:
        """Maps (N, C, H, W) to (N, K, h, w), channels last in memory.

        Args:
            x: the input.
            shape: the shape that weights are laid out for; the input's own by default.
        """
        x = x.contiguous(memory_format=torch.channels_last)
        weight = self._weight(tuple(shape or x.shape))
        return torch.ops.mkldnn._convolution_pointwise(x, weight, self._bias, *self._how, *self._then)

    def _weight(self, shape: tuple[int, ...]) -> Tensor:
        laid_out_for, weight = self._laid_out
        if laid_out_for != (shape, torch.get_num_threads()):
            dense = weight.to_dense().view(self._shape) if weight.is_mkldnn else weight
            dense = dense.contiguous(memory_format=torch.channels_last)
            weight = torch.ops.mkldnn._reorder_convolution_weight(dense, *self._how, list(shape))
            self._laid_out = ((shape, torch.get_num_threads()), weight)
        return weight


class RowConvolution:
    """A convolution of stride 1 with a kernel of height 3 or 4, computed from sums of rows."""

    def __init__(self, convolution: nn.Conv2d, relu: bool = False) -> None:
        self._kernel, self._relu = convolution.kernel_size, relu
        self._padding = _padding(convolution)
        self._channels, self._outputs = convolution.in_channels, convolution.out_channels
        of_weights, of_input = _transforms(self._kernel[0])
        weights = torch.einsum("nr,kcrs->nkcs", of_weights, convolution.weight.double()).float()
        self._of_input = of_input.float()
        self._rows: list[PreparedConvolution] = []
        for i, weight in enumerate(weights):
            row = nn.Conv2d(
                self._channels,
                self._outputs,
                (1, self._kernel[1]),
                padding=(0, self._padding[1]),
                device="meta",
                bias=False,
            )
            row.weight = nn.Parameter(weight[:, :, None], requires_grad=False)
            # the sum of rows at point 1 is added once to each row of the output: so is its bias
            if i == _POINTS.index(1) and convolution.bias is not None:
                row.bias = convolution.bias
            self._rows.append(PreparedConvolution(row))

    def __call__(self, x: Tensor) -> Tensor:
        """Maps (N, C, H, W) to (N, K, h, w), channels last in memory."""
        count, _, height, width = x.shape
        step = _ROWS - self._kernel[0] + 1
        height += 2 * self._padding[0] - self._kernel[0] + 1
        width += 2 * self._padding[1] - self._kernel[1] + 1
        out = x.new_empty((count, height, width, self._outputs))
        rows = x.permute(0, 2, 3, 1)
        tiles = -(-height // step)
        most = min(_VALUES // (width * self._outputs), -(-count * tiles // torch.get_num_threads()))
        images = max(1, most // tiles)
        some = step * -(-tiles // -(-tiles // max(1, most)))  # rows at a time
        shape = (min(images, count), self._channels, some // step, rows.shape[2])
        each_on_one_thread(
            lambda image, top: self._fill(
                out[image : image + images, top : top + some], rows[image : image + images], top, shape
            ),
            [(image, top) for image in range(0, count, images) for top in range(0, height, some)],
        )
        return out.permute(0, 3, 1, 2)

    def _fill(self, out: Tensor, x: Tensor, top: int, shape: Sequence[int]) -> None:
        """Computes rows of the output (n, h, w, K) from `top` on, for images (n, H, W, C)."""
        step = _ROWS - self._kernel[0] + 1
        sums = self._sums(x, top, -(-out.shape[1] // step), step)
        first, *finite, last = [
            row(sums[i].permute(0, 3, 1, 2), shape).permute(0, 2, 3, 1) for i, row in enumerate(self._rows)
        ]
        # of points a and -a, even powers take the sum and odd powers the difference
        even = [finite[i].add_(finite[i + 1]) for i in range(0, len(finite), 2)]
        odd = [torch.sub(even[i // 2], finite[i], alpha=2, out=finite[i]) for i in range(1, len(finite), 2)]
        for row in range(min(step, out.shape[1])):
            to = out[:, row::step]
            terms = [(odd if row % 2 else even)[i] for i in range(len(even))]
            factors = [point**row for point in _POINTS[1::2]]
            if row in (0, step - 1):
                terms.append(first if row == 0 else last)
                factors.append(1.0)
            terms = [term[:, : to.shape[1]] for term in terms]  # the last tile may be cut
            torch.add(terms[0], terms[1], alpha=factors[1], out=to)
            for term, factor in zip(terms[2:], factors[2:], strict=True):
                to.add_(term, alpha=factor)
        if self._relu:
            out.relu_()

    def _sums(self, x: Tensor, top: int, tiles: int, step: int) -> Tensor:
        """Sums of the input's rows (8, n, tiles, W, C) for rows of the output from `top` on."""
        count, height, width, channels = x.shape
        rows = (tiles - 1) * step + _ROWS
        start = top - self._padding[0]
        above, below = max(0, -start), max(0, start + rows - height)
        padded = x.new_empty((count, rows, width, channels))
        padded[:, :above] = 0
        padded[:, rows - below :] = 0
        padded[:, above : rows - below] = x[:, start + above : start + rows - below]
        padded = padded.view(count, rows, width * channels)
        sums = x.new_empty((_ROWS, count, tiles, width * channels))
        for image in range(count):
            for tile in range(tiles):
                of_tile = padded[image, tile * step : tile * step + _ROWS]
                torch.mm(self._of_input, of_tile, out=sums[:, image, tile])
        return sums.view(_ROWS, count, tiles, width, channels)


def each_on_one_thread(work: Callable[..., None], arguments: Sequence[tuple[Any, ...]]) -> None:
    """Calls `work` with each of the arguments, on as many threads as torch uses; each call has one of them.

    Many short steps in a row run best so: they never wait for another thread.
    """
    threads = torch.get_num_threads()
    if threads == 1:
        for each in arguments:
            work(*each)
        return

    def alone(each: tuple[Any, ...]) -> None:
        with torch.inference_mode():
            work(*each)

    list(_workers(threads, os.getpid()).map(alone, arguments))


@cache
def _workers(threads: int, _process: int) -> ThreadPoolExecutor:
    """Threads that let torch use one thread each; a forked process has none of its parent's."""
    pool = ThreadPoolExecutor(threads)
    together = Barrier(threads)

    def start(_: int) -> None:
        torch.set_num_threads(1)
        together.wait()

    list(pool.map(start, range(threads)))
    torch.set_num_threads(threads)  # the last word decides for threads to come
    return pool


@cache
def _transforms(kernel: int) -> tuple[Tensor, Tensor]:
    """Matrices of the weights' rows (8, kernel) and of the input's rows (8, 8), by Toom and Cook."""
    points = torch.tensor(_POINTS, dtype=torch.float64)
    weights = torch.zeros(_ROWS, kernel, dtype=torch.float64)
    inputs = torch.zeros(_ROWS, _ROWS, dtype=torch.float64)
    for i, point in enumerate(points):
        others = torch.cat([points[:i], points[i + 1 :]])
        weights[i] = point ** torch.arange(kernel) / (point - others).prod()
        inputs[i, :-1] = _polynomial(others)
    weights[-1, -1] = 1
    inputs[-1] = _polynomial(points)
    return weights, inputs


def _polynomial(roots: Tensor) -> Tensor:
    """Coefficients of the polynomial with these roots, from the constant to the highest power, which is 1."""
    coefficients = torch.ones(1, dtype=torch.float64)
    for root in roots:
        shifted = torch.cat([coefficients.new_zeros(1), coefficients])
        shifted[:-1] -= root * coefficients
        coefficients = shifted
    return coefficients


def _padding(convolution: nn.Conv2d) -> list[int]:
    padding = convolution.padding
    if isinstance(padding, str) or convolution.padding_mode != "zeros":
        raise ValueError("needs a padding of zeros, given by number")
    return list(padding)
