"""From object masks to segmentation maps: labels, components, poor fits, names, sizes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segad_core.contracts import ImageBatch, Sample
from segad_core.errors import DataError, ImageError, RecipeError
from segad_plugins.segmenters.object_maps import ObjectMap, ObjectSegmenter
from segad_plugins.segmenters.registration import warp

NAMES = ["background", "board", "chip", "plug"]
DRAWN = np.zeros((60, 90), np.uint8)  # a board without one corner, a chip on it, a plug over its edge
DRAWN[15:45, 20:70] = 1
DRAWN[15:25, 20:32] = 0
DRAWN[32:40, 26:40] = 2
DRAWN[22:30, 62:76] = 3


class Given(ObjectSegmenter):
    """Takes the masks that a test gives it."""

    Params = ObjectMap

    def __init__(self, masks: Sequence[np.ndarray], **params: object) -> None:
        super().__init__(ObjectMap.model_validate(params))
        self.masks, self.asked = masks, 0

    def object_mask(self, batch: ImageBatch, index: int) -> np.ndarray:
        self.asked += 1
        return self.masks[int(batch.samples[index].id)]


def batch(count: int, height: int = 60, width: int = 90) -> ImageBatch:
    samples = [Sample(str(i), Path(f"{i}.png"), 0) for i in range(count)]
    return ImageBatch(samples, np.zeros((count, height, width, 3), np.uint8))


@pytest.fixture
def components(tmp_path: Path) -> Path:
    Image.fromarray(DRAWN).save(tmp_path / "board.png")
    return tmp_path / "board.png"


def about_the_middle(linear: np.ndarray, shift: tuple[float, float]) -> np.ndarray:
    middle = np.array([44.5, 29.5])
    return np.column_stack([linear, middle + shift - linear @ middle])


TURNED = about_the_middle(0.8 * np.array([[0.0, -1.0], [1.0, 0.0]]), (4, -2))


def test_without_components_a_mask_is_the_map() -> None:
    mask = DRAWN > 0
    segmenter, images = Given([mask, ~mask]), batch(2)
    np.testing.assert_array_equal(segmenter.segment(images), [mask, ~mask])
    assert segmenter.segment(images).dtype == np.uint8
    assert [(q.fit, q.doubt) for q in segmenter.quality(images)] == [(None, ""), (None, "")]
    assert list(segmenter.segments()) == ["background", "object"]


def test_masks_are_brought_to_size_by_nearest_neighbour() -> None:
    mask = np.array([[1, 0, 1, 1], [0, 1, 0, 1]], bool)
    np.testing.assert_array_equal(
        Given([mask]).segment(batch(1, 6, 12))[0], np.kron(mask, np.ones((3, 3), np.uint8))
    )
    large = np.random.default_rng(0).random((120, 90)) < 0.5
    small = np.asarray(Image.fromarray(large.astype(np.uint8)).resize((30, 40), Image.Resampling.NEAREST))
    np.testing.assert_array_equal(Given([large]).segment(batch(1, 40, 30))[0], small)


def test_components_where_nothing_moved(components: Path) -> None:
    segmenter, images = Given([DRAWN > 0], components=components, segments=NAMES), batch(1)
    np.testing.assert_array_equal(segmenter.segment(images)[0], DRAWN)
    assert segmenter.quality(images)[0].fit == 1.0
    assert segmenter.segments() == NAMES


@pytest.mark.parametrize("kind", ["similarity", "affine"])
def test_components_turn_with_their_object(components: Path, kind: str) -> None:
    linear = 0.8 * np.array([[0.0, -1.0], [1.0, 0.0]])
    linear = linear @ np.array([[1.2, 0], [0, 1]]) if kind == "affine" else linear
    true = warp(DRAWN, about_the_middle(linear, (4, -2)), (60, 90))
    segmenter, images = Given([true > 0], components=components, segments=NAMES, motion=kind), batch(1)
    found = segmenter.segment(images)[0]
    for label in range(4):
        mine, its = found == label, true == label
        assert (mine & its).sum() / (mine | its).sum() > 0.85, NAMES[label]
    assert segmenter.quality(images)[0].fit > 0.93
    assert segmenter.quality(images)[0].doubt == ""


def test_components_lie_on_top_also_of_holes_in_the_mask(components: Path) -> None:
    mask = DRAWN > 0
    mask[DRAWN == 2] = False  # the chip was not taken for a part of the object
    mask[18:21, 40:50] = False
    segmenter, images = Given([mask], components=components, segments=NAMES), batch(1)
    found = segmenter.segment(images)[0]
    assert (found[DRAWN == 2] == 2).mean() > 0.85
    assert (found[19, 41:49] == 0).all()  # the object itself is as the mask has it
    assert 0.8 < segmenter.quality(images)[0].fit < 0.97


def test_maps_of_another_size_than_masks_and_drawing(components: Path) -> None:
    """Drawn at 60 x 90, seen at 180 x 270, mapped at 40 x 40 (which squeezes it): no label is invented."""
    mask = np.kron(DRAWN > 0, np.ones((3, 3))) > 0
    segmenter, images = Given([mask], components=components, segments=NAMES), batch(1, 40, 40)
    found = segmenter.segment(images)[0]
    plain = np.asarray(Image.fromarray(DRAWN).resize((40, 40), Image.Resampling.NEAREST))
    assert set(np.unique(found)) == {0, 1, 2, 3}
    assert (found == plain).mean() > 0.98


def test_a_poor_fit_leaves_the_components_out_and_says_so(components: Path) -> None:
    mask = np.hypot(*np.mgrid[-29:31, -44:46]) < 25
    segmenter = Given([DRAWN > 0, mask], components=components, segments=NAMES)
    images = batch(2)
    np.testing.assert_array_equal(segmenter.segment(images), [DRAWN, mask])
    good, poor = segmenter.quality(images)
    assert good.doubt == ""
    assert 0.3 < poor.fit < 0.8
    assert f"fit to the object is {poor.fit:.2f}, below 0.8" in poor.doubt
    lenient = Given([DRAWN > 0, mask], components=components, segments=NAMES, least_fit=0.3)
    assert set(np.unique(lenient.segment(images)[1])) == {0, 1, 2, 3}


def test_a_poor_fit_fails_where_the_recipe_says_so(components: Path) -> None:
    mask = np.hypot(*np.mgrid[-29:31, -44:46]) < 25
    segmenter = Given([DRAWN > 0, mask], components=components, segments=NAMES, poor_fit="fail")
    with pytest.raises(
        DataError, match=r"image '1': the components are left out: .* 0\.\d\d, below .*\n.*poor_fit"
    ):
        segmenter.segment(batch(2))
    segmenter.segment(batch(1))


def test_half_a_turn_beyond_the_most_rotation_is_a_poor_fit(components: Path) -> None:
    true = warp(DRAWN, TURNED, (60, 90)) > 0
    free = Given([true], components=components, segments=NAMES)
    held = Given([true], components=components, segments=NAMES, most_rotation=20)
    assert free.quality(batch(1))[0].fit > 0.93
    assert held.quality(batch(1))[0].fit < 0.8


@pytest.mark.parametrize("drawn", [False, True])
def test_no_object(components: Path, drawn: bool) -> None:
    given = {"components": components, "segments": NAMES} if drawn else {}
    images, masks = batch(1), [np.zeros((60, 90), bool)]
    segmenter = Given(masks, **given)
    assert not segmenter.segment(images).any()
    assert segmenter.quality(images)[0].fit == (0.0 if drawn else None)
    assert "no object was found" in segmenter.quality(images)[0].doubt
    with pytest.raises(DataError, match="image '0': no object was found"):
        Given(masks, **given, poor_fit="fail").segment(batch(1))


@pytest.mark.parametrize("drawn", [False, True])
def test_an_object_that_covers_everything(components: Path, drawn: bool) -> None:
    given = {"components": components, "segments": NAMES} if drawn else {}
    segmenter, images = Given([np.ones((60, 90), bool)], **given), batch(1)
    assert (segmenter.segment(images) == 1).all()
    assert segmenter.quality(images)[0].fit == (0.0 if drawn else None)
    assert "covers the whole image" in segmenter.quality(images)[0].doubt


def test_a_mask_of_almost_everything_is_no_enlarged_object(components: Path) -> None:
    """A board blown up until its inside fills the image would fit what is seen of it."""
    mask = np.ones((60, 90), bool)
    mask[:3] = False
    assert Given([mask], components=components, segments=NAMES).quality(batch(1))[0].fit < 0.8


def test_masks_are_asked_for_once_a_batch() -> None:
    segmenter, images = Given([DRAWN > 0] * 3), batch(3)
    segmenter.quality(images)
    segmenter.segment(images)
    assert segmenter.asked == 3
    segmenter.segment(batch(3))
    assert segmenter.asked == 6


def test_two_segmenters_do_not_share_their_maps() -> None:
    images = batch(1)
    first, second = Given([DRAWN > 0]), Given([DRAWN == 0])
    assert (first.segment(images) != second.segment(images)).all()


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (None, "'segments' must name the labels"),
        (["a"], "at least 2"),
        (["a", "b", "a"], "the same name"),
        (["a", "image"], "cannot name a segment"),
        (["a", "b.c"], "cannot name a segment"),
    ],
)
def test_names_that_cannot_be(components: Path, names: list[str] | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Given([], components=components, segments=names)


def test_names_without_components_are_two() -> None:
    assert list(Given([], segments=["tray", "part"]).segments()) == ["tray", "part"]
    with pytest.raises(ValueError, match="must be two names"):
        Given([], segments=["a", "b", "c"])


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a", "b"], "has the label 3, but only 2 segments have names"),
        ([*NAMES, "lost"], "has no pixel of lost"),
    ],
)
def test_components_that_do_not_fit_their_names(components: Path, names: list[str], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        Given([], components=components, segments=names).segments()


def test_components_in_colours_that_are_no_labels(tmp_path: Path) -> None:
    Image.fromarray(np.full((6, 6, 3), (200, 0, 0), np.uint8)).save(tmp_path / "colours.png")
    with pytest.raises(ImageError, match="36 of 36 pixels have an unknown colour"):
        Given([], components=tmp_path / "colours.png", segments=["a", "b"]).segments()


def test_a_drawing_that_was_squeezed_with_the_images(tmp_path: Path) -> None:
    np.save(tmp_path / "square.npy", np.eye(64, dtype=np.uint8))
    given = {"components": tmp_path / "square.npy", "segments": ["a", "b"]}
    segmenter = Given([], **given)
    segmenter.check_sizes({(300, 300), (200, 300)}, (64, 64))  # some images are square
    segmenter.check_sizes({(200, 300)}, (32, 32))  # a drawing of one part of an image, say
    with pytest.raises(RecipeError, match=r"image\.size of 64 x 64, which distorts images of 200 x 300"):
        segmenter.check_sizes({(200, 300)}, (64, 64))
    Given([], **given, motion="affine").check_sizes({(200, 300)}, (64, 64))
    Given([]).check_sizes({(200, 300)}, (64, 64))


def test_a_template_says_that_it_is_one(components: Path) -> None:
    assert not Given([DRAWN > 0], components=components, segments=NAMES).notes()
    (note,) = Given([DRAWN > 0], components=components, segments=NAMES, template=True).notes()
    assert note.startswith("components map board.png is a template, drawn without the images")


def test_a_template_of_nothing() -> None:
    with pytest.raises(ValueError, match="'template' applies to 'components'"):
        Given([], template=True)
