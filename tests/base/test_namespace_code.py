"""Keys hold all modules of a third party's distribution, also where it shares a namespace package."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

from segad_core.base import code_digest as digests
from segad_core.base import distribution_code

PLUGIN = "class Plugin: pass\n"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in [name for name in sys.modules if name.partition(".")[0] in ("shared", "alone")]:
        del sys.modules[name]


def install(site: Path, name: str, files: dict[str, str], recorded: bool = True, top: str = "") -> None:
    info = site / f"{name}-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
    if recorded:
        (info / "RECORD").write_text("".join(f"{file},,\n" for file in [*files, f"{info.name}/RECORD"]))
    if top:
        (info / "top_level.txt").write_text(top)
    for file, text in files.items():
        (site / file).parent.mkdir(parents=True, exist_ok=True)
        (site / file).write_text(text)


def digest(module: str, distribution: str = "one") -> str:
    importlib.invalidate_caches()
    for cached in (
        digests._source,
        distribution_code.top_modules,
        distribution_code.listed_modules,
        distribution_code._owned,
        distribution_code.is_unowned,
    ):
        cached.cache_clear()
    return digests.code_digest(importlib.import_module(module).Plugin, distribution)


def changes(site: Path, file: str, module: str) -> bool:
    """Whether another content of a file gives another digest, and the old content the old one."""
    old, before = (site / file).read_bytes(), digest(module)
    (site / file).write_bytes(b"CHANGED = 1\n" + old)
    after = digest(module)
    (site / file).write_bytes(old)
    assert digest(module) == before
    return after != before


@pytest.mark.parametrize("top", ["", "shared\n"], ids=["", "top_level.txt"])
@pytest.mark.parametrize("recorded", [True, False], ids=["RECORD", "no RECORD"])
@pytest.mark.parametrize(
    ("plugin", "others"),
    [
        ("shared/det.py", ["shared/helper.py", "shared/deep/helper.py", "shared/pkg/__init__.py"]),
        ("shared/deep/det.py", ["shared/helper.py", "shared/deep/helper.py"]),
        ("shared/pkg/det.py", ["shared/pkg/__init__.py", "shared/pkg/helper.py", "shared/helper.py"]),
        ("shared/pkg/__init__.py", ["shared/pkg/deep/helper.py", "shared/helper.py"]),
        (
            "shared/det.py",
            [f"shared/native{EXTENSION_SUFFIXES[0]}", f"shared/deep/native{EXTENSION_SUFFIXES[-1]}"],
        ),
    ],
    ids=["namespace", "below", "package", "package itself", "compiled"],
)
def test_every_module_in_a_namespace(
    site: Path, plugin: str, others: list[str], recorded: bool, top: str
) -> None:
    files = {**dict.fromkeys(others, ""), plugin: PLUGIN}
    install(site, "one", files, recorded, top)
    module = plugin.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    assert all(changes(site, file, module) for file in [plugin, *others])


def test_what_another_distribution_has_in_the_namespace_does_not_count(site: Path) -> None:
    install(site, "one", {"shared/det.py": PLUGIN, "shared/helper.py": ""})
    install(site, "two", {"shared/other.py": "", "shared/pkg/__init__.py": "1 / 0\n"})
    assert changes(site, "shared/helper.py", "shared.det")
    assert not changes(site, "shared/other.py", "shared.det")
    assert not changes(site, "shared/pkg/__init__.py", "shared.det")


def test_a_namespace_beside_the_plugins_own_package(site: Path) -> None:
    install(site, "one", {"alone/__init__.py": PLUGIN, "shared/helper.py": "", "lone.py": ""})
    assert changes(site, "shared/helper.py", "alone")
    assert changes(site, "lone.py", "alone")


def test_an_editable_installation_has_its_record_elsewhere(
    site: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its metadata list a file of paths; another distribution of the namespace is installed as usual."""
    source = tmp_path_factory.mktemp("source")
    (source / "shared" / "deep").mkdir(parents=True)
    for file, text in {"det": PLUGIN, "helper": "", "deep/helper": ""}.items():
        (source / "shared" / f"{file}.py").write_text(text)
    monkeypatch.syspath_prepend(str(source))
    install(site, "one", {"__editable__.one-1.pth": str(source)})
    install(site, "two", {"shared/other.py": ""})
    assert changes(source, "shared/helper.py", "shared.det")
    assert changes(source, "shared/deep/helper.py", "shared.det")
    assert not changes(site, "shared/other.py", "shared.det")


def test_a_folder_of_another_name_than_its_package(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation can map `shared` to a folder `lib`: what lies beside that is not its own."""
    install(site, "one", {"lib/det.py": PLUGIN, "lib/helper.py": "", "beside/helper.py": ""}, recorded=False)
    find: Callable[[str], object] = distribution_code.spec_of

    class Spec:
        origin = str(site / "lib" / "det.py")
        submodule_search_locations = None

    monkeypatch.setattr(
        distribution_code, "spec_of", lambda name: Spec if name == "shared.sub.det" else find(name)
    )
    assert distribution_code.modules_beside("shared.sub.det") == ["shared.sub.det", "shared.sub.helper"]


def test_keys_of_packages_do_not_change_by_being_recorded(site: Path) -> None:
    files = {"alone/__init__.py": PLUGIN, "alone/helper.py": "x = 1\n"}
    install(site, "one", files)
    recorded = digest("alone")
    (site / "one-1.dist-info" / "RECORD").unlink()
    assert digest("alone") == recorded
