"""The segmenter `whole_image` keeps its contract."""

from segad_core.testing import SegmenterSuite
from segad_plugins.segmenters.whole_image import WholeImage


class TestWholeImage(SegmenterSuite):
    def make(self):
        return WholeImage()
