"""Images in memory, good and with visible defects; and sets and batches of them, as plugins receive them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segad_core.base.digest import array_digest
from segad_core.base.sealed import Sealed
from segad_core.base.witness import locked
from segad_core.contracts import Encoder, ImageBatch, Sample, to_numpy

Pixels = NDArray[np.uint8]


def good_images(count: int, height: int = 64, width: int = 96, seed: int = 0) -> Pixels:
    """Good parts (count, height, width, 3): striped plates that hardly differ."""
    return _good_images(count, height, width, seed).copy()


@lru_cache(maxsize=16)  # the clauses of a suite ask for the same ones again and again
def _good_images(count: int, height: int, width: int, seed: int) -> Pixels:
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width].astype(np.float64)
    images = []
    for _ in range(count):
        light = rng.normal(0, 2) + 12 * rows / height
        stripes = 18 * np.cos(2 * np.pi * (columns + rng.normal(0, 0.3)) / 12)
        grey = 120 + light + stripes + rng.normal(0, 3, (height, width))
        images.append(np.stack([grey, grey * 0.9, grey * 0.75], axis=-1))
    return np.clip(np.reshape(images, (count, height, width, 3)), 0, 255).astype(np.uint8)


def bad_images(count: int, height: int = 64, width: int = 96, seed: int = 1, dark: float = 0.5) -> Pixels:
    """Bad parts (count, height, width, 3): good ones with a clearly visible dark or bright stain.

    Args:
        count, height, width: the shape of the array.
        seed: determines the images.
        dark: the probability of a dark stain; others are bright.
    """
    return _bad_images(count, height, width, seed, dark).copy()


@lru_cache(maxsize=16)
def _bad_images(count: int, height: int, width: int, seed: int, dark: float) -> Pixels:
    images = good_images(count, height, width, seed)
    rng = np.random.default_rng([seed, 1])
    rows, columns = np.mgrid[:height, :width].astype(np.float64)
    radius = min(height, width) / 6
    for image in images:
        y, x = rng.uniform(radius, height - radius), rng.uniform(radius, width - radius)
        stain = np.hypot(rows - y, columns - x) < radius
        image[stain] = (25, 20, 40) if rng.random() < dark else (245, 250, 210)
    return images


def image_batch(
    pixels: Pixels,
    encoder: Encoder | None = None,
    layers: Sequence[str] = (),
    samples: Sequence[Sample] | None = None,
) -> ImageBatch:
    """A batch of images (N, H, W, 3), which on disk would be twice as high and as wide.

    Args:
        pixels: the images; the batch holds this array, not a copy.
        encoder: computes the features.
        layers: its layers that are read; if empty, the batch has no features, as in a run.
        samples: what is known about the images; by default, they have a name and are good.
    """
    known = _samples(len(pixels)) if samples is None else samples
    places = {sample.id: i for i, sample in enumerate(known)}

    def load(sample: Sample) -> Pixels:
        full: Pixels = pixels[places[sample.id]].repeat(2, axis=0).repeat(2, axis=1)
        return full

    encode = partial(encoder.encode, layers=tuple(layers)) if encoder is not None and layers else None
    return ImageBatch(known, pixels, encode, load)


@dataclass
class ArrayImageSet(Sealed):
    """Implements the contract `ImageSet` over an array of images (N, H, W, 3).

    Attributes:
        array: the images; batches hold views of it.
        encoder: computes the features, if any are read.
        layers: the layers that are read.
        batch_size: the number of images per batch; the last may have fewer.
    """

    array: Pixels
    encoder: Encoder | None = None
    layers: tuple[str, ...] = ()
    batch_size: int = 4
    _features: Mapping[str, NDArray[np.float32]] | None = field(default=None, repr=False)
    _open = ("array", "encoder", "layers", "batch_size")  # which plugins do not know

    def __post_init__(self) -> None:
        self._seal()

    @property
    def samples(self) -> Sequence[Sample]:
        """Good images, each with an id of its own."""
        return _samples(len(self.array))

    def __len__(self) -> int:
        return len(self.array)

    def batches(self) -> Iterator[ImageBatch]:
        """The images in order, in batches."""
        for start in range(0, len(self), self.batch_size):
            part = slice(start, start + self.batch_size)
            yield image_batch(self.array[part], self.encoder, self.layers, self.samples[part])

    def pick(self, indices: Sequence[int]) -> ImageBatch:
        """Some of the images, as a batch."""
        chosen = np.asarray(indices, np.int64)
        samples = [self.samples[i] for i in chosen]
        return image_batch(self.array[chosen], self.encoder, self.layers, samples)

    def resized(self, size: tuple[int, int]) -> ArrayImageSet:
        """The same images at another size, by nearest neighbour."""
        rows, columns = (
            np.arange(new) * old // new for new, old in zip(size, self.array.shape[1:3], strict=True)
        )
        return ArrayImageSet(self.array[:, rows][:, :, columns], self.encoder, self.layers, self.batch_size)

    def digest(self) -> str:
        """A digest of the pixels."""
        return array_digest(self.array)

    def ignored(self) -> None:
        """Everything is inspected."""

    def pixels(self) -> Pixels:
        """The images, which are shared, and read-only."""
        return locked(self.array)

    def features(self) -> Mapping[str, NDArray[np.float32]]:
        """The layers of all images, each (N, C, H, W), from one encoder pass."""
        if self._features is None:
            batches = [batch.features() for batch in self.batches()]
            self._features = MappingProxyType(
                {
                    layer: locked(np.concatenate([to_numpy(batch[layer]) for batch in batches]))
                    for layer in self.layers
                }
            )
        return self._features


def arrays_of(images: ImageBatch | ArrayImageSet) -> dict[str, NDArray[Any]]:
    """The arrays that plugins share: the pixels and, if there are any, the features."""
    try:
        features: Mapping[str, Any] = images.features()
    except LookupError:
        features = {}
    pixels = images.array if isinstance(images, ArrayImageSet) else images.pixels
    return {"the pixels": pixels, **{f"layer '{n}'": to_numpy(v) for n, v in features.items()}}


def _samples(count: int) -> list[Sample]:
    return [Sample(f"{i:03}.png", Path("in memory", f"{i:03}.png"), 0) for i in range(count)]
