"""What commands cost, counted: images encoded, files decoded, memory of arrays. Nothing is timed."""

from __future__ import annotations

import gc
import importlib
import json
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import said, segad
from bundles import Parts
from PIL import Image
from safetensors.numpy import load, save
from trained_bundles import bad, bundle_of, good

from segad_core.bundle.format.container import MANIFEST, SEAL, Container
from segad_core.bundle.format.tables import read_golden
from segad_core.bundle.runtime.bundle import Bundle
from segad_core.errors import BundleError
from segad_core.images import bands
from segad_plugins.detectors.patchcore import PatchCore
from segad_plugins.encoders.efficientnet_lite0 import EfficientNetLite0

BATCH = 4
decoder = importlib.import_module("segad_core.images.decode")  # a function has its name


class Costs:
    """What was looked at since the last `clear`.

    Attributes:
        encoded: the images of each pass of the encoder.
        mapped: the images of each call of the detector.
        decoded: how often each file was decoded.
    """

    def __init__(self) -> None:
        self.encoded: list[int] = []
        self.mapped: list[int] = []
        self.decoded: Counter[str] = Counter()

    def clear(self) -> None:
        self.__init__()  # type: ignore[misc]


@pytest.fixture
def costs(monkeypatch: pytest.MonkeyPatch) -> Costs:
    bundle_of("SegAD")  # nothing of its making counts
    found = Costs()
    encode, maps, read = EfficientNetLite0.encode, PatchCore.anomaly_maps, decoder._read

    def encoded(self: Any, pixels: Any, layers: Any) -> Any:
        found.encoded.append(len(pixels))
        return encode(self, pixels, layers)

    def mapped(self: Any, batch: Any) -> Any:
        found.mapped.append(len(batch))
        return maps(self, batch)

    def decoded(path: Path, *given: Any) -> Any:
        found.decoded[str(path)] += 1
        return read(path, *given)

    monkeypatch.setattr(EfficientNetLite0, "encode", encoded)
    monkeypatch.setattr(PatchCore, "anomaly_maps", mapped)
    monkeypatch.setattr(decoder, "_read", decoded)
    return found


def golden() -> int:
    """How many golden images there are."""
    container = Container(bundle_of("SegAD"))
    try:
        return len(read_golden(container))
    finally:
        container.close()


@pytest.mark.parametrize("count", [1, BATCH, BATCH + 1, 2 * BATCH + 3])
@pytest.mark.parametrize("words", [[], ["--explain"]])
def test_predict_costs_its_images(costs: Costs, count: int, words: list[str]) -> None:
    """No golden image beside them, and none of them twice, however the last batch comes out."""
    images = [str(good(n)) for n in range(count)]
    done = segad("predict", bundle_of("SegAD"), *images, "--device", "cpu", *words)
    assert done.exit_code == 0, said(done)
    full, rest = divmod(count, BATCH)
    assert costs.encoded == costs.mapped == [BATCH] * full + [rest] * bool(rest)
    assert costs.decoded == Counter(images)


def test_verify_costs_the_golden_images(costs: Costs) -> None:
    done = segad("bundle", "verify", bundle_of("SegAD"), "--device", "cpu")
    assert done.exit_code == 0, said(done)
    assert sum(costs.encoded) == golden() == len(costs.decoded)
    assert set(costs.decoded.values()) == {2}  # to be scored, and to be compared with their digests


def test_what_reads_tables_looks_at_no_image(costs: Costs) -> None:
    for words in (["bundle", "segments"], ["bundle", "show"]):
        assert segad(*words, bundle_of("SegAD")).exit_code == 0
    assert not costs.encoded and not costs.decoded


def test_learn_costs_its_images(costs: Costs, tmp_path: Path) -> None:
    lessons = [str(bad(n)) for n in range(BATCH + 1)]
    bad_ones = [word for one in lessons for word in ("--bad", one)]
    done = segad("learn", bundle_of("SegAD"), *bad_ones, "-o", tmp_path / "taught", "--device", "cpu")
    assert done.exit_code in (0, 4), said(done)
    assert costs.encoded == costs.mapped == [BATCH, 1]
    assert set(costs.decoded) == set(lessons) and max(costs.decoded.values()) == 2  # for its digest, too


