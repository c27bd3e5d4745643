"""A training of EfficientAD: what each part sees and learns, its steps, its hold-out."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import plain
import pytest
import torch
from plain import random_pdn
from trainings import SIDE, Spy, ToldSteps, optimiser_steps, seed_run, small_images, which

from segad_core.errors import DataError
from segad_core.testing import good_images, image_batch
from segad_plugins.detectors import efficientad
from segad_plugins.detectors.efficientad import EfficientAD
from segad_plugins.detectors.student_teacher import StudentTeacher


def test_a_first_step_equals_the_reference(make: Callable[..., EfficientAD], spy: Spy) -> None:
    """The teacher's normalised description, the student's, and the loss that is reported."""
    detector, images, told = make(iterations=2), small_images(6), ToldSteps()
    detector.fit(images, seed_run(1, told))
    described, students, imitated = spy.terms[0]
    (place,) = which(spy.given["student"][0], images.array)
    image, state = plain.network_input(images.array[place], (SIDE, SIDE)), dict(spy.initial)
    own = plain.network_input(spy.described)
    every = plain.description(own, state, "teacher", "small", False)
    mean = every.mean(axis=(2, 3)).mean(axis=0)[:, None, None]
    spread = np.sqrt(((every - mean) ** 2).mean(axis=(2, 3)).mean(axis=0))[:, None, None]
    wanted = (plain.description(image, state, "teacher", "small", False) - mean) / spread
    np.testing.assert_allclose(described[0], wanted, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(
        students[0], plain.description(image, state, "student", "small", False), rtol=1e-3, atol=1e-4
    )
    for terms, loss, (*_, note) in zip(spy.terms, spy.losses, told.calls, strict=True):
        wide = [array.astype(np.float64) for array in terms]
        assert loss == pytest.approx(plain.efficientad_loss(wide[0][0], wide[1], wide[2][0]), rel=1e-5)
        assert note == f"loss {loss:.4g}"
    found = detector.state()
    np.testing.assert_allclose(found["networks.mean"][0], mean, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found["networks.spread"][0], spread, rtol=1e-4)
    assert imitated.shape == described.shape == (1, 384, 2, 2) and students.shape == (1, 768, 2, 2)


def test_autoencoder_and_student_see_the_same_image_unchanged(
    make: Callable[..., EfficientAD], spy: Spy
) -> None:
    """Each image that trains once an epoch, in changing order, one at a time; never one held out."""
    spy.steps_alone(27)
    images = small_images(12)
    make().fit(images, seed_run())
    seen = spy.given["student"][:27]
    np.testing.assert_array_equal(seen, spy.given["autoencoder"][:27])
    assert {one.shape for one in seen} == {(1, 3, SIDE, SIDE)}
    places = which(np.concatenate(seen), images.array)
    epochs = [places[start : start + 10] for start in (0, 10)]
    own = sorted(which(plain.network_input(spy.described), images.array))
    assert sorted(epochs[0]) == sorted(epochs[1]) == own and epochs[0] != epochs[1]
    assert set(places[20:]) < set(own) and len(set(places[20:])) == 7
    held = which(plain.network_input(spy.held_out), images.array)
    assert sorted(own + held) == list(range(12)) and len(held) == 2


@pytest.mark.parametrize(
    ("count", "holdout", "held"), [(2, 0.1, 1), (10, 0.1, 1), (11, 0.1, 2), (20, 0.1, 2), (21, 0.25, 6)]
)
def test_the_hold_out_is_rounded_up(
    count: int,
    holdout: float,
    held: int,
    make: Callable[..., EfficientAD],
    spy: Spy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(efficientad, "train", lambda *_, **__: None)
    images = small_images(count)
    make(holdout=holdout).fit(images, seed_run())
    assert (len(spy.described), len(spy.held_out)) == (count - held, held)
    together = np.concatenate([spy.described, spy.held_out])
    assert sorted(which(plain.network_input(together), images.array)) == list(range(count))


def test_what_is_held_out_depends_on_the_seed(
    make: Callable[..., EfficientAD], spy: Spy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(efficientad, "train", lambda *_, **__: None)
    images, found = small_images(20), []
    for seed in (1, 2, 1):
        make().fit(images, seed_run(seed))
        found.append(which(plain.network_input(spy.held_out), images.array))
    assert found[0] == found[2] != found[1]


def test_the_teacher_runs_once_per_image(make: Callable[..., EfficientAD], spy: Spy) -> None:
    """However many iterations: the images that train once, and once those that are held out."""
    images = small_images(5)
    make(iterations=9, holdout=0.3).fit(images, seed_run())
    assert [len(spy.given[name]) for name in ("student", "autoencoder")] == [9 + 1, 9 + 1]
    seen = np.concatenate(spy.given["teacher"])
    assert sorted(which(seen, images.array)) == list(range(5))


def test_training_changes_student_and_autoencoder_and_never_the_teacher(
    teacher_file: Path, make: Callable[..., EfficientAD], spy: Spy
) -> None:
    detector = make()
    detector.fit(small_images(), seed_run())
    state, published = detector.state(), torch.load(teacher_file, weights_only=True)
    names = [name for name in state if name.startswith("networks.") and name.count(".") > 1]
    assert len(names) == 2 * (4 + 4 + 6 + 6 + 2)
    for name in names:
        part = name.split(".")[1]
        if part == "teacher":
            np.testing.assert_array_equal(state[name], published[name.removeprefix("networks.teacher.")])
        else:
            assert (state[name] != spy.initial[name]).mean() > 0.5, f"{name} was not trained"


def test_learning_rate_drops_to_a_tenth_for_the_last_twentieth(make: Callable[..., EfficientAD]) -> None:
    with optimiser_steps() as steps:
        make(iterations=5, learning_rate=2e-4).fit(small_images(3), seed_run())
    rates = [2e-4] * 4 + [2e-5]  # 4.75 comes to 4
    assert steps == [("Adam", pytest.approx(rate), 1e-5, (0.9, 0.999)) for rate in rates]


def test_the_papers_settings_are_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    """70,000 iterations at 1e-4, a tenth of that from step 66,500; 60,000 of 16 images for a teacher."""
    p = EfficientAD.Params()
    assert (p.size, p.padding, p.iterations, p.learning_rate, p.weight_decay, p.holdout) == (
        *("medium", True, 70_000, 1e-4, 1e-5, 0.1),
    )
    assert (p.teacher_iterations, p.teacher_batch, p.teacher_learning_rate) == (60_000, 16, 1e-4)
    assert p.auxiliary_images is p.teacher is p.teacher_images is p.input_size is None
    factors: list[Callable[[int], float]] = []
    monkeypatch.setattr(efficientad, "train", lambda *_, rate_factor, **__: factors.append(rate_factor))
    monkeypatch.setattr(StudentTeacher, "calibrate", lambda *_: None)
    monkeypatch.setattr(
        EfficientAD,
        "_teacher",
        lambda *_: {k: torch.from_numpy(v) for k, v in random_pdn("small", 5).items()},
    )
    EfficientAD(EfficientAD.Params(size="small")).fit(small_images(2, side=32), seed_run())
    assert [factors[0](step) for step in (0, 66_499, 66_500, 69_999)] == [1, 1, 0.1, 0.1]


def test_a_fit_normalises_by_its_held_out_images(make: Callable[..., EfficientAD], spy: Spy) -> None:
    """Against the reference, with the dropout off."""
    detector = make(holdout=0.5)
    detector.fit(small_images(8), seed_run())
    state = dict(detector.state())
    maps = np.array([plain.raw_maps(image, state, "small", False) for image in spy.held_out])
    expected = np.quantile(maps, [0.9, 0.995], axis=(0, 2, 3)).T
    np.testing.assert_allclose(state["networks.quantiles"], expected, rtol=1e-4)


def test_dropout_differs_from_step_to_step(make: Callable[..., EfficientAD], spy: Spy) -> None:
    """Without learning, one image gives another imitation at each step."""
    spy.steps_alone((0, 1, 2, 0), idle=False)
    make(holdout=0.5).fit(small_images(2), seed_run())
    imitated = [terms[2] for terms in spy.terms]
    np.testing.assert_array_equal(imitated[0], imitated[3])
    assert not np.array_equal(imitated[0], imitated[1]) and not np.array_equal(imitated[1], imitated[2])
    assert not spy.networks.training


def test_the_loss_of_one_image_falls(make: Callable[..., EfficientAD], spy: Spy) -> None:
    make(iterations=22, learning_rate=1e-3, holdout=0.5).fit(small_images(2), seed_run())
    assert np.mean(spy.losses[-3:]) < 0.8 * np.mean(spy.losses[:3])


@pytest.mark.parametrize(("count", "holdout"), [(1, 0.1), (3, 0.95)])
def test_a_hold_out_that_leaves_no_image_to_train_on_is_refused(
    count: int, holdout: float, make: Callable[..., EfficientAD]
) -> None:
    message = f"efficientad: needs at least 2 training images.* of {count}, holdout {holdout} takes {count}$"
    with pytest.raises(DataError) as caught:
        make(holdout=holdout).fit(small_images(count), seed_run())
    assert re.match(message, caught.value.what)


def test_images_come_to_the_networks_size_and_maps_to_theirs(
    make: Callable[..., EfficientAD], spy: Spy
) -> None:
    detector = make(input_size=(44, 52), iterations=1)
    detector.fit(small_images(3, side=60), seed_run())
    assert {one.shape[1:] for seen in spy.given.values() for one in seen} == {(3, 44, 52)}
    assert detector.state()["image_size"].tolist() == [44, 52]
    assert detector.anomaly_maps(image_batch(good_images(2, 60, 70))).shape == (2, 60, 70)
