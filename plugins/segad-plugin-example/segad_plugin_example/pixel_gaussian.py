"""Detector `pixel_gaussian`: a Gaussian distribution of the colours at each place, in plain NumPy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from segad_core.api import Detector, ImageBatch, ImageSet, Learnt, Parameters, PluginError, Run


class PixelGaussian(Detector):
    """Squared distance of each block's colour to the mean of the good images, in units of their variance.

    Images are averaged over blocks. For each block and colour channel, training computes the mean and the
    variance over the good images. A block's anomaly is the mean over the channels of
    (value - mean)^2 / variance; the map is then smoothed. A lower bound of the variance keeps noise in blocks
    that never changed in training, such as a black border, from looking like a defect.
    """

    class Params(Parameters):
        """The resolution of the model, and the smoothness of its maps."""

        block: int = Field(4, ge=1, description="side of a block in pixels")
        min_std: float = Field(2.0, gt=0, description="lower bound of the standard deviation, in grey levels")
        smoothing: int = Field(4, ge=0, description="radius of the smoothing window in pixels; 0 for none")

    params: Params
    mean = Learnt(np.float64, "rows", "columns", 3)
    variance = Learnt(np.float64, "rows", "columns", 3)

    def fit(self, images: ImageSet, run: Run) -> None:
        # sums of integers are exact, so the result does not depend on the batch size
        total = squares = area = None
        done = 0
        for batch in images.batches():
            sums, area = block_sums(batch.pixels, self.params.block)
            total = sums.sum(axis=0) if total is None else total + sums.sum(axis=0)
            squares = (sums**2).sum(axis=0) if squares is None else squares + (sums**2).sum(axis=0)
            done += len(batch)
            run.progress("images", done, len(images))
        if total is None or squares is None or area is None:
            raise PluginError("pixel_gaussian: there are no images to fit to")
        # n * (sum of squares) - (square of the sum): exact, and never negative
        spread = done * squares - total**2
        self.mean = total / (done * area)
        self.variance = spread / (done * area) ** 2

    def anomaly_maps(self, batch: ImageBatch) -> NDArray[np.float32]:
        block, size = self.params.block, batch.pixels.shape[1:3]
        sums, area = block_sums(batch.pixels, block)
        if sums.shape[1:] != self.mean.shape:
            raise PluginError(
                f"pixel_gaussian: was fitted to images of {self.mean.shape[:2]} blocks, but these have "
                f"{sums.shape[1:3]}",
                "Use images of the size that the detector was fitted to.",
            )
        variance = np.maximum(self.variance, self.params.min_std**2)
        distances = ((sums / area - self.mean) ** 2 / variance).mean(axis=-1)
        maps = distances.repeat(block, axis=1).repeat(block, axis=2)[:, : size[0], : size[1]]
        return smooth(maps, self.params.smoothing).astype(np.float32)


def block_sums(pixels: NDArray[np.uint8], block: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Sums of pixels (N, H, W, C) over blocks, and the number of pixels in each block.

    Returns:
        The sums (N, h, w, C) and the numbers (h, w, 1); blocks at the right and at the bottom may be smaller.
    """
    rows, columns = (np.arange(0, length, block) for length in pixels.shape[1:3])
    sums = np.add.reduceat(pixels, rows, axis=1, dtype=np.int64)
    sums = np.add.reduceat(sums, columns, axis=2)
    heights = np.diff(rows, append=pixels.shape[1])
    widths = np.diff(columns, append=pixels.shape[2])
    return sums, np.outer(heights, widths)[..., None]


def smooth(maps: NDArray[np.float64], radius: int) -> NDArray[np.float64]:
    """Averages maps (N, H, W) over a square window; pixels outside of the map repeat its edge."""
    for axis in (1, 2):
        if radius:
            pad = [(0, 0), (0, 0), (0, 0)]
            pad[axis] = (radius, radius)
            windows = np.lib.stride_tricks.sliding_window_view(
                np.pad(maps, pad, mode="edge"), 2 * radius + 1, axis=axis
            )
            maps = windows.mean(axis=-1)
    return maps
