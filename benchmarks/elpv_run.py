"""Time and memory of `segad run elpv`, with an empty and with a full store.

python benchmarks/elpv_run.py
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def measure(folder: Path, runs: str) -> tuple[float, float]:
    """Seconds and peak memory in GiB of one run, in a separate process."""
    command = [sys.executable, "-m", "segad_core.cli", "run", "elpv"]
    command += ["--store", str(folder / "store"), "--runs", str(folder / runs), *sys.argv[1:]]
    begun = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=sys.stderr)
    assert process.stdout is not None
    output = process.stdout.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - begun
    if status != 0:
        sys.exit(f"the run failed:\n{output}")
    print(output)
    return seconds, usage.ru_maxrss / 2**20


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cold = measure(folder, "cold")
        warm = measure(folder, "warm")
        first, second = (folder / runs / "elpv" / "latest" for runs in ("cold", "warm"))
        same = all(
            (first / file).read_bytes() == (second / file).read_bytes()
            for file in ("scores.csv", "results.csv", "table.md")
        )
        stored = sum(f.stat().st_size for f in (folder / "store").rglob("*") if f.is_file())
        environment = json.loads((first / "environment.json").read_text())
    print(f"cold: {cold[0]:.0f} s, {cold[1]:.2f} GiB peak")
    print(f"warm: {warm[0]:.1f} s, {warm[1]:.2f} GiB peak; identical results: {same}")
    print(f"store: {stored / 2**20:.0f} MiB")
    print(f"{environment['processor']}, {environment['cores']} cores, {environment['libraries']}")


if __name__ == "__main__":
    main()
