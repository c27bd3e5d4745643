"""One list of formats: what is read when named is found in folders, and the other way round."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segad_core.bundle.format.plain_files import PLAIN_ENDINGS
from segad_core.images import decode, folder_samples, image_files
from segad_core.images.find import find_images
from segad_core.images.formats import ENDINGS, FORMATS, SUFFIXES

FORM = {ending: form for form, endings in ENDINGS.items() for ending in endings}
FLOATING = ".pfm"  # of the PPM format, and never an image


def _image(ending: str) -> bytes:
    data = io.BytesIO()
    grey = Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8))
    image = grey.convert("1") if ending == ".pbm" else grey
    image.save(data, FORM[ending], **{"lossless": True} if ending == ".webp" else {})
    return data.getvalue()


def test_every_ending_that_pillow_knows_for_a_format_is_on_the_list() -> None:
    Image.init()
    known = {ending for ending, form in Image.EXTENSION.items() if form in FORMATS}
    assert set(SUFFIXES) == known - {FLOATING}
    assert len(set(SUFFIXES)) == len(SUFFIXES)
    assert set(SUFFIXES) < set(PLAIN_ENDINGS)


@pytest.mark.parametrize("ending", [*SUFFIXES, *(ending.upper() for ending in SUFFIXES)])
def test_a_folder_and_a_name_lead_to_the_same(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"part{ending}"
    path.write_bytes(_image(ending.lower()))
    (tmp_path / "notes.txt").write_text("none")
    named, below = find_images([str(path)]), find_images([str(tmp_path)])
    assert [*named.images] == [*below.images] == [str(path)]
    assert "notes.txt" in below.notes[0]
    assert image_files(tmp_path) == [path]
    assert [sample.path for sample in folder_samples(tmp_path)] == [path]
    assert decode(path).pixels.shape == (8, 8, 3)


def test_a_file_that_is_named_may_have_any_ending(tmp_path: Path) -> None:
    (tmp_path / "part.dat").write_bytes(_image(".png"))
    assert [*find_images([str(tmp_path / "part.dat")]).images] == [str(tmp_path / "part.dat")]
    assert decode(tmp_path / "part.dat").pixels.shape == (8, 8, 3)


def test_the_docs_name_each_ending() -> None:
    text = (Path(__file__).parents[2] / "docs" / "datasets.md").read_text()
    assert all(f"`{ending}`" in text for ending in SUFFIXES)
