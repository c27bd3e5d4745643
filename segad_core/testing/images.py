"""Images in memory: good ones, ones with a visible defect, and the sets and batches that plugins meet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segad_core.base.digest import array_digest
from segad_core.contracts import Array, Encoder, ImageBatch, Sample

Pixels = NDArray[np.uint8]


def good_images(count: int, height: int = 64, width: int = 96, seed: int = 0) -> Pixels:
    """Good parts (count, height, width, 3): a striped plate, hardly different from one to the next."""
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
    """Bad parts (count, height, width, 3): good ones with a dark or a bright stain that anybody sees.

    Args:
        count, height, width: the array's shape.
        seed: decides the images.
        dark: how probable a dark stain is; the others are bright.
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
    """A batch (N, H, W, 3) whose images at full size are twice as high and as wide.

    Args:
        pixels: the images; the batch holds this very array.
        encoder: where the batch's features come from.
        layers: which of its layers; none means that the batch has no features, as in a run.
        samples: what is known of the images; by default each has a name and is good.
    """
    known = _samples(len(pixels)) if samples is None else samples
    places = {sample.id: i for i, sample in enumerate(known)}

    def load(sample: Sample) -> Pixels:
        full: Pixels = pixels[places[sample.id]].repeat(2, axis=0).repeat(2, axis=1)
        return full

    encode = partial(encoder.encode, layers=tuple(layers)) if encoder is not None and layers else None
    return ImageBatch(known, pixels, encode, load)


@dataclass
class ArrayImageSet:
    """Implements the contract `ImageSet` over an array of images (N, H, W, 3).

    Attributes:
        array: the images; batches hold views of it.
        encoder: where features come from, if anything wants them.
        layers: the layers that are wanted.
        batch_size: images per batch; the last may have fewer.
    """

    array: Pixels
    encoder: Encoder | None = None
    layers: tuple[str, ...] = ()
    batch_size: int = 4
    _features: dict[str, NDArray[np.float32]] | None = field(default=None, repr=False)

    @property
    def samples(self) -> Sequence[Sample]:
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
        """The same images at another size: the nearest pixel of each."""
        rows, columns = (
            np.arange(new) * old // new for new, old in zip(size, self.array.shape[1:3], strict=True)
        )
        return ArrayImageSet(self.array[:, rows][:, :, columns], self.encoder, self.layers, self.batch_size)

    def digest(self) -> str:
        """A digest of the pixels."""
        return array_digest(self.array)

    def pixels(self) -> Pixels:
        """The images; they belong to everybody."""
        return self.array

    def features(self) -> Mapping[str, NDArray[np.float32]]:
        """The wanted layers of every image, each (N, C, H, W), from one encoder pass."""
        if self._features is None:
            batches = [batch.features() for batch in self.batches()]
            self._features = {
                layer: np.concatenate([as_numpy(batch[layer]) for batch in batches]) for layer in self.layers
            }
        return self._features


def arrays_of(images: ImageBatch | ArrayImageSet) -> dict[str, NDArray[Any]]:
    """All that plugins share of some images: the pixels and, where there are any, the features."""
    try:
        features: Mapping[str, Any] = images.features()
    except LookupError:
        features = {}
    pixels = images.array if isinstance(images, ArrayImageSet) else images.pixels
    return {"the pixels": pixels, **{f"layer '{n}'": as_numpy(v) for n, v in features.items()}}


def as_numpy(values: Array) -> NDArray[Any]:
    """An array of any library, on any device, as NumPy's, its type unchanged."""
    if isinstance(values, np.ndarray):
        return values
    array: NDArray[Any] = np.from_dlpack(values.cpu() if hasattr(values, "cpu") else values)
    return array


def _samples(count: int) -> list[Sample]:
    return [Sample(f"{i:03}.png", Path("in memory", f"{i:03}.png"), 0) for i in range(count)]
