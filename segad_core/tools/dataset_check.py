"""Problems of a data set on disk: counts, damaged files, duplicates, labels, masks, published subsets."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from segad_core.base.connected import connected
from segad_core.base.decoding import Decoding
from segad_core.base.files import is_file
from segad_core.base.parallel import in_order
from segad_core.base.text import listed, quoted
from segad_core.contracts import Dataset, Progress, Sample, no_progress, optional
from segad_core.errors import ImageError, SegadError
from segad_core.images import Facts, Inventory, Pair, near_duplicates, read_mask, take_inventory
from segad_core.images.cut_off import cut_off
from segad_core.images.geometry import counted, in_words, shapes
from segad_core.images.levels import unused
from segad_core.images.pages import by_page
from segad_core.store.store import Store
from segad_core.tools.findings import HEADINGS, Finding

_DECODING = Decoding()
_EXAMPLES = {"white": "4095", "window": "'[0, 4095]'", "bayer": "RGGB", "page": "1, or --image page=views"}
"""Of values for `--image`."""


@dataclass
class CategoryCheck:
    """The contents of a category, and its findings.

    Attributes:
        category: its name.
        images: how many images each stratum has.
        published: how many it had when it was published; empty if unknown.
        defects: how many bad images show each defect type.
        subsets: the size of each published subset of bad training images.
        sizes: how many readable images have each size, `width x height` in pixels, the most frequent first.
        findings: in the order of `HEADINGS`.
    """

    category: str
    images: dict[str, int] = field(default_factory=dict)
    published: dict[str, int] = field(default_factory=dict)
    defects: dict[str, int] = field(default_factory=dict)
    subsets: dict[str, int] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)


def check_category(
    dataset: Dataset,
    category: str,
    store: Store,
    progress: Progress = no_progress,
    decoding: Decoding = _DECODING,
) -> CategoryCheck:
    """Reads every image and every mask of a category, and reports what it holds and what is wrong.

    A category that the data set cannot list is a finding, so that the other categories are still checked.

    Args:
        dataset, category: what to check.
        store: remembers the content of images.
        progress: reports images and masks.
        decoding: as a recipe would have it.
    """
    result = CategoryCheck(category)
    try:
        given = dataset.samples(category)
        differences = optional.count_differences(dataset, category, given)
        result.published = dict(optional.published_counts(dataset, category))
        given = by_page(given, decoding)
    except SegadError as error:
        result.findings.append(Finding("unlisted", error.sentence()))
        return result
    result.images = dict(sorted(Counter(sample.stratum for sample in given).items()))
    result.defects = dict(sorted(Counter(name for s in given for name in s.defects()).items()))
    samples = {sample.id: sample for sample in reversed(given)}
    inventory = take_inventory(list(samples.values()), decoding, store, progress)
    result.sizes = counted([facts.size for facts in inventory.facts.values()])
    ordered = [samples[image] for image in sorted(samples)]
    findings = result.findings
    if not given:
        findings.append(Finding("unlisted", "the category has no images"))
    findings += [Finding("counts", text) for text in differences]
    findings += _repeated_ids(given)
    findings += _unreadable(inventory)
    findings += [Finding("contradictions", text) for text in optional.contradictions(dataset, category)]
    findings += _duplicates(inventory)
    findings += _alike(inventory, decoding, store, progress)
    findings += _levels(inventory, decoding)
    if text := cut_off(inventory.samples, decoding):
        findings.append(Finding("window", text))
    findings += _masks(ordered, inventory.facts, progress)
    findings += _unmasked(ordered)
    findings += _shapes(inventory)
    findings += _views(inventory)
    findings += _subsets(dataset, category, samples, result.subsets)
    findings += [Finding("unread", text) for text in optional.unread(dataset, category)]
    findings.sort(key=lambda finding: list(HEADINGS).index(finding.kind))
    return result


def absent(category: str) -> CategoryCheck:
    """The result for a published category that the data set lacks."""
    return CategoryCheck(category, findings=[Finding("absent", f"'{category}'")])


def beside(dataset: Dataset) -> CategoryCheck | None:
    """What lies beside all categories and is not read; None if nothing does."""
    found = [Finding("unread", text) for text in optional.unread(dataset, None)]
    return CategoryCheck("beside the categories", findings=found) if found else None


def _unreadable(inventory: Inventory) -> Iterator[Finding]:
    """With the remedy, where it is a choice of how images are read; once for all that have it."""
    told = set[str]()
    for image, error in inventory.unreadable.items():
        chosen = re.search(r"image\.(white|window|bayer|page)\b", error.remedy)
        remedy = f". {error.remedy} Here: --image {chosen[1]}={_EXAMPLES[chosen[1]]}" if chosen else ""
        yield Finding("unreadable", error.what + remedy * (remedy not in told), (image,))
        told.add(remedy)


def _repeated_ids(samples: Sequence[Sample]) -> Iterator[Finding]:
    paths = defaultdict(list)
    for sample in samples:
        paths[sample.id].append(str(sample.path))
    for image, files in paths.items():
        if len(files) > 1:
            yield Finding("ids", f"'{image}': {listed(files)}", (image,))


def _duplicates(inventory: Inventory) -> Iterator[Finding]:
    """Groups of images with the same pixels, under each heading that applies."""
    alike = defaultdict(list)
    for sample in inventory.samples:
        alike[inventory.facts[sample.id].pixels].append(sample)
    for group in alike.values():
        if len(group) < 2 or (group[0].page is not None and len({sample.path for sample in group}) == 1):
            continue
        labelled = "labels" if len({sample.label for sample in group}) > 1 else ""
        leaked = "leaks" if {"train", "test"} <= {sample.split for sample in group} else ""
        same_bytes = len({inventory.facts[sample.id].file for sample in group}) == 1
        named = listed([f"'{sample.id}' ({sample.stratum})" for sample in group])
        text = f"identical {'files' if same_bytes else 'pixels'}: {named}"
        for kind in [kind for kind in (labelled, leaked) if kind] or ["repeated"]:
            yield Finding(kind, text, tuple(sample.id for sample in group))


def _alike(inventory: Inventory, decoding: Decoding, store: Store, progress: Progress) -> Iterator[Finding]:
    """Groups of near-identical images; where there is an official test, those in both training and test."""
    samples = {sample.id: sample for sample in inventory.samples}
    divided = any(sample.split == "test" for sample in inventory.samples)

    def matters(first: str, second: str) -> bool:
        one, other = samples[first], samples[second]
        if one.page is not None and one.path == other.path:  # pages of a part are alike, and stay together
            return False
        return not divided or one.split != other.split

    pairs = near_duplicates(inventory, decoding, store, matters, progress)
    alike: dict[int, list[Pair]] = defaultdict(list)
    for number, pair in zip(connected([(p.first, p.second) for p in pairs]), pairs, strict=True):
        alike[number].append(pair)
    order = {image: place for place, image in enumerate(sorted(samples))}
    for group in alike.values():
        images = sorted({image for pair in group for image in (pair.first, pair.second)})
        named = listed([f"'{image}' ({samples[image].stratum})" for image in images])
        consecutive = order[images[-1]] - order[images[0]] == len(images) - 1
        text = f"{named}: {group[0]}{', consecutive names' * consecutive}"
        yield Finding("alike", text, tuple(images))


def _levels(inventory: Inventory, decoding: Decoding) -> Iterator[Finding]:
    """The images of 16 bits, with their highest value, as nothing else says where white is."""
    highest = {image: facts.highest or 0 for image, facts in inventory.facts.items() if facts.scaled}
    if highest:
        most = max(highest.values())
        text = f"{len(highest)} of {len(inventory.facts)} (the first: '{next(iter(highest))}'): "
        told = unused(most, decoding) or f"the highest value found is {most}"
        yield Finding("levels", text + told, tuple(highest))


def _masks(samples: Sequence[Sample], facts: dict[str, Facts], progress: Progress) -> Iterator[Finding]:
    masked = [sample for sample in samples if sample.mask is not None]
    looks = in_order(_look_at, masked)
    for done, (sample, look) in enumerate(zip(masked, looks, strict=True), start=1):
        yield from _mask(sample, look, facts.get(sample.id))
        progress("masks read", done, len(masked))


_Look = tuple[tuple[int, int], bool] | Finding
"""A mask's size and whether it marks anything; or why it cannot be read."""


