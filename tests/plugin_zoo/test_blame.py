"""A plugin's failures name it, and it cannot spoil what others are given."""

import contextlib
import copy
import ctypes
import functools
import os
import pickle
import threading
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch

from segad_core.api import (
    DataError,
    Dataset,
    DefectGenerator,
    Detector,
    Encoder,
    Executor,
    Feature,
    FinalClassifier,
    FittedFeature,
    ImageBatch,
    Layer,
    Outcome,
    Sample,
    ScalarFeature,
    Segmenter,
    VectorClassifier,
    estimated_by,
)
from segad_core.base.witness import thorough
from segad_core.contracts import Box, Frame, Run, Tile
from segad_core.errors import PluginFailure
from segad_core.images import FileImageSet
from segad_core.images.image_set import Preprocessing
from segad_core.plugins import exits
from segad_core.plugins.blame import named
from segad_core.plugins.registry import Provider, contract_problems
from segad_core.scoring.fitted import KeptMaps, fit_features
from segad_core.scoring.segments import SegmentOrder
from segad_core.testing import ArrayImageSet, TinyEncoder, good_images, image_batch


@pytest.fixture(autouse=True)
def looks(request):
    """Witnesses look at everything, and not at some of the batches."""
    with nullcontext() if "always" in request.node.name else thorough():
        yield


PROVIDER = Provider("detectors", "odd", "segad-odd", "0.3", "odd:Odd")


class Odd(Detector):
    """Does what it is told when it is called."""

    def __init__(self, params=None, device="cpu"):
        super().__init__(params, device)
        if device == "raise":
            raise RuntimeError("no such device")
        self.do = lambda given: None

    def fit(self, images, run):
        self.do(images)

    def anomaly_maps(self, batch):
        self.do(batch)
        return np.zeros(batch.pixels.shape[:3], np.float32)

    def image_scores(self, batch, maps):
        self.do(maps)
        return maps.max(axis=(1, 2))

    def state(self):
        return {"x": np.zeros(self.do(None) or 1)}

    def restore(self, state):
        state["x"][:] = 1  # what a plugin has learnt is its own


class Panic(BaseException):
    """What compiled code raises that panics."""


def odd(do=None, of=Odd):
    plugin = named(of, PROVIDER)()
    if do:
        plugin.do = do
    return plugin


def batch(encoder=None):
    return image_batch(good_images(3), encoder or TinyEncoder(), ("layer2",))


def fail(given):
    raise KeyError("x")


def quit_(given):
    raise SystemExit("this needs a licence")


def panic(given):
    raise Panic("index out of range")


def exit_(given):
    os._exit(0)


@pytest.mark.parametrize(
    ("call", "method"),
    [
        (lambda p: p.fit(None, Run(np.random.SeedSequence(0))), "fit"),
        (lambda p: p.anomaly_maps(batch()), "anomaly_maps"),
        (lambda p: p.image_scores(batch(), np.zeros((3, 4, 4), np.float32)), "image_scores"),
        (lambda p: p.state(), "state"),
    ],
)
@pytest.mark.parametrize(
    ("do", "what"),
    [
        (fail, "KeyError: 'x'"),
        (quit_, "SystemExit: this needs a licence"),
        (panic, "Panic: index out of range"),
        (exit_, "SystemExit: os._exit(0) would end the process"),
    ],
)
def test_what_a_method_raises_names_the_plugin(call, method, do, what):
    with pytest.raises(PluginFailure) as caught:
        call(odd(do))
    assert caught.value.what == f"detector 'odd' (segad-odd 0.3): {method}: {what}"
    assert "segad-odd" in caught.value.remedy
    assert isinstance(caught.value.__cause__, KeyError | SystemExit | Panic)


def test_a_constructor_is_named():
    with pytest.raises(PluginFailure, match=r"segad-odd 0\.3.*constructor: RuntimeError: no such device"):
        named(Odd, PROVIDER)(None, "raise")


def test_who_writes_to_an_array_that_is_shared_is_told_to_copy_it():
    def write(given):
        given[:] = 0

    with pytest.raises(PluginFailure) as caught:
        odd(write).image_scores(batch(), np.zeros((3, 4, 4), np.float32))
    assert "read-only" in caught.value.what and "work on a copy" in caught.value.remedy
    with pytest.raises(PluginFailure) as caught:
        odd(fail).state()
    assert "copy" not in caught.value.remedy


