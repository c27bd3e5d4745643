"""What the zoo's tests share: environments, plugins made on the fly, pictures, and segad as a process."""

import csv
import json
import os
import re
import shutil
import site
import subprocess
import sys
import textwrap
import venv
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from nursery import Ended, nursery
from PIL import Image

EXAMPLE = Path(__file__).parents[2] / "plugins" / "segad-plugin-example"

# a detector in five lines; importing it leaves a trace
_TINY = '''
import os
import pathlib

import numpy as np
from segad_core.api import Detector

pathlib.Path(os.environ["ZOO_TRACES"], __name__).touch()


class Tiny(Detector):
    """Distance to the mean picture."""

    def fit(self, images, run):
        self.mean = np.concatenate([b.pixels for b in images.batches()]).mean(0).astype(np.float32)

    def anomaly_maps(self, batch):
        return np.abs(batch.pixels - self.mean).mean(-1)

    def state(self):
        return {"mean": self.mean}

    def restore(self, state):
        self.mean = state["mean"]
'''


class Answer(Ended):
    """How a process ended."""

    def plugins(self):
        """The lines of `list-plugins --json`, by kind and distribution:name."""
        return {(p["kind"], f"{p['distribution']}:{p['name']}"): p for p in json.loads(self.out)}

    def line(self, *words):
        """The cells of the one printed line that begins with these words."""
        rows = [re.split(r"\s{2,}", line.strip()) for line in self.out.splitlines()]
        (found,) = [row for row in rows if tuple(row[: len(words)]) == words]
        return found


