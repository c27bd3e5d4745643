"""What reads files from elsewhere, ready to be given damaged ones: it returns, or says what is wrong."""

from __future__ import annotations

import io
import json
import resource
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from builders import data_set, encoded, picture, png16
from bundles import Parts, sealed, take_up
from light_bundle import made
from PIL import Image

from segad_core.base.decoding import Decoding
from segad_core.bundle.format.container import MANIFEST, SEAL
from segad_core.bundle.format.manifest import parse_manifest
from segad_core.bundle.runtime.prediction import Prediction
from segad_core.errors import (
    BundleError,
    DataError,
    ImageError,
    PluginError,
    RecipeError,
    SegadError,
    StoreError,
    UsageError,
)
from segad_core.images.arrays import read_array
from segad_core.images.decode import decode
from segad_core.images.labels import read_labels
from segad_core.images.masks import read_mask
from segad_core.plugins.registry import Registry
from segad_core.recipe import load_recipe
from segad_core.recipe.published import published
from segad_core.split.file import read_splits
from segad_core.tools.results import open_results

CORPUS = Path(__file__).parents[1] / "fuzz" / "corpus"
SECONDS = 10.0
"""The most processor time that one input may cost."""
MEMORY = 1 << 30
"""Bytes by which one input may raise the memory of the process: an image of 100 million pixels fits."""

Files = Mapping[str, bytes]


@dataclass(frozen=True)
class Target:
    """A reader.

    Attributes:
        seeds: sound inputs by file name, to begin with.
        read: reads an input from a folder of its own; returns what should be checked later, if anything.
        errors: what it may raise.
        tokens: words that mean something to it.
        check: what is checked at the end, of all that `read` returned.
    """

    seeds: Callable[[], Files]
    read: Callable[[bytes, Path], bytes | None]
    errors: tuple[type[SegadError], ...]
    tokens: tuple[bytes, ...] = ()
    check: Callable[[list[bytes]], None] = field(default=lambda accepted: None)


class FoundError(Exception):
    """An input that a reader does not withstand."""


def attempt(target: Target, data: bytes, folder: Path) -> bytes | None:
    """Gives an input to a reader.

    Raises:
        FoundError: another error than it may raise, one that cannot be shown, or too much time or memory.
    """
    begun, before = time.process_time(), _most_memory()
    accepted = None
    try:
        accepted = target.read(data, folder)
    except target.errors as error:
        try:
            str(error).encode("utf-8", "surrogateescape")
        except UnicodeError as why:
            raise FoundError(f"its error cannot be written: {str(error)!a:.300}") from why
        if not str(error).strip() or len(str(error)) > 100_000:
            raise FoundError(f"its error has {len(str(error))} characters") from error
    except FoundError:
        raise
    except Exception as error:
        raise FoundError(f"{type(error).__name__}: {error!s:.500}") from error
    if (seconds := time.process_time() - begun) > SECONDS:
        raise FoundError(f"it took {seconds:.0f} s of processor time")
    if (grown := _most_memory() - before) > MEMORY:
        raise FoundError(f"it took {grown >> 20} MiB")
    return accepted


def corpus(name: str) -> list[bytes]:
    """The inputs in the tree for a target, sorted by name."""
    return [path.read_bytes() for path in sorted((CORPUS / name).iterdir())]


def write_corpus() -> None:
    """Writes the sound inputs of every target into the tree."""
    for name, target in TARGETS.items():
        (CORPUS / name).mkdir(parents=True, exist_ok=True)
        for file, data in target.seeds().items():
            (CORPUS / name / file).write_bytes(data)


def _most_memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def _file(name: str, read: Callable[[Path], object]) -> Callable[[bytes, Path], None]:
    """A reader of one file."""

    def reader(data: bytes, folder: Path) -> None:
        path = folder / name
        path.write_bytes(data)
        read(path)

    return reader


