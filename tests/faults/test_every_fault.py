"""Every open, read, write, sync, rename and decode fails once in each of its ways: told, and nothing lost."""

from __future__ import annotations

import errno
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from builders import data_set, picture, segad
from click.testing import Result
from faulty import Operation
from light_bundle import install, made
from PIL import Image
from scenario import Scenario, Trial

from segad_core.base import files
from segad_core.base.decoding import Decoding
from segad_core.base.leftovers import scratch_folder, temporary_folder
from segad_core.base.locks import held
from segad_core.bundle.format.container import Container
from segad_core.bundle.format.writing import replace_bundle, write_bundle
from segad_core.bundle.runtime.bundle import Bundle
from segad_core.bundle.runtime.prediction import Prediction
from segad_core.contracts import Sample
from segad_core.images.arrays import read_array
from segad_core.images.decode import decode
from segad_core.images.inventory import take_inventory
from segad_core.images.labels import read_labels, write_labels
from segad_core.images.masks import read_mask
from segad_core.recipe.published import published
from segad_core.split.file import read_splits
from segad_core.store.arrays import kept
from segad_core.store.checkpoints import FolderCheckpoint
from segad_core.store.records import Records
from segad_core.store.store import Store
from segad_core.tools.results import Mode, open_results

KEY = "ab" + 62 * "0"
FILES = {"values.npy": bytes(range(256)) * 4, "columns.json": b'["a", "b"]'}


def _nothing(home: Path) -> None: ...


def _old_file(home: Path) -> None:
    (home / "a.csv").write_text("old")


def _write(home: Path) -> None:
    files.write_atomic(home / "a.csv", "new")


def _old_folder(home: Path) -> None:
    (home / "maps").mkdir()
    (home / "maps" / "a").write_text("old")


def _replace(home: Path) -> None:
    with temporary_folder(home / "maps") as part:
        (part / "a").write_text("new")
        files.replace_folder(home / "maps", part)


def _scratch(home: Path) -> bytes:
    with scratch_folder() as folder:
        (folder / "a").write_bytes(b"a")
        return (folder / "a").read_bytes()


def _held(home: Path) -> None:
    with held(home / "a.csv", "Wait."):
        files.write_atomic(home / "a.csv", "new")


def _put(home: Path) -> None:
    Store(home / "store").put(KEY, "fit", FILES)


def _full_store(home: Path) -> None:
    _put(home)


def _get(home: Path) -> object:
    return Store(home / "store").get(KEY)


def _corrupt_store(home: Path) -> None:
    _put(home)
    (home / "store" / "objects" / "ab" / KEY / "values.npy").write_bytes(b"torn")


def _kept(home: Path) -> object:
    return sorted(kept(Store(home / "store"), KEY, "fit", lambda: {"a": np.arange(4.0)}))


def _old_records(home: Path) -> None:
    Records(Store(home / "store"), "facts").add({"a": 1})


def _records(home: Path) -> object:
    records = Records(Store(home / "store"), "facts")
    records.add({"b": 2})
    return records.read()


def _old_checkpoint(home: Path) -> None:
    FolderCheckpoint(home / "checkpoints").save({"step": np.array(1)})


def _checkpoint(home: Path) -> object:
    FolderCheckpoint(home / "checkpoints").save({"step": np.array(2)})


def _load_checkpoint(home: Path) -> object:
    return FolderCheckpoint(home / "checkpoints").load()


def _images(home: Path) -> None:
    data_set(home / "data", good=2, bad=1)
    write_labels(home / "mask.png", np.eye(48, dtype=np.uint8), 2)
    np.save(home / "map.npy", np.ones((4, 5), np.float32))
    Image.fromarray(picture(3)).save(home / "a.jpg")


def _decode(home: Path) -> object:
    return decode(home / "data/a/good/000.png").pixels.tobytes(), decode(home / "a.jpg").pixels.tobytes()


def _read_labels(home: Path) -> object:
    return read_labels(home / "mask.png").tobytes(), read_mask(home / "mask.png").tobytes()


def _read_array(home: Path) -> object:
    return read_array(home / "map.npy", "f").tobytes()


def _splits(home: Path) -> None:
    (home / "splits.json").write_text(
        json.dumps({"a": {"0": {"seed": 0, "detectors": [], "final": [], "test": []}}})
    )
    (home / "figures.yaml").write_text("source: x\ncategories: [a]\nfigures: {auroc: {SegAD: {a: 99}}}\n")


def _read_texts(home: Path) -> object:
    return read_splits(home / "splits.json"), published(str(home / "figures.yaml"), home)


def _inventory(home: Path) -> object:
    samples = [Sample(path.name, path, 0) for path in sorted((home / "data").rglob("*.png"))]
    found = take_inventory(samples, Decoding(), Store(home / "store"))
    return found.samples, found.facts, {name: str(error) for name, error in found.unreadable.items()}


def _write_labels(home: Path) -> None:
    write_labels(home / "mask.png", np.ones((48, 48), np.uint8), 2)


