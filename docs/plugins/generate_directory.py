"""Writes the tables of docs/plugins/directory.md, from entry points in pyproject files and from docstrings.

python docs/plugins/generate_directory.py
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]
LIGHT = "segad-runtime"
PAGE = Path(__file__).with_name("directory.md")


class Plugin(NamedTuple):
    """A plugin, as the sources of its distribution describe it.

    Attributes:
        contract: the version of the contract that its class states; None if it states none.
    """

    kind: str
    name: str
    about: str
    contract: int | None


def distributions(root: Path = ROOT) -> dict[Path, dict[str, Any]]:
    """What the pyproject files of the distributions beside segad say, by their folders.

    Without `segad-runtime`, whose plugins are segad's.
    """
    files = sorted(file for file in (root / "plugins").glob("*/pyproject.toml") if file.parent.name != LIGHT)
    return {file.parent: tomllib.loads(file.read_text(encoding="utf-8"))["project"] for file in files}


def plugins_of(project: dict[str, Any], *folders: Path) -> Iterator[Plugin]:
    """The plugins that a distribution provides; nothing is imported.

    Args:
        project: of its pyproject file.
        folders: where its packages are.
    """
    for group, points in project.get("entry-points", {}).items():
        for name, target in points.items():
            yield Plugin(group.removeprefix("segad."), name, *_class(target, folders))


def _class(target: str, folders: tuple[Path, ...]) -> tuple[str, int | None]:
    """The first line of a class's docstring, and the version of the contract that it states."""
    module, _, name = target.partition(":")
    (file,) = (path for one in folders if (path := one / (module.replace(".", "/") + ".py")).is_file())
    tree = ast.parse(file.read_text(encoding="utf-8"))
    (cls,) = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)
    stated = {
        node.targets[0].id: node.value.value
        for node in cls.body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and isinstance(node.value, ast.Constant)
    }
    return (ast.get_docstring(cls) or "").partition("\n")[0], stated.get("contract")


def filled(page: str, root: Path = ROOT) -> str:
    """The page with its tables."""
    tables = {"distributions": _distributions(root), "built-in": _built_in(root)}
    for name, lines in tables.items():
        head = f"<!-- generated: {name} -->"
        page = re.sub(
            f"{head}\n.*?<!-- end -->",
            lambda _, head=head, lines=lines: "\n".join([head, "", *lines, "", "<!-- end -->"]),
            page,
            flags=re.S,
        )
    return page


def _distributions(root: Path) -> Iterator[str]:
    yield "| distribution | plugins | licence | contract |"
    yield "| --- | --- | --- | --- |"
    for folder, project in distributions(root).items():
        for plugin in plugins_of(project, folder):
            link = f"[{project['name']}](../../plugins/{folder.name}/README.md)"
            what = f"`{plugin.name}` ({plugin.kind}): {plugin.about}"
            yield f"| {link} | {what} | {project['license']} | {plugin.contract} |"


def _built_in(root: Path) -> Iterator[str]:
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    yield "| kind | plugin | what it is |"
    yield "| --- | --- | --- |"
    for plugin in plugins_of(project, root / "plugins"):
        yield f"| [{plugin.kind}](reference/{plugin.kind}.md) | `{plugin.name}` | {plugin.about} |"


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
