"""Optional knowledge: the engine gets a component's answer, or the default of one that says nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from segad_core.contracts import Dataset, Detector, Encoder, Layer, Sample, optional
from segad_core.errors import PluginError


class PlainDataset(Dataset):
    """Two categories without images."""

    def categories(self) -> Sequence[str]:
        return ["a", "b"]

    def samples(self, category: str) -> Sequence[Sample]:
        return []


class PlainEncoder(Encoder):
    """An encoder that encodes nothing."""

    def layers(self) -> Mapping[str, Layer]:
        return {}

    def encode(self, pixels: NDArray[np.uint8], layers: Sequence[str]) -> Mapping[str, Any]:
        return {}

    def digest(self) -> str:
        return "none"


class TalkingDataset(PlainDataset):
    """A data set that answers all questions."""

    knows_images_by_name: ClassVar[bool] = True

    def notes(self) -> Sequence[str]:
        return ["Mind it."]

    def plain_file(self, path: Path) -> tuple[str, bytes | Path]:
        return ".npy", b"converted"

    def published_categories(self) -> Sequence[str]:
        return ["a", "b", "c"]

    def published_counts(self, category: str) -> Mapping[str, int]:
        return {"train good": 2}

    def bad_subsets(self, category: str) -> Mapping[str, Sequence[str]]:
        return {"first": ["bad/1.png"]}

    def unread(self, category: str | None) -> Sequence[str]:
        return ["NG: 30 images not read"] if category else []

    def contradictions(self, category: str) -> Sequence[str]:
        return [f"{category}/1.png is good and bad"]


class TalkingEncoder(PlainEncoder):
    """An encoder with weights elsewhere."""

    def to_download(self) -> str | None:
        return "https://example.org/weights"

    def check_size(self, size: tuple[int, int]) -> None:
        if size[1] % 14:
            raise PluginError(f"talking: cannot process images of {size[0]} x {size[1]}", "Use 14 x 14.")


class Untrained(Detector):
    """A detector that needs no images."""

    trains: ClassVar[bool] = False


@pytest.mark.parametrize(
    ("ask", "answer", "default"),
    [
        (optional.notes, ["Mind it."], ()),
        (lambda d: optional.knows_images_by_name(type(d)), True, False),
        (lambda d: optional.plain_file(d, Path("x.PTH")), (".npy", b"converted"), (".pth", Path("x.PTH"))),
        (optional.published_categories, ["a", "b", "c"], ["a", "b"]),
        (lambda d: optional.published_counts(d, "a"), {"train good": 2}, {}),
        (lambda d: optional.bad_subsets(d, "a"), {"first": ["bad/1.png"]}, {}),
        (lambda d: optional.unread(d, "a"), ["NG: 30 images not read"], ()),
        (lambda d: optional.contradictions(d, "a"), ["a/1.png is good and bad"], ()),
    ],
)
def test_the_answer_or_the_default(ask: Callable[[Dataset], object], answer: object, default: object) -> None:
    assert ask(TalkingDataset()) == answer
    assert ask(PlainDataset()) == default


def test_a_download() -> None:
    assert optional.to_download(TalkingEncoder()) == "https://example.org/weights"
    assert optional.to_download(PlainEncoder()) is None


def test_a_size() -> None:
    optional.check_size(TalkingEncoder(), (13, 14))
    optional.check_size(PlainEncoder(), (13, 13))
    with pytest.raises(PluginError, match="14 x 13"):
        optional.check_size(TalkingEncoder(), (14, 13))


def test_detectors_train_unless_they_say_otherwise() -> None:
    assert optional.trains(Detector)
    assert not optional.trains(Untrained)


def test_one_that_says_no_is_believed() -> None:
    class Content(PlainDataset):
        """Says explicitly what is the default."""

        knows_images_by_name: ClassVar[bool] = False

    assert not optional.knows_images_by_name(Content)


def test_base_classes_answer_no_optional_question() -> None:
    protocols = [
        value
        for name, value in vars(optional).items()
        if name.startswith(("Has", "Knows", "Needs", "Trains"))
    ]
    members = {name for p in protocols for name in [*vars(p), *p.__annotations__] if not name.startswith("_")}
    assert len(protocols) == 17
    assert len(members) == 16  # learners and final classifiers both have `estimate`
    for base in (Dataset, Encoder, Detector):
        assert not members & set(dir(base))
