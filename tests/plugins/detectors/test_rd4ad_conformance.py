"""The detector `rd4ad` keeps its contract, with whatever encoder."""

from segad_core.testing import DetectorSuite
from segad_plugins.detectors.rd4ad import RD4AD
from segad_plugins.encoders.efficientnet_lite0 import EfficientNetLite0


class TestRD4ADOnTinyEncoder(DetectorSuite):
    def make(self):
        return RD4AD(RD4AD.Params(layers=("layer1",), epochs=8, batch=4, learning_rate=0.03, blur_sigma=2))


class TestRD4ADOnEfficientNetLite0(DetectorSuite):
    size = (48, 64)
    good = 9

    def make(self):
        return RD4AD(RD4AD.Params(epochs=2, batch=3))

    def encoder(self):
        return EfficientNetLite0()


class TestRD4ADWithOtherChoices(DetectorSuite):
    size = (48, 64)

    def make(self):
        return RD4AD(
            RD4AD.Params(
                layers=("layer2", "layer3"),
                bottleneck_width=128,
                epochs=5,
                batch=5,
                learning_rate=0.01,
                betas=(0.8, 0.99),
                loss="per_pixel",
                combine="multiply",
                blur_sigma=2,
                blur_border="symmetric",
                precision="bfloat16",
            )
        )

    def encoder(self):
        return EfficientNetLite0()
