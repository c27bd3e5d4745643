"""Faults of the machine, told as what they are: which operation, on what, what is missing, what to do."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from segad_core.errors import ResourceError

_AGAIN = "Nothing that was finished is lost: run the same command again afterwards."
_SPACE = "Free some space."
_REMEDIES = {
    errno.ENOSPC: _SPACE,
    errno.EDQUOT: "Free some space, or raise the quota.",
    errno.EFBIG: "Raise the limit on the size of files (ulimit -f), or use another file system.",
    errno.EIO: "Check the disk or the network share and its cables.",
    errno.EROFS: "Mount the file system writable, or choose another place.",
    errno.ESTALE: "Check the network share.",
    errno.ETIMEDOUT: "Check the network share.",
    errno.ENXIO: "Check the device.",
    errno.ENODEV: "Check the device.",
    errno.EMFILE: "Raise the limit on open files (ulimit -n).",
    errno.ENFILE: "Close other programs: the system has no free file handles.",
    errno.ENOMEM: "Close other programs, or use a machine with more memory.",
    errno.ENOLCK: "Raise the system's limit on locks, or use another file system.",
    errno.EAGAIN: "Raise the limit on processes and threads (ulimit -u).",
}

_TORCH = ("out of memory", "can't allocate memory", "not enough memory")
"""What torch says when the memory of a GPU or of the machine is used up."""
_NO_THREAD = "can't start new thread"


def is_resource(error: BaseException) -> bool:
    """Whether an error is a fault of the machine, not of the file or the value that was worked on."""
    return _code(error) in _REMEDIES


def _code(error: BaseException) -> int | None:
    """The system's code for an error; None if it stands for nothing of the system."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    if isinstance(error, RuntimeError) and str(error) == _NO_THREAD:
        return errno.EAGAIN
    return errno.ENOMEM if isinstance(error, MemoryError) or _says_memory(error) else None


def _says_memory(error: BaseException) -> bool:
    """Whether a library says in its own words that memory is missing: torch, Pillow's decoders, XGBoost."""
    text = str(error)
    if isinstance(error, RuntimeError):
        return any(words in text for words in _TORCH)
    if isinstance(error, OSError):
        return text.startswith("out of memory error")
    return type(error).__name__ == "XGBoostError" and "bad_alloc" in text


def remedy_of(error: OSError) -> str:
    """What to do about an error of the operating system."""
    return _REMEDIES.get(error.errno or 0, "Correct the path or its permissions.")


def resource_error(error: BaseException, doing: str) -> ResourceError:
    """The error for a fault of the machine.

    Args:
        error: what the system raised.
        doing: the operation and the path or thing it concerned, such as `reading parts/1.png`.
    """
    code = _code(error)
    what = getattr(error, "strerror", None) or ("out of memory" if code == errno.ENOMEM else str(error))
    remedy = _REMEDIES.get(code or 0, "Correct it.")
    where = getattr(error, "filename", None)
    named = f" ({_text(where)})" if where and _text(where) not in doing else ""
    return ResourceError(f"{doing}: {what}{named}", f"{remedy} {_AGAIN}")


@contextmanager
def guarded(doing: str) -> Iterator[None]:
    """Raises faults of the machine in a block as `ResourceError`; other errors pass.

    Args:
        doing: what the block does, for the message: `reading parts.csv`.

    Raises:
        ResourceError: a fault of the machine.
    """
    try:
        yield
    except Exception as error:
        if is_resource(error):
            raise resource_error(error, doing) from error
        raise


def _text(name: object) -> str:
    return os.fsdecode(name) if isinstance(name, str | bytes) else str(name)
