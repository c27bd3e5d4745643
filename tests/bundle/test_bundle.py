"""A bundle at work: the run's scores to the last bit, verdicts that fail safe, reasons, a stream."""

from __future__ import annotations

import errno
import json
import random
import re
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import picture
from PIL import Image
from trained_bundles import ROWS, bad, bundle_of, good, home, run_scores

import segad_core
from segad_core.base.parallel import compute_threads
from segad_core.bundle.runtime.bundle import Bundle, Inspection
from segad_core.bundle.runtime.learning import learn
from segad_core.bundle.runtime.made_with import compare_threads
from segad_core.bundle.runtime.prediction import Contribution, parted, readable
from segad_core.bundle.runtime.selftest import verify
from segad_core.contracts import MapQuality
from segad_core.errors import ResourceError, UsageError
from segad_core.images import decode

BATCH = 4


@pytest.fixture(scope="module")
def bundle() -> Iterator[Bundle]:
    """Not to be changed but by monkeypatch, which puts everything back."""
    with Bundle.load(bundle_of("SegAD"), "cpu") as opened:
        yield opened


@pytest.fixture
def a_free_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segad_core.bundle.runtime.bundle.free_core", lambda device: True)


def bits(numbers: list[float | None]) -> list[str]:
    return [repr(number) for number in numbers]


@pytest.mark.parametrize("row", ROWS)
def test_scores_are_the_runs_to_the_last_bit(row: str) -> None:
    """In batches of the same size, whatever the order and the way in."""
    expected = run_scores(row)
    assert len(expected) == 16
    paths = list(expected)
    random.Random(row).shuffle(paths)
    with Bundle.load(bundle_of(row), "cpu") as opened:
        given = opened.predict(paths)
        arrays = opened.predict(decode(path).pixels for path in paths[: 2 * BATCH])
    assert [one.image for one in given] == [str(path) for path in paths]
    assert {Path(one.image): repr(one.score) for one in given} == expected
    assert bits([one.score for one in arrays]) == [expected[path] for path in paths[: 2 * BATCH]]
    assert [one.image for one in arrays] == [str(number) for number in range(2 * BATCH)]


@pytest.mark.parametrize("row", ROWS)
def test_scores_in_batches_of_another_size_agree(row: str) -> None:
    """Alone, or in the company of files that cannot be read: rounding alone may differ (decision 0015)."""
    expected = {path: float(score) for path, score in run_scores(row).items()}
    paths = list(expected)
    tolerance = 1e-4 * float(np.ptp(list(expected.values())))
    with Bundle.load(bundle_of(row), "cpu") as opened:
        company = [paths[0], home() / "trained.yaml", *paths[1:6], home() / "gone.png", *paths[6:], paths[3]]
        given = opened.predict(company)
        alone = [opened.predict([path])[0] for path in paths[:5]]
    assert [one.image for one in given] == [str(path) for path in company]
    for one in [*given, *alone]:
        if one.verdict == "UNKNOWN":
            assert one.image in {str(company[1]), str(company[7])}
        else:
            assert one.score == pytest.approx(expected[Path(one.image)], abs=tolerance)


