"""Hooks: observers of a run, such as trackers of experiments.

A complete hook, which writes the figures of each row to a file:

    import json
    from collections.abc import Mapping
    from pathlib import Path

    from segad_core.api import Hook, Parameters, hookimpl

    class Lines(Hook):
        '''Appends the figures of each row to a file, as JSON.'''

        class Params(Parameters):
            '''Where to write.'''

            folder: Path = Path("lines")

        @hookimpl
        def row_finished(self, category: str, seed: int, row: str, figures: Mapping[str, float]) -> None:
            self.params.folder.mkdir(parents=True, exist_ok=True)
            line = {"category": category, "seed": seed, "row": row, **figures}
            with (self.params.folder / "rows.jsonl").open("a") as file:
                file.write(json.dumps(line) + "\\n")
"""

from __future__ import annotations

from typing import ClassVar

from segad_core.contracts.component import Component


class Hook(Component):
    """Observes a run (entry-point group `segad.hooks`).

    `segad_core.api.Observer` lists the events. A hook implements any of them, with any of their arguments,
    as methods marked `hookimpl`.

    It observes the runs of recipes that name it in `hooks`, and of commands with `--hook`, and does nothing
    elsewhere; one instance observes one run. It changes no result: it returns nothing, what it is given is
    read-only, and neither its name nor its parameters are part of a key, a digest or a resolved recipe. If it
    raises, that is reported once, it gets no more events, and the run goes on.

    It writes only in a folder that its parameters name, by convention `folder`, relative to the folder in
    which segad is started.
    """

    contract: ClassVar[int] = 1
