"""Predictions as files that stay valid however a command ends, and to which it can go on writing."""

from __future__ import annotations

import csv
import io
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Self, TextIO

from segad_core.base.files import sync_file
from segad_core.base.text import in_one_line
from segad_core.bundle.runtime.prediction import Prediction
from segad_core.errors import StoreError, UsageError

FORMS = (".csv", ".jsonl", ".parquet")
COLUMNS = ("image", "verdict", "score", "reason", "bundle")
_DRIVERS = 10
"""How many contributions a table's column of text has."""
_CHUNK = 10_000
"""Lines in a row group of a Parquet file."""

Line = dict[str, Any]
Mode = Literal["new", "resume", "force"]
"""Of a file that is there: an error, what to go on with, or what to write anew."""


@dataclass
class Tally:
    """What came of the images so far.

    Attributes:
        verdicts: how many have each verdict.
        unscored: image and reason of those without a score.
    """

    verdicts: Counter[str] = field(default_factory=Counter)
    unscored: list[tuple[str, str]] = field(default_factory=list)

    def count(self, image: str, verdict: str, score: float | None, reason: str) -> None:
        """One more."""
        self.verdicts[verdict] += 1
        if score is None:
            self.unscored.append((image, reason))


class Printed(Tally):
    """Predictions as lines for the eye."""

    def __init__(self, stream: TextIO, explain: bool) -> None:
        super().__init__()
        self._stream, self._as_line = stream, explained_line if explain else readable_line

    def left(self, images: Iterable[str]) -> Iterable[str]:
        """All of them."""
        return images

    def write(self, predictions: Sequence[Prediction]) -> None:
        """Prints lines."""
        with _reported(Path("standard output")):
            self._stream.write("".join(f"{self._as_line(one)}\n" for one in predictions))
            self._stream.flush()
        for one in predictions:
            self.count(in_one_line(one.image), one.verdict, one.score, in_one_line(one.reason))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...