def test_an_image_alone_costs_one_image(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is padded: the encoder, the detectors and the segmenter see real images only."""
    assert bundle.pipeline.segad is not None and bundle.pipeline.encoder is not None
    segmenter, encoder = bundle.pipeline.segad.segmenter.segmenter, bundle.pipeline.encoder
    (detector,) = (named.detector for named in bundle.pipeline.scoring.detectors.values())
    seen: list[tuple[str, int]] = []

    def counted(plugin: object, method: str) -> None:
        sound = getattr(plugin, method)

        def wrapped(given, *args):
            seen.append((method, len(given)))
            return sound(given, *args)

        monkeypatch.setattr(plugin, method, wrapped)

    for plugin, method in ((encoder, "encode"), (detector, "anomaly_maps"), (segmenter, "segment")):
        counted(plugin, method)
    bundle.predict([good(0)])
    assert sorted(seen) == [("anomaly_maps", 1), ("encode", 1), ("segment", 1)]
    seen.clear()
    bundle.predict([good(n) for n in range(BATCH + 1)])
    assert sorted(n for method, n in seen if method == "segment") == [1, BATCH]


def test_threads_that_share_a_bundle_get_the_verdicts_of_their_own_images(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An image without an object is never OK because another thread's image has one."""
    assert bundle.pipeline.segad is not None
    paths = [str(path) for path in run_scores("SegAD")][:8]
    lost = set(paths[::2])

    def quality(batch):
        return [MapQuality(None, "no object") if s.id in lost else MapQuality(1.0) for s in batch.samples]

    monkeypatch.setattr(bundle.pipeline.segad.segmenter.segmenter, "quality", quality)
    expected = {path: bundle.predict([path]) for path in paths}
    assert all("no object" in expected[path][0].reason for path in lost)
    wrong: list[object] = []

    def work(path: str) -> None:
        for _ in range(15):
            if (found := bundle.predict([path])) != expected[path]:
                wrong.append(found)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=work, args=(path,)) for path in paths]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert not wrong, wrong[0]


def test_one_at_a_time_is_as_all_together(bundle: Bundle) -> None:
    paths = [good(1), bad(2), bad(3)]
    together = bundle.predict(paths)
    assert [bundle.predict([path])[0] for path in paths] == together


