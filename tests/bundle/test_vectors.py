"""The vectors that a bundle keeps of a classifier, and what `learn` makes of them."""

from __future__ import annotations

import atexit
import json
import tempfile
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import light_bundle
import numpy as np
import pytest
from builders import data_set, said, segad
from bundles import Parts
from safetensors.numpy import load, save
from small_runs import write
from trainings import same_bits

from segad_core.bundle.format import vectors
from segad_core.bundle.format.tables import read_arrays, read_table
from segad_core.bundle.format.vectors import NO_FOLD, VectorTable, read_vector_table
from segad_core.bundle.runtime import relearning
from segad_core.bundle.runtime.bundle import Bundle
from segad_core.bundle.runtime.learning import learn
from segad_core.bundle.runtime.learnt import Change, Learnt
from segad_core.bundle.runtime.relearning import scores_of_vectors, trained
from segad_core.bundle.runtime.selftest import verify
from segad_core.contracts import Run
from segad_core.contracts.run import training_entropy
from segad_core.errors import BundleError, PluginError, UsageError
from segad_plugins.classifiers.linear_probe import LinearProbe

FILES = ("vectors/probe.json", "vectors/probe.safetensors")
PLUGIN = "segad:linear_probe"
LAYERS = ["layer1", "layer2", "layer3"]
ROWS: list[dict[str, Any]] = [
    {"name": "Probe", "score": "probe"},
    {"name": "SegAD", "detectors": ["spotty"], "classifier": "probe"},
    {"name": "Spotty", "score": "spotty"},
    {"name": "Memory", "detectors": ["spotty"], "classifier": "memory"},
]


@pytest.fixture(autouse=True)
def fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    light_bundle.install(monkeypatch)


@cache
def home() -> Path:
    folder = tempfile.TemporaryDirectory(prefix="segad-test-")
    atexit.register(folder.cleanup)
    place = Path(folder.name)
    data_set(place / "data", good=24, bad=15)
    write(
        place,
        encoder="tinyencoder",
        classifiers={"probe": {"use": "linear_probe", "params": {"per_layer": True}}, "memory": "memory"},
        final="logistic",
        rows=ROWS,
        split={"seeds": [3], "test": {"good": 6, "bad": 4}, "detectors": {"good": 5}},
    )
    return place


@cache
def bundle_of(row: str) -> Path:
    """A row's bundle, a folder; not to be changed."""
    out = home() / row
    words = ("--category", "a", "--row", row, "--device", "cpu", "--store", home() / "store", "-o", out)
    result = segad("fit", home() / "tiny.yaml", *words)
    assert result.exit_code == 0, said(result)
    return out


def parts_of(row: str) -> Parts:
    folder = bundle_of(row)
    files = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    manifest = json.loads(files.pop("manifest.json"))
    del files["manifest.sha256"]
    return Parts(manifest, files)


def opened(path: Path) -> Bundle:
    return Bundle.load(path, "cpu")


def table_of(bundle: Bundle) -> VectorTable:
    table = read_vector_table(bundle.container, "probe")
    assert table is not None
    return table


def split_of(row: str) -> dict[str, list[str]]:
    (split,) = json.loads((bundle_of(row) / "splits.json").read_text())["a"].values()
    found: dict[str, list[str]] = split
    return found


def path_of(image: str) -> Path:
    return home() / "data" / "a" / image


def shown_to_nobody(label: int) -> list[Path]:
    return [path_of(i) for i in split_of("SegAD")["test"] if i.startswith("bad" if label else "good")]


# ---- what is kept ----


def test_all_images_that_were_learnt_from_and_their_folds_are_kept() -> None:
    with opened(bundle_of("SegAD")) as bundle:
        table, split = table_of(bundle), split_of("SegAD")
        assert [one.image.id for one in table.images] == sorted({*split["detectors"], *split["final"]})
        assert all(one.learns and one.times == 1 for one in table.images)
        folds = {one.image.id: one.fold for one in table.images}
        assert {folds[image] for image in split["detectors"]} == {NO_FOLD}
        assert {folds[image] for image in split["final"]} == {0, 1, 2, 3, 4} and table.folds() == 5
        assert {one.image.id for one in table.images if one.scored} == set(split["final"])
        assert b"group_number" not in b"".join(parts_of("SegAD").files.values())  # the run had no groups
        assert list(table.vectors) == LAYERS and len(table.calibration["layer1"]) == len(split["test"])


