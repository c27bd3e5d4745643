"""A set of image files: decoded in batches, with encoder features that are computed once and kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import islice
from math import prod
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segad_core.base.decoding import Decoding
from segad_core.base.digest import digest_of
from segad_core.base.parallel import in_order
from segad_core.base.scratch import scratch_array
from segad_core.base.sealed import Sealed
from segad_core.base.witness import Witness, locked
from segad_core.contracts import (
    Array,
    Encoder,
    Fit,
    Frame,
    ImageBatch,
    Progress,
    Sample,
    Tiles,
    Tiling,
    no_progress,
    to_numpy,
)
from segad_core.contracts.images import Keep, watch_layers
from segad_core.images.decode import PLAIN, decode, decode_resized
from segad_core.images.encoding import encoded
from segad_core.images.frames import framed, padding
from segad_core.images.pages import sample_at_full_size, sample_digest

Seen = tuple[NDArray[np.uint8], Frame | None]
"""An image at its size, and where it lies there; None if it is stretched."""


@dataclass(frozen=True)
class Preprocessing:
    """How an image is brought to the detectors' size."""

    size: tuple[int, int]
    decoding: Decoding = PLAIN
    batch_size: int = 16
    fit: Fit = "stretch"
    tiles: Tiles | None = None

    @property
    def tiling(self) -> Tiling | None:
        """How images are divided into tiles; None if they are not."""
        return Tiling(self.size, self.tiles, self.batch_size) if self.tiles else None

    @property
    def at_once(self) -> int:
        """How many images are held at once: a batch, or those with a batch of tiles, but at least one."""
        tiling = self.tiling
        return max(1, self.batch_size // prod(tiling.grid)) if tiling else self.batch_size

    def identity(self) -> dict[str, Any]:
        """What decides the pixels; without what is as it always was."""
        plain = {"size": self.size, **self.decoding.plain(), "batch_size": self.batch_size}
        fit = {"fit": self.fit} if self.fit != "stretch" else {}
        return {**plain, **fit, **({"tiles": asdict(self.tiles)} if self.tiles else {})}


class _Masks:
    """What is ignored in the images of a set, batch by batch; one mask for as long as it stays the same."""

    def __init__(self) -> None:
        self._blocks: list[tuple[NDArray[np.bool_], int]] = []

    def add(self, batch: ImageBatch) -> None:
        """What is ignored in the next images."""
        ignored, count = batch.ignored, len(batch)
        if ignored is None:
            ignored = np.zeros((1, *batch.pixels.shape[1:3]), np.bool_)
        if self._blocks and len(ignored) == 1:
            last, before = self._blocks[-1]
            if np.array_equal(last, ignored):
                self._blocks[-1] = (last, before + count)
                return
        self._blocks.append((ignored, count))

    def together(self) -> NDArray[np.bool_] | None:
        """(N, H, W), or (1, H, W) where it is the same for all; None where nothing is."""
        if not any(masks.any() for masks, _ in self._blocks):
            return None
        if len(self._blocks) == 1:
            return self._blocks[0][0]
        each = [np.broadcast_to(masks, (count, *masks.shape[1:])) for masks, count in self._blocks]
        return np.concatenate(each)


@dataclass
class FileImageSet(Sealed):
    """Implements the contract `ImageSet` over files. Attributes cannot be assigned to.

    Attributes:
        samples: the images, in order.
        preprocessing: decoding, size and batch size.
        encoder: where features come from, if anything wants them.
        layers: the layers to compute.
        progress: reports how many images an encoder pass has processed.
        keep: keeps results that plugins derive from single images; without it, nothing is kept.
        ignoring: says of a batch what is never inspected, as `ImageBatch.ignored`; None if all is inspected.
        origin: identifies `ignoring`.
        witness: notices that a plugin writes to the pixels or features of the whole set.
    """

    samples: Sequence[Sample]
    preprocessing: Preprocessing
    encoder: Encoder | None = None
    layers: tuple[str, ...] = ()
    progress: Progress = no_progress
    keep: Keep | None = None
    ignoring: Callable[[ImageBatch], NDArray[np.bool_]] | None = None
    origin: str = ""
    _features: Mapping[str, NDArray[np.float32]] | None = field(default=None, repr=False)
    _pixels: NDArray[np.uint8] | None = field(default=None, repr=False)
    _ignored: _Masks | None = field(default=None, repr=False)
    witness: Witness = field(default_factory=partial(Witness, looks=True), init=False, repr=False)

    def __post_init__(self) -> None:
        self.samples = tuple(self.samples)
        self._seal()

    def __len__(self) -> int:
        return len(self.samples)

    def batches(self) -> Iterator[ImageBatch]:
        """The images in order, decoded on all cores: a batch ahead, or one image per thread if more."""
        size = self.preprocessing.at_once
        decoded = in_order(self._decode, self.samples, ahead=size)
        for start in range(0, len(self.samples), size):
            group = self.samples[start : start + size]
            yield self._batch(group, list(islice(decoded, len(group))), looks=None if start else True)

    def pixels(self) -> NDArray[np.uint8]:
        """Every image, decoded once: in memory, or memory-mapped if large."""
        if self._pixels is None:
            pixels = scratch_array((len(self), *self.preprocessing.size, 3), np.uint8, "images")
            done, masks = 0, _Masks()
            for batch in self.batches():
                masks.add(batch)
                pixels[done : done + len(batch)] = batch.pixels
                done += len(batch)
                self.progress("images decoded", done, len(self))
            self._pixels, self._ignored = locked(pixels), masks
            self.witness.add("the pixels", self._pixels)
        return self._pixels

    def features(self) -> Mapping[str, NDArray[np.float32]]:
        """The layers of every image, from one encoder pass: in memory, or memory-mapped if large."""
        if self._features is None:
            features: dict[str, NDArray[np.float32]] = {}
            done, masks = 0, _Masks()
            for batch in self.batches():
                masks.add(batch)
                for layer, values in batch.features().items():
                    block = to_numpy(values)
                    if layer not in features:
                        features[layer] = scratch_array(
                            (len(self), *block.shape[1:]), np.float32, "encoder features"
                        )
                    features[layer][done : done + len(batch)] = block
                done += len(batch)
                self.progress("images encoded", done, len(self))
            locked_layers = {name: locked(one) for name, one in features.items()}
            self._features, self._ignored = MappingProxyType(locked_layers), masks
            watch_layers(self._features, self.witness)
        return self._features

    def pick(self, indices: Sequence[int]) -> ImageBatch:
        """Some of the images, decoded at each call."""
        group = [self.samples[i] for i in indices]
        return self._batch(group, list(in_order(self._decode, group)))

    def resized(self, size: tuple[int, int]) -> FileImageSet:
        """The same images at another size, without the pixels and features computed so far."""
        how = replace(self.preprocessing, size=size)
        return replace(self, preprocessing=how, _features=None, _pixels=None, _ignored=None)

    def digest(self) -> str:
        """As in `ImageSet`; reads every file completely."""
        files = list(in_order(sample_digest, self.samples))
        return digest_of([files, self.preprocessing.identity(), *([self.origin] if self.origin else [])])

    def ignored(self) -> NDArray[np.bool_] | None:
        """What is never inspected in each image, (N, H, W) or (1, H, W); None if all is inspected.

        It comes with the pixels or features, if they were asked for; else images are decoded for it, as far
        as they differ.
        """
        stretched = self.preprocessing.fit == "stretch"
        if self.ignoring is None and stretched:
            return None
        if self._ignored is None and stretched:
            some = self.pick([0, min(1, len(self) - 1)]).ignored
            if some is None or len(some) == 1:  # for any image, as only frames and segments tell them apart
                return some
        return self._of_all()

    def _of_all(self) -> NDArray[np.bool_] | None:
        """As `ignored`, from every image."""
        masks = self._ignored
        if masks is None:
            masks = _Masks()
            for batch in self.batches():
                masks.add(batch)
            self._ignored = masks
        return masks.together()

    def _batch(
        self, group: Sequence[Sample], decoded: Sequence[Seen], looks: bool | None = None
    ) -> ImageBatch:
        pixels, frames = np.stack([one for one, _ in decoded]), [f for _, f in decoded if f is not None]
        batch = ImageBatch(
            group,
            pixels,
            self._encode if self.layers else None,
            self._load,
            self.keep,
            padding(frames) if frames else None,
            frames or None,
            tiling=self.preprocessing.tiling,
            looks=looks,
        )
        return batch.ignoring(self.ignoring(batch)) if self.ignoring else batch

    def _decode(self, sample: Sample) -> Seen:
        given = self.preprocessing
        if given.fit == "stretch":
            return decode_resized(sample.path, given.size, given.decoding.of_page(sample.page)).pixels, None
        with sample_at_full_size(sample, given.decoding) as decoded:
            return framed(decoded.pixels, given.size, given.fit)

    def _load(self, sample: Sample) -> NDArray[np.uint8]:
        return decode(sample.path, self.preprocessing.decoding.of_page(sample.page)).pixels

    def _encode(self, pixels: NDArray[np.uint8]) -> Mapping[str, Array]:
        assert self.encoder is not None
        return encoded(self.encoder, self.layers, pixels)