def test_a_verdict_is_the_threshold(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    found = bundle.predict(run_scores("SegAD"))
    threshold = bundle.operating_point.threshold
    assert {one.verdict for one in found} == {"OK", "NG"}
    assert all((one.verdict == "NG") == (one.score >= threshold) for one in found if one.score is not None)
    at = bundle.operating_point.model_copy(update={"threshold": found[0].score})
    monkeypatch.setattr(bundle, "operating_point", at)
    assert bundle.predict([found[0].image])[0].verdict == "NG"  # at the threshold is NG


def test_contributions_and_a_constant_sum_to_the_score(bundle: Bundle) -> None:
    found = bundle.predict(run_scores("SegAD"))
    constants = [
        one.score - sum(part.amount for part in one.contributions) for one in found if one.score is not None
    ]
    np.testing.assert_allclose(constants, constants[0], atol=1e-5)
    assert len({one.score for one in found}) > 3
    for one in found:
        names = {(part.segment, part.source, part.statistic) for part in one.contributions}
        assert names == {
            *(
                (segment, "patchcore", statistic)
                for segment in ("left", "right")
                for statistic in ("q995", "mean")
            ),
            ("image", "patchcore", "max"),
        }
        amounts = [part.amount for part in one.contributions]
        assert amounts == sorted(amounts, reverse=True)


@pytest.mark.parametrize("explain", [True, False])
def test_reasons_of_a_batch_are_computed_together(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, explain: bool
) -> None:
    """Of all its images, or of those that are NG: the final classifier is asked once a batch."""
    images = list(run_scores("SegAD"))
    size, asked = bundle.manifest.pipeline.preprocessing().at_once, list[int]()
    assert bundle.pipeline.segad is not None
    sound = bundle.pipeline.segad.final.contributions

    def counted(features: np.ndarray) -> np.ndarray | None:
        asked.append(len(features))
        return sound(features)

    monkeypatch.setattr(bundle.pipeline.segad.final, "contributions", counted)
    found = bundle.predict(images, explain)
    batches = [found[start : start + size] for start in range(0, len(found), size)]
    wanted = [sum(explain or one.verdict == "NG" for one in batch) for batch in batches]
    assert asked == [count for count in wanted if count] and max(asked) > 1


def test_values_are_the_feature_vectors(bundle: Bundle) -> None:
    (found,) = bundle.inspect([bad(0)])
    values = {f"{c.segment}.{c.source}.{c.statistic}": c.value for c in found.prediction.contributions}
    assert found.features is not None
    assert values == dict(zip(bundle.pipeline.names, found.features.tolist(), strict=True))
    assert values["image.patchcore.max"] == float(found.maps["patchcore"].max())


def test_an_ng_says_what_drove_it(bundle: Bundle) -> None:
    found = [one for one in bundle.predict(run_scores("SegAD")) if one.verdict == "NG"]
    for one in found:
        largest = [c for c in one.contributions[:3] if c.amount > 0]
        assert one.reason == "; ".join(str(c) for c in largest)
        assert re.match(
            r"(left|right|whole image \(peak in (left|right)\)), patchcore (q99\.5|mean|max), \+\d+\.\d\d",
            one.reason,
        )
    assert str(Contribution("wires", "patchcore", "q995", 7.5, 2.104)) == "wires, patchcore q99.5, +2.10"
    said = str(Contribution("image", "patchcore", "max", 7.5, 2.104, "wires"))
    assert said == "whole image (peak in wires), patchcore max, +2.10"


def test_reasons_do_not_need_contributions(bundle: Bundle) -> None:
    paths = list(run_scores("SegAD"))
    with_ = bundle.predict(paths)
    without = bundle.predict(paths, explain=False)
    assert [replace(one, contributions=()) for one in with_] == without
    assert any(one.reason for one in without)


@pytest.mark.parametrize("row", ["PatchCore", "DevNet"])
def test_a_learner_alone_says_its_score(row: str) -> None:
    with Bundle.load(bundle_of(row), "cpu") as opened:
        threshold = opened.operating_point.threshold
        for one in opened.predict(run_scores(row)):
            assert one.score is not None
            expected = f"score {one.score:.4g}, NG from {threshold:.4g}" if one.verdict == "NG" else ""
            assert one.reason == expected
            assert one.contributions == ()


def test_names_of_features_may_have_dots() -> None:
    assert parted("a.b.c.q995", ["a", "a.b"], ["c", "b"]) == ("a", "b", "c.q995")
    assert parted("image.c.1.max", ["a"], ["c.1"]) == ("image", "c.1", "max")
    assert [readable(name) for name in ("q995", "q05", "q5", "max", "q9951")] == [
        "q99.5",
        "q05",
        "q5",
        "max",
        "q99.51",
    ]


def spoil(bundle: Bundle, monkeypatch: pytest.MonkeyPatch, ids: set[str], error: Exception | None) -> None:
    """The detector fails at some images, or gives values that are not finite."""
    detector = bundle.pipeline.scoring.detectors["patchcore"].detector
    sound = detector.anomaly_maps

    def spoilt(batch):
        maps = sound(batch).copy()
        hit = [sample.id in ids for sample in batch.samples]
        if error and any(hit):
            raise error
        maps[hit, 3, 4] = np.nan
        return maps

    monkeypatch.setattr(detector, "anomaly_maps", spoilt)


@pytest.mark.parametrize(
    "error", [None, RuntimeError("out\nof luck"), SystemError(), OSError(2, "none"), AssertionError()]
)
def test_what_fails_is_unknown_and_its_neighbours_are_not(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, error: Exception | None
) -> None:
    paths = [str(path) for path in [good(0), good(1), bad(1), good(2), good(3), bad(2)]]
    sound = bundle.predict(paths)
    spoil(bundle, monkeypatch, {paths[1], paths[2]}, error)
    found = bundle.predict(paths)
    for i in (1, 2):
        assert (found[i].verdict, found[i].score) == ("UNKNOWN", None)
        assert (type(error).__name__ if error else "is not finite") in found[i].reason
        assert "plugin" in found[i].reason  # the remedy
        assert "\n" not in found[i].reason
    for i in (0, 3, 4, 5):  # scored alone now, and not in a batch: the last digits may differ
        assert (found[i].image, found[i].verdict) == (sound[i].image, sound[i].verdict)
        assert found[i].score == pytest.approx(sound[i].score, rel=1e-4, abs=1e-6)


FAULTS = [
    MemoryError(),
    RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:75] DefaultCPUAllocator: can't allocate memory"),
    RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 1 bytes."),
    OSError(errno.EMFILE, "Too many open files"),
    OSError(errno.EIO, "Input/output error"),
    OSError(errno.ENOSPC, "No space left on device"),
]