def test_a_constructor_that_leaves_params_unset_is_named():
    class Bare(Odd):
        """Forgets its base."""

        def __init__(self, params=None, device="cpu"):
            self.given = params

    with pytest.raises(
        PluginFailure, match=r"segad-odd 0\.3\): constructor: .*super\(\).__init__\(params, dev"
    ):
        named(Bare, PROVIDER)()


def test_what_is_for_the_user_and_what_is_nobodys_fault_pass_unchanged():
    for error in (DataError("too few images"), OSError(28, "No space left on device"), KeyboardInterrupt()):

        def raising(given, error=error):
            raise error

        with pytest.raises(type(error)) as caught:
            odd(raising).fit(None, None)
        assert caught.value is error


def test_the_encoder_is_to_blame_for_what_it_raises_when_a_detector_calls_it():
    class Torn(TinyEncoder):
        """Fails."""

        def encode(self, pixels, layers):
            raise ZeroDivisionError

    provider = Provider("encoders", "torn", "segad-torn", "2", "torn:Torn")
    with pytest.raises(PluginFailure, match=r"encoder 'torn' \(segad-torn 2\): encode: ZeroDivisionError"):
        odd(lambda given: given.features()).anomaly_maps(batch(named(Torn, provider)()))


def test_what_a_generator_raises_is_named():
    class Listing(Segmenter):
        """Segments one by one."""

        def segments(self):
            yield "all"
            raise ValueError("no more")

        def segment(self, batch):
            return None

    provider = Provider("segmenters", "listing", "segad-odd", "0.3", "odd:Listing")
    with pytest.raises(PluginFailure, match=r"segmenter 'listing'.*segments: ValueError: no more"):
        list(named(Listing, provider)().segments())


def test_a_named_plugin_is_the_same_in_all_else():
    made = named(Odd, PROVIDER)
    assert made is named(Odd, PROVIDER)
    assert issubclass(made, Odd)
    assert (made.__name__, made.__doc__, made.__module__) == (Odd.__name__, Odd.__doc__, Odd.__module__)
    assert pickle.loads(pickle.dumps(made)) is made
    assert copy.deepcopy(made()).anomaly_maps(batch()).shape == (3, 64, 96)
    assert made.check is Detector.check  # what the engine provides is the engine's


SEED = np.random.SeedSequence(4)


def overwritten(array):
    """Written to as by a library that does not ask NumPy."""
    ctypes.memset(array.ctypes.data, 1, array.nbytes)


def zero(array):
    array[:] = 0


def through_torch(array):
    torch.from_numpy(np.asarray(array)).zero_()


WRITES = {
    "pixels": lambda given: given.pixels,
    "features": lambda given: given.features()["layer2"],
}


@pytest.mark.filterwarnings("ignore:The given NumPy array is not writable")
@pytest.mark.parametrize("shared", WRITES)
@pytest.mark.parametrize("write", [zero, through_torch])
def test_writing_to_a_batch_names_the_culprit(shared, write):
    given = batch()
    with pytest.raises(PluginFailure, match=r"^detector 'odd' \(segad-odd 0\.3\): anomaly_maps: ") as caught:
        odd(lambda batch: write(WRITES[shared](batch))).anomaly_maps(given)
    if write is through_torch:
        assert ("the pixels" if shared == "pixels" else "layer 'layer2'") in caught.value.what


class Vectors(VectorClassifier):
    """Writes to one of its vectors, or to the labels."""

    def vectors(self, batch):
        return {}

    def learn(self, vectors, labels, run):
        run(vectors["v"])
        run(labels)

    def judge(self, vectors):
        return None

    def state(self):
        return {}

    def restore(self, state):
        pass


@pytest.mark.filterwarnings("ignore:The given NumPy array is not writable")
@pytest.mark.parametrize("write", [zero, through_torch])
@pytest.mark.parametrize("shape", [(4,), (4, 2)])
def test_writing_to_vectors_or_labels_names_the_culprit(write, shape):
    provider = Provider("classifiers", "vectors", "segad-odd", "0.3", "odd:Vectors")
    vectors, labels = {"v": np.ones((4, 2), np.float32)}, np.array([1, 1, 1, 0])

    def run(array):
        if array.shape == shape:
            write(array)

    with pytest.raises(PluginFailure, match=r"classifier 'vectors' \(segad-odd 0\.3\): learn: ") as caught:
        named(Vectors, provider)().learn(vectors, labels, run)
    if write is through_torch:
        assert ("'v' that it was given" if len(shape) == 2 else "an array that") in caught.value.what
    else:
        assert vectors["v"].all() and labels.tolist() == [1, 1, 1, 0]