RECIPE = b"""\
segad: 1
title: "tiny: \\u00e9"
dataset: {use: folder, params: {root: data}}
categories: all
image: {size: [48, 48], white: 4095}
batch_size: 4
split:
  seeds: [0, 1]
  test: {good: 0.25, bad: 3}
  detectors: {good: 0.5, seed: 3}
  leave_out: &none {}
detectors:
  maps: {use: precomputed, params: {maps: data}}
segmenter: {use: whole_image}
features: [mean, max, {use: q995, params: {}}]
image_features: [max]
final: {use: table}
rows:
  - {name: one, score: maps}
  - {name: SegAD, detectors: [maps]}
  - {name: both, mean_of: [one, SegAD]}
"""


def _read_recipe(data: bytes, folder: Path) -> None:
    path = folder / "recipe.yaml"
    path.write_bytes(data)
    if not (folder / "data").exists():
        data_set(folder / "data", good=1, bad=1)
    load_recipe(str(path), _REGISTRY)


_REGISTRY = Registry()

PUBLISHED = b"""\
source: Table 1
spread: standard deviation
notes: [a note]
categories: [a, b]
figures:
  auroc: {SegAD: {a: [99.1, 0.2], b: 98, mean: 98.5}}
  fpr95: {SegAD: {a: 1}}
"""

SPLITS = {
    "a": {
        "0": {"seed": 0, "detectors": ["good/1.png"], "final": ["bad/1.png"], "test": ["good/2.png"]},
        "1": {
            "seed": 1,
            "held_out": "scratch",
            "subset": "",
            "detectors_seed": 0,
            "detectors": [],
            "final": ["good/1.png", "bad/2.png"],
            "test": ["bad/1.png"],
            "apart": [],
            "unused": ["\u00e9.png"],
            "classifiers": {"g": ["bad/2.png"]},
        },
        "2": {
            "seed": 2,
            "amount": "1",
            "detectors": ["good/1.png", "good/2.png"],
            "final": ["good/1.png", "good/2.png", "bad/2.png"],
            "test": ["bad/1.png"],
            "detector_folds": [["good/1.png"], ["good/2.png", "bad/2.png"]],
        },
    }
}


def _bundle_files() -> dict[str, bytes]:
    home = made() / "b"
    return {p.relative_to(home).as_posix(): p.read_bytes() for p in sorted(home.rglob("*")) if p.is_file()}


def _read_zip(data: bytes, folder: Path) -> None:
    path = folder / "bundle.zip"
    path.write_bytes(data)
    take_up(path)


def _zip_seeds() -> Files:
    """The bundle with one golden image, so that most bytes are those of records and names."""
    parts = _parts()
    return {"sound.zip": _zipped(parts.signed())}


def _zipped(files: Files) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, data in sorted(files.items()):
            archive.writestr(zipfile.ZipInfo(name), data)
    return target.getvalue()


def _parts() -> Parts:
    files = _bundle_files()
    manifest = json.loads(files.pop(MANIFEST))
    del files[SEAL]
    golden = json.loads(files["golden.json"])[:1]
    files["golden.json"] = json.dumps(golden).encode()
    return Parts(manifest, {n: d for n, d in files.items() if n[:7] != "golden/" or n == golden[0]["file"]})


def _member_seeds() -> Files:
    """Each file that something parses, behind a line with its name."""
    parts = _parts()
    manifest = json.dumps({**parts.manifest, "files": {}}).encode()
    members = {name: data for name, data in parts.files.items() if not name.startswith("golden/")}
    named = {MANIFEST: manifest, **members}
    return {name.replace("/", "-"): name.encode() + b"\n" + data for name, data in named.items()}


def _read_member(data: bytes, folder: Path) -> None:
    """A bundle in which one file is damaged and whose digests are right all the same."""
    name, _, content = data.partition(b"\n")
    parts = _parts()
    if name == MANIFEST.encode():
        try:
            manifest = json.loads(content)
            files = json.loads(parts.signed()[MANIFEST])["files"]
            content = json.dumps({**manifest, "files": files}).encode()
        except (ValueError, TypeError, RecursionError):
            pass  # as it is
        _read_zip(_zipped(sealed(parts.files, content)), folder)
    elif (known := name.decode(errors="replace")) in parts.files:
        parts.files[known] = content
        _read_zip(_zipped(parts.signed()), folder)


