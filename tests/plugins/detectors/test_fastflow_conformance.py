"""The detector `fastflow` keeps its contract, with whatever encoder."""

from segad_core.testing import DetectorSuite
from segad_plugins.detectors.fastflow import FastFlow
from segad_plugins.encoders.efficientnet_lite0 import EfficientNetLite0


class TestFastFlowOnTinyEncoder(DetectorSuite):
    def make(self):
        return FastFlow(FastFlow.Params(epochs=2, batch=4))


class TestFastFlowOnEfficientNetLite0(DetectorSuite):
    def make(self):
        return FastFlow(FastFlow.Params(epochs=1, batch=4))

    def encoder(self):
        return EfficientNetLite0()


class TestFastFlowWithOtherChoices(DetectorSuite):
    def make(self):
        return FastFlow(
            FastFlow.Params(
                layers=("layer3", "layer1"),
                steps=3,
                hidden_ratio=0.5,
                only_3x3=True,
                epochs=4,
                batch=5,
                drop_last=True,
                learning_rate=3e-3,
                weight_decay=0.1,
                precision="bfloat16",
            )
        )
