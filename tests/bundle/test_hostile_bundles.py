"""Hostile bundles with correct digests are refused by a named error, and no code in them runs."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bundles import DETECTOR, FOREST, MASK, Parts, sound_parts, take_up, weapon
from PIL import Image
from safetensors.numpy import load, save

from segad_core.errors import BundleError


@pytest.fixture(scope="module")
def sound() -> Parts:
    return sound_parts()


@pytest.fixture(autouse=True)
def canary(tmp_path: Path) -> Iterator[Path]:
    """A folder that a pickle would create."""
    place = tmp_path / "canary"
    yield place
    assert not place.exists()


def refused(parts: Parts, home: Path, form: str = "folder", words: str = "") -> str:
    path = parts.write(home, form)
    with pytest.raises(BundleError, match=words) as caught:
        take_up(path)
    said = caught.value.what
    assert said.startswith(f"{path}: ") and caught.value.remedy
    assert "segad-scratch" not in str(caught.value)  # a copy, of which nobody knows
    assert said.replace(str(path), "").isprintable() and len(said) < 1000 + len(str(path))
    return said


@pytest.mark.parametrize("form", ["folder", "zip"])
def test_the_sound_bundle_loads(form: str, sound: Parts, tmp_path: Path) -> None:
    """Otherwise the bundles below might be refused for another reason."""
    scores = take_up(sound.write(tmp_path, form))
    assert scores == [one["score"] for one in json.loads(sound.files["golden.json"])]


SLOTS = (
    *(DETECTOR, FOREST, MASK, "golden.json", "operating.json", "recipe.yaml", "splits.json"),
    *("calibration.json", "calibration.safetensors", "training.json", "training.safetensors"),
    "appearance.safetensors",
)


@pytest.mark.parametrize("form", ["folder", "zip"])
@pytest.mark.parametrize("slot", SLOTS)
def test_a_pickle_in_every_slot(slot: str, form: str, sound: Parts, tmp_path: Path, canary: Path) -> None:
    parts = sound.copy()
    assert slot in parts.files
    parts.files[slot] = weapon(canary)
    refused(parts, tmp_path, form)


def test_every_file_is_a_slot_or_an_image(sound: Parts) -> None:
    assert {name for name in sound.files if not name.startswith("golden/")} == set(SLOTS)


def test_a_pickle_for_an_image(sound: Parts, tmp_path: Path, canary: Path) -> None:
    parts = sound.copy()
    for name in [name for name in parts.files if name.startswith("golden/")]:
        parts.files[name] = weapon(canary)
    refused(parts, tmp_path, words="is not an image that can be read")


def test_a_pickle_beside_the_files(sound: Parts, tmp_path: Path, canary: Path) -> None:
    """It is in the manifest, but nothing opens it."""
    parts = sound.copy()
    parts.files["evil.pkl"] = weapon(canary)
    take_up(parts.write(tmp_path, "folder"))


Spoil = Callable[[Parts], object]


def arrays(name: str, **changed: Any) -> Spoil:
    """A file with some arrays replaced; a function receives the old array."""

    def spoil(parts: Parts) -> None:
        held = load(parts.files[name])
        for entry, value in changed.items():
            held[entry] = value(held[entry]) if callable(value) else value
        parts.files[name] = save(held)

    return spoil


def every_array(change: Callable[[np.ndarray], np.ndarray]) -> Spoil:
    def spoil(parts: Parts) -> None:
        parts.files[DETECTOR] = save({n: change(a) for n, a in load(parts.files[DETECTOR]).items()})

    return spoil


def file(name: str, data: bytes) -> Spoil:
    return lambda parts: parts.files.__setitem__(name, data)


def manifest(path: str, value: object) -> Spoil:
    """An entry of the manifest, by its keys with dots between."""

    def spoil(parts: Parts) -> None:
        *keys, last = path.split("/")
        found = parts.manifest
        for key in keys:
            found = found[key]
        found[last] = value

    return spoil


def text(name: str, change: Callable[[Any], object]) -> Spoil:
    """A JSON file, changed."""

    def spoil(parts: Parts) -> None:
        held = json.loads(parts.files[name])
        change(held)
        parts.files[name] = json.dumps(held).encode()

    return spoil


def tree(name: str, node: int, value: object) -> Spoil:
    """A number of the forest's first tree."""
    return text(
        FOREST,
        lambda f: f["learner"]["gradient_booster"]["model"]["trees"][0][name].__setitem__(node, value),
    )


