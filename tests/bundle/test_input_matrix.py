"""Each image is scored as the plain RGB that it means, or is UNKNOWN with the reason and the remedy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from builders import encoded, png16
from odd_images import GREY, RGB, Case, grey3, odd_images, readable, truncations, turned, unreadable
from PIL import Image
from trained_bundles import bundle_of

from segad_core.bundle.runtime.bundle import Bundle, Prediction


@pytest.fixture(scope="module")
def bundle() -> Iterator[Bundle]:
    with Bundle.load(bundle_of("SegAD"), "cpu") as opened:
        yield opened


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Case]:
    found = odd_images(tmp_path_factory.mktemp("odd"))
    assert len({case.name for case in found}) == len(found)
    return {case.name: case for case in found}


@pytest.fixture(scope="module")
def found(bundle: Bundle, cases: dict[str, Case]) -> dict[str, Prediction]:
    """All of them in one stream, each in bad company."""
    return dict(zip(cases, bundle.predict(case.path for case in cases.values()), strict=True))


@pytest.fixture(scope="module")
def meant(bundle: Bundle, cases: dict[str, Case]) -> dict[str, Prediction]:
    """What is said of the plain arrays."""
    plain = {name: case.meant for name, case in cases.items() if case.meant is not None}
    return dict(zip(plain, bundle.predict(plain.values()), strict=True))


PATHS = (
    *("Unicode", "no text", "a line break", "blanks", "a long name", "a long path", "signs of a pattern"),
    *("a dash", "a link", "a duplicate", "a way round", "a link to itself", "a dead link", "not there"),
    *("a folder", "a pipe", "a device", "below a file", "too long a name", "too long a path", "a NUL"),
)


@pytest.mark.parametrize("name", [*readable(), *unreadable(), *PATHS])
def test_scored_as_it_means_or_unknown(
    name: str, cases: dict[str, Case], found: dict[str, Prediction], meant: dict[str, Prediction]
) -> None:
    case, one = cases[name], found[name]
    assert one.image == case.path
    if case.meant is None:
        assert (one.verdict, one.score) == ("UNKNOWN", None)
        assert case.why in one.reason
        assert one.reason.endswith(f". {case.remedy}")
        assert "\n" not in one.reason
        return
    assert one.score is not None
    assert repr(one.score) == repr(meant[name].score)
    assert (one.verdict, one.reason, one.contributions) == (
        meant[name].verdict,
        meant[name].reason,
        meant[name].contributions,
    )


def test_the_table_is_whole(cases: dict[str, Case], found: dict[str, Prediction]) -> None:
    """Every case is one or the other, none is left out, and the tests above are about all of them."""
    assert {*readable(), *unreadable(), *PATHS} == set(cases)
    assert len(cases) >= 60
    scored = {name for name, one in found.items() if one.score is not None and one.verdict in ("OK", "NG")}
    unknown = {
        name for name, one in found.items() if one.score is None and one.verdict == "UNKNOWN" and one.reason
    }
    assert scored == {name for name, case in cases.items() if case.meant is not None}
    assert unknown == set(cases) - scored
    assert len(scored) >= 40 and len(unknown) >= 25


def test_the_score_tells_them_apart(bundle: Bundle) -> None:
    """Else the comparisons above would hold for whatever was decoded."""
    features = [
        one.features.tobytes()
        for one in bundle.inspect(
            [RGB, grey3(GREY), RGB[:, :, ::-1].copy(), *(turned(i).copy() for i in range(2, 9))]
        )
        if one.features is not None
    ]
    assert len(set(features)) == 10


@pytest.mark.parametrize("form", truncations())
def test_cut_anywhere(form: str, bundle: Bundle, tmp_path: Path) -> None:
    """Refused, or all that counts was there."""
    whole = truncations()[form]
    lengths = sorted({0, 1, 7, 20, *np.linspace(30, len(whole) - 1, 24).astype(int).tolist()})
    paths = [tmp_path / f"{length}.{form.lower()}" for length in [*lengths, len(whole)]]
    for path in paths:
        path.write_bytes(whole[: int(path.stem)])
    *cut, sound = bundle.predict(paths)
    assert sound.score is not None
    for one in cut:
        if one.verdict == "UNKNOWN":
            assert one.score is None
            assert one.reason.endswith(
                ("Copy it again from its source, or remove it.", "Convert it to PNG, or remove it.")
            )
        else:
            assert (one.score, one.contributions) == (sound.score, sound.contributions)
            assert int(Path(one.image).stem) > 0.98 * len(whole)
    assert sum(one.verdict == "UNKNOWN" for one in cut) >= len(lengths) - 2


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_a_tail_of_zeros(form: str, bundle: Bundle, tmp_path: Path) -> None:
    """What an interrupted copy leaves, or a lost disk: the length is right, and Pillow says nothing."""
    whole = truncations()[form]
    end = {"PNG": 13, "JPEG": 2}[form]  # behind which no pixel is lost
    for kept in np.linspace(len(whole) // 3, len(whole) - end, 25).astype(int):
        (tmp_path / f"{kept}").write_bytes(whole[:kept] + bytes(len(whole) - kept))
    for one in bundle.predict(sorted(tmp_path.iterdir())):
        assert (one.verdict, one.score) == ("UNKNOWN", None)
        assert "is damaged or truncated" in one.reason


def test_the_cameras_white(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """12 bits in 16: scaled by the recipe's white, and refused above it."""
    given = bundle.manifest
    pipeline = given.pipeline.model_copy(update={"white": 4095})
    monkeypatch.setattr(bundle.container, "manifest", given.model_copy(update={"pipeline": pipeline}))
    values = (GREY.astype(np.uint16) * 16).clip(0, 4095)
    expected = np.rint(values * (255 / 4095)).astype(np.uint8)
    (tmp_path / "a.png").write_bytes(png16(values))
    (tmp_path / "b.tif").write_bytes(encoded(Image.fromarray(values), "TIFF"))
    values[3, 3] = 4096
    (tmp_path / "c.png").write_bytes(png16(values))
    a, b, c, plain = bundle.predict(
        [*(tmp_path / name for name in ("a.png", "b.tif", "c.png")), grey3(expected)]
    )
    assert plain.score is not None
    assert [a.score, b.score, c.score] == [plain.score, plain.score, None]
    assert "has the value 4096, above the recipe's white of 4095" in c.reason


