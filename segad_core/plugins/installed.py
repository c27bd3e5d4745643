"""The plugins in the metadata of all installed distributions, each of which may be damaged."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any, cast

from segad_core.base.distribution_code import LIGHT, OWN
from segad_core.base.requirement import canonical, unmet_by_segad
from segad_core.base.text import reason
from segad_core.plugins.provider import Provider

_PREFIX = "segad."
_FILE = "entry_points.txt"


def installed() -> list[Provider]:
    """The plugins of all distributions, in whatever groups begin with `segad.`; imports nothing.

    Of several distributions of one name, the first on the path counts, as for Python. One whose metadata
    cannot be read has plugins that say so; the others are listed as ever.
    """
    found, seen = list[Provider](), set[str]()
    for distribution in distributions():
        name, version = _in_folder(distribution)
        key = name.lower().replace("-", "_").replace(".", "_")
        if not key or key not in seen:
            found += _plugins_of(distribution, name, version)
            seen.add(key)
    return found


def _in_folder(distribution: Distribution) -> tuple[str, str]:
    """The name and the version that the name of the metadata's folder tells; empty if it tells none."""
    folder = _folder(distribution)
    if folder is None or not folder.name.endswith((".dist-info", ".egg-info")):
        return "", ""
    name, _, version = folder.name.rpartition(".")[0].partition("-")
    return name, version


def _folder(distribution: Distribution) -> Any:
    """The folder of a distribution's metadata, a path on disk or in an archive, if it has one."""
    return getattr(distribution, "_path", None)


def _plugins_of(distribution: Distribution, name: str, version: str) -> Iterator[Provider]:
    try:
        text, damaged = distribution.read_text(_FILE) or "", ""
    except Exception as error:
        text, damaged = _undecoded(distribution), _damage(distribution, _FILE, error)
    lines = list(_lines(text)) if f"[{_PREFIX}" in text else []
    if not lines:
        return
    unmet = ""
    try:
        metadata = distribution.metadata  # parsed anew each time
        # an interrupted uninstall leaves metadata without a name
        name, version = metadata["Name"] or "unnamed", metadata["Version"] or "unknown"
        name = OWN if canonical(name) == LIGHT else name
        unmet = unmet_by_segad(distribution)
    except Exception as error:
        name, version = name or "unnamed", version or "unknown"
        damaged = damaged or _damage(distribution, "METADATA", error)
    for group, line in lines:
        plugin, equals, target = (part.strip() for part in line.partition("="))
        wrong = damaged or ("" if equals else f"{_place(distribution, _FILE)}: '{line}' has no '='")
        yield Provider(group.removeprefix(_PREFIX), plugin, name, version, target, unmet, wrong)


def _lines(text: str) -> Iterator[tuple[str, str]]:
    """The lines of groups that begin with `segad.`, as Python reads them, but one by one."""
    group = ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith("[") and line.endswith("]"):
            group = line.strip("[]")
        elif line and not line.startswith("#") and group.startswith(_PREFIX):
            yield group, line


def _undecoded(distribution: Distribution) -> str:
    """What can be read of entry points that are no text; empty if nothing can be."""
    try:
        content = cast(Path, _folder(distribution) / _FILE).read_bytes()
    except Exception:
        return ""  # nobody can tell whether it has plugins
    return content.decode(errors="backslashreplace")


def _damage(distribution: Distribution, file: str, error: Exception) -> str:
    return f"{_place(distribution, file)}: {reason(error)}"


def _place(distribution: Distribution, file: str) -> str:
    folder = _folder(distribution)
    return file if folder is None else f"{folder}/{file}"
