"""Text from elsewhere: no name, title or message reaches the terminal, the log or the table as a command."""

from __future__ import annotations

import ast
import json
import logging
import re
import shutil
import subprocess
import sys
import tempfile
import unicodedata
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import fakes
import numpy as np
import pytest
from builders import picture, segad
from click.testing import CliRunner, Result
from numpy.typing import NDArray
from PIL import Image
from trained_bundles import bad, bundle_of, good

import segad_core
from segad_core.api import Dataset, Detector, ImageBatch, ImageSet, Parameters, Run, Sample, hookimpl
from segad_core.base.leftovers import temporary_name
from segad_core.cli import main
from segad_core.cli.out import OneWayOut, from_libraries
from segad_core.errors import DataError
from segad_core.plugins.registry import Provider, Registry

EVIL = "x\x1b]0;pwn\x07\rerror: all parts OK\nerror: all parts OK\x9b\u202egpj\u2066\x85\u2028|<b>"
"""Sets the title of a terminal, draws over its line, begins another line, and turns text around."""

FILE = f"{EVIL.replace('<b>', '')}.png"
CORE = Path(segad_core.__file__).parent
TERMINAL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def harmless(text: str) -> None:
    """A terminal shows it and does nothing else, and no name in it begins a line of its own."""
    assert not TERMINAL.search(text), ascii(text)
    assert not any(unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp") for c in text if c != "\n")
    assert not re.search(r"^ *error: all parts OK", text, re.MULTILINE), text


def shown(result: Result, code: int | None = 0) -> str:
    """What a command said, which is harmless."""
    harmless(result.stdout)
    harmless(result.stderr)
    assert "\\x1b]0;pwn" in result.output, result.output
    assert isinstance(result.exception, SystemExit | None), repr(result.exception)
    assert code is None or result.exit_code == code, result.output
    return str(result.output)


class Evil(Detector):
    __doc__ = EVIL.partition("\n")[0]

    class Params(Parameters):
        """Where it says so."""

        fails: bool = False

    params: Params

    def fit(self, images: ImageSet, run: Run) -> None:
        run.progress(EVIL, 1, 2, EVIL)
        logging.getLogger("segad.plugins").warning("fitted %s", EVIL)
        logging.getLogger("elsewhere").warning("fitted %s", EVIL)
        warnings.warn(EVIL, stacklevel=1)
        if self.params.fails:
            raise ValueError(EVIL)

    def anomaly_maps(self, batch: ImageBatch) -> NDArray[np.float32]:
        return batch.pixels[..., 0].astype(np.float32)

    def state(self) -> Mapping[str, NDArray[np.generic]]:
        return {"nothing": np.zeros(1)}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None: ...

    def notes(self) -> Sequence[str]:
        return [EVIL]


class EvilData(Dataset):
    __doc__ = EVIL.partition("\n")[0]
    licence = EVIL
    source = EVIL

    class Params(Parameters):
        """Whether it fails."""

        fails: bool = False

    params: Params

    def categories(self) -> Sequence[str]:
        return [EVIL]

    def samples(self, category: str) -> Sequence[Sample]:
        if self.params.fails:
            raise DataError(EVIL, f"Ask {EVIL!a}.\nOr not.")
        home = Path("data")
        return [
            Sample(f"{label}/{i}{FILE}", home / f"{label}{i}{FILE}", label, defect=EVIL if label else "")
            for label in (0, 1)
            for i in range(9)
        ]


class EvilHook:
    """Says so."""

    @hookimpl
    def run_started(self) -> None:
        raise RuntimeError(EVIL)


@pytest.fixture
def evil(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with images, and plugins that say nothing good."""
    fakes.install(monkeypatch)
    kinds = {"detectors": "Evil", "datasets": "EvilData", "hooks": "EvilHook"}
    own = [Provider(kind, name.lower(), "evil", "1.0", f"{__name__}:{name}") for kind, name in kinds.items()]
    own.append(Provider("detectors", "absent", EVIL, EVIL, f"{__name__}:Absent{EVIL}"))
    installed = Registry.providers

    def providers(self: Registry, kind: str | None = None) -> list[Provider]:
        return installed(self, kind) + [p for p in own if kind in (None, p.kind)]

    monkeypatch.setattr(Registry, "providers", providers)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    for label in (0, 1):
        for i in range(9):
            Image.fromarray(picture(i, bool(label))).save(tmp_path / "data" / f"{label}{i}{FILE}", "png")
    yield tmp_path


def recipe(place: Path, **changes: object) -> Path:
    plain = {
        "segad": 1,
        "title": EVIL,
        "dataset": {"use": "evildata"},
        "image": {"size": [48, 48]},
        "split": {"seeds": [0], "test": {"good": 3, "bad": 3}, "detectors": {"good": 3}},
        "detectors": {"evil": {"use": "evil"}},
        "hooks": ["evilhook"],
        "segmenter": "whole_image",
        "features": ["mean"],
        "final": "table",
        "rows": [{"name": EVIL, "score": "evil"}, {"name": "S", "detectors": ["evil"]}],
        **changes,
    }
    path = place / "evil.yaml"
    path.write_text(json.dumps(plain))
    return path


def ran(path: Path, *words: str) -> Result:
    return segad("run", path, "--store", "store", "--runs", "runs", "--device", "cpu", *words)


@pytest.mark.filterwarnings("ignore")
def test_a_run(evil: Path) -> None:
    (evil / "data" / f"05{FILE}").write_bytes(b"")
    text = shown(ran(recipe(evil)), 3)
    assert "not read: " in text and "hook" in text and "table.md" not in text
    (home,) = {path.resolve() for path in (evil / "runs").glob("*/latest")}
    log, table = (home / "run.log").read_text(), (home / "table.md").read_text()
    harmless(log)
    harmless(table)
    assert "fitted x\\x1b]0;pwn\\x07\\x0derror: all parts OK\\x0aerror" in log
    assert "<b>" not in table and "&lt;b&gt;" in table
    assert len({line.count(" | ") for line in table.splitlines() if line.startswith("| ")}) <= 2


@pytest.mark.filterwarnings("ignore")
def test_a_run_that_fails(evil: Path) -> None:
    path = recipe(evil, detectors={"evil": {"use": "evil", "params": {"fails": True}}})
    text = shown(ran(path), 1)
    assert "ValueError: x\\x1b" in text
    (log,) = {path.resolve() for path in (evil / "runs").glob("*/*/run.log")}
    harmless(log.read_text())
    assert "the run stopped: " in log.read_text()
    trace = shown(ran(path, "--debug"), 1)
    assert "| Traceback" in trace and "| segad_core.errors.PluginFailure: " in trace


BAD_RECIPES: dict[str, dict[str, object]] = {
    "a plugin's name": {"detectors": {"evil": {"use": EVIL}}},
    "a key": {EVIL: 1},
    "a value": {"segad": EVIL},
    "a list": {"features": [EVIL]},
    "a parameter": {"detectors": {"evil": {"use": "evil", "params": {EVIL: EVIL, "fails": EVIL}}}},
    "a detector's name": {"detectors": {EVIL: {"use": "evil"}}},
    "a broken plugin": {"detectors": {"evil": {"use": "absent"}}},
    "a category": {"categories": [EVIL + "y"]},
    "a row": {"rows": [{"name": "a", "score": EVIL}]},
    "published": {"compare_with": EVIL},
    "a split": {"split": {"file": EVIL}},
    "a data set that fails": {"dataset": {"use": "evildata", "params": {"fails": True}}},
    "a path": {"dataset": {"use": "folder", "params": {"root": EVIL}}},
    "images to leave out": {"split": {"leave_out": {EVIL: [EVIL]}}},
}


@pytest.mark.parametrize("name", BAD_RECIPES)
def test_a_recipe_that_is_refused(name: str, evil: Path) -> None:
    assert "error: " in shown(segad("check", recipe(evil, **BAD_RECIPES[name]), "--store", "store"), None)


FIT = ("fit", "evil.yaml", "-o", "b", "--store", "store")
COMMANDS: dict[str, Sequence[str]] = {
    "check": ("check", "evil.yaml", "--store", "store"),
    "check --set": ("check", "evil.yaml", "--set", f"title.{EVIL}=1"),
    "check, nothing there": ("check", EVIL),
    "maps": ("maps", "evil.yaml", "-o", EVIL, "--store", "store"),
    "maps --detector": ("maps", "evil.yaml", "-o", "maps", "--store", "store", "--detector", EVIL),
    "fit --row": ("fit", "evil.yaml", "-o", "b", "--store", "store", "--category", EVIL, "--row", EVIL + "y"),
    "fit --category": (
        "fit",
        "evil.yaml",
        "-o",
        "b",
        "--store",
        "store",
        "--category",
        "y" + EVIL,
        "--row",
        "S",
    ),
    "datasets": ("datasets",),
    "datasets check": ("datasets", "check", "evildata", "--store", "store", "--all"),
    "datasets check, failing": ("datasets", "check", "evildata", "--param", "fails=true", "--store", "store"),
    "datasets check NAME": ("datasets", "check", EVIL),
    "datasets check --root": ("datasets", "check", "folder", "--root", EVIL),
    "datasets check --param": ("datasets", "check", "evildata", "--param", f"{EVIL}={EVIL}"),
    "datasets check --category": ("datasets", "check", "evildata", "--category", EVIL + "y"),
    "list-plugins": ("list-plugins",),
    "list-plugins --check": ("list-plugins", "--check", "--kind", "detectors"),
    "mask new": ("mask", "new", "--image", f"data/00{FILE}", "-o", f"mask{FILE}", "--segments", "a,b"),
    "mask new, a bad image": ("mask", "new", "--image", EVIL),
    "mask new --segments": ("mask", "new", "--image", f"data/00{FILE}", "--segments", EVIL),
    "mask new --size": ("mask", "new", "--image", f"data/00{FILE}", "--size", EVIL),
    "mask preview": ("mask", "preview", "evil.yaml", "--store", "store", "-o", f"seen{FILE}"),
    "mask preview --image": ("mask", "preview", "evil.yaml", "--store", "store", "--image", EVIL),
    "an unknown option": ("check", f"--{EVIL}"),
    "an unknown command": (EVIL,),
    "a choice": ("run", "evil.yaml", "--device", EVIL),
    "a number": ("fit", "evil.yaml", "--category", "a", "--row", "b", "-o", "c", "--seed", EVIL),
    "too many words": ("run", "evil.yaml", EVIL),
    "predict, no bundle": ("predict", EVIL, "data"),
    "operate, no bundle": ("operate", EVIL, "--show"),
    "operate --catch": ("operate", "b", "--catch", EVIL),
    "bundle show, no bundle": ("bundle", "show", EVIL),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_words_of_the_command_line(name: str, evil: Path) -> None:
    recipe(evil)
    assert shown(segad(*COMMANDS[name]), None)


def bundle(place: Path) -> Path:
    """A bundle in a folder of a terrible name."""
    return Path(shutil.copytree(bundle_of("SegAD"), place / EVIL))


def lot(place: Path) -> Path:
    (place / "lot").mkdir()
    shutil.copy(good(0), place / "lot" / FILE)
    shutil.copy(good(1), place / "lot" / f"{FILE}.other")
    (place / "lot" / f"empty{FILE}").touch()
    return place / "lot"


@pytest.mark.parametrize(
    "words", [(), ("--explain",), ("-o", f"{EVIL}.csv")], ids=["lines", "reasons", "file"]
)
def test_predictions(words: Sequence[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = shown(segad("predict", bundle(tmp_path), lot(tmp_path), "--device", "cpu", *words), 3)
    assert "note: " in text and "not scored: " in text


@pytest.mark.parametrize(
    "words",
    [
        ("predict", EVIL),
        ("predict", f"{EVIL}*"),
        ("predict", "lot", "-o", EVIL),
        ("learn", "--bad", EVIL, "-o", "new"),
    ],
    ids=["no image", "no match", "no form", "nothing to learn"],
)
def test_what_is_refused(words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lot(tmp_path)
    command, *others = words
    result = segad(command, bundle_of("SegAD"), *others)
    assert shown(result, None) and result.exit_code != 0


def test_what_is_taught(tmp_path: Path) -> None:
    home = lot(tmp_path)
    (home / f"empty{FILE}").unlink()
    words = ("--good", home, "--bad", bad(0), "-o", tmp_path / f"new{EVIL}", "--device", "cpu")
    assert "note: " in shown(segad("learn", bundle(tmp_path), *words))


@pytest.mark.parametrize("words", [("operate", "--catch", "0.9"), ("operate", "--show")], ids=str)
def test_a_threshold(words: tuple[str, ...], tmp_path: Path) -> None:
    command, *options = words
    shown(segad(command, bundle(tmp_path), *options))


@pytest.mark.parametrize("command", ["show", "verify"])
def test_a_bundle(command: str, tmp_path: Path) -> None:
    shown(segad("bundle", command, bundle(tmp_path), *(["--device", "cpu"] if command == "verify" else [])))


def test_leftovers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    (tmp_path / "out").mkdir()
    left = temporary_name(tmp_path / "out" / EVIL)
    left.touch()
    assert "removed " in shown(segad("clean", "out"))
    assert not left.exists()
    assert shown(segad("clean", EVIL), 2)


def test_warnings_and_stray_log_messages_of_libraries() -> None:
    before = (warnings.formatwarning, logging.lastResort and logging.lastResort.formatter)
    record = logging.makeLogRecord({"msg": EVIL, "levelno": logging.WARNING, "levelname": "WARNING"})
    with from_libraries():
        assert logging.lastResort is not None
        harmless(logging.lastResort.format(record))
        assert not TERMINAL.search(warnings.formatwarning(EVIL, UserWarning, f"{EVIL}.py", 1))
    assert before == (warnings.formatwarning, logging.lastResort and logging.lastResort.formatter)


def test_a_json_answer_stays_as_it_was(tmp_path: Path) -> None:
    result = segad("bundle", "show", bundle(tmp_path), "--json")
    assert result.stdout.isascii() and json.loads(result.stdout)["bundle"] == str(tmp_path / EVIL)


@pytest.mark.parametrize(
    "error", [OSError(13, "no", EVIL), ValueError(EVIL), OSError(28, "full", EVIL)], ids=repr
)
def test_errors_that_nobody_expects(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def raises(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(Registry, "providers", raises)
    text = shown(segad("list-plugins"), 1)
    assert ("bug in segad" in text) == isinstance(error, ValueError)
    if isinstance(error, OSError):
        assert str(error.strerror) in text


def test_missing_memory_is_no_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    def raises(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(Registry, "providers", raises)
    result = segad("list-plugins")
    assert result.stderr.startswith("error: segad list-plugins: out of memory\n  Close other programs")


def test_a_usage_error_keeps_its_form_and_its_exit_code() -> None:
    result = segad("predict")
    assert result.exit_code == 2
    assert (
        result.stderr.startswith("Usage: ")
        and "Try '" in result.stderr
        and "\nError: Missing" in result.stderr
    )
    assert segad("--help").exit_code == 0 and segad("run", "--help").stdout.startswith("Usage: ")
    assert isinstance(main, OneWayOut)


PRINTERS = {"cli/out.py", "tools/results/printed.py"}


def prints(node: ast.AST) -> bool:
    """Whether a call may write to the terminal."""
    if not isinstance(node, ast.Call):
        return False
    words = ast.unparse(node.func)
    return (
        words in ("print", "echo", "secho")
        or re.search(r"(click\.s?echo|console\.(print|log)|std(out|err)\.write\w*|_stream\.write)$", words)
        is not None
    )


@pytest.mark.parametrize("kind", ["a module that may", "all others"])
def test_nothing_else_prints(kind: str) -> None:
    found = {
        path.relative_to(CORE).as_posix()
        for path in CORE.rglob("*.py")
        if any(map(prints, ast.walk(ast.parse(path.read_text(encoding="utf-8")))))
    }
    assert (found >= PRINTERS) if kind == "a module that may" else (found <= PRINTERS)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("words", [["--help"], ["--version"]])
def test_a_full_disk_behind_standard_output_is_told_in_a_line(words: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "segad_core.cli", *words], stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == 1
    assert done.stderr.decode() == "error: standard output: No space left on device\n"


def test_an_error_names_the_whole_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("segad_core.bundle.format.container.Container", fail)
    assert "segad bundle show: out of memory" in CliRunner().invoke(main, ["bundle", "show", "x"]).stderr