def _look_at(sample: Sample) -> _Look:
    assert sample.mask is not None
    if not is_file(sample.mask):
        return Finding("mask_absent", f"'{sample.id}': {sample.mask}", (sample.id,))
    try:
        marked = read_mask(sample.mask)
    except ImageError as error:
        return Finding("mask_unreadable", error.what, (sample.id,))
    height, width = marked.shape
    return (height, width), bool(marked.any())


def _mask(sample: Sample, look: _Look, facts: Facts | None) -> Iterator[Finding]:
    if isinstance(look, Finding):
        yield look
        return
    size, marks = look
    where = f"'{sample.id}': {sample.mask}"
    if facts is not None and facts.size != size:
        sizes = f"{size[1]} x {size[0]} pixels, the image has {facts.size[1]} x {facts.size[0]}"
        yield Finding("mask_size", f"{where} has {sizes}", (sample.id,))
    if sample.label == 1 and not marks:
        yield Finding("mask_empty", where, (sample.id,))
    if sample.label == 0 and marks:
        yield Finding("mask_good", where, (sample.id,))


def _unmasked(samples: Sequence[Sample]) -> Iterator[Finding]:
    """One finding per stratum, so that a stratum without masks is a single line."""
    bad = [sample for sample in samples if sample.label == 1]
    if all(sample.mask is None for sample in bad):
        return
    for stratum in sorted({sample.stratum for sample in bad}):
        members = [sample for sample in bad if sample.stratum == stratum]
        without = [sample.id for sample in members if sample.mask is None]
        if without:
            count = f"{len(without)} of {len(members)}"
            named = listed(quoted(without))
            yield Finding("unmasked", f"{stratum}: {count}: {named}", tuple(without))


