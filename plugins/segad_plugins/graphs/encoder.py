"""The graph of an encoder: pixels to the wanted layers."""

from __future__ import annotations

from torch import Tensor, nn

from segad_core.api import Graph, PluginError, Wanted
from segad_plugins.encoders.network import NetworkEncoder
from segad_plugins.graphs.pixels import Normalised, on_cpu


def graph(encoder: NetworkEncoder, wanted: Wanted) -> Graph:
    """The graph of a frozen network.

    Raises:
        PluginError: it computes in bfloat16, and a graph would give other scores.
    """
    if encoder.network_precision != "float32":
        raise PluginError(
            f"the encoder computes in {encoder.network_precision}, and graphs in float32",
            "Make the bundle again with `segad fit --precision float32`.",
        )
    network = on_cpu(encoder.loaded())
    if getattr(network, "dynamic_img_size", False):  # a vision transformer of timm
        # now, for one size: OpenVINO would interpolate the position embedding in another way
        network.set_input_size(img_size=wanted.size)
    return Graph(_Layers(encoder, network, wanted.layers), inputs=("pixels",), outputs=wanted.layers)


class _Layers(nn.Module):
    def __init__(self, encoder: NetworkEncoder, network: nn.Module, layers: tuple[str, ...]) -> None:
        super().__init__()
        self.normalised = Normalised(encoder.mean, encoder.std)
        self.network = network
        self._forward, self._layers = encoder.forward, layers

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        found = self._forward(self.network, self.normalised(pixels), self._layers)
        return tuple(found[name].float() for name in self._layers)