def _forbidden(operation: Operation, code: int, outcome: object) -> bool:
    """Images that may not be read are left out or UNKNOWN; a system may have no links."""
    if code != errno.EACCES:
        return False
    if operation.kind == "link":
        return "/run/folder.py" in operation.site[0]
    given = re.search(r"/(data|new)(/|$)|/(a\.jpg|mask\.png|map\.npy)$", operation.path)
    return given is not None and operation.kind in ("open", "list")


PREDICTIONS = [Prediction(f"{number}.png", "OK", number / 7, "", ()) for number in range(4)]


def _results(name: str, mode: Mode) -> Callable[[Path], object]:
    def write(home: Path) -> object:
        with open_results(home / name, "0" * 64, False, mode) as results:
            done = [p for p in PREDICTIONS if p.image in set(results.left([q.image for q in PREDICTIONS]))]
            for prediction in done:
                results.write([prediction])
        return sorted(results.verdicts.items())

    return write


def _some_results(name: str) -> Callable[[Path], object]:
    def write(home: Path) -> object:
        with open_results(home / name, "0" * 64, False, "new") as results:
            results.write(PREDICTIONS[:2])
        if name != "r.parquet":
            with (home / name).open("ab") as file:
                file.write(b"torn")
        return None

    return write


def _some_without_score(name: str) -> Callable[[Path], object]:
    def write(home: Path) -> object:
        torn = [replace(one, verdict="UNKNOWN", score=None, reason="torn") for one in PREDICTIONS]
        with open_results(home / name, "0" * 64, False, "new") as results:
            results.write([torn[0], PREDICTIONS[1], torn[2], torn[3]])
        return None

    return write


def _tried_again(name: str) -> Callable[[Path], object]:
    """Two of three images can be read now."""

    def write(home: Path) -> object:
        now = {one.image: one for one in PREDICTIONS[:3]}
        now["3.png"] = replace(PREDICTIONS[3], verdict="UNKNOWN", score=None, reason="is gone")
        with open_results(home / name, "0" * 64, False, "resume") as results:
            assert not list(results.left(now))
            for image in results.again():
                results.write([now[image]])
        return sorted(results.verdicts.items()), results.unscored

    return write


def _bundle(home: Path) -> None:
    """A bundle as a folder and as a zip, and two images."""
    shutil.copytree(made() / "b", home / "b")
    shutil.copy(made() / "b.zip", home / "b.zip")
    for label in ("good", "bad"):
        shutil.copytree(made() / "data/a" / label, home / "new" / label, ignore=lambda _, names: names[2:])


def _workplace(home: Path) -> None:
    """A data set, the recipe for it, and a store in which all is done."""
    for name in ("data", "store"):
        shutil.copytree(made() / name, home / name)
    shutil.copy(made() / "tiny.yaml", home / "tiny.yaml")


def _finished(home: Path) -> None:
    _workplace(home)
    shutil.copytree(made() / "runs", home / "runs", symlinks=True)


def _command(*words: str) -> Callable[[Path], Result]:
    """A command of segad's, in which `@` stands for the folder."""

    def run(home: Path) -> Result:
        return segad(*(word.replace("@", f"{home}/") for word in words))

    return run


def _read_bundle(name: str) -> Callable[[Path], object]:
    def read(home: Path) -> object:
        container = Container(home / name)
        try:
            container.verify()
            return container.json("golden.json"), container.file("golden/0.png").read_bytes()
        finally:
            container.close()

    return read


def _predict(home: Path) -> object:
    with Bundle.load(home / "b", "cpu") as bundle:
        return bundle.predict(sorted((home / "new").rglob("*.png")))


def _write_bundle(name: str) -> Callable[[Path], object]:
    def write_it(home: Path) -> None:
        container = Container(home / "b")
        try:
            members = {name: container.member(name) for name in container.manifest.files}
            write_bundle(home / name, container.manifest, {**members, "recipe.yaml": b"{}"})
        finally:
            container.close()

    return write_it


def _replaced_bundle(name: str) -> Callable[[Path], object]:
    def act(home: Path) -> None:
        container = Container(home / name)
        try:
            members = {name: container.member(name) for name in container.manifest.files}
            replace_bundle(container, {**members, "recipe.yaml": b"{}"})
        finally:
            container.close()

    return act


CPU = ("--device", "cpu")
RUN = ("run", "@tiny.yaml", "--store", "@store", "--runs", "@runs", *CPU)
VARIES = ("runs/tiny/*/environment.json", "runs/tiny/*/run.log", "store/records*", "tmp/*")
FIT = ("fit", "@tiny.yaml", "--category", "a", "--row", "SegAD", *CPU, "--store", "@store")
PREDICT = ("predict", "@b", "@new", *CPU, "-o")