def _forest_seeds() -> Files:
    from segad_core.contracts import Run
    from segad_plugins.final_classifiers.brf import BoostedRandomForest
    from segad_plugins.final_classifiers.bt import BoostedTrees

    rng = np.random.default_rng(0)
    features, labels = rng.normal(size=(60, 3)), np.arange(60) % 2
    features[:, 1] += labels
    forests = {
        "brf.json": BoostedRandomForest(
            BoostedRandomForest.Params(n_estimators=2, num_parallel_tree=2, max_depth=2)
        ),
        "bt.json": BoostedTrees(BoostedTrees.Params(n_estimators=3, max_depth=1)),
    }
    for forest in forests.values():
        forest.fit(features, ["a", "b", "c"], labels, Run(np.random.SeedSequence(0)))
    return {name: forest.state()["model.json"].tobytes() for name, forest in forests.items()}


def _read_forest(data: bytes, folder: Path) -> bytes:
    from segad_plugins.final_classifiers.forest_check import checked_forest

    return bytes(checked_forest(data))


SCORES = """
import sys
import numpy as np, xgboost
from segad_plugins.final_classifiers.brf import BoostedRandomForest
for number, line in enumerate(open(sys.argv[1], "rb")):
    print(number, flush=True)
    booster = xgboost.Booster()
    booster.load_model(bytearray(line))
    rows = np.linspace(-9, 9, 4 * booster.num_features()).reshape(4, -1)[:, : booster.num_features()]
    forest = BoostedRandomForest()
    forest.restore({"model.json": np.frombuffer(line.strip(), np.uint8)})
    given, rows = np.asarray(rows, np.float64), xgboost.DMatrix(np.asarray(rows, np.float64))
    for how in ({"output_margin": True}, {"pred_contribs": True}):
        if not np.isfinite(booster.predict(rows, **how)).all():
            sys.exit("a score is not finite")
    if not np.array_equal(forest.margins(given), booster.predict(rows, output_margin=True)):
        sys.exit("a margin differs from XGBoost's")
    if not np.isfinite(forest.contributions(given)).all():
        sys.exit("a contribution is not finite")
"""


def _score_forests(accepted: list[bytes]) -> None:
    """Loads every forest that passed the check, also into XGBoost, in a process that may crash.

    Raises:
        FoundError: it crashed, a score is not finite, or a margin is not XGBoost's.
    """
    import tempfile

    forests = [
        one
        for one in dict.fromkeys(accepted)
        if int(json.loads(one)["learner"]["learner_model_param"]["num_feature"]) < 10_000
    ]
    with tempfile.NamedTemporaryFile(suffix=".jsonl") as file:
        file.write(b"\n".join(forests))
        file.flush()
        done = subprocess.run([sys.executable, "-c", SCORES, file.name], capture_output=True, text=True)
    if done.returncode:
        number = int((done.stdout.split() or ["0"])[-1])
        raise FoundError(f"XGBoost ends with {done.returncode} on {forests[number]!r}: {done.stderr[-300:]}")


def _result_seeds(suffix: str) -> Callable[[], Files]:
    def seeds() -> Files:
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, f"r{suffix}")
            with open_results(path, "0" * 64, False, "new") as results:
                results.write([Prediction("a, b.png", "OK", 0.25, "", ())])
                results.write([Prediction("\u00e9.png", "UNKNOWN", None, 'is "damaged"', ())])
            return {path.name: path.read_bytes(), f"torn{suffix}": path.read_bytes() + b"c.png,O"}

    return seeds


def _read_results(suffix: str) -> Callable[[bytes, Path], None]:
    def read(data: bytes, folder: Path) -> None:
        path = folder / f"r{suffix}"
        path.write_bytes(data)
        try:
            with open_results(path, "0" * 64, False, "resume") as results:
                list(results.left(["a, b.png", "c.png"]))
        except SegadError:
            if path.read_bytes() != data:
                raise FoundError("a file that was refused is changed") from None
            raise
        if not path.read_bytes().startswith(data[: data.rfind(b"\n") + 1]):
            raise FoundError("lines are lost")

    return read