@pytest.mark.parametrize("row", ["SegAD", "Probe"])
def test_a_probe_trained_from_its_bundle_is_the_one_in_the_bundle(row: str) -> None:
    """To the last bit: the same images in the same order, the same seed."""
    with opened(bundle_of(row)) as bundle:
        state = read_arrays(bundle.container, "classifiers/probe.safetensors")
        assert same_bits(trained(bundle, "probe", table_of(bundle)).state(), state)
        assert verify(bundle).problems == []


def test_scores_out_of_fold_made_from_a_bundle_are_those_of_its_training_table() -> None:
    with opened(bundle_of("SegAD")) as bundle:
        table, training = table_of(bundle), read_table(bundle.container, "training")
        columns = {one.digest: row[-4:] for one, row in zip(training.images, training.features, strict=True)}
        for fold in range(5):
            lines = [i for i, one in enumerate(table.images) if one.fold == fold]
            classifier = trained(bundle, "probe", table, without=fold)
            scores = scores_of_vectors(bundle, classifier, table.lines(lines), "probe")
            expected = np.stack([columns[table.images[i].image.digest] for i in lines])
            np.testing.assert_array_equal(scores, expected)


def test_other_bundles_keep_none() -> None:
    for row in ("Memory", "Spotty"):
        assert not [name for name in parts_of(row).files if name.startswith("vectors/")]
    with opened(bundle_of("Memory")) as bundle:
        assert read_vector_table(bundle.container, "memory") is None


def test_vectors_that_are_too_large_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bundle_of("SegAD")
    monkeypatch.setitem(
        vars(__import__("segad_core.bundle.format.limits", fromlist=["_"]))["_MOST"], "vectors/", 99
    )
    words = ("--category", "a", "--row", "SegAD", "--device", "cpu", "--store", home() / "store")
    result = segad("fit", home() / "tiny.yaml", *words, "-o", tmp_path / "new")
    assert result.exit_code == 0 and not (tmp_path / "new" / "vectors").exists()
    assert "the vectors of classifier 'probe'" in caplog.text and "99 B" in caplog.text


# ---- learning ----


def plainly(table: VectorTable, chosen: Sequence[int], seed: int = 3) -> LinearProbe:
    """A probe trained on some of a table's images."""
    probe = LinearProbe(LinearProbe.Params(per_layer=True))
    labels = np.array([table.images[i].image.label for i in chosen])
    groups = np.array(chosen) if len({*chosen}) < len(chosen) else None  # copies of an image stay together
    run = Run(np.random.SeedSequence(training_entropy(seed, "a", PLUGIN)), groups=groups)
    probe.learn(table.lines(chosen), labels, run)
    return probe


@pytest.mark.parametrize("times", [1, 3])
def test_a_taught_image_enters_the_probe_and_its_scores_enter_the_final_classifier(
    tmp_path: Path, times: int
) -> None:
    escape, reject = shown_to_nobody(1)[0], shown_to_nobody(0)[0]
    with opened(bundle_of("SegAD")) as bundle:
        before = table_of(bundle)
        found = learn(bundle, tmp_path / "new", [escape], [reject], times=times)
    assert found.refitted == ["classifier 'probe'", "final classifier"]
    with opened(tmp_path / "new") as new:
        table, training = table_of(new), read_table(new.container, "training")
        assert len(table.images) == len(before.images) + 2
        assert [(one.image.label, one.times, one.image.taught) for one in table.images[-2:]] == [
            (1, times, True),
            (0, times, True),
        ]
        every = [i for i, one in enumerate(table.images) for _ in range(one.times)]
        whole = plainly(table, every)
        assert same_bits(read_arrays(new.container, "classifiers/probe.safetensors"), whole.state())
        places = {one.image.digest: i for i, one in enumerate(table.images)}
        for image, row in zip(training.images, training.features, strict=True):  # out of fold
            line = places[image.digest]
            fold = table.images[line].fold
            assert fold != NO_FOLD
            other = plainly(table, [i for i in every if table.images[i].fold != fold])
            np.testing.assert_allclose(row[-4:], other.judge(table.lines([line]))[0], rtol=1e-12)
        calibration = read_table(new.container, "calibration")
        np.testing.assert_array_equal(calibration.features[:, -4:], whole.judge(table.calibration))
        predicted = [one.score for one in new.predict([escape, reject])]
        assert predicted == pytest.approx([one.after for one in found.taught], abs=1e-6)
        assert verify(new).problems == []
        assert new.manifest.provenance.learnt == 2