STORE: dict[str, Scenario] = {
    "a file is written": Scenario(_nothing, _write, raw=True),
    "a file is replaced": Scenario(_old_file, _write, raw=True),
    "a folder is written": Scenario(_nothing, _replace, raw=True),
    "a folder is replaced": Scenario(_old_folder, _replace, raw=True),
    "a scratch folder": Scenario(_nothing, _scratch, raw=True),
    "an output is held": Scenario(_old_file, _held, raw=True),
    "an artifact is put": Scenario(_nothing, _put),
    "an artifact is read": Scenario(_full_store, _get),
    "a corrupt artifact is read": Scenario(_corrupt_store, _get, true=("corrupt",)),
    "arrays are kept": Scenario(_nothing, _kept),
    "records are added": Scenario(_old_records, _records),
    "a checkpoint is saved": Scenario(_old_checkpoint, _checkpoint),
    "a checkpoint is read": Scenario(_old_checkpoint, _load_checkpoint),
}
IMAGES: dict[str, Scenario] = {
    "images are decoded": Scenario(_images, _decode, excused=_forbidden),
    "labels are read": Scenario(_images, _read_labels, excused=_forbidden),
    "labels are replaced": Scenario(_images, _write_labels, raw=True),
    "an array is read": Scenario(_images, _read_array, excused=_forbidden),
    "splits and figures are read": Scenario(_splits, _read_texts),
    "an inventory is taken": Scenario(_images, _inventory, excused=_forbidden),
}
RESULTS: dict[str, Scenario] = {
    f"{mode} {name}": Scenario(
        _nothing if mode == "new" else _some_results(name),
        _results(name, mode),
        again=_results(name, "resume"),
        grows=(name, f"{name}.journal"),
    )
    for mode in ("new", "resume", "force")
    for name in ("r.csv", "r.jsonl", "r.parquet")
}
RESULTS |= {
    f"try again {name}": Scenario(
        _some_without_score(name),
        _tried_again(name),
        grows=(name, f"{name}.journal") if name == "r.parquet" else (),
        mends=(name,),
    )
    for name in ("r.csv", "r.jsonl", "r.parquet")
}
BUNDLES: dict[str, Scenario] = {
    "a folder is read": Scenario(_bundle, _read_bundle("b"), depth=4),
    "a zip is read": Scenario(_bundle, _read_bundle("b.zip"), depth=4),
    "a folder is written": Scenario(_bundle, _write_bundle("n"), depth=4),
    "a zip is written": Scenario(_bundle, _write_bundle("n.zip"), depth=4),
    "a folder is replaced": Scenario(_bundle, _replaced_bundle("b"), depth=4),
    "a zip is replaced": Scenario(_bundle, _replaced_bundle("b.zip"), depth=4),
    "images are inspected": Scenario(_bundle, _predict, depth=4, excused=_forbidden),
}
COMMANDS: dict[str, Scenario] = {
    "predict": Scenario(
        _bundle,
        _command(*PREDICT, "@r.csv"),
        _command(*PREDICT, "@r.csv", "--resume"),
        grows=("r.csv",),
    ),
    "predict --overlays": Scenario(
        _bundle,
        _command(*PREDICT, "@r.csv", "--overlays", "@o"),
        _command(*PREDICT, "@r.csv", "--overlays", "@o", "--resume"),
        grows=("r.csv",),
    ),
    "operate": Scenario(_bundle, _command("operate", "@b", "--false-rejects", "1/10")),
    "learn": Scenario(_bundle, _command("learn", "@b", "--bad", "@new/bad", *CPU, "-o", "@c")),
    "bundle verify": Scenario(_bundle, _command("bundle", "verify", "@b.zip")),
    "fit": Scenario(_workplace, _command(*FIT, "-o", "@n"), varies=VARIES),
    "maps": Scenario(_workplace, _command("maps", "@tiny.yaml", "--store", "@store", *CPU, "-o", "@maps")),
    "run": Scenario(_workplace, _command(*RUN), varies=VARIES),
    "run again": Scenario(_finished, _command(*RUN), varies=VARIES),
}
COMMANDS = {
    name: replace(scenario, excused=_forbidden, every=False, depth=2) for name, scenario in COMMANDS.items()
}


@pytest.fixture(autouse=True)
def _fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)


def check(scenario: Scenario, folder: Path) -> int:
    """Lets everything in a scenario fail; the number of cases."""
    cases, wrong = Trial(scenario, folder / "home").run()
    assert not wrong, f"{len(wrong)} of {cases} cases:\n" + "\n".join(wrong[:40])
    return cases


@pytest.mark.parametrize("name", STORE)
def test_files_and_store(name: str, tmp_path: Path) -> None:
    assert check(STORE[name], tmp_path) >= 3


@pytest.mark.parametrize("name", IMAGES)
def test_images(name: str, tmp_path: Path) -> None:
    assert check(IMAGES[name], tmp_path) >= 3


@pytest.mark.parametrize("name", RESULTS)
def test_results(name: str, tmp_path: Path) -> None:
    assert check(RESULTS[name], tmp_path) >= 10


@pytest.mark.parametrize("name", BUNDLES)
def test_bundles(name: str, tmp_path: Path) -> None:
    assert check(BUNDLES[name], tmp_path) >= 10


@pytest.mark.parametrize("name", COMMANDS)
def test_commands(name: str, tmp_path: Path) -> None:
    assert check(COMMANDS[name], tmp_path) >= 20
