"""The inventory: what is remembered, who leaks, and labels that contradict each other."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segad_core.base.decoding import Decoding
from segad_core.contracts import Sample
from segad_core.errors import DataError, LeakageError
from segad_core.images import audit, check_labels, take_inventory
from segad_core.images import inventory as module
from segad_core.store.store import Store


def _picture(path: Path, seed: int) -> Path:
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (8, 8, 3)).astype(np.uint8)).save(path)
    return path


def _samples(folder: Path, labels: dict[str, tuple[int, int]]) -> list[Sample]:
    return [
        Sample(name, _picture(folder / name, seed), label)  # type: ignore[arg-type]
        for name, (seed, label) in labels.items()
    ]


def test_what_was_decoded_is_remembered_by_its_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = _samples(tmp_path, {"a.png": (0, 0), "b.png": (1, 1)})
    store = Store(tmp_path / "store")
    first = take_inventory(samples, Decoding(), store)
    monkeypatch.setattr(module, "sample_at_full_size", None)
    again = take_inventory(samples[::-1], Decoding(), store)
    assert again.facts == first.facts
    assert [s.id for s in again.samples] == ["a.png", "b.png"]


def _decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the images that are decoded from now on."""
    decoded: list[str] = []
    decode = module.sample_at_full_size

    def counted(sample: Sample, decoding: Decoding) -> object:
        decoded.append(sample.path.name)
        return decode(sample, decoding)

    monkeypatch.setattr(module, "sample_at_full_size", counted)
    return decoded


def test_one_new_image_decodes_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Facts are kept by image, whatever set it is in and whatever it is called."""
    store = Store(tmp_path / "store")
    samples = _samples(tmp_path, {f"{i}.png": (i, 0) for i in range(6)})
    before = take_inventory(samples[:5], Decoding(), store)
    decoded = _decoded(monkeypatch)
    after = take_inventory(samples, Decoding(), store)
    assert decoded == ["5.png"]
    assert {image: after.facts[image] for image in before.facts} == before.facts
    take_inventory(samples[2:4], Decoding(), store)
    (tmp_path / "0.png").rename(tmp_path / "moved.png")
    moved = take_inventory([Sample("moved.png", tmp_path / "moved.png", 1)], Decoding(), store)
    assert moved.facts["moved.png"] == before.facts["0.png"]
    assert decoded == ["5.png"]
    take_inventory(samples[1:3], Decoding(4095), store)  # white decides how 16 bits are scaled
    assert sorted(decoded) == ["1.png", "2.png", "5.png"]


def test_an_image_that_cannot_be_read_is_tried_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path / "store")
    samples = _samples(tmp_path, {"a.png": (0, 0), "b.png": (1, 0), "c.png": (2, 0)})
    samples[1].path.write_bytes(samples[1].path.read_bytes()[:-30])
    samples[2].path.unlink()
    decoded = _decoded(monkeypatch)
    for _ in range(2):
        found = take_inventory(samples, Decoding(), store)
        assert [sample.id for sample in found.samples] == list(found.facts) == ["a.png"]
        assert list(found.unreadable) == ["b.png", "c.png"]
        for image, error in found.unreadable.items():
            assert str(tmp_path / image) in error.what
    assert decoded == ["a.png", "b.png", "b.png"]


def test_a_killed_inventory_keeps_what_it_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path / "store")
    samples = _samples(tmp_path, {f"{i}.png": (i, 0) for i in range(5)})
    monkeypatch.setattr(module, "_SECONDS", -1.0)

    def killed(what: str, done: int, total: int, note: str = "") -> None:
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        take_inventory(samples, Decoding(), store, killed)
    decoded = _decoded(monkeypatch)
    assert len(take_inventory(samples, Decoding(), store).facts) == 5
    assert sorted(decoded) == ["3.png", "4.png"]


def test_the_same_pixels_in_two_files_leak(tmp_path: Path) -> None:
    samples = _samples(tmp_path, {"a.png": (0, 0), "b.bmp": (0, 0), "c.png": (1, 1)})
    facts = take_inventory(samples, Decoding(), Store(tmp_path / "store")).facts
    assert facts["a.png"].file != facts["b.bmp"].file
    audit({"a.png": "test", "b.bmp": "test", "c.png": "final"}, facts, "c")
    with pytest.raises(LeakageError, match=r"'a.png' \(detectors\) and 'b.bmp' \(test\) are the same pixels"):
        audit({"a.png": "detectors", "b.bmp": "test", "c.png": "final"}, facts, "c")


def test_one_image_with_two_labels_is_refused(tmp_path: Path) -> None:
    samples = _samples(tmp_path, {"a.png": (0, 0), "b.bmp": (0, 1), "c.png": (1, 1)})
    inventory = take_inventory(samples, Decoding(), Store(tmp_path / "store"))
    check_labels(inventory.samples[::2], inventory.facts, "c")
    with pytest.raises(DataError, match=r"'a.png' and 'b.bmp' are the same image, labelled good and bad"):
        check_labels(inventory.samples, inventory.facts, "c")
