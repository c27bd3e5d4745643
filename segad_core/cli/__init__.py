"""The command `segad`: one small file per command, on top of everything else.

Each command imports what it needs only when it runs, and holds no logic of its own beyond options and output.
"""

from __future__ import annotations

import faulthandler
import os
import sys
from contextlib import suppress

import click

from segad_core.base.distribution_code import own_version
from segad_core.cli.bundle import bundle
from segad_core.cli.check import check
from segad_core.cli.clean import clean
from segad_core.cli.datasets import datasets
from segad_core.cli.export import export
from segad_core.cli.fit import fit
from segad_core.cli.learn import learn
from segad_core.cli.list_plugins import list_plugins
from segad_core.cli.maps import maps
from segad_core.cli.mask import mask
from segad_core.cli.operate import operate
from segad_core.cli.out import OneWayOut, say
from segad_core.cli.plugin import plugin
from segad_core.cli.predict import predict
from segad_core.cli.run import run

__all__ = ["main"]

# set before any library starts its threads: on a shared machine, threads that spin while waiting slow each
# other down (docs/decisions/0007-threads.md)
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def _say_version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        say(f"segad, version {own_version()}")
        context.exit()


@click.group(
    cls=OneWayOut, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_say_version,
    help="Say the version.",
)
def main() -> None:
    """Supervised anomaly detection for industrial images.

    A recipe describes an experiment: data, detectors, segments and classifiers, one table row per setup.

    \b
    segad run elpv                        run a shipped recipe and print its table
    segad fit elpv ... -o BUNDLE          save one trained setup for production
    segad predict BUNDLE FOLDER           inspect images with it

    Exit codes: 0 success, 1 failure, 2 invalid recipe or command line, 3 success, but some images could not
    be read, 4 `learn` succeeded, but the new bundle is worse.
    """
    if not faulthandler.is_enabled():
        with suppress(AttributeError, OSError, RuntimeError, ValueError):  # without a descriptor of stderr
            faulthandler.enable(sys.stderr)  # a crash in compiled code shows the line that called it


for _command in (
    run,
    check,
    list_plugins,
    plugin,
    datasets,
    mask,
    maps,
    fit,
    operate,
    predict,
    learn,
    bundle,
    export,
    clean,
):
    main.add_command(_command)
