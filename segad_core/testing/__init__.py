"""Conformance suites: what each contract says, as tests that a plugin's author subclasses.

A suite is a plain class. Its subclass, named `Test...` so that pytest finds it, says how to make the plugin:

    from segad_core.testing import DetectorSuite

    class TestMyDetector(DetectorSuite):
        def make(self):
            return MyDetector(MyDetector.Params(epochs=1))

Every method named `test_...` is one clause of the contract; its docstring states it, and what it raises
names what is wrong. With `pytest.register_assert_rewrite("segad_core.testing")` in a conftest.py pytest
shows the values too. Without pytest, `violations(TestMyDetector)` runs the suite.
"""

from segad_core.testing.classifier import ClassifierSuite
from segad_core.testing.component import ComponentSuite
from segad_core.testing.dataset import DatasetSuite
from segad_core.testing.defect import DefectGeneratorSuite
from segad_core.testing.detector import DetectorSuite
from segad_core.testing.encoder import EncoderSuite
from segad_core.testing.executor import ExecutorSuite
from segad_core.testing.feature import FeatureSuite
from segad_core.testing.final_classifier import FinalClassifierSuite
from segad_core.testing.images import ArrayImageSet, as_numpy, bad_images, good_images, image_batch
from segad_core.testing.segmenter import SegmenterSuite
from segad_core.testing.tiny_encoder import TinyEncoder
from segad_core.testing.violations import violations

__all__ = [
    "ArrayImageSet",
    "ClassifierSuite",
    "ComponentSuite",
    "DatasetSuite",
    "DefectGeneratorSuite",
    "DetectorSuite",
    "EncoderSuite",
    "ExecutorSuite",
    "FeatureSuite",
    "FinalClassifierSuite",
    "SegmenterSuite",
    "TinyEncoder",
    "as_numpy",
    "bad_images",
    "good_images",
    "image_batch",
    "violations",
]
