"""segad's networks beside the same ones in onnxruntime and OpenVINO, as `segad export` writes them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import onnxruntime
import openvino
import torch
from numpy.typing import NDArray

from segad_core.api import Detector, Encoder, Graph, ImageBatch, Wanted, to_numpy
from segad_core.testing import bad_images, image_batch
from segad_plugins.encoders.efficientnet_lite0 import EfficientNetLite0
from segad_plugins.exporters.onnx_file import write_onnx

from . import detectors, peers
from .cases import Case, Options, Subject
from .interleaved import Contestant, Results

TOLERANCE = 1e-3
"""As of an export."""

Arrays = Mapping[str, NDArray[Any]]


def of_encoder(encoder: Encoder, pixels: peers.Pixels) -> Results:
    """The layers that detectors read."""
    return {name: to_numpy(layer) for name, layer in encoder.encode(pixels, peers.LAYERS).items()}


def of_detector(detector: Detector, batch: ImageBatch, outputs: tuple[str, ...]) -> Results:
    """Maps and, if the graph has them, scores, from features that are there."""
    maps = detector.anomaly_maps(batch)
    scores = {"scores": detector.image_scores(batch, maps)} if "scores" in outputs else {}
    return {"maps": maps, **scores}


def by_onnxruntime(graph: Graph, path: Path, inputs: Arrays) -> Callable[[], Results]:
    """The outputs of a file."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session, names = onnxruntime.InferenceSession(path, options), list(graph.outputs)
    return lambda: dict(zip(names, session.run(names, dict(inputs)), strict=True))


def by_openvino(graph: Graph, path: Path, inputs: Arrays) -> Callable[[], Results]:
    """The outputs of a file."""
    how = {
        "INFERENCE_PRECISION_HINT": "f32",
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
    }
    compiled = openvino.Core().compile_model(path, "CPU", how)

    def work() -> Results:
        found = compiled(dict(inputs))
        return {name: found[name] for name in graph.outputs}

    return work


def subject(name: str, options: Options) -> tuple[Encoder | None, Detector | None]:
    """The encoder of a subject, and its detector; of an encoder, none."""
    network, size = options.backbone, options.size
    if name == "lite0":
        return EfficientNetLite0(), None
    if name == "encoder":
        return detectors.encoder(network, size), None
    detector = detectors.pair(name, network, size, options.bank)[1]
    return (None if name == "efficientad" else detectors.encoder(network, size)), detector


def cases(name: str, options: Options) -> Iterator[Case]:
    """A network with batches of each size; detectors are given features."""
    encoder, detector = subject(name, options)
    one: Any = detector or encoder
    layers = tuple(detectors.read(detector)) if detector else peers.LAYERS
    size = (options.size, options.size)
    graph: Graph = one.graph(Wanted(size, layers))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "graph.onnx"
        for batch in options.batch:
            pixels = bad_images(batch, *size, seed=1)
            seen = image_batch(pixels, encoder if detector else None, layers)
            features = {n: to_numpy(a) for n, a in seen.features().items()} if detector and encoder else {}
            given = {n: a for n, a in {"pixels": pixels, **features}.items() if n in graph.inputs}
            if not path.exists():
                write_onnx(graph, given, path)
            inputs = {**given, **graph.constants}
            work = (
                partial(of_detector, detector, seen, graph.outputs)
                if detector
                else partial(of_encoder, encoder, pixels)  # type: ignore[arg-type]
            )
            contestants = [
                Contestant("segad", work),
                Contestant("onnxruntime", by_onnxruntime(graph, path, inputs)),
                Contestant("OpenVINO", by_openvino(graph, path, inputs)),
            ]
            settings = {"batch": batch, "size": options.size}
            yield Case(settings, contestants, batch, "image", TOLERANCE)


NAMES = ("lite0", "encoder", "fastflow", "rd4ad")
SUBJECTS: dict[str, Subject] = {f"runtime_{name}": partial(cases, name) for name in NAMES}
