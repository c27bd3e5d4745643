"""`segad bundle`: shows what a bundle holds, and verifies it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from segad_core.cli.common import BUNDLE_PRECISION, DEBUG, DEVICE, JSON, NO_PLUGINS, reports_errors
from segad_core.cli.out import say, say_json

if TYPE_CHECKING:
    from segad_core.bundle.format.manifest import Ignore, Manifest, Pipeline, PluginUse, SizeFacts
    from segad_core.bundle.format.regions import Limits
    from segad_core.bundle.runtime.selftest import Verification
    from segad_core.operate.operating_point import OperatingPoint
    from segad_core.operate.parts import PartRule

BUNDLE = click.argument("bundle", type=click.Path(path_type=Path))


@click.group()
def bundle() -> None:
    """Show or verify a bundle."""


@bundle.command()
@BUNDLE
@JSON
@DEBUG
@reports_errors
def show(bundle: Path, as_json: bool) -> int:
    """Show the setup, origin and threshold of BUNDLE, without building any plugin."""
    from segad_core.bundle.format.appearance import good_by_view
    from segad_core.bundle.format.container import Container
    from segad_core.bundle.format.operating_point import read_operating_point
    from segad_core.bundle.format.regions import read_limits
    from segad_core.cli.point import doubts, learnt_from, say_doubts
    from segad_core.operate.operating_point import plain

    container = Container(bundle)
    try:
        container.verify()
        manifest, point = container.manifest, read_operating_point(container)
        recipe, good = container.text("recipe.yaml"), good_by_view(container)
        limits = read_limits(container)
        learnt, messages = learnt_from(container), doubts(container, point)
    finally:
        container.close()
    if as_json:
        shown: dict[str, Any] = {"bundle": str(bundle), **manifest.model_dump(mode="json")}
        say_json(shown | {"operating_point": plain(point), "warnings": messages, "recipe": recipe})
    else:
        _print_manifest(bundle, manifest, point, good, learnt, limits)
        say_doubts(messages)
    return 0


@bundle.command()
@BUNDLE
@JSON
@DEVICE
@BUNDLE_PRECISION
@NO_PLUGINS
@DEBUG
@reports_errors
def verify(bundle: Path, as_json: bool, device: str, precision: str, no_plugins: bool) -> int:
    """Check every file of BUNDLE and score its golden images again.

    The exit code is 1 if a file has changed, or if a verdict or a score differs on this machine.
    """
    from segad_core.bundle.runtime.bundle import Bundle
    from segad_core.bundle.runtime.selftest import verify as self_test

    with Bundle.load(bundle, device, not no_plugins, precision=precision, try_out=False) as opened:
        result = self_test(opened)
    if as_json:
        from dataclasses import asdict

        say_json({"bundle": str(bundle), "sound": not result.problems, **asdict(result)})
    else:
        _print_verification(bundle, result)
    return 1 if result.problems else 0


@bundle.command()
@BUNDLE
@JSON
@DEVICE
@NO_PLUGINS
@DEBUG
@reports_errors
def segments(bundle: Path, as_json: bool, device: str, no_plugins: bool) -> int:
    """Say how many catches and false rejects of BUNDLE rest on each segment, on its test images.

    A segment leads an NG if it adds the most to the score, and an NG rests on it if the score would be below
    the threshold without what it adds. Nothing is learnt again without it.
    """
    from segad_core.bundle.runtime.bundle import Bundle
    from segad_core.bundle.runtime.resting import resting_on

    with Bundle.load(bundle, device, not no_plugins, try_out=False) as opened:
        table, threshold = resting_on(opened), opened.operating_point.threshold
    if as_json:
        from dataclasses import asdict

        say_json({"bundle": str(bundle), "threshold": threshold, **asdict(table)})
        return 0
    rows: list[tuple[str, ...]] = [
        ("segment", "catches led", "lost without", "false rejects led", "gone without")
    ]
    rows += [
        (one.name, *map(str, (one.catches_led, one.catches_lost, one.rejects_led, one.rejects_gone)))
        for one in table.lines
    ]
    widths = [max(len(row[i]) for row in rows) for i in range(5)]
    counts = f"{table.catches} bad (catches), {table.rejects} good (false rejects)"
    say(f"{bundle}: NG at or above {threshold:.6g}, of the test {table.unit}s: {counts}")
    for first, *rest in rows:
        numbers = "  ".join(cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))
        say(f"  {first.ljust(widths[0])}  {numbers}")
    return 0


def _print_manifest(
    bundle: Path,
    manifest: Manifest,
    point: OperatingPoint,
    good: Counter[str],
    learnt: str,
    limits: Limits | None,
) -> None:
    from segad_core.operate.description import describe

    pipeline, provenance, units = manifest.pipeline, manifest.provenance, f"{point.counted}s"
    taught = provenance.learnt
    environment = provenance.environment
    size = sum(facts.size for facts in manifest.files.values())
    lines = [
        ("setup", f"row '{pipeline.row}' of category '{pipeline.category}', seed {pipeline.seed}"),
        ("images", _images(pipeline)),
        ("computed in", pipeline.precision or ""),
        ("read with", pipeline.decoding.in_words()),
        ("tiles", _tiles(pipeline)),
        ("made from", _sizes(pipeline.sizes)),
        *_parts(manifest),
        ("parts", _parts_judged(pipeline.parts) if pipeline.parts else ""),
        ("segments", ", ".join(pipeline.segments)),
        ("switched off", ", ".join(pipeline.off or [])),
        ("weights", ", ".join(f"{name} {weight:g}" for name, weight in (pipeline.weights or {}).items())),
        ("ignored", _ignored(pipeline.ignore) if pipeline.ignore else ""),
        ("features", str(len(pipeline.names)) if pipeline.names else ""),
        ("regions", _regions(limits) if limits else ""),
        ("learnt from", learnt),
        ("taught", f"{taught} image{'s' * (taught > 1)} since it was made" if taught else ""),
        ("data", f"{provenance.dataset}, digest {provenance.data[:16]}, split {provenance.splits[:16]}"),
        ("licence", provenance.licence),
        (
            "made with",
            ", ".join(f"{name} {value}" for name, value in _versions(provenance.segad, environment)),
        ),
        ("exported", _exported(environment.get("export"))),
        ("drift", _drift(manifest, good)),
        ("files", f"{len(manifest.files)}, {size / 2**20:.1f} MiB, all unchanged"),
        (
            "threshold",
            f"NG at or above {point.threshold:.6g} ({point.rule}); on its test {units}, it",
        ),
    ]
    say(str(bundle))
    for name, value in lines:
        if value:
            say(f"  {name:<13}{value}")
    for sentence in describe(point):
        say(f"{'':15}{sentence}")


def _images(pipeline: Pipeline) -> str:
    fit = {"pad": ", padded", "crop": ", cropped"}.get(pipeline.fit or "", "")
    height, width = pipeline.size
    return f"{width} x {height} pixels (width x height){fit}, batches of {pipeline.batch_size}"


def _tiles(pipeline: Pipeline) -> str:
    tiling = pipeline.preprocessing().tiling
    if tiling is None:
        return ""
    rows, columns = tiling.grid
    return f"{rows} x {columns} of {tiling.size[0]} x {tiling.size[1]} pixels"


def _drift(manifest: Manifest, good: Counter[str]) -> str:
    """What `predict` compares images with, where there is enough of it."""
    from segad_core.bundle.format.appearance import FILE
    from segad_core.operate.drift import FEWEST

    what = "features, scores and looks" if FILE in manifest.files else "features and scores"
    counts = ", ".join(f"view {view}: {n}" if view else str(n) for view, n in sorted(good.items())) or "0"
    if min(good.values(), default=0) < FEWEST:
        return f"good calibration images: {counts}; fewer than {FEWEST} are too few to notice it"
    return f"{what} are compared with those of the good calibration images ({counts})"


def _sizes(sizes: SizeFacts | None) -> str:
    """The shapes of the images that the bundle was made from, width x height."""
    if sizes is None:
        return ""
    from segad_core.base.text import listed

    words = [f"{shape.in_words()} ({shape.images})" for shape in sizes.known()]
    return f"images of {listed(words)}"


def _parts_judged(rule: PartRule) -> str:
    views = f"views {', '.join(rule.views)}" if rule.views else "views without names"
    how = {"worst": "the worst view counts", "together": "judged together"}[rule.verdict]
    missing = ""
    if rule.views and rule.missing == "unknown":
        unless = ", unless another view is NG" if rule.verdict == "worst" else ""
        missing = f"; UNKNOWN if one is missing{unless}"
    return f"{views}: {how}{missing}; " + (
        f"found by '{rule.pattern}'" if rule.pattern else "named by a list"
    )


def _ignored(ignore: Ignore) -> str:
    """What is never inspected, in words."""
    parts = ["what a mask marks"] if ignore.mask else []
    parts += [f"the segment 'ignore' of {use.use.partition(':')[2]}" for use in ignore.segmenters]
    return " and ".join(parts)


def _regions(limits: Limits) -> str:
    """Where regions begin, in words."""
    each = ", in each view for itself" if limits.views else ""
    return f"above what {limits.good:.4g} of {limits.images} good images show{each}"


def _parts(manifest: Manifest) -> list[tuple[str, str]]:
    pipeline = manifest.pipeline

    def plugin(use: PluginUse | None) -> str:
        return f"{use.use} {use.version}" if use else ""

    def names(uses: list[PluginUse]) -> str:
        return ", ".join(one.use.partition(":")[2] for one in uses)

    return [
        ("encoder", plugin(pipeline.encoder)),
        *(("detector", f"{alias}: {plugin(use)}") for alias, use in pipeline.detectors.items()),
        *(("classifier", f"{alias}: {plugin(use)}") for alias, use in pipeline.classifiers.items()),
        ("segmenter", plugin(pipeline.segmenter)),
        ("statistics", names(pipeline.features)),
        ("whole image", names(pipeline.image_features)),
        ("final", plugin(pipeline.final)),
    ]


def _exported(noted: Any) -> str:
    """What `segad export` notes, in words; bundles may hold anything there."""
    if not isinstance(noted, dict):
        return ""
    return f"to {noted.get('engine')!s:.50}, from the bundle {noted.get('of')!s:.16}"


def _versions(segad: str, environment: dict[str, Any]) -> list[tuple[str, str]]:
    wanted = ("python", "torch", "xgboost", "numpy")
    flat = {**environment, **(environment.get("libraries") or {})}
    return [
        ("segad", segad),
        *((name, str(flat[name])) for name in wanted if isinstance(flat.get(name), str)),
    ]


def _print_verification(bundle: Path, result: Verification) -> None:
    say(f"{bundle}: {result.files} files, all unchanged")
    for one in result.golden:
        score = "-" if one.found is None else f"{one.found:.6g}"
        same = "identical" if one.found == one.expected else f"was {one.expected:.6g}"
        say(f"  {one.file:<16} {'bad ' if one.label else 'good'}  {one.now:<8} {score:>10}  {same}")
    if result.table is not None:
        same = "identical" if not result.table else f"within {result.table:.3g}"
        say(f"  scores of the calibration table: {same}")
    for problem in result.problems:
        say(f"problem: {problem}", err=True)
    say(
        "Verification failed: do not use this bundle on this machine"
        if result.problems
        else "Verified: same verdicts on this machine"
    )
