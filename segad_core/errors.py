"""What can go wrong, said once: what, where, and the remedy; and the exit code that goes with it."""

from __future__ import annotations

from collections.abc import Sequence


class SegadError(Exception):
    """An error with a sentence for the person who has to mend it.

    `what` says what is wrong and where; `remedy` what to do about it.
    """

    exit_code = 1

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(what, remedy)
        self.what = what
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.what}\n  {self.remedy}" if self.remedy else self.what


class UsageError(SegadError):
    """The command line is wrong."""

    exit_code = 2


class RecipeError(SegadError):
    """The recipe is wrong, or what it names is not as it says. Carries every problem found."""

    exit_code = 2

    def __init__(self, problems: Sequence[str] | str, remedy: str = "") -> None:
        self.problems = [problems] if isinstance(problems, str) else list(problems)
        super().__init__("\n".join(self.problems), remedy)


class PluginError(SegadError):
    """A plugin is broken, ambiguous, or does not keep its contract."""


class DataError(SegadError):
    """The images or their labels cannot serve what the recipe asks of them."""


class LeakageError(DataError):
    """One image serves two purposes that must be disjoint."""


class ImageError(DataError):
    """One image cannot be decoded correctly."""


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
