"""ONNX files: protobuf messages, looked through for tensors that lie in other files.

Field numbers are those of `onnx.proto`. Nothing here interprets a graph: its engine does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

_MODEL, _GRAPH, _NODE, _ATTRIBUTE, _TENSOR, _SPARSE, _FUNCTION = (
    "model",
    "graph",
    "node",
    "attribute",
    "tensor",
    "sparse",
    "function",
)
_PARTS: Mapping[str, Mapping[int, str]] = {
    _MODEL: {7: _GRAPH, 25: _FUNCTION},
    _FUNCTION: {7: _NODE, 11: _ATTRIBUTE},
    _GRAPH: {1: _NODE, 5: _TENSOR, 15: _SPARSE},
    _NODE: {5: _ATTRIBUTE},
    _ATTRIBUTE: {5: _TENSOR, 6: _GRAPH, 10: _TENSOR, 11: _GRAPH, 22: _SPARSE, 23: _SPARSE},
    _SPARSE: {1: _TENSOR, 2: _TENSOR},
}
"""Of each kind of message, the fields that hold others which may hold tensors."""
_LOCATION_OF_DATA, _EXTERNAL_DATA = 14, 13
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_DEEPEST = 20


def wrong_with_onnx(content: bytes) -> str:
    """Why a file is not an ONNX graph that is whole by itself; empty if it is, as far as can be seen."""
    view = memoryview(content)
    try:
        if not any(number == 7 for number, _ in _fields(view)):
            return "is not an ONNX graph"
        return "names other files" if _names_files(view, _MODEL, _DEEPEST) else ""
    except ValueError:
        return "is not an ONNX graph"


def _names_files(message: memoryview, kind: str, left: int) -> bool:
    """Whether a tensor in a message says that its numbers lie elsewhere."""
    if not left:
        raise ValueError("is nested too deeply")
    if kind == _TENSOR:
        return any(
            number == _EXTERNAL_DATA or (number == _LOCATION_OF_DATA and value != 0)
            for number, value in _fields(message)
        )
    inner = _PARTS[kind]
    return any(
        isinstance(value, memoryview) and _names_files(value, inner[number], left - 1)
        for number, value in _fields(message)
        if number in inner
    )


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """The fields of a message: each one's number, with a whole number or the bytes that it holds.

    Raises:
        ValueError: it is no message.
    """
    place = 0
    while place < len(message):
        tag, place = _varint(message, place)
        kind = tag & 7
        value: int | memoryview
        if kind == _VARINT:
            value, place = _varint(message, place)
        elif kind in (_FIXED64, _FIXED32, _BYTES):
            length = {_FIXED64: 8, _FIXED32: 4}.get(kind)
            if length is None:
                length, place = _varint(message, place)
            value, place = message[place : place + length], place + length
            if len(value) != length:
                raise ValueError("ends too early")
        else:
            raise ValueError(f"has a field of kind {kind}")
        yield tag >> 3, value


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    """A whole number of variable length, and the place after it."""
    value = 0
    for shift in range(0, 70, 7):
        if place >= len(message):
            raise ValueError("ends too early")
        byte = message[place]
        value, place = value | (byte & 0x7F) << shift, place + 1
        if byte < 0x80:
            return value, place
    raise ValueError("has a number of more than 10 bytes")
