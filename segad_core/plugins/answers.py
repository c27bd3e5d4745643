"""What methods of contracts return: other answers are told where they are given, with the plugin."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from segad_core.contracts import (
    Classifier,
    Component,
    Dataset,
    DefectGenerator,
    Encoder,
    Executor,
    Feature,
    FinalClassifier,
    Learner,
    Outcome,
    Sample,
    ScalarFeature,
    Segmenter,
    VectorClassifier,
)
from segad_core.contracts.estimate import Estimate
from segad_core.contracts.graph import Graph

Expected = Callable[[Any, Sequence[Any]], str]
"""Of an answer, and of what the method was given: what it should be; empty if it is that."""


def _is(kind: type | tuple[type, ...], words: str) -> Expected:
    return lambda answer, given: "" if isinstance(answer, kind) else words


def _each(kind: type, words: str) -> Expected:
    """Those items are looked at that cost nothing: a sequence may make its items when asked for them."""

    def expected(answer: Any, given: Sequence[Any]) -> str:
        if not isinstance(answer, Iterable) or isinstance(answer, str | bytes):
            return words
        known = answer if isinstance(answer, tuple | list | set | frozenset | Mapping) else ()
        return "" if all(isinstance(one, kind) for one in known) else words

    return expected


def _layers(answer: Any, given: Sequence[Any]) -> str:
    if isinstance(answer, Mapping) and all(_is_layer(one) for one in answer.values()):
        return ""
    return "a Layer for each name"


def _is_layer(one: Any) -> bool:
    return hasattr(one, "channels") and hasattr(one, "stride")


def _encoded(answer: Any, given: Sequence[Any]) -> str:
    layers = [name for names in given if not isinstance(names, np.ndarray) for name in names]
    if isinstance(answer, Mapping) and all(hasattr(answer.get(name), "shape") for name in layers):
        return ""
    return f"an array for each layer that it is asked for: {', '.join(layers)}"


def _numbers(answer: Any, given: Sequence[Any]) -> str:
    if isinstance(answer, np.ndarray) and answer.dtype.kind in "biuf":
        return ""
    try:
        right = np.asarray(answer).dtype.kind in "biuf"
    except Exception:  # such as a tensor on a GPU
        right = False
    return "" if right else "an array of numbers"


def _number(answer: Any, given: Sequence[Any]) -> str:
    if isinstance(answer, float | int | np.floating | np.integer):
        return ""
    return "" if np.ndim(answer) == 0 and not _numbers(answer, given) else "a number"


def _or_none(expected: Expected) -> Expected:
    return lambda answer, given: (
        "" if answer is None or not (e := expected(answer, given)) else f"{e} or None"
    )


_NAMES = _each(str, "a list of names")
_SENTENCES = _each(str, "a list of sentences")
_MAPPING = _is(Mapping, "a mapping")
_TEXT = _is(str, "a text")
_ESTIMATE = _or_none(_is(Estimate, "an Estimate"))
_GRAPH = _is(Graph, "a Graph")

_ANSWERS: Mapping[type[Component], Mapping[str, Expected]] = {
    Component: {"notes": _SENTENCES, "plain_file": _is(tuple, "a suffix and a content")},
    Dataset: {
        "categories": _NAMES,
        "samples": _each(Sample, "a list of Samples"),
        "published_categories": _NAMES,
        "published_counts": _MAPPING,
        "bad_subsets": _MAPPING,
        "contradictions": _SENTENCES,
        "unread": _SENTENCES,
        "part_pattern": _TEXT,
    },
    Encoder: {
        "layers": _layers,
        "encode": _encoded,
        "digest": _TEXT,
        "to_download": _or_none(_TEXT),
        "graph": _GRAPH,
    },
    Learner: {"layers": _NAMES, "optional_layers": _NAMES, "estimate": _ESTIMATE, "graph": _GRAPH},
    Classifier: {"outputs": _NAMES, "planned_outputs": _NAMES, "scores": _numbers},
    VectorClassifier: {"vectors": _MAPPING, "judge": _numbers},
    Segmenter: {
        "segments": _NAMES,
        "segment": _numbers,
        "quality": _or_none(_is(Iterable, "a list of MapQuality")),
    },
    Feature: {"statistics": _NAMES, "compute": _numbers},
    ScalarFeature: {"value": _number},
    FinalClassifier: {
        "margins": _numbers,
        "contributions": _or_none(_numbers),
        "estimate": _ESTIMATE,
        "exported_files": _MAPPING,
    },
    DefectGenerator: {"apply": _numbers},
    Executor: {"capacity": _is((int, np.integer), "a whole number"), "wait": _is(Outcome, "an Outcome")},
}
"""Maps and scores of detectors are checked where they are computed, with their shapes and values."""


def expected_of(component: type[Component], name: str) -> Expected | None:
    """What a component's method has to return; None if that is checked elsewhere or does not matter."""
    found = (known[name] for cls in component.__mro__ if name in (known := _ANSWERS.get(cls, {})))
    return next(found, None)


def optional_answers(component: type[Component]) -> set[str]:
    """The names of all methods of a component's kind whose answers are known, defined or not."""
    return {name for cls in component.__mro__ for name in _ANSWERS.get(cls, {})}


def in_words(answer: object) -> str:
    """An answer as a message shows it: None and plain data as they are, in short; of others, the type."""
    if answer is None or isinstance(answer, str | bytes | bool | int | float | tuple | list | dict):
        return reprlib.repr(answer)
    return f"a {type(answer).__name__}"