def _shapes(inventory: Inventory) -> Iterator[Finding]:
    """One finding for each aspect ratio but the most frequent one, unless the images have all kinds."""
    found = shapes({sample.id: inventory.facts[sample.id].size for sample in inventory.samples})
    if found and 2 * len(found[0].images) > len(inventory.samples):
        for shape in found[1:]:
            named = listed(quoted(shape.images))
            yield Finding("shapes", f"{in_words(shape.size)}: {named}", shape.images)


_ADD = "Add the images, or leave these parts out"


def _views(inventory: Inventory) -> Iterator[Finding]:
    """One finding for all parts that lack a view that others have, or an image where views have no names."""
    parts: dict[str, list[Sample]] = defaultdict(list)
    for sample in inventory.samples:
        if sample.serial:
            parts[sample.serial].append(sample)
    views = sorted({sample.view for images in parts.values() for sample in images} - {""})
    if views:
        gaps = {s: [v for v in views if v not in {one.view for one in own}] for s, own in parts.items()}
        lacking = {serial: ", ".join(gap) for serial, gap in gaps.items() if gap}
        what = f"a view ({', '.join(views)})"
        remedy = f"{_ADD}; 'parts: {{missing: allow}}' in a recipe judges them by their other views"
    else:
        sizes = Counter(map(len, parts.values()))
        usual, frequent = max(sizes.items(), key=lambda one: (one[1], one[0]), default=(0, 0))
        small = {serial: own for serial, own in parts.items() if len(own) < usual}
        lacking = {serial: f"has {len(own)}" for serial, own in small.items() if 2 * frequent > len(parts)}
        what = f"an image ({usual} are usual)"
        remedy = f"{_ADD}; as views have no names, a recipe judges them by the images that are there"
    if lacking:
        named = listed([f"{serial} ({which})" for serial, which in lacking.items()])
        count = f"{len(lacking)} of {len(parts)} parts lack{'s' * (len(lacking) == 1)} {what}"
        images = tuple(sample.id for serial in lacking for sample in parts[serial])
        yield Finding("views", f"{count}: {named}. {remedy}", images)


def _subsets(
    dataset: Dataset, category: str, samples: dict[str, Sample], sizes: dict[str, int]
) -> Iterator[Finding]:
    """Fills in the size of each subset, and finds images that cannot be in one."""
    try:
        subsets = optional.bad_subsets(dataset, category)
    except SegadError as error:
        yield Finding("subsets", error.sentence())
        return
    for name, images in subsets.items():
        sizes[name] = len(images)
        for image, times in Counter(images).items():
            sample = samples.get(image)
            if sample is None:
                fault = "does not exist"
            elif sample.label != 1 or sample.split == "test" or sample.unseen:
                fault = f"is {sample.stratum}, not a bad training image"
            elif times > 1:
                fault = f"is listed {times} times"
            else:
                continue
            yield Finding("subsets", f"'{name}': '{image}' {fault}", (image,))
