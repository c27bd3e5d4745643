"""The plugins `onnx` and `openvino` on graphs of one's own: encoder, detector and classifier."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import small_graphs
from numpy.typing import NDArray
from pydantic import ValidationError

from segad_core.api import ImageBatch, PluginError, Sample
from segad_core.testing import EncoderSuite
from segad_plugins.classifiers import graph as classifiers
from segad_plugins.detectors import graph as detectors
from segad_plugins.encoders import graph as encoders

SIZE = (8, 12)


def pixels(count: int, size: tuple[int, int] = SIZE) -> NDArray[np.uint8]:
    return np.random.default_rng(count).integers(0, 256, (count, *size, 3), np.uint8)


def batch_of(
    images: NDArray[np.uint8], encoder: encoders.Onnx | None = None, ignored: NDArray[np.bool_] | None = None
) -> ImageBatch:
    samples = [Sample(str(i), Path(str(i)), None) for i in range(len(images))]
    encode = None if encoder is None else lambda given: encoder.encode(given, ["layer0"])
    return ImageBatch(samples, images, encode, ignored=ignored)


def encoder_of(folder: Path, *sizes: tuple[int, int]) -> encoders.Onnx:
    files = [small_graphs.halves(folder / f"{h}x{w}.onnx", (h, w)) for h, w in sizes]
    return encoders.Onnx(encoders.Onnx.Params(sizes=sizes, graphs=tuple(files), layers={"layer0": (3, 2)}))


class TestEncoder(EncoderSuite):
    sizes = ((8, 12), (16, 16))

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.folder = tmp_path

    def make(self) -> encoders.Onnx:
        return encoder_of(self.folder, *self.sizes)


def test_each_size_has_its_graph(tmp_path: Path) -> None:
    encoder = encoder_of(tmp_path, (8, 12), (16, 10))
    for size in encoder.params.sizes:
        images = pixels(2, size)
        found = encoder.encode(images, ["layer0"])["layer0"]
        np.testing.assert_allclose(found, images[:, ::2, ::2].transpose(0, 3, 1, 2) / 255, rtol=1e-6)
    with pytest.raises(PluginError, match=r"8 x 10 .*8 x 12, 16 x 10"):
        encoder.check_size((8, 10))


def test_as_many_files_as_sizes(tmp_path: Path) -> None:
    one = small_graphs.halves(tmp_path / "a.onnx")
    params = encoders.Onnx.Params(sizes=(SIZE, (16, 16)), graphs=(one,) * 3, layers={"layer0": (3, 2)})
    with pytest.raises(PluginError, match="3 files of graphs for 2 sizes"):
        encoders.Onnx(params).check_size(SIZE)


def test_the_digest_is_that_of_all_graphs(tmp_path: Path) -> None:
    one, both = encoder_of(tmp_path, SIZE), encoder_of(tmp_path, SIZE, (16, 16))
    assert one.digest() == encoder_of(tmp_path, SIZE).digest() != both.digest()
    assert len(both.digest()) == 64


def test_a_detector_with_a_constant(tmp_path: Path) -> None:
    file = small_graphs.brightness(tmp_path / "a.onnx")
    detector = detectors.Onnx(detectors.Onnx.Params(graph=(file,)))
    detector.restore({"dark": np.array([5], np.float32)})
    images = pixels(3)
    maps = detector.anomaly_maps(batch_of(images))
    np.testing.assert_allclose(maps, images.mean(axis=-1) - 5, rtol=1e-6, atol=1e-4)
    np.testing.assert_allclose(detector.image_scores(batch_of(images), maps), maps.max(axis=(1, 2)))
    again = detectors.Onnx(detector.params)
    again.restore(detector.state())
    assert np.array_equal(again.anomaly_maps(batch_of(images)), maps)


def test_a_detector_on_a_layer_knows_what_is_ignored(tmp_path: Path) -> None:
    encoder = encoder_of(tmp_path, SIZE)
    params = detectors.Onnx.Params(graph=(small_graphs.of_layer(tmp_path / "d.onnx"),), layers=("layer0",))
    detector, images = detectors.Onnx(params), pixels(2, SIZE)
    mean = images[:, ::2, ::2].mean(axis=-1) / 255
    small = images[:, :4, :6]  # the graph's maps have half the size of these images
    for ignored in (None, np.arange(24).reshape(1, 4, 6) % 3 == 0):
        batch = ImageBatch(
            batch_of(images).samples, small, lambda _: encoder.encode(images, ["layer0"]), ignored=ignored
        )
        maps = detector.anomaly_maps(batch)
        wanted = mean if ignored is None else np.where(ignored, 0, mean)
        np.testing.assert_allclose(maps, wanted, rtol=1e-5)
        np.testing.assert_allclose(detector.image_scores(batch, maps), 2 * wanted.max(axis=(1, 2)), rtol=1e-5)


def test_one_run_gives_maps_and_scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = encoder_of(tmp_path, SIZE)
    params = detectors.Onnx.Params(graph=(small_graphs.of_layer(tmp_path / "d.onnx"),), layers=("layer0",))
    detector, images = detectors.Onnx(params), pixels(2)
    session, runs = detector.session(params.graph), list[int]()
    run = session.run
    monkeypatch.setattr(session, "run", lambda given: runs.append(1) or run(given))
    small = batch_of(images[:, :4, :6])
    batch = ImageBatch(small.samples, small.pixels, lambda _: encoder.encode(images, ["layer0"]))
    detector.image_scores(batch, detector.anomaly_maps(batch))
    assert runs == [1]


@pytest.mark.parametrize(
    ("size", "shapes", "words"),
    [
        ((8, 14), {}, "'pixels' of 8 x 12 x 3, and is given 8 x 14 x 3"),
        ((8, 12), {}, ""),
    ],
)
def test_sizes_are_checked(
    size: tuple[int, int], shapes: dict[str, tuple[int, int, int]], words: str, tmp_path: Path
) -> None:
    detector = detectors.Onnx(detectors.Onnx.Params(graph=(small_graphs.brightness(tmp_path / "a.onnx"),)))
    if words:
        with pytest.raises(PluginError, match=words):
            detector.check(size, shapes)
    else:
        detector.check(size, shapes)


def test_layers_of_another_encoder_are_refused(tmp_path: Path) -> None:
    params = detectors.Onnx.Params(graph=(small_graphs.of_layer(tmp_path / "d.onnx"),), layers=("layer0",))
    detectors.Onnx(params).check((4, 6), {"layer0": (3, 4, 6)})
    with pytest.raises(PluginError, match="'layer0' of 3 x 4 x 6, and is given 8 x 4 x 6"):
        detectors.Onnx(params).check((4, 6), {"layer0": (8, 4, 6)})


def test_outputs_have_their_names(tmp_path: Path) -> None:
    file = small_graphs.brightness(tmp_path / "a.onnx")
    classifier = classifiers.Onnx(classifiers.Onnx.Params(graph=(file,)))
    with pytest.raises(PluginError, match=r"a\.onnx: .*no output 'scores', but maps"):
        classifier.check(SIZE, {})
    other = detectors.Onnx(detectors.Onnx.Params(graph=(small_graphs.halves(tmp_path / "b.onnx"),)))
    with pytest.raises(PluginError, match=r"b\.onnx: .*no output 'maps', but layer0"):
        other.check(SIZE, {})
    encoder = encoders.Onnx(encoders.Onnx.Params(sizes=(SIZE,), graphs=(file,), layers={"layer1": (3, 2)}))
    with pytest.raises(PluginError, match=r"a\.onnx: .*no output 'layer1', but maps"):
        encoder.encode(pixels(1), ["layer1"])


@pytest.mark.parametrize("layer", [(3, 0), (0, 2), (3, -2)])
def test_layers_have_channels_and_a_stride(layer: tuple[int, int], tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="greater than 0"):
        encoders.Onnx.Params(sizes=(SIZE,), graphs=(tmp_path / "a.onnx",), layers={"layer0": layer})


def test_a_classifier(tmp_path: Path) -> None:
    encoder = encoder_of(tmp_path, SIZE)
    file = small_graphs.of_layer(tmp_path / "c.onnx")
    classifier = classifiers.Onnx(classifiers.Onnx.Params(graph=(file,), layers=("layer0",)))
    images = pixels(3)
    batch = batch_of(images[:, :4, :6])
    batch = ImageBatch(batch.samples, batch.pixels, lambda _: encoder.encode(images, ["layer0"]))
    wanted = 2 * (images[:, ::2, ::2].mean(axis=-1) / 255).max(axis=(1, 2))
    np.testing.assert_allclose(classifier.scores(batch), wanted[:, None], rtol=1e-5)
    assert list(classifier.outputs()) == ["score"]
