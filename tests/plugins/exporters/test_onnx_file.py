"""ONNX files of graphs: names, shapes, bytes, and what is said where there can be none."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from segad_core.api import Graph, PluginError, UsageError
from segad_plugins.exporters.onnx_file import write_onnx

EXAMPLE = {"pixels": np.zeros((1, 4, 6, 3), np.uint8)}
BANK = np.array([[1, 2, 3], [0, 1, 0]], np.float32)


class Products(nn.Module):
    """The mean of an image's channels, and the largest product of its mean colour with a vector."""

    def forward(self, pixels: Tensor, bank: Tensor) -> tuple[Tensor, Tensor]:
        colours = pixels.float()
        return colours.mean(dim=3), (colours.mean(dim=(1, 2)) @ bank.T).amax(dim=1)


GRAPH = Graph(Products(), ("pixels", "bank"), ("maps", "scores"), {"bank": BANK})


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("onnx") / "products.onnx"
    write_onnx(GRAPH, EXAMPLE, path)
    return path


def test_a_file_computes_what_the_network_does_for_any_number_of_images(written: Path) -> None:
    session = onnxruntime.InferenceSession(written)
    for count in (1, 3):
        pixels = np.random.default_rng(count).integers(0, 256, (count, 4, 6, 3), np.uint8)
        maps, scores = session.run(["maps", "scores"], {"pixels": pixels, "bank": BANK})
        colours = pixels.mean(axis=(1, 2))
        np.testing.assert_allclose(maps, pixels.mean(axis=3), rtol=1e-5)
        np.testing.assert_allclose(scores, (colours @ BANK.T).max(axis=1), rtol=1e-5)


def test_only_the_number_of_images_is_free(written: Path) -> None:
    session = onnxruntime.InferenceSession(written)
    assert [i.name for i in session.get_inputs()] == ["pixels", "bank"]
    batch, *rest = session.get_inputs()[0].shape
    assert isinstance(batch, str) and rest == [4, 6, 3]
    assert session.get_inputs()[1].shape == [2, 3]
    assert session.get_outputs()[0].shape == [batch, 4, 6]


def test_the_number_of_images_can_be_fixed(tmp_path: Path) -> None:
    write_onnx(GRAPH, EXAMPLE, tmp_path / "five.onnx", batch=5)
    session = onnxruntime.InferenceSession(tmp_path / "five.onnx")
    assert session.get_inputs()[0].shape == [5, 4, 6, 3]
    assert [o.shape for o in session.get_outputs()] == [[5, 4, 6], [5]]


def test_the_same_graph_gives_the_same_bytes_without_paths_of_this_machine(
    written: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    write_onnx(GRAPH, EXAMPLE, tmp_path / "again.onnx")
    content = (tmp_path / "again.onnx").read_bytes()
    assert content == written.read_bytes()
    assert b"site-packages" not in content and b".py" not in content
    assert capfd.readouterr() == ("", "")
    assert not [record for record in caplog.records if record.levelno >= logging.INFO]


class Uneven(nn.Module):
    def forward(self, pixels: Tensor) -> Tensor:
        return pixels.float() if pixels.float().sum() > 0 else -pixels.float()


def test_a_network_that_cannot_be_exported(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="Uneven"):
        write_onnx(Graph(Uneven(), ("pixels",), ("maps",)), EXAMPLE, tmp_path / "no.onnx")
    assert not list(tmp_path.iterdir())


def test_without_what_the_exporter_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> None:
        raise ModuleNotFoundError("No module named 'onnxscript'", name="onnxscript")

    monkeypatch.setattr(torch.onnx, "export", missing)
    with pytest.raises(UsageError, match="onnxscript") as caught:
        write_onnx(GRAPH, EXAMPLE, tmp_path / "no.onnx")
    assert "segad[export]" in str(caught.value.remedy)
