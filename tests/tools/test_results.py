"""Files of predictions: valid however it ends, and gone on with to the same bytes."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import re
import stat
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from segad_core.base import leftovers
from segad_core.base.csv_text import original
from segad_core.base.text import in_one_line
from segad_core.bundle.runtime.prediction import Contribution, Prediction
from segad_core.errors import HeldError, StoreError, UsageError
from segad_core.tools.results import Printed, Results, explained_line, open_results, readable_line, summary
from segad_core.tools.results.file import journal_of

BUNDLE = "0123456789abcdef" * 4
WHY = (
    Contribution("wires", "patchcore", "q995", 3.25, 2.1),
    Contribution("image", "devnet", "score", 1.0, -0.5),
)
TIME = datetime(2024, 1, 2, tzinfo=UTC)
MANY = tuple(Contribution("s", "d", f"n{i}", 0.0, 6.5 - i) for i in range(12))
PREDICTIONS = [
    Prediction("a.png", "OK", -0.1),
    Prediction('b, "b".png', "NG", 1 / 3, "wires, patchcore q99.5, +2.10", WHY),
    Prediction("\udcff.png", "UNKNOWN", None, "the file is empty. Copy it again."),
    Prediction("line\nbreak\t.png", "UNKNOWN", 5e-324, "in doubt:\x1b[31m red\u2028"),
    Prediction("a.png", "OK", -0.1),
    Prediction("größe 寸法.png", "NG", 1e300, "", MANY),
    Prediction("=1+1.png", "NG", -1e-9, "@SUM(A1), +2.10", (Contribution("-s", "d", "n", 0.0, 0.5),)),
    Prediction("'-x.png", "OK", 0.5),
]
FORMS = ("csv", "jsonl", "parquet")


def opened(path: Path, mode: Literal["new", "resume", "force"] = "new", explain: bool = False) -> Results:
    return open_results(path, BUNDLE, explain, mode)


def written(path: Path, explain: bool = False, upto: int = len(PREDICTIONS)) -> bytes:
    """An uninterrupted file, in batches of two."""
    with opened(path, explain=explain) as results:
        for i in range(0, upto, 2):
            results.write(PREDICTIONS[i : i + 2])
    return path.read_bytes()


def gone_on(path: Path, explain: bool = False) -> bytes:
    with opened(path, "resume", explain) as results:
        names = list(results.left(one.image for one in PREDICTIONS))
        results.write(PREDICTIONS[len(PREDICTIONS) - len(names) :])
    return path.read_bytes()


def test_a_file_with_two_names_is_written_by_one_command(tmp_path: Path) -> None:
    path, other = tmp_path / "x.csv", tmp_path / "y.csv"
    written(path, upto=2)
    other.hardlink_to(path)
    with opened(path, "resume") as results:
        with pytest.raises(HeldError, match="under another name"):
            opened(other, "resume")
        results.write(PREDICTIONS[2:])
    assert gone_on(other) == written(tmp_path / "z.csv")


@pytest.mark.parametrize("form", FORMS)
def test_no_image_passes_for_another_by_its_name(form: str, tmp_path: Path) -> None:
    """A name that spells another one's escapes is another name: the image that came later is scored."""
    path = tmp_path / f"x.{form}"
    spelt = ["a\\x0a.png", "b\\udcff.png", "c\\x5cx0a.png", "d\\U0010ffff.png", "e\\x.png"]
    meant = ["a\n.png", "b\udcff.png", "c\\x0a.png", "d\U0010ffff.png"]
    with opened(path) as results:
        results.write([Prediction(name, "OK", 0.0) for name in spelt])
    with opened(path, "resume") as results:
        assert list(results.left([*meant, *spelt])) == meant
        results.write([Prediction(name, "NG", 1.0) for name in meant])
    with opened(path, "resume") as results:
        assert list(results.left([*meant, *spelt])) == []


def test_csv_lines(tmp_path: Path) -> None:
    path = tmp_path / "new" / "x.csv"
    raw = written(path, explain=True)
    assert raw.count(b"\n") == len(PREDICTIONS) + 1
    with path.open(encoding="utf-8", newline="") as file:
        lines = list(csv.reader(file))
    mark = BUNDLE[:16]
    assert lines[0] == ["image", "verdict", "score", "reason", "bundle", "contributions"]
    assert lines[1] == ["a.png", "OK", "-0.1", "", mark, ""]
    assert lines[2][:5] == ['b, "b".png', "NG", repr(1 / 3), "wires, patchcore q99.5, +2.10", mark]
    assert lines[2][5] == "wires, patchcore q99.5, +2.10; whole image, devnet score, -0.50"
    assert lines[3] == ["\\udcff.png", "UNKNOWN", "", "the file is empty. Copy it again.", mark, ""]
    assert lines[4] == [
        "line\\x0abreak\\x09.png",
        "UNKNOWN",
        "5e-324",
        "in doubt:\\x1b[31m red\\u2028",
        mark,
        "",
    ]
    assert lines[6][5].count("; ") == 9
    assert "n6," not in lines[6][5] and "n7," not in lines[6][5]  # the two that add least