def test_a_tiff_of_brightness_and_colour(bundle: Bundle, tmp_path: Path) -> None:
    """Against the formula of JFIF, of which Pillow takes the whole part."""
    path, stored = tmp_path / "a.tif", Image.fromarray(RGB).convert("YCbCr")
    path.write_bytes(encoded(stored, "TIFF"))
    (one,) = bundle.inspect([path])
    y, blue, red = np.moveaxis(np.asarray(stored, float), -1, 0)
    green = 0.344136 * (blue - 128) + 0.714136 * (red - 128)
    expected = np.dstack([y + 1.402 * (red - 128), y - green, y + 1.772 * (blue - 128)]).clip(0, 255)
    assert one.pixels is not None
    assert one.prediction.score is not None
    assert np.abs(one.pixels - expected).max() <= 1


def test_a_tiff_of_lightness_and_colour(bundle: Bundle, tmp_path: Path) -> None:
    """CIE L*a*b* without colour is a grey whose luminance follows from L*, here in sRGB's curve."""
    path, neutral = tmp_path / "a.tif", np.zeros((48, 48, 2), np.uint8)
    path.write_bytes(encoded(Image.fromarray(np.dstack([GREY, neutral]), "LAB"), "TIFF"))
    (one,) = bundle.inspect([path])
    assert one.pixels is not None
    assert one.prediction.score is not None
    luminance = ((GREY * (100 / 255) + 16) / 116) ** 3
    expected = 255 * (1.055 * luminance ** (1 / 2.4) - 0.055)
    assert np.abs(one.pixels - expected[..., None]).max() <= 2
