"""`segad clean`: removes what killed commands left behind."""

from __future__ import annotations

from pathlib import Path

import click

from segad_core.cli.common import DEBUG, RUNS, STORE, reports_errors
from segad_core.cli.out import say


@click.command()
@click.argument("folders", nargs=-1, metavar="[FOLDER]...", type=click.Path(path_type=Path))
@STORE
@RUNS
@click.option("--dry-run", is_flag=True, help="List what would be removed; change nothing.")
@DEBUG
@reports_errors
def clean(folders: tuple[Path, ...], store: Path, runs: Path, dry_run: bool) -> int:
    """Remove what killed commands left behind.

    Looks in the temporary folder of the system, in the store, in the runs, and in each FOLDER with its
    subfolders, such as those of results, bundles and maps. Temporary files, copies and locks of commands that
    still run stay, and so does everything that segad did not name.
    """
    import tempfile

    from segad_core.base.files import is_folder
    from segad_core.base.text import size_words
    from segad_core.errors import UsageError
    from segad_core.tools.cleaning import clean as cleaned

    for folder in folders:
        if not is_folder(folder):
            raise UsageError(f"{folder}: is not a folder", "Give folders with results, bundles or maps.")
    problems: list[OSError] = []
    places = {Path(tempfile.gettempdir()): False}
    places |= {place: True for place in (store, runs, *folders) if is_folder(place)}
    verb = "would remove" if dry_run else "removed"
    count = size = 0
    for place, recursively in places.items():
        for found in cleaned(place, recursively, dry_run, problems.append):
            count, size = count + 1, size + found.size
            say(f"{verb} {found.path} ({size_words(found.size)})")
    say(f"{count} leftover{'s' * (count != 1)}, {size_words(size)}")
    for problem in problems:
        say(f"not cleaned: {problem.filename}: {problem.strerror}", err=True)
    return 1 if problems else 0
