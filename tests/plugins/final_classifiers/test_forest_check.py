"""Forests that would crash XGBoost or give meaningless scores are refused before XGBoost loads them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from forests import booster_of, model_of, run_of, state_of
from pickles import MakesFolder

from segad_core.errors import PluginError
from segad_plugins.final_classifiers import forest_check
from segad_plugins.final_classifiers.brf import BoostedRandomForest
from segad_plugins.final_classifiers.bt import BoostedTrees
from segad_plugins.final_classifiers.forest import Forest
from segad_plugins.final_classifiers.forest_check import checked_forest
from segad_plugins.final_classifiers.rf import RandomForest
from segad_plugins.final_classifiers.tree_check import MOST_DEPTH

Model = dict[str, Any]
Spoil = Callable[[Model], object]
WIDTH = 6


@cache
def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(80, WIDTH))
    return features, (features[:, 0] + 0.3 * features[:, 1] > 0.3).astype(np.int64)


def fitted(kind: type[Forest], **params: object) -> Forest:
    forest = kind(kind.Params(**params))
    features, labels = data()
    forest.fit(features, list("abcdef"), labels, run_of(0))
    return forest


@cache
def small() -> Forest:
    return fitted(BoostedRandomForest, n_estimators=2, num_parallel_tree=3)


@cache
def sound() -> bytes:
    """Six trees, the first of which has at least five nodes."""
    text = model_of(small())
    assert tree(json.loads(text))["left_children"][0] != -1 and len(tree(json.loads(text))["parents"]) >= 5
    return text


def model(m: Model) -> Model:
    return m["learner"]["gradient_booster"]["model"]


def tree(m: Model) -> Model:
    return model(m)["trees"][0]


def leaf(m: Model) -> int:
    return tree(m)["left_children"].index(-1)


def refused(text: bytes, words: str | None = None) -> str:
    with pytest.raises(PluginError, match=words) as caught:
        BoostedRandomForest().restore(state_of(text))
    assert caught.value.what.isprintable() and caught.value.remedy
    assert len(caught.value.what) < 500
    return caught.value.what


@pytest.mark.parametrize("kind", [BoostedRandomForest, BoostedTrees, RandomForest])
@pytest.mark.parametrize(
    "params",
    [
        {},
        {"tree_method": "approx", "scale_pos_weight": 0.001},
        {"max_depth": MOST_DEPTH, "subsample": 1.0, "reg_alpha": 0.0, "scale_pos_weight": 1e6},
    ],
)
def test_what_was_fitted_passes_and_scores_the_same_to_the_last_bit(
    kind: type[Forest], params: dict[str, Any]
) -> None:
    count = {"n_estimators": 2, "num_parallel_tree": 30} if kind is not BoostedTrees else {"n_estimators": 60}
    forest, (features, _) = fitted(kind, **count, **params), data()
    again = kind()
    again.restore(forest.state())
    assert model_of(again) == model_of(forest)
    np.testing.assert_array_equal(again.margins(features), forest.margins(features))
    np.testing.assert_array_equal(again.contributions(features), forest.contributions(features))


def without_cats(text: bytes) -> Model:
    """What newer releases than 3.0 add for categories, of which segad has none."""
    plain: Model = json.loads(text)
    model(plain).pop("cats", None)
    return plain


def test_xgboost_reads_what_was_checked_and_nothing_else() -> None:
    spaced = json.dumps(json.loads(sound()), indent=3).encode("utf-8-sig")
    written = bytes(checked_forest(spaced))
    assert json.loads(written) == without_cats(sound())
    assert written == checked_forest(sound()) and written.isascii()


def test_the_format_before_3_1_passes() -> None:
    old = json.loads(sound())
    del model(old)["cats"]
    old["learner"]["learner_model_param"]["base_score"] = "0E0"
    old["version"] = [2, 1, 4]
    assert json.loads(checked_forest(json.dumps(old).encode())) == old


def test_another_number_of_features_is_refused() -> None:
    for width in (0, WIDTH - 1, WIDTH + 1, 100):
        for how in (small().margins, small().contributions):
            with pytest.raises(PluginError, match=rf"^brf: .*\b{WIDTH} features .*\b{width}$"):
                how(np.zeros((1, width)))


@pytest.mark.parametrize("files", [{}, {"model.ubj": b""}, {"model.json": b"", "other": b""}])
def test_other_files_are_refused(files: dict[str, bytes]) -> None:
    with pytest.raises(PluginError, match=r"^brf: .*model\.json"):
        BoostedRandomForest().restore(files)


def test_a_forest_that_is_refused_leaves_the_old_one() -> None:
    forest, (features, _) = BoostedRandomForest(), data()
    forest.restore(state_of(sound()))
    with pytest.raises(PluginError):
        forest.restore(state_of(sound()[:-1]))
    np.testing.assert_array_equal(forest.margins(features), small().margins(features))


def at(name: str, node: int, value: object) -> Spoil:
    """One entry of a list of the first tree."""
    return lambda m: tree(m)[name].__setitem__(node, value)


def put(path: str, value: object) -> Spoil:
    """A value anywhere, by its keys with dots between."""

    def spoil(m: Model) -> None:
        *keys, last = path.split(".")
        for key in keys:
            m = m[key]
        m[last] = value

    return spoil


def drop(path: str) -> Spoil:
    def spoil(m: Model) -> None:
        *keys, last = path.split(".")
        for key in keys:
            m = m[key]
        del m[last]

    return spoil


LEARNER, BOOSTER = "learner", "learner.gradient_booster"
MODEL, PARAM = f"{BOOSTER}.model", f"{LEARNER}.learner_model_param"


def of_tree(path: str, value: object) -> Spoil:
    return lambda m: put(path, value)(tree(m))


def chain(depth: int) -> Spoil:
    """A tree that goes to the left, `depth` questions deep, with nothing else wrong."""

    def spoil(m: Model) -> None:
        count, t = 2 * depth + 1, tree(m)
        inner = [0, *range(1, 2 * depth - 1, 2)]
        places = {i: place for place, i in enumerate(inner)}
        left = [1 + 2 * places[i] if i in places else -1 for i in range(count)]
        right = [i + 1 if i > 0 else -1 for i in left]
        parents = [2**31 - 1, *(parent for i in inner for parent in (i, i))]
        t |= {"left_children": left, "right_children": right, "parents": parents}
        for name in ("split_indices", "split_type", "default_left"):
            t[name] = [0] * count
        for name in ("split_conditions", "base_weights", "loss_changes"):
            t[name] = [0.5] * count
        t["sum_hessian"] = [0.0] * count
        for i in reversed(range(count)):
            t["sum_hessian"][i] = (
                t["sum_hessian"][left[i]] + t["sum_hessian"][right[i]] if right[i] > 0 else 1.0
            )
        t["tree_param"]["num_nodes"] = str(count)

    return spoil


def orphans(m: Model) -> None:
    """The first tree's root is a leaf; what was below it hangs nowhere."""
    tree(m)["left_children"][0] = tree(m)["right_children"][0] = -1


