"""Results that plugins derive from single images (a segmentation, say), kept in the store for later runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segad_core.base.code_digest import modules_digest
from segad_core.base.decoding import Decoding
from segad_core.base.digest import digest_of
from segad_core.contracts import Arrays, Sample
from segad_core.contracts.images import Keep
from segad_core.images import decode
from segad_core.images.faults import image_digest
from segad_core.store.arrays import kept
from segad_core.store.store import Store

_SCHEMA = 1


def keeper(
    store: Store, decoding: Decoding, plugins: Mapping[str, Mapping[str, str]] = MappingProxyType({})
) -> Keep:
    """Keeps results for an image, keyed by its bytes, the code that derives them and the stated inputs.

    Args:
        store: where results are kept.
        decoding: as in `decode`.
        plugins: for each package whose plugins may derive results, the version of its distribution by name.
    """

    def keep(
        sample: Sample, inputs: Mapping[str, Any], make: Callable[[NDArray[np.uint8]], Arrays]
    ) -> Arrays:
        read = decoding.of_page(sample.page)
        maker = getattr(make, "func", make)  # the function that a partial calls
        key = digest_of(
            {
                "cell": ["image artifact", _SCHEMA],
                "image": [image_digest(sample.path), read.key()],
                "maker": maker.__qualname__,
                "code": modules_digest([maker.__module__]),
                "inputs": dict(inputs),
            }
        )
        made_by = plugins.get(maker.__module__.partition(".")[0], {})
        return kept(store, key, "image artifact", lambda: make(decode(sample.path, read).pixels), made_by)

    return keep
