"""Folds for out-of-fold scores: stratified by label, of single images or of whole groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np


def out_of_fold(
    trained: Mapping[str, int],
    scored: Sequence[str],
    pixels: Mapping[str, str],
    count: int,
    seed: int,
    groups: Mapping[str, int] | None = None,
) -> list[frozenset[str]]:
    """For each fold, the images that its training leaves out; those of them in `scored` it scores.

    A copy of an image gives as much away as the image itself, and so do images of its group.

    Args:
        trained: images with their labels.
        scored: images, some of them trained on, that need scores of a training without them.
        pixels: the digest of each image's pixels.
        count: of folds.
        seed: of the draw.
        groups: the group of each image, the same for copies; None to divide by single images.
    """
    labels = {pixels[image]: label for image, label in trained.items()}
    both = {pixels[image]: labels[pixels[image]] for image in scored if pixels[image] in labels}
    group_of = {pixels[image]: groups[image] for image in (*trained, *scored)} if groups is not None else None
    folds = []
    for part in stratified_folds(both, count, seed, group_of):
        copies = part
        if group_of is not None:
            out = {group_of[one] for one in part}
            copies = frozenset(one for one, group in group_of.items() if group in out)
        folds.append(frozenset(image for image in (*trained, *scored) if pixels[image] in copies))
    return folds


def stratified_folds(
    labels: Mapping[str, int], count: int, seed: int, groups: Mapping[str, int] | None = None
) -> list[frozenset[str]]:
    """Folds of labelled ids, each with the same share of each label as far as possible; none is empty.

    With the group of each id, no group is divided.
    """
    if groups is not None:
        return [frozenset(part) for part in _of_groups(labels, groups, count, seed) if part]
    parts: list[set[str]] = [set() for _ in range(count)]
    place = 0
    for label in (0, 1):
        pool = [one for one, given in labels.items() if given == label]
        for i in np.random.RandomState(seed).permutation(len(pool)):
            parts[place % count].add(pool[i])
            place += 1
    return [frozenset(part) for part in parts if part]


def _of_groups(labels: Mapping[str, int], groups: Mapping[str, int], count: int, seed: int) -> list[set[str]]:
    """Folds of labelled ids without dividing groups, each with a share of each label as far as possible.

    Groups come in random order, the largest first; each goes to the fold with the fewest images of its
    labels. With fewer groups than folds, some folds are empty.
    """
    members: dict[int, list[str]] = {}
    for one in labels:
        members.setdefault(groups[one], []).append(one)
    names = list(members)
    order = [names[i] for i in np.random.RandomState(seed).permutation(len(names))]
    order.sort(key=lambda group: -len(members[group]))
    totals = np.bincount(list(labels.values()), minlength=2).clip(min=1)
    parts: list[set[str]] = [set() for _ in range(count)]
    numbers = np.zeros((count, 2))
    for group in order:
        own = np.bincount([labels[one] for one in members[group]], minlength=2)
        crowded = (numbers * own / totals**2).sum(axis=1)
        place = min(range(count), key=lambda i: (crowded[i], len(parts[i]), i))
        parts[place].update(members[group])
        numbers[place] += own
    return parts
