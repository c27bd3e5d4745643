"""What a command imports, seen from a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import json, sys
from segad_core.cli import main
try:
    main(sys.argv[1:])
except SystemExit as end:
    print(json.dumps([end.code, sorted(sys.modules)]))
"""


def imported_after(*words: str | Path) -> tuple[int, set[str]]:
    """The exit code of a command in a fresh process, and the modules that it imported."""
    arguments = [sys.executable, "-c", PROGRAM, *map(str, words)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    code, modules = json.loads(done.stdout.splitlines()[-1])
    return code or 0, set(modules)
