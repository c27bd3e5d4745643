"""The code version of a plugin: prose and layout keep it, anything that can change a result changes it."""

from __future__ import annotations

import ast
import copy
import errno
import importlib.util
import random
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import segad_plugins
from segad_core.base import code_digest as module
from segad_core.base.code_digest import modules_digest
from segad_core.base.syntax import canonical
from segad_core.errors import ResourceError

SOURCES = sorted(Path(segad_plugins.__path__[0]).rglob("*.py"))


def meaning(source: str) -> str:
    return canonical(ast.parse(textwrap.dedent(source)))


PLAIN = """
    import numpy as np
    from dataclasses import dataclass

    LIMIT = 3

    @dataclass
    class Part:
        size: int = 2

    def scaled(values, factor=2.0, *, deep=False):
        total = LIMIT * factor
        for value in values:
            if value > 0 and not deep:
                total += value
        return f"{total:.3f}"
"""

SAME = {
    "comment": ("total = LIMIT * factor", "total = LIMIT * factor  # the start"),
    "formatting": ("total = LIMIT * factor", "total = (\n            LIMIT\n            * factor)"),
    "quotes": ('f"{total:.3f}"', "f'{total:.3f}'"),
    "number written otherwise": ("factor=2.0", "factor=2.00"),
    "docstring of a module": ("import numpy as np", '"""What it does."""\n    import numpy as np'),
    "docstring of a class": ("size: int", '"""A part."""\n        size: int'),
    "docstring of a function": ("total = LIMIT", '"""Scales."""\n        total = LIMIT'),
    "documented constant": ("LIMIT = 3", 'LIMIT = 3\n    """The most."""'),
    "annotations": ("scaled(values, factor=2.0, *, deep=False):", "scaled(values: list[int], "
                    "factor: float = 2.0, *, deep: bool = False) -> str:"),
    "local annotation": ("total = LIMIT", "total: float = LIMIT"),
}  # fmt: skip

OTHER = {
    "constant": ("LIMIT = 3", "LIMIT = 4"),
    "type of a constant": ("LIMIT = 3", "LIMIT = 3.0"),
    "true for one": ("deep=False", "deep=0"),
    "bytes for text": ("LIMIT = 3", "LIMIT = b'3'"),
    "none for its name": ("LIMIT = 3", "LIMIT = None"),
    "operator": ("LIMIT * factor", "LIMIT + factor"),
    "comparison": ("value > 0", "value >= 0"),
    "boolean": ("and not deep", "or not deep"),
    "name": ("total = LIMIT * factor", "total = LIMIT * LIMIT"),
    "attribute": ("dataclasses import dataclass", "dataclasses import field"),
    "default": ("factor=2.0", "factor=2.5"),
    "no default": ("factor=2.0", "factor"),
    "keyword only": ("*, deep", "deep"),
    "decorator": ("@dataclass", "@dataclass(frozen=True)"),
    "no decorator": ("@dataclass", ""),
    "annotation of a field": ("size: int", "size: float"),
    "format": (":.3f", ":.4f"),
    "conversion": ("{total:", "{total!r:"),
    "order": ("import numpy as np\n    from dataclasses import dataclass",
              "from dataclasses import dataclass\n    import numpy as np"),
    "alias": ("numpy as np", "numpy as xp"),
    "depth": ("            if value > 0 and not deep:\n                total += value\n        return",
              "            if value > 0 and not deep:\n                total += value\n            return"),
    "augmented": ("total += value", "total -= value"),
}  # fmt: skip


@pytest.mark.parametrize(("old", "new"), SAME.values(), ids=SAME)
def test_prose_and_layout_keep_it(old: str, new: str) -> None:
    assert old in PLAIN
    assert meaning(PLAIN.replace(old, new)) == meaning(PLAIN)


@pytest.mark.parametrize(("old", "new"), OTHER.values(), ids=OTHER)
def test_what_can_change_a_result_changes_it(old: str, new: str) -> None:
    assert old in PLAIN
    assert meaning(PLAIN.replace(old, new)) != meaning(PLAIN)


def test_an_annotation_that_a_decorator_may_read_counts() -> None:
    plain = "@handle.register\ndef _(value: {}):\n    return 1"
    assert meaning(plain.format("int")) != meaning(plain.format("str"))


def test_a_local_declaration_without_a_value_counts() -> None:
    """It makes the name local, so that reading it fails instead of finding the module's."""
    assert meaning("def f():\n    x: int\n    return x") != meaning("def f():\n    return x")