def with_nan(array: np.ndarray) -> np.ndarray:
    if array.dtype.kind != "f":
        return array
    array = array.copy()
    array.reshape(-1)[:1] = np.nan
    return array


def header(head: bytes, length: int | None = None, rest: bytes = b"") -> bytes:
    """A safetensors file with this header."""
    return struct.pack("<Q", len(head) if length is None else length) + head + rest


def picture(size: tuple[int, int], value: int = 0) -> bytes:
    import io

    buffer = io.BytesIO()
    Image.new("L", size, value).save(buffer, "PNG")
    return buffer.getvalue()


def deep(depth: int) -> list[Any]:
    found: list[Any] = []
    for _ in range(depth):
        found = [found]
    return found


RESNET = {"use": "segad:torchvision", "version": "0", "params": {"model": "resnet18"}}
FLOATS = '{"a":{"dtype":"F32","shape":[%s],"data_offsets":[0,%d]}}'

HOSTILE: dict[str, Spoil] = {
    # the forest
    "a child out of range": tree("left_children", 0, 10**7),
    "a child far below": tree("right_children", 0, -(2**31)),
    "a child that is its own": tree("left_children", 0, 0),
    "a feature that is not there": tree("split_indices", 0, 10**6),
    "a leaf that is not a number": tree("split_conditions", 0, float("nan")),
    "a leaf without end": tree("split_conditions", 0, float("inf")),
    "a forest of other features": text(
        FOREST, lambda f: f["learner"]["learner_model_param"].__setitem__("num_feature", "9999")
    ),
    "a forest in UBJ": file(FOREST, b"{L\x00\x00\x00\x00\x00\x00\x00\x07learner"),
    "another file of a forest": file("final/model.ubj", b"{}"),
    "no forest": lambda parts: parts.files.pop(FOREST),
    # arrays
    "weights that are no numbers": every_array(with_nan),
    "weights without end": every_array(lambda a: np.full_like(a, np.inf) if a.dtype.kind == "f" else a),
    "weights of another shape": every_array(lambda a: a[..., :1] if a.ndim else a),
    "weights of another type": every_array(lambda a: a.astype(np.int8)),
    "no weights": file(DETECTOR, save({})),
    "other weights": file(DETECTOR, save({"evil": np.zeros(3, np.float32)})),
    "half of the weights": lambda parts: file(DETECTOR, parts.files[DETECTOR][:-100])(parts),
    "a header of exabytes": file(DETECTOR, header(b"{}", 2**63 - 1)),
    "a header that is no JSON": file(DETECTOR, header(b"{evil}")),
    "a header of many brackets": file(DETECTOR, header(b"[" * 10**6)),
    "arrays beyond the end": file(DETECTOR, header((FLOATS % ("4", 16)).encode())),
    "arrays of exabytes": file(
        DETECTOR, header((FLOATS % ("9223372036854775807", 16)).encode(), rest=bytes(16))
    ),
    "a product that overflows": file(
        DETECTOR, header((FLOATS % ("4294967296,4294967296", 16)).encode(), rest=bytes(16))
    ),
    "features that are no numbers": arrays("training.safetensors", features=with_nan),
    "features of another width": arrays("training.safetensors", features=lambda a: a[:, :1].copy()),
    "fewer scores than images": arrays("calibration.safetensors", scores=lambda a: a[:1].copy()),
    "scores of another type": arrays("calibration.safetensors", scores=lambda a: a.astype(np.float32)),
    # plugins and parameters
    "an unknown plugin": manifest("pipeline/detectors/patchcore/use", "evil:patchcore"),
    "a module": manifest("pipeline/detectors/patchcore/use", "os:system"),
    "a path to a module": manifest("pipeline/detectors/patchcore/use", "segad:../../evil"),
    "a plugin of another kind": manifest("pipeline/detectors/patchcore/use", "segad:brf"),
    "a detector that knows names alone": manifest("pipeline/detectors/patchcore/use", "segad:precomputed"),
    "parameters of another": manifest("pipeline/detectors/patchcore/params", {"evil": 1}),
    "a parameter out of range": manifest("pipeline/final/params", {"max_depth": 10**9}),
    "a file outside": manifest("pipeline/segmenter/files", {"mask": ["../../../etc/passwd"]}),
    "a file of the system": manifest("pipeline/segmenter/files", {"mask": ["/etc/passwd"]}),
    "weights in a pickle": lambda parts: (
        file("files/encoder-file-0.pth", weapon(Path("canary")))(parts),
        manifest("pipeline/encoder", RESNET | {"files": {"file": ["files/encoder-file-0.pth"]}})(parts),
    ),
    "a pickle that is called an image": lambda parts: (
        file("files/encoder-file-0.png", weapon(Path("canary")))(parts),
        manifest("pipeline/encoder", RESNET | {"files": {"file": ["files/encoder-file-0.png"]}})(parts),
    ),
    "a blur of kilometres": manifest("pipeline/detectors/patchcore/params/blur_sigma", 1e9),
    "a billion rounds": manifest("pipeline/final/params", {"n_estimators": 10**9}),
    "a million trees": manifest("pipeline/final/params", {"n_estimators": 1000, "num_parallel_tree": 1000}),
    "a penalty without end": manifest("pipeline/final/params", {"reg_alpha": 1e300}),
    "a file that is a parameter": manifest("pipeline/segmenter/params/mask", "/etc/passwd"),
    "a file for what is none": manifest("pipeline/segmenter/files/segments", ["recipe.yaml"]),
    "weights from outside": manifest(
        "pipeline/encoder",
        {"use": "segad:timm", "version": "0", "params": {"model": "resnet18", "weights": "/etc/passwd"}},
    ),
    # the manifest
    "a newer format": manifest("format", 2),
    "an older format": manifest("format", 0),
    "a format in words": manifest("format", "1"),
    "an unknown key": manifest("evil", {}),
    "an unknown key of the setup": manifest("pipeline/hook", "os:system"),
    "a huge image": manifest("pipeline/size", [10**9, 10**9]),
    "a huge batch": manifest("pipeline/batch_size", 10**9),
    "no such seed": manifest("pipeline/seed", -1),
    "white that is black": manifest("pipeline/white", 0),
    "parameters nested deep": manifest("pipeline/final/params", {"a": deep(50)}),
    "a screen's commands": manifest("pipeline/row", "\x1b[2J\x1b]0;evil\x07"),
    "two setups in one": manifest("pipeline/score", True),
    "other segments": manifest("pipeline/segments", ["left", "evil"]),
    "other features": manifest("pipeline/names", ["evil"]),
    "a learner named as a path": lambda parts: parts.manifest["pipeline"]["detectors"].update(
        {"../evil": parts.manifest["pipeline"]["detectors"].pop("patchcore")}
    ),
    "another encoder's weights": manifest("pipeline/encoder_digest", "0" * 64),
    "no encoder": manifest("pipeline/encoder", None),
    # tables, golden images, masks
    "a threshold that is not a number": file(
        "operating.json", b'{"rule":{"kind":"catch","catch":0.95},"threshold":NaN}'
    ),
    "a threshold in words": text("operating.json", lambda p: p.__setitem__("threshold", "0")),
    "a rule in words": text("operating.json", lambda p: p.__setitem__("rule", "always OK")),
    "a golden image outside": text("golden.json", lambda g: g[0].__setitem__("file", "../../secret.png")),
    "a golden image that is a table": text("golden.json", lambda g: g[0].__setitem__("file", "recipe.yaml")),
    "no golden image": file("golden.json", b"[]"),
    "golden images without end": file("golden.json", b"[" * 10**6),
    "a label that is none": text("calibration.json", lambda t: t[0].__setitem__("label", 7)),
    "a digest that is none": text("training.json", lambda t: t[0].__setitem__("digest", "../evil")),
    "a golden image a thousand times": text("golden.json", lambda g: g.extend([g[0]] * 1000)),
    "a golden image twice": text("golden.json", lambda g: g.append(g[0])),
    "golden images that are none": file("golden.json", b"[" + b"{}," * 500_000 + b"{}]"),
    "children that are none": text(
        FOREST,
        lambda f: f["learner"]["gradient_booster"]["model"]["trees"][0].update(left_children=["x"] * 10**6),
    ),
    "features that are none": manifest("pipeline/names", [1] * 200_000),
    "a screen's commands for an image": text("calibration.json", lambda t: t[0].update(id="\x1b[2J")),
    "a screen's commands for a version": manifest("provenance/environment", {"torch": "\x1b[2J"}),
    "features without a shape": arrays("calibration.safetensors", features=np.array(1.0)),
    "lots that cannot be": text("operating.json", lambda p: p["lots"].update(named=-7)),
    "a cost that cannot be": text("operating.json", lambda p: p.update(cost=-3.0)),
    "keys that stand there twice": file("operating.json", b'{"threshold":1,"threshold":2}'),
    "a mask that is a bomb": file(MASK, picture((12_000, 12_000))),
    "a mask of another shape": file(MASK, picture((480, 48))),
    "a mask of more segments": file(MASK, picture((48, 48), 200)),
    "a mask that is none": file(MASK, b"evil"),
    "a recipe that is no text": file("recipe.yaml", b"\xff\xfe\x00"),
    "splits that are no JSON": file("splits.json", b"{'a': evil}"),
}


