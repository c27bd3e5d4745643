"""Each clause of the data-set suite fails for a plugin that violates it, and passes sound ones."""

import itertools
from dataclasses import replace
from pathlib import Path

import pytest

from segad_core.contracts import Dataset, Sample
from segad_core.testing import DatasetSuite


class SoundDataset(Dataset):
    """Three files."""

    root: Path

    def categories(self):
        return ["nuts"]

    def samples(self, category):
        files = [self.root / "good" / "a.png", self.root / "bad" / "b.png", self.root / "bad" / "c.png"]
        facts = [(0, ""), (1, "scratch"), (None, "odd")]
        return [
            self.changed(Sample(path.relative_to(self.root).as_posix(), path, label, "test", defect))
            for path, (label, defect) in zip(files, facts, strict=True)
        ]

    def changed(self, sample):
        return sample


def changing(**changes):
    class Changed(SoundDataset):
        """Three files, told wrongly."""

        def changed(self, sample):
            return replace(sample, **{k: v(sample) if callable(v) else v for k, v in changes.items()})

    return Changed


class TwiceTheSame(SoundDataset):
    """One category under one name twice."""

    def categories(self):
        return ["nuts", "nuts"]


class NoSamples(SoundDataset):
    """A category without images."""

    def samples(self, category):
        return []


class AnyOrder(SoundDataset):
    """Images in another order at each call."""

    folds = itertools.count()

    def samples(self, category):
        samples = super().samples(category)
        return samples[:: -1 if next(self.folds) % 2 else 1]


class Opens(SoundDataset):
    """Reads every image when it is asked for the list."""

    def changed(self, sample):
        sample.path.read_bytes()
        return sample


def returning(result):
    return lambda self, *category: result


def published(**results):
    """A data set that tells more: the results of optional methods, by their names."""
    methods = {name: returning(result) for name, result in results.items()}
    return type("Published", (SoundDataset,), {"__doc__": "Tells what was published.", **methods})


FACTS = {
    "published_categories": ["nuts", "bolts"],
    "published_counts": {"test good": 1, "test bad": 3},
    "bad_subsets": {"first": ["bad/b.png"]},
    "contradictions": ["a.png is good and bad"],
    "unread": ["NG: 30 images not read"],
}
PUBLISHED = "test_published_facts_are_well_formed"


@pytest.mark.parametrize(
    ("plugin", "expected"),
    [
        (SoundDataset, ""),
        (published(**FACTS), ""),
        (published(published_categories="nuts"), PUBLISHED),
        (published(published_categories=["nuts", "nuts"]), PUBLISHED),
        (published(published_counts={"test good": "many"}), PUBLISHED),
        (published(published_counts={"test good": -1}), PUBLISHED),
        (published(bad_subsets={"first": "bad/b.png"}), PUBLISHED),
        (published(contradictions=[None]), PUBLISHED),
        (published(unread="NG: 30 images not read"), PUBLISHED),
        (published(unread=[""]), PUBLISHED),
        (TwiceTheSame, "test_categories_are_unique_and_stable test_ids_are_unique"),
        (NoSamples, "test_every_category_has_samples"),
        (AnyOrder, "test_samples_are_the_same_at_every_call"),
        (Opens, "test_reads_no_image"),
        (changing(id="a.png"), "test_ids_are_unique"),
        (changing(id=lambda s: f"../{s.id}"), "test_ids_are_relative_paths"),
        (changing(id=lambda s: str(s.path)), "test_ids_are_relative_paths"),
        (changing(id=lambda s: s.id.replace("/", "\\")), "test_ids_are_relative_paths"),
        (changing(id=lambda s: f"C:{s.id}"), "test_ids_are_relative_paths"),
        (
            changing(label=lambda s: s.label == 1),
            "test_labels_are_0_1_or_none test_good_images_have_no_defect",
        ),
        (changing(label=2), "test_labels_are_0_1_or_none"),
        (changing(label=0), "test_good_images_have_no_defect"),
        (changing(mask=lambda s: s.path), "test_good_images_have_no_defect"),
        (changing(split="validation"), "test_split_is_train_test_or_none"),
        (changing(group=7), "test_groups_serials_and_views_are_text"),
        (changing(serial=None), "test_groups_serials_and_views_are_text"),
        (changing(view=1), "test_groups_serials_and_views_are_text"),
        (changing(path=lambda s: s.path.with_suffix(".jpg")), "test_files_exist"),
        (changing(mask=lambda s: s.path.with_suffix(".jpg") if s.label else None), "test_files_exist"),
    ],
)
def test_dataset(check, plugin, expected, tmp_path, monkeypatch):
    for name in ("good/a.png", "bad/b.png", "bad/c.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"png")
    monkeypatch.setattr(SoundDataset, "root", tmp_path, raising=False)
    check(DatasetSuite, plugin, expected)
