"""The set of image files: pixels, picks, sizes, digests, and features that are whole or not there."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from segad_core.base import parallel, scratch
from segad_core.base.decoding import Decoding
from segad_core.base.witness import Witness
from segad_core.contracts import ImageBatch, Sample, Tile
from segad_core.errors import ImageError
from segad_core.images import Decoded, FileImageSet, image_set
from segad_core.images.image_set import Preprocessing
from segad_core.testing import TinyEncoder, good_images

PIXELS = good_images(5, 32, 48)
LAYERS = ("layer1", "layer3")


class Counting(TinyEncoder):
    """Counts the images of each pass, and fails at one of the passes."""

    def __init__(self, fail_at: int = 0) -> None:
        super().__init__()
        self.passes: list[int] = []
        self.fail_at = fail_at

    def encode(self, pixels: NDArray[np.uint8], layers: Sequence[str]) -> Mapping[str, Any]:
        self.passes.append(len(pixels))
        if len(self.passes) == self.fail_at:
            raise MemoryError
        return super().encode(pixels, layers)


@pytest.fixture
def images(tmp_path: Path) -> FileImageSet:
    """Five images in batches of two."""
    samples = []
    for i, pixels in enumerate(PIXELS):
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
        samples.append(Sample(f"{i}.png", tmp_path / f"{i}.png", 0))
    return FileImageSet(samples, Preprocessing((32, 48), batch_size=2), Counting(), LAYERS)


def reduced(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Half the size by the definition of an antialiased bilinear filter: a tent of radius 2 old pixels."""
    values = pixels.astype(np.float64)
    for axis in (1, 2):
        old = values.shape[axis]
        lines = []
        for new in range(old // 2):
            distance = np.abs(np.arange(old) + 0.5 - (new + 0.5) * 2) / 2
            weights = np.clip(1 - distance, 0, None)
            lines.append(np.tensordot(weights / weights.sum(), values, (0, axis)))
        values = np.moveaxis(np.stack(lines), 0, axis)
    return values


def test_batches_and_picks_are_the_files(images: FileImageSet) -> None:
    assert len(images) == 5
    assert [len(batch) for batch in images.batches()] == [2, 2, 1]
    np.testing.assert_array_equal(np.concatenate([b.pixels for b in images.batches()]), PIXELS)
    batch = images.pick(np.array([3, 0, 3]))  # type: ignore[arg-type]
    assert [sample.id for sample in batch.samples] == ["3.png", "0.png", "3.png"]
    np.testing.assert_array_equal(batch.pixels, PIXELS[[3, 0, 3]])
    np.testing.assert_array_equal(batch.full_size(1), PIXELS[0])


def test_the_images_of_a_batch_are_decoded_at_once_and_the_next_batch_ahead(
    images: FileImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one image at a time, the first two would wait for each other in vain."""
    monkeypatch.setattr(parallel, "cores", lambda: 2)
    together, decoded = threading.Barrier(2, timeout=20), []
    decode = image_set.decode_resized

    def met(path: Path, size: tuple[int, int], decoding: Decoding) -> Decoded:
        if path.name in ("0.png", "1.png"):
            together.wait()
        decoded.append(path.name)
        return decode(path, size, decoding)

    monkeypatch.setattr(image_set, "decode_resized", met)
    batches = images.batches()
    np.testing.assert_array_equal(next(batches).pixels, PIXELS[:2])
    for _ in range(2000):
        if len(decoded) == 4:
            break
        time.sleep(0.01)
    assert sorted(decoded) == ["0.png", "1.png", "2.png", "3.png"]  # the fifth is two batches away
    np.testing.assert_array_equal(np.concatenate([batch.pixels for batch in batches]), PIXELS[2:])


def test_an_image_that_cannot_be_read_is_named_after_the_batches_before(
    images: FileImageSet, tmp_path: Path
) -> None:
    (tmp_path / "2.png").write_bytes(b"no image")
    batches = images.batches()
    np.testing.assert_array_equal(next(batches).pixels, PIXELS[:2])
    with pytest.raises(ImageError) as caught:
        next(batches)
    assert str(tmp_path / "2.png") in caught.value.what
    with pytest.raises(ImageError):
        images.pick([0, 2])


def test_a_pick_has_features_of_its_own(images: FileImageSet) -> None:
    whole = images.features()
    assert images.encoder.passes == [2, 2, 1]  # type: ignore[union-attr]
    picked = images.pick([4, 1])
    assert images.encoder.passes == [2, 2, 1]  # type: ignore[union-attr]
    for layer in LAYERS:
        np.testing.assert_array_equal(picked.features()[layer], whole[layer][[4, 1]])
    assert images.encoder.passes == [2, 2, 1, 2]  # type: ignore[union-attr]


def test_without_layers_there_are_no_features(images: FileImageSet) -> None:
    bare = replace(images, layers=())
    with pytest.raises(LookupError, match="declare the layers"):
        bare.pick([0]).features()
    with pytest.raises(LookupError, match="declare the layers"):
        bare.features()


def test_another_size_is_the_same_images_resized(images: FileImageSet) -> None:
    before = images.features()
    small = images.resized((16, 24))
    pixels = np.concatenate([batch.pixels for batch in small.batches()])
    assert pixels.shape == (5, 16, 24, 3)
    assert np.abs(pixels - reduced(PIXELS)).max() <= 1  # two roundings, one an axis
    np.testing.assert_array_equal(small.pick([2]).pixels, pixels[2:3])
    assert small.samples == images.samples
    assert small.preprocessing == replace(images.preprocessing, size=(16, 24))
    assert small.features()["layer1"].shape == (5, 6, 4, 6)
    assert images.features() is before
    np.testing.assert_array_equal(small.resized((32, 48)).features()["layer1"], before["layer1"])


def test_full_size_stays_that_of_the_file(images: FileImageSet) -> None:
    np.testing.assert_array_equal(images.resized((8, 8)).pick([1]).full_size(0), PIXELS[1])


def test_a_digest_is_of_content_order_and_size(images: FileImageSet, tmp_path: Path) -> None:
    digest = images.digest()
    assert images.digest() == digest
    changed = {
        "order": replace(images, samples=images.samples[::-1]),
        "fewer": replace(images, samples=images.samples[:4]),
        "twice": replace(images, samples=[*images.samples, images.samples[0]]),
        "size": images.resized((16, 24)),
        "turned": images.resized((48, 32)),
        "white": replace(images, preprocessing=replace(images.preprocessing, decoding=Decoding(4095))),
        "batch size": replace(images, preprocessing=replace(images.preprocessing, batch_size=3)),
    }
    digests = {name: other.digest() for name, other in changed.items()}
    assert len({digest, *digests.values()}) == 1 + len(changed), digests
    assert images.resized((16, 24)).resized((32, 48)).digest() == digest
    pixels = PIXELS[2].copy()
    pixels[0, 0, 0] ^= 1
    Image.fromarray(pixels).save(tmp_path / "2.png")
    assert images.digest() not in (digest, *digests.values())


def test_names_and_places_are_not_in_a_digest(images: FileImageSet, tmp_path: Path) -> None:
    (tmp_path / "moved").mkdir()
    samples = []
    for i, sample in enumerate(images.samples):
        path = shutil.copy(sample.path, tmp_path / "moved" / f"x{9 - i}.png")
        samples.append(Sample(f"x{9 - i}.png", Path(path), 1, split="test", defect="scratch"))
    assert replace(images, samples=samples, encoder=None, layers=()).digest() == images.digest()


def test_features_are_one_pass_told_and_kept(images: FileImageSet) -> None:
    told: list[tuple[str, int, int]] = []
    images = replace(images, progress=lambda what, done, total, note="": told.append((what, done, total)))
    features = images.features()
    assert images.features() is features
    assert images.encoder.passes == [2, 2, 1]  # type: ignore[union-attr]
    assert told == [("images encoded", done, 5) for done in (2, 4, 5)]
    expected = TinyEncoder().encode(PIXELS, LAYERS)
    assert set(features) == set(LAYERS)
    for layer in LAYERS:
        assert features[layer].dtype == np.float32
        np.testing.assert_array_equal(features[layer], expected[layer])


def test_large_features_lie_in_a_file(images: FileImageSet, monkeypatch: pytest.MonkeyPatch) -> None:
    in_memory = {layer: array.copy() for layer, array in images.features().items()}
    monkeypatch.setattr(scratch, "IN_MEMORY", 5 * 6 * 8 * 12 * 4 - 1)  # a byte less than layer1 takes
    features = images.resized((32, 48)).features()
    assert isinstance(features["layer1"], np.memmap)
    assert not isinstance(features["layer3"], np.memmap)
    for layer in LAYERS:
        np.testing.assert_array_equal(features[layer], in_memory[layer])


@pytest.mark.parametrize("fail_at", [1, 2, 3])
def test_an_error_leaves_no_features_half_done(images: FileImageSet, fail_at: int) -> None:
    whole = images.resized((32, 48)).features()
    images = replace(images, encoder=Counting(fail_at))
    with pytest.raises(MemoryError):
        images.features()
    assert len(images.encoder.passes) == fail_at
    for layer in LAYERS:  # begun anew, not taken up
        np.testing.assert_array_equal(images.features()[layer], whole[layer])
    assert images.encoder.passes[fail_at:] == [2, 2, 1]


def test_an_image_that_is_lost_meanwhile_leaves_no_features(images: FileImageSet) -> None:
    images.samples[4].path.rename(images.samples[4].path.with_suffix(".away"))
    with pytest.raises(ImageError, match=r"4\.png: there is no such file"):
        images.features()
    images.samples[4].path.with_suffix(".away").rename(images.samples[4].path)
    np.testing.assert_array_equal(
        images.features()["layer1"][4], TinyEncoder().encode(PIXELS, LAYERS)["layer1"][4]
    )


def test_other_pixels_have_features_of_their_own(images: FileImageSet) -> None:
    batch = images.pick([0, 1])
    own = {layer: array.copy() for layer, array in batch.features().items()}
    batch.memo["mine"] = 1
    other = batch.with_pixels(255 - batch.pixels)
    assert other.samples is batch.samples
    assert other.memo == {}
    np.testing.assert_array_equal(other.pixels, 255 - PIXELS[:2])
    expected = TinyEncoder().encode(255 - PIXELS[:2], LAYERS)
    for layer in LAYERS:
        np.testing.assert_array_equal(other.features()[layer], expected[layer])
        np.testing.assert_array_equal(batch.features()[layer], own[layer])
    np.testing.assert_array_equal(batch.pixels, PIXELS[:2])
    with pytest.raises(LookupError, match="no files behind it"):
        other.full_size(1)  # nothing on disk looks like it


def test_other_pixels_of_a_batch_without_encoder_have_none() -> None:
    samples = [Sample("a.png", Path("a.png"), 0)]
    with pytest.raises(LookupError, match="declare the layers"):
        ImageBatch(samples, PIXELS[:1]).with_pixels(PIXELS[1:2]).features()


def test_witnesses_of_the_first_batch_of_a_pass_look_and_of_what_is_made_of_it(images: FileImageSet) -> None:
    for _ in range(500):  # the first ones of a process do in any case
        Witness()
    none = np.zeros((1, 32, 48), np.bool_)
    hidden = replace(images, ignoring=lambda batch: none)
    for given in (images, hidden, images, hidden):
        looks = [batch.witness.looks for batch in given.batches()]
        assert looks[0] and len(looks) == 3
    seen = set()
    for batch in [*images.batches()] * 5:
        made = [batch.ignoring(none), batch.with_pixels(batch.pixels), batch.seen_as(batch.pixels, None)]
        tile = Tile(0, 0, 0, 8, 8, (32, 48))
        made += [batch.cut([(0, tile)]), batch.with_pixels(batch.pixels[:, :8])]
        assert [one.witness.looks for one in made] == [batch.witness.looks] * 5
        seen.add(batch.witness.looks)
    assert seen == {True, False}