def test_a_library_tries_a_bundle_out_unless_it_is_told_not_to(costs: Costs) -> None:
    for given, images in ((True, 1), (False, 0)):
        costs.clear()
        with Bundle.load(bundle_of("SegAD"), "cpu", try_out=given):
            assert sum(costs.encoded) == images


def unfit(home: Path) -> Path:
    """A bundle whose detector has a state that restores, and fits no image."""
    source = bundle_of("SegAD")
    files = {p.relative_to(source).as_posix(): p.read_bytes() for p in source.rglob("*") if p.is_file()}
    parts = Parts(json.loads(files.pop(MANIFEST)), {name: d for name, d in files.items() if name != SEAL})
    name = next(name for name in parts.files if name.startswith("detectors/"))
    state = load(parts.files[name])
    (bank,) = (key for key, value in state.items() if value.ndim == 2)
    state[bank] = np.ascontiguousarray(state[bank][:, :-1])
    parts.files[name] = save(state)
    return parts.write(home, "folder")


def test_a_bundle_that_was_not_tried_out_is_refused_at_its_first_image(tmp_path: Path) -> None:
    path, image = unfit(tmp_path), str(good(0))
    with pytest.raises(BundleError) as loading:
        Bundle.load(path, "cpu")
    with Bundle.load(path, "cpu", try_out=False) as bundle, pytest.raises(BundleError) as judging:
        bundle.predict([image])
    assert judging.value.what == loading.value.what
    done = segad("predict", path, image, image, "--device", "cpu")
    assert done.exit_code == 1 and "cannot be loaded" in done.output and "OK" not in done.output


def test_a_sound_bundle_is_tried_once_where_images_fail(
    costs: Costs, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, sound = [str(good(n)) for n in range(3)], PatchCore.anomaly_maps

    def fails(self: Any, batch: Any) -> Any:
        found = sound(self, batch)
        if {s.id for s in batch.samples} & set(images[:2]):
            raise ValueError("not this one")
        return found

    monkeypatch.setattr(PatchCore, "anomaly_maps", fails)
    with Bundle.load(bundle_of("SegAD"), "cpu", try_out=False) as bundle:
        verdicts = [one.verdict for one in bundle.predict(images)]
    assert verdicts[:2] == ["UNKNOWN"] * 2 and verdicts[2] != "UNKNOWN"
    assert costs.encoded == [3, 1, 1, 1, 1]  # together, each alone, and a golden image after the first
    assert len(costs.decoded) == 4


@pytest.fixture
def traced() -> Iterator[None]:
    for row in ("SegAD", "PatchCore"):  # libraries are imported, and bundles made, before it begins
        Bundle.load(bundle_of(row), "cpu").close()
    tracemalloc.start()
    yield
    tracemalloc.stop()


def test_an_image_is_held_once_at_full_size(traced: None, tmp_path: Path) -> None:
    """Decoded, checked and resized: NumPy holds its colours once, beside two copies of some rows."""
    pixels = np.random.default_rng(0).integers(0, 256, (1536, 1536, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "large.bmp")
    with Bundle.load(bundle_of("PatchCore"), "cpu") as bundle:
        bundle._open(0, tmp_path / "large.bmp")
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        opened = bundle._open(1, tmp_path / "large.bmp")
        peak = tracemalloc.get_traced_memory()[1] - before
    assert not opened.problem
    assert peak < pixels.nbytes + 2 * 3 * bands._PIXELS + 2**18


def test_another_image_of_a_batch_takes_its_colours_twice_and_little_more(traced: None) -> None:
    """As it was decoded and in the batch, 6 bytes a pixel; the arrays of torch are not counted."""

    def peak(images: int) -> int:
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        bundle.predict([good(0)] * images)
        return tracemalloc.get_traced_memory()[1] - before

    with Bundle.load(bundle_of("SegAD"), "cpu") as bundle:
        bundle.predict([good(0)] * BATCH)
        assert peak(BATCH) - peak(1) < (BATCH - 1) * 48**2 * 9


def test_memory_does_not_grow_with_the_images(traced: None) -> None:
    """What is held at least, as batches that are decoded ahead come and go."""

    def held() -> int:
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    with Bundle.load(bundle_of("SegAD"), "cpu") as bundle:
        found = [held() for _ in bundle.batches([good(0)] * (20 * BATCH))]
    assert min(found[10:]) < min(found[:10]) + 48**2 * 3 * BATCH
