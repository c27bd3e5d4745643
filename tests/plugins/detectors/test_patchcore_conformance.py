"""The detector `patchcore` keeps its contract, with whatever encoder."""

from segad_core.testing import DetectorSuite
from segad_plugins.detectors.patchcore import PatchCore
from segad_plugins.encoders.efficientnet_lite0 import EfficientNetLite0


class TestPatchCoreOnTinyEncoder(DetectorSuite):
    def make(self):
        return PatchCore(PatchCore.Params(coreset_ratio=0.1))


class TestPatchCoreWithoutOutliers(DetectorSuite):
    def make(self):
        return PatchCore(PatchCore.Params(coreset_ratio=0.1, outliers=0.3))


class TestPatchCoreOnEfficientNetLite0(DetectorSuite):
    def make(self):
        return PatchCore(PatchCore.Params(coreset_ratio=0.1))

    def encoder(self):
        return EfficientNetLite0()


class TestPatchCoreWithOtherChoices(DetectorSuite):
    def make(self):
        return PatchCore(
            PatchCore.Params(
                layers=("layer1", "layer3"),
                coreset_ratio=0.02,
                neighbours=1,
                layer_resize="nearest",
                upsampling="bilinear",
                distance="squared",
                blur_sigma=0,
                image_score="maximum",
            )
        )
