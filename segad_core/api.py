"""The public API: everything that a plugin may import from segad, beside the suites in `segad_core.testing`.

- Contracts, one for each kind of plugin: `Dataset`, `Encoder`, `Detector`, `Classifier` (or
  `VectorClassifier`), `Segmenter`, `Feature` (or `ScalarFeature`, `FittedFeature`), `FinalClassifier`,
  `DefectGenerator`, `Executor`, `Observer` (with `hookimpl`); and their common bases `Component`, `Stateful`
  and `Learner`.
- Parameters: `Parameters`, `InputFile`, `InputFolder`, `SegmentNames`, `DecidesNothing`.
- Optional knowledge of plugins: `HasNotes`, `HasPlainFiles`, `KnowsImagesByName`, `Trains`, `HasDownload`,
  `ReadsOptionalLayers`, `HasEstimate`, `HasFinalEstimate`, `HasPublishedCategories`, `HasPublishedCounts`,
  `HasBadSubsets`, `HasContradictions`, `HasSizeCheck`.
- What plugins are given and return: `Sample`, `ImageBatch`, `ImageSet`, `Run`, `Checkpoint`, `Progress`,
  `no_progress`, `Array`, `Arrays`, `Vectors`, `Layer`, `Shapes`, `Estimate`, `SegmentValues`, `Region`,
  `GoodMaps`, `MapQuality`, `IGNORED`, `Work`, `Outcome`.
- Errors: `SegadError` and its kinds `RecipeError`, `DataError`, `ImageError`, `NonFiniteError`,
  `PluginError`, `StoreError`, `UsageError`; `ResourceError` for faults of the machine, into which `guarded`
  turns what the system raises.
- Helpers for files: `is_file`, `is_folder`, `subfolders`, `image_files`, `read_array`, `read_labels`,
  `read_json`, `parse_json`, `file_digest`, `array_digest`.
- Other helpers: `to_numpy`, `resize`, `scratch_array`, `scratch_in_memory`, `did_you_mean`, `estimated_by`.

What is promised: each of these names, with the signature and the behaviour that its docstring states. An
incompatible change comes with a new minor version (before 1.0) or a new major version (from 1.0), after a
release in which the old way raised a `DeprecationWarning` that names the new one, and CHANGELOG.md says what
plugin authors have to do. New names, parameters with defaults and optional methods may come with any release.
The wording of messages is not promised, nor is anything else in `segad_core`: it is private and may change in
any release.
"""

from segad_core.base.digest import array_digest, file_digest
from segad_core.base.files import is_file, is_folder
from segad_core.base.json_file import parse_json, read_json
from segad_core.base.resources import guarded
from segad_core.base.scratch import scratch_array, scratch_in_memory
from segad_core.contracts import (
    IGNORED,
    Array,
    Arrays,
    Checkpoint,
    Classifier,
    Component,
    Dataset,
    DecidesNothing,
    DefectGenerator,
    Detector,
    Encoder,
    Estimate,
    Executor,
    Feature,
    FinalClassifier,
    FittedFeature,
    GoodMaps,
    HasBadSubsets,
    HasContradictions,
    HasDownload,
    HasEstimate,
    HasFinalEstimate,
    HasNotes,
    HasPlainFiles,
    HasPublishedCategories,
    HasPublishedCounts,
    HasSizeCheck,
    ImageBatch,
    ImageSet,
    InputFile,
    InputFolder,
    KnowsImagesByName,
    Layer,
    Learner,
    MapQuality,
    Outcome,
    Parameters,
    Progress,
    ReadsOptionalLayers,
    Region,
    Run,
    Sample,
    ScalarFeature,
    Segmenter,
    SegmentNames,
    SegmentValues,
    Shapes,
    Stateful,
    Trains,
    VectorClassifier,
    Vectors,
    Work,
    estimated_by,
    no_progress,
    to_numpy,
)
from segad_core.errors import (
    DataError,
    ImageError,
    NonFiniteError,
    PluginError,
    RecipeError,
    ResourceError,
    SegadError,
    StoreError,
    UsageError,
)
from segad_core.images import read_array, read_labels, resize
from segad_core.images.folder import image_files, subfolders
from segad_core.plugins.hooks import Observer, hookimpl
from segad_core.plugins.registry import did_you_mean

__all__ = [
    "IGNORED",
    "Array",
    "Arrays",
    "Checkpoint",
    "Classifier",
    "Component",
    "DataError",
    "Dataset",
    "DecidesNothing",
    "DefectGenerator",
    "Detector",
    "Encoder",
    "Estimate",
    "Executor",
    "Feature",
    "FinalClassifier",
    "FittedFeature",
    "GoodMaps",
    "HasBadSubsets",
    "HasContradictions",
    "HasDownload",
    "HasEstimate",
    "HasFinalEstimate",
    "HasNotes",
    "HasPlainFiles",
    "HasPublishedCategories",
    "HasPublishedCounts",
    "HasSizeCheck",
    "ImageBatch",
    "ImageError",
    "ImageSet",
    "InputFile",
    "InputFolder",
    "KnowsImagesByName",
    "Layer",
    "Learner",
    "MapQuality",
    "NonFiniteError",
    "Observer",
    "Outcome",
    "Parameters",
    "PluginError",
    "Progress",
    "ReadsOptionalLayers",
    "RecipeError",
    "Region",
    "ResourceError",
    "Run",
    "Sample",
    "ScalarFeature",
    "SegadError",
    "SegmentNames",
    "SegmentValues",
    "Segmenter",
    "Shapes",
    "Stateful",
    "StoreError",
    "Trains",
    "UsageError",
    "VectorClassifier",
    "Vectors",
    "Work",
    "array_digest",
    "did_you_mean",
    "estimated_by",
    "file_digest",
    "guarded",
    "hookimpl",
    "image_files",
    "is_file",
    "is_folder",
    "no_progress",
    "parse_json",
    "read_array",
    "read_json",
    "read_labels",
    "resize",
    "scratch_array",
    "scratch_in_memory",
    "subfolders",
    "to_numpy",
]