def test_a_known_image_keeps_its_fold_and_new_ones_join_the_smallest_together(tmp_path: Path) -> None:
    """They may be crops of one part, so those of one label are one group in one fold."""
    known = path_of(next(i for i in split_of("SegAD")["final"] if i.startswith("good")))
    fresh = shown_to_nobody(1)[:3]
    with opened(bundle_of("SegAD")) as bundle:
        before = {one.image.id: one.fold for one in table_of(bundle).images}
        bads = [sum(f == n and i.startswith("bad") for i, f in before.items()) for n in range(5)]
        learn(bundle, tmp_path / "new", [known, *fresh])
    with opened(tmp_path / "new") as new:
        *kept, first, one, two, three = table_of(new).images
        assert first.fold == before[known.relative_to(home() / "data" / "a").as_posix()]
        assert len(kept) == len(before) - 1 and first.image.label == 1
        bads[first.fold] += 1
        assert bads[one.fold] == min(bads) and {one.fold, two.fold, three.fold} == {one.fold}
        assert [i.image.group_number for i in (first, one, two, three)] == [None, 0, 0, 0]
        groups = read_table(new.container, "training").groups()
        assert groups is not None and len({*groups[-3:]}) == 1
        assert len({*groups}) == len(groups) - 2
        assert verify(new).problems == []


def test_a_probe_alone_learns_and_learns_again(tmp_path: Path) -> None:
    bads, goods = shown_to_nobody(1), shown_to_nobody(0)
    with opened(bundle_of("Probe")) as bundle:
        found = learn(bundle, tmp_path / "one", bads[:1])
        assert found.refitted == ["classifier 'probe'"]
        assert len(found.regression) == len(bads) + len(goods) - 1
    with opened(tmp_path / "one") as one:
        learn(one, tmp_path / "two", bads[1:2], goods[:1])
        assert one.manifest.provenance.learnt == 1 and verify(one).problems == []
    with opened(tmp_path / "two") as two:
        assert two.manifest.provenance.learnt == 3 and verify(two).problems == []
        assert same_bits(
            plainly(table_of(two), range(len(table_of(two).images))).state(),
            read_arrays(two.container, "classifiers/probe.safetensors"),
        )
        (bad,) = two.predict(bads[1:2])
        assert bad.score == pytest.approx(
            float(
                two.pipeline.classifiers["probe"].judge(  # type: ignore[attr-defined]
                    table_of(two).lines([-2])
                )[0, 0]
            ),
            abs=1e-5,
        )


def test_without_vectors_the_classifier_stays_as_it_is(tmp_path: Path) -> None:
    """As in bundles that were made before they were kept."""
    parts = parts_of("SegAD")
    for name in FILES:
        del parts.files[name]
    with opened(parts.write(tmp_path, "folder")) as bundle:
        assert verify(bundle).problems == []
        found = learn(bundle, tmp_path / "new", shown_to_nobody(1)[:1])
    assert found.refitted == ["final classifier"]
    state = "classifiers/probe.safetensors"
    assert (tmp_path / "new" / state).read_bytes() == parts.files[state]


def test_a_classifier_alone_without_vectors_has_nothing_to_learn(tmp_path: Path) -> None:
    parts = parts_of("Probe")
    for name in FILES:
        del parts.files[name]
    with (
        opened(parts.write(tmp_path, "folder")) as bundle,
        pytest.raises(BundleError, match="nothing to teach"),
    ):
        learn(bundle, tmp_path / "new", shown_to_nobody(1)[:1])
    assert not (tmp_path / "new").exists()


# ---- the guard ----


