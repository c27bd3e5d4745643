"""Draw the template maps of VAD and of VisA's circuit boards.

    python make_templates.py [FOLDER]

writes ``vad_template.png`` and ``visa_pcb1_template.png`` to ``visa_pcb4_template.png`` to FOLDER (by default
the folder of this script).

The maps with which the paper was made were never published. Templates let the recipes run end to end, and
show how many segments there are and what they are called. **Their positions are invented**: no image was
looked at. Draw your own before you read anything into figures (``docs/how-to/draw_a_mask.md``).

* VAD: one map for all images, 512 x 512 as the images are. The paper names its seven segments (Figure 5) and
  describes the part (section 3, Figure 9): a round piezo, always centred, of constant size; two wires that
  lead from two pins on one side to two soldering dots on the piezo. Which side, how large anything is, and
  where the outer half-circle lies, is not said.
* VisA: components for the registration onto each image's object (section 5.4). The paper's code has 6
  segments for pcb1 and pcb4, 8 for pcb2 and pcb3: background, board, and 4 or 6 components, which are
  named nowhere. Here all are rectangles, the board too.

Nothing here is random: the same files come out every time. Needs segad.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from segad_core.images import write_labels

VAD = (
    "background",
    "outer_half_circle",
    "piezo_border",
    "solder_dots",
    "wires",
    "pins",
    "piezo_middle",
)
"""The segments of VAD, in the order of the paper's Figure 5."""

PCB_PARTS = {"pcb1": 4, "pcb2": 6, "pcb3": 6, "pcb4": 4}
"""How many components each has beside background and board (paper's code: 6, 8, 8, 6 segments)."""

Array = np.ndarray


def pcb_segments(parts: int) -> tuple[str, ...]:
    """The segments of a board."""
    return ("background", "board", *(f"part_{i + 1}" for i in range(parts)))


def grid(height: int, width: int) -> tuple[Array, Array]:
    """The y and x of each pixel's centre."""
    y, x = np.mgrid[:height, :width]
    return y + 0.5, x + 0.5


def capsule(y: Array, x: Array, ends: Sequence[tuple[float, float]], radius: float) -> Array:
    """What lies within a radius of the line between two points (y, x)."""
    (y0, x0), (y1, x1) = ends
    along = ((y - y0) * (y1 - y0) + (x - x0) * (x1 - x0)) / ((y1 - y0) ** 2 + (x1 - x0) ** 2)
    along = along.clip(0, 1)
    return np.hypot(y - y0 - along * (y1 - y0), x - x0 - along * (x1 - x0)) <= radius


def vad() -> Array:
    """The map of VAD: what comes later lies on top."""
    label = {name: i for i, name in enumerate(VAD)}
    y, x = grid(512, 512)
    radius = np.hypot(y - 256, x - 256)
    labels = np.full(radius.shape, label["background"], np.uint8)
    labels[(radius <= 235) & (y > 256)] = label["outer_half_circle"]
    labels[radius <= 185] = label["piezo_border"]
    labels[radius <= 160] = label["piezo_middle"]
    for side in (-1, 1):  # one wire, pin and dot on each side of the middle
        pin, dot = (40, 256 + side * 60), (270, 256 + side * 80)
        labels[capsule(y, x, (pin, dot), 22)] = label["wires"]
        labels[np.hypot(y - dot[0], x - dot[1]) <= 42] = label["solder_dots"]
        labels[(abs(y - pin[0]) <= 40) & (abs(x - pin[1]) <= 32)] = label["pins"]
    return labels


def pcb(parts: int) -> Array:
    """The components of a board, two rows of them."""
    y, x = grid(400, 600)
    labels = ((abs(y - 200) <= 130) & (abs(x - 300) <= 230)).astype(np.uint8)
    columns = parts // 2
    for i in range(parts):
        row, column = divmod(i, columns)
        middle = (140 + 120 * row, 300 + 130 * (column - (columns - 1) / 2))
        labels[(abs(y - middle[0]) <= 40) & (abs(x - middle[1]) <= 45)] = 2 + i
    return labels


def maps() -> dict[str, tuple[Array, tuple[str, ...]]]:
    """Each template and the names of its segments, by the name of its file."""
    boards = {f"visa_{name}_template.png": (pcb(n), pcb_segments(n)) for name, n in PCB_PARTS.items()}
    return {"vad_template.png": (vad(), VAD), **boards}


def main(out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for name, (labels, segments) in maps().items():
        write_labels(out / name, labels, len(segments))
        print(name, ", ".join(f"{s} {(labels == i).mean():.1%}" for i, s in enumerate(segments)))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
