"""The conformance suite for data sets."""

from __future__ import annotations

from pathlib import Path, PureWindowsPath

from segad_core.contracts import Dataset, Sample, optional
from segad_core.testing.checks import is_sentences
from segad_core.testing.files_opened import files_opened
from segad_core.testing.harmless import HarmlessSuite


class DatasetSuite(HarmlessSuite):
    """The contract of `segad.datasets`, clause by clause. Define `make`."""

    def make(self) -> Dataset:
        raise NotImplementedError(f"{type(self).__name__} must define make(), which returns a new data set")

    def _exercise(self) -> None:
        self._samples()

    def _samples(self) -> list[tuple[str, Sample]]:
        dataset = self.make()
        return [(category, s) for category in dataset.categories() for s in dataset.samples(category)]

    def test_categories_are_unique_and_stable(self) -> None:
        """`categories` returns at least one name, each once, and the same names at every call."""
        dataset = self.make()
        names = list(dataset.categories())
        assert names, "categories() is empty: a data set has at least one category"
        assert all(isinstance(name, str) and name for name in names), (
            f"categories() contains a name that is not a non-empty string: {names}"
        )
        assert len(set(names)) == len(names), f"categories() contains a name twice: {names}"
        assert list(dataset.categories()) == names, "categories() returns other names at a second call"
        assert list(self.make().categories()) == names, (
            "categories() of a second instance returns other names"
        )

    def test_every_category_has_samples(self) -> None:
        """Every category has images."""
        dataset = self.make()
        for category in dataset.categories():
            assert len(dataset.samples(category)), f"samples() returns no image of category '{category}'"

    def test_samples_are_the_same_at_every_call(self) -> None:
        """`samples` returns the same list at every call, and from every instance."""
        dataset = self.make()
        for category in dataset.categories():
            first = list(dataset.samples(category))
            assert list(dataset.samples(category)) == first, (
                f"samples('{category}') differs between two calls"
            )
            assert list(self.make().samples(category)) == first, (
                f"samples('{category}') differs between two instances"
            )

    def test_ids_are_unique(self) -> None:
        """Ids are unique within a category."""
        seen: set[tuple[str, str]] = set()
        for category, sample in self._samples():
            assert (category, sample.id) not in seen, (
                f"category '{category}' contains the id '{sample.id}' twice"
            )
            seen.add((category, sample.id))

    def test_ids_are_relative_paths(self) -> None:
        """An id is a path within the data set, with forward slashes."""
        for category, sample in self._samples():
            where = f"category '{category}', id {sample.id!r}"
            assert isinstance(sample.id, str) and sample.id, f"{where}: an id is a non-empty string"
            assert "\\" not in sample.id, f"{where}: use forward slashes"
            assert not sample.id.startswith("/") and not PureWindowsPath(sample.id).drive, (
                f"{where}: must be relative to the data set"
            )
            assert not {"", ".", ".."}.intersection(sample.id.split("/")), (
                f"{where}: contains an empty part, . or .."
            )

    def test_labels_are_0_1_or_none(self) -> None:
        """A label is the integer 0 (good) or 1 (bad), or None (doubtful)."""
        for category, sample in self._samples():
            fits = sample.label is None or (type(sample.label) is int and sample.label in (0, 1))
            assert fits, (
                f"category '{category}', '{sample.id}': the label is {sample.label!r}, not 0, 1 or None"
            )

    def test_split_is_train_test_or_none(self) -> None:
        """The official split of an image is `train`, `test`, or None if the data set has none."""
        for category, sample in self._samples():
            assert sample.split in ("train", "test", None), (
                f"category '{category}', '{sample.id}': split {sample.split!r} is not 'train', 'test' or None"
            )

    def test_good_images_have_no_defect(self) -> None:
        """Good images have no defect type, no defect mask and no flag `unseen`."""
        for category, sample in self._samples():
            if sample.label == 0:
                where = f"category '{category}', '{sample.id}' is good"
                assert sample.defect == "", f"{where} but has the defect type '{sample.defect}'"
                assert sample.mask is None, f"{where} but has the defect mask {sample.mask}"
                assert not sample.unseen, f"{where} but is flagged as an unseen defect"

    def test_groups_serials_and_views_are_text(self) -> None:
        """The group, the serial and the view are text, empty where they are not known."""
        for category, sample in self._samples():
            for name in ("group", "serial", "view"):
                value = getattr(sample, name)
                assert isinstance(value, str), (
                    f"category '{category}', '{sample.id}': the {name} is a {type(value).__name__}, not text"
                )

    def test_files_exist(self) -> None:
        """All image files and mask files exist."""
        for category, sample in self._samples():
            files = {"path": sample.path, **({} if sample.mask is None else {"mask": sample.mask})}
            for name, path in files.items():
                where = f"category '{category}', '{sample.id}': the {name}"
                assert isinstance(path, Path), f"{where} is a {type(path).__name__}, not a pathlib.Path"
                assert path.is_file(), f"{where} {path} is not a file"

    def test_reads_no_image(self) -> None:
        """`samples` does not open images."""
        with files_opened() as files:
            samples = self._samples()
        opened = {path.absolute() for path in files}
        read = [sample.id for _, sample in samples if sample.path.absolute() in opened]
        assert not read, f"samples() opens {len(read)} images, the first '{read[0]}': list them only"

    def test_published_facts_are_well_formed(self) -> None:
        """What a data set says about its publication, if anything, has the right types."""
        dataset = self.make()
        for category in (None, *dataset.categories()):
            is_sentences(optional.unread(dataset, category), f"unread({category!r})")
        published = optional.published_categories(dataset)
        is_sentences(published, "published_categories()")
        assert len(set(published)) == len(published), (
            f"published_categories() contains a name twice: {published}"
        )
        for category in dataset.categories():
            counts = optional.published_counts(dataset, category)
            assert all(isinstance(name, str) and type(n) is int and n >= 0 for name, n in counts.items()), (
                f"published_counts('{category}') is {dict(counts)}, not numbers of images by stratum"
            )
            for name, images in optional.bad_subsets(dataset, category).items():
                is_sentences(images, f"bad_subsets('{category}')['{name}']")
            is_sentences(optional.contradictions(dataset, category), f"contradictions('{category}')")
