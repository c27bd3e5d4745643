"""Each clause of the encoder suite fails for a plugin that violates it, and passes sound ones."""

import itertools

import numpy as np
import pytest

from segad_core.contracts import Layer
from segad_core.errors import PluginError
from segad_core.testing import EncoderSuite, TinyEncoder


class Encoder(TinyEncoder):
    """A sound encoder whose features a test changes."""

    def encode(self, pixels, layers):
        return {name: self.changed(values) for name, values in super().encode(pixels, layers).items()}

    def changed(self, values):
        return values


def encoder(**methods):
    return type("Broken", (Encoder,), {"__doc__": "An encoder told wrongly.", **methods})


def upside_down(self):
    return dict(reversed(TinyEncoder.layers(self).items()))


def writes_pixels(self, pixels, layers):
    features = TinyEncoder.encode(self, pixels, layers)
    pixels[:] = 0
    return features


def encodes_everything(self, pixels, layers):
    return TinyEncoder.encode(self, pixels, list(self.layers()))


def noisy(self, values):
    return values + np.random.default_rng().normal(0, 1, values.shape).astype(np.float32)


def no_such_size(self, size):
    raise PluginError(f"broken: cannot process images of {size}", "Use others.")


FEATURES = "test_features_are_finite_float32"
SHAPES = "test_layers_are_what_encode_returns"
ASKED = "test_gives_only_the_layers_asked_for"
SAME = "test_is_deterministic"
ALONE = "test_images_do_not_depend_on_their_neighbours"
DIGEST = "test_digest_is_stable"
COUNT = itertools.count()


@pytest.mark.parametrize(
    ("plugin", "expected"),
    [
        (Encoder, ""),
        (encoder(layers=lambda self: {}), "test_layers_run_from_fine_to_coarse"),
        (encoder(layers=upside_down), "test_layers_run_from_fine_to_coarse"),
        (encoder(layers=lambda self: {"layer1": Layer(6, 8)}), SHAPES),
        (encoder(layers=lambda self: {"layer1": Layer(7, 4)}), SHAPES),
        (encoder(changed=lambda self, values: values.astype(np.float64)), FEATURES),
        (encoder(changed=lambda self, values: values / np.float32(0)), FEATURES),
        (encoder(encode=encodes_everything), ASKED),
        (encoder(changed=noisy), f"{ASKED} {SAME} {ALONE}"),
        (encoder(changed=lambda self, values: values - values.mean()), ALONE),
        (encoder(changed=lambda self, values: values * np.float32(1 + 0.01 * len(values))), ALONE),
        (encoder(encode=writes_pixels), "test_leaves_the_pixels_as_they_are"),
        (encoder(to_download=lambda self: None), ""),
        (encoder(to_download=lambda self: "https://example.org/weights"), ""),
        (encoder(to_download=lambda self: ""), "test_a_download_is_announced_in_words"),
        (encoder(to_download=lambda self: True), "test_a_download_is_announced_in_words"),
        (encoder(check_size=lambda self, size: None), ""),
        (encoder(check_size=no_such_size), "test_accepts_the_sizes_that_it_encodes"),
        (encoder(digest=lambda self: ""), DIGEST),
        (encoder(digest=lambda self: str(next(COUNT))), DIGEST),
        (encoder(digest=lambda self: hex(id(self))), DIGEST),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
def test_encoder(check, plugin, expected):
    kept = []  # so that no two instances have one id
    check(EncoderSuite, lambda: kept.append(plugin()) or kept[-1], expected)
