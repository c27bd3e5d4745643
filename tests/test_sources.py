"""What the sources may not do: read images or weights in a second way, or run what a file holds."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = [
    path
    for folder in ("segad_core", "plugins", "recipes", "benchmarks")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if "build" not in path.parts
]
KERNELS = ROOT / "plugins" / "segad_plugins" / "kernel_cache.py"
"""What numba compiled, as pickle, from a folder that nobody else can write to (decision 37)."""
PLOTS = ROOT / "benchmarks" / "speed" / "plots.py"
"""Draws with matplotlib, which reads images elsewhere."""
DECODER = ROOT / "segad_core" / "images" / "decode.py"

NEVER = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
OTHER_DECODERS = {"cv2", "imageio", "skimage", "tifffile", "rawpy", "wand", "pyvips", "matplotlib"}
DECODING = {"decode_image", "decode_jpeg", "decode_png", "read_image", "imread", "imdecode", "default_loader"}


def imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """What is called, with dots between, and the call."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def option(call: ast.Call, name: str) -> object:
    return next((ast.literal_eval(k.value) for k in call.keywords if k.arg == name), None)


def problems(path: Path, tree: ast.AST) -> Iterator[str]:
    for name in imports(tree):
        top, last = name.partition(".")[0], name.rpartition(".")[2]
        if top in NEVER and (path, name) != (KERNELS, "pickle"):
            yield f"imports {name}"
        decodes = top in OTHER_DECODERS and (path, top) != (PLOTS, "matplotlib")
        if decodes or (top == "torchvision" and last in ("io", "ImageFolder", "datasets")):
            yield f"imports {name}: images are read by segad_core.images.decode"
    for name, call in calls(tree):
        last = name.rpartition(".")[2]
        if (name.endswith("Image.open") and path != DECODER) or last in DECODING:
            yield f"calls {name}: images are read by segad_core.images.decode"
        if name == "torch.load" and option(call, "weights_only") is not True:
            yield "calls torch.load without weights_only=True"
        if name in ("np.load", "numpy.load") and option(call, "allow_pickle") is not False:
            yield f"calls {name} without allow_pickle=False"
        if name in ("yaml.load", "yaml.unsafe_load", "yaml.full_load", "eval", "exec", "os.system"):
            yield f"calls {name}"
        if last in ("extractall", "extract") or (last == "Popen" and option(call, "shell")):
            yield f"calls {name}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_sources_read_files_in_one_safe_way(path: Path) -> None:
    assert not list(problems(path, ast.parse(path.read_text(encoding="utf-8"))))


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from pickle import loads",
        "import cv2",
        "from skimage import io",
        "from torchvision.io import read_image",
        "from torchvision import datasets",
        "Image.open(path)",
        "PIL.Image.open(path)",
        "imageio.imread(path)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "yaml.load(text)",
        "eval(text)",
        "archive.extractall(folder)",
    ],
)
def test_and_what_would_be_another_way_is_seen(line: str) -> None:
    assert list(problems(ROOT / "segad_core" / "other.py", ast.parse(line)))


def test_there_is_one_decoder() -> None:
    assert [name for name, _ in calls(ast.parse(DECODER.read_text()))].count("Image.open") == 1
    assert len(SOURCES) > 100
