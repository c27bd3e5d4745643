"""Which suite tests which plugin."""

from __future__ import annotations

from segad_core.contracts import (
    Classifier,
    Component,
    Dataset,
    DefectGenerator,
    Detector,
    Encoder,
    Executor,
    Feature,
    FinalClassifier,
    Hook,
    LearningSegmenter,
    Segmenter,
)
from segad_core.testing.classifier import ClassifierSuite
from segad_core.testing.component import ComponentSuite
from segad_core.testing.dataset import DatasetSuite
from segad_core.testing.defect import DefectGeneratorSuite
from segad_core.testing.detector import DetectorSuite
from segad_core.testing.encoder import EncoderSuite
from segad_core.testing.executor import ExecutorSuite
from segad_core.testing.feature import FeatureSuite
from segad_core.testing.final_classifier import FinalClassifierSuite
from segad_core.testing.hook import HookSuite
from segad_core.testing.learning_segmenter import LearningSegmenterSuite
from segad_core.testing.segmenter import SegmenterSuite

SUITES: dict[type[Component], type[ComponentSuite]] = {
    Classifier: ClassifierSuite,
    Dataset: DatasetSuite,
    DefectGenerator: DefectGeneratorSuite,
    Detector: DetectorSuite,
    Encoder: EncoderSuite,
    Executor: ExecutorSuite,
    Feature: FeatureSuite,
    FinalClassifier: FinalClassifierSuite,
    Hook: HookSuite,
    LearningSegmenter: LearningSegmenterSuite,
    Segmenter: SegmenterSuite,
}
"""By contract; a contract that derives from another one comes before it."""


def suite_of(component: type[Component]) -> type[ComponentSuite]:
    """The suite of a component's kind."""
    return next(suite for contract, suite in SUITES.items() if issubclass(component, contract))