def _image_seeds() -> Files:
    grey, rgb = picture(3, True)[:8, :8, 0], Image.fromarray(picture(3, True)[:8, :12])
    return {
        "rgb.png": encoded(rgb, "PNG"),
        "grey16.png": png16(grey.astype(np.uint16) * 257),
        "indexed.png": encoded(rgb.quantize(4), "PNG"),
        "baseline.jpg": encoded(rgb, "JPEG"),
        "progressive.jpg": encoded(rgb, "JPEG", progressive=True),
        "plain.bmp": encoded(rgb, "BMP"),
        "lzw.tif": encoded(rgb, "TIFF", compression="tiff_lzw"),
        "plain.tif": encoded(rgb, "TIFF"),
        "pages.tif": encoded(rgb, "TIFF", save_all=True, append_images=[rgb]),
        "lossless.webp": encoded(rgb, "WEBP", lossless=True),
        "lossy.webp": encoded(rgb, "WEBP"),
        "one.gif": encoded(rgb.quantize(4), "GIF"),
        "plain.ppm": encoded(rgb, "PPM"),
    }


def _label_seeds() -> Files:
    labels = Image.fromarray(np.eye(8, dtype=np.uint8))
    indexed = labels.copy()
    indexed.putpalette([0, 0, 0, 255, 0, 0])
    return {
        "grey.png": encoded(labels, "PNG"),
        "indexed.png": encoded(indexed, "PNG"),
        "rgb.png": encoded(labels.convert("RGB"), "PNG"),
        "grey.tif": encoded(labels, "TIFF"),
    }


def _array_seeds() -> Files:
    def npy(array: np.ndarray) -> bytes:
        file = io.BytesIO()
        np.save(file, array)
        return file.getvalue()

    return {
        "f4.npy": npy(np.ones((3, 4), np.float32)),
        "u1.npy": npy(np.ones((1, 3, 4), np.uint8)),
        "fortran.npy": npy(np.asfortranarray(np.ones((3, 4)))),
        "big.npy": npy(np.ones((3, 4), ">f8")),
    }


def _list_seeds() -> Files:
    """Lists of images behind a line with the ending of their file."""
    import pandas as pd

    rows = [
        {"path": "x.png", "label": "good", "lot": "7"},
        {"path": "y.png", "label": "NG", "lot": ""},
    ]
    frame = pd.DataFrame(rows)
    binary = io.BytesIO()
    frame.to_parquet(binary)
    return {
        "list.csv": b".csv\n" + frame.to_csv(index=False, sep=";").encode("utf-8-sig"),
        "list.tsv": b".tsv\n" + frame.to_csv(index=False, sep="\t").encode(),
        "unicode.txt": b".txt\n" + frame.to_csv(index=False, sep="\t").encode("utf-16"),
        "list.jsonl": b".jsonl\n" + frame.to_json(orient="records", lines=True).encode(),
        "list.parquet": b".parquet\n" + binary.getvalue(),
    }


def _read_list(data: bytes, folder: Path) -> None:
    from segad_plugins.datasets.table import Table

    ending, _, content = data.partition(b"\n")
    known = {b".csv", b".tsv", b".txt", b".jsonl", b".parquet"}
    path = folder / f"list{ending.decode() if ending in known else '.csv'}"
    path.write_bytes(content)
    for name in ("x.png", "y.png"):
        (folder / name).touch()
    table = Table(Table.Params(file=path))
    for sample in (one for category in table.categories() for one in table.samples(category)):
        if not sample.path.resolve().is_relative_to(folder.resolve()):
            raise FoundError(f"{sample.path} is outside the folder")


def _decode_as_camera(path: Path) -> None:
    for decoding in (Decoding(page=2), Decoding(bayer="GBRG", window=(3, 200))):
        try:
            decode(path, decoding)
        except ImageError as error:
            last = error
        else:
            last = None
    if last is not None:
        raise last


