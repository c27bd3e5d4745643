"""Measures, and writes results as JSON: what was measured before stays, unless it is measured again."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as segad's command line does, before libraries start

import argparse
import logging
import warnings
from pathlib import Path

from segad_core.base.allocator import keep_freed_memory

from . import coreset, detectors, growth, machine, runtimes, statistics, training
from .cases import Options, measured
from .tables import RESULTS, line, merged, read, write

SUBJECTS = {
    **detectors.SUBJECTS,
    **training.SUBJECTS,
    **runtimes.SUBJECTS,
    **statistics.SUBJECTS,
    **coreset.SUBJECTS,
    **growth.SUBJECTS,
}


def main(words: list[str] | None = None) -> None:
    """Prints a line for each case, and writes the file after each."""
    plain = Options()
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=SUBJECTS, default=list(SUBJECTS), metavar="SUBJECT")
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--batch", nargs="+", type=int, default=plain.batch)
    parser.add_argument("--repeats", type=int, default=plain.repeats)
    parser.add_argument("--size", type=int, default=plain.size)
    parser.add_argument("--backbone", default=plain.backbone)
    parser.add_argument("--bank", type=int, default=plain.bank)
    parser.add_argument("--points", nargs=2, type=int, default=plain.points, metavar=("N", "D"))
    parser.add_argument("-o", "--output", type=Path, default=RESULTS)
    told = parser.parse_args(words)
    options = Options(
        tuple(told.batch), told.repeats, told.size, told.backbone, told.bank, tuple(told.points)
    )
    warnings.filterwarnings("ignore")  # of the peers
    logging.disable(logging.INFO)
    keep_freed_memory()  # for all contestants
    for name in told.only:
        for threads in told.threads:
            with machine.threads(threads):
                for case in SUBJECTS[name](options):
                    found = measured(name, case, threads, options.repeats)
                    write(told.output, merged(read(told.output), found))
                    print(line(found), flush=True)


if __name__ == "__main__":
    main()
