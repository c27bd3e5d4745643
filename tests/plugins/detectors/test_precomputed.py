"""The detector `precomputed`: which file is an image's, what a file may hold, and what is refused."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from published_maps import map_file, maps_of, release

from segad_core.contracts import ImageBatch, Sample
from segad_core.errors import DataError, NonFiniteError
from segad_plugins.detectors.precomputed import Precomputed

SIZE = (6, 9)
MAP = np.random.default_rng(0).normal(0, 2, SIZE).astype(np.float32)


def sample(image: str, label: Any = 0) -> Sample:
    return Sample(image, Path("nowhere"), label)


def maps(detector: Precomputed, *samples: Sample, size: tuple[int, int] = SIZE) -> np.ndarray:
    return detector.anomaly_maps(ImageBatch(samples, np.zeros((len(samples), *size, 3), np.uint8)))


def detector(folder: Path, names: str = "release") -> Precomputed:
    return Precomputed(Precomputed.Params.model_validate({"maps": folder, "names": names}))


def written(folder: Path, array: np.ndarray, name: str = "good/1.npy") -> Precomputed:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    np.save(folder / name, array)
    return detector(folder)


def only(folder: Path, content: bytes) -> Precomputed:
    """A detector with one file, `good/1.npy`, of these bytes."""
    (folder / "good").mkdir(exist_ok=True)
    (folder / "good" / "1.npy").write_bytes(content)
    return detector(folder)


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def header(shape: tuple[int, ...], descr: str = "<f4") -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"shape": shape, "fortran_order": False, "descr": descr})
    return buffer.getvalue()


def test_a_release_is_read_by_label_and_stem(tmp_path: Path) -> None:
    """As published: test and training in one folder, the endings and folders of images left out."""
    release(tmp_path, [(0, "0007"), (1, "0007"), (1, "a.b")], "candle", size=SIZE)
    for model in ("efficient_ad", "rd4ad"):
        found = maps(
            detector(maps_of(tmp_path, model, "candle")),
            sample("candle/Data/Images/Anomaly/0007.JPG", 1),
            sample("a.b.png", 1),
            sample("test/good/0007.JPG", 0),
        )
        for own, (label, stem) in zip(found, [(1, "0007"), (1, "a.b"), (0, "0007")], strict=True):
            np.testing.assert_array_equal(own, np.load(map_file(tmp_path, model, "candle", label, stem)))


def test_a_path_is_an_id_with_another_ending(tmp_path: Path) -> None:
    """So that two images of one name have a map each, whatever their label is."""
    for i, name in enumerate(["train/good/000", "test/good/000", "test/odd/000"]):
        written(tmp_path, MAP + i, f"{name}.npy")
    found = maps(
        detector(tmp_path, "path"),
        sample("test/good/000.png"),
        sample("train/good/000.png"),
        sample("test/odd/000.png", None),
    )
    np.testing.assert_array_equal(found, np.stack([MAP + 1, MAP, MAP + 2]))


@pytest.mark.parametrize(
    ("names", "first", "second", "remedy"),
    [
        ("release", "train/good/1.png", "test/good/1.png", "Use 'names: path'"),
        ("path", "good/1.png", "good/1.jpg", "Rename one of the images"),
    ],
)
def test_a_file_belongs_to_one_image(
    tmp_path: Path, names: str, first: str, second: str, remedy: str
) -> None:
    """Told in whatever batch the second comes; the same image may come again."""
    written(tmp_path, MAP)
    one = detector(tmp_path, names)
    for _ in range(2):
        maps(one, sample(first))
    with pytest.raises(DataError) as caught:
        maps(one, sample(second))
    file = tmp_path / "good" / "1.npy"
    assert f"images '{first}' and '{second}' have the same anomaly map, {file}" in caught.value.what
    assert remedy in caught.value.remedy


@pytest.mark.parametrize(
    "stored",
    [
        MAP.astype(np.float16),
        MAP.astype(np.float64),
        MAP.astype(">f4"),
        np.asfortranarray(MAP),
        MAP[None],
        MAP[..., None],
        np.asfortranarray(MAP.astype(">f8")[..., None]),
    ],
    ids=["half", "double", "big-endian", "columns first", "first axis", "last axis", "all of it"],
)
def test_maps_are_float32_however_they_are_stored(tmp_path: Path, stored: np.ndarray) -> None:
    found = maps(written(tmp_path, stored), sample("1.png"))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found[0], stored.reshape(SIZE).astype(np.float32))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_names_its_file(tmp_path: Path, value: float) -> None:
    spoilt = MAP.astype(np.float64)
    spoilt[2, 3] = value
    with pytest.raises(
        NonFiniteError, match=r"good/1\.npy: the anomaly map of image '1\.png' is not f"
    ) as caught:
        maps(written(tmp_path, spoilt), sample("1.png"))
    assert "Copy it again" in caught.value.remedy


@pytest.mark.filterwarnings("error")
def test_what_float32_does_not_hold_is_not_finite(tmp_path: Path) -> None:
    with pytest.raises(NonFiniteError):
        maps(written(tmp_path, np.full(SIZE, 1e300)), sample("1.png"))


def test_a_map_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        maps(written(tmp_path, MAP), sample("x/2.png"))
    assert "image 'x/2.png': anomaly map" in caught.value.what and "does not exist" in caught.value.what
    assert str(tmp_path / "good" / "2.npy") in caught.value.what
    assert "correct the folder or 'names' in the recipe" in caught.value.remedy


def test_a_folder_of_that_name_is_no_map(tmp_path: Path) -> None:
    (tmp_path / "bad" / "1.npy").mkdir(parents=True)
    with pytest.raises(DataError, match=r"anomaly map .* does not exist"):
        maps(detector(tmp_path), sample("1.png", 1))


def test_a_doubtful_image_has_no_place_in_a_release(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"image 'x/1.png': is neither good nor bad.*\n.*names: path"):
        maps(written(tmp_path, MAP), sample("x/1.png", None))


@pytest.mark.parametrize("image", ["../1.png", "a/../../1.png", "/1.png", ""])
def test_no_id_leads_out_of_the_folder(tmp_path: Path, image: str) -> None:
    """What lies outside is in no cache key."""
    written(tmp_path, MAP, "1.npy")
    (tmp_path / "maps").mkdir()
    with pytest.raises(DataError, match=r"points outside the folder"):
        maps(detector(tmp_path / "maps", "path"), sample(image))


def test_maps_of_another_size_are_never_resampled(tmp_path: Path) -> None:
    """Told before anything is trained, and of a single map that differs from the others, too."""
    one = written(tmp_path, MAP)
    for tell in (lambda: maps(one, sample("1.png"), size=(9, 6)), lambda: one.check((9, 6), {})):
        with pytest.raises(DataError) as caught:
            tell()
        assert "good/1.npy: is 9 x 6 pixels (width x height), and the recipe resizes images to 6 x 9" in str(
            caught.value
        )
        assert "Set image.size to [6, 9] in the recipe" in caught.value.remedy
    one.check(SIZE, {})


@pytest.mark.parametrize(
    ("names", "says"), [("release", r"good/\*.npy or bad/\*.npy"), ("path", r"\*\*/\*.npy")]
)
def test_a_folder_without_maps_is_told_before_anything_is_trained(
    tmp_path: Path, names: str, says: str
) -> None:
    (tmp_path / "good").mkdir()
    (tmp_path / "1.npy" if names == "release" else tmp_path / "1.txt").write_bytes(npy(MAP))
    with pytest.raises(DataError, match=rf"contains no anomaly map \({says}\)"):
        detector(tmp_path, names).check(SIZE, {})


class Trap:
    """Does something when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("trapped"),))


