"""Draws the rooms of the engine and what they import, from the code itself: docs/pictures/rooms.svg.

A room stands one floor above the highest room that it imports. Arrows that others imply are left out.

    python docs/pictures/draw_rooms.py
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from xml.sax.saxutils import escape

ROOT = Path(__file__).parents[2]
PICTURE = Path(__file__).with_name("rooms.svg")

_WIDTH, _HEIGHT, _ACROSS, _DOWN, _MARGIN = 186, 68, 26, 54, 24
_LINE, _LINES = 32, 3
"""Characters of a line in a box, and its lines."""

Imports = Mapping[str, frozenset[str]]


def rooms(root: Path = ROOT) -> dict[str, frozenset[str]]:
    """Each room of `segad_core`, and the rooms that its modules import; the built-in plugins are one more."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in sorted((root / "segad_core").rglob("*.py")):
        inside = path.relative_to(root / "segad_core")
        room = inside.parts[0].removesuffix(".py")
        if room != "__init__":
            found[room] |= _imported(path)
    for path in sorted((root / "plugins" / "segad_plugins").rglob("*.py")):
        found["segad_plugins"] |= _imported(path)
    return {room: frozenset(others & found.keys() - {room}) for room, others in found.items()}


def _imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
    return {name.split(".")[1] for name in names if name.startswith("segad_core.")}


def floors(imports: Imports) -> dict[str, int]:
    """The floor of each room, from 0.

    Raises:
        ValueError: rooms import each other in a circle.
    """
    known: dict[str, int] = {}

    def floor(room: str, above: tuple[str, ...]) -> int:
        if room in above:
            raise ValueError(f"a circle of imports: {' -> '.join([*above[above.index(room) :], room])}")
        if room not in known:
            known[room] = 1 + max((floor(other, (*above, room)) for other in imports[room]), default=-1)
        return known[room]

    for room in imports:
        floor(room, ())
    return known


def arrows(imports: Imports) -> list[tuple[str, str]]:
    """The imports without those that others imply (the transitive reduction)."""

    def reached(room: str) -> set[str]:
        return {one for other in imports[room] for one in (other, *reached(other))}

    return sorted(
        (room, other)
        for room, others in imports.items()
        for other in others
        if not any(other in reached(between) for between in others - {other})
    )


def purpose(room: str, root: Path = ROOT) -> str:
    """The first sentence of a room's docstring."""
    folder = root / "plugins" / room if room == "segad_plugins" else root / "segad_core" / room
    path = folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    sentence = " ".join(text.split("\n\n")[0].split()).split(". ")[0].rstrip(".")
    title, _, words = sentence.partition(": ")
    return words if title.lower() == room else sentence


def svg(root: Path = ROOT) -> str:
    """The picture."""
    imports = rooms(root)
    levels = floors(imports)
    by_floor = _ordered(imports, levels)
    widest, top = max(map(len, by_floor.values())), max(by_floor)
    width = 2 * _MARGIN + widest * _WIDTH + (widest - 1) * _ACROSS
    height = 2 * _MARGIN + (top + 1) * _HEIGHT + top * _DOWN
    places = {}
    for level, names in by_floor.items():
        left = (width - len(names) * _WIDTH - (len(names) - 1) * _ACROSS) / 2
        for i, room in enumerate(names):
            places[room] = (left + i * (_WIDTH + _ACROSS), _MARGIN + (top - level) * (_HEIGHT + _DOWN))
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
            'font-family="sans-serif">',
            '<defs><marker id="a" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
            'orient="auto"><path d="M0,0 L8,4 L0,8 z" fill="#68758a"/></marker></defs>',
            f'<rect width="{width:.0f}" height="{height:.0f}" fill="#ffffff"/>',
            *(_arrow(places[one], places[other]) for one, other in arrows(imports)),
            *(_box(room, purpose(room, root), *places[room]) for room in sorted(places)),
            "</svg>\n",
        ]
    )


def _ordered(imports: Imports, levels: Mapping[str, int]) -> dict[int, list[str]]:
    """The rooms of each floor from left to right: each near the middle of those that import it."""
    by_floor: dict[int, list[str]] = defaultdict(list)
    for room in sorted(imports):
        by_floor[levels[room]].append(room)
    links = arrows(imports)
    places: dict[str, float] = {}
    for level in sorted(by_floor, reverse=True):

        def middle(room: str) -> float:
            above = [places[one] for one, other in links if other == room]
            return sum(above) / len(above) if above else 1.0

        by_floor[level].sort(key=lambda room: (middle(room), room))
        for i, room in enumerate(by_floor[level]):
            places[room] = (i + 0.5) / len(by_floor[level])
    return by_floor


def _arrow(start: tuple[float, float], end: tuple[float, float]) -> str:
    x1, y1 = start[0] + _WIDTH / 2, start[1] + _HEIGHT
    x2, y2 = end[0] + _WIDTH / 2, end[1] - 2
    bend = min(0.5 * (y2 - y1), _DOWN)
    path = f"M{x1:.0f},{y1:.0f} C{x1:.0f},{y1 + bend:.0f} {x2:.0f},{y2 - bend:.0f} {x2:.0f},{y2:.0f}"
    return f'<path d="{path}" fill="none" stroke="#68758a" stroke-width="1.3" marker-end="url(#a)"/>'


def _box(room: str, words: str, x: float, y: float) -> str:
    plugin = room == "segad_plugins"
    fill, edge = ("#fdf3e1", "#c98a1b") if plugin else ("#e9f0fa", "#3b6fb6")
    lines = _wrapped(words)
    if len(lines) > _LINES:
        lines = [*lines[: _LINES - 1], f"{lines[_LINES - 1]} ..."]
    middle = x + _WIDTH / 2
    at = f'x="{middle:.0f}" y="{y + 19:.0f}"'
    text = [f'<text {at} font-size="14" font-weight="bold">{escape(room)}</text>']
    text += [
        f'<text x="{middle:.0f}" y="{y + 34 + 12 * i:.0f}" font-size="10" fill="#333">{escape(line)}</text>'
        for i, line in enumerate(lines)
    ]
    return (
        f'<g text-anchor="middle"><rect x="{x:.0f}" y="{y:.0f}" width="{_WIDTH}" height="{_HEIGHT}" rx="6" '
        f'fill="{fill}" stroke="{edge}"/>{"".join(text)}</g>'
    )


def _wrapped(words: str) -> list[str]:
    lines = [""]
    for word in words.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > _LINE:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


if __name__ == "__main__":
    PICTURE.write_text(svg(), encoding="utf-8")
