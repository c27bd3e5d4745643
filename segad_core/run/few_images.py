"""What few images mean for rows and their figures, told before anything is trained."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from segad_core.base.clopper_pearson import FEW
from segad_core.base.digest import digest_of
from segad_core.base.notes import Notes
from segad_core.contracts import Encoder, FinalClassifier, Run, Sample
from segad_core.evaluate.knowable import is_few, knowable
from segad_core.recipe import Recipe
from segad_core.run.cells import RowTask
from segad_core.run.final_checks import feature_names
from segad_core.run.prepare import Prepared
from segad_core.split.draw import Fold, Split
from segad_core.split.parts import Parts

_TRIED = 10
"""With fewer good or bad images to learn from, it is tried whether a final classifier can learn from them."""


def tested(split: Split, samples: Mapping[str, Sample], parts: Parts | None) -> tuple[int, int]:
    """How many good and bad images a split tests; or parts, where these are judged."""
    if parts is None:
        labels = Counter(samples[image].label for image in split.test)
    else:
        serials = {parts.serials[image] for image in split.test}
        labels = Counter(parts.by_serial[serial].sample.label for serial in serials)
    return labels[0], labels[1]


def what_tests_tell(
    splits: Mapping[Fold, Split], samples: Mapping[str, Sample], parts: Parts | None
) -> list[tuple[bool, str]]:
    """What each number of test images that occurs can tell, and whether it is a small one."""
    counts = dict.fromkeys(tested(split, samples, parts) for split in splits.values())
    unit = "part" if parts else "image"
    return [
        (
            is_few(good, bad),
            f"{good} good and {bad} bad test {unit}{'s' * (bad != 1)}: {knowable(good, bad, unit)}",
        )
        for good, bad in counts
    ]


def with_few_noted(recipe: Recipe, prepared: Prepared) -> Prepared:
    """The same with notes of what very few images cannot tell, and of rows that learn nothing from them."""
    notes = Notes()
    for plan in prepared.plans:
        category = plan.category
        known = prepared.splits[category], prepared.samples[category], prepared.parts.get(category)
        for few, sentence in what_tests_tell(*known):
            if few:
                notes.warn(f"category '{category}', {sentence}")
        _note_unlearnable(recipe, category, plan.rows(), notes)
    return replace(prepared, notes=(*prepared.notes, *notes.sentences))


def learnt_from(rows: Sequence[RowTask]) -> Iterator[str]:
    """From how many images the rows' final classifiers learn, where these are few; each number once."""
    told = dict[str, None]()
    for task in rows:
        good, bad = _counts(task)
        if not task.row.score and min(good, bad) < FEW:
            unit = "part" if task.views else "image"
            kind = f"and {bad} bad {unit}{'s' * (bad != 1)}"
            if task.generated:
                kind = f"{unit}{'s' * (good != 1)} and as many generated defects"
            told[f"row '{task.row.name}' learns from {good} good {kind}"] = None
    yield from told


def _note_unlearnable(recipe: Recipe, category: str, rows: Sequence[RowTask], notes: Notes) -> None:
    """Notes rows whose final classifier cannot learn from so few images, whatever their features are.

    It is trained on as many vectors that each feature parts without error: a forest that finds no split for
    these finds none for others.
    """
    few = [task for task in rows if task.row.final is not None and min(_counts(task)) < _TRIED]
    encoder: Encoder | None = recipe.encoder.build() if few and recipe.encoder else None
    tried = dict[str, bool]()  # seeds and held-out types differ in nothing that matters here
    for task in few:
        good, bad = _counts(task)
        names = feature_names(recipe, task.row, category, encoder)
        if names is None or task.row.final is None:
            continue
        key = digest_of([task.row.final.identity(category), names, good, bad])
        if key not in tried:
            tried[key] = _learns(task.row.final.build(category), names, good, bad, task.seed)
        if not tried[key]:
            unit = "parts" if task.views else "images"
            kind = "generated defects" if task.generated else f"bad {unit}"
            kind = kind[:-1] if bad == 1 else kind
            blend = "parts.verdict: worst with final: blend" if task.views else "final: blend"
            notes.warn(
                f"category '{category}', row '{task.row.name}': its final classifier "
                f"'{task.row.final.provider.name}' learns nothing from {good} good and {bad} {kind}, not "
                f"even where every feature tells them apart: use {blend}, a detector alone, or more {unit}"
            )


def _counts(task: RowTask) -> tuple[int, int]:
    bad = sum(task.train_labels)
    good = len(task.train_labels) - bad
    return good, good if task.generated else bad


def _learns(final: FinalClassifier, names: Sequence[str], good: int, bad: int, seed: int) -> bool:
    labels = np.repeat(np.array([0, 1], np.int64), (good, bad))
    features = np.repeat(labels[:, None] + np.linspace(0, 0.1, len(labels))[:, None], len(names), axis=1)
    try:
        final.fit(features, names, labels, Run(np.random.SeedSequence(seed)))
        return len(np.unique(final.margins(features))) > 1
    except Exception:  # told by the training itself
        return True
