"""What a data set owes."""

from __future__ import annotations

from pathlib import Path, PureWindowsPath

from segad_core.contracts import Dataset, Sample
from segad_core.testing.component import ComponentSuite
from segad_core.testing.files_opened import files_opened


class DatasetSuite(ComponentSuite):
    """The contract of `segad.datasets`, clause by clause. Define `make`."""

    def make(self) -> Dataset:
        raise NotImplementedError(f"{type(self).__name__} has to define make(): it returns a fresh data set")

    def _samples(self) -> list[tuple[str, Sample]]:
        dataset = self.make()
        return [(category, s) for category in dataset.categories() for s in dataset.samples(category)]

    def test_categories_are_unique_and_stable(self) -> None:
        """`categories` gives at least one name, each once, and the same ones at every call."""
        dataset = self.make()
        names = list(dataset.categories())
        assert names, "categories() is empty: a data set has at least one"
        assert all(isinstance(name, str) and name for name in names), (
            f"a category has no name, or one that is not a string: {names}"
        )
        assert len(set(names)) == len(names), f"categories() names one category twice: {names}"
        assert list(dataset.categories()) == names, "categories() gives other names at its second call"
        assert list(self.make().categories()) == names, "a second instance has other categories"

    def test_every_category_has_samples(self) -> None:
        """A category that is listed has images."""
        dataset = self.make()
        for category in dataset.categories():
            assert len(dataset.samples(category)), (
                f"category '{category}' is listed but samples() has no image of it"
            )

    def test_samples_are_the_same_at_every_call(self) -> None:
        """Two calls of `samples`, of one instance or of two, give equal lists in the same order."""
        dataset = self.make()
        for category in dataset.categories():
            first = list(dataset.samples(category))
            assert list(dataset.samples(category)) == first, f"samples('{category}') differ between two calls"
            assert list(self.make().samples(category)) == first, (
                f"samples('{category}') differ between instances"
            )

    def test_ids_are_unique(self) -> None:
        """An id stands for one image of its category."""
        seen: set[tuple[str, str]] = set()
        for category, sample in self._samples():
            assert (category, sample.id) not in seen, f"category '{category}' has the id '{sample.id}' twice"
            seen.add((category, sample.id))

    def test_ids_are_relative_paths(self) -> None:
        """An id is a path relative to the data set with forward slashes, and does not lead out of it."""
        for category, sample in self._samples():
            where = f"category '{category}', id {sample.id!r}"
            assert isinstance(sample.id, str) and sample.id, f"{where}: an id is a string that is not empty"
            assert "\\" not in sample.id, f"{where}: write it with forward slashes"
            assert not sample.id.startswith("/") and not PureWindowsPath(sample.id).drive, (
                f"{where}: has to be relative to the data set"
            )
            assert not {"", ".", ".."}.intersection(sample.id.split("/")), (
                f"{where}: has an empty part, . or .."
            )

    def test_labels_are_0_1_or_none(self) -> None:
        """A label is the integer 0 (good) or 1 (bad), or None (doubtful)."""
        for category, sample in self._samples():
            fits = sample.label is None or (type(sample.label) is int and sample.label in (0, 1))
            assert fits, (
                f"category '{category}', '{sample.id}': its label is {sample.label!r}, not 0, 1 or None"
            )

    def test_split_is_train_test_or_none(self) -> None:
        """The official part of an image is `train` or `test`, or None where the data set has no parts."""
        for category, sample in self._samples():
            assert sample.split in ("train", "test", None), (
                f"category '{category}', '{sample.id}': split {sample.split!r} is not 'train', 'test' or None"
            )

    def test_good_images_have_no_defect(self) -> None:
        """Only bad and doubtful images have a defect type, a defect mask or the flag `unseen`."""
        for category, sample in self._samples():
            if sample.label == 0:
                where = f"category '{category}', '{sample.id}' is good"
                assert sample.defect == "", f"{where} but has the defect type '{sample.defect}'"
                assert sample.mask is None, f"{where} but has the defect mask {sample.mask}"
                assert not sample.unseen, f"{where} but is flagged as an unseen defect"

    def test_files_exist(self) -> None:
        """Every image file and every mask file is there."""
        for category, sample in self._samples():
            files = {"path": sample.path, **({} if sample.mask is None else {"mask": sample.mask})}
            for name, path in files.items():
                where = f"category '{category}', '{sample.id}': its {name}"
                assert isinstance(path, Path), f"{where} is a {type(path).__name__}, not a pathlib.Path"
                assert path.is_file(), f"{where} {path} is not a file"

    def test_reads_no_image(self) -> None:
        """`samples` lists images without opening them."""
        with files_opened() as files:
            samples = self._samples()
        opened = {path.absolute() for path in files}
        read = [sample.id for _, sample in samples if sample.path.absolute() in opened]
        assert not read, f"samples() opens {len(read)} images, the first '{read[0]}'; it only lists them"