def test_arrays_alone_are_always_watched():
    encoder = Provider("encoders", "odd", "segad-odd", "0.3", "odd:Odd")

    class Writes(TinyEncoder):
        """Writes to the pixels."""

        def encode(self, pixels, layers):
            overwritten(pixels)
            return super().encode(pixels, layers)

    for _ in range(80):  # the first of a process are looked at in any case
        with pytest.raises(PluginFailure, match=r"segad-odd.*encode: writes to an array"):
            named(Writes, encoder)().encode(good_images(1), ["layer2"])


def test_maps_are_read_only():
    with pytest.raises(PluginFailure, match="image_scores: ValueError: assignment destination is read-only"):
        odd(zero).image_scores(batch(), np.ones((3, 40, 40), np.float32))


def test_what_it_has_learnt_is_its_own():
    state = {"x": np.zeros(2)}
    odd().restore(state)
    assert state["x"].tolist() == [1, 1]
    assert odd().fit(ArrayImageSet(good_images(2)), None) is None


def test_maps_given_with_a_batch_are_watched():
    maps = np.ones((3, 40, 40), np.float32)
    with pytest.raises(PluginFailure, match="image_scores: writes to an array that it was given"):
        odd(overwritten).image_scores(batch(), maps)


def test_what_is_ignored_is_watched():
    pixels = good_images(2)
    given = ImageBatch(image_batch(pixels).samples, pixels, ignored=np.zeros((1, *pixels.shape[1:3]), bool))
    with pytest.raises(PluginFailure, match="anomaly_maps: writes to what is ignored"):
        odd(lambda batch: overwritten(batch.ignored)).anomaly_maps(given)


def files():
    return FileImageSet([Sample("a.png", Path("a.png"), 0)] * 3, Preprocessing((8, 8)))


@pytest.mark.parametrize(
    ("given", "name"),
    [
        (lambda: batch(), name)
        for name in (
            "samples",
            "pixels",
            "memo",
            "witness",
            "ignored",
            "frames",
            "tiles",
            "tiling",
            "features",
        )
    ]
    + [(files, name) for name in ("samples", "preprocessing", "layers", "witness", "batches", "pixels")]
    + [(lambda: ArrayImageSet(good_images(2)), name) for name in ("samples", "batches", "pixels")]
    + [
        (lambda: Run(np.random.SeedSequence(0)), name)
        for name in ("seed", "progress", "checkpoint", "artifact")
    ],
)
def test_what_is_given_cannot_be_replaced(given, name):
    one = given()
    before = getattr(one, name)
    for change in (lambda given: setattr(given, name, None), lambda given: delattr(given, name)):
        with pytest.raises(PluginFailure, match=f"segad-odd.*fit: AttributeError: '{name}' of .* read-only"):
            odd(change).fit(one, None)
    assert getattr(one, name) is before or getattr(one, name) == before
    for value in (1, 2):  # nobody else's
        odd(lambda given, v=value: setattr(given, "my_own", v)).fit(one, None)


def test_sequences_and_features_of_images_cannot_be_changed_in_place():
    images = ArrayImageSet(good_images(2), TinyEncoder(), ("layer2",))
    for wrong in (
        lambda given: files().samples.pop(),
        lambda given: batch().features().clear(),
        lambda given: given.features().clear(),
    ):
        with pytest.raises(PluginFailure, match=r"fit: AttributeError: .* no attribute"):
            odd(wrong).fit(images, None)
    frame = Frame((2, 2), (2, 2), Box(0, 0, 2, 2), Box(0, 0, 2, 2))
    pixels = np.zeros((1, 2, 2, 3), np.uint8)
    given = ImageBatch(
        [Sample("a", Path("a"), 0)], pixels, frames=[frame], tiles=[Tile(0, 0, 0, 2, 2, (2, 2))]
    )
    assert isinstance(given.frames, tuple) and isinstance(given.tiles, tuple)
    assert given.with_pixels(pixels).frames == (frame,)


def test_lists_are_copies():
    names = ["a", "b"]
    odd(lambda given: given.reverse()).fit(names, None)
    assert names == ["a", "b"]


def segments_of(labels, seed=5):
    labels = np.asarray(labels, np.uint8)
    anomaly_map = np.random.default_rng(seed).random(labels.shape, np.float32) + 1
    return SegmentOrder.of(labels, 2).group(anomaly_map)


