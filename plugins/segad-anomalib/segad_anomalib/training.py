"""Training by anomalib's own engine, on images that segad has prepared; nothing is left on disk."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from typing import Any

import torch
from anomalib.callbacks import ModelCheckpoint
from anomalib.data import ImageBatch as AnomalibBatch
from anomalib.engine import Engine
from anomalib.models import AnomalibModule
from lightning.pytorch import Callback, LightningDataModule, Trainer
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms.v2.functional import to_dtype

from segad_core.api import ImageSet, PluginError, Progress, Run

_NO_LIMIT = (None, -1)


def to_images(pixels: NDArray[Any]) -> Tensor:
    """Pixels (N, H, W, 3) uint8 as anomalib reads images: (N, 3, H, W) float32 in 0 to 1."""
    channels_first = torch.from_numpy(pixels.copy()).permute(0, 3, 1, 2).contiguous()
    return to_dtype(channels_first, torch.float32, scale=True)


def check_epochs(module: AnomalibModule, epochs: int | None) -> None:
    """Checks the number of epochs against what the model says itself.

    Raises:
        PluginError: the model says nothing and none is given, or it takes another number.
    """
    own, name = module.trainer_arguments, type(module).__name__
    fixed = own.get("max_epochs")
    if fixed is not None and epochs not in (None, fixed):
        raise PluginError(
            f"anomalib: {name} is trained for {fixed} epoch{'s' * (fixed != 1)}, not {epochs}",
            "Leave `epochs` out.",
        )
    if epochs is None and fixed is None and own.get("max_steps") in _NO_LIMIT:
        raise PluginError(
            f"anomalib: {name} has no number of epochs of its own",
            "Set `epochs`: anomalib's example configurations have 100 for most models.",
        )


def train(
    module: AnomalibModule, images: ImageSet, run: Run, epochs: int | None, batch_size: int, device: str
) -> None:
    """Trains a model.

    Args:
        module: the model, which is changed.
        images: good images.
        run: for its progress.
        epochs: passes over the images; None for what the model says.
        batch_size: images per step.
        device: `cpu` or `cuda`.
    """
    limit = {} if epochs is None else {"max_epochs": epochs}
    with tempfile.TemporaryDirectory(prefix="segad-anomalib-") as folder:
        engine = Engine(
            callbacks=[ModelCheckpoint(save_top_k=0, save_last=False), _Told(run.progress)],
            logger=False,
            default_root_dir=folder,
            accelerator="gpu" if device == "cuda" else "cpu",
            devices=1,
            enable_progress_bar=False,
            enable_model_summary=False,
            **limit,
        )
        engine.fit(model=module, datamodule=_Images(images, batch_size))
    module.cpu()


class _Told(Callback):
    """Tells how far a training is."""

    def __init__(self, progress: Progress) -> None:
        self._progress, self._done = progress, 0

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: AnomalibModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        limits = []
        if trainer.max_epochs not in _NO_LIMIT:
            limits.append(int(trainer.max_epochs * trainer.num_training_batches))
        if trainer.max_steps not in _NO_LIMIT:
            limits.append(int(trainer.max_steps))
        self._done += 1
        loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
        note = f"loss {float(loss):.4g}" if isinstance(loss, Tensor) and loss.numel() == 1 else ""
        self._progress("training steps", self._done, max([self._done, *limits[:1]]), note)


class _Pixels(Dataset[AnomalibBatch]):
    """Good images, read in batches."""

    name, category = "segad", ""

    def __init__(self, images: ImageSet) -> None:
        self._images = images

    def __len__(self) -> int:
        return len(self._images)

    def __getitems__(self, indices: Sequence[int]) -> AnomalibBatch:
        chosen = to_images(self._images.pick(indices).pixels)
        count, _, height, width = chosen.shape
        return AnomalibBatch(
            image=chosen,
            gt_label=torch.zeros(count, dtype=torch.bool),
            gt_mask=torch.zeros((count, height, width), dtype=torch.bool),
        )


def _as_it_is(batch: AnomalibBatch) -> AnomalibBatch:
    return batch


class _Images(LightningDataModule):
    """What models ask anomalib's data modules for: the training images, shuffled, with no validation."""

    name, category = "segad", ""

    def __init__(self, images: ImageSet, batch_size: int) -> None:
        super().__init__()
        self.train_batch_size = self.eval_batch_size = batch_size
        self.train_data = _Pixels(images)

    def train_dataloader(self) -> DataLoader[AnomalibBatch]:
        return DataLoader(self.train_data, self.train_batch_size, shuffle=True, collate_fn=_as_it_is)
