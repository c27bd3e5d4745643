"""Pages of TIFF files as images of their own: how many, what they are called, and what each holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, TiffImagePlugin
from views import stack

from segad_core.base.decoding import MOST_PAGES, Decoding
from segad_core.contracts import Sample
from segad_core.errors import DamagedImageError, DataError, ImageError
from segad_core.images import FileImageSet, decode, take_inventory
from segad_core.images.artifacts import keeper
from segad_core.images.faults import image_digest
from segad_core.images.image_set import Preprocessing
from segad_core.images.pages import (
    by_page,
    count_pages,
    file_and_page,
    page_name,
    page_view,
    sample_at_full_size,
    sample_digest,
)
from segad_core.store.store import Store

VIEWS = Decoding(page="views")


def grey(number: int, side: int = 20) -> Image.Image:
    return Image.fromarray(np.random.default_rng(number).integers(0, 256, (side, side)).astype(np.uint8))


def directories(data: bytes) -> list[int]:
    """Where the pages of a little-endian TIFF file are described."""
    starts = [int.from_bytes(data[4:8], "little")]
    while True:
        count = int.from_bytes(data[starts[-1] : starts[-1] + 2], "little")
        place = starts[-1] + 2 + 12 * count
        if not (start := int.from_bytes(data[place : place + 4], "little")):
            return starts
        starts.append(start)


def damaged(path: Path, page: int) -> None:
    """The pixels of a page are said to be beyond the end of the file."""
    data = bytearray(path.read_bytes())
    start = directories(data)[page - 1]
    for entry in range(start + 2, start + 2 + 12 * data[start], 12):
        if int.from_bytes(data[entry : entry + 2], "little") == 273:
            data[entry + 8 : entry + 12] = (len(data) + 1000).to_bytes(4, "little")
    path.write_bytes(data)


@given(file=st.text(min_size=1), page=st.integers(1, 9999))
def test_a_name_says_file_and_page(file: str, page: int) -> None:
    assert file_and_page(page_name(file, page)) == (file, page)


@pytest.mark.parametrize("name", ["a.tif", "a#0", "#3", "a#1x", "a#12345", "a#-1"])
def test_a_name_without_a_page(name: str) -> None:
    assert file_and_page(name) == (name, None)


def test_a_view_of_a_page() -> None:
    assert (page_view("", 3), page_view("A", 3)) == ("3", "A#3")


@pytest.mark.parametrize("options", [{}, {"compression": "tiff_lzw"}, {"big_tiff": True}], ids=str)
@pytest.mark.parametrize("count", [1, 2, 7])
def test_pages_are_counted(tmp_path: Path, count: int, options: dict[str, Any]) -> None:
    path = stack(tmp_path / "a.tif", [grey(i) for i in range(count)], **options)
    assert count_pages(path) == count


def test_what_is_no_stack_has_one_page(tmp_path: Path) -> None:
    grey(0).save(tmp_path / "a.png")
    grey(0).save(tmp_path / "a.gif", save_all=True, append_images=[grey(1)])  # an animation is no stack
    (tmp_path / "b.tif").write_bytes(b"")
    (tmp_path / "c.tif").write_bytes(b"II*\0")
    for name in ("a.png", "a.gif", "b.tif", "c.tif", "absent.tif", "."):
        assert count_pages(tmp_path / name) == 1, name


def test_pages_are_counted_in_what_is_damaged(tmp_path: Path) -> None:
    """A page that the file promises counts, and a chain that leads back ends."""
    path = stack(tmp_path / "a.tif", [grey(i) for i in range(3)])
    whole = path.read_bytes()
    starts = directories(whole)
    place = starts[1] + 2 + 12 * whole[starts[1]]
    path.write_bytes(whole[: starts[2]])  # ends where the third page would begin
    assert count_pages(path) == 3
    looped = bytearray(whole)
    looped[place : place + 4] = starts[0].to_bytes(4, "little")
    path.write_bytes(looped)
    assert count_pages(path) == 2


def test_more_pages_than_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with TiffImagePlugin.AppendingTiffWriter(path) as file:
        for _ in range(MOST_PAGES + 3):
            Image.new("L", (1, 1)).save(file, "TIFF")
            file.newFrame()
    samples = by_page([Sample("a.tif", path, 0)])
    assert len(samples) == MOST_PAGES + 1
    with pytest.raises(ImageError, match=f"more than {MOST_PAGES} pages"):
        decode(path, VIEWS.of_page(samples[-1].page))
    assert decode(path, VIEWS.of_page(samples[-2].page)).pixels.shape == (1, 1, 3)


def test_each_page_is_an_image_of_the_same_part(tmp_path: Path) -> None:
    path = stack(tmp_path / "SN1.tif", [grey(0), grey(1)])
    grey(2).save(tmp_path / "SN2.png")
    given = [
        Sample("bad/SN1.tif", path, 1, "test", "scratch", group="lot", serial="SN1", view="A"),
        Sample("SN2.png", tmp_path / "SN2.png", 0, serial="SN2"),
    ]
    assert by_page(given) == [
        Sample(f"bad/SN1.tif#{n}", path, 1, "test", "scratch", False, None, "lot", "SN1", f"A#{n}", n)
        for n in (1, 2)
    ] + [Sample("SN2.png#1", tmp_path / "SN2.png", 0, serial="SN2", view="1", page=1)]


def test_a_data_set_may_list_pages(tmp_path: Path) -> None:
    """Each with facts of its own; then the recipe has to say that they are views."""
    path = stack(tmp_path / "a.tif", [grey(0), grey(1), grey(2)])
    given = [Sample(f"a.tif#{n}", path, label, serial="S", view="A", page=n) for n, label in ((3, 0), (1, 1))]
    assert [(s.id, s.label, s.view, s.page) for s in by_page(given)] == [
        ("a.tif#3", 0, "A#3", 3),
        ("a.tif#1", 1, "A#1", 1),
    ]
    with pytest.raises(DataError, match=r"pages of files: 2 \(the first: 'a\.tif#3'\)"):
        by_page(given, Decoding(page=1))
    files = [Sample("a.tif", path, 0)]
    assert by_page(files, Decoding()) is files


def test_a_page_has_a_digest_of_its_own(tmp_path: Path) -> None:
    """Two pages with the same pixels, too; without a page, that of the file, as ever."""
    path = stack(tmp_path / "a.tif", [grey(0), grey(0)])
    file, first, second = (sample_digest(Sample("x", path, 0, page=page)) for page in (None, 1, 2))
    assert file == image_digest(path) and len({file, first, second}) == 3


def test_an_inventory_of_pages(tmp_path: Path) -> None:
    """What is known of a page is what would be known of it as a file; all is remembered, page by page."""
    pages = [grey(0), grey(1, 30), grey(2).convert("I;16")]
    path = stack(tmp_path / "a.tif", pages)
    alone = [Sample(f"{i}", tmp_path / f"{i}.tif", 0) for i in range(3)]
    for sample, page in zip(alone, pages, strict=True):
        page.save(sample.path)
    store = Store(tmp_path / "store")
    found = take_inventory(by_page([Sample("a.tif", path, 0)]), VIEWS, store)
    expected = take_inventory(alone, Decoding(), store)
    for one, other in zip(found.samples, expected.samples, strict=True):
        facts, wanted = found.facts[one.id], expected.facts[other.id]
        assert (facts.pixels, facts.size, facts.highest) == (wanted.pixels, wanted.size, wanted.highest)
    assert len({facts.file for facts in found.facts.values()}) == 3
    assert take_inventory(found.samples, VIEWS, store).facts == found.facts


def test_a_damaged_page_harms_no_other(tmp_path: Path) -> None:
    path = stack(tmp_path / "a.tif", [grey(i) for i in range(3)])
    damaged(path, 2)
    found = take_inventory(by_page([Sample("a.tif", path, 0)]), VIEWS, Store(tmp_path / "store"))
    assert [sample.id for sample in found.samples] == ["a.tif#1", "a.tif#3"]
    (error,) = found.unreadable.values()
    assert isinstance(error, DamagedImageError) and error.what.startswith(f"{path}#2: is damaged")


def test_errors_of_a_block_are_not_renamed(tmp_path: Path) -> None:
    path = stack(tmp_path / "a.tif", [grey(0), grey(1)])
    with (
        pytest.raises(ImageError, match="elsewhere: bad"),
        sample_at_full_size(Sample("a", path, 0, page=2), VIEWS),
    ):
        raise ImageError("elsewhere: bad", "")


@pytest.mark.parametrize("fit", ["stretch", "pad"])
def test_a_set_of_pages_has_their_pixels(tmp_path: Path, fit: Any) -> None:
    pages = [grey(i) for i in range(3)]
    samples = by_page([Sample("a.tif", stack(tmp_path / "a.tif", pages), 0)])
    images = FileImageSet(samples, Preprocessing((20, 20), VIEWS, fit=fit))
    (batch,) = images.batches()
    for i, page in enumerate(pages):
        np.testing.assert_array_equal(batch.pixels[i][..., 0], np.asarray(page))
        np.testing.assert_array_equal(batch.full_size(i)[..., 0], np.asarray(page))
    assert images.digest() != FileImageSet(samples[::-1], images.preprocessing).digest()


def test_what_plugins_keep_of_a_page(tmp_path: Path) -> None:
    """Of each page, and not again; a page that a recipe chooses is the same."""
    path = stack(tmp_path / "a.tif", [grey(0), grey(1)])
    store, made = Store(tmp_path / "store"), list[int]()

    def first(pixels: Any) -> dict[str, Any]:
        made.append(int(pixels[0, 0, 0]))
        return {"first": pixels[0, 0]}

    for sample in by_page([Sample("a.tif", path, 0)]) * 2:
        keeper(store, VIEWS)(sample, {}, first)
    keeper(store, Decoding(page=2))(Sample("a.tif", path, 0), {}, first)
    assert made == [int(np.asarray(grey(i))[0, 0]) for i in (0, 1)]


def test_without_a_page_a_decoding_is_what_it_was() -> None:
    assert Decoding().of_page(None) == Decoding() and Decoding(page=3).of_page(None).page == 3
    assert VIEWS.plain() == {"white": 65535, "page": "views"} and VIEWS.name() == "white-65535-page-views"
    assert VIEWS.of_page(2) == Decoding(page=2)


def test_a_single_page_needs_no_choice(tmp_path: Path) -> None:
    """As of images that a plugin learns from beside the data set."""
    grey(0).save(tmp_path / "a.png")
    np.testing.assert_array_equal(decode(tmp_path / "a.png", VIEWS).pixels[..., 0], np.asarray(grey(0)))
    with pytest.raises(ImageError, match="several frames") as caught:
        decode(stack(tmp_path / "a.tif", [grey(0), grey(1)]), VIEWS)
    assert "'views'" in caught.value.remedy