TWO_ROWS = np.repeat([0, 1], 8)[:, None].repeat(9, axis=1)
MIXED = np.arange(16 * 9).reshape(16, 9) % 2


def feature(compute, distribution="segad-odd", base=Feature):
    """One that does something with the values, as a distribution provides it."""

    class Doing(base):
        """Does what it is told."""

        def statistics(self):
            return ["doing"]

        def compute(self, values):
            compute(values)
            return np.zeros((len(values), 1))

        def value(self, values):
            compute(values)
            return 0.0

        def fit(self, good, run):
            for values in good:
                compute(values)

        def state(self):
            return {}

        def restore(self, state):
            pass

    if base is ScalarFeature:
        del Doing.compute
    return named(Doing, Provider("features", "doing", distribution, "0.3", "odd:Doing"))()


@pytest.mark.parametrize(
    ("labels", "name"),
    [
        (labels, name)
        for labels in (TWO_ROWS, MIXED, TWO_ROWS * 0)
        for name in ("anomaly_map", "values", "offsets", "pixels", "runs")
        if labels is not MIXED or name != "runs"  # those pixels lie apart
    ],
)
def test_a_feature_of_a_third_party_that_writes_is_named(labels, name):
    given = segments_of(labels)
    with pytest.raises(PluginFailure, match=r"^feature 'doing' \(segad-odd 0\.3\): compute: writes to the "):
        feature(lambda values: overwritten(getattr(values, name))).compute(given)


@pytest.mark.parametrize("labels", [TWO_ROWS, MIXED, TWO_ROWS * 0])
def test_a_feature_of_one_segment_that_writes_is_named(labels):
    with pytest.raises(PluginFailure, match=r"^feature 'doing' \(segad-odd 0\.3\): compute: writes to the "):
        feature(overwritten, base=ScalarFeature).compute(segments_of(labels))


def test_the_one_that_writes_is_named_among_others():
    given, looks = segments_of(TWO_ROWS), feature(lambda values: values.region(1).values.sum(), "segad-fine")
    assert looks.compute(given).tolist() == [[0], [0]]
    with pytest.raises(PluginFailure, match="segad-odd"):
        feature(lambda values: overwritten(values.region(1).inside) or overwritten(values.pixels)).compute(
            given
        )


def test_a_feature_that_writes_to_good_maps_is_named():
    maps = np.random.default_rng(3).random((3, 16, 9), np.float32)
    good = KeptMaps(maps, None, 1)
    learns = feature(lambda values: overwritten(values.values), base=FittedFeature)
    with pytest.raises(PluginFailure, match=r"segad-odd.*fit: writes to the maps of good images"):
        learns.fit(good, None)


def test_features_of_a_distribution_share_a_memo_of_their_own():
    given = segments_of(TWO_ROWS)
    given.memo["taken"] = "what segad keeps"
    found = []
    for distribution, value in (("segad-odd", 1), ("segad-odd", 2), ("segad-fine", 3)):
        feature(
            lambda values, v=value: found.append(values.memo.setdefault("taken", v)), distribution
        ).compute(given)
    assert found == [1, 1, 3]
    assert given.memo["taken"] == "what segad keeps"
    feature(lambda values: found.append(values), "segad").compute(given)
    assert found[-1] is given and "witness" in vars(given)


def test_features_that_learn_have_a_seed_of_their_own_each():
    drawn = []

    class Draws(FittedFeature):
        """Draws a number."""

        def statistics(self):
            return ["drawn"]

        def fit(self, good, run):
            drawn.append(run.seed.spawn(1)[0].generate_state(1)[0])

        def compute(self, values):
            return np.zeros((len(values), 1))

        def state(self):
            return {}

        def restore(self, state):
            pass

    fit_features([Draws(), Draws()], KeptMaps(np.zeros((1, 4, 4), np.float32), None, 1), Run(SEED))
    assert drawn[0] == drawn[1]


def test_a_feature_of_segad_is_named_without_being_watched():
    given = segments_of(TWO_ROWS)
    feature(lambda values: None, "segad").compute(given)
    assert "witness" not in vars(given)


def test_a_feature_is_named():
    class Half(ScalarFeature):
        """Fails for long segments."""

        def statistics(self):
            return ["half"]

        def value(self, values):
            return 1 / (len(values) < 5)

    provider = Provider("features", "half", "segad-odd", "0.3", "odd:Half")
    assert issubclass(named(Half, provider), Feature)
    with pytest.raises(PluginFailure, match=r"feature 'half'.*value: ZeroDivisionError"):
        named(Half, provider)().value(np.zeros(9, np.float32))


