"""`segad bundle`: what a bundle is, and whether it is sound."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from segad_core.cli.common import DEBUG, DEVICE, JSON, NO_PLUGINS, reports_errors, say

if TYPE_CHECKING:
    from segad_core.bundle.format.manifest import Manifest, PluginUse
    from segad_core.bundle.runtime.selftest import Verification
    from segad_core.operate.operating_point import OperatingPoint

BUNDLE = click.argument("bundle", type=click.Path(path_type=Path))


@click.group()
def bundle() -> None:
    """Look at a bundle, and check it."""


@bundle.command()
@BUNDLE
@JSON
@DEBUG
@reports_errors
def show(bundle: Path, as_json: bool) -> int:
    """Say what BUNDLE is: its setup, where it comes from, its threshold. Nothing in it is built."""
    from segad_core.bundle.format.container import Container
    from segad_core.bundle.format.operating_point import read_operating_point
    from segad_core.operate.operating_point import plain

    container = Container(bundle)
    try:
        container.verify()
        manifest, point = container.manifest, read_operating_point(container)
        recipe = container.text("recipe.yaml")
    finally:
        container.close()
    if as_json:
        import json

        found: dict[str, Any] = {"bundle": str(bundle), **manifest.model_dump(mode="json")}
        click.echo(json.dumps(found | {"operating_point": plain(point), "recipe": recipe}, indent=1))
    else:
        _print_manifest(bundle, manifest, point)
    return 0


@bundle.command()
@BUNDLE
@JSON
@DEVICE
@NO_PLUGINS
@DEBUG
@reports_errors
def verify(bundle: Path, as_json: bool, device: str, no_plugins: bool) -> int:
    """Check every file of BUNDLE, and score its golden images again.

    The exit code is 1 if a file is not what was written, or a verdict or a score is another here.
    """
    from segad_core.bundle.runtime.bundle import Bundle
    from segad_core.bundle.runtime.selftest import verify as self_test

    with Bundle.load(bundle, device, not no_plugins) as opened:
        found = self_test(opened)
    if as_json:
        import json
        from dataclasses import asdict

        click.echo(
            json.dumps({"bundle": str(bundle), "sound": not found.problems, **asdict(found)}, indent=1)
        )
    else:
        _print_verification(bundle, found)
    return 1 if found.problems else 0


def _print_manifest(bundle: Path, manifest: Manifest, point: OperatingPoint) -> None:
    from segad_core.operate.description import sentences

    pipeline, provenance = manifest.pipeline, manifest.provenance
    environment = provenance.environment
    size = sum(facts.size for facts in manifest.files.values())
    lines = [
        ("setup", f"row '{pipeline.row}' of category '{pipeline.category}', seed {pipeline.seed}"),
        ("images", f"{pipeline.size[0]} x {pipeline.size[1]} pixels, in batches of {pipeline.batch_size}"),
        *_parts(manifest),
        ("segments", ", ".join(pipeline.segments)),
        ("features", str(len(pipeline.names)) if pipeline.names else ""),
        ("taught", f"{provenance.learnt} images since it was made" if provenance.learnt else ""),
        ("data", f"{provenance.dataset}, digest {provenance.data[:16]}, split {provenance.splits[:16]}"),
        ("licence", provenance.licence),
        (
            "made with",
            ", ".join(f"{name} {value}" for name, value in _versions(provenance.segad, environment)),
        ),
        ("files", f"{len(manifest.files)}, {size / 2**20:.1f} MiB, all of them as they were written"),
        ("threshold", f"NG from a score of {point.threshold:.6g} ({point.rule}); on its test images it"),
    ]
    say(str(bundle))
    for name, words in lines:
        if words:
            say(f"  {name:<11}{words}")
    for sentence in sentences(point):
        click.echo(f"{'':13}{sentence}")


def _parts(manifest: Manifest) -> list[tuple[str, str]]:
    pipeline = manifest.pipeline

    def said(use: PluginUse | None) -> str:
        return f"{use.use} {use.version}" if use else ""

    def listed(uses: list[PluginUse]) -> str:
        return ", ".join(one.use.partition(":")[2] for one in uses)

    return [
        ("encoder", said(pipeline.encoder)),
        *(("detector", f"{alias}: {said(use)}") for alias, use in pipeline.detectors.items()),
        *(("classifier", f"{alias}: {said(use)}") for alias, use in pipeline.classifiers.items()),
        ("segmenter", said(pipeline.segmenter)),
        ("statistics", listed(pipeline.features)),
        ("of image", listed(pipeline.image_features)),
        ("final", said(pipeline.final)),
    ]


def _versions(segad: str, environment: dict[str, Any]) -> list[tuple[str, str]]:
    wanted = ("python", "torch", "xgboost", "numpy")
    flat = {**environment, **(environment.get("libraries") or {})}
    return [
        ("segad", segad),
        *((name, str(flat[name])) for name in wanted if isinstance(flat.get(name), str)),
    ]


def _print_verification(bundle: Path, found: Verification) -> None:
    say(f"{bundle}: {found.files} files, all as they were written")
    for one in found.golden:
        score = "-" if one.found is None else f"{one.found:.6g}"
        same = "to the last bit" if one.found == one.expected else f"was {one.expected:.6g}"
        click.echo(f"  {one.file:<16} {'bad ' if one.label else 'good'}  {one.now:<8} {score:>10}  {same}")
    if found.table is not None:
        same = "to the last bit" if not found.table else f"within {found.table:.3g}"
        click.echo(f"  calibration table: the final classifier gives its scores {same}")
    for problem in found.problems:
        say(f"problem: {problem}", err=True)
    click.echo(
        "not sound: do not inspect with it here" if found.problems else "sound: verdicts are the same here"
    )
