"""Predictions as lines on the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Self, TextIO

from segad_core.base.text import in_one_line
from segad_core.bundle.runtime.prediction import Prediction
from segad_core.tools.results.errors import reporting
from segad_core.tools.results.lines import largest
from segad_core.tools.results.tally import Tally


class Printed(Tally):
    """Predictions as readable lines on a stream."""

    def __init__(self, stream: TextIO, explain: bool) -> None:
        super().__init__()
        self._stream, self._as_line = stream, explained_line if explain else readable_line

    def left(self, images: Iterable[str], at_once: bool = False) -> Iterable[str]:
        """The images still to be scored: all of them."""
        return images

    def again(self) -> Iterable[str]:
        """The images to be tried again: none."""
        return ()

    def write(self, predictions: Sequence[Prediction]) -> None:
        """Prints a line for each prediction."""
        with reporting("standard output", "Then run the same command again, or write a file with -o."):
            self._stream.write("".join(f"{self._as_line(one)}\n" for one in predictions))
            self._stream.flush()
        for one in predictions:
            self.count(in_one_line(one.image), one.verdict, one.score, in_one_line(one.reason))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...


def readable_line(prediction: Prediction) -> str:
    """Verdict, score, image and reason."""
    score = "-" if prediction.score is None else f"{prediction.score:.4g}"
    words = f"{prediction.verdict:<8}{score:>9}  {in_one_line(prediction.image)}"
    return f"{words}  {in_one_line(prediction.reason)}" if prediction.reason else words


def explained_line(prediction: Prediction) -> str:
    """The same, followed by the largest contributions in either direction."""
    lines = (f"{'':19}{in_one_line(str(one))}" for one in largest(prediction.contributions))
    return "\n".join([readable_line(prediction), *lines])
