"""The images, sets and batches that the suites give to plugins."""

import numpy as np
import pytest
from PIL import Image

from segad_core.contracts import Sample
from segad_core.images import FileImageSet
from segad_core.images.image_set import Preprocessing
from segad_core.testing import (
    ArrayImageSet,
    EncoderSuite,
    TinyEncoder,
    bad_images,
    good_images,
    image_batch,
)


class TestTinyEncoder(EncoderSuite):
    sizes = ((64, 96), (32, 32), (45, 77))

    def make(self):
        return TinyEncoder()


@pytest.mark.parametrize("make", [good_images, bad_images])
def test_images_are_what_they_were(make):
    images = make(5, 48, 32)
    assert images.shape == (5, 48, 32, 3) and images.dtype == np.uint8
    np.testing.assert_array_equal(make(5, 48, 32), images)
    assert not np.array_equal(make(5, 48, 32, seed=9), images)
    assert make(0, 8, 8).shape == (0, 8, 8, 3)


@pytest.mark.parametrize("size", [(16, 16), (64, 96), (200, 50)])
def test_a_defect_is_visible_and_only_there(size):
    good, bad = good_images(20, *size, seed=1), bad_images(20, *size, seed=1)
    changed = (good != bad).any(axis=-1).mean(axis=(1, 2))
    assert (changed > 0.01).all() and (changed < 0.2).all()
    spread = good_images(20, *size).astype(int).std(axis=0).max()
    assert abs(good.astype(int) - bad).max(axis=(1, 2, 3)).min() > 4 * spread


def test_an_array_set_is_a_file_set(tmp_path):
    """The set in memory gives what the engine's gives for the same images, batch by batch."""
    pixels, layers, encoder = good_images(6, 32, 64), ("layer2", "layer4"), TinyEncoder()
    samples = [Sample(f"{i}.png", tmp_path / f"{i}.png", 0) for i in range(6)]
    for sample, image in zip(samples, pixels, strict=True):
        Image.fromarray(image).save(sample.path)
    ours = ArrayImageSet(pixels, encoder, layers)
    files = FileImageSet(samples, Preprocessing((32, 64), batch_size=4), encoder, layers)
    assert len(ours) == len(files) == len(ours.samples) == 6
    for mine, theirs in zip(ours.batches(), files.batches(), strict=True):
        assert len(mine) == len(theirs)
        np.testing.assert_array_equal(mine.pixels, theirs.pixels)
        for name in layers:
            np.testing.assert_array_equal(mine.features()[name], theirs.features()[name])
    assert set(ours.features()) == set(files.features()) == set(layers)
    for name in layers:
        np.testing.assert_array_equal(ours.features()[name], files.features()[name])
    np.testing.assert_array_equal(ours.pixels(), files.pixels())
    assert ours.features() is ours.features()
    assert len({sample.id for batch in ours.batches() for sample in batch.samples}) == 6


def test_an_array_set_picks_resizes_and_has_a_digest():
    pixels = good_images(6, 32, 64)
    ours = ArrayImageSet(pixels, TinyEncoder(), ("layer2",), batch_size=3)
    batch = ours.pick([4, 0, 4])
    np.testing.assert_array_equal(batch.pixels, pixels[[4, 0, 4]])
    assert [sample.id for sample in batch.samples] == ["004.png", "000.png", "004.png"]
    np.testing.assert_array_equal(batch.features()["layer2"], ours.features()["layer2"][[4, 0, 4]])
    large = ours.resized((64, 192))
    assert [len(batch) for batch in large.batches()] == [3, 3]
    assert large.features()["layer2"].shape == (6, 6, 8, 24)
    np.testing.assert_array_equal(large.array, pixels.repeat(2, axis=1).repeat(3, axis=2))
    np.testing.assert_array_equal(large.resized((32, 64)).array, pixels)
    others = [large, ours.resized((64, 32)), ArrayImageSet(pixels[::-1]), ArrayImageSet(pixels[:5])]
    assert len({other.digest() for other in (ours, *others)}) == 5
    assert ArrayImageSet(pixels.copy()).digest() == large.resized((32, 64)).digest() == ours.digest()


def test_no_layer_means_no_features():
    """As in a run: who reads features declares the layers."""
    batch = image_batch(good_images(2), TinyEncoder(), ())
    with pytest.raises(LookupError, match="declare the layers"):
        batch.features()
    with pytest.raises(LookupError, match="declare the layers"):
        ArrayImageSet(good_images(2), TinyEncoder()).features()


def test_full_size_is_larger_than_the_batch():
    pixels = good_images(3, 8, 16)
    full = image_batch(pixels).full_size(2)
    assert full.shape == (16, 32, 3)
    np.testing.assert_array_equal(full[::2, 1::2], pixels[2])


def test_an_artifact_that_nobody_keeps_is_made_at_each_call():
    pixels, seen = good_images(3, 8, 16), []

    def make(full):
        seen.append(full)
        return {"mean": full.mean(axis=(0, 1))}

    batch = image_batch(pixels)
    for _ in range(2):
        made = batch.artifact(2, {"any": [1, "thing"]}, make)
        np.testing.assert_array_equal(made["mean"], pixels[2].repeat(2, 0).repeat(2, 1).mean(axis=(0, 1)))
    assert [full.shape for full in seen] == [(16, 32, 3)] * 2
    with pytest.raises(LookupError, match="no files behind it"):
        batch.with_pixels(pixels // 2).artifact(2, {}, make)


def test_an_array_set_gives_its_pixels():
    """The array itself, which belongs to everybody and is read-only, at the set's size."""
    pixels = good_images(6, 32, 64)
    ours = ArrayImageSet(pixels, batch_size=4)
    assert np.shares_memory(ours.pixels(), pixels) and not ours.pixels().flags.writeable
    np.testing.assert_array_equal(np.concatenate([b.pixels for b in ours.batches()]), ours.pixels())
    np.testing.assert_array_equal(ours.resized((16, 32)).pixels(), pixels[:, ::2, ::2])


@pytest.mark.parametrize(("dark", "expected"), [(0, 0), (1, 40)])
def test_stains_are_as_dark_as_asked(dark, expected):
    good, bad = good_images(40, seed=1), bad_images(40, dark=dark)
    darker = [
        image[(image != before).any(axis=-1)].mean() < 100 for image, before in zip(bad, good, strict=True)
    ]
    assert sum(darker) == expected
    either = bad_images(40)
    places = [(image != good).any(axis=-1) for image in (bad, either)]
    np.testing.assert_array_equal(*places)
