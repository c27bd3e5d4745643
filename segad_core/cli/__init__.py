"""The command `segad`: one small file per command, each importing what it needs when it runs."""

from __future__ import annotations

import os

import click

from segad_core.cli.bundle import bundle
from segad_core.cli.check import check
from segad_core.cli.datasets import datasets
from segad_core.cli.fit import fit
from segad_core.cli.learn import learn
from segad_core.cli.list_plugins import list_plugins
from segad_core.cli.maps import maps
from segad_core.cli.mask import mask
from segad_core.cli.operate import operate
from segad_core.cli.predict import predict
from segad_core.cli.run import run

__all__ = ["main"]

# before any library starts its threads: on a machine that others use too, threads that wait by spinning
# keep each other from working (docs/decisions/0007-threads.md)
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="segad", prog_name="segad")
def main() -> None:
    """Supervised anomaly detection for industrial images.

    A recipe says which data, detectors, segments and classifier make up a table; `run` fills it.

    \b
    segad run elpv                a shipped recipe by name, or a path to one
    segad check my_recipe.yaml    what would be computed, without computing it
    segad list-plugins            what is installed
    segad mask                    draw segmentation masks, and look at them
    segad datasets                data sets, where to get them, whether a copy is sound
    segad maps RECIPE -o DIR      the anomaly maps behind a run's table, as files
    segad fit RECIPE -o BUNDLE    one trained setup as a bundle, for the line
    segad operate BUNDLE --show   a bundle's threshold, what it means in parts, and others to choose
    segad predict BUNDLE FOLDER   verdicts with reasons
    segad learn BUNDLE --bad IMG  teaches it what it missed
    segad bundle verify BUNDLE    whether it is sound

    Exit codes: 0 done, 1 failed, 2 the recipe or the command line is wrong, 3 done but some images could
    not be read.
    """


for _command in (run, check, list_plugins, datasets, mask, maps, fit, operate, predict, learn, bundle):
    main.add_command(_command)
