"""The clauses that all learners share."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from typing import ClassVar, Generic, TypeVar

import numpy as np
from safetensors.numpy import load as load_arrays

from segad_core.base.digest import array_digest
from segad_core.contracts import (
    Array,
    Component,
    Encoder,
    Estimate,
    ImageBatch,
    Learner,
    Progress,
    Run,
    Sample,
    no_progress,
    optional,
)
from segad_core.errors import SegadError
from segad_core.testing.checks import ROUNDING, not_fitted, refused, same, unwritten, works
from segad_core.testing.component import ComponentSuite
from segad_core.testing.global_random import global_randomness, seeded_globals
from segad_core.testing.images import ArrayImageSet, Pixels, arrays_of, bad_images, good_images, image_batch
from segad_core.testing.shared_training import Results, SharedTraining, shared_training
from segad_core.testing.tiny_encoder import TinyEncoder
from segad_core.testing.trial_run import (
    CountingEncoder,
    Killed,
    Left,
    Told,
    TrialRun,
)

L = TypeVar("L", bound=Learner)


class LearnerSuite(ComponentSuite, Generic[L]):
    """The clauses that all learners share.

    Clauses about training fit a learner of their own. The others share one training, whose state each of them
    restores into a new instance, as a run does.

    Attributes:
        size: height and width of the images; they differ, so that mixing them up has consequences.
    """

    size: tuple[int, int] = (64, 96)
    _used_by: ClassVar[tuple[str, ...]]  # the methods for using a fitted learner, in their order

    def make(self) -> L:
        raise NotImplementedError(f"{type(self).__name__} must define make(), which returns a new learner")

    def encoder(self) -> Encoder:
        """The encoder whose layers the learner reads; by default a tiny one in NumPy."""
        return TinyEncoder()

    def samples(self, pixels: Pixels) -> Sequence[Sample]:
        """What is known about images (N, H, W, 3); override it if the learner depends on their names."""
        return image_batch(pixels).samples

    def _training(self) -> Pixels:
        """The images to fit to."""
        raise NotImplementedError

    def _fit(self, learner: L, images: ArrayImageSet, run: Run) -> None:
        """Fits a learner to the images of `_training`, or to the first of them."""
        raise NotImplementedError

    def _use(self, learner: L, batch: ImageBatch) -> Results:
        """The results for a batch by name."""
        raise NotImplementedError

    def _well_formed(self, results: Results, count: int, size: tuple[int, int], of: str) -> None:
        """Asserts that results are finite and of the right shape and type; `of` describes the images."""
        raise NotImplementedError

    @cached_property
    def _encoder(self) -> Encoder:
        return self.encoder()

    def _images(self, pixels: Pixels | None = None, encoder: Encoder | None = None) -> ArrayImageSet:
        given = self._training() if pixels is None else pixels
        return ArrayImageSet(given, encoder or self._encoder, self._layers())

    def _run(self, progress: Progress = no_progress, left: Left | None = None) -> Run:
        return TrialRun(np.random.SeedSequence(1), progress, self._encoder, left)

    def _batch(self, pixels: Pixels) -> ImageBatch:
        return image_batch(pixels, self._encoder, self._layers(), self.samples(pixels))

    def _layers(self) -> tuple[str, ...]:
        """The layers of the encoder that the learner reads."""
        return optional.layers_read(self.make(), self._encoder)

    def _good_and_bad(self, each: int = 3) -> Pixels:
        return np.concatenate([good_images(each, *self.size, seed=2), bad_images(each, *self.size, seed=3)])

    def _fitted(self) -> L:
        """A learner from a training of its own."""
        learner = self.make()
        self._fit(learner, self._images(), self._run())
        return learner

    def _shared(self) -> SharedTraining[L]:
        """The training that clauses share."""
        return shared_training(self._identity(), self._train)

    def _train(self) -> SharedTraining[L]:
        learner, told, encoder = self.make(), Told(), CountingEncoder(self._encoder, self.size)
        with seeded_globals(310_291):  # the clause on global randomness fits with another seed
            self._fit(learner, self._images(encoder=encoder), self._run(told))
        return SharedTraining(self.make, learner, told, encoder.seen, self._good_and_bad_results)

    def _identity(self) -> Hashable:
        """Everything that determines the shared training and its results."""
        components: list[Component] = [self.make(), self._encoder]
        described = [(type(one), repr(one.params), one.device) for one in components]
        own = {name: value for name, value in vars(self).items() if name != "_encoder"}
        return (type(self), *described, repr(own), array_digest(self._training()))

    def _trained(self) -> L:
        """A learner with the state of the shared training."""
        training = self._shared()
        return training.restored() if training.restores else self._fitted()

    def _results(self, learner: L, pixels: Pixels) -> Results:
        return self._use(learner, self._batch(pixels))

    def _good_and_bad_results(self, learner: L) -> Results:
        return self._results(learner, self._good_and_bad())

    def test_layers_exist_in_the_encoder(self) -> None:
        """The encoder has all layers that are read; `estimate`, if defined, returns an `Estimate`."""
        learner, (h, w), known = self.make(), self.size, self._encoder.layers()
        shapes = {}
        for name in self._layers():
            assert name in known, f"layers() names '{name}', but the encoder has {', '.join(known)}"
            shapes[name] = (known[name].channels, -(-h // known[name].stride), -(-w // known[name].stride))
        learner.check(self.size, shapes)
        estimate = optional.estimate(learner, 100, self.size, shapes)
        assert isinstance(estimate, Estimate | None), (
            f"estimate() returns a {type(estimate).__name__}, not an Estimate or None"
        )

    def test_fit_is_deterministic(self) -> None:
        """Two fits with the same seed give the same results: `run.seed` is the only randomness."""
        first, second = self._shared().results, self._good_and_bad_results(self._fitted())
        for name in first:
            same(second[name], first[name], f"the {name} after a second fit with the same seed")

    def test_state_restores_to_the_last_bit(self) -> None:
        """`state` is named arrays; a new instance that restores them has bit-identical results."""
        training, fresh = self._shared(), self.make()
        with works("state() returns named arrays of numbers, and no pickle"):
            stored = training.state
        with works("restore() accepts what state() returned"):
            fresh.restore(load_arrays(stored))
        first, second = training.results, self._good_and_bad_results(fresh)
        for name in first:
            same(second[name], first[name], f"the {name} of a restored instance")

    def test_images_do_not_depend_on_their_neighbours(self) -> None:
        """An image's results do not depend on the other images in the batch, nor on their order."""
        learner, pixels = self._trained(), self._good_and_bad()
        together, turned = self._results(learner, pixels), self._results(learner, pixels[::-1].copy())
        good, bad = self._results(learner, pixels[:1]), self._results(learner, pixels[-1:])
        for name, values in together.items():
            same(turned[name][::-1], values, f"the {name} in a batch of reversed order", ROUNDING)
            same(good[name], values[:1], f"the {name} of a good image alone", ROUNDING)
            same(bad[name], values[-1:], f"the {name} of a bad image alone", ROUNDING)

    def test_leaves_the_images_as_they_are(self) -> None:
        """Neither `fit` nor scoring writes into pixels or encoder features, which are shared."""
        learner, images, batch = self.make(), self._images(), self._batch(self._good_and_bad())
        with unwritten(arrays_of(images), "fit()"):
            self._fit(learner, images, self._run())
        with unwritten(arrays_of(batch), " or ".join(self._used_by)):
            self._use(learner, batch)

    def test_use_before_fit_is_refused(self) -> None:
        """Using a learner, and `state`, raise a `SegadError` before `fit` or `restore`."""
        learner, batch = self.make(), self._batch(self._good_and_bad())
        with not_fitted(self._used_by[0]):
            self._use(learner, batch)
        with not_fitted("state()"):
            learner.state()

    def test_encoder_runs_once_per_batch(self) -> None:
        """All results of a batch take one pass of the encoder: they share `batch.features()`."""
        learner, pixels, layers = self._trained(), self._good_and_bad(), self._layers()
        passes: list[int] = []

        def encode(given: Pixels) -> Mapping[str, Array]:
            passes.append(len(given))
            return self._encoder.encode(given, layers)

        batch = ImageBatch(self.samples(pixels), pixels, encode)
        self._use(learner, batch)
        most = min(1, len(layers))
        assert len(passes) <= most, f"a batch takes {len(passes)} passes of the encoder, not {most}"

    def test_fit_encodes_each_image_once(self) -> None:
        """`fit` passes each training image through the encoder once: `images.features()` keeps the result."""
        most = max(self._shared().passes.values(), default=0)
        assert most <= 1, (
            f"fit() passes an image through the encoder {most} times at the size of the set: use "
            "images.features(), which keeps the result"
        )

    def test_fit_leaves_global_randomness_alone(self) -> None:
        """`fit` neither moves nor reads the global random state of Python, NumPy and torch."""
        first = self._shared().results
        with global_randomness(775_121):
            learner = self._fitted()
        second = self._good_and_bad_results(learner)
        for name in first:
            same(second[name], first[name], f"the {name} under another global random state")

    def test_a_second_fit_forgets_the_first(self) -> None:
        """`fit` on a fitted and used instance has the same result as on a new one."""
        learner, others = self.make(), 255 - self._training()
        self._fit(learner, self._images(others[: len(others) // 2 + 1]), self._run())
        self._good_and_bad_results(learner)
        self._fit(learner, self._images(), self._run())
        second, fresh = self._good_and_bad_results(learner), self._shared().results
        for name in fresh:
            same(
                second[name], fresh[name], f"the {name} of an instance that was fitted to other images before"
            )

    def test_progress_is_told_consistently(self) -> None:
        """`run.progress` is called with words, 0 <= done <= total, a positive total, and a note."""
        for what, done, total, note in self._shared().told.calls:
            call = f"fit() calls progress({what!r}, {done!r}, {total!r}, {note!r})"
            assert isinstance(what, str) and what, f"{call}: the first argument says what is being done"
            assert isinstance(note, str), f"{call}: the note is a string"
            assert type(done) is int and type(total) is int, (
                f"{call}: done is a {type(done).__name__}, total a {type(total).__name__}; both are integers"
            )
            assert 0 <= done <= total and total >= 1, f"{call}: {done} of {total} is out of range"

    def test_a_killed_training_goes_on(self) -> None:
        """A fit that is interrupted and resumed from its checkpoint has the same results."""
        undisturbed, learner, left = self._shared(), self.make(), Left()
        third = -(-len(undisturbed.told.calls) // 3)
        for _ in range(2):  # the second time in the resumed training
            with suppress(Killed):
                self._fit(self.make(), self._images(), self._run(Told(third), left))
        self._fit(learner, self._images(), self._run(no_progress, left))
        assert left.checkpoints.keys() <= left.asked, "fit() saves checkpoints but does not load them"
        expected, found = undisturbed.results, self._good_and_bad_results(learner)
        for name in expected:
            same(found[name], expected[name], f"the {name} after a training that was interrupted and resumed")

    def test_restore_refuses_what_is_incomplete(self) -> None:
        """`restore` raises a `SegadError` if the state lacks an array, or all of them."""
        state = self._trained().state()
        for missing in {re.sub(r"\d+", "", name): name for name in state}.values():  # one of each kind
            with refused(f"restore() of a state without '{missing}' must raise a SegadError", SegadError):
                self.make().restore({name: array for name, array in state.items() if name != missing})
        if state:
            with refused("restore() of an empty state must raise a SegadError", SegadError):
                self.make().restore({})

    def test_images_of_another_size_are_mapped_or_refused(self) -> None:
        """Images of another size than those of the fit get results of that size, or a `SegadError`."""
        learner, (h, w) = self._trained(), self.size
        for size in ((w, h), (h + 9, w + 5)):
            of = f"images of {size}, after a fit to {self.size},"
            pixels, results = good_images(2, *size), None
            with works(f"{self._used_by[0]} of {of} works or raises a SegadError"), suppress(SegadError):
                results = self._results(learner, pixels)
            if results is not None:
                self._well_formed(results, 2, size, of)
