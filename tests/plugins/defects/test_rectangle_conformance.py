"""The defect generator `rectangle` keeps its contract."""

from segad_core.testing import DefectGeneratorSuite
from segad_plugins.defects.rectangle import Rectangle


class TestRectangle(DefectGeneratorSuite):
    def make(self):
        return Rectangle()
