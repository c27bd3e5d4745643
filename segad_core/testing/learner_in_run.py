"""The clauses about what a learner meets in a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from segad_core.contracts import Encoder, Learner
from segad_core.testing.checks import ROUNDING, same, works
from segad_core.testing.files_written import files_written
from segad_core.testing.harmless import HarmlessSuite
from segad_core.testing.images import image_batch
from segad_core.testing.learner import LearnerSuite
from segad_core.testing.other_library import OtherLibrary, libraries
from segad_core.testing.shared_training import SharedTraining

L = TypeVar("L", bound=Learner)


class LearnerInRunSuite(LearnerSuite[L], HarmlessSuite):
    """The clauses of learners, with those about the features and the disk of a run."""

    def _train(self) -> SharedTraining[L]:
        with files_written() as written:
            training = super()._train()
        training.written = written
        return training

    def _exercise(self) -> None:
        self._good_and_bad_results(self._trained())

    def _written(self) -> set[Path]:
        """What the shared training wrote, and what scoring writes."""
        return super()._written() | self._shared().written

    def test_reads_features_of_any_library(self) -> None:
        """Features of batches are arrays of the encoder's library, such as torch: results are the same."""
        if not (layers := self._layers()):
            return
        refusals = []
        for turned in libraries():  # a plugin made of torch may read no third library
            try:
                return self._reads(OtherLibrary(self._encoder, turned), layers)
            except AssertionError as error:
                refusals.append(error)
        raise refusals[0]

    def _reads(self, encoder: Encoder, layers: Sequence[str]) -> None:
        """Asserts that results with an encoder are those with that of the suite."""
        learner, pixels = self.make(), self._good_and_bad()
        batch = image_batch(pixels, encoder, layers, self.samples(pixels))
        with works(
            "batch.features() may have arrays of torch or another library: read them with to_numpy() or "
            f"torch.from_dlpack(). {', '.join(('fit()', *self._used_by))} work with them"
        ):
            self._fit(learner, self._images(encoder=encoder), self._run())
            found = self._use(learner, batch)
            self._well_formed(found, len(pixels), self.size, "features of another library")
        for name, expected in self._shared().results.items():
            same(found[name], expected, f"the {name} with features of another library", ROUNDING)
