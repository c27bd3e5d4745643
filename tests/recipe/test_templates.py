"""The shipped template maps: those of their script, with the paper's segments, and known as templates."""

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segad_core.images import read_labels
from segad_plugins.segmenters.foreground import Foreground
from segad_plugins.segmenters.static_mask import StaticMask

_MASKS = Path(__file__).parents[2] / "recipes" / "masks"
_COUNTS = {"vad": 7, "visa_pcb1": 6, "visa_pcb2": 8, "visa_pcb3": 8, "visa_pcb4": 6}
"""Segments of each (paper, Figure 5; code for VisA)."""


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return runpy.run_path(str(_MASKS / "make_templates.py"))


def test_the_templates_are_those_of_their_script(script: dict[str, Any], tmp_path: Path) -> None:
    script["main"](tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(f"{name}_template.png" for name in _COUNTS)
    for made in tmp_path.iterdir():
        with Image.open(made) as new, Image.open(_MASKS / made.name) as shipped:
            np.testing.assert_array_equal(np.asarray(new), np.asarray(shipped))
            assert new.getpalette() == shipped.getpalette()


@pytest.mark.parametrize("name", _COUNTS)
def test_every_segment_has_a_name_and_pixels(script: dict[str, Any], name: str) -> None:
    labels, names = script["maps"]()[f"{name}_template.png"]
    assert len(names) == _COUNTS[name]
    shares = np.bincount(labels.reshape(-1), minlength=256) / labels.size
    assert (shares[: len(names)] > 0.02).all()
    assert not shares[len(names) :].any()
    np.testing.assert_array_equal(read_labels(_MASKS / f"{name}_template.png"), labels)


def test_vad_is_as_the_paper_says(script: dict[str, Any]) -> None:
    """Order of Figure 5; as large as the images; two of what there are two of; centred."""
    labels, names = script["maps"]()["vad_template.png"]
    assert labels.shape == (512, 512)
    assert names == (
        "background",
        "outer_half_circle",
        "piezo_border",
        "solder_dots",
        "wires",
        "pins",
        "piezo_middle",
    )
    np.testing.assert_array_equal(labels, labels[:, ::-1])
    for label in (3, 4, 5):
        left, middle, right = (
            labels[:, part] == label for part in (slice(0, 253), slice(253, 259), slice(259, 512))
        )
        assert left.any()
        assert not middle.any()
        assert right.any()
    for places in np.nonzero(labels == 2):
        assert places.min() + places.max() == 511


def test_both_kinds_of_segmenter_take_them_and_say_so(script: dict[str, Any]) -> None:
    vad = StaticMask.Params(mask=_MASKS / "vad_template.png", segments=script["VAD"], template=True)
    assert StaticMask(vad).segments() == list(script["VAD"])
    assert "vad_template.png is a template" in " ".join(StaticMask(vad).notes())
    for board, parts in script["PCB_PARTS"].items():
        path, names = _MASKS / f"visa_{board}_template.png", list(script["pcb_segments"](parts))
        segmenter = Foreground(Foreground.Params(components=path, segments=names, template=True))
        assert segmenter.segments() == names
        assert f"visa_{board}_template.png is a template" in " ".join(segmenter.notes())
