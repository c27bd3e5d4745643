"""What can go wrong, said once: what, where, and the remedy; and the exit code that goes with it."""

from __future__ import annotations

from collections.abc import Sequence


def as_text(name: str) -> str:
    """Text with a file name in it that can be encoded: bytes that are not text become escapes."""
    return name.encode(errors="backslashreplace").decode()


def in_one_line(name: str) -> str:
    """The same in one printable line: control characters become escapes too."""
    return "".join(c if c.isprintable() else _escaped(ord(c)) for c in as_text(name))


def _escaped(code: int) -> str:
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


class SegadError(Exception):
    """An error with a sentence for the person who has to mend it.

    `str()` gives one printable line for each problem, whatever names and messages from elsewhere are in it,
    and the remedy; further lines of it are marked, so that no name in it passes for a line of its own.

    Args:
        what: what is wrong and where: a sentence, or one for each problem.
        remedy: what to do about it.

    Attributes:
        problems: what is wrong and where, one sentence each.
        what: the same as one text.
        remedy: what to do about it.
    """

    exit_code = 1
    """Of a command that ends with it."""

    def __init__(self, what: Sequence[str] | str, remedy: str = "") -> None:
        super().__init__(what, remedy)
        self.problems = [what] if isinstance(what, str) else list(what)
        self.what = "\n".join(self.problems)
        self.remedy = remedy

    def sentence(self) -> str:
        """The same on one line, to be part of another message or of a log; not yet printable."""
        what = "; ".join(self.problems)
        return f"{what.rstrip('.')}. {' '.join(self.remedy.split())}" if self.remedy else what

    def __str__(self) -> str:
        remedy = "\n  | ".join(map(in_one_line, self.remedy.split("\n")))
        return "\n".join([*map(in_one_line, self.problems), *([f"  {remedy}"] if remedy else [])])


class UsageError(SegadError):
    """The command line is wrong."""

    exit_code = 2


class RecipeError(SegadError):
    """The recipe is wrong, or what it names is not as it says. Carries every problem found."""

    exit_code = 2


class PluginError(SegadError):
    """A plugin is broken, ambiguous, or does not keep its contract."""


class NotFittedError(PluginError, AttributeError):
    """A plugin is used before it has learnt anything.

    Also an `AttributeError`, so that `hasattr` and `getattr` with a default can ask for what is learnt.
    """


class PluginFailure(PluginError):
    """A plugin raised an error of its own: a defect that its authors have to mend."""


class DataError(SegadError):
    """The images or their labels cannot serve what the recipe asks of them."""


class AmountError(DataError):
    """The recipe asks for more images than there are."""

    exit_code = 2


class LeakageError(DataError):
    """One image serves two purposes that must be disjoint."""


class ImageError(DataError):
    """One image cannot be decoded correctly."""


class DamagedImageError(ImageError):
    """A file is damaged or incomplete; it may still be being written."""


class BundleError(SegadError):
    """A bundle is not what segad wrote, or does not fit what is installed here."""


class NonFiniteError(SegadError):
    """A map, a feature or a score is NaN or infinite."""


class StoreError(SegadError):
    """The store or the run folder cannot be read or written."""


class HeldError(StoreError):
    """Another process holds an output; nothing was changed."""


class ResourceError(SegadError):
    """The machine failed: a full disk, no memory, no free file handles, a broken device.

    Neither an image nor a bundle nor a plugin is at fault, and nothing that was finished is lost.
    """
