"""The directory of plugins has all that is installed with segad and all that lies beside it."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

from segad_core.contracts import KINDS
from segad_core.plugins.registry import Registry

ROOT = Path(__file__).parents[2]
GENERATOR = runpy.run_path(str(ROOT / "docs" / "plugins" / "generate_directory.py"))
PAGE = (ROOT / "docs" / "plugins" / "directory.md").read_text(encoding="utf-8")
FOLDERS = sorted(
    path.parent for path in (ROOT / "plugins").glob("*/pyproject.toml") if path.parent.name != "segad-runtime"
)


def test_the_page_is_what_the_sources_say() -> None:
    assert GENERATOR["filled"](PAGE) == PAGE, "run `python docs/plugins/generate_directory.py`"


def test_it_has_all_built_in_plugins() -> None:
    rows = re.findall(r"^\| \[(\w+)\]\(reference/\1\.md\) \| `(\w+)` \| (.+) \|$", PAGE, re.M)
    own = Registry(third_parties=False).providers()
    assert sorted((kind, name) for kind, name, _ in rows) == sorted((one.kind, one.name) for one in own)
    assert {kind for kind, _, _ in rows} | {"hooks"} == {*KINDS}


def test_it_has_all_distributions() -> None:
    rows = re.findall(r"^\| \[([\w-]+)\]\(\.\./\.\./plugins/([\w-]+)/README\.md\)", PAGE, re.M)
    assert [folder for _, folder in rows] == [folder.name for folder in FOLDERS]
    assert len(rows) == 4


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_ours_keep_the_rules(folder: Path) -> None:
    project = GENERATOR["distributions"]()[folder]
    assert project["license"] and (folder / "README.md").is_file()
    assert [one for one in project["dependencies"] if re.fullmatch(r"segad>=[\d.]+,<[\d.]+", one)]
    plugins = [*GENERATOR["plugins_of"](project, folder)]
    assert plugins
    for plugin in plugins:
        assert plugin.contract == KINDS[plugin.kind].contract
        assert plugin.about.endswith(".")


def test_what_is_new_appears(tmp_path: Path) -> None:
    for folder, name, group in (
        (tmp_path, "segad", "features"),
        (tmp_path / "plugins" / "segad-odd", "segad-odd", "hooks"),
    ):
        source = folder / "odd" if name == "segad-odd" else tmp_path / "plugins" / "odd"
        source.mkdir(parents=True)
        text = 'class Odd:\n    """Something odd.\n\n    More."""\n\n    contract = 3\n'
        (source / "one.py").write_text(text)
        (folder / "pyproject.toml").write_text(
            f'[project]\nname = "{name}"\nlicense = "MIT"\n'
            f'[project.entry-points."segad.{group}"]\nodd = "odd.one:Odd"\n'
        )
    heads = [f"<!-- generated: {name} -->\nold\n<!-- end -->\n" for name in ("distributions", "built-in")]
    page = "kept\n".join(heads)
    lines = GENERATOR["filled"](page, tmp_path).splitlines()
    link = "[segad-odd](../../plugins/segad-odd/README.md)"
    assert f"| {link} | `odd` (hooks): Something odd. | MIT | 3 |" in lines
    assert "| [features](reference/features.md) | `odd` | Something odd. |" in lines
    assert "kept" in lines and "old" not in lines
