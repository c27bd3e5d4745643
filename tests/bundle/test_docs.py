"""The example in the documentation does what it shows."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from trained_bundles import bad, bundle_of, good

DOCS = Path(__file__).parents[2] / "docs"


def test_the_example_of_bundles_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", (DOCS / "bundles.md").read_text(encoding="utf-8"), re.S)
    monkeypatch.chdir(tmp_path)
    shutil.copytree(bundle_of("SegAD"), "bracket.segad")
    shutil.copy(good(0), "part1.png")
    shutil.copy(bad(0), "part2.png")
    exec(compile(example, "bundles.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if line.startswith("part")] == ["part1.png", "part2.png"]
    assert len(lines) == 2 + 2 * 3 + 1
    assert (tmp_path / "bracket2.segad" / "manifest.json").is_file()
