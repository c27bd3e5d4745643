"""The bridge passes segad's conformance suite: with a memory bank, and with a network that is trained."""

from segad_anomalib.detector import Anomalib

from segad_core.testing import DetectorSuite


class TestPadim(DetectorSuite):
    """A model that is fitted in one pass, without gradients."""

    size = (32, 48)

    def make(self):
        options = {"backbone": "resnet18", "layers": ["layer1", "layer2"], "n_features": 8}
        return Anomalib(
            Anomalib.Params(model="Padim", options={**options, "pre_trained": False}, batch_size=4)
        )


class TestStfpm(DetectorSuite):
    """A model that is trained by gradient, in several epochs."""

    size = (32, 48)
    good = 6

    def make(self):
        options = {"backbone": "resnet18", "layers": ["layer1", "layer2"]}
        return Anomalib(Anomalib.Params(model="Stfpm", options=options, epochs=4, batch_size=3))