def change(was: str, now: str, label: int = 1) -> Change:
    return Change("i", label, 0.0, 0.0, was, now)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("lost", "won", "same", "worse"),
    [
        (0, 0, 5, False),
        (1, 0, 98, True),
        (1, 0, 99, False),
        (3, 2, 95, False),
        (3, 2, 94, True),
        (0, 9, 1, False),
    ],
)
def test_losing_more_than_one_in_a_hundred_is_worse(lost: int, won: int, same: int, worse: bool) -> None:
    changes = [change("NG", "OK")] * lost + [change("NG", "OK", 0)] * won + [change("OK", "OK")] * same
    found = Learnt([], changes, None, None, [])  # type: ignore[arg-type]
    assert (found.lost, found.worse) == (lost - won, worse)


def test_a_bundle_that_got_worse_is_written_but_told_not_to_be_used(tmp_path: Path) -> None:
    """Taught that bad is good, twenty times over."""
    goods = [path_of(i) for i in split_of("SegAD")["final"] if i.startswith("good")][:6]
    bads = [path_of(i) for i in split_of("SegAD")["final"] if i.startswith("bad")][:6]
    words = ("--good", *bads, "--bad", *goods, "--times", "20", "--device", "cpu")
    result = segad("learn", bundle_of("SegAD"), *words, "-o", tmp_path / "new")
    assert result.exit_code == 4 and f"keep using {bundle_of('SegAD')}" in said(result)
    told = json.loads(segad("learn", bundle_of("SegAD"), *words, "--json", "-o", tmp_path / "other").stdout)
    flipped = told["regression"]["flipped"]
    lost = sum(1 if (one["now"] == "NG") != one["label"] else -1 for one in flipped)
    assert told["worse"] is True and told["regression"]["lost"] == lost > 0
    assert told["refitted"] == ["classifier 'probe'", "final classifier"]
    with opened(tmp_path / "new") as new:
        assert new.manifest.provenance.learnt == 12


# ---- vectors that are none ----


def arrays_changed(parts: Parts, edit: Callable[[dict[str, np.ndarray]], object]) -> None:
    arrays = dict(load(parts.files[FILES[1]]))
    edit(arrays)
    parts.files[FILES[1]] = save({name: np.array(array, order="C") for name, array in arrays.items()})


def list_changed(parts: Parts, edit: Callable[[dict[str, Any]], object]) -> None:
    listed = json.loads(parts.files[FILES[0]])
    edit(listed)
    parts.files[FILES[0]] = json.dumps(listed).encode()


def put(name: str, array: np.ndarray) -> Callable[[dict[str, np.ndarray]], object]:
    return lambda arrays: arrays.__setitem__(name, array)