class Results(Tally):
    """A file of predictions: a line each, whole lines only; a Parquet file is made of a journal of lines.

    Attributes:
        path: what the user named.
        journal: where lines go.
        columns: what a line has.
        bundle: the bundle's digest.
        there: how often each image has a line from before.
    """

    def __init__(self, path: Path, journal: Path, columns: tuple[str, ...], bundle: str) -> None:
        super().__init__()
        self.path, self.journal, self.columns, self.bundle = path, journal, columns, bundle
        self.there: Counter[str] = Counter()
        self._file: io.FileIO | None = None

    def left(self, images: Iterable[str]) -> Iterator[str]:
        """Those images that have no line yet; one that is named twice has two."""
        there = self.there.copy()
        for image in images:
            name = in_one_line(image)
            if there[name] > 0:
                there[name] -= 1
            else:
                yield image

    def write(self, predictions: Sequence[Prediction]) -> None:
        """Appends lines; when it returns they are in the file.

        Raises:
            StoreError: they cannot be written.
        """
        lines = [line_of(one, self.columns, self.bundle, self._table) for one in predictions]
        with _reported(self.journal):
            assert self._file is not None
            _write_all(self._file, b"".join(self._encoded(line) for line in lines))
        for line in lines:
            self._count(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.close(complete=kind is None)

    def close(self, complete: bool) -> None:
        """Makes the file whole: as far as it came, or complete.

        Raises:
            StoreError: it cannot be written.
        """
        if self._file is None:
            return
        with _reported(self.path):
            self._file.close()
            self._file = None
            sync_file(self.journal)
            if self.journal != self.path:
                _to_parquet(self._read(), self.columns, self.path)
                if complete:
                    self.journal.unlink()

    def open(self) -> None:
        """Opens the file, and takes up what it has: a last line that is torn is cut off.

        Raises:
            UsageError: it is not what a command with the same bundle and options wrote.
            StoreError: it cannot be read or written.
        """
        with _reported(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if self.journal != self.path and self.path.exists() and not self.journal.exists():
                temporary = self.journal.with_name(f"{self.journal.name}.part")
                temporary.write_bytes(b"".join(map(self._encoded, _from_parquet(self.path))))
                temporary.replace(self.journal)
            if self.journal.exists() and not self.journal.is_file():
                raise UsageError(f"{self.journal}: is not a file", "Name another one.")
            if self.journal.exists():
                _cut_torn_line(self.journal)
                for line in self._read():
                    self._check(line)
                    self.there[line["image"]] += 1
                    self._count(line)
            self._file = self.journal.open("ab", buffering=0)
            if self._file.tell() == 0 and self._is_csv:
                _write_all(self._file, _csv_line(self.columns))

    @property
    def _is_csv(self) -> bool:
        return self.journal.suffix == ".csv"

    @property
    def _table(self) -> bool:
        return self.path.suffix != ".jsonl"

    def _encoded(self, line: Line) -> bytes:
        if self._is_csv:
            return _csv_line(["" if line[c] is None else line[c] for c in self.columns])
        return (json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n").encode()

    def _count(self, line: Line) -> None:
        self.count(line["image"], line["verdict"], line["score"], line["reason"])

    def _read(self) -> Iterator[Line]:
        """The lines of the journal, which all are whole."""
        with self.journal.open("rb") as file:
            if self._is_csv and (head := file.readline()) != (expected := _csv_line(self.columns)) and head:
                raise _foreign(self.path, f"begins with {head[:100]!r}, not {expected!r}")
            for raw in file:
                try:
                    yield _csv_read(raw, self.columns) if self._is_csv else json.loads(raw)
                except (ValueError, csv.Error) as error:
                    raise _foreign(self.path, f"holds a line that cannot be read ({error})") from error

    def _check(self, line: Line) -> None:
        if not isinstance(line, dict) or tuple(line) != self.columns:
            raise _foreign(self.path, f"has lines with other entries than {', '.join(self.columns)}")
        if line["bundle"] != self.bundle:
            raise UsageError(
                f"{self.path}: was written with another bundle, or with another operating point",
                "Name another file, or begin it anew with --force.",
            )


def open_results(path: Path, bundle: str, explain: bool, mode: Mode) -> Results:
    """A file to write predictions to.

    Args:
        path: its ending says what it is: csv, jsonl or parquet.
        bundle: the bundle's digest.
        explain: whether lines have contributions.
        mode: of a file that is there: an error, what to go on with, or what to write anew.

    Raises:
        UsageError: it is there, or is of another kind, or another bundle's.
        StoreError: it cannot be written.
    """
    check_output(path, mode)
    journal = _journal_of(path)
    columns = (*COLUMNS, "contributions") if explain else COLUMNS
    results = Results(path, journal, columns, bundle[:16])
    if mode == "force":
        with _reported(path):
            path.unlink(missing_ok=True)
            journal.unlink(missing_ok=True)
    results.open()
    return results


def check_output(path: Path, mode: Mode) -> None:
    """Refuses a file of results that cannot be written, before anything is computed.

    Raises:
        UsageError: its ending is none that is known, what writes it is not installed, or it is there already.
    """
    if path.suffix not in FORMS:
        raise UsageError(f"{path}: results are written as {', '.join(FORMS)}", "Name a file that ends so.")
    if path.suffix == ".parquet":
        try:
            import pyarrow.parquet  # noqa: F401
        except ImportError as error:
            raise UsageError(
                f"{path}: writing Parquet needs pyarrow", "pip install 'segad[parquet]'"
            ) from error
    if mode == "new" and (path.exists() or _journal_of(path).exists()):
        raise UsageError(
            f"{path}: is there already", "Go on with --resume, write it anew with --force, or name another."
        )


def _journal_of(path: Path) -> Path:
    """Where lines go while they come: a Parquet file is made of them at the end."""
    return path.with_name(f"{path.name}.journal") if path.suffix == ".parquet" else path


def line_of(prediction: Prediction, columns: Sequence[str], bundle: str, table: bool) -> Line:
    """A prediction as plain data; in tables, contributions are text."""
    found: Line = {
        "image": in_one_line(prediction.image),
        "verdict": prediction.verdict,
        "score": prediction.score,
        "reason": in_one_line(prediction.reason),
        "bundle": bundle,
    }
    if "contributions" in columns:
        given = prediction.contributions
        largest = sorted(given, key=lambda one: -abs(one.amount))[:_DRIVERS]
        found["contributions"] = "; ".join(map(str, largest)) if table else [asdict(one) for one in given]
    return found


@contextmanager
def _reported(path: Path) -> Iterator[None]:
    """Turns an error of the system into one that names the file."""
    try:
        yield
    except BrokenPipeError:
        raise  # who reads has enough
    except OSError as error:
        raise StoreError(
            f"{path}: cannot be written ({error.strerror or error})",
            "Free some space or correct the path; the same command with --resume goes on.",
        ) from error


def _write_all(file: io.FileIO, data: bytes) -> None:
    view = memoryview(data)
    while len(view):
        view = view[file.write(view) :]


def _cut_torn_line(path: Path) -> None:
    """Takes off what stands behind the last end of a line."""
    with path.open("rb+") as file:
        size = end = file.seek(0, os.SEEK_END)
        while end:
            begin = max(0, end - (1 << 16))
            file.seek(begin)
            if (place := file.read(end - begin).rfind(b"\n")) >= 0:
                end = begin + place + 1
                break
            end = begin
        if end < size:
            file.truncate(end)


def _foreign(path: Path, what: str) -> UsageError:
    return UsageError(
        f"{path}: {what}: it is not what this command wrote",
        "Give the same options as before, name another file, or begin it anew with --force.",
    )


def _csv_line(values: Iterable[Any]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue().encode()


def _csv_read(raw: bytes, columns: Sequence[str]) -> Line:
    (values,) = csv.reader([raw.decode().removesuffix("\n")], strict=True)
    line: Line = dict(zip(columns, values, strict=True))
    return {**line, "score": float(line["score"]) if line["score"] else None}


def _to_parquet(lines: Iterable[Line], columns: Sequence[str], path: Path) -> None:
    """A Parquet file of lines, a group of rows in memory at a time; whole or as it was before."""
    import pyarrow as pa
    from pyarrow import parquet

    schema = pa.schema([(name, pa.float64() if name == "score" else pa.string()) for name in columns])
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with parquet.ParquetWriter(temporary, schema) as writer:
            chunk: list[Line] = []
            for line in lines:
                chunk.append(line)
                if len(chunk) == _CHUNK:
                    writer.write_table(pa.Table.from_pylist(chunk, schema))
                    chunk = []
            if chunk:
                writer.write_table(pa.Table.from_pylist(chunk, schema))
        sync_file(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _from_parquet(path: Path) -> Iterator[Line]:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches():
                yield from batch.to_pylist()
    except pa.ArrowException as error:
        raise _foreign(path, f"cannot be read as Parquet ({error})") from error


def summary(verdicts: Counter[str]) -> str:
    """How many images there were, and what came of them."""
    total = sum(verdicts.values())
    counts = ", ".join(f"{verdicts[verdict]:,} {verdict}" for verdict in ("OK", "NG", "UNKNOWN"))
    return f"{total:,} image{'s' * (total != 1)}: {counts}"


def readable_line(prediction: Prediction) -> str:
    """A prediction for the eye."""
    score = "-" if prediction.score is None else f"{prediction.score:.4g}"
    words = f"{prediction.verdict:<8}{score:>9}  {in_one_line(prediction.image)}"
    return f"{words}  {in_one_line(prediction.reason)}" if prediction.reason else words


def explained_line(prediction: Prediction) -> str:
    """The same, with the largest contributions in either direction."""
    found = sorted(prediction.contributions, key=lambda one: -abs(one.amount))[:_DRIVERS]
    return "\n".join([readable_line(prediction), *(f"{'':19}{one}" for one in found)])
