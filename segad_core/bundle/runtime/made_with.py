"""What a bundle was made with, compared with what is here."""

from __future__ import annotations

import logging

from segad_core.base.parallel import compute_threads
from segad_core.bundle.format.container import Container
from segad_core.contracts.precision import FLOAT32

log = logging.getLogger("segad.bundle")

AUTO = "auto"
"""The precision that a bundle was made in."""


def made_in(container: Container) -> str:
    """The precision of networks that a bundle was made in."""
    return container.manifest.pipeline.precision or FLOAT32


def given_precision(container: Container, wanted: str) -> str:
    """The precision to use; warns where it is not that of the scores on which the threshold was set.

    Args:
        container: of the bundle.
        wanted: `float32` or `bfloat16`; or `auto`, for what the bundle was made in.
    """
    made = made_in(container)
    if wanted in (AUTO, made):
        return made
    log.warning(
        "%s: was made in %s, and is used in %s: its threshold was set on other scores; `segad bundle verify "
        "--precision %s` checks whether verdicts are the same",
        container.path,
        made,
        wanted,
        wanted,
    )
    return wanted


def compare_threads(container: Container) -> None:
    """Says when the last digits of scores are not to be expected; older bundles have no record."""
    made, here = container.manifest.provenance.environment.get("threads"), compute_threads()
    if type(made) is int and made != here:
        log.info(
            "%s: was made with %d compute threads, and %d are used here: a detector's scores may differ from "
            "about the sixth digit on, and a forest's by more; OMP_NUM_THREADS=%d gives the same scores",
            container.path,
            made,
            here,
            made,
            extra={"notice": True},
        )
