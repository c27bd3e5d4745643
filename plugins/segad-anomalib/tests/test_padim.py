"""The detector of segad-plugin-example, a PaDiM written from the paper, has the maps of anomalib's."""

import numpy as np
import torch
from anomalib.models.image.padim.torch_model import PadimModel
from segad_plugin_example.padim import LAYERS, PaDiM

from segad_core.api import Run
from segad_core.testing import ArrayImageSet, TinyEncoder, bad_images, good_images, image_batch

SIZE, ENCODER = (76, 100), TinyEncoder()
EPSILON = 0.01 + 1e-5  # anomalib adds both


def embedding(model, pixels):
    features = {name: torch.from_numpy(one) for name, one in ENCODER.encode(pixels, LAYERS).items()}
    return model.generate_embedding(features)


def test_the_same_features_and_channels_give_the_same_maps():
    good = good_images(20, *SIZE)
    new = np.concatenate([good_images(2, *SIZE, seed=1), bad_images(2, *SIZE, seed=2)])
    ours = PaDiM(PaDiM.Params(dimensions=12, epsilon=EPSILON))
    ours.fit(ArrayImageSet(good, ENCODER, LAYERS), Run(np.random.SeedSequence(0)))
    sharp = PaDiM(PaDiM.Params(dimensions=12, epsilon=EPSILON, blur_sigma=0))
    sharp.restore(ours.state())

    model = PadimModel(pre_trained=False)
    model.idx = torch.from_numpy(ours.channels)
    statistics = model.gaussian.fit(embedding(model, good))
    distances = model.anomaly_map_generator.compute_distance(embedding(model, new), statistics)
    enlarged = model.anomaly_map_generator.up_sample(distances, SIZE)
    smoothed = model.anomaly_map_generator.smooth_anomaly_map(enlarged)

    batch = image_batch(new, ENCODER, LAYERS)
    np.testing.assert_allclose(sharp.anomaly_maps(batch), enlarged[:, 0], rtol=1e-4)
    inner = (slice(None), slice(16, -16), slice(16, -16))  # borders are extended in another way
    np.testing.assert_allclose(ours.anomaly_maps(batch)[inner], smoothed[:, 0][inner], rtol=1e-4)
