"""Whether a bundle that was exported gives the results of the original, also where it is going to run."""

from __future__ import annotations

import subprocess  # nosec B404
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from segad_core.base.digest import array_digest
from segad_core.bundle.format.tables import read_golden
from segad_core.bundle.runtime.bundle import Bundle
from segad_core.bundle.runtime.golden import predictions, units_of
from segad_core.bundle.runtime.opening import whole
from segad_core.bundle.runtime.prediction import Prediction, side
from segad_core.bundle.runtime.selftest import tolerated_difference
from segad_core.errors import BundleError, ImageError, PluginError, UsageError

TRAINING_ALONE = (
    "huggingface_hub",
    "numba",
    "pandas",
    "scipy",
    "segment_anything",
    "sklearn",
    "timm",
    "torch",
    "torchvision",
    "xgboost",
)
"""What an exported bundle does without."""

_DIFFERENT = "Keep the bundle as it is, or try another engine."
_ALONE = (
    "Choose plugins that need no such library, or add --needs-segad if all of segad is installed where it is "
    "going to run."
)
_SHOWN = 3
_VERIFY = """
import sys
blocked = set(sys.argv.pop(1).split(","))
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in blocked:
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)
sys.meta_path.insert(0, Blocked())
from segad_core.cli import main
main(["bundle", "verify", *sys.argv[1:]])
"""


@dataclass(frozen=True)
class Parity:
    """How the results of two bundles compare.

    Attributes:
        images: how many were compared.
        largest: the largest difference between scores.
        tolerated: the largest that is tolerated: a thousandth of the range of the calibration scores.
        problems: what differs by more; empty if nothing does.
        remedy: what to do about them.
    """

    images: int
    largest: float
    tolerated: float
    problems: Sequence[str]
    remedy: str = ""


def compared(original: Bundle, exported: Path, images: Sequence[str], alone: bool) -> Parity:
    """Compares an exported bundle with the original.

    Args:
        original: open.
        exported: where the other is.
        images: are compared, beside the golden images.
        alone: whether it has to run without the libraries that only training needs.

    Raises:
        BundleError: the other cannot be run.
    """
    before = _predicted(original, images)
    try:
        with Bundle.load(exported, "cpu", try_out=False) as other:
            after, tolerated = _predicted(other, images), tolerated_difference(other, [])
    except (BundleError, PluginError) as error:
        what = error.what.replace(f"{exported}: ", "")  # it is gone when this is read
        raise BundleError(f"{original.container.path}: is not exported: {what}", _DIFFERENT) from error
    threshold = original.operating_point.threshold
    problems, largest = [], 0.0
    for was, now in zip(before, after, strict=True):
        if was.score is None or now.score is None:
            if was.verdict != now.verdict:
                problems.append(f"{was.image}: is {now.verdict}, not {was.verdict} ({now.reason})")
            continue
        difference = abs(now.score - was.score)
        largest = max(largest, difference)
        near = abs(was.score - threshold) <= tolerated
        if side(now.score, threshold) != side(was.score, threshold) and not near:
            problems.append(f"{was.image}: is {now.verdict}, not {was.verdict}")
        elif difference > tolerated:
            problems.append(
                f"{was.image}: its score {now.score:.6g} differs from {was.score:.6g} by more than "
                f"{tolerated:.3g}"
            )
    if len(problems) > _SHOWN:
        problems = [*problems[:_SHOWN], f"and {len(problems) - _SHOWN} more"]
    remedy = _DIFFERENT
    if alone and not problems:
        problems, remedy = _problems_alone(exported), _ALONE
    return Parity(len(before), largest, tolerated, problems, remedy if problems else "")


def calibration_images(bundle: Bundle, images: Sequence[Path]) -> list[str]:
    """Those of the images that are calibration images of a bundle, by the digest of their pixels.

    Raises:
        UsageError: images are given, and none of them is.
    """
    if not images:
        return []
    known, decoding = (
        {image.digest for image in bundle.calibration().images},
        bundle.manifest.pipeline.decoding,
    )
    found = []
    for path in images:
        try:
            if array_digest(whole(str(path), decoding)) in known:
                found.append(str(path))
        except ImageError:
            continue  # is none of them
    if not found:
        raise UsageError(
            f"--images: of {len(images):,} images, none is a calibration image of {bundle.container.path}",
            "Name images that the bundle was calibrated with, or leave --images out.",
        )
    return found


def _predicted(bundle: Bundle, images: Sequence[str]) -> list[Prediction]:
    """What a bundle says of its golden images or parts, and of images."""
    units = units_of(read_golden(bundle.container))
    golden = [replace(one, image=u.name) for u, one in zip(units, predictions(bundle, units), strict=True)]
    return [*golden, *(one.prediction for one in bundle.inspect(images, explain=False))]


def _problems_alone(exported: Path) -> list[str]:
    """Why a bundle cannot be verified by a process that has none of the libraries for training."""
    command = [sys.executable, "-P", "-c", _VERIFY, ",".join(TRAINING_ALONE), str(exported)]
    done = subprocess.run(command, capture_output=True, text=True)  # nosec B603
    if not done.returncode:
        return []
    said = [line for line in done.stderr.splitlines() if line.startswith(("error: ", "problem: "))]
    return [f"without the libraries that only training needs: {' '.join(said) or done.stderr[-300:]}"]