REFUSED = {
    "object": (npy(np.array([Trap()])), r"holds Python objects, not floats\n.*array of floats"),
    "integers": (npy(np.zeros(SIZE, np.uint8)), "holds values of type uint8, not floats"),
    "complex": (npy(np.zeros(SIZE, np.complex64)), "holds values of type complex64, not floats"),
    "fields": (npy(np.zeros(SIZE, [("x", "<f4")])), "holds rows of named fields, not floats"),
    "long": (header(SIZE, "<f16"), "holds values of type float128, not floats"),
    "a line": (npy(np.zeros(54, np.float32)), r"has the shape \(54,\), not height x width"),
    "colours": (npy(np.zeros((*SIZE, 3), np.float32)), r"has the shape \(6, 9, 3\)"),
    "two maps": (npy(np.zeros((2, *SIZE), np.float32)), r"has the shape \(2, 6, 9\)"),
    "four axes": (npy(np.zeros((1, *SIZE, 1), np.float32)), r"has the shape \(1, 6, 9, 1\)"),
    "no pixels": (npy(np.zeros((0, 9), np.float32)), r"has the shape \(0, 9\)"),
    "less than none": (header((-6, -9)) + bytes(216), r"has the shape \(-6, -9\)"),
    "a promise": (header((10**6, 10**6)), r"has the shape \(1000000, 1000000\), not.*\n.*100000000 p"),
    "endless": (header((2**40, 2**40)), r"has the shape \(1099511627776, 1099511627776\)"),
    "truncated": (npy(MAP)[:-1], "has 215 bytes of values where its header promises 216: it is truncated"),
    "nothing behind": (header(SIZE), "has 0 bytes of values where its header promises 216: it is truncated"),
    "more behind": (npy(MAP) + b"x", "has 217 bytes of values where .* 216: it is followed by something"),
    "empty": (b"", "cannot be read as an npy array"),
    "text": (b"1,2,3\n" * 30, "cannot be read as an npy array .*magic string"),
    "half a header": (npy(MAP)[:40], "cannot be read as an npy array .*EOF"),
    "version": (b"\x93NUMPY\x03\x00" + npy(MAP)[8:], r"cannot be read .*version 3\.0"),
    "long header": (b"\x93NUMPY\x01\x00\xff\xff" + b" " * 65535, "cannot be read as an npy array"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_map_is_refused_by_its_header(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(np, "fromfile", None)  # no value is read
    content, says = REFUSED[what]
    with pytest.raises(DataError, match=says) as caught:
        maps(only(tmp_path, content), sample("1.png"))
    assert str(caught.value).startswith(str(tmp_path / "good" / "1.npy"))
    assert caught.value.remedy
    assert not Path("trapped").exists()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 343), byte=st.integers(0, 255), end=st.integers(0, 344))
@example(place=255, byte=127, end=0)  # a value that is not a number
@pytest.mark.filterwarnings("ignore:Reading `.npy`")
def test_a_damaged_file_is_a_map_or_an_error_that_names_it(
    tmp_path: Path, place: int, byte: int, end: int
) -> None:
    content = bytearray(npy(MAP))
    assert len(content) == 344
    content[place] = byte
    try:
        found = maps(only(tmp_path, bytes(content[: end or 344])), sample("1.png"))
    except (DataError, NonFiniteError) as error:
        assert "1.npy" in str(error)
    else:
        assert found.shape == (1, *SIZE)


def test_the_reader_of_a_table_is_told_what_cannot_be_checked(tmp_path: Path) -> None:
    (note,) = detector(tmp_path).notes()
    assert "computed elsewhere" in note and "cannot check" in note
