"""The data that a bundle keeps of parts whose views make one feature vector: a line for each part."""

from __future__ import annotations

import numpy as np

from segad_core.base.text import in_one_line
from segad_core.bundle.format.limits import MOST_GOLDEN, MOST_IMAGE
from segad_core.bundle.format.tables import GOLDEN, Golden, golden_json
from segad_core.bundle.format.writing import Content
from segad_core.contracts import Sample
from segad_core.fit_bundle.image_data import GOLDEN_IMAGES, ImageData, golden_file
from segad_core.operate.image_table import Image, ImageTable
from segad_core.operate.parts import part_digest
from segad_core.run.cells import RowTask
from segad_core.run.rows import read_scores, scored_table, training_table
from segad_core.split.draw import Split
from segad_core.split.parts import Part


class PartData(ImageData):
    """As `ImageData`, for rows in which the features of all views are one vector."""

    def calibration(self, task: RowTask) -> ImageTable:
        """The labelled test parts."""
        shown = [self._part(serial) for serial in task.scored_ids]
        kept = [i for i, part in enumerate(shown) if part.sample.label is not None]
        images = [self._part_image(shown[i]) for i in kept]
        scores = read_scores(task, self.store)[kept]
        return ImageTable(images, scored_table(task, self.store)[kept], scores, "part")

    def training(self, task: RowTask, split: Split) -> ImageTable:
        """The parts that the final classifier learns from."""
        assert self.parts is not None
        features, labels = training_table(task, self.store)
        images = [self._part_image(part) for part in self.parts.shown(split.final)]
        return ImageTable(images, features, np.zeros(len(labels)), "part")

    def golden(self, task: RowTask, calibration: ImageTable) -> dict[str, Content]:
        """The images of a few test parts of each label, with the scores of their parts."""
        contents: dict[str, Content] = {}
        listed: list[Golden] = []
        most = max(1, min(GOLDEN_IMAGES, MOST_GOLDEN // (2 * len(task.views))))
        labelled = [part for name in task.scored_ids if (part := self._part(name)).sample.label is not None]
        shown = [self._used(part) for part in labelled]
        # what stands for a missing view changes when the bundle is taught
        whole = [len(own) == len(task.views) for own in shown]
        fits = [all(s.path.stat().st_size <= MOST_IMAGE for s in own) for own in shown]
        small = np.array(fits, bool) & (np.array(whole, bool) if any(whole) else True)
        for label in (0, 1):
            places = np.flatnonzero((calibration.labels() == label) & small)
            order = places[np.argsort(calibration.scores[places], kind="stable")]
            steps = np.linspace(0, len(order) - 1, min(most, len(order))).round().astype(int)
            for i in order[steps].tolist():
                for sample in shown[i]:
                    name = golden_file(sample, contents)
                    listed.append(
                        Golden(
                            file=name,
                            digest=self.facts[sample.id].pixels,
                            label=label,
                            score=float(calibration.scores[i]),
                            serial=in_one_line(sample.serial),
                            view=in_one_line(sample.view),
                            page=sample.page,
                        )
                    )
        contents[GOLDEN] = golden_json(listed)
        return contents

    def _part(self, serial: str) -> Part:
        assert self.parts is not None
        return self.parts.by_serial[serial]

    def _used(self, part: Part) -> list[Sample]:
        """The images of a part whose features count."""
        assert self.parts is not None
        return [self.samples[name] for name in self.parts.by_view(part) if name]

    def _part_image(self, part: Part) -> Image:
        """The facts of a labelled part, with the content of all its images."""
        sample = part.sample
        assert sample.label is not None
        return Image(
            id=in_one_line(sample.id),
            digest=part_digest(self.facts[one.id].pixels for one in self._used(part)),
            label=sample.label,
            defect=in_one_line(sample.defect),
            unseen=sample.unseen,
            group=in_one_line(sample.group),
            serial=in_one_line(sample.serial),
            group_number=self.groups.of[part.images[0].id] if self.groups else None,
        )