@pytest.mark.parametrize(
    ("state", "what"),
    [
        ([1], "a list"),
        ({1: np.zeros(1)}, "the name 1"),
        ({"x": 1.5}, "'x' is not an array, but a float"),
        ({"x": np.array([{}], object)}, "'x' is an array of object"),
        ({"x": np.array(["text"])}, "'x' is an array of <U4"),
        ({"model.pkl": np.frombuffer(pickle.dumps({"a": 1}), np.uint8)}, "'model.pkl' holds a pickle"),
    ],
)
@pytest.mark.parametrize("method", ["state", "restore"])
def test_a_state_is_named_arrays_of_numbers_and_no_pickle(state, what, method):
    class Keeps(Odd):
        """Keeps what it is told to."""

        def state(self):
            return state

    plugin = named(Keeps, PROVIDER)()
    with pytest.raises(PluginFailure, match=rf"segad-odd 0\.3\): {method}: ") as caught:
        plugin.state() if method == "state" else plugin.restore(state)
    assert what in caught.value.what


def boom(self):
    raise ValueError("boom")


METHODS = {
    "cached": functools.cache(boom),
    "static": staticmethod(lambda: boom(None)),
    "of the class": classmethod(boom),
    "partial": functools.partialmethod(lambda self, x: boom(self), 1),
    "an object": functools.partial(boom, None),
    "of the engine": estimated_by(f"{__name__}:boom"),
}
"""By how a class defines it: a method that raises."""


@pytest.mark.parametrize("how", METHODS)
def test_however_a_method_is_defined_what_it_raises_is_named(how):
    made = named(type("Other", (Odd,), {"__doc__": "Odd.", "estimate": METHODS[how]}), PROVIDER)
    with pytest.raises(
        PluginFailure, match=r"^detector 'odd' \(segad-odd 0\.3\): estimate: ValueError: boom"
    ):
        made().estimate()
    if how in ("static", "of the class"):  # called without an instance, as before
        with pytest.raises(PluginFailure, match="estimate: ValueError: boom"):
            made.estimate()


NO_METHODS = {"property": property, "tuple": lambda method: (), "cached_property": functools.cached_property}


@pytest.mark.parametrize("name", ["layers", "notes", "anomaly_maps"])
@pytest.mark.parametrize("kind", NO_METHODS)
def test_what_is_no_method_breaks_the_contract(name, kind):
    wrong = type("Other", (Odd,), {"__doc__": "Odd.", name: NO_METHODS[kind](boom)})
    assert contract_problems(PROVIDER, wrong) == [f"Other.{name} is a {kind}, not a method"]


def test_an_attribute_of_another_kinds_optional_method_is_its_own():
    assert contract_problems(PROVIDER, type("Other", (Odd,), {"__doc__": "Odd.", "unread": ()})) == []


class Meta(type(Odd)):
    """A metaclass of its own."""


class Special(Odd, metaclass=Meta):
    """Odd."""


def test_a_component_may_have_a_metaclass_of_its_own():
    made = named(Special, PROVIDER)
    assert isinstance(made, Meta)
    assert pickle.loads(pickle.dumps(made)) is made
    with pytest.raises(PluginFailure, match=r"segad-odd 0\.3\): fit: KeyError"):
        odd(fail, Special).fit(None, None)
    assert contract_problems(PROVIDER, Special) == []


def test_a_class_that_no_other_can_be_derived_from_breaks_the_contract():
    def final(cls, **kwargs):
        raise TypeError("this class is final")

    wrong = type("Other", (Odd,), {"__doc__": "Odd.", "__init_subclass__": final})
    (problem,) = contract_problems(PROVIDER, wrong)
    assert "Other" in problem and "TypeError: this class is final" in problem


def test_a_class_that_cannot_be_looked_at_is_a_problem():
    class Raising(Meta):
        @property
        def Params(cls):
            raise Panic("what is that")

    wrong = Raising("Other", (Odd,), {"__doc__": "Odd."})
    (problem,) = contract_problems(PROVIDER, wrong)
    assert problem == "odd:Odd cannot be looked at: Panic: what is that"


