"""What is measured: contestants under some settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from . import machine
from .interleaved import Contestant, Difference, compare, interleaved, of_range, ratio


@dataclass(frozen=True)
class Options:
    """What the command line says.

    Attributes:
        batch: numbers of images in a batch, one case each.
        repeats: rounds of each case.
        size: sides of the images.
        backbone: torchvision's name of the encoder's network.
        bank: vectors in PatchCore's bank.
        points: of the coreset, their number and width.
    """

    batch: Sequence[int] = (1, 8)
    repeats: int = 7
    size: int = 256
    backbone: str = "wide_resnet50_2"
    bank: int = 10_000
    points: tuple[int, int] = (51_200, 1536)


@dataclass(frozen=True)
class Case:
    """The same work done by several contestants; ratios are those of the first.

    Attributes:
        settings: what it was measured with.
        contestants: to be compared, then timed.
        units: how many of `unit` each of them does at a call.
        unit: such as an image.
        tolerance: largest difference from the results of the first contestant.
        difference: how far an array is from that of the first contestant.
        memory: whether to measure that, too.
    """

    settings: dict[str, Any]
    contestants: Sequence[Contestant]
    units: int
    unit: str
    tolerance: float
    difference: Difference = of_range
    memory: bool = field(default=False)


Subject = Callable[[Options], Iterator[Case]]


def measured(subject: str, case: Case, threads: int, repeats: int) -> dict[str, Any]:
    """The result of a case, as it is written to JSON; seconds are those of each round.

    Raises:
        Differs: two contestants do not compute the same.
    """
    before = machine.description()
    differences = compare(case.contestants, case.tolerance, case.difference)
    rates = machine.rates()
    seconds = interleaved(case.contestants, repeats)
    first = seconds[case.contestants[0].name]
    found: dict[str, Any] = {
        "subject": subject,
        "settings": {"threads": threads, **case.settings},
        "unit": case.unit,
        "units": case.units,
        "tolerance": case.tolerance,
        "differences": differences,
        "seconds": seconds,
        "ratios": {
            name: {clock: asdict(ratio(first[clock], taken[clock])) for clock in taken}
            for name, taken in seconds.items()
        },
        "rates": rates,
        "machine": {**before, "load": max(before["load"], machine.description()["load"])},
    }
    if case.memory:
        found["memory"] = {one.name: machine.peak(one.work) for one in case.contestants}
    return found
