"""Some of the images of a set, with features from the encoder's pass over all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from segad_core.base.digest import digest_of
from segad_core.base.scratch import scratch_array
from segad_core.base.witness import locked
from segad_core.contracts import ImageBatch
from segad_core.contracts.images import knowing, watch_layers
from segad_core.images.image_set import FileImageSet


@dataclass
class PartOfSet(FileImageSet):
    """Some of the images of a set, at the same size.

    Their features have the last digits of the batches of the whole set.

    Attributes:
        whole: the set.
        places: of these images in it.
    """

    whole: FileImageSet | None = None
    places: tuple[int, ...] = ()

    def batches(self) -> Iterator[ImageBatch]:
        """The images in order, in batches of their own."""
        done = 0
        for batch in super().batches():
            yield self._described(batch, range(done, done + len(batch)))
            done += len(batch)

    def pick(self, indices: Sequence[int]) -> ImageBatch:
        """Some of the images."""
        return self._described(super().pick(indices), indices)

    def features(self) -> Mapping[str, NDArray[np.float32]]:
        """The layers of these images; those of the whole set are computed at the first call."""
        assert self.whole is not None
        if self._features is None:
            layers = self.whole.features()
            own = {name: locked(_lines(layer, self.places)) for name, layer in layers.items()}
            self._features = MappingProxyType(own)
            watch_layers(self._features, self.witness)
        return self._features

    def ignored(self) -> NDArray[np.bool_] | None:
        """As in `ImageSet`."""
        assert self.whole is not None
        ignored = self.whole.ignored()
        return ignored if ignored is None or len(ignored) == 1 else ignored[list(self.places)]

    def resized(self, size: tuple[int, int]) -> FileImageSet:
        """The same images at another size, without the pixels and features computed so far."""
        assert self.whole is not None
        return replace(self.whole, samples=self.samples).resized(size)

    def digest(self) -> str:
        """As in `ImageSet`; the whole set counts, as it decides how features are rounded."""
        assert self.whole is not None
        return digest_of([self.whole.digest(), "part", list(self.places)])

    def _described(self, batch: ImageBatch, indices: Sequence[int]) -> ImageBatch:
        assert self.whole is not None
        whole, places = self.whole, [self.places[i] for i in indices]
        return knowing(batch, lambda: {name: layer[places] for name, layer in whole.features().items()})


def _lines(layer: NDArray[np.float32], lines: Sequence[int]) -> NDArray[np.float32]:
    own = scratch_array((len(lines), *layer.shape[1:]), np.float32, "encoder features")
    for place, line in enumerate(lines):
        own[place] = layer[line]
    return own


def part_of(images: FileImageSet, places: Sequence[int]) -> PartOfSet:
    """Some of the images of a set, by their places in it."""
    return PartOfSet(
        [images.samples[place] for place in places],
        images.preprocessing,
        images.encoder,
        images.layers,
        images.progress,
        images.keep,
        images.ignoring,
        images.origin,
        whole=images,
        places=tuple(places),
    )