_JSON = (b'"format"', b"\\ud800", b"\\u0000", b"null", b"[[[[", b'{"a":', b"1e5", b'"' + b"x" * 2000 + b'"')
_IMAGE = (b"\xff\xd9", b"\xff\xda", b"\xff\xc2", b"IDAT", b"IEND", b"acTL", b"II*\0", b"MM\0*", b"\xff" * 4)
_ZIP = (b"PK\3\4", b"PK\1\2", b"PK\5\6", b"PK\6\6", b"../x", b"/etc/x", b"manifest.json", b"A.json")

TARGETS: dict[str, Target] = {
    "recipe": Target(
        lambda: {"tiny.yaml": RECIPE},
        _read_recipe,
        (RecipeError, UsageError),
        (
            b"*none",
            b"&a [*a]",
            b"<<:",
            b"!!python/name:os",
            b"${HOME}",
            b"%YAML 1.1",
            b"? [a]",
            b"- - - -",
            b": ",
        ),
    ),
    "published": Target(
        lambda: {"figures.yaml": PUBLISHED},
        _file("figures.yaml", lambda path: published(path.name, path.parent)),
        (RecipeError,),
        (b"mean", b"{}", b"[]", b"[1, 2, 3]", b"auroc", b"null", b"1e99"),
    ),
    "splits": Target(
        lambda: {"splits.json": json.dumps(SPLITS).encode()},
        _file("splits.json", read_splits),
        (RecipeError,),
        (*_JSON, b'"seed"', b'"detectors"', b'"held_out"', b'"amount"', b'"rest"', b'"detector_folds"'),
    ),
    "manifest": Target(
        lambda: {"manifest.json": _bundle_files()[MANIFEST]},
        _file("manifest.json", lambda path: parse_manifest(path, path.read_bytes())),
        (BundleError,),
        (*_JSON, b'"params"', b'"files"', b'"size"'),
    ),
    "bundle": Target(_zip_seeds, _read_zip, (BundleError,), (*_ZIP, *_JSON)),
    "member": Target(_member_seeds, _read_member, (BundleError, PluginError), _JSON),
    "forest": Target(
        _forest_seeds,
        _read_forest,
        (PluginError,),
        (*_JSON, b'"left_children":', b'"cats":', b'"trees":', b"2147483647", b"-1"),
        _score_forests,
    ),
    "csv": Target(
        _result_seeds(".csv"), _read_results(".csv"), (UsageError, StoreError), (b'"', b",", b"\r\n", b"'=1")
    ),
    "jsonl": Target(_result_seeds(".jsonl"), _read_results(".jsonl"), (UsageError, StoreError), _JSON),
    "image": Target(_image_seeds, _file("image.png", decode), (ImageError,), _IMAGE),
    "camera": Target(
        lambda: {n: d for n, d in _image_seeds().items() if "tif" in n or n == "grey16.png"},
        _file("image.png", _decode_as_camera),
        (ImageError,),
        _IMAGE,
    ),
    "list": Target(
        _list_seeds,
        _read_list,
        (DataError, RecipeError),
        (
            b'"',
            b";",
            b"\r\n",
            b"sep=",
            b"../x",
            b"/etc/passwd",
            b"good",
            b'{"path": 1e400}',
            b"\0",
            b"\xff\xfe",
        ),
    ),
    "mask": Target(_label_seeds, _file("mask.png", read_mask), (ImageError,), _IMAGE),
    "labels": Target(_label_seeds, _file("labels.png", read_labels), (ImageError,), _IMAGE),
    "array": Target(
        _array_seeds,
        _file("map.npy", lambda path: read_array(path, "fiu")),
        (ImageError,),
        (
            b"'<f4'",
            b"'|O'",
            b"(3, 4)",
            b"(3, 4, -1)",
            b"True",
            b"\x93NUMPY\x03\x00",
            b"[('a', '<f4')]",
            b"__import__",
        ),
    ),
}
