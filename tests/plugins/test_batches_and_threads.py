"""What a plugin says of an image depends on that image alone: not on its batch, nor on other threads."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_sam
import torch
from every_plugin import PIXELS, SIZE, batch_of, copy_of, learners, scorer, segmenters, variants
from torch import nn

from segad_core.contracts import Learner, Sample, Segmenter
from segad_core.errors import DataError
from segad_plugins.encoders.efficientnet_lite0 import EfficientNetLite0
from segad_plugins.encoders.network import NetworkEncoder
from segad_plugins.published_arrays import PublishedArrays
from segad_plugins.segmenters import sam, sam_masks
from segad_plugins.segmenters.precomputed import Precomputed
from segad_plugins.training import seeded

LEARNERS = ("patchcore", "fastflow", "rd4ad", "efficientad", "precomputed")
LEARNERS += ("wide_resnet", "devnet", "dra", "dra-upstream", "linear_probe", "onnx", "openvino")
SEGMENTERS = ("clusters", "clusters-still", "foreground", "precomputed", "sam", "sam-prompts")
SEGMENTERS += ("static_mask", "whole_image")

TOLERANCE = 1e-4
"""By how much float32 results of an image may differ between batches, as a share of the largest value."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Learner]:
    return learners(tmp_path_factory.mktemp("learners"))


@pytest.fixture(scope="module")
def makers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Callable[[], Segmenter]]]:
    with pytest.MonkeyPatch.context() as patch:
        tiny_sam.register(patch)
        yield segmenters(tmp_path_factory.mktemp("segmenters"))


def test_every_built_in_plugin_is_among_them() -> None:
    def built_in(*kinds: str) -> set[str]:
        points = [point for kind in kinds for point in entry_points(group=f"segad.{kind}")]
        return {point.name for point in points if point.value.startswith("segad_plugins.")}

    assert built_in("detectors", "classifiers") == variants(dict.fromkeys(LEARNERS))
    assert built_in("segmenters") == variants(dict.fromkeys(SEGMENTERS))


# ---- batches ----


def check_batches(plugin: Learner | Segmenter, tolerance: float) -> None:
    """Alone, in pairs, in another order and all together."""
    results = scorer(plugin)
    count = len(PIXELS)
    together = results(range(count))
    groupings: list[list[list[int]]] = [
        [[i] for i in range(count)],
        [[i, (i + 3) % count] for i in range(count)],
        [list(range(count))[::-1]],
    ]
    for group in (group for grouping in groupings for group in grouping):
        for whole, part in zip(together, results(group), strict=True):
            room = tolerance * float(np.abs(whole).max())
            np.testing.assert_allclose(part, whole[group], rtol=0, atol=room)


@pytest.mark.parametrize("name", LEARNERS)
def test_scores_do_not_depend_on_the_batch(name: str, trained: dict[str, Learner]) -> None:
    check_batches(trained[name], TOLERANCE)


@pytest.mark.parametrize("name", SEGMENTERS)
def test_segmentation_maps_do_not_depend_on_the_batch(
    name: str, makers: dict[str, Callable[[], Segmenter]]
) -> None:
    check_batches(makers[name](), 0)


# ---- threads ----


def in_threads(work: Callable[[int], Any], count: int = 6) -> list[Any]:
    """The results of a function in threads that begin together and switch as often as they can."""
    results: list[Any] = [None] * count
    begin, before = threading.Barrier(count), sys.getswitchinterval()

    def run(number: int) -> None:
        begin.wait()
        try:
            results[number] = work(number)
        except BaseException as error:
            results[number] = error

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    return results


def check_threads(fresh: Learner | Segmenter, reference: Learner | Segmenter) -> None:
    """Each thread asks one instance for other images than the other threads, in other batch sizes."""
    groups: list[Sequence[int]] = [[0], [1, 2], [3], [4, 5], [5, 0, 1], [2]]
    expected = [scorer(reference)(group) for group in groups]
    results = scorer(fresh)
    for outcome, wanted in zip(
        in_threads(lambda i: [results(groups[i]) for _ in range(3)]), expected, strict=True
    ):
        assert not isinstance(outcome, BaseException), outcome
        for arrays in outcome:
            for array, same in zip(arrays, wanted, strict=True):
                np.testing.assert_array_equal(array, same)


@pytest.mark.parametrize("name", LEARNERS)
def test_threads_that_share_a_learner_get_their_own_scores(name: str, trained: dict[str, Learner]) -> None:
    check_threads(copy_of(trained[name]), trained[name])


