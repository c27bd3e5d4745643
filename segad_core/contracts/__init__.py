"""The contracts between the engine and its plugins: one file per kind of plugin, each with a minimal example.

Imports NumPy, pydantic and `segad_core.base` only, and knows no recipe, run or particular plugin. Plugins
import the contracts from `segad_core.api`.
"""

from segad_core.contracts.classifier import Classifier, VectorClassifier, Vectors
from segad_core.contracts.component import (
    Component,
    DecidesNothing,
    InputFile,
    InputFolder,
    Parameters,
    Stateful,
)
from segad_core.contracts.dataset import Dataset, Sample
from segad_core.contracts.defect import DefectGenerator
from segad_core.contracts.detector import Detector
from segad_core.contracts.encoder import Array, Encoder, Layer, to_numpy
from segad_core.contracts.estimate import Estimate, Shapes, estimated_by
from segad_core.contracts.executor import Executor, Outcome, Work
from segad_core.contracts.feature import (
    Feature,
    FittedFeature,
    GoodMaps,
    Region,
    ScalarFeature,
    SegmentValues,
)
from segad_core.contracts.final_classifier import FinalClassifier
from segad_core.contracts.frame import Box, Fit, Frame
from segad_core.contracts.graph import Example, Graph, Wanted, graph_by
from segad_core.contracts.hook import Hook
from segad_core.contracts.images import Arrays, ImageBatch, ImageSet
from segad_core.contracts.learner import Learner
from segad_core.contracts.learnt import Learnt
from segad_core.contracts.optional import (
    HasDownload,
    HasEstimate,
    HasExportedFiles,
    HasFinalEstimate,
    HasGraph,
    HasNotes,
    HasPlainFiles,
    HasSizeCheck,
    KnowsImagesByName,
    KnowsOutputs,
    NeedsUnseenScores,
    ReadsOptionalLayers,
    RunsGraphs,
    Trains,
)
from segad_core.contracts.optional_datasets import (
    HasBadSubsets,
    HasContradictions,
    HasPublishedCategories,
    HasPublishedCounts,
    HasUnread,
)
from segad_core.contracts.part_pattern import FindsPartsInPaths, PartName, PartPattern
from segad_core.contracts.precision import SupportsPrecision
from segad_core.contracts.run import Checkpoint, Progress, Run, no_progress
from segad_core.contracts.segmenter import IGNORED, LearningSegmenter, MapQuality, Segmenter, SegmentNames
from segad_core.contracts.tiles import Tile, Tiles, Tiling

__all__ = [
    "IGNORED",
    "KINDS",
    "Array",
    "Arrays",
    "Box",
    "Checkpoint",
    "Classifier",
    "Component",
    "Dataset",
    "DecidesNothing",
    "DefectGenerator",
    "Detector",
    "Encoder",
    "Estimate",
    "Example",
    "Executor",
    "Feature",
    "FinalClassifier",
    "FindsPartsInPaths",
    "Fit",
    "FittedFeature",
    "Frame",
    "GoodMaps",
    "Graph",
    "HasBadSubsets",
    "HasContradictions",
    "HasDownload",
    "HasEstimate",
    "HasExportedFiles",
    "HasFinalEstimate",
    "HasGraph",
    "HasNotes",
    "HasPlainFiles",
    "HasPublishedCategories",
    "HasPublishedCounts",
    "HasSizeCheck",
    "HasUnread",
    "Hook",
    "ImageBatch",
    "ImageSet",
    "InputFile",
    "InputFolder",
    "KnowsImagesByName",
    "KnowsOutputs",
    "Layer",
    "Learner",
    "LearningSegmenter",
    "Learnt",
    "MapQuality",
    "NeedsUnseenScores",
    "Outcome",
    "Parameters",
    "PartName",
    "PartPattern",
    "Progress",
    "ReadsOptionalLayers",
    "Region",
    "Run",
    "RunsGraphs",
    "Sample",
    "ScalarFeature",
    "SegmentNames",
    "SegmentValues",
    "Segmenter",
    "Shapes",
    "Stateful",
    "SupportsPrecision",
    "Tile",
    "Tiles",
    "Tiling",
    "Trains",
    "VectorClassifier",
    "Vectors",
    "Wanted",
    "Work",
    "estimated_by",
    "graph_by",
    "no_progress",
    "to_numpy",
]

KINDS: dict[str, type[Component]] = {
    "datasets": Dataset,
    "encoders": Encoder,
    "detectors": Detector,
    "classifiers": Classifier,
    "segmenters": Segmenter,
    "features": Feature,
    "final_classifiers": FinalClassifier,
    "defects": DefectGenerator,
    "executors": Executor,
    "hooks": Hook,
}
"""Every kind of component: the part after `segad.` in its entry-point group, and its contract."""
