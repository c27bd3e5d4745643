"""What a bundle was made with, compared with what is here."""

from __future__ import annotations

import logging

from segad_core.base.parallel import compute_threads
from segad_core.bundle.format.container import Container

log = logging.getLogger("segad.bundle")


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
