"""A stream of images: decoded, then read by networks, each step while the others work on other batches."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future
from threading import Lock

from segad_core.base.parallel import one_ahead
from segad_core.base.resources import guarded
from segad_core.bundle.format.manifest import Pipeline
from segad_core.bundle.runtime.ahead import in_background
from segad_core.bundle.runtime.opened import Opened, batch_of
from segad_core.bundle.runtime.opening import Picture
from segad_core.bundle.runtime.pipeline import TrainedPipeline
from segad_core.bundle.runtime.prediction import Inspection
from segad_core.bundle.runtime.scored import Read, Scored

Reader = Callable[[Sequence[Opened]], Read | Exception]
"""What networks make of images that could be opened, or why that failed."""

ReadImages = tuple[list[Opened], Read | Exception | None]
"""Images of a batch, and what networks make of those that could be opened."""


def reader(given: Pipeline, learnt: TrainedPipeline) -> Reader:
    """Has the networks of a bundle look at images: in one thread at a time, whichever asks."""
    alone = Lock()

    def read(opened: Sequence[Opened]) -> Read | Exception:
        try:
            with alone, guarded(f"scoring {opened[0].sample.id}"):
                return learnt.read(batch_of(opened, given, learnt.encoder, learnt.layers))
        except Exception as error:  # a plugin may raise anything; whoever judges the images handles it
            return error

    return read


def finished(learnt: TrainedPipeline, opened: Sequence[Opened], done: Read | Exception) -> Scored:
    """What a batch comes to of which this is read.

    Raises:
        Exception: what went wrong while it was read, or does so now.
    """
    if isinstance(done, Exception):
        raise done
    with guarded(f"scoring {opened[0].sample.id}"):
        return learnt.finished(done)


def decoded(
    take: Callable[[], list[tuple[int, Picture]]], submit: Callable[..., Future[Opened]]
) -> Iterator[list[Opened]]:
    """Batches of images; the next one is taken and decoded while one is used.

    Args:
        take: takes numbered images, as in `taking`.
        submit: begins to decode one, given its number and itself.
    """

    def begin() -> list[Future[Opened]]:
        return [submit(*one) for one in take()]

    pending = begin()
    while pending:
        opened = [one.result() for one in pending]
        following = in_background(begin)
        yield opened
        pending = following()


def sound(opened: Sequence[Opened]) -> list[Opened]:
    """Those of some images that could be opened."""
    return [one for one in opened if not one.problem]


def read_ahead(
    batches: Iterator[list[Opened]], read: Reader, ahead: bool
) -> Generator[ReadImages, None, None]:
    """Batches, each with what networks make of it; None where no image of it could be opened.

    Args:
        batches: of images.
        read: what the networks do.
        ahead: whether they look at the next batch while one is used: no thread is worth it for a single one.
    """

    def with_read(opened: list[Opened]) -> ReadImages:
        some = sound(opened)
        return opened, read(some) if some else None

    return one_ahead(with_read, batches) if ahead else (with_read(one) for one in batches)


def one_by_one(batches: Iterable[list[Inspection]]) -> Iterator[Inspection]:
    """What batches hold, in order."""
    for batch in batches:
        while batch:  # what has been given out is not held here
            yield batch.pop(0)
