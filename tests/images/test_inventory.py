"""The inventory: what is remembered, who leaks, and labels that contradict each other."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

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
    first = take_inventory(samples, 65535, store)
    monkeypatch.setattr(module, "decode", None)
    again = take_inventory(samples[::-1], 65535, store)
    assert again.facts == first.facts
    assert [s.id for s in again.samples] == ["a.png", "b.png"]


def test_the_same_pixels_in_two_files_leak(tmp_path: Path) -> None:
    samples = _samples(tmp_path, {"a.png": (0, 0), "b.bmp": (0, 0), "c.png": (1, 1)})
    facts = take_inventory(samples, 65535, Store(tmp_path / "store")).facts
    assert facts["a.png"].file != facts["b.bmp"].file
    audit({"a.png": "test", "b.bmp": "test", "c.png": "final"}, facts, "c")
    with pytest.raises(LeakageError, match=r"'a.png' \(detectors\) and 'b.bmp' \(test\) are the same pixels"):
        audit({"a.png": "detectors", "b.bmp": "test", "c.png": "final"}, facts, "c")


def test_one_image_with_two_labels_is_refused(tmp_path: Path) -> None:
    samples = _samples(tmp_path, {"a.png": (0, 0), "b.bmp": (0, 1), "c.png": (1, 1)})
    inventory = take_inventory(samples, 65535, Store(tmp_path / "store"))
    check_labels(inventory.samples[::2], inventory.facts, "c")
    with pytest.raises(DataError, match=r"'a.png' and 'b.bmp' are the same image, labelled good and bad"):
        check_labels(inventory.samples, inventory.facts, "c")
