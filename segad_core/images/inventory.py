"""What each file really holds: digests of bytes and of pixels, what cannot be read, and who leaks where."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from segad_core.base.digest import array_digest, digest_of, file_digest
from segad_core.contracts import Progress, Sample, unseen
from segad_core.errors import DataError, ImageError, LeakageError
from segad_core.images.decode import decode
from segad_core.store.store import Store

_SCHEMA = 2
_LABELS = {0: "good", 1: "bad", None: "doubtful"}


Examined = tuple[str, bool, tuple[int, int]]
"""What decoding an image tells: the digest of its pixels, whether it was scaled, its size."""


@dataclass(frozen=True)
class Facts:
    """An image by its content.

    Attributes:
        file: digest of its bytes.
        pixels: digest of its decoded pixels.
        scaled: whether it was scaled from 16 bits to 8.
        size: (height, width) on disk.
    """

    file: str
    pixels: str
    scaled: bool
    size: tuple[int, int]


@dataclass
class Inventory:
    """The readable images of a category, and why the others are not.

    Attributes:
        samples: what can be read, sorted by id.
        facts: by id.
        unreadable: the error, by id.
    """

    samples: list[Sample] = field(default_factory=list)
    facts: dict[str, Facts] = field(default_factory=dict)
    unreadable: dict[str, ImageError] = field(default_factory=dict)


def take_inventory(
    samples: Sequence[Sample],
    white: int,
    store: Store,
    progress: Progress = unseen,
) -> Inventory:
    """Reads and decodes every image once; what was decoded before is remembered in the store by its bytes."""
    result = Inventory()
    ordered = sorted(samples, key=lambda sample: sample.id)
    with ThreadPoolExecutor(max_workers=2) as pool:
        digests = dict(zip([s.id for s in ordered], pool.map(_file_digest, ordered), strict=True))
        errors = {image: outcome for image, outcome in digests.items() if isinstance(outcome, ImageError)}
        known = _remembered(store, digests, white)
        missing = [s for s in ordered if digests[s.id] not in known and s.id not in errors]
        for done, (sample, outcome) in enumerate(
            zip(missing, pool.map(lambda s: _examine(s, white), missing), strict=True), start=1
        ):
            if isinstance(outcome, ImageError):
                errors[sample.id] = outcome
            else:
                known[str(digests[sample.id])] = outcome
            progress("images examined", done, len(missing))
    if missing:
        _remember(store, digests, white, known)
    for sample in ordered:
        if sample.id in errors:
            result.unreadable[sample.id] = errors[sample.id]
        else:
            digest = str(digests[sample.id])
            result.samples.append(sample)
            result.facts[sample.id] = Facts(digest, *known[digest])
    return result


def audit(purposes: Mapping[str, str], facts: Mapping[str, Facts], context: str) -> None:
    """Makes sure that no image stands in two purposes, by its bytes or by its pixels.

    Args:
        purposes: the purpose of each image id.
        facts: the content of each.
        context: the category and the seed, for the message.

    Raises:
        LeakageError: naming the pairs.
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
        more = f"; and {len(leaks) - 5} more" if len(leaks) > 5 else ""
        raise LeakageError(
            f"{context}: the same image stands in two purposes that must be disjoint: "
            f"{'; '.join(list(leaks.values())[:5])}{more}",
            "Leave one of each pair out, split: {leave_out: {CATEGORY: [IMAGE]}}, or put both into the same "
            "part of the data set.",
        )


def check_labels(samples: Sequence[Sample], facts: Mapping[str, Facts], context: str) -> None:
    """Makes sure that images with the same pixels have the same label.

    Raises:
        DataError: naming the first two that have not.
    """
    seen: dict[str, Sample] = {}
    for sample in samples:
        other = seen.setdefault(facts[sample.id].pixels, sample)
        if other.label != sample.label:
            labels = f"{_LABELS[other.label]} and {_LABELS[sample.label]}"
            raise DataError(
                f"{context}: '{other.id}' and '{sample.id}' are the same image, labelled {labels}",
                "Leave out the one that is wrong, split: {leave_out: {CATEGORY: [IMAGE]}}.",
            )


def _file_digest(sample: Sample) -> str | ImageError:
    try:
        if sample.path.exists() and not sample.path.is_file():
            return ImageError(f"{sample.path}: is not a file", "Take it out of the data set.")
        return file_digest(sample.path)
    except OSError as error:
        return ImageError(
            f"{sample.path}: cannot be read ({error.strerror})", "Restore it, or correct its permissions."
        )


def _examine(sample: Sample, white: int) -> Examined | ImageError:
    try:
        decoded = decode(sample.path, white)
    except ImageError as error:
        return error
    height, width = decoded.pixels.shape[:2]
    return array_digest(decoded.pixels), decoded.scaled, (height, width)


def _key(digests: Mapping[str, str | ImageError], white: int) -> str:
    return digest_of(
        ["inventory", _SCHEMA, white, sorted({d for d in digests.values() if isinstance(d, str)})]
    )


def _remembered(store: Store, digests: Mapping[str, str | ImageError], white: int) -> dict[str, Examined]:
    files = store.get(_key(digests, white))
    if files is None:
        return {}
    facts = json.loads(files["facts.json"])
    return {digest: (pixels, scaled, (h, w)) for digest, (pixels, scaled, (h, w)) in facts.items()}


def _remember(
    store: Store, digests: Mapping[str, str | ImageError], white: int, known: Mapping[str, Examined]
) -> None:
    """Unreadable images are left out: whether they can be read is tried again each time."""
    store.put(_key(digests, white), "inventory", {"facts.json": json.dumps(known, sort_keys=True).encode()})