@pytest.mark.parametrize("error", FAULTS, ids=str)
def test_no_image_is_unknown_because_the_machine_failed(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """What was scored before has been given out, and the rest is not called anything."""
    paths, failing = [str(good(i)) for i in range(BATCH)], str(bad(1))
    with monkeypatch.context() as patched:
        spoil(bundle, patched, {failing}, error)
        stream = bundle.inspect([*paths, failing])
        assert all(next(stream).prediction.score is not None for _ in paths)
        with pytest.raises(ResourceError, match=re.escape(failing)):
            next(stream)
    with monkeypatch.context() as patched:
        patched.setattr("segad_core.bundle.runtime.opening.at_full_size", raises(error))
        with pytest.raises(ResourceError, match=re.escape(paths[0])):
            bundle.predict(paths[:1])
    assert bundle.predict(paths[:1])[0].score is not None


def raises(error: Exception) -> Callable[..., Any]:
    def fails(*_: object, **__: object) -> None:
        raise error

    return fails


def test_a_batch_that_takes_too_much_memory_is_scored_image_by_image(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    detector = bundle.pipeline.scoring.detectors["patchcore"].detector
    sound = detector.anomaly_maps

    def hungry(batch):
        if len(batch) > 1:
            raise MemoryError
        return sound(batch)

    monkeypatch.setattr(detector, "anomaly_maps", hungry)
    found = bundle.predict([good(0), good(1)])
    assert all(one.score is not None for one in found)


def test_a_fault_names_the_image_in_the_bundle_and_not_its_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    path = bundle_of("SegAD")
    with monkeypatch.context() as patched:
        patched.setattr(Image.Image, "crop", fails)
        with pytest.raises(ResourceError) as loading:
            Bundle.load(path, "cpu")
    with Bundle.load(path, "cpu") as bundle:
        monkeypatch.setattr(Image.Image, "crop", fails)
        with pytest.raises(ResourceError) as verifying:
            verify(bundle)
    for caught in (loading, verifying):
        assert str(path) in caught.value.what
        assert "golden/0." in caught.value.what
        assert tempfile.gettempdir() + "/segad" not in caught.value.what.replace(str(path), "")


@pytest.mark.parametrize("error", FAULTS, ids=str)
def test_a_bundle_is_not_to_blame_because_the_machine_failed(
    monkeypatch: pytest.MonkeyPatch, error: Exception, tmp_path: Path
) -> None:
    path = bundle_of("SegAD")
    for place in (
        "segad_plugins.detectors.patchcore.PatchCore.restore",
        "segad_plugins.final_classifiers.forest.Forest.restore",
        "segad_plugins.final_classifiers.forest.Forest.contributions",
        "segad_core.bundle.format.tables.load",
        "segad_core.bundle.runtime.pipeline.at_full_size",
    ):
        with monkeypatch.context() as patched, pytest.raises(ResourceError) as caught:
            patched.setattr(place, raises(error))
            Bundle.load(path, "cpu")
        assert str(path) in caught.value.what, place
    with Bundle.load(path, "cpu") as bundle, monkeypatch.context() as patched:
        patched.setattr("segad_plugins.final_classifiers.forest.Forest.margins", raises(error))
        with pytest.raises(ResourceError):
            verify(bundle)
    with Bundle.load(path, "cpu") as bundle, monkeypatch.context() as patched:
        patched.setattr("segad_plugins.final_classifiers.forest.Forest.fit", raises(error))
        with pytest.raises(ResourceError):
            learn(bundle, tmp_path / "out", bad=[good(0)])
    assert not list(tmp_path.iterdir())


def test_a_doubtful_segmentation_is_never_ok_and_hides_no_ng(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = list(run_scores("SegAD"))
    sound = bundle.predict(paths)
    assert bundle.pipeline.segad is not None
    monkeypatch.setattr(
        bundle.pipeline.segad.segmenter.segmenter,
        "quality",
        lambda batch: [MapQuality(0.1, "the part lies askew") for _ in batch.samples],
    )
    for before, after in zip(sound, bundle.predict(paths), strict=True):
        doubt = "doubtful segmentation: the part lies askew"
        if before.verdict == "NG":
            assert after == replace(before, reason=f"{before.reason}; {doubt}")
        else:
            assert after == replace(before, verdict="UNKNOWN", reason=doubt)


@pytest.mark.parametrize("amounts", [None, np.zeros((1, 2)), np.full((1, 6), np.nan)])
def test_what_cannot_be_explained_is_never_ok(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, amounts: np.ndarray | None
) -> None:
    paths = list(run_scores("SegAD"))
    sound = bundle.predict(paths)

    def broken(features):
        if amounts is None:
            raise RuntimeError("no trees")
        return amounts

    assert bundle.pipeline.segad is not None
    monkeypatch.setattr(bundle.pipeline.segad.final, "contributions", broken)
    for before, after in zip(sound, bundle.predict(paths), strict=True):
        assert after.verdict == before.verdict
        assert after.score == before.score
        assert "no explanation: " in after.reason


@pytest.mark.usefixtures("a_free_core")
def test_a_stream_holds_three_batches(bundle: Bundle) -> None:
    """Of pictures taken in and of inspections given out, however many there are."""
    taken = given = most_taken = most_alive = 0
    kept: list[weakref.ref[Inspection]] = []

    def camera() -> Iterator[np.ndarray]:
        nonlocal taken
        for i in range(10 * BATCH):
            taken += 1
            yield picture(i)

    for found in bundle.inspect(camera(), explain=False):
        given += 1
        kept.append(weakref.ref(found))
        most_taken = max(most_taken, taken - given)
        most_alive = max(most_alive, sum(one() is not None for one in kept))
    assert given == 10 * BATCH
    assert most_taken < 3 * BATCH
    assert most_alive <= BATCH + 1


def test_the_next_batch_is_decoded_while_one_is_scored(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound, decoded, expected = bundle.pipeline.read, threading.Semaphore(0), iter((8, 2, 0))
    opening = bundle._open

    def opened(number, image):
        decoded.release()
        return opening(number, image)

    def read(_pipeline, batch):
        assert all(decoded.acquire(timeout=60) for _ in range(next(expected)))
        return sound(batch)

    monkeypatch.setattr(bundle, "_open", opened)
    monkeypatch.setattr(type(bundle.pipeline), "read", read)
    stream = bundle.inspect([good(0)] * 10)
    assert next(stream).prediction.score is not None  # else a batch that failed is scored image by image
    assert len(list(stream)) == 9
    assert next(expected, None) is None and not decoded.acquire(blocking=False)


def test_without_a_free_core_all_is_done_in_turn(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    sound, seen, images = bundle.pipeline.read, set[str](), [good(0)] * (2 * BATCH)

    def read(_pipeline, batch):
        seen.add(threading.current_thread().name)
        return sound(batch)

    expected = bundle.predict(images)
    monkeypatch.setattr("segad_core.bundle.runtime.bundle.free_core", lambda device: False)
    monkeypatch.setattr(type(bundle.pipeline), "read", read)
    assert bundle.predict(images) == expected
    assert seen == {threading.main_thread().name}


@pytest.mark.usefixtures("a_free_core")
def test_networks_look_at_the_next_batch_while_one_is_judged(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads, seen, expected = threading.Semaphore(0), list[str](), iter((2, 1, 0))
    reading, finishing = bundle.pipeline.read, bundle.pipeline.finished

    def read(_pipeline, batch):
        seen.append(threading.current_thread().name)
        reads.release()
        return reading(batch)

    def finished(_pipeline, done):
        assert threading.current_thread() is threading.main_thread()
        assert all(reads.acquire(timeout=60) for _ in range(next(expected)))
        return finishing(done)

    alone = bundle.predict([good(0)] * BATCH)
    monkeypatch.setattr(type(bundle.pipeline), "read", read)
    monkeypatch.setattr(type(bundle.pipeline), "finished", finished)
    assert bundle.predict([good(0)] * (2 * BATCH + 1))[:BATCH] == alone
    assert len(set(seen)) == 1 and threading.main_thread().name not in seen  # one thread, from batch to batch
    assert next(expected, None) is None and not reads.acquire(blocking=False)


@pytest.mark.usefixtures("a_free_core")
def test_verdicts_do_not_wait_for_the_networks_on_later_images(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound, given, places = bundle.pipeline.read, threading.Event(), iter(range(2))

    def read(_pipeline, batch):
        assert next(places) == 0 or given.wait(timeout=60)
        return sound(batch)

    monkeypatch.setattr(type(bundle.pipeline), "read", read)
    stream = bundle.inspect([good(0)] * (BATCH + 1))
    assert all(next(stream).prediction.score is not None for _ in range(BATCH))
    given.set()
    assert next(stream).prediction.score is not None


@pytest.mark.usefixtures("a_free_core")
def test_a_stream_that_is_closed_has_no_networks_at_work(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound, begun, ended = bundle.pipeline.read, threading.Semaphore(0), list[int]()

    def read(_pipeline, batch):
        begun.release()
        done = sound(batch)
        ended.append(len(batch))
        return done

    monkeypatch.setattr(type(bundle.pipeline), "read", read)
    stream = bundle.batches([good(0)] * (4 * BATCH))
    next(stream)
    assert begun.acquire(timeout=60) and begun.acquire(timeout=60)  # the second batch is being read
    stream.close()  # type: ignore[attr-defined]
    assert ended == [BATCH] * 2 and not begun.acquire(blocking=False)


def test_verdicts_do_not_wait_for_images_that_come_later(bundle: Bundle) -> None:
    later = threading.Event()

    def camera() -> Iterator[Path]:
        yield from [good(i) for i in range(BATCH)]
        assert later.wait(timeout=60)
        yield bad(0)

    stream = bundle.inspect(camera())
    first = [next(stream).prediction.image for _ in range(BATCH)]
    assert not later.is_set()
    later.set()
    assert [*first, *(one.prediction.image for one in stream)] == [
        str(p) for p in (*map(good, range(BATCH)), bad(0))
    ]


def test_what_a_source_raises_comes_after_what_it_gave(bundle: Bundle) -> None:
    def camera() -> Iterator[Path]:
        yield from [good(i) for i in range(BATCH)]
        raise ConnectionError("no camera")

    stream = bundle.inspect(camera())
    assert len([next(stream) for _ in range(BATCH)]) == BATCH
    with pytest.raises(ConnectionError, match="no camera"):
        next(stream)


def test_memory_of_an_array_may_be_used_again(bundle: Bundle) -> None:
    frames = [decode(path).pixels for path in (good(0), bad(0), good(1), bad(1), bad(2))]
    buffer = np.empty_like(frames[0])

    def camera() -> Iterator[np.ndarray]:
        for frame in frames:
            buffer[:] = frame
            yield buffer

    assert bundle.predict(camera()) == bundle.predict(frames)


def test_plugins_see_each_image_as_it_is(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Also where an array's number is the name of a file."""
    monkeypatch.chdir(tmp_path)
    Path("0").write_bytes(good(3).read_bytes())
    seen = []
    assert bundle.pipeline.segad is not None
    segmenter = bundle.pipeline.segad.segmenter.segmenter
    sound = segmenter.segment

    def segment(batch):
        seen.extend(batch.full_size(i) for i in range(len(batch)))
        return sound(batch)

    monkeypatch.setattr(segmenter, "segment", segment)
    large = np.repeat(np.repeat(decode(bad(0)).pixels, 2, 0), 2, 1)
    images = [large, "0", good(3), decode(good(4)).pixels]
    bundle.predict(images)
    for shown, image in zip(seen, images, strict=True):
        np.testing.assert_array_equal(
            shown, image if isinstance(image, np.ndarray) else decode(Path(image)).pixels
        )


@pytest.mark.parametrize("image", ["part.png", Path("part.png"), np.zeros((48, 48, 3), np.uint8)])
def test_one_image_is_not_taken_for_several(bundle: Bundle, image: object) -> None:
    for call in (bundle.predict, bundle.inspect, bundle.batches):  # at once, not at the first image
        with pytest.raises(UsageError, match="one image was given"):
            call(image)  # type: ignore[operator]


WRONG = {
    "float": np.zeros((48, 48, 3)),
    "grey": np.zeros((48, 48), np.uint8),
    "four channels": np.zeros((48, 48, 4), np.uint8),
    "nothing in it": np.zeros((0, 48, 3), np.uint8),
    "a list": [1, 2],
    "none": None,
    "a number": 7,
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_image_is_unknown(bundle: Bundle, name: str) -> None:
    found = bundle.predict([good(0), WRONG[name], bad(0)])  # type: ignore[list-item]
    assert [one.verdict for one in found][1] == "UNKNOWN"
    assert "not (H, W, 3) uint8 RGB" in found[1].reason or "neither a path nor an array" in found[1].reason
    assert [found[0], found[2]] == bundle.predict([good(0), bad(0)])


def test_an_image_of_another_shape_than_the_mask_is_unknown(bundle: Bundle) -> None:
    (found,) = bundle.predict([picture(0)[:20]])
    assert (found.verdict, found.score) == ("UNKNOWN", None)
    assert "another aspect ratio than images of 20 x 48" in found.reason
    assert "mask files/segmenter-mask-0.png: has" in found.reason  # not the copy in the temporary folder


def test_another_number_of_threads_is_told_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "segad.bundle")
    path = bundle_of("SegAD")
    with Bundle.load(path, "cpu") as made:
        threads = made.manifest.provenance.environment["threads"]
    assert threads == compute_threads() and "threads" not in caplog.text
    monkeypatch.setenv("OMP_NUM_THREADS", str(threads + 1))
    with Bundle.load(path, "cpu") as bundle:
        bundle.predict([good(0)])
    (record,) = [one for one in caplog.records if "threads" in one.message]
    assert record.levelname == "INFO" and record.notice  # shown, but it is no warning
    assert f"with {threads} compute threads" in record.message
    assert f"OMP_NUM_THREADS={threads}" in record.message and str(path) in record.message
    caplog.clear()
    for recorded in (None, True, "1"):  # an older bundle, and somebody's own
        bundle.manifest.provenance.environment["threads"] = recorded
        compare_threads(bundle.container)
    assert not caplog.records


def test_every_file_counts_in_the_digest(bundle: Bundle) -> None:
    with Bundle.load(bundle_of("SegAD"), "cpu") as again:
        assert again.digest == bundle.digest
    with Bundle.load(bundle_of("Two"), "cpu") as other:
        assert other.digest != bundle.digest


def test_the_documented_example(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys) -> None:
    text = (Path(__file__).parents[2] / "docs" / "predict.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    Path("bracket.segad").symlink_to(bundle_of("SegAD"))
    for name, path in (("part1.png", good(0)), ("part2.png", bad(0))):
        Path(name).write_bytes(path.read_bytes())
    exec(compile(example, "docs/predict.md", "exec"), {})
    said = capsys.readouterr().out
    assert "part1.png OK" in said
    assert re.search(r"part2\.png NG (left|right|whole image \(peak in (left|right)\)), patchcore ", said)


def test_importing_the_package_is_cheap() -> None:
    program = (
        "import json, sys, segad_core; before = sorted(sys.modules); segad_core.Bundle; "
        "print(json.dumps([before, sorted(sys.modules)]))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    before, after = json.loads(done.stdout)
    assert not {"numpy", "pydantic", "PIL", "segad_core.bundle"} & set(before)
    assert "segad_core.bundle.runtime.bundle" in after


def test_the_package_has_nothing_else() -> None:
    assert segad_core.Bundle is Bundle
    with pytest.raises(AttributeError, match="no attribute 'Bundel'"):
        _ = segad_core.Bundel
