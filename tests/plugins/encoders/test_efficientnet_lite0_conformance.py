"""The encoder `efficientnet_lite0` keeps its contract."""

from segad_core.testing import EncoderSuite
from segad_plugins.encoders.efficientnet_lite0 import EfficientNetLite0


class TestEfficientNetLite0(EncoderSuite):
    sizes = ((64, 96), (70, 50))

    def make(self):
        return EfficientNetLite0()
