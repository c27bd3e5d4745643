"""The encoders `efficientnet_lite1` and `efficientnet_lite2` keep their contract."""

from segad_core.testing import EncoderSuite
from segad_plugins.encoders.efficientnet_lite import EfficientNetLite1, EfficientNetLite2


class TestEfficientNetLite1(EncoderSuite):
    sizes = ((64, 96), (70, 50))

    def make(self):
        return EfficientNetLite1()


class TestEfficientNetLite2(EncoderSuite):
    sizes = ((64, 96), (70, 50))

    def make(self):
        return EfficientNetLite2()
