"""Maps and scores are those of anomalib's own engine."""

import random

import numpy as np
import pytest
import torch
from anomalib import models
from anomalib.data import Folder, PredictDataset
from anomalib.engine import Engine
from anomalib.pre_processing import PreProcessor
from PIL import Image
from segad_anomalib.detector import Anomalib
from torchvision.transforms.v2 import Compose, Normalize, Resize

from segad_core.api import Run
from segad_core.testing import ArrayImageSet, bad_images, good_images, image_batch

RESNET = {"backbone": "resnet18"}
CASES = {  # options, size of images, epochs
    "Padim": ({**RESNET, "n_features": 8}, (48, 64), 1),
    "Patchcore": ({**RESNET, "coreset_sampling_ratio": 0.1}, (48, 64), 1),
    "Stfpm": (RESNET, (48, 64), 2),
    "Fastflow": ({**RESNET, "flow_steps": 2}, (64, 96), 1),
    "Supersimplenet": ({**RESNET, "layers": ["layer1", "layer2"]}, (64, 64), 1),
}


def write_images(folder, pixels):
    folder.mkdir(parents=True)
    for i, image in enumerate(pixels):
        Image.fromarray(image).save(folder / f"{i:02}.png")


def engine(root, **arguments):
    arguments |= {"logger": False, "enable_progress_bar": False, "accelerator": "cpu"}
    return Engine(**arguments, default_root_dir=root / "results")


def trained_by_anomalib(name, root, good):
    """A model as anomalib's own engine trains it on files, and the images to test it on."""
    options, size, epochs = CASES[name]
    write_images(root / "images" / "good", good)
    write_images(root / "images" / "bad", bad_images(2, *size, seed=5))
    new = np.concatenate([good_images(2, *size, seed=2), bad_images(2, *size, seed=3)])
    write_images(root / "new", new)
    normalize = Normalize(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])
    model = getattr(models, name)(
        **options,
        pre_processor=PreProcessor(Compose([Resize(size), normalize])),
        evaluator=False,
        visualizer=False,
    )
    data = Folder(
        name="parts",
        root=root / "images",
        normal_dir="good",
        abnormal_dir="bad",
        normal_split_ratio=0.25,
        train_batch_size=4,
        eval_batch_size=4,
        num_workers=0,
        seed=0,
    )
    engine(root, max_epochs=epochs).fit(model, datamodule=data)
    data.setup()
    used = [int(path.split("/")[-1][:2]) for path in data.train_data.samples.image_path]
    return model, new, used


def predicted(model, root):
    dataset = PredictDataset(root / "new")
    loader = torch.utils.data.DataLoader(dataset, batch_size=4, collate_fn=dataset.collate_fn)
    (batch,) = engine(root).predict(model, dataloaders=loader)
    return batch.anomaly_map.squeeze(1).numpy(), batch.pred_score.squeeze().numpy()


def results(pixels, name, seed=0, train_on=None, **params):
    """Maps and scores of the bridge."""
    detector = Anomalib(Anomalib.Params(model=name, batch_size=4, **params))
    detector.check(pixels.shape[1:3], {})
    images = ArrayImageSet(pixels if train_on is None else train_on)
    detector.fit(images, Run(np.random.SeedSequence(seed)))
    batch = image_batch(pixels)
    maps = detector.anomaly_maps(batch)
    return maps, detector.image_scores(batch, maps)


@pytest.mark.parametrize("name", CASES)
def test_a_checkpoint_of_anomalibs_engine_gives_its_raw_maps_to_the_last_bit(name, tmp_path):
    torch.manual_seed(0)
    model, new, _ = trained_by_anomalib(name, tmp_path, good_images(8, *CASES[name][1]))
    checkpoint = next((tmp_path / "results").rglob("model.ckpt"))
    same = {"pre_processor": model.pre_processor, "evaluator": False, "visualizer": False}
    model = type(model).load_from_checkpoint(checkpoint, **same)
    final, _ = predicted(model, tmp_path)
    model.post_processor = None
    raw, scores = predicted(model, tmp_path)
    found, found_scores = results(new, name, checkpoint=checkpoint)
    np.testing.assert_array_equal(found, raw)
    np.testing.assert_array_equal(found_scores, scores.astype(np.float64))
    assert final.min() >= 0 and final.max() <= 1
    assert np.abs(found - final).max() > 0.01, "the post-processing of anomalib is still in the maps"


def test_training_is_that_of_anomalibs_engine(tmp_path):
    """PaDiM draws the channels that it keeps; sums of another order round otherwise."""
    seed, good = int(np.random.SeedSequence(7).generate_state(1)[0]), good_images(8, *CASES["Padim"][1])
    random.seed(seed)
    torch.manual_seed(seed)
    model, new, used = trained_by_anomalib("Padim", tmp_path, good)
    model.post_processor = None
    maps, _ = predicted(model, tmp_path)
    assert 0 < len(used) < 8
    found, _ = results(new, "Padim", seed=7, train_on=good[used], options=CASES["Padim"][0])
    np.testing.assert_allclose(found, maps, rtol=1e-3, atol=1e-4)
