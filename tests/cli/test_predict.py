"""`segad predict`: what is printed and written, exit codes, interruptions, going on."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from subprocess import PIPE

import numpy as np
import pytest
from builders import picture, said, segad
from click.testing import CliRunner, Result
from imported import imported_after
from nursery import nursery
from PIL import Image
from pyarrow import parquet
from trained_bundles import bad, bundle_of, good, run_scores

from segad_core.bundle.runtime import settling
from segad_core.cli import inspecting
from segad_core.tools.results import Results

REMEDY = "Copy it again from its source, or remove it."


@pytest.fixture
def lot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`lot/0.png` to `lot/8.png`, of which 4 is empty and 6 is torn, and a text."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(settling, "QUIET", 0.0)  # no file is still being written
    Path("lot").mkdir()
    for i in range(9):
        Path(f"lot/{i}.png").write_bytes((bad(i) if i % 3 == 0 else good(i)).read_bytes())
    Path("lot/4.png").write_bytes(b"")
    Path("lot/6.png").write_bytes(bad(6).read_bytes()[:900])
    Path("lot/notes.txt").write_text("sunny")
    return tmp_path


def predict(*words: str | Path, row: str = "SegAD") -> Result:
    return segad("predict", bundle_of(row), "--device", "cpu", *words)


def test_a_start_imports_only_what_is_used() -> None:
    """PatchCore on EfficientNet-Lite needs torch, and none of the others."""
    code, modules = imported_after("predict", bundle_of("PatchCore"), good(), "--device", "cpu")
    assert code == 0
    assert {"torch", "segad_plugins.detectors.patchcore"} <= modules
    unused = {"torchvision", "timm", "xgboost", "sklearn", "pandas", "torch._dynamo", "sympy"}
    assert not modules & {*unused, "scipy.stats", "scipy.optimize", "scipy.ndimage"}


def test_a_forest_is_evaluated_without_what_trains_it() -> None:
    """XGBoost alone would import scikit-learn, and take longer than all else but torch."""
    code, modules = imported_after("predict", bundle_of("SegAD"), good(), "--device", "cpu", "--explain")
    assert code == 0
    assert {"segad_plugins.final_classifiers.forest", "segad_plugins.features.kernels"} <= modules
    found = modules & {"xgboost", "sklearn", "pandas", "torchvision", "timm"}
    assert not found


def test_scoring_plugins_do_not_import_what_only_fits() -> None:
    plugins = ("classifiers.linear_probe", "final_classifiers.logistic", "final_classifiers.blend_weights")
    program = (
        "".join(f"import segad_plugins.{plugin}\n" for plugin in plugins) + "import sys; print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    modules = set(done.stdout.split())
    assert {f"segad_plugins.{plugin}" for plugin in plugins} <= modules
    assert not modules & {"sklearn", "pandas", "torchvision", "timm", "scipy.optimize", "scipy.stats"}


def test_a_line_per_image(lot: Path) -> None:
    result = predict("lot")
    text = said(result)
    assert result.exit_code == 3
    lines = result.stdout.splitlines()
    assert [line.split()[2] for line in lines] == [f"lot/{i}.png" for i in range(9)]
    assert lines[0].startswith("NG ") and ", patchcore " in lines[0]
    assert lines[4] == f"UNKNOWN         -  lot/4.png  the file is empty. {REMEDY}"
    assert "note: 1 other file is left out (the first: lot/notes.txt)\n" in result.stderr
    assert f"not scored: lot/4.png: the file is empty. {REMEDY}\n" in result.stderr
    assert "not scored: lot/6.png: is damaged or truncated (its end is missing). Copy" in result.stderr
    assert text.count("not scored: ") == 2
    assert result.stderr.endswith("2 UNKNOWN (2 not scored)\n")


@pytest.mark.parametrize("row", ["SegAD", "PatchCore", "DevNet"])
def test_a_file_has_the_runs_scores(row: str, tmp_path: Path) -> None:
    expected = run_scores(row)
    result = predict(*expected, "-o", tmp_path / "x.csv", row=row)
    assert result.exit_code == 0, said(result)  # NG does not change it
    with (tmp_path / "x.csv").open(encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert {Path(line["image"]): line["score"] for line in lines} == expected
    assert {line["verdict"] for line in lines} == {"OK", "NG"}


def test_all_forms_say_the_same(lot: Path) -> None:
    for form in ("csv", "jsonl", "parquet"):
        assert predict("lot", "-o", f"x.{form}").exit_code == 3
    with Path("x.csv").open(encoding="utf-8") as file:
        lines = [
            {**line, "score": float(line["score"]) if line["score"] else None}
            for line in csv.DictReader(file)
        ]
    assert [json.loads(line) for line in Path("x.jsonl").read_text().splitlines()] == lines
    assert parquet.read_table("x.parquet").to_pylist() == lines
    assert [line["verdict"] == "UNKNOWN" for line in lines] == [i in (4, 6) for i in range(9)]


def test_explained(lot: Path) -> None:
    assert predict("lot", "--explain", "-o", "x.jsonl").exit_code == 3
    found = [json.loads(line)["contributions"] for line in Path("x.jsonl").read_text().splitlines()]
    assert [len(one) for one in found] == [0 if i in (4, 6) else 5 for i in range(9)]
    lines = predict("lot/0.png", "--explain").stdout.splitlines()
    assert len(lines) == 1 + 5
    assert all(", patchcore " in line for line in lines)


def test_paths_through_a_pipe(lot: Path) -> None:
    from segad_core.cli import main

    names = "lot/1.png\nlot/gone.png\nlot/0.png\n"
    words = ["predict", str(bundle_of("SegAD")), "-", "--device", "cpu"]
    result = CliRunner().invoke(main, words, input=names)
    assert [line.split()[2] for line in result.stdout.splitlines()] == names.split()
    assert result.exit_code == 3
    nul = CliRunner().invoke(main, [*words, "--null"], input=names.replace("\n", "\0"))
    assert nul.stdout == result.stdout


def test_without_standard_input(lot: Path) -> None:
    program = (
        "import os, sys\n"
        "os.close(0)\n"
        "sys.stdin = None  # as Python starts where it is closed\n"
        "from segad_core.cli import main\n"
        "main()"
    )
    ended = nursery().run("-c", program, "predict", bundle_of("SegAD"), "lot/1.png", "--device", "cpu")
    assert ended.out.split()[2] == "lot/1.png" and ended.code == 0


def test_a_pipe_that_stays_open(lot: Path) -> None:
    """A full batch and a partial one have their verdicts although no further name comes; Ctrl-C does not wait
    for one either.

    In a real process: its end, too, must not wait for a name.
    """
    words = ["predict", bundle_of("PatchCore"), "-", "--device", "cpu", "--max-wait", "0.01"]
    with subprocess.Popen(
        [sys.executable, "-m", "segad_core.cli", *words],
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        text=True,
        # where the tests run in the background of a shell, they ignore interrupts, and so would the process
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    ) as process:
        assert process.stdin and process.stdout and process.stderr
        process.stdin.write("".join(f"lot/{i}.png\n" for i in range(6)))
        process.stdin.flush()
        lines = [process.stdout.readline() for _ in range(6)]
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=120) == 1
        assert process.stderr.read().splitlines()[-1] == "interrupted"
    assert [line.split()[2] for line in lines] == [f"lot/{i}.png" for i in range(6)]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "no images are named"),
        (["empty"], "empty: contains no images"),
        (["*.gif"], "*.gif: matches nothing"),
        (["lot", "--resume"], "--resume and --force require -o"),
        (
            ["lot", "-o", "x.csv", "--resume", "--force"],
            "--resume and --force exclude each other",
        ),
        (["lot", "-o", "x.txt"], "results are written as .csv, .jsonl, .parquet"),
        (["lot", "--overlays", "lot/pictures"], "is inside lot, whose images are inspected"),
        (["lot", "-o", "there.csv"], "there.csv: already exists"),
        (
            ["lot/**/*.png", "--overlays", "lot/pictures"],
            "is inside lot/**/*.png, whose images are inspected",
        ),
        (["lot", "-o", "{bundle}/x.csv"], "is inside the bundle"),
        (["lot", "--overlays", "{bundle}/golden/seen"], "is inside the bundle"),
    ],
)
def test_a_wrong_command_line_changes_nothing(lot: Path, words: list[str], expected: str) -> None:
    Path("empty").mkdir()
    Path("there.csv").write_text("mine")
    before = sorted(lot.rglob("*"))
    result = predict(*(word.format(bundle=bundle_of("SegAD")) for word in words))
    assert expected in said(result)
    assert result.exit_code == 2
    assert sorted(lot.rglob("*")) == before
    assert Path("there.csv").read_text() == "mine"


def test_no_bundle(lot: Path) -> None:
    result = segad("predict", "nowhere", "lot")
    assert "error: nowhere: " in said(result)
    assert result.exit_code == 1


def test_without_pyarrow(lot: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    monkeypatch.delitem(sys.modules, "pyarrow", raising=False)
    result = predict("lot", "-o", "x.parquet")
    assert "writing Parquet needs pyarrow\n  pip install 'segad[parquet]'" in said(result)
    assert result.exit_code == 2


def stop_after(monkeypatch: pytest.MonkeyPatch, batches: int) -> None:
    """Ctrl-C comes when so many batches are written."""
    sound, count = Results.write, 0

    def write(self, predictions):
        nonlocal count
        if count == batches:
            raise KeyboardInterrupt
        count += 1
        sound(self, predictions)

    monkeypatch.setattr(Results, "write", write)


@pytest.mark.parametrize("count", [20, 44])
def test_what_had_drifted_is_summed_up_when_it_is_interrupted(
    count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for n in range(48):
        pixels = (picture(5000 + n) * 0.7).astype(np.uint8)
        Path("lot").mkdir(exist_ok=True)
        Image.fromarray(pixels).save(f"lot/{n:02}.png")
    stop_after(monkeypatch, count // 4)
    result = predict("lot", "-o", "x.csv")
    *before, drift, remedy, last = said(result).splitlines()
    compared = -(-count // 32)
    assert [line.startswith("note: drift in images ") for line in before[-compared:]] == [True] * compared
    assert f"drift: {compared} of {compared} comparisons" in drift and "light" in remedy
    assert last.startswith(f"interrupted: {count} images: ")


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_interrupted_and_gone_on_with(lot: Path, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = predict("lot", "lot/0.png", "lot/4.png", "-o", f"whole.{form}")
    assert whole.exit_code == 3
    with monkeypatch.context() as patch:
        stop_after(patch, 1)
        result = predict("lot", "lot/0.png", "lot/4.png", "-o", f"x.{form}")
    assert result.exit_code == 1
    done = f"interrupted: 4 images: 2 OK, 2 NG, 0 UNKNOWN in x.{form}; "
    assert done in said(result)
    assert "--resume" in said(result).partition(done)[2]
    if form == "parquet":
        assert parquet.read_table("x.parquet").num_rows == 4
    else:
        assert Path(f"whole.{form}").read_bytes().startswith(Path(f"x.{form}").read_bytes())
    for _ in range(2):  # the second time there is nothing left to do
        result = predict("lot", "lot/0.png", "lot/4.png", "-o", f"x.{form}", "--resume")
        assert result.exit_code == 3
        assert Path(f"x.{form}").read_bytes() == Path(f"whole.{form}").read_bytes()
        assert said(result).count("not scored: lot/4.png") == 2
        assert said(result).splitlines()[1:] == said(whole).replace("whole.", "x.").splitlines()[1:]
    assert not Path("x.parquet.journal").exists()


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("piped", [False, True])
def test_what_could_not_be_read_is_tried_again(lot: Path, form: str, piped: bool) -> None:
    """Torn, empty, not there yet; what cannot be read still keeps its line, and images are counted once."""
    from segad_core.cli import main

    names = [f"lot/{i}.png" for i in range(12)]
    command = ["predict", str(bundle_of("SegAD")), "--device", "cpu", "-o"]

    def inspected(*words: str) -> Result:
        if piped:
            return CliRunner().invoke(main, [*command, *words, "-"], input="\n".join(names))
        return CliRunner().invoke(main, [*command, *words, *names])

    result = inspected(f"x.{form}")
    assert result.exit_code == 3
    assert "12 images: " in said(result) and "5 UNKNOWN (5 not scored)" in said(result)
    Path("lot/6.png").write_bytes(bad(6).read_bytes())
    for i in (9, 10):
        Path(f"lot/{i}.png").write_bytes(good(i).read_bytes())
    result = inspected(f"x.{form}", "--resume")
    assert result.exit_code == 3
    assert said(result).splitlines()[-1].endswith(f"2 UNKNOWN (2 not scored): x.{form}")
    assert [line.split(":")[1].strip() for line in said(result).splitlines() if "not scored: " in line] == [
        "lot/4.png",
        "lot/11.png",
    ]
    assert inspected(f"whole.{form}").exit_code == 3
    found, whole = read(f"x.{form}"), read(f"whole.{form}")
    assert [(one["image"], one["verdict"]) for one in found] == [(o["image"], o["verdict"]) for o in whole]
    for one, other in zip(found, whole, strict=True):  # batches had other sizes
        assert one["score"] == (other["score"] and pytest.approx(other["score"], rel=1e-4, abs=1e-6))
    Path("lot/4.png").write_bytes(good(4).read_bytes())
    Path("lot/11.png").write_bytes(good(11).read_bytes())
    result = inspected(f"x.{form}", "--resume")
    assert result.exit_code == 0 and "12 images" in said(result) and "not scored" not in said(result)
    assert len(read(f"x.{form}")) == 12


def read(name: str) -> list[dict[str, object]]:
    """The lines of a file."""
    path = Path(name)
    if path.suffix == ".parquet":
        return parquet.read_table(path).to_pylist()
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    with path.open(encoding="utf-8") as file:
        return [
            {**line, "score": float(line["score"]) if line["score"] else None}
            for line in csv.DictReader(file)
        ]


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_killed_and_gone_on_with(lot: Path, form: str) -> None:
    """kill -9 in the middle of a write: the last line is torn."""
    assert predict("lot", "-o", f"whole.{form}").exit_code == 3
    program = (
        "import os, signal, segad_core.tools.results.file as r\n"
        "def torn(file, data, count=[0]):\n"
        "    count[0] += 1\n"
        "    file.write(data if count[0] < 2 else data[:70])\n"
        "    count[0] < 2 or os.kill(os.getpid(), signal.SIGKILL)\n"
        "r.write_all = torn\n"
        "from segad_core.cli import main\n"
        "main()"
    )
    ended = nursery().run(
        "-c", program, "predict", bundle_of("SegAD"), "lot", "-o", f"x.{form}", "--device", "cpu"
    )
    assert ended.code == -signal.SIGKILL
    journal = Path("x.parquet.journal" if form == "parquet" else "x.jsonl").read_bytes()
    assert journal.count(b"\n") == 4 and not journal.endswith(b"\n")
    assert predict("lot", "-o", f"x.{form}", "--resume").exit_code == 3
    assert Path(f"x.{form}").read_bytes() == Path(f"whole.{form}").read_bytes()


def test_a_file_of_another_bundle_is_not_gone_on_with(lot: Path) -> None:
    predict("lot", "-o", "x.csv")
    before = Path("x.csv").read_bytes()
    result = predict("lot", "-o", "x.csv", "--resume", row="Two")
    assert "x.csv: was written with another bundle" in said(result)
    assert result.exit_code == 2
    assert Path("x.csv").read_bytes() == before
    assert predict("lot", "-o", "x.csv", "--force", row="Two").exit_code == 3
    assert Path("x.csv").read_bytes() != before


def test_pictures(lot: Path) -> None:
    Path("other").mkdir()
    Path("other/0.png").write_bytes(good(9).read_bytes())
    result = predict("lot", "other", "-o", "x.csv", "--overlays", "pictures")
    assert result.exit_code == 3, said(result)
    found = sorted(path.relative_to("pictures").as_posix() for path in Path("pictures").rglob("*.jpg"))
    assert [name.split("-")[0] for name in found] == [*(f"lot/{i}" for i in (0, 1, 2, 3, 5, 7, 8)), "other/0"]
    assert all(np.asarray(Image.open(path)).min() < 50 for path in Path("pictures").rglob("*.jpg"))


def test_pictures_do_not_change_what_is_written(lot: Path) -> None:
    predict("lot", "-o", "a.csv")
    predict("lot", "-o", "b.csv", "--overlays", "pictures")
    assert Path("a.csv").read_bytes() == Path("b.csv").read_bytes()


def test_names_that_are_no_text(lot: Path) -> None:
    name = os.fsdecode(b"lot/\xff\n\x1b[31m.png")
    Path(name).write_bytes(good(0).read_bytes())
    for words in ([], ["-o", "x.csv"], ["-o", "x.jsonl"], ["-o", "x.parquet"], ["--overlays", "pictures"]):
        result = predict(name, *words)
        assert result.exit_code == 0, said(result)
        assert "\x1b" not in said(result)
    assert parquet.read_table("x.parquet").to_pylist()[0]["image"] == "lot/\\udcff\\x0a\\x1b[31m.png"
    assert predict(name, "-o", "x.csv", "--resume").exit_code == 0
    assert Path("x.csv").read_bytes().count(b"\n") == 2


PAUSED = (
    "import time, pathlib, segad_core.tools.results.file as r\n"
    "write = r.write_all\n"
    "def paused(file, data):\n"
    "    write(file, data)\n"
    "    pathlib.Path('begun').touch()\n"
    "    while not pathlib.Path('go').exists(): time.sleep(0.01)\n"
    "r.write_all = paused\n"
    "from segad_core.cli import main\n"
    "main()"
)
"""`segad`, which stops after its first lines until there is a file `go`."""


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_two_processes_on_one_file(lot: Path, form: str) -> None:
    words = (bundle_of("SegAD"), "lot", "-o", f"x.{form}", "--resume", "--device", "cpu")
    other = nursery().start("-c", PAUSED, "predict", *words)
    while not Path("begun").exists():
        time.sleep(0.01)
    for option in ("--resume", "--force"):
        result = predict("lot", "-o", f"x.{form}", option)
        assert result.exit_code == 1
        assert f"x.{form} is held by process {other} on " in said(result)
    Path("go").touch()
    assert nursery().wait(other).code == 3
    assert predict("lot", "-o", f"x.{form}", "--resume").exit_code == 3
    predict("lot", "-o", f"whole.{form}")
    assert Path(f"x.{form}").read_bytes() == Path(f"whole.{form}").read_bytes()
    assert not [path.name for path in lot.iterdir() if path.name.startswith(".")]


def test_two_processes_on_one_folder_of_pictures(lot: Path) -> None:
    words = (bundle_of("SegAD"), "lot", "-o", "x.csv", "--overlays", "pictures", "--device", "cpu")
    other = nursery().start("-c", PAUSED, "predict", *words)
    while not Path("begun").exists():
        time.sleep(0.01)
    Path("alias").symlink_to("pictures")
    for name in ("pictures", "alias"):
        result = predict("lot", "-o", "y.csv", "--overlays", name)
        assert result.exit_code == 1
        assert f"pictures is held by process {other} on " in said(result)
    assert not Path("y.csv").exists()
    Path("go").touch()
    assert nursery().wait(other).code == 3
    assert predict("lot", "--overlays", "pictures").exit_code == 3


def test_somebody_elses_file_is_refused_and_keeps_its_bytes(lot: Path) -> None:
    Path("x.csv").write_text("part,price\nbolt,3\nnut,4")
    Path("y.csv").write_text("precious")
    for name in ("x.csv", "y.csv"):
        before = Path(name).read_bytes()
        result = predict("lot", "-o", name, "--resume")
        assert result.exit_code == 2 and f"{name}: begins with" in said(result)
        assert Path(name).read_bytes() == before


def test_a_drift_is_told_and_changes_nothing(lot: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once for each 32 images and at the end, on standard error; what is written has no new column."""
    Path("dark").mkdir()
    for i in range(40):
        pixels = np.asarray(Image.open(good(i % 24))) * 0.7
        Image.fromarray(pixels.astype(np.uint8)).save(f"dark/{i:02}.png")
    result = predict("dark", "-o", "x.csv")
    assert result.exit_code == 0
    notes = [line for line in result.stderr.splitlines() if line.startswith("note: drift in ")]
    assert len(notes) == 1 and notes[0].startswith("note: drift in images 1 to 32, since dark/00.png: ")
    assert "brightness is 7" in result.stderr and "drift: 1 of 1 " in result.stderr
    assert read("x.csv")[0].keys() == {"image", "verdict", "score", "reason", "bundle"}
    verdicts = [line["verdict"] for line in read("x.csv")]
    rejected = f"  {verdicts.count('NG')} of 40 are NG: bad parts look different"
    for least, told in ((0.0, True), (1.01, False)):
        monkeypatch.setattr(inspecting, "_MANY_NG", least)
        assert (rejected in predict("dark", "-o", "x.csv", "--force").stderr) == told
    bright = predict(*(good(i) for i in range(24)))
    assert "drift" not in said(bright)


def test_a_mark_that_comes_too_late_is_told(lot: Path) -> None:
    """A file keeps its form; a new one has what was asked for."""
    told = "note: a.csv has no byte order mark and keeps its form: --bom is ignored\n"
    assert told not in predict("lot/0.png", "-o", "a.csv").stderr
    assert told in predict("lot/0.png", "-o", "a.csv", "--resume", "--bom").stderr
    assert "byte order" not in predict("lot/0.png", "-o", "a.csv", "--resume").stderr
    assert "byte order" not in predict("lot/0.png", "-o", "a.csv", "--force", "--bom").stderr
    assert "byte order" not in predict("lot/0.png", "-o", "a.csv", "--resume", "--bom").stderr
    assert Path("a.csv").read_bytes().count(b"\xef\xbb\xbf") == 1


def test_images_in_place_of_the_bundle(lot: Path) -> None:
    """Named as such, whatever their names; they are not called a damaged bundle."""
    Path("lot/a+b.png").write_bytes(Path(good(0)).read_bytes())
    result = segad("predict", "lot", bundle_of("SegAD"))
    assert result.exit_code == 1
    assert "error: lot: is not a bundle" in said(result) and "the bundle comes first" in said(result)
    assert "fresh copy" not in said(result)
