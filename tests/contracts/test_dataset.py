"""Data sets: where one has other numbers of images than were published."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from described import Described

from segad_core.contracts import Sample
from segad_core.contracts.optional import count_differences


def test_differences_of_counts() -> None:
    class Published(Described):
        def published_counts(self, category: str) -> dict[str, int]:
            return {"x": {"train good": 2, "test bad, unseen": 1, "good": 1}, "y": {}}[category]

    def sample(i: int, **facts: Any) -> Sample:
        return Sample(f"{i}.png", Path("nowhere"), **facts)

    samples = [
        sample(1, label=0, split="train"),
        sample(2, label=1, split="test", unseen=True),
        sample(3, label=1),
        sample(4, label=None),
        sample(5, label=1),
    ]
    dataset = Published(Described.Params(root=Path("nowhere")))
    assert count_differences(dataset, "y", samples) == []
    assert count_differences(dataset, "x", samples) == [
        "train good: 1 instead of 2",
        "good: 0 instead of 1",
        "bad: 2 instead of 0",
        "doubtful: 1 instead of 0",
    ]
    assert count_differences(dataset, "x", []) == [
        "train good: 0 instead of 2",
        "test bad, unseen: 0 instead of 1",
        "good: 0 instead of 1",
    ]