LAYER = "training/layer1"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda parts: parts.files.pop(FILES[0]),
        lambda parts: parts.files.pop(FILES[1]),
        lambda parts: parts.files.__setitem__(FILES[1], b"none"),
        lambda parts: arrays_changed(parts, lambda a: a.pop(LAYER)),
        lambda parts: arrays_changed(parts, lambda a: a.pop("calibration/layer3")),
        lambda parts: arrays_changed(parts, lambda a: a.__setitem__(LAYER, a[LAYER][1:])),
        lambda parts: arrays_changed(parts, lambda a: a.__setitem__(LAYER, a[LAYER][:, 1:])),
        lambda parts: arrays_changed(parts, lambda a: a.__setitem__(LAYER, a[LAYER].astype(np.float64))),
        lambda parts: arrays_changed(parts, lambda a: a.__setitem__(LAYER, a[LAYER] * np.float32("nan"))),
        lambda parts: arrays_changed(parts, lambda a: a.__setitem__(LAYER, a[LAYER][:, 0])),
        lambda parts: arrays_changed(parts, lambda a: a.__setitem__(LAYER, a[LAYER][0, 0])),
        lambda parts: arrays_changed(parts, put("training/layer9", np.zeros((33, 1), np.float32))),
        lambda parts: list_changed(parts, lambda a: a["blocks"].append("layer1")),
        lambda parts: list_changed(parts, lambda a: a["blocks"].clear()),
        lambda parts: list_changed(parts, lambda a: a["images"].pop()),
        lambda parts: list_changed(parts, lambda a: a["images"][0].__setitem__("fold", 100)),
        lambda parts: list_changed(parts, lambda a: a["images"][0].__setitem__("times", 0)),
        lambda parts: list_changed(parts, lambda a: a["images"][0].__setitem__("learns", 1)),
        lambda parts: list_changed(parts, lambda a: a["images"][0].__setitem__("scored", None)),
        lambda parts: list_changed(parts, lambda a: a["images"][0]["image"].__setitem__("group_number", -1)),
        lambda parts: list_changed(parts, lambda a: a["images"][0]["image"].__setitem__("group_number", 0.0)),
        lambda parts: list_changed(parts, lambda a: a["images"][0]["image"].__setitem__("label", 2)),
        lambda parts: list_changed(parts, lambda a: a["images"][0]["image"].__setitem__("digest", "..")),
        lambda parts: list_changed(
            parts,
            lambda a: a["images"][1]["image"].__setitem__("digest", a["images"][-1]["image"]["digest"]),
        ),
    ],
)
def test_vectors_that_are_not_valid_are_refused_by_name(
    spoil: Callable[[Parts], object], tmp_path: Path
) -> None:
    parts = parts_of("SegAD")
    spoil(parts)
    with opened(parts.write(tmp_path, "folder")) as bundle:
        for use in (lambda: verify(bundle), lambda: learn(bundle, tmp_path / "new", shown_to_nobody(1)[:1])):
            with pytest.raises(BundleError, match="vectors/probe"):
                use()
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (
            lambda parts: arrays_changed(
                parts, lambda a: a.__setitem__("calibration/layer2", a["calibration/layer2"][::-1])
            ),
            "scores of classifier 'probe' from its vectors differ from the calibration table",
        ),
        (
            lambda parts: list_changed(parts, lambda a: a["images"][0]["image"].__setitem__("label", 0)),
            "lack 1 of the images in the training table",
        ),
        (
            lambda parts: list_changed(
                parts,
                lambda a: a["images"][0]["image"].__setitem__(
                    "digest", json.loads(parts.files["calibration.json"])[0]["digest"]
                ),
            ),
            "learnt from 1 of the calibration images",
        ),
    ],
)
def test_vectors_that_contradict_the_tables_are_found(
    spoil: Callable[[Parts], object], problem: str, tmp_path: Path
) -> None:
    parts = parts_of("SegAD")
    spoil(parts)
    with opened(parts.write(tmp_path, "folder")) as bundle:
        assert any(problem in one for one in verify(bundle).problems)


def test_vectors_too_large_for_their_kind_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from segad_core.bundle.format import limits

    path = parts_of("SegAD").write(tmp_path, "folder")
    monkeypatch.setitem(limits._MOST, "vectors/", 1000)
    with pytest.raises(BundleError, match="'vectors/probe"):
        opened(path)


def test_images_that_count_too_often_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy of the vectors for each time would not fit into memory."""
    parts = parts_of("SegAD")
    with opened(bundle_of("SegAD")) as bundle:
        table = table_of(bundle)
        once = sum(block.nbytes for block in table.vectors.values())
        assert table.size() == once
        line = once // len(table.images)
        monkeypatch.setattr(vectors, "MOST_VECTORS", once)
        monkeypatch.setattr(relearning, "MOST_VECTORS", once + 4 * line)
        with pytest.raises(UsageError, match="--times 5"):
            learn(bundle, tmp_path / "new", shown_to_nobody(1)[:1], times=5)
    list_changed(parts, lambda a: a["images"][0].__setitem__("times", 2))
    with opened(parts.write(tmp_path, "folder")) as bundle:
        with pytest.raises(BundleError, match=r"vectors/probe.*so often"):
            read_vector_table(bundle.container, "probe")
        monkeypatch.setattr(vectors, "MOST_VECTORS", once + line)
        assert table_of(bundle).size() == once + line
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("width", [1, 40])
def test_vectors_of_another_classifier_cannot_be_learnt_from(tmp_path: Path, width: int) -> None:
    """They are well formed, but the probe was trained on others."""

    def other(arrays: dict[str, np.ndarray]) -> None:
        for part in ("training", "calibration"):
            arrays[f"{part}/layer1"] = np.zeros((len(arrays[f"{part}/layer1"]), width), np.float32)

    parts = parts_of("SegAD")
    arrays_changed(parts, other)
    with opened(parts.write(tmp_path, "folder")) as bundle:
        for use in (lambda: verify(bundle), lambda: learn(bundle, tmp_path / "new", shown_to_nobody(1)[:1])):
            with pytest.raises((BundleError, PluginError)):
                use()
