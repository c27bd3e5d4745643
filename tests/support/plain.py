"""What detectors compute, plainly: NumPy in float64, from their papers, with nothing of the plugins in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Values = NDArray[np.float64]
State = dict[str, NDArray[Any]]
Features = Mapping[str, NDArray[np.float32]]

MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def below(prefix: str, state: Mapping[str, NDArray[Any]]) -> dict[str, Values]:
    return {n.removeprefix(prefix): v.astype(np.float64) for n, v in state.items() if n.startswith(prefix)}


# ---- layers of networks, on (..., C, H, W) ----


def padded(x: Values, padding: int) -> Values:
    return np.pad(x, (*[(0, 0)] * (x.ndim - 2), (padding, padding), (padding, padding)))


def convolved(x: Values, weight: Values, padding: int = 0, stride: int = 1) -> Values:
    windows = sliding_window_view(padded(x, padding), weight.shape[2:], axis=(-2, -1))
    windows = windows[..., ::stride, ::stride, :, :]
    return np.moveaxis(np.tensordot(windows, weight, axes=([-5, -2, -1], [1, 2, 3])), -1, -3)


def doubled(x: Values, weight: Values) -> Values:
    """Transposed convolution: every pixel of (N, C, H, W) becomes a square of 2 x 2."""
    count, _, height, width = x.shape
    result = np.zeros((count, weight.shape[1], 2 * height, 2 * width))
    for y, z, i, j in np.ndindex(height, width, 2, 2):
        result[:, :, 2 * y + i, 2 * z + j] = x[:, :, y, z] @ weight[:, :, i, j]
    return result


def averaged(x: Values, side: int, padding: int, stride: int = 1) -> Values:
    """Means over squares; the zeros around count."""
    windows = sliding_window_view(padded(x, padding), (side, side), axis=(-2, -1))
    return windows[..., ::stride, ::stride, :, :].mean(axis=(-2, -1))


def batch_norm(x: Values, mean: Values, variance: Values, weight: Values, bias: Values) -> Values:
    scale = weight / np.sqrt(variance + 1e-5)
    return (x - mean[:, None, None]) * scale[:, None, None] + bias[:, None, None]


def layer_norm(x: Values, weight: Values, bias: Values) -> Values:
    """Of one image."""
    return (x - x.mean()) / np.sqrt(x.var() + 1e-5) * weight + bias


# ---- maps (..., H, W) ----


def resized(maps: Values, size: Sequence[int], corners: bool = False, antialias: bool = False) -> Values:
    """Bilinear: old pixels' outermost centres on new ones' (`corners`), or their edges, which repeat.

    With `antialias` a wider triangle where it shrinks.
    """
    rows, columns = (
        _shares(old, new, corners, antialias) for old, new in zip(maps.shape[-2:], size, strict=True)
    )
    return rows @ maps @ columns.T


def _shares(old: int, new: int, corners: bool, antialias: bool) -> Values:
    """(new, old): how much of each old pixel of a line is in each new one."""
    at = np.arange(new) * (old - 1) / max(new - 1, 1) if corners else (np.arange(new) + 0.5) * old / new - 0.5
    width = max(old / new, 1.0) if antialias else 1.0
    shares = np.maximum(
        0, 1 - np.abs(np.arange(old) - (at if antialias else np.clip(at, 0, old - 1))[:, None]) / width
    )
    return shares / shares.sum(axis=1, keepdims=True)


def blurred(maps: Values, sigma: float, border: str = "reflect") -> Values:
    """Reflect: mirrored without the edge; symmetric: with it. NumPy's padding has the same names."""
    radius = int(4 * sigma + 0.5)
    taps = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    for axis in (-2, -1):
        room = [(0, 0)] * maps.ndim
        room[axis] = (radius, radius)
        wide, length = np.pad(maps, room, mode=border), maps.shape[axis]  # type: ignore[call-overload]
        moved = (np.take(wide, np.arange(length) + i, axis) for i in range(2 * radius + 1))
        maps = sum(tap * part for tap, part in zip(taps / taps.sum(), moved, strict=True))  # type: ignore[assignment]
    return maps


def cosine_distance(a: Values, b: Values, axis: int | tuple[int, ...]) -> Values:
    """1 - cosine; 1 where a vector is 0."""
    norms = np.sqrt((a**2).sum(axis=axis)) * np.sqrt((b**2).sum(axis=axis))
    return 1 - np.where(norms > 0, (a * b).sum(axis=axis) / np.where(norms > 0, norms, 1), 0)


