"""A folder of maps that is being replaced is the old one or the new one, whatever happens."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Any, cast

import pytest

from segad_core.base import files
from segad_core.tools.maps.folder import RECORD, MapFolder

FILES = [PurePosixPath("a.npy")]


def write_maps(folder: Path, origin: str) -> None:
    with MapFolder(folder, "spotty", cast("Any", None), origin).replaced(FILES, {}) as part:
        (part / "a.npy").write_text(origin)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize(
    ("step", "after", "remains"), [(1, True, "first"), (2, False, "first"), (2, True, "second")]
)
def test_a_replacement_that_stops_leaves_a_whole_folder(
    error: BaseException,
    step: int,
    after: bool,
    remains: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It stops at the first or the second rename, before or after the rename takes effect."""
    folder = tmp_path / "seed_0"
    write_maps(folder, "first")
    rename, calls = Path.rename, list[Path]()

    def stopping(self: Path, target: Path) -> Path:
        calls.append(target)
        if len(calls) == step:
            if after:
                rename(self, target)
            raise error
        return rename(self, target)

    monkeypatch.setattr(files, "_exchange", lambda one, other: False)
    monkeypatch.setattr(Path, "rename", stopping)
    with pytest.raises(type(error)):
        write_maps(folder, "second")
    assert (folder / "a.npy").read_text() == remains
    assert json.loads((folder / RECORD).read_text())["origin"] == remains
    assert list(tmp_path.iterdir()) == [folder]