RETURNS = [
    (Dataset, "categories", ("a", "b"), None),
    (Dataset, "categories", ["a"], "a"),
    (Dataset, "samples", [], None),
    (Dataset, "samples", [Sample("a", Path("a"), 0)], [("a.png", 0)]),
    (Dataset, "part_pattern", "", None),
    (Dataset, "unread", [], "one sentence"),
    (Encoder, "layers", {"layer1": Layer(3, 4)}, None),
    (Encoder, "layers", {}, {"layer1": 4}),
    (Encoder, "digest", "1", None),
    (Encoder, "to_download", None, 1),
    (Detector, "layers", ("layer1",), "layer1"),
    (Detector, "layers", ["layer1"], (1,)),
    (Detector, "optional_layers", [], None),
    (Detector, "notes", [], "one note"),
    (Detector, "estimate", None, 5),
    (VectorClassifier, "outputs", ["a"], None),
    (VectorClassifier, "vectors", {}, np.zeros(3)),
    (VectorClassifier, "judge", np.zeros((2, 1)), None),
    (Segmenter, "segments", ["a"], None),
    (Segmenter, "segment", np.zeros((1, 2, 2), np.uint8), None),
    (Segmenter, "quality", None, 3),
    (Feature, "statistics", ["a"], None),
    (Feature, "compute", [[0.5]], None),
    (Feature, "compute", np.zeros((1, 1)), np.array([[None]])),
    (ScalarFeature, "value", np.float32(0.5), None),
    (ScalarFeature, "value", np.array(0.5), "x"),
    (ScalarFeature, "value", 1, np.zeros(2)),
    (FinalClassifier, "margins", np.zeros(2), None),
    (FinalClassifier, "contributions", None, "none"),
    (DefectGenerator, "apply", np.zeros((2, 2, 3), np.uint8), None),
    (Executor, "capacity", np.int64(2), None),
    (Executor, "capacity", 2, 2.5),
    (Executor, "wait", Outcome(0), 0),
]
"""A contract, one of its methods, an answer, and one that is none."""


@pytest.mark.parametrize(("contract", "name", "right", "wrong"), RETURNS)
def test_an_answer_of_another_kind_names_the_plugin(contract, name, right, wrong):
    def answers(answer):
        body = dict.fromkeys(contract.__abstractmethods__, lambda self, *given: None)
        return named(type("Other", (contract,), {**body, name: lambda self, *given: answer}), PROVIDER)()

    answer = getattr(answers(right), name)()
    assert answer is right
    with pytest.raises(PluginFailure) as caught:
        getattr(answers(wrong), name)()
    returned = repr(wrong) if not isinstance(wrong, np.ndarray) else "a ndarray"
    start = f"detector 'odd' (segad-odd 0.3): {name}: returns {returned}, not "
    assert caught.value.what.startswith(start)
    assert "segad-odd" in caught.value.remedy


@pytest.mark.parametrize(
    ("answer", "shown"),
    [(None, "None"), ({}, "{}"), ({"layer2": 1}, "{'layer2': 1}"), (torch.zeros(1), "a Tensor")],
)
def test_an_encoder_is_to_blame_for_the_layers_that_it_does_not_give(answer, shown):
    class Mute(TinyEncoder):
        """Says little."""

        def encode(self, pixels, layers):
            return answer

    provider = Provider("encoders", "mute", "segad-mute", "2", "mute:Mute")
    with pytest.raises(PluginFailure) as caught:
        odd(lambda given: given.features()).anomaly_maps(batch(named(Mute, provider)()))
    start = f"encoder 'mute' (segad-mute 2): encode: returns {shown}, not an array for each layer"
    assert caught.value.what.startswith(start) and "layer2" in caught.value.what


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform cannot fork")
def test_os_exit_is_refused_in_this_thread_and_process_alone():
    real = os._exit
    with exits.staying():
        with exits.staying(), pytest.raises(SystemExit, match=r"os\._exit\(3\)"):
            os._exit(3)
        with pytest.raises(SystemExit):
            os._exit(4)
        child = os.fork()
        if not child:
            os._exit(5)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 5
    assert os._exit is real


def test_blocks_of_threads_that_overlap_leave_os_exit_as_it_was(monkeypatch):
    ended = []
    monkeypatch.setattr(os, "_exit", ended.append)
    monkeypatch.setattr(exits, "_REAL", os._exit)
    first, second = exits.staying(), exits.staying()
    inside, outside = threading.Event(), threading.Event()

    def other():
        with second:
            inside.set()
            outside.wait()

    thread = threading.Thread(target=other)
    with first:
        thread.start()
        inside.wait()
    with contextlib.suppress(SystemExit):  # outside of a block in this thread: it is the real one
        os._exit(6)
    outside.set()
    thread.join()
    assert ended == [6]
    assert os._exit == ended.append
