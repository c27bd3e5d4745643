"""The content of each image: digests of bytes and pixels, what cannot be read, and leaks between purposes."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from segad_core.base.decoding import Decoding
from segad_core.base.digest import array_digest
from segad_core.base.parallel import in_order
from segad_core.base.text import listed
from segad_core.contracts import Progress, Sample, no_progress
from segad_core.contracts.dataset import WORDS
from segad_core.errors import DataError, ImageError, LeakageError
from segad_core.images.faults import image_digest
from segad_core.images.pages import page_digest, sample_at_full_size
from segad_core.images.thumbnail import thumbnail
from segad_core.store.records import Records
from segad_core.store.store import Store

_SCHEMA = 4
_SECONDS = 30.0
"""The most decoding work that a killed inventory loses."""

Examined = tuple[str, bool, tuple[int, int], str, int | None]
"""Of a decoded image: the digest of its pixels, whether it was scaled, size, thumbnail, highest value."""


@dataclass(frozen=True)
class Facts:
    """The content of an image.

    Attributes:
        file: digest of its bytes.
        pixels: digest of its decoded pixels.
        scaled: whether it was scaled from 16 bits to 8.
        size: (height, width) on disk.
        thumbnail: as `thumbnail` gives it.
        highest: the highest value in the file, if it was scaled.
    """

    file: str
    pixels: str
    scaled: bool
    size: tuple[int, int]
    thumbnail: str = ""
    highest: int | None = None


@dataclass
class Inventory:
    """The readable images of a category, and why the others cannot be read.

    Attributes:
        samples: the readable images, sorted by id.
        facts: their content, by id.
        unreadable: the error for each other image, by id.
        lost: these other images.
    """

    samples: list[Sample] = field(default_factory=list)
    facts: dict[str, Facts] = field(default_factory=dict)
    unreadable: dict[str, ImageError] = field(default_factory=dict)
    lost: list[Sample] = field(default_factory=list)


def take_inventory(
    samples: Sequence[Sample],
    decoding: Decoding,
    store: Store,
    progress: Progress = no_progress,
) -> Inventory:
    """Reads every image, and decodes those whose bytes the store does not know yet, on all cores.

    Args:
        samples: the images of a category.
        decoding: as in `decode`.
        store: remembers the content of each image, whatever set it is in.
        progress: reports how many images are decoded.

    Raises:
        ResourceError: the machine failed; no image is blamed for it.
    """
    ordered = sorted(samples, key=lambda sample: sample.id)
    paths = list(dict.fromkeys(sample.path for sample in ordered))  # a file of several pages is read once
    files = dict(zip(paths, in_order(_file_digest, paths), strict=True))
    read = {sample.id: _digest(files[sample.path], sample) for sample in ordered}
    digests = {image: digest for image, digest in read.items() if isinstance(digest, str)}
    errors = {image: error for image, error in read.items() if isinstance(error, ImageError)}
    records = Records(store, f"images-{_SCHEMA}-{decoding.name()}")
    known = {digest: one for digest, one in records.read().items() if len(one) == 5 or not one[1]}
    missing = [s for s in ordered if s.id in digests and digests[s.id] not in known]
    examined = _examine_all(missing, decoding, digests, records, progress)
    result = Inventory()
    for sample in ordered:
        outcome = errors.get(sample.id) or examined.get(sample.id) or known[digests[sample.id]]
        if isinstance(outcome, ImageError):
            result.unreadable[sample.id] = outcome
            result.lost.append(sample)
        else:
            pixels, scaled, (height, width), small, *more = outcome
            result.samples.append(sample)
            result.facts[sample.id] = Facts(digests[sample.id], pixels, scaled, (height, width), small, *more)
    return result


def audit(purposes: Mapping[str, str], facts: Mapping[str, Facts], context: str) -> None:
    """Checks that no image serves two purposes, by its bytes or by its pixels.

    Args:
        purposes: the purpose of each image id.
        facts: the content of each.
        context: names the category and the seed in the message.

    Raises:
        LeakageError: an image serves two purposes; the message names the pairs.
    """
    leaks: dict[tuple[str, str], str] = {}
    for attribute, how in (("file", "the same file"), ("pixels", "the same pixels")):
        alike: dict[str, list[str]] = defaultdict(list)
        for image in sorted(purposes):
            alike[getattr(facts[image], attribute)].append(image)
        for images in alike.values():
            first = images[0]
            for other in images[1:]:
                if purposes[other] != purposes[first]:
                    pair = f"'{first}' ({purposes[first]}) and '{other}' ({purposes[other]}) are {how}"
                    leaks.setdefault((first, other), pair)
    if leaks:
        raise LeakageError(
            f"{context}: the same image serves two purposes that must be disjoint: "
            f"{listed([*leaks.values()], between='; ')}",
            "Leave one of each pair out, split: {leave_out: {CATEGORY: [IMAGE]}}, or put both into the same "
            "part of the data set.",
        )


def check_labels(samples: Sequence[Sample], facts: Mapping[str, Facts], context: str) -> None:
    """Checks that images with the same pixels have the same label.

    Raises:
        DataError: two images do not; the message names them.
    """
    seen: dict[str, Sample] = {}
    for sample in samples:
        other = seen.setdefault(facts[sample.id].pixels, sample)
        if other.label != sample.label:
            labels = f"{WORDS[other.label]} and {WORDS[sample.label]}"
            raise DataError(
                f"{context}: '{other.id}' and '{sample.id}' are the same image, labelled {labels}",
                "Leave out the one with the wrong label, split: {leave_out: {CATEGORY: [IMAGE]}}.",
            )


def _file_digest(path: Path) -> str | ImageError:
    try:
        return image_digest(path)
    except ImageError as error:
        return error


def _digest(file: str | ImageError, sample: Sample) -> str | ImageError:
    return page_digest(file, sample.page) if isinstance(file, str) else file


def _examine_all(
    samples: Sequence[Sample],
    decoding: Decoding,
    digests: Mapping[str, str],
    records: Records,
    progress: Progress,
) -> dict[str, Examined | ImageError]:
    """The result of decoding each image, saved at intervals and at the end.

    Unreadable images are not remembered, so that they are tried again each time.
    """
    outcomes: dict[str, Examined | ImageError] = {}
    new: dict[str, Examined] = {}
    saved = time.monotonic()
    for sample, outcome in zip(samples, in_order(partial(_examine, decoding=decoding), samples), strict=True):
        outcomes[sample.id] = outcome
        if not isinstance(outcome, ImageError):
            new[digests[sample.id]] = outcome
        progress("images examined", len(outcomes), len(samples))
        if time.monotonic() - saved > _SECONDS:
            records.add(new)
            new, saved = {}, time.monotonic()
    if new:
        records.add(new)
    return outcomes


def _examine(sample: Sample, decoding: Decoding) -> Examined | ImageError:
    try:
        with sample_at_full_size(sample, decoding) as decoded:
            height, width = decoded.pixels.shape[:2]
            small = thumbnail(decoded.pixels)
            return array_digest(decoded.pixels), decoded.scaled, (height, width), small, decoded.highest
    except ImageError as error:
        return error
