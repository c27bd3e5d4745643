"""The contracts between the engine and its plugins: one short file per kind of plugin."""

from segad_core.contracts.component import Component, InputFile, InputFolder, Parameters
from segad_core.contracts.dataset import Dataset, Sample
from segad_core.contracts.detector import Detector, Shapes
from segad_core.contracts.encoder import Array, Encoder, Layer
from segad_core.contracts.executor import Executor, Outcome, Work
from segad_core.contracts.feature import Feature, ScalarFeature, SegmentValues
from segad_core.contracts.final_classifier import FinalClassifier
from segad_core.contracts.images import ImageBatch, ImageSet
from segad_core.contracts.run import Arrays, Checkpoint, Progress, Run, unseen
from segad_core.contracts.segmenter import IGNORED, Segmenter

__all__ = [
    "IGNORED",
    "KINDS",
    "Array",
    "Arrays",
    "Checkpoint",
    "Component",
    "Dataset",
    "Detector",
    "Encoder",
    "Executor",
    "Feature",
    "FinalClassifier",
    "ImageBatch",
    "ImageSet",
    "InputFile",
    "InputFolder",
    "Layer",
    "Outcome",
    "Parameters",
    "Progress",
    "Run",
    "Sample",
    "ScalarFeature",
    "SegmentValues",
    "Segmenter",
    "Shapes",
    "Work",
    "unseen",
]

KINDS: dict[str, type[Component]] = {
    "datasets": Dataset,
    "encoders": Encoder,
    "detectors": Detector,
    "segmenters": Segmenter,
    "features": Feature,
    "final_classifiers": FinalClassifier,
    "executors": Executor,
}
"""Every kind of component: the part after `segad.` in its entry-point group, and its contract."""