def test_a_class_inside_a_function_keeps_the_annotations_of_its_fields() -> None:
    plain = "def f():\n    class A:\n        x: {} = 1\n    return A"
    assert meaning(plain.format("int")) != meaning(plain.format("float"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(SOURCES[0].parent).as_posix())
def test_plugins_as_they_are(path: Path) -> None:
    """Without prose each of our plugins is the same; after any single edit of its code it is not."""
    tree = ast.parse(path.read_bytes())
    before = canonical(copy.deepcopy(tree))
    assert canonical(ast.parse("# a comment\n" + ast.unparse(tree))) == before
    assert canonical(ast.parse(without_prose(copy.deepcopy(tree)))) == before
    edits = list(single_edits(tree))
    chosen = random.Random(0).sample(edits, min(len(edits), 8))
    for what, edit in chosen:
        edited = copy.deepcopy(tree)
        edit(edited)
        assert canonical(edited) != before, what


def without_prose(tree: ast.Module) -> str:
    """The source without comments, with other docstrings and without the docstrings' indents."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            node.value.value = "other words"
    return ast.unparse(tree)


Edit = tuple[str, Callable[[ast.Module], None]]


def single_edits(tree: ast.Module) -> Iterator[Edit]:
    """Edits of one node each: a constant, name, operator, attribute, argument, default or decorator."""
    alone = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    hints = {id(inner) for node in ast.walk(tree) for hint in hints_of(node) for inner in ast.walk(hint)}
    for place, node in enumerate(ast.walk(tree)):
        if id(node) in hints or (id(node) in alone and isinstance(node, ast.Constant)):
            continue
        if isinstance(node, ast.Constant) and not isinstance(node.value, bytes):
            other = node.value + "x" if isinstance(node.value, str) else (node.value, 1)
            yield changed(node, place, "value", other if isinstance(node.value, str) else repr(other))
        elif isinstance(node, ast.Name):
            yield changed(node, place, "id", node.id + "_")
        elif isinstance(node, ast.Attribute):
            yield changed(node, place, "attr", node.attr + "_")
        elif isinstance(node, ast.arg):
            yield changed(node, place, "arg", node.arg + "_")
        elif isinstance(node, ast.BinOp | ast.AugAssign):
            yield changed(node, place, "op", ast.Sub() if not isinstance(node.op, ast.Sub) else ast.Add())
        elif isinstance(node, ast.Compare):
            ops = [ast.NotEq() if not isinstance(node.ops[0], ast.NotEq) else ast.Eq(), *node.ops[1:]]
            yield changed(node, place, "ops", ops)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield changed(node, place, "decorator_list", [*node.decorator_list, ast.Name("other")])
            yield changed(node, place, "name", node.name + "_")
        elif isinstance(node, ast.arguments) and node.defaults:
            yield changed(node, place, "defaults", [*node.defaults[:-1], ast.Constant("another default")])


def changed(node: ast.AST, place: int, field: str, value: object) -> Edit:
    def edit(tree: ast.Module) -> None:
        setattr(next(n for i, n in enumerate(ast.walk(tree)) if i == place), field, value)

    return f"{type(node).__name__}.{field} in line {getattr(node, 'lineno', '?')}", edit


def hints_of(node: ast.AST) -> list[ast.AST]:
    return [hint for name in ("annotation", "returns") if (hint := getattr(node, name, None)) is not None]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package `parts` of a plugin, a helper that it imports, and one that it does not."""
    home = tmp_path / "parts"
    home.mkdir()
    (home / "__init__.py").write_text("")
    (home / "plugin.py").write_text('from parts.helper import double\n\nresult = double(2)\n"""Four."""\n')
    (home / "helper.py").write_text('def double(x):\n    """Twice."""\n    return 2 * x\n')
    (home / "beside.py").write_text("LIMIT = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield home
    for name in [name for name in sys.modules if name.partition(".")[0] == "parts"]:
        del sys.modules[name]


def digest() -> str:
    module._source.cache_clear()
    return modules_digest(["parts.plugin"])


@pytest.mark.parametrize(
    ("name", "old", "new", "same"),
    [
        ("helper.py", "Twice.", "Two times.", True),
        ("helper.py", "    return", "    # doubled\n    return", True),
        ("plugin.py", "Four.", "4.", True),
        ("beside.py", "1", "2", True),
        ("helper.py", "2 * x", "3 * x", False),
        ("plugin.py", "double(2)", "double(4)", False),
        ("plugin.py", "from parts.helper", "import parts.beside\nfrom parts.helper", False),
    ],
)
def test_a_module_and_what_it_imports(package: Path, name: str, old: str, new: str, same: bool) -> None:
    """A changed word in a docstring of a shared helper must not train every plugin again."""
    before = digest()
    text = (package / name).read_text()
    assert old in text
    (package / name).write_text(text.replace(old, new))
    assert (digest() == before) == same


def test_a_module_that_cannot_be_parsed_counts_by_its_bytes(package: Path) -> None:
    seen = set()
    for source in (b"def (", b"def (  # now with a comment", b"\x00\x01", b"\x00\x02", b"x = 1"):
        (package / "helper.py").write_bytes(source)
        seen.add(digest())
    assert len(seen) == 5


def test_code_that_cannot_be_looked_for_is_not_left_out(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key without a part of the code would be another key."""

    def fail(name: str) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(importlib.util, "find_spec", fail)
    with pytest.raises(ResourceError, match="Too many open files"):
        digest()


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_built_in_plugins_import_their_own_modules_by_import_statements_alone(path: Path) -> None:
    """Their keys follow imports, so no module of theirs may be reached by other means."""
    calls = [node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    names = {getattr(call, "attr", getattr(call, "id", "")) for call in calls}
    assert not names & {"import_module", "__import__", "exec", "spec_from_file_location", "run_path"}