def ring(m: Model) -> None:
    """Two nodes that are each other's children, out of reach of the root."""
    t = tree(m)
    t["left_children"][0] = t["right_children"][0] = -1
    t["left_children"][1], t["right_children"][1] = 2, 2
    t["left_children"][2], t["right_children"][2] = 1, 1
    t["parents"][1], t["parents"][2] = 2, 1


def shared(m: Model) -> None:
    """A node with two parents."""
    t = tree(m)
    left = t["left_children"][0]
    inner = next(i for i, child in enumerate(t["left_children"]) if i and child != -1)
    t["left_children"][inner], t["parents"][left] = left if left > inner else inner + 1, inner


def swapped_children(m: Model) -> None:
    t = tree(m)
    t["left_children"][0], t["right_children"][0] = t["right_children"][0], t["left_children"][0]


def twice(name: str) -> Spoil:
    return lambda m: tree(m)[name].extend(tree(m)[name])


HOSTILE: dict[str, Spoil] = {
    "child out of range": at("left_children", 0, 10**7),
    "child just out of range": lambda m: at("left_children", 0, len(tree(m)["parents"]))(m),
    "child at the end of int32": at("right_children", 0, 2**31 - 1),
    "child beyond int32": at("right_children", 0, 2**31),
    "child beyond int64": at("right_children", 0, 2**70),
    "child below zero": at("left_children", 0, -2),
    "child far below zero": at("left_children", 0, -(2**31)),
    "child of itself": at("left_children", 0, 0),
    "leaf without end": lambda m: at("split_conditions", leaf(m), 1e38)(m),
    "weight without end": at("sum_hessian", 0, 1e38),
    "children not side by side": swapped_children,
    "root as a child": at("left_children", 1, 0),
    "the same child twice": lambda m: at("left_children", 0, tree(m)["right_children"][0])(m),
    "half a leaf": at("right_children", 0, -1),
    "other half": at("left_children", 0, -1),
    "leaf with a child": lambda m: at("left_children", leaf(m), 1)(m),
    "child with two parents": shared,
    "nodes out of reach": orphans,
    "ring": ring,
    "child as a float": at("left_children", 0, 1.0),
    "child as a fraction": at("left_children", 0, 1.5),
    "child as a word": at("left_children", 0, "1"),
    "child as true": at("left_children", 0, True),
    "child as nothing": at("left_children", 0, None),
    "child as a list": at("left_children", 0, [1]),
    "wrong parent": at("parents", 1, 1),
    "parent out of range": at("parents", 1, 10**6),
    "root with a parent": at("parents", 0, 0),
    "child without a parent": at("parents", 1, 2**31 - 1),
    "feature out of range": at("split_indices", 0, WIDTH),
    "feature far out of range": at("split_indices", 0, 2**31 - 1),
    "feature below zero": at("split_indices", 0, -1),
    "feature of a leaf": lambda m: at("split_indices", leaf(m), WIDTH)(m),
    "threshold NaN": at("split_conditions", 0, float("nan")),
    "threshold infinite": at("split_conditions", 0, float("inf")),
    "leaf NaN": lambda m: at("split_conditions", leaf(m), float("nan"))(m),
    "leaf beyond float32": lambda m: at("split_conditions", leaf(m), 1e39)(m),
    "leaf as a word": lambda m: at("split_conditions", leaf(m), "0")(m),
    "base weight NaN": at("base_weights", 0, float("nan")),
    "loss infinite": at("loss_changes", 0, float("-inf")),
    "weight of images NaN": at("sum_hessian", 0, float("nan")),
    "weight below zero": at("sum_hessian", 1, -1.0),
    "no weight": at("sum_hessian", 1, 0.0),
    "weights that do not add up": at("sum_hessian", 0, 1e30),
    "default neither way": at("default_left", 0, 2),
    "category": at("split_type", 0, 1),
    "categories": of_tree("categories", [1]),
    "categories of nodes": of_tree("categories_nodes", [0]),
    "segments of categories": of_tree("categories_segments", [2**40]),
    "sizes of categories": of_tree("categories_sizes", [2**62]),
    "short list": lambda m: tree(m)["left_children"].pop(),
    "long list": twice("split_conditions"),
    "no list": of_tree("parents", 3),
    "empty list": of_tree("default_left", []),
    "list of nothing": of_tree("base_weights", None),
    "no nodes": of_tree("tree_param.num_nodes", "0"),
    "nodes below zero": of_tree("tree_param.num_nodes", "-1"),
    "too many nodes": of_tree("tree_param.num_nodes", "2147483647"),
    "nodes as a number": lambda m: of_tree("tree_param.num_nodes", len(tree(m)["parents"]))(m),
    "nodes with a space": lambda m: of_tree("tree_param.num_nodes", f" {len(tree(m)['parents'])}")(m),
    "nodes with a line": lambda m: of_tree("tree_param.num_nodes", f"{len(tree(m)['parents'])}\n")(m),
    "deleted nodes": of_tree("tree_param.num_deleted", "1"),
    "leaves as vectors": of_tree("tree_param.size_leaf_vector", "1000000"),
    "tree of other features": of_tree("tree_param.num_feature", "7"),
    "number of a tree": of_tree("id", 5),
    "tree that is none": lambda m: model(m)["trees"].__setitem__(0, 7),
    "too deep": chain(MOST_DEPTH + 1),
    "far too deep": chain(20_000),
    "group out of range": put(f"{MODEL}.tree_info", [10**6] * 6),
    "group below zero": put(f"{MODEL}.tree_info", [-1] * 6),
    "too few groups": put(f"{MODEL}.tree_info", []),
    "rounds beyond the trees": put(f"{MODEL}.iteration_indptr", [0, 3, 600]),
    "rounds backwards": put(f"{MODEL}.iteration_indptr", [6, 3, 0]),
    "no rounds": put(f"{MODEL}.iteration_indptr", []),
    "trees that are not there": put(f"{MODEL}.gbtree_model_param.num_trees", "999999999"),
    "trees below zero": put(f"{MODEL}.gbtree_model_param.num_trees", "-1"),
    "no trees per round": put(f"{MODEL}.gbtree_model_param.num_parallel_tree", "0"),
    "many trees per round": put(f"{MODEL}.gbtree_model_param.num_parallel_tree", "999999999"),
    "no trees": lambda m: model(m).update(
        trees=[],
        tree_info=[],
        iteration_indptr=[0],
        gbtree_model_param={"num_parallel_tree": "3", "num_trees": "0"},
    ),
    "linear": put(f"{BOOSTER}.name", "gblinear"),
    "dart": put(f"{BOOSTER}.name", "dart"),
    "features in the model alone": put(f"{PARAM}.num_feature", "7"),
    "features without end": put(f"{PARAM}.num_feature", "4294967295"),
    "features below zero": put(f"{PARAM}.num_feature", "-6"),
    "many classes": put(f"{PARAM}.num_class", "1000000"),
    "many targets": put(f"{PARAM}.num_target", "1000000"),
    "other base": put(f"{PARAM}.base_score", "[5E-1]"),
    "base NaN": put(f"{PARAM}.base_score", "[nan]"),
    "two bases": put(f"{PARAM}.base_score", "[0E0,0E0]"),
    "unknown objective": put(f"{LEARNER}.objective.name", "evil"),
    "other objective": put(f"{LEARNER}.objective.name", "reg:squarederror"),
    "objective's weight": put(f"{LEARNER}.objective.reg_loss_param.scale_pos_weight", "nan"),
    "long number": put(f"{LEARNER}.objective.reg_loss_param.scale_pos_weight", "1" * 10**6),
    "names of features": put(f"{LEARNER}.feature_names", list("abcdef")),
    "types of features": put(f"{LEARNER}.feature_types", ["c"] * WIDTH),
    "no version": drop("version"),
    "half a version": put("version", [3]),
    "version below zero": put("version", [-1, 0, 0]),
    "no learner": drop("learner"),
    "no objective": drop("learner.objective"),
    "no trees' numbers": drop(f"{MODEL}.gbtree_model_param"),
}