def test_jsonl_lines(tmp_path: Path) -> None:
    raw = written(tmp_path / "x.jsonl", explain=True)
    lines = [json.loads(line) for line in raw.splitlines()]
    assert lines[1] == {
        "image": 'b, "b".png',
        "verdict": "NG",
        "score": 1 / 3,
        "reason": "wires, patchcore q99.5, +2.10",
        "bundle": BUNDLE[:16],
        "contributions": [
            {
                "segment": "wires",
                "source": "patchcore",
                "statistic": "q995",
                "value": 3.25,
                "amount": 2.1,
                "peak": "",
            },
            {
                "segment": "image",
                "source": "devnet",
                "statistic": "score",
                "value": 1.0,
                "amount": -0.5,
                "peak": "",
            },
        ],
    }
    assert lines[2]["score"] is None
    assert len(lines[5]["contributions"]) == 12


def test_parquet_lines(tmp_path: Path) -> None:
    written(tmp_path / "x.parquet", explain=True)
    written(tmp_path / "x.csv", explain=True)
    found = parquet.read_table(tmp_path / "x.parquet").to_pylist()
    with (tmp_path / "x.csv").open(encoding="utf-8", newline="") as file:
        expected = [
            {
                **{name: original(cell) for name, cell in line.items()},
                "score": float(line["score"]) if line["score"] else None,
            }
            for line in csv.DictReader(file)
        ]
    assert found == expected
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.csv", "x.parquet"]


@pytest.mark.parametrize("explain", [False, True])
@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_cut_anywhere_it_goes_on_to_the_same_bytes(tmp_path: Path, form: str, explain: bool) -> None:
    whole = written(tmp_path / f"whole.{form}", explain)
    path = tmp_path / f"cut.{form}"
    for cut in range(0, len(whole) + 1, 7):
        path.write_bytes(whole[:cut])
        assert gone_on(path, explain) == whole
    assert gone_on(path, explain) == whole


@pytest.mark.parametrize("explain", [False, True])
def test_parquet_goes_on_to_the_same_bytes(tmp_path: Path, explain: bool) -> None:
    whole = written(tmp_path / "whole.parquet", explain)
    path, journal = tmp_path / "cut.parquet", tmp_path / "cut.parquet.journal"
    with pytest.raises(KeyboardInterrupt), opened(path, explain=explain) as results:
        results.write(PREDICTIONS[:2])
        assert not path.exists()
        raise KeyboardInterrupt
    assert parquet.read_table(path).num_rows == 2  # what came before Ctrl-C can be read
    assert journal.exists()
    lines = journal.read_bytes()
    for cut in range(0, len(lines) + 1, 5):
        journal.write_bytes(lines[:cut])
        assert gone_on(path, explain) == whole
        assert not journal.exists()
    assert gone_on(path, explain) == whole  # nothing is left to do


