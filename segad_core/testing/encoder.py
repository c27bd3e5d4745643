"""The conformance suite for encoders."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segad_core.base.witness import locked
from segad_core.contracts import Encoder, optional, to_numpy
from segad_core.testing.checks import ROUNDING, same, unwritten, works
from segad_core.testing.harmless import HarmlessSuite
from segad_core.testing.images import Pixels, bad_images, good_images


class EncoderSuite(HarmlessSuite):
    """The contract of `segad.encoders`, clause by clause. Define `make`.

    Attributes:
        sizes: the image sizes (height, width) to try; at least two if the encoder accepts more than one.
    """

    sizes: tuple[tuple[int, int], ...] = ((64, 64), (64, 96))

    def make(self) -> Encoder:
        raise NotImplementedError(f"{type(self).__name__} must define make(), which returns a new encoder")

    def images(self, height: int, width: int) -> Pixels:
        """Three images (3, height, width, 3); override it if the plugin needs particular ones."""
        return locked(np.concatenate([good_images(2, height, width), bad_images(1, height, width)]))

    def _exercise(self) -> None:
        encoder = self.make()
        encoder.digest()
        encoder.encode(self.images(*self.sizes[0]), list(encoder.layers()))

    def _encoded(self) -> Iterator[tuple[Encoder, Pixels, Mapping[str, NDArray[Any]]]]:
        encoder = self.make()
        for size in self.sizes:
            pixels = self.images(*size)
            yield encoder, pixels, _encode(encoder, pixels, list(encoder.layers()))

    def test_layers_run_from_fine_to_coarse(self) -> None:
        """`layers` names at least one layer, from fine to coarse."""
        layers = self.make().layers()
        assert layers, "layers() is empty: an encoder has at least one layer"
        for (fine, a), (coarse, b) in pairwise(layers.items()):
            assert a.stride <= b.stride, (
                f"layers() is not ordered from fine to coarse: '{fine}' of stride {a.stride} precedes "
                f"'{coarse}' of stride {b.stride}"
            )

    def test_layers_are_what_encode_returns(self) -> None:
        """Each layer is (N, C, H / stride, W / stride), rounded up, with C and stride as in `layers`."""
        for encoder, pixels, features in self._encoded():
            count, height, width, _ = pixels.shape
            for name, layer in encoder.layers().items():
                stated = (count, layer.channels, -(-height // layer.stride), -(-width // layer.stride))
                assert features[name].shape == stated, (
                    f"images of {height} x {width}: encode() returns '{name}' as {features[name].shape}; "
                    f"{layer.channels} channels at stride {layer.stride}, as in layers(), are {stated}"
                )

    def test_features_are_finite_float32(self) -> None:
        """Features are float32 and finite."""
        for _, _, features in self._encoded():
            for name, values in features.items():
                assert values.dtype == np.float32, f"layer '{name}' is {values.dtype}, not float32"
                assert np.isfinite(values).all(), f"layer '{name}' contains NaN or infinity"

    def test_gives_only_the_layers_asked_for(self) -> None:
        """`encode` returns the requested layers only."""
        for encoder, pixels, features in self._encoded():
            for name in encoder.layers():
                alone = encoder.encode(pixels, [name])
                assert set(alone) == {name}, f"encode(pixels, ['{name}']) returns the layers {sorted(alone)}"
                same(to_numpy(alone[name]), features[name], f"layer '{name}' requested alone", ROUNDING)

    def test_is_deterministic(self) -> None:
        """The same pixels give bit-identical features, in this instance and in a new one."""
        for encoder, pixels, features in self._encoded():
            for other, which in ((encoder, "a second call"), (self.make(), "a new instance")):
                for name, values in _encode(other, pixels, list(features)).items():
                    same(values, features[name], f"layer '{name}' of {which}")

    def test_images_do_not_depend_on_their_neighbours(self) -> None:
        """An image's features do not depend on the other images in the batch, nor on their order."""
        for encoder, pixels, features in self._encoded():
            turned = _encode(encoder, pixels[::-1].copy(), list(features))
            alone = _encode(encoder, pixels[1:2], list(features))
            for name, values in features.items():
                same(turned[name][::-1], values, f"layer '{name}' of a batch in reversed order", ROUNDING)
                same(alone[name], values[1:2], f"layer '{name}' of an image alone", ROUNDING)

    def test_leaves_the_pixels_as_they_are(self) -> None:
        """`encode` does not write into the pixels, which are shared."""
        encoder = self.make()
        for size in self.sizes:
            pixels = self.images(*size)
            with unwritten({"the pixels": pixels}, "encode()"):
                encoder.encode(pixels, list(encoder.layers()))

    def test_digest_is_stable(self) -> None:
        """`digest` is a non-empty string, the same at every call and in every instance."""
        encoder = self.make()
        digest = encoder.digest()
        assert isinstance(digest, str) and digest.strip(), (
            f"digest() is {digest!r}, which is not a non-empty string"
        )
        assert encoder.digest() == digest, "digest() changes between two calls"
        encoder.encode(self.images(*self.sizes[0]), list(encoder.layers()))
        assert encoder.digest() == digest, "digest() changes when the encoder is used"
        assert self.make().digest() == digest, "digest() of a new instance is another one"

    def test_accepts_the_sizes_that_it_encodes(self) -> None:
        """`check_size`, if defined, accepts the sizes to try."""
        for size in self.sizes:
            with works(f"check_size() accepts images of {size[0]} x {size[1]}"):
                optional.check_size(self.make(), size)

    def test_a_download_is_announced_in_words(self) -> None:
        """`to_download`, if defined, returns None or a non-empty string."""
        missing = optional.to_download(self.make())
        assert missing is None or (isinstance(missing, str) and missing.strip()), (
            f"to_download() is {missing!r}, not None or a non-empty string"
        )


def _encode(encoder: Encoder, pixels: Pixels, layers: list[str]) -> Mapping[str, NDArray[Any]]:
    features = encoder.encode(pixels, layers)
    missing = [name for name in layers if name not in features]
    assert not missing, f"encode() does not return the requested layers {missing}"
    return {name: to_numpy(features[name]).copy() for name in layers}
