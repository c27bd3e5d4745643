"""A list of images: CSV, TSV, JSON lines or Parquet, with their paths, labels and what else is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, model_validator

from segad_core.api import Dataset, InputFile, InputFolder, Parameters, RecipeError, Sample, did_you_mean
from segad_plugins.datasets.table_meaning import Meaning, samples_of
from segad_plugins.datasets.table_rows import read_table


def _several(value: object) -> object:
    return [value] if isinstance(value, str) else value


Words = Annotated[list[str], BeforeValidator(_several)]


class Table(Dataset):
    """A list of images with their labels: CSV (commas or semicolons), TSV, JSON lines or Parquet.

    Each row names an image, by its path relative to `root`, and its label. The columns `defect`, `serial`,
    `view`, `lot`, `split`, `category` and `mask` are used where they are there; parameters name others. Rows
    of one image that differ in the type of defect alone are one image with all of them.

    Nothing is guessed: a label, a split or a path that is not known is refused, with a look at the table.
    """

    class Params(Parameters):
        """The table, the names of its columns, and what its values mean."""

        file: InputFile = Field(description="a .csv, .tsv, .txt, .jsonl, .ndjson or .parquet file")
        root: InputFolder | None = Field(
            None, description="folder that paths are relative to; by default that of the table"
        )
        path: str = Field("path", description="column of the images' paths")
        label: str = Field("label", description="column of the labels")
        defect: str | None = Field(None, description="column of the type of defect; several by commas")
        serial: str | None = Field(None, description="column of the part's serial")
        view: str | None = Field(None, description="column of the view of the part: camera, face, exposure")
        lot: str | None = Field(None, description="column of the lot")
        split: str | None = Field(None, description="column that says train or test")
        category: str | None = Field(None, description="column of the category; without it, there is one")
        page: str | None = Field(
            None,
            description="column of the page, from 1, where each page of a TIFF file has a row of its own; "
            "goes with image.page: views in the recipe",
        )
        mask: str | None = Field(None, description="column of the paths of defect masks")
        good: Words = Field(["good", "ok"], description="labels of good images, in any case")
        bad: Words = Field(["bad", "ng", "nok"], description="labels of bad images")
        doubtful: Words = Field(
            ["doubtful"], description="labels of doubtful images; '' stands for an empty cell"
        )
        train: Words = Field(["train"], description="values of `split` for training")
        test: Words = Field(["test"], description="values of `split` for the test")
        encoding: str = Field("utf-8", description="of a CSV file that does not begin with a byte order mark")

        @model_validator(mode="after")
        def _distinct(self) -> Self:
            for names in (("good", "bad", "doubtful"), ("train", "test")):
                given = [
                    word for name in names for word in {w.strip().casefold() for w in getattr(self, name)}
                ]
                for word in given:
                    if given.count(word) > 1:
                        raise ValueError(f"'{word}' has two meanings among {', '.join(names)}")
            try:
                "".encode(self.encoding)
            except LookupError:
                raise ValueError(f"there is no encoding '{self.encoding}'") from None
            return self

    params: Params

    def categories(self) -> Sequence[str]:
        return list(self._samples)

    def samples(self, category: str) -> Sequence[Sample]:
        if category not in self._samples:
            hint = did_you_mean(category, self._samples)
            raise RecipeError(f"data set table: {self.params.file} has no category '{category}'{hint}")
        return self._samples[category]

    @cached_property
    def _samples(self) -> Mapping[str, Sequence[Sample]]:
        """The images by category, in the table's order."""
        params = self.params
        meaning = Meaning(
            required={"path": params.path, "label": params.label},
            optional={name: getattr(params, name) for name in Meaning.OPTIONAL},
            labels={"good": params.good, "bad": params.bad, "doubtful": params.doubtful},
            splits={"train": params.train, "test": params.test},
        )
        table = read_table(params.file, params.path, params.encoding)
        return samples_of(table, params.root or params.file.parent, meaning)
