"""What an encoder returns is checked before anybody reads it: the encoder is at fault, not its reader."""

from typing import Any

import numpy as np
import pytest
import torch

from segad_core.errors import PluginError
from segad_core.images.encoding import encoded
from segad_core.testing import TinyEncoder

PIXELS = np.zeros((2, 32, 40, 3), np.uint8)


class Odd(TinyEncoder):
    """Returns what it is told to."""

    def __init__(self, returned: Any) -> None:
        super().__init__()
        self.returned = returned

    def encode(self, pixels: Any, layers: Any) -> Any:
        return self.returned


@pytest.mark.parametrize(
    ("returned", "what"),
    [
        (None, "encode() returned None instead of arrays by name"),
        ([np.zeros((2, 6, 4, 5), np.float32)], "instead of arrays by name"),
        ({}, "returned no 'layer2'"),
        ({"layer1": np.zeros((2, 6, 8, 10), np.float32)}, "returned no 'layer2'"),
        (
            {"layer2": np.zeros((2, 6, 4, 5))},
            "'layer2' is float64 (2, 6, 4, 5) instead of float32 (2, 6, ",
        ),
        ({"layer2": torch.zeros(2, 6, 4, 5, dtype=torch.float16)}, "'layer2' is float16 (2, 6, 4, 5)"),
        ({"layer2": np.zeros((2, 1, 4, 5), np.float32)}, "'layer2' is float32 (2, 1, 4, 5)"),
        ({"layer2": np.zeros((1, 6, 4, 5), np.float32)}, "'layer2' is float32 (1, 6, 4, 5)"),
        ({"layer2": np.zeros((2, 6, 20), np.float32)}, "'layer2' is float32 (2, 6, 20)"),
        ({"layer2": None}, "'layer2' is None"),
        ({"layer2": [[1.0]]}, "'layer2' is [[1.0]]"),
    ],
)
def test_what_is_no_layer_of_the_images_is_refused(returned: Any, what: str) -> None:
    with pytest.raises(PluginError) as caught:
        encoded(Odd(returned), ["layer2"], PIXELS)
    assert what in caught.value.what
    assert "encoder 'Odd'" in caught.value.what


@pytest.mark.parametrize("library", [np.zeros, torch.zeros])
def test_arrays_of_any_library_pass(library: Any) -> None:
    dtype = np.float32 if library is np.zeros else torch.float32
    layers = {"layer2": library((2, 6, 4, 5), dtype=dtype), "more": None}
    assert encoded(Odd(layers), ["layer2"], PIXELS) is layers
