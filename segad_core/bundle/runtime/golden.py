"""What the self-test judges: golden images one by one, or the parts that they show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from segad_core.bundle.format.container import Container
from segad_core.bundle.format.tables import Golden
from segad_core.bundle.runtime.all_views import judged_together, view_of
from segad_core.bundle.runtime.bundle import Bundle
from segad_core.bundle.runtime.prediction import Prediction
from segad_core.images.pages import page_name
from segad_core.operate.parts import part_digest


@dataclass(frozen=True)
class GoldenUnit:
    """A golden image, or the golden images of a part.

    Attributes:
        images: of the unit, with the same label and score.
    """

    images: Sequence[Golden]

    @property
    def name(self) -> str:
        """The file of the image, and its page if it has several; or the serial of the part."""
        return self.images[0].serial or self.images[0].name

    @property
    def digest(self) -> str:
        """That of the line of the calibration table that it is of."""
        one = self.images[0]
        return part_digest(image.digest for image in self.images) if one.serial else one.digest


def units_of(listed: Sequence[Golden]) -> list[GoldenUnit]:
    """Golden images by part; each alone where they name none."""
    units: dict[str, list[Golden]] = {}
    for golden in listed:
        units.setdefault(golden.serial or f"\0{golden.name}", []).append(golden)
    return [GoldenUnit(images) for images in units.values()]


def picture_of(container: Container, golden: Golden) -> str:
    """A golden image, as its bundle takes it."""
    path = str(container.file(golden.file))
    return path if golden.page is None else page_name(path, golden.page)


def predictions(bundle: Bundle, units: Sequence[GoldenUnit]) -> list[Prediction]:
    """What a bundle says of golden images or parts now."""
    names = [picture_of(bundle.container, golden) for unit in units for golden in unit.images]
    found = bundle.inspect(names, explain=False)
    segad, predicted = bundle.pipeline.segad, []
    for unit in units:
        own = [next(found) for _ in unit.images]
        if segad is None or not segad.views:
            predicted += [one.prediction for one in own]
            continue
        views = [view_of(g.view or "", one, segad) for g, one in zip(unit.images, own, strict=True)]
        predicted.append(judged_together(bundle, segad, unit.name, views, explain=False)[0])
    return predicted
