"""The data that a bundle keeps: tables of features, labels and scores, and images for its self-test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from segad_core.base.text import in_one_line
from segad_core.bundle.format.limits import MOST_IMAGE
from segad_core.bundle.format.tables import GOLDEN, Golden, golden_json
from segad_core.bundle.format.writing import Content
from segad_core.contracts import Sample
from segad_core.images import Facts
from segad_core.operate.image_table import Image, ImageTable
from segad_core.run.cells import RowTask
from segad_core.run.rows import feature_table, read_scores, training_table
from segad_core.split.draw import Split
from segad_core.split.groups import Groups
from segad_core.split.parts import Parts
from segad_core.store.store import Store

GOLDEN_IMAGES = 3
"""Good images, and as many bad ones, in a bundle's self-test."""


def golden_file(sample: Sample, contents: dict[str, Content]) -> str:
    """The name of an image's file among the golden ones of a bundle; pages of one file share it."""
    if sample.page is not None:
        for name, path in contents.items():
            if path == sample.path:
                return name
    name = f"golden/{len(contents)}{sample.path.suffix.lower()}"
    contents[name] = sample.path
    return name


@dataclass(frozen=True)
class ImageData:
    """The images of a category, by id, and what a bundle keeps of them.

    Attributes:
        samples, facts: of the images.
        store: where the results are.
        groups: those that the run kept together; None if it kept none together.
        parts: what the images show, where parts are judged; test images then have the labels of their parts.
    """

    samples: Mapping[str, Sample]
    facts: Mapping[str, Facts]
    store: Store
    groups: Groups | None = None
    parts: Parts | None = None

    def calibration(self, task: RowTask) -> ImageTable:
        """The labelled test images, which nothing was trained on: thresholds are set on them."""
        kept = [i for i, image in enumerate(task.scored_ids) if self.has_label(image)]
        lines = [task.scored[i] for i in kept]
        features = np.empty((len(lines), 0))
        if not task.row.score:
            table = feature_table(task, task.table, self.store)[0]
            features = table[lines]
        images = [self._image(self._tested(task.scored_ids[i])) for i in kept]
        return ImageTable(images, features, read_scores(task, self.store)[kept])

    def training(self, task: RowTask, split: Split) -> ImageTable:
        """The final classifier's training images; generated defects list good images a second time."""
        features, labels = training_table(task, self.store)
        learnt = [i for i in split.final if self.samples[i].label is not None]  # but for doubtful views
        images = [self.image(i) for i in learnt if not (task.generated and self.samples[i].label)]
        damaged = [image.model_copy(update={"label": 1, "artificial": True}) for image in images]
        images += damaged[: len(labels) - len(images)]
        return ImageTable(images, features, np.zeros(len(images)))

    def golden(self, task: RowTask, calibration: ImageTable) -> dict[str, Content]:
        """A few test images of each label, from the lowest to the highest score, with their scores."""
        ids = [image for image in task.scored_ids if self.has_label(image)]
        small = np.array([self.samples[image].path.stat().st_size <= MOST_IMAGE for image in ids], bool)
        contents: dict[str, Content] = {}
        listed: list[Golden] = []
        for label in (0, 1):
            places = np.flatnonzero((calibration.labels() == label) & small)
            order = places[np.argsort(calibration.scores[places], kind="stable")]
            steps = np.linspace(0, len(order) - 1, min(GOLDEN_IMAGES, len(order))).round().astype(int)
            for i in order[steps].tolist():
                sample, image = self.samples[ids[i]], calibration.images[i]
                name = golden_file(sample, contents)
                score = float(calibration.scores[i])
                listed.append(
                    Golden(file=name, digest=image.digest, label=image.label, score=score, page=sample.page)
                )
        contents[GOLDEN] = golden_json(listed)
        return contents

    def has_label(self, name: str) -> bool:
        """Whether a test image is good or bad, or of a part that is."""
        return self._tested(name).label is not None

    def _tested(self, name: str) -> Sample:
        """A test image with the label that counts."""
        sample = self.samples[name]
        return self.parts.labelled([sample])[0] if self.parts else sample

    def image(self, name: str) -> Image:
        """The facts of a labelled image that go into a table."""
        return self._image(self.samples[name])

    def _image(self, sample: Sample) -> Image:
        name = sample.id
        assert sample.label is not None
        return Image(
            id=in_one_line(sample.id),
            digest=self.facts[name].pixels,
            label=sample.label,
            defect=in_one_line(sample.defect),
            unseen=sample.unseen,
            group=in_one_line(sample.group),
            serial=in_one_line(sample.serial),
            view=in_one_line(sample.view) or None,
            group_number=self.groups.of[name] if self.groups else None,
        )
