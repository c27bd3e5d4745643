"""The defect generator `blur` keeps its contract."""

from segad_core.testing import DefectGeneratorSuite
from segad_plugins.defects.blur import Blur


class TestBlur(DefectGeneratorSuite):
    def make(self):
        return Blur()


class TestWholeSegments(DefectGeneratorSuite):
    def make(self):
        return Blur(Blur.Params(whole=1, sigma=(0.02, 0.05)))