@pytest.mark.parametrize("spoil", HOSTILE.values(), ids=HOSTILE)
def test_hostile_bundles_are_refused(spoil: Spoil, sound: Parts, tmp_path: Path) -> None:
    parts = sound.copy()
    spoil(parts)
    assert (parts.manifest, parts.files) != (sound.manifest, sound.files)
    refused(parts, tmp_path)


@pytest.mark.parametrize(
    ("use", "model"), [("segad:torchvision", "resnet18"), ("segad:timm", "resnet18.a1_in1k")]
)
def test_nothing_is_fetched(
    use: str, model: str, sound: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TORCH_HOME", "HF_HOME", "HF_HUB_CACHE"):
        monkeypatch.setenv(name, str(tmp_path / "empty"))
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("a connection"))
    parts = sound.copy()
    parts.manifest["pipeline"]["encoder"] = {"use": use, "version": "0", "params": {"model": model}}
    said = refused(parts, tmp_path, words="never downloads")
    assert "resnet18" in said


def test_there_are_enough_of_them() -> None:
    assert len(HOSTILE) >= 40


YAML = {
    "a bomb": b"a: &a [x, x]\n"
    + b"".join(b"%c: &%c [*%c, *%c]\n" % (i + 1, i + 1, i, i) for i in range(97, 122)),
    "code": b"!!python/object/apply:os.mkdir [{canary}]",
}


@pytest.mark.parametrize("name", YAML)
def test_the_recipe_is_for_people_and_no_parser_sees_it(
    name: str, sound: Parts, tmp_path: Path, canary: Path
) -> None:
    parts = sound.copy()
    parts.files["recipe.yaml"] = YAML[name].replace(b"{canary}", str(canary).encode())
    assert take_up(parts.write(tmp_path, "folder"))


def test_one_byte_flipped_in_every_file(sound: Parts, tmp_path: Path) -> None:
    """Nothing is parsed before its digest is checked: each file is refused for its digest."""
    signed = sound.signed()
    for number, name in enumerate(sorted(signed)):
        place = tmp_path / str(number)
        spoilt = bytearray(signed[name])
        spoilt[len(spoilt) // 2] ^= 1
        for other, data in {**signed, name: bytes(spoilt)}.items():
            (place / other).parent.mkdir(parents=True, exist_ok=True)
            (place / other).write_bytes(data)
        with pytest.raises(BundleError, match="has changed"):
            take_up(place)