def test_images_that_have_come_since_are_left(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    written(path, upto=2)
    with opened(path, "resume") as results:
        assert list(results.left(["0.png", "a.png", "a.png", 'b, "b".png', "c.png"])) == [
            "0.png",
            "a.png",
            "c.png",
        ]


@pytest.mark.parametrize("form", FORMS)
def test_a_file_that_is_there(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"x.{form}"
    before = written(path)
    with pytest.raises(UsageError, match="already exists"):
        opened(path)
    assert path.read_bytes() == before
    with opened(path, "force"):
        pass
    assert path.read_bytes() != before


@pytest.mark.parametrize("form", FORMS)
def test_another_bundles_file_is_refused(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"x.{form}"
    before = written(path)
    with pytest.raises(UsageError, match="another bundle"):
        open_results(path, "f" * 64, False, "resume")
    assert path.read_bytes() == before


@pytest.mark.parametrize("form", FORMS)
def test_other_options_are_refused(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"x.{form}"
    written(path, explain=True)
    with pytest.raises(UsageError, match="did not write it"):
        opened(path, "resume", explain=False)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "content", [b"a,b\n1,2\n", b"{}\n", b"[1]\n", b"null\n", b"\xff\xfe\n", b"PAR1\n", b"\0" * 50 + b"\n"]
)
def test_other_files_are_refused(tmp_path: Path, form: str, content: bytes) -> None:
    path = tmp_path / f"x.{form}"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="did not write it"):
        opened(path, "resume")
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    ("form", "column", "value"),
    [
        *product(
            ["jsonl", "parquet"],
            ["score"],
            [float("nan"), float("inf"), "0.5"],
        ),
        *product(["jsonl", "parquet"], ["image", "reason"], [["a.png"], None]),
        ("parquet", "verdict", TIME),
        ("parquet", "contributions", TIME),
    ],
)
def test_lines_with_other_values_are_refused(tmp_path: Path, form: str, column: str, value: object) -> None:
    path = tmp_path / f"x.{form}"
    explain = column == "contributions"
    line = {"image": "a.png", "verdict": "OK", "score": 0.5, "reason": "", "bundle": BUNDLE[:16]}
    line |= {column: value}
    if form == "parquet":
        parquet.write_table(pa.Table.from_pylist([line]), path)
    else:
        path.write_text(json.dumps(line) + "\n")
    before = path.read_bytes()
    for _ in range(2):
        with pytest.raises(UsageError, match="did not write it"):
            opened(path, "resume", explain)
        assert path.read_bytes() == before
        assert list(tmp_path.iterdir()) == [path]


def test_a_parquet_file_with_other_columns_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    parquet.write_table(pa.table({"taken": [TIME], "score": [0.5]}), path)
    with pytest.raises(UsageError, match="did not write it"):
        opened(path, "resume")
    assert list(tmp_path.iterdir()) == [path]


def test_another_bundles_parquet_file_survives_a_second_resume(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    before = written(path)
    for _ in range(2):
        with pytest.raises(UsageError, match="another bundle"):
            open_results(path, "f" * 64, False, "resume")
        assert path.read_bytes() == before
        assert list(tmp_path.iterdir()) == [path]


def test_a_line_that_is_damaged_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    whole = written(path)
    path.write_bytes(whole.replace(b"-0.1", b"zero", 1))
    with pytest.raises(UsageError, match="a line that cannot be read"):
        opened(path, "resume")


def test_other_endings_are_refused(tmp_path: Path) -> None:
    for name in ("x", "x.txt", "x.CSV.gz", "csv"):
        with pytest.raises(UsageError, match=r"results are written as \.csv, \.jsonl, \.parquet"):
            opened(tmp_path / name)


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be written"):
        opened(tmp_path / "file" / "x.csv")


FOREIGN = [
    b"a,b\n1,2\n3,4",
    b"name,age\n",
    b"precious",
    b"image,verdict,score,reason,bundle,more",
    b"image,verdict,score\nx",
    b"\0" * 40,
    b'{"image": "a.png"}\n{"image": "',
    b'{"a": 1}',
    b"[" * 3000 + b"\n",
    b'{"image": "a.png", "verdict": "GOOD", "score": 1, "reason": "", "bundle": "0123456789abcdef"}\n{"im',
    b'{"image": "a.png", "verdict": "OK", "score": true, "reason": "", "bundle": "0123456789abcdef"}\n{"im',
    b"image,verdict,score,reason,bundle\na.png,OK,1.0,,0123456789abcdef\nmine\n",
    b"image,verdict,score,reason,bundle\na.png,GOOD,1.0,,0123456789abcdef\na.png,OK",
    b"image,verdict,score,reason,bundle\na.png,OK,1.0,,ffffffffffffffff\na.png,OK",
]


def state(folder: Path) -> dict[str, tuple[bytes, int, int]]:
    """Bytes, time and number of each file."""
    found = {path.name: (path.read_bytes(), path.stat()) for path in folder.iterdir()}
    return {name: (data, status.st_mtime_ns, status.st_ino) for name, (data, status) in found.items()}


@pytest.mark.parametrize("name", ["x.csv", "x.jsonl", "x.parquet", "x.parquet.journal"])
@pytest.mark.parametrize("content", FOREIGN)
def test_a_file_is_recognised_before_it_is_touched(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    os.utime(tmp_path / name, ns=(1, 1))
    before = state(tmp_path)
    for mode in ("new", "resume"):
        with pytest.raises(UsageError, match=re.escape(str(tmp_path / "x."))):
            opened(tmp_path / name.removesuffix(".journal"), mode)  # type: ignore[arg-type]
        assert state(tmp_path) == before


@pytest.mark.parametrize("form", FORMS)
def test_a_line_that_never_ends_is_not_ours(
    tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("segad_core.tools.results.reading._MOST_LINE", 500)
    path = tmp_path / f"x.{form}"
    start = b"image,verdict,score,reason,bundle\n" if form == "csv" else b'{"image": "'
    (journal_of(path)).write_bytes(start + b"x" * 1000)
    before = state(tmp_path)
    with pytest.raises(UsageError, match="did not write it"):
        opened(path, "resume")
    assert state(tmp_path) == before


@pytest.mark.parametrize("content", [b"precious", b"precious\n", b'{"image": "a.png"}\n'])
def test_a_foreign_journal_is_never_deleted(tmp_path: Path, content: bytes) -> None:
    path, journal = tmp_path / "x.parquet", tmp_path / "x.parquet.journal"
    written(path)
    journal.write_bytes(content)
    before = state(tmp_path)
    for mode in ("new", "resume", "force"):
        with pytest.raises(UsageError, match=re.escape(str(path))):
            opened(path, mode)  # type: ignore[arg-type]
        assert state(tmp_path) == before


def test_force_deletes_the_journal_of_whatever_bundle(tmp_path: Path) -> None:
    path, journal = tmp_path / "x.parquet", tmp_path / "x.parquet.journal"
    whole = written(tmp_path / "y.parquet")
    with pytest.raises(KeyboardInterrupt), open_results(path, "f" * 64, True, "new") as results:
        results.write(PREDICTIONS[:2])
        raise KeyboardInterrupt
    assert journal.exists()
    with opened(path, "force") as results:
        results.write(PREDICTIONS)
    assert path.read_bytes() == whole and not journal.exists()


def test_a_journal_beside_somebodys_parquet_file_overwrites_nothing(tmp_path: Path) -> None:
    path, journal = tmp_path / "x.parquet", tmp_path / "x.parquet.journal"
    with pytest.raises(KeyboardInterrupt), opened(path) as results:
        results.write(PREDICTIONS[:2])
        raise KeyboardInterrupt
    parquet.write_table(pa.table({"taken": [TIME], "score": [0.5]}), path)
    before = state(tmp_path)
    with pytest.raises(UsageError, match="did not write it"):
        opened(path, "resume")
    assert state(tmp_path) == before and journal.exists()


def test_a_parquet_file_that_has_come_meanwhile_stays(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    with pytest.raises(StoreError, match="another program"), opened(path) as results:
        results.write(PREDICTIONS[:2])
        path.write_text("precious")
    assert path.read_text() == "precious"
    path.unlink()
    assert gone_on(path) == written(tmp_path / "whole.parquet")


@pytest.mark.parametrize("mode", ["new", "resume", "force"])
@pytest.mark.parametrize(
    "name", ["x.csv", "x.jsonl", "x.parquet", "x.parquet.journal", ".x.csv.part", "x.parquet.journal.part"]
)
@pytest.mark.parametrize("kind", ["link", "dangling", "folder", "pipe", "socket"])
def test_nothing_is_written_through_what_is_no_file(
    tmp_path: Path, mode: Literal["new", "resume", "force"], name: str, kind: str
) -> None:
    """Nor does a command wait for a pipe, or delete anything but a link, and that with --force alone."""
    victim, place = tmp_path / "victim", tmp_path / "out" / name
    place.parent.mkdir()
    victim.write_text("precious")
    if kind == "link":
        place.symlink_to(victim)
    elif kind == "dangling":
        place.symlink_to(tmp_path / "gone")
    elif kind == "folder":
        place.mkdir()
    elif kind == "pipe":
        os.mkfifo(place)
    else:
        os.mknod(place, 0o600 | stat.S_IFSOCK)
    kept = place.lstat().st_ino
    path = place.with_name("x.csv" if name.startswith(".") else ".".join(name.split(".")[:2]))
    if name.endswith("part") or (mode == "force" and path == place and kind in ("link", "dangling")):
        with opened(path, mode) as results:
            results.write(PREDICTIONS)
        assert path.is_file() and not path.is_symlink()
        assert path == place or place.lstat().st_ino == kept
    else:
        with pytest.raises(UsageError, match=re.escape(str(place))):
            opened(path, mode)
        assert place.lstat().st_ino == kept
        assert list(place.parent.iterdir()) == [place]
    assert victim.read_text() == "precious"
    assert not (tmp_path / "gone").exists()


@pytest.mark.parametrize("form", FORMS)
def test_a_file_has_one_writer(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"x.{form}"
    whole = written(tmp_path / f"whole.{form}")
    with opened(path) as results:
        results.write(PREDICTIONS[:3])
        before = journal_of(path).read_bytes()
        for mode in ("resume", "force"):
            with pytest.raises(HeldError, match=f"is held by process {os.getpid()} "):
                opened(path, mode)  # type: ignore[arg-type]
        assert journal_of(path).read_bytes() == before
        results.write(PREDICTIONS[3:])
    assert path.read_bytes() == whole
    assert gone_on(path) == whole
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"whole.{form}", f"x.{form}"]


@pytest.mark.parametrize("form", FORMS)
def test_what_a_killed_command_left_is_swept(tmp_path: Path, form: str) -> None:
    for name in (".x.parquet", ".x.parquet.journal", ".other.csv"):
        (tmp_path / f"{name}.0123456789abcdef.segad-part").write_text("torn")
    (tmp_path / ".gone.csv.segad-lock").write_text("{}")
    leftovers._swept.clear()
    written(tmp_path / f"x.{form}")
    assert [p.name for p in tmp_path.iterdir()] == [f"x.{form}"]


def test_a_full_disk_is_said_and_gone_on_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, path = written(tmp_path / "whole.csv"), tmp_path / "x.csv"

    def full(file, data):
        file.write(data[:10])
        raise OSError(28, "No space left on device")

    with opened(path) as results:
        results.write(PREDICTIONS[:2])
        monkeypatch.setattr("segad_core.tools.results.file.write_all", full)
        with pytest.raises(StoreError, match="No space left on device") as caught:
            results.write(PREDICTIONS[2:])
        assert "--resume" in caught.value.remedy
    monkeypatch.undo()
    assert path.read_bytes() == whole[: len(path.read_bytes())]
    assert gone_on(path) == whole


def test_each_batch_is_in_the_file_when_write_returns(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    with opened(path) as results:
        for count, one in enumerate(PREDICTIONS, 1):
            results.write([one])
            assert path.read_bytes().count(b"\n") == count


def test_a_tally_counts_lines_from_before(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    written(path, upto=4)
    with opened(path, "resume") as results:
        results.write(PREDICTIONS[4:])
    assert summary(results.verdicts) == "8 images: 3 OK, 3 NG, 2 UNKNOWN"
    assert results.unscored == [("\\udcff.png", "the file is empty. Copy it again.")]


def test_lines_for_the_eye() -> None:
    assert readable_line(PREDICTIONS[1]) == 'NG         0.3333  b, "b".png  wires, patchcore q99.5, +2.10'
    assert readable_line(PREDICTIONS[2]).startswith("UNKNOWN         -  \\udcff.png  the file")
    assert explained_line(PREDICTIONS[1]).splitlines()[1:] == [
        "                   wires, patchcore q99.5, +2.10",
        "                   whole image, devnet score, -0.50",
    ]


@given(st.binary(max_size=30))
def test_a_name_is_one_line_of_text(name: bytes) -> None:
    text = in_one_line(os.fsdecode(name))
    assert len(text.splitlines()) <= 1
    assert text.isprintable() or all(ord(c) > 0x9F for c in text if not c.isprintable())
    assert text.encode("utf-8").decode() == text


def test_no_cell_of_csv_runs_in_a_spreadsheet(tmp_path: Path) -> None:
    written(tmp_path / "x.csv", explain=True)
    with (tmp_path / "x.csv").open(encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    for line in lines:
        assert float(line.pop("score") or "0") is not None  # a number is a number, with its sign
        assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in line.values()), line
    assert [line["image"] for line in lines[-2:]] == ["'=1+1.png", "''-x.png"]
    assert lines[-2]["reason"] == "'@SUM(A1), +2.10"


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_other_forms_hold_text_as_it_is(form: str, tmp_path: Path) -> None:
    written(path := tmp_path / f"x.{form}")
    lines = (
        parquet.read_table(path).to_pylist()
        if form == "parquet"
        else [json.loads(line) for line in path.read_text().splitlines()]
    )
    assert [line["image"] for line in lines[-2:]] == ["=1+1.png", "'-x.png"]


def test_a_full_disk_behind_standard_output_has_a_remedy_that_fits() -> None:
    class Full(io.StringIO):
        def flush(self) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(StoreError, match=r"standard output.*No space left") as caught:
        Printed(Full(), explain=False).write([Prediction("a.png", "OK", 0.5)])
    assert "--resume" not in caught.value.remedy and "-o" in caught.value.remedy
