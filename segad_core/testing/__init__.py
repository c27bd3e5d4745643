"""Conformance suites: the contracts as tests, for plugin authors to subclass.

A suite is a plain class. Its subclass, named `Test...` so that pytest finds it, defines `make`:

    from segad_core.testing import DetectorSuite

    class TestMyDetector(DetectorSuite):
        def make(self):
            return MyDetector(MyDetector.Params(epochs=1))

Each method named `test_...` is one clause of the contract, which its docstring states; the assertion that
fails says what is wrong. With `pytest.register_assert_rewrite("segad_core.testing")` in a conftest.py, pytest
also shows the values. `violations(TestMyDetector)` runs the suite without pytest, and `segad plugin test
NAME` that of an installed plugin. A clause that a plugin has to violate is named with the reason, strictly:

    expected_failures = {"test_fit_is_deterministic": "its GPU kernel is not"}

`OtherLibrary(TinyEncoder())` is an encoder whose features are not arrays of NumPy.
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
from segad_core.testing.hook import HookSuite
from segad_core.testing.images import ArrayImageSet, bad_images, good_images, image_batch
from segad_core.testing.learning_segmenter import LearningSegmenterSuite
from segad_core.testing.other_library import OtherLibrary
from segad_core.testing.run_events import tell_fit, tell_run, tell_stopped_run
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
    "HookSuite",
    "LearningSegmenterSuite",
    "OtherLibrary",
    "SegmenterSuite",
    "TinyEncoder",
    "bad_images",
    "good_images",
    "image_batch",
    "tell_fit",
    "tell_run",
    "tell_stopped_run",
    "violations",
]