@pytest.mark.parametrize("spoil", HOSTILE.values(), ids=HOSTILE)
def test_hostile_forests_are_refused(spoil: Spoil) -> None:
    hostile = json.loads(sound())
    spoil(hostile)
    assert json.dumps(hostile) != json.dumps(json.loads(sound()))
    refused(json.dumps(hostile).encode(), "the forest cannot be loaded")


def chained(splits: int) -> Model:
    """A tree whose right nodes are split again: 0 -> 1, 2; 2 -> 3, 4; and so on."""
    nodes = 2 * splits + 1
    inner = range(0, nodes - 1, 2)
    left = [node + 1 if node in inner else -1 for node in range(nodes)]
    return {
        "left_children": left,
        "right_children": [child + 1 if child > 0 else -1 for child in left],
        "parents": [2**31 - 1, *((node - 1) // 2 * 2 for node in range(1, nodes))],
        "split_conditions": [0.5] * nodes,
        "base_weights": [0.0] * nodes,
        "loss_changes": [0.0] * nodes,
        "sum_hessian": [float(splits + 1 - node // 2) if node % 2 == 0 else 1.0 for node in range(nodes)],
        **{name: [0] * nodes for name in ("split_indices", "split_type", "default_left")},
    }


FAULTS: dict[str, tuple[str, int, float]] = {
    "a node does not exist": ("left_children", 4, 6),
    "children are not side by side, or not after their parent": ("right_children", 2, 5),
    "a node is not the child of exactly one node": ("left_children", 0, 3),
    "'parents' does not match the children": ("parents", 3, 4),
    "it splits on a feature that is not one of 6": ("split_indices", 0, 6),
    "it has splits by category, or splits without a default": ("default_left", 1, 2),
    "a number is too large for float32": ("loss_changes", 1, 1e39),
    "a leaf or a weight is larger than 1e+15": ("split_conditions", 1, -2e15),
    "no image reaches one of its nodes": ("sum_hessian", 1, 0.0),
    "the weights of children do not add up to that of their parent": ("sum_hessian", 1, 1.1),
}


@pytest.mark.parametrize("words", FAULTS)
def test_each_fault_is_told_with_its_tree(words: str) -> None:
    """Of one tree among sound ones, which differ in size."""
    forest = json.loads(sound())
    name, node, value = FAULTS[words]
    for number in range(1, 5):
        one = model(forest)["trees"][number]
        one.update(chained(number))
        one["tree_param"]["num_nodes"] = str(2 * number + 1)
    checked_forest(json.dumps(forest).encode())
    spoilt = model(forest)["trees"][3]
    spoilt[name][node] = value
    if words.startswith("a node is not"):
        spoilt["right_children"][node] = value + 1
    if words.startswith("a node does not"):
        spoilt["right_children"][node] = 7
    if words.startswith("no image"):
        spoilt["sum_hessian"][2] = spoilt["sum_hessian"][0]
        spoilt["sum_hessian"][4] += 1
        spoilt["sum_hessian"][6] += 1
    assert f"tree 3: {words}" in refused(json.dumps(forest).encode())


def test_too_many_trees_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forest_check, "MOST_TREES", 5)
    refused(sound(), "it has 6 trees")


EXTRA: dict[str, Spoil] = {
    "in the model": put("learner_v4", {"leaf": [1, None, "x"]}),
    "in the learner": put(f"{LEARNER}.quantiles", [0.5]),
    "in a tree": of_tree("node_medians", [1e300]),
    "in a tree's numbers": of_tree("tree_param.num_layers", "-1"),
    "in the objective": put(f"{LEARNER}.objective.alpha", {}),
    "weights of dart": put(f"{BOOSTER}.weight_drop", [1.0] * 6),
    "categories": put(f"{MODEL}.cats", {"enc": [1], "feature_segments": "x"}),
    "attributes": put(f"{LEARNER}.attributes", {"best_iteration": "7"}),
    "configuration": put("Config", {}),
    "a terminal's commands": put("\x1b[2J" * 999, 1),
    "a newer release": put("version", [4, 0, 0]),
}


@pytest.mark.parametrize("add", EXTRA.values(), ids=EXTRA)
def test_unknown_keys_of_a_newer_xgboost_are_left_out(add: Spoil) -> None:
    newer, (features, _) = json.loads(sound()), data()
    add(newer)
    assert newer != json.loads(sound())
    text = json.dumps(newer).encode()
    assert json.loads(checked_forest(text)) | {"version": 0} == without_cats(sound()) | {"version": 0}
    forest = BoostedRandomForest()
    forest.restore(state_of(text))
    np.testing.assert_array_equal(forest.margins(features), small().margins(features))
    np.testing.assert_array_equal(forest.contributions(features), small().contributions(features))


def test_a_tree_as_deep_as_may_be_passes_and_explains() -> None:
    deep = json.loads(sound())
    chain(MOST_DEPTH)(deep)
    forest, (features, _) = BoostedRandomForest(), data()
    forest.restore(state_of(json.dumps(deep).encode()))
    found = forest.contributions(features)
    np.testing.assert_allclose(found.sum(axis=1), forest.margins(features), atol=1e-4)


def test_bytes_that_are_no_forest_are_refused(tmp_path: Path) -> None:
    import pickle

    ubj = bytes(booster_of(small()).save_raw("ubj"))
    for text in (
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"[" * 10**5,
        b'{"a":' * 10**5,
        b"1" * 10**5,
        ubj,
        sound()[:-1],
        sound() + b"{}",
        sound().replace(b'"version"', b'"version":[0,0,0],"version"'),
        sound().replace(b'"gbtree"', b"NaN"),
        sound().decode().encode("utf-16"),
        pickle.dumps(MakesFolder(tmp_path / "canary")),
    ):
        refused(text)
    assert not (tmp_path / "canary").exists()


def test_a_forest_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forest_check, "MOST_BYTES", len(sound()))
    checked_forest(sound())
    refused(sound() + b" ", "it has more than")


@pytest.mark.parametrize("unit", [b"{},", b"[],", b'"",', b"1.5,", b"[", b'{"":'], ids=repr)
def test_forests_that_are_bombs_are_refused_before_they_are_parsed(
    unit: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json, "loads", lambda *_, **__: pytest.fail("it is parsed"))
    bomb = sound() + unit * (forest_check.MOST_BYTES // len(unit))
    refused(bomb, "it has more than 64 MiB")
    if unit != b"1.5,":  # a list of numbers of this size is parsed: it takes less than 1 GiB
        refused(bomb[: forest_check.MOST_BYTES], "of memory, more than the limit")


def test_and_is_not_fitted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segad_plugins.final_classifiers.forest.MOST_BYTES", len(sound()) - 1)
    with pytest.raises(PluginError, match=r"^brf: the forest has"):
        fitted(BoostedRandomForest, n_estimators=2, num_parallel_tree=3)


def test_trees_deeper_than_can_be_loaded_are_not_grown() -> None:
    with pytest.raises(ValueError, match="max_depth"):
        BoostedRandomForest.Params(max_depth=MOST_DEPTH + 1)


FUZZ = """
import json, random, re, sys
import numpy as np
from segad_core.errors import PluginError
from segad_plugins.final_classifiers.brf import BoostedRandomForest

sound, random = open(sys.argv[1], "rb").read(), random.Random(0)
numbers = list(re.finditer(rb"-?[0-9][0-9.E-]*", sound))
EVIL = b"-1 0 1 2 7 -2 2147483647 -2147483648 4294967295 99999999999999999999 1e38 1e-45 1e400 NaN".split()
features = np.random.default_rng(0).normal(size=(20, %d))

def flipped():
    place = random.randrange(len(sound))
    return sound[:place] + bytes([sound[place] ^ 1 << random.randrange(8)]) + sound[place + 1:]

def swapped():
    number = random.choice(numbers)
    return sound[:number.start()] + random.choice(EVIL) + sound[number.end():]

for spoilt in (flipped, swapped):
    refused = 0
    for _ in range(300):
        forest = BoostedRandomForest()
        try:
            forest.restore({"model.json": np.frombuffer(spoilt(), np.uint8)})
        except PluginError:
            refused += 1
            continue
        assert np.isfinite(forest.margins(features)).all()
        assert np.isfinite(forest.contributions(features)).all()
    print(refused)
"""


def test_no_flipped_bit_and_no_hostile_number_crashes_the_process(tmp_path: Path) -> None:
    (tmp_path / "forest.json").write_bytes(sound())
    command = [sys.executable, "-c", FUZZ % WIDTH, str(tmp_path / "forest.json")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stderr[-2000:]
    flipped, swapped = map(int, result.stdout.split())
    assert 100 < flipped < 300 and 100 < swapped < 300