@pytest.mark.parametrize("name", SEGMENTERS)
def test_threads_that_share_a_segmenter_get_their_own_maps(
    name: str, makers: dict[str, Callable[[], Segmenter]]
) -> None:
    check_threads(makers[name](), makers[name]())


def test_scoring_changes_no_attribute(trained: dict[str, Learner]) -> None:
    """What a plugin computes for a batch comes back as a value; nothing stays in the instance."""
    for learner in trained.values():
        before = {name: id(value) for name, value in vars(learner).items()}
        scorer(learner)([0, 1])
        assert {name: id(value) for name, value in vars(learner).items()} == before


def test_an_encoder_is_loaded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    built = []

    def build(_: NetworkEncoder) -> nn.Module:
        built.append(None)
        time.sleep(0.01)
        return nn.Conv2d(3, 4, 1)

    monkeypatch.setattr(EfficientNetLite0, "build", build)
    monkeypatch.setattr(EfficientNetLite0, "forward", lambda _, network, x, __: {"layer1": network(x)})
    encoder = EfficientNetLite0()
    outcomes = in_threads(lambda i: encoder.encode(PIXELS[i : i + 1], ["layer1"])["layer1"].numpy())
    assert len(built) == 1
    for i, outcome in enumerate(outcomes):
        np.testing.assert_array_equal(outcome, encoder.encode(PIXELS[i : i + 1], ["layer1"])["layer1"])


def test_loading_an_encoder_leaves_torchs_generator_as_it_is() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    EfficientNetLite0().encode(PIXELS[:1], ["layer1"])
    assert (torch.rand(3) == expected).all()


def test_sam_is_loaded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_sam.register(monkeypatch)
    loads, real = [], sam._weights

    def weights(*args: Any) -> Any:
        loads.append(args)
        time.sleep(0.01)
        return real(*args)

    monkeypatch.setattr(sam, "_weights", weights)
    segmenter = tiny_sam.segmenter(tiny_sam.checkpoint(tmp_path), prompts=[{"points": [[60, 40]]}])
    outcomes = in_threads(lambda i: segmenter.segment(batch_of([i])))
    assert all(isinstance(outcome, np.ndarray) for outcome in outcomes)
    assert len(loads) == 1


def test_sam_keeps_cudnn_deterministic_in_every_thread() -> None:
    """Although the flags are the process's: a thread that ends must not reset them for another."""
    before = torch.backends.cudnn.deterministic
    inside, ended, seen = threading.Event(), threading.Event(), []

    def second() -> None:
        with sam_masks._exact():
            inside.set()
            ended.wait(5)
            seen.append(torch.backends.cudnn.deterministic)

    thread = threading.Thread(target=second)
    with sam_masks._exact():
        thread.start()
        inside.wait(0.2)
    ended.set()
    thread.join()
    assert seen == [True]
    assert torch.backends.cudnn.deterministic == before


def test_each_thread_draws_from_its_own_seed() -> None:
    def draws(seed: int) -> list[tuple[float, float]]:
        found = []
        for _ in range(30):
            with seeded(seed):
                first = float(torch.rand(1))
                time.sleep(0)
                found.append((first, float(torch.rand(1))))
        return found

    expected = [draws(seed)[0] for seed in range(6)]
    assert in_threads(draws) == [[pair] * 30 for pair in expected]


def test_labels_without_a_name_are_warned_of_once(
    makers: dict[str, Callable[[], Segmenter]], caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(20):
        segmenter = makers["precomputed"]()
        assert isinstance(segmenter, Precomputed)
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            in_threads(lambda i, s=segmenter: s._labels(Path("x.npy"), np.full(SIZE, i % 3)))  # 2 has no name
            in_threads(lambda _, s=segmenter: s._labels(Path("x.npy"), np.arange(4)))
        assert len(caplog.messages) == 1


def test_one_array_never_serves_two_images(tmp_path: Path) -> None:
    """Of two images with one array, whichever comes second is refused, in whatever thread."""
    (tmp_path / "good").mkdir()
    np.save(tmp_path / "good" / "a.npy", np.ones((2, 2), np.float32))
    for _ in range(20):
        arrays = PublishedArrays(tmp_path, "release", "anomaly map", "f")
        samples = [Sample(f"{i}/a.png", Path("a.png"), 0) for i in range(6)]
        outcomes = in_threads(lambda i, a=arrays, s=samples: a.read(s[i]))
        assert sum(isinstance(outcome, DataError) for outcome in outcomes) == 5
