"""EfficientAD's penalty on images from elsewhere."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import plain
import pytest
from numpy.typing import NDArray
from PIL import Image
from trainings import FOLDER, FolderRun, Spy, seed_run, small_images, which, without_colour

from segad_core.errors import DataError
from segad_core.testing import ArrayImageSet, good_images
from segad_plugins.detectors.efficientad import EfficientAD


def others(count: int = 5) -> ArrayImageSet:
    return ArrayImageSet(np.random.default_rng(7).integers(0, 256, (count, 96, 88, 3), dtype=np.uint8))


def places_of(inputs: NDArray[np.float32], images: ArrayImageSet) -> NDArray[np.int64]:
    """Which of the images each input is the centre of; those from the last on are in grey."""
    height, width = inputs.shape[2:]
    pixels = images.resized((2 * height, 2 * width)).array
    centre = pixels[:, height // 2 : height // 2 + height, width // 2 : width // 2 + width]
    room = 1.01 / 255 / 0.224  # a grey level, for its rounding
    return np.array(which(inputs, np.concatenate([centre, without_colour(centre)]), room))


def test_the_penalty_is_on_where_images_from_elsewhere_are_given(
    make: Callable[..., EfficientAD], spy: Spy
) -> None:
    """The first loss is larger by the mean square of what the student says of them."""
    make(iterations=1).fit(small_images(), seed_run())
    make(iterations=1, auxiliary_images=FOLDER).fit(small_images(), FolderRun(1, {FOLDER: others()}))
    (_, alone, _), (_, both, _) = spy.terms
    assert alone.shape == (1, 768, 2, 2) and both.shape == (2, 768, 2, 2)
    np.testing.assert_allclose(both[:1], alone, rtol=1e-4, atol=1e-5)
    penalty = float((both[1, :384].astype(np.float64) ** 2).mean())
    assert penalty > 1e-4 and spy.losses[1] == pytest.approx(spy.losses[0] + penalty, rel=1e-4)
    image = spy.given["student"][2][1]  # after the first fit's training and its calibration
    described = plain.description(image.astype(np.float64), spy.initial, "student", "small", False)
    np.testing.assert_allclose(both[1], described, rtol=1e-3, atol=1e-4)


def test_the_penaltys_images_are_the_centre_of_twice_the_size_some_in_grey(
    make: Callable[..., EfficientAD], spy: Spy
) -> None:
    run, steps = FolderRun(1, {FOLDER: others()}), 200
    spy.steps_alone(steps)
    make(input_size=(48, 44), auxiliary_images=FOLDER).fit(small_images(), run)
    assert run.asked == [(FOLDER, (96, 88), ())]
    seen = np.stack(spy.given["student"][:steps])
    assert seen.shape == (steps, 2, 3, 48, 44)
    places = places_of(seen[:, 1], others())
    assert 0.22 < (places >= 5).mean() < 0.38 and set(places) == set(range(10))
    for start in range(0, steps, 5):
        assert sorted(places[start : start + 5] % 5) == list(range(5))


def test_the_penalty_has_a_seed_of_its_own(make: Callable[..., EfficientAD], spy: Spy) -> None:
    """The run's seed decides it; it moves no good image, and follows no order of theirs."""
    spy.steps_alone(14)
    seen = []
    for seed, folder in ((1, FOLDER), (1, FOLDER), (2, FOLDER), (1, None)):
        del spy.given["student"][:]
        make(auxiliary_images=folder).fit(small_images(8), FolderRun(seed, {FOLDER: others(7)}))
        seen.append(spy.given["student"][:14])
    first, again, other, without = (np.stack([step[-1] for step in steps]) for steps in seen)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    good = np.stack([step[0] for step in seen[0]])
    np.testing.assert_array_equal(without, good)
    assert len(spy.described) == 7  # as many as the others
    assert (places_of(first, others(7)) % 7).tolist() != which(good, spy.described)


@pytest.mark.parametrize("parameter", ["auxiliary_images", "teacher_images"])
def test_a_folder_without_an_image_is_refused_before_anything_trains(parameter: str, tmp_path: Path) -> None:
    folder = tmp_path / "others"
    folder.mkdir()
    (folder / "notes.txt").write_text("none")
    detector = EfficientAD(EfficientAD.Params.model_validate({parameter: folder}))
    with pytest.raises(DataError, match="others contains none"):
        detector.check((256, 256), {})
    Image.fromarray(good_images(1)[0]).save(folder / "one.png")
    detector.check((256, 256), {})
