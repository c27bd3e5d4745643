"""What networks compute in: float32, or bfloat16 where a component supports it.

An optional answer, as in `segad_core.contracts.optional`. An encoder whose network can compute in bfloat16:

    import torch

    network_precision = "float32"

    def encode(self, pixels, layers):
        reduced = self.network_precision == "bfloat16"
        with torch.autocast("cpu", torch.bfloat16, enabled=reduced):
            return {name: layer.float() for name, layer in self.network(pixels, layers).items()}
"""

from __future__ import annotations

from typing import Final, Protocol, cast

from segad_core.contracts.component import Component

FLOAT32: Final = "float32"
BFLOAT16: Final = "bfloat16"


class SupportsPrecision(Protocol):
    """An encoder, detector or classifier whose networks can also compute in bfloat16.

    It defines the attribute in its class, as `network_precision = "float32"`. The engine sets it to what was
    asked for, once, right after the constructor. What the component is given and returns stays float32.
    """

    network_precision: str
    """`float32` or `bfloat16`."""


def supports_precision(component: type[Component]) -> bool:
    """Whether its networks can compute in bfloat16; False by default."""
    return hasattr(component, "network_precision")


def set_precision(component: Component, precision: str) -> None:
    """Sets what its networks compute in, if they can; otherwise it computes in float32."""
    if supports_precision(type(component)):
        cast(SupportsPrecision, component).network_precision = precision
