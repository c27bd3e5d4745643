"""The shapes of the encoder layers that a learner reads."""

from __future__ import annotations

from segad_core.contracts import Encoder, Learner, Shapes, optional


def layer_shapes(learner: Learner, encoder: Encoder | None, size: tuple[int, int]) -> Shapes:
    """(C, H, W) of each encoder layer that a learner reads, for images of a size."""
    layers = encoder.layers() if encoder else {}
    return {
        name: (layers[name].channels, -(-size[0] // layers[name].stride), -(-size[1] // layers[name].stride))
        for name in optional.layers_read(learner, encoder)
    }