@dataclass
class House:
    """A Python to run segad with, the folder to run it in, and what its path holds beside the usual.

    Attributes:
        packages: the folder of the packages that are installed in this Python alone.
    """

    home: Path
    python: Path = Path(sys.executable)
    packages: Path | None = None
    TINY: ClassVar = ("tiny", "[segad.detectors]\ntiny = tiny_module:Tiny\n", "tiny_module", _TINY)
    """The arguments of `plugin` that make a small sound one."""

    def __post_init__(self):
        (self.home / "path").mkdir(parents=True, exist_ok=True)
        (self.home / "traces").mkdir(exist_ok=True)

    def at(self, home):
        """The same Python, run in another folder."""
        return replace(self, home=home)

    @property
    def traces(self):
        """The modules made on the fly that some process has imported."""
        return {path.name for path in (self.home / "traces").iterdir()}

    def process(self, *command):
        """Runs this house's Python in its home, as a process that starts from nothing."""
        done = subprocess.run(
            [self.python, *map(str, command)],
            cwd=self.home,
            env=self._environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    def run(self, *command, **environment):
        """Runs this house's Python in its home, forked from one that has imported the libraries."""
        sites = [self.packages] if self.packages else []
        ended = nursery().run(
            *command, cwd=self.home, environment=self._environment() | environment, sites=sites
        )
        return Answer(ended.code, ended.out, ended.err)

    def _environment(self):
        return {
            **{k: v for k, v in os.environ.items() if not k.startswith(("SEGAD", "PYTHON", "COV"))},
            "PYTHONPATH": str(self.home / "path"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "ZOO_TRACES": str(self.home / "traces"),
            "OMP_NUM_THREADS": "1",
            "COLUMNS": "400",
        }

    def segad(self, *words, **environment):
        """Runs `segad` with these words, and variables of the environment."""
        return self.run("-m", "segad_core.cli", *words, **environment)

    def pip(self, *words):
        """Runs the test environment's pip on this house's Python, without a network."""
        quiet = ["--disable-pip-version-check", "--no-input"]
        done = subprocess.run(
            [sys.executable, "-m", "pip", "--python", self.python, *quiet, *map(str, words)],
            cwd=self.home,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def develop(self):
        """Installs the distribution in this home as `pip install -e .` does, in a tenth of the time.

        Its build backend is called without pip, which would start three more processes.
        """
        build = "from setuptools import build_meta; build_meta.build_editable('build')"
        (self.home / "build").mkdir(exist_ok=True)
        answer = self.run("-c", build)
        assert answer.code == 0, answer.out + answer.err
        (wheel,) = (self.home / "build").glob("*.whl")
        with zipfile.ZipFile(wheel) as built:
            built.extractall(self.packages)
        wheel.unlink()

    def install(self, wheel):
        """Installs a wheel, and nothing that it depends on."""
        self.pip("install", "--no-index", "--no-deps", wheel)

    def left(self, recipe):
        """How many cells `segad check` says are to be computed."""
        answer = self.segad("check", recipe)
        assert answer.code == 0, answer.err
        (left,) = re.findall(r"^\d+ cells: \d+ in the store, (\d+) to compute$", answer.out, re.M)
        return int(left)

    def results(self, recipe):
        """The lines of a run's results.csv, by row."""
        with (self.home / "runs" / recipe / "latest" / "results.csv").open() as file:
            return {line["row"]: line for line in csv.DictReader(file)}

    def plugin(self, distribution, entry_points, module=None, source="", version="1.2"):
        """Puts an installed distribution on the path: metadata, and a module if it has one."""
        path = self.home / "path"
        info = path / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        metadata = f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
        (info / "METADATA").write_text(metadata)
        (info / "entry_points.txt").write_text(textwrap.dedent(entry_points))
        if module:
            (path / f"{module}.py").write_text(textwrap.dedent(source))
        return info

    def pictures(self, good=14, bad=8, size=48):
        """A folder data set, `parts`: grey noise, the bad with a bright blot."""
        rng = np.random.default_rng(7)
        for label, count in (("good", good), ("bad", bad)):
            folder = self.home / "parts" / label
            folder.mkdir(parents=True)
            for i in range(count):
                pixels = rng.integers(100, 130, (size, size, 3), np.uint8)
                if label == "bad":
                    y, x = rng.integers(4, size - 12, 2)
                    pixels[y : y + 8, x : x + 8] = 220
                Image.fromarray(pixels).save(folder / f"{i:02}.png")

    def recipe(self, detectors, name="recipe", rows=None, more=""):
        """A recipe over `parts` with a row for each detector alone, unless told otherwise.

        Args:
            detectors: the recipe's `detectors` in YAML, by alias.
            rows: the recipe's rows in YAML.
            more: further parts of the recipe.
        """
        rows = rows or [f"{{name: {alias}, score: {alias}}}" for alias in detectors]
        text = "segad: 1\ndataset: {use: folder, params: {root: parts}}\nimage: {size: [48, 48]}\n"
        text += "split: {seeds: [0], test: {good: 0.3, bad: 0.5}, detectors: {good: 0.6}}\n"
        text += "detectors:\n" + "".join(f"  {alias}: {use}\n" for alias, use in detectors.items())
        text += "rows:\n" + "".join(f"  - {row}\n" for row in rows)
        (self.home / f"{name}.yaml").write_text(text + textwrap.dedent(more))
        return f"{name}.yaml"


@pytest.fixture
def house(tmp_path):
    """The test's own Python; plugins are put on its path as installed distributions."""
    return House(tmp_path)


@pytest.fixture(scope="module")
def houses(tmp_path_factory):
    """Makes houses that several tests share."""
    return lambda name: House(tmp_path_factory.mktemp(name))


@pytest.fixture(scope="module")
def environments(tmp_path_factory):
    """Makes virtual environments that also see what the test's own environment has."""

    def make(name):
        home = tmp_path_factory.mktemp(name)
        venv.create(home / "venv", symlinks=os.name != "nt")
        python = Path("Scripts", "python.exe") if os.name == "nt" else Path("bin", "python")
        found = House(home, home / "venv" / python)
        own = found.process("-c", "import sysconfig; print(sysconfig.get_path('purelib'))").out.strip()
        found.packages = Path(own)
        # addsitedir reads the .pth files there too: an editable segad is found like any other
        folders = [*site.getsitepackages(), *([site.getusersitepackages()] if site.ENABLE_USER_SITE else [])]
        lines = [f"import site; site.addsitedir({folder!r})\n" for folder in folders if Path(folder).is_dir()]
        Path(own, "outer.pth").write_text("".join(lines))
        return found

    return make


@pytest.fixture(scope="session")
def example_wheel(tmp_path_factory):
    """The example plugin, built as a wheel from a copy of its sources, without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    shutil.copytree(EXAMPLE, folder / "source", ignore=shutil.ignore_patterns("build", "*.egg-info", "__*"))
    options = ["--no-build-isolation", "--no-index", "--no-deps", "--disable-pip-version-check"]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", *options, "-w", folder, folder / "source"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("*.whl")
    return wheel