def binned(values: Values, outputs: int) -> Values:
    """Adaptive mean over the last axis: output i is the mean from floor(i L / n) to ceil((i + 1) L / n)."""
    length = values.shape[-1]
    bounds = [(i * length // outputs, -(-(i + 1) * length // outputs)) for i in range(outputs)]
    return np.stack([values[..., low:high].mean(axis=-1) for low, high in bounds], axis=-1)


# ---- steps ----


class Adam:
    """Steps with epsilon 1e-8, the decay of every weight added to its gradient."""

    def __init__(self, rate: float, betas: tuple[float, float] = (0.9, 0.999), decay: float = 0.0) -> None:
        self.rate, self.betas, self.decay = rate, betas, decay
        self._moments: dict[str, tuple[Values | float, Values | float]] = {}
        self._steps = 0

    def step(self, weights: Mapping[str, Values], gradients: Mapping[str, Values]) -> dict[str, Values]:
        self._steps += 1
        (one, two), after = self.betas, {}
        for name, gradient in gradients.items():
            gradient = gradient + self.decay * weights[name]
            first, second = self._moments.get(name, (0.0, 0.0))
            first, second = one * first + (1 - one) * gradient, two * second + (1 - two) * gradient**2
            self._moments[name] = first, second
            up, down = first / (1 - one**self._steps), np.sqrt(second / (1 - two**self._steps))
            after[name] = weights[name] - self.rate * up / (down + 1e-8)
        return after


# ---- FastFlow: one image's layer (C, H, W) ----


def coupled(x: Values, entries: Mapping[str, Values]) -> tuple[Values, float]:
    """A step of a flow, and its log-determinant."""
    half, side = len(x) // 2, entries["subnet.0.weight"].shape[2] // 2
    inner, a = (entries[f"subnet.{i}.bias"][:, None, None] for i in (0, 2))
    inner = np.maximum(convolved(x[:half], entries["subnet.0.weight"], side) + inner, 0)
    a = 0.1 * (convolved(inner, entries["subnet.2.weight"], side) + a)
    s = 2 * np.tanh(a[: len(x) - half])
    u = np.concatenate([x[:half], x[half:] * np.exp(s) + a[len(x) - half :]])
    g = 0.1 * 2 * np.log1p(np.exp(0.5 * entries["gamma"]))  # softplus of beta 0.5
    out = g[:, None, None] * u + entries["beta"][:, None, None]
    log_det = s.sum() + x.shape[1] * x.shape[2] * np.log(g).sum()
    return np.stack([out[int(channel)] for channel in entries["permutation"]]), float(log_det)


def flowed(x: NDArray[np.float32], entries: Mapping[str, Values]) -> tuple[Values, float]:
    """z and the log-determinant of a layer, from the named arrays of its flow."""
    z, total = layer_norm(x.astype(np.float64), entries["norm.weight"], entries["norm.bias"]), 0.0
    for index in range(sum(name.endswith("gamma") for name in entries)):
        z, log_det = coupled(z, below(f"steps.{index}.", entries))
        total += log_det
    return z, total


# ---- RD4AD: a batch (N, C, H, W) ----


class ReversedStudent:
    """RD4AD's student from its named arrays; `training` takes the batch's own statistics for the norms."""

    def __init__(self, state: Mapping[str, NDArray[Any]], training: bool = False) -> None:
        self.entries = {n.removeprefix("student."): v.astype(np.float64) for n, v in state.items()}
        self.training = training
        self.statistics: dict[str, tuple[Values, Values, int]] = {}
        self.used: set[str] = set()

    def _entry(self, name: str) -> Values:
        self.used.add(name)
        return self.entries[name]

    def norm(self, x: Values, name: str) -> Values:
        mean, variance = self._entry(f"{name}.running_mean"), self._entry(f"{name}.running_var")
        if self.training:
            mean, variance = x.mean(axis=(0, 2, 3)), x.var(axis=(0, 2, 3))
            self.statistics[name] = mean, variance, x.size // x.shape[1]
        return batch_norm(x, mean, variance, self._entry(f"{name}.weight"), self._entry(f"{name}.bias"))

    def conv(self, x: Values, name: str, stride: int = 1) -> Values:
        """Zeros around a kernel of 3, none around a kernel of 1."""
        weight = self._entry(f"{name}.0.weight")
        return self.norm(convolved(x, weight, weight.shape[2] // 2, stride), f"{name}.1")

    def block(self, x: Values, name: str, resize: str) -> Values:
        def middle(values: Values, part: str) -> Values:
            where = f"{name}.{part}"
            if resize == "up":
                return self.norm(doubled(values, self._entry(f"{where}.0.weight")), f"{where}.1")
            return self.conv(values, where, 1 + (resize == "down"))

        y = np.maximum(self.conv(x, f"{name}.enter"), 0)
        y = self.conv(np.maximum(middle(y, "middle"), 0), f"{name}.leave")
        return np.maximum(y + (x if resize == "" else middle(x, "skip")), 0)

    def imitations(self, layers: Sequence[NDArray[np.float32]]) -> list[Values]:
        count, beside = len(layers), []
        for i, layer in enumerate(layers):
            x = layer.astype(np.float64)
            for j in range(count - 1 - i):
                x = np.maximum(self.conv(x, f"descents.{i}.{j}.0", 2), 0)
            beside.append(x)
        x = np.concatenate(beside, axis=1)
        for i, resize in enumerate(("down", "", "")):
            x = self.block(x, f"bottleneck.{i}", resize)
        found = []
        for stage, (blocks, layer) in enumerate(zip((3, 4, 6), layers[::-1], strict=False)):
            for i in range(blocks):
                x = self.block(x, f"stages.{stage}.{i}", "" if i else "up")
                if i == 0:
                    assert x.shape[2] - layer.shape[2] in (0, 1) and x.shape[3] - layer.shape[3] in (0, 1)
            x = x[:, :, : layer.shape[2], : layer.shape[3]]
            found.append(x)
        return found[::-1]


# ---- EfficientAD: one image at a time ----

# convolutions as (place in the published network, outputs (None: those wanted), inputs, kernel, padding);
# a pool stands behind the first two
PDN: dict[str, tuple[tuple[int, int | None, int | None, int, int], ...]] = {
    "small": ((0, 128, 3, 4, 3), (3, 256, 128, 4, 3), (6, 256, 256, 3, 1), (8, None, 256, 4, 0)),
    "medium": (
        *((0, 256, 3, 4, 3), (3, 512, 256, 4, 3), (6, 512, 512, 1, 0)),
        *((8, 512, 512, 3, 1), (10, None, 512, 4, 0), (12, None, None, 1, 0)),
    ),
}


def _layer(rng: np.random.Generator, name: str, outputs: int, inputs: int, *kernel: int) -> State:
    """Random weights that keep the size of what goes through."""
    shape = (outputs, inputs, kernel[0], kernel[-1])
    weight = rng.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape).astype(np.float32)
    return {f"{name}.weight": weight, f"{name}.bias": rng.normal(0, 0.2, outputs).astype(np.float32)}


def random_pdn(size: str, seed: int | np.random.Generator, outputs: int = 384, name: str = "") -> State:
    """A teacher as nelson1425/EfficientAD writes it down (`0.weight`, `3.weight`, ...), or a student."""
    rng, state = np.random.default_rng(seed), State()
    for place, out, inputs, kernel, _ in PDN[size]:
        state |= _layer(rng, f"{name}{place}", out or outputs, inputs or outputs, kernel)
    return state


def random_efficientad(size: str, image_size: tuple[int, int], seed: int = 0) -> State:
    """All named arrays of a detector."""
    rng, own = np.random.default_rng(seed), "networks."
    state = random_pdn(size, rng, 384, f"{own}teacher.") | random_pdn(size, rng, 768, f"{own}student.")
    for place, (inputs, outputs) in enumerate([(3, 32), (32, 32), (32, 64), (64, 64), (64, 64)]):
        state |= _layer(rng, f"{own}autoencoder.encoder.{2 * place}", outputs, inputs, 4)
    rest = (image_size[0] // 32, image_size[1] // 32)
    state |= _layer(rng, f"{own}autoencoder.encoder.10", 64, 64, *rest)
    for place in range(6):
        state |= _layer(rng, f"{own}autoencoder.ascents.{place}", 64, 64, 4)
    state |= _layer(rng, f"{own}autoencoder.head.0", 64, 64, 3)
    state |= _layer(rng, f"{own}autoencoder.head.2", 384, 64, 3)
    state[f"{own}mean"] = rng.normal(0, 0.5, (1, 384, 1, 1)).astype(np.float32)
    state[f"{own}spread"] = rng.uniform(0.5, 2, (1, 384, 1, 1)).astype(np.float32)
    state[f"{own}quantiles"] = np.array([[0.1, 1.3], [0.05, 0.6]], np.float32)
    return {"version": np.array(1), "image_size": np.array(image_size, np.int64), **state}


def network_input(pixels: NDArray[np.uint8], size: Sequence[int] | None = None) -> Values:
    """Images (..., H, W, 3) normalised, channels first, at the size wanted."""
    images = np.moveaxis((pixels / 255 - MEAN) / STD, -1, -3)
    return images if size in (None, images.shape[-2:]) else resized(images, size, antialias=True)


def _biased(x: Values, state: State, name: str, padding: int = 0, stride: int = 1) -> Values:
    bias = state[f"{name}.bias"].astype(np.float64)[:, None, None]
    return convolved(x, state[f"{name}.weight"].astype(np.float64), padding, stride) + bias


def description(x: Values, state: State, name: str, size: str, pads: bool) -> Values:
    """Of one image by the teacher or the student."""
    for place, _, _, _, padding in PDN[size]:
        x = _biased(x, state, f"networks.{name}.{place}", padding * pads)
        if place != PDN[size][-1][0]:
            x = np.maximum(x, 0)
        if place in (0, 3):
            x = averaged(x, 2, int(pads), stride=2)
    return x


def _imitation(x: Values, state: State, grid: tuple[int, ...]) -> Values:
    """By the autoencoder."""
    height, width = x.shape[1:]
    own = "networks.autoencoder"
    for place in range(5):
        x = np.maximum(_biased(x, state, f"{own}.encoder.{2 * place}", 1, stride=2), 0)
    x = _biased(x, state, f"{own}.encoder.10")
    assert x.shape == (64, 1, 1)
    for place, (part, less) in enumerate([(64, 1), (32, 0), (16, 1), (8, 0), (4, 1), (2, 1)]):
        x = resized(x, [max(1, height // part - less), max(1, width // part - less)])
        x = np.maximum(_biased(x, state, f"{own}.ascents.{place}", 2), 0)
    x = np.maximum(_biased(resized(x, grid), state, f"{own}.head.0", 1), 0)
    return _biased(x, state, f"{own}.head.2", 1)


def raw_maps(pixels: NDArray[np.uint8], state: State, size: str, pads: bool) -> tuple[Values, Values]:
    """The two maps (h, w) of one image before they are normalised."""
    image = network_input(pixels, tuple(state["image_size"].tolist()))
    teacher = description(image, state, "teacher", size, pads)
    teacher = (teacher - state["networks.mean"][0]) / state["networks.spread"][0]
    student = description(image, state, "student", size, pads)
    imitated = _imitation(image, state, teacher.shape[1:])
    return ((teacher - student[:384]) ** 2).mean(axis=0), ((imitated - student[384:]) ** 2).mean(axis=0)


def efficientad_map(pixels: NDArray[np.uint8], state: State, size: str, pads: bool) -> Values:
    quantiles = state["networks.quantiles"].astype(np.float64)
    pair = [
        0.1 * (raw - low) / (high - low)
        for raw, (low, high) in zip(raw_maps(pixels, state, size, pads), quantiles, strict=True)
    ]
    grid = 0.5 * pair[0] + 0.5 * pair[1]
    return resized(grid if pads else np.pad(grid, 4), pixels.shape[:2])


def efficientad_loss(described: Values, students: Values, imitated: Values) -> float:
    """Of (384, h, w), (1 or 2, 768, h, w) and (384, h, w), as the paper defines it."""
    differences = (described - students[0, :384]) ** 2
    ordered = np.sort(differences, axis=None)
    position = Fraction(999, 1000) * (len(ordered) - 1)
    low = int(position)
    quantile = ordered[low] + float(position - low) * (ordered[min(low + 1, len(ordered) - 1)] - ordered[low])
    loss = differences[differences >= quantile].mean()
    if len(students) == 2:
        loss += (students[1, :384] ** 2).mean()
    loss += ((described - imitated) ** 2).mean()
    return float(loss + ((imitated - students[0, 384:]) ** 2).mean())
