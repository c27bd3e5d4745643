"""Files of plain formats: numbers, pictures and graphs, which no reader can take for code."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import IO

import numpy as np

from segad_core.bundle.format.onnx_file import wrong_with_onnx
from segad_core.images.formats import SUFFIXES

PLAIN_ENDINGS = (*SUFFIXES, ".safetensors", ".npy", ".onnx", ".xml")
"""Suffixes of files that a parameter may name: formats that hold numbers and no code.

`.xml` is a graph of OpenVINO, whose numbers are in another file.
"""

_PICTURES = (b"\x89PNG", b"\xff\xd8\xff", b"BM", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"RIFF", b"GIF8")
_PPM = tuple(f"P{number}".encode() for number in range(1, 8))
_MOST_HEADER = 100_000_000  # of safetensors


def wrong_with_file(ending: str, content: bytes | Path) -> str:
    """Why a file is not of the plain format that its ending promises; empty if it is, by its beginning.

    Args:
        ending: of its name, such as `.npy`.
        content: its bytes, or where they are.
    """
    if ending not in PLAIN_ENDINGS:
        return f"'{ending}' is none of {', '.join(PLAIN_ENDINGS)}"
    with io.BytesIO(content) if isinstance(content, bytes) else content.open("rb") as file:
        if ending == ".npy":
            return _wrong_with_npy(file)
        if ending == ".safetensors":
            return _wrong_with_safetensors(file)
        if ending == ".onnx":
            return wrong_with_onnx(file.read())
        if ending == ".xml":
            return _wrong_with_xml(file)
        return "" if file.read(4).startswith((*_PICTURES, *_PPM)) else "does not begin like a picture"


def _wrong_with_npy(file: IO[bytes]) -> str:
    try:
        version = np.lib.format.read_magic(file)
        readers = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}
        dtype = readers[version[0]](file)[2]
    except (ValueError, KeyError, EOFError, SyntaxError):
        return "is not an npy file of numbers"
    return "holds Python objects" if dtype.hasobject else ""


def _wrong_with_safetensors(file: IO[bytes]) -> str:
    length = int.from_bytes(file.read(8), "little")
    if not 2 <= length <= _MOST_HEADER:
        return "is not a safetensors file"
    try:
        return "" if isinstance(json.loads(file.read(length)), dict) else "is not a safetensors file"
    except (ValueError, RecursionError):
        return "is not a safetensors file"


def _wrong_with_xml(file: IO[bytes]) -> str:
    text = file.read()
    if not text.lstrip().startswith((b"<?xml", b"<net")):
        return "is not a graph of OpenVINO"
    return "defines entities, as no graph does" if b"<!" in text.replace(b"<!--", b"") else ""
