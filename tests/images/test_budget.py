"""All threads together decode a bounded number of pixels at a time."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import hostile_images as hostile
import numpy as np
import pytest

from segad_core.base.decoding import Decoding
from segad_core.bundle.runtime import opening
from segad_core.contracts import Sample
from segad_core.errors import ImageError
from segad_core.images import FileImageSet, at_full_size, decode, decode_resized
from segad_core.images.budget import FILES, MAX_PIXELS, PIXELS, Budget
from segad_core.images.image_set import Preprocessing


def test_who_wants_more_than_is_free_waits() -> None:
    shared, order = Budget(100), []
    begun = threading.Event()

    def large() -> None:
        begun.set()
        with shared.reserved(60):
            order.append("large")

    with shared.reserved(60):
        thread = threading.Thread(target=large)
        thread.start()
        assert begun.wait(20)
        with shared.reserved(40):
            order.append("small")
    thread.join(20)
    assert order == ["small", "large"]
    with shared.reserved(1000):  # more than there is: alone
        pass
    assert shared._free == 100


def test_what_fails_gives_back_what_it_held(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(hostile.png(40, 30)[:-20])
    (tmp_path / "b.png").write_bytes(hostile.png(40, 30))
    for _ in range(3):
        with pytest.raises(ImageError):
            decode(tmp_path / "a.png")
    with pytest.raises(KeyError), at_full_size(tmp_path / "b.png"):
        raise KeyError  # of the block, not of the image
    assert PIXELS._free == MAX_PIXELS
    assert FILES._free == FILES.total


def test_the_whole_image_is_held_only_until_it_is_resized(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nine images of which one fills the budget: one after the other, whoever asks."""
    held: list[int] = []
    one = Budget(1200)
    module = sys.modules["segad_core.images.decode"]  # the package has a function of that name
    monkeypatch.setattr(module, "PIXELS", one)
    samples = []
    for i in range(9):
        path = tmp_path / f"{i}.png"
        path.write_bytes(hostile.png(40, 30))
        samples.append(Sample(path.name, path, 0))

    def looked(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        held.append(one._free)
        return pixels[: size[0], : size[1]]

    monkeypatch.setattr(module, "resize", looked)
    images = FileImageSet(samples, Preprocessing((8, 8)))
    assert sum(len(batch) for batch in images.batches()) == 9
    decode_resized(samples[0].path, (8, 8))
    with opening.full_size(samples[0].path, Decoding()) as pixels:
        assert one._free == 0
        assert pixels.shape == (30, 40, 3)
    assert held == [0] * 10
    assert one._free == 1200


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_process_starts_with_all_of_it() -> None:
    with PIXELS.reserved(MAX_PIXELS):
        child = os.fork()
        if child == 0:
            os._exit(0 if PIXELS._free == MAX_PIXELS else 1)
        assert os.waitpid(child, 0)[1] == 0
    assert PIXELS._free == MAX_PIXELS


_PEAK = """
import resource, sys
from pathlib import Path
from segad_core.images import decode_resized
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
decode_resized(Path(sys.argv[1]), (64, 64))
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


@pytest.mark.parametrize(("depth", "colour"), [(16, 0), (8, 2)])
def test_decoding_takes_little_more_than_the_image(depth: int, colour: int, tmp_path: Path) -> None:
    """4 bytes a pixel of Pillow's and 3 of the result; 16 bits took 26."""
    path = tmp_path / "a.png"
    path.write_bytes(hostile.png(3000, 3000, depth=depth, colour=colour))
    found = subprocess.run(
        [sys.executable, "-c", _PEAK, str(path)], check=True, capture_output=True, text=True
    )
    assert int(found.stdout) < 9 * 9_000_000


_TOGETHER = """
import resource, sys
from pathlib import Path
from segad_core.base import parallel
from segad_core.contracts import Sample
from segad_core.images import FileImageSet, budget
from segad_core.images.image_set import Preprocessing
parallel.cores = lambda: 8
budget.PIXELS.__init__(9_000_000)
images = FileImageSet([Sample("a", Path(sys.argv[1]), 0)] * 9, Preprocessing((64, 64)))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
list(images.batches())
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems return memory by themselves")
def test_threads_do_not_keep_what_they_decoded_with(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(hostile.png(3000, 3000))
    found = subprocess.run(
        [sys.executable, "-c", _TOGETHER, str(path)], check=True, capture_output=True, text=True
    )
    assert int(found.stdout) < 20 * 9_000_000
