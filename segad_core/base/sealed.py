"""Objects that plugins share: their attributes cannot be replaced once they are made."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar


class Sealed:
    """Base of what several plugins are given; it is open until its constructor calls `_seal`.

    What begins with an underscore belongs to the class itself, and names that it does not have can be set.
    """

    _sealed: frozenset[str] | None = None
    _open: ClassVar[tuple[str, ...]] = ()
    """Public names that can be set all the same."""

    def _seal(self) -> None:
        """Ends the construction."""
        self._sealed = frozenset(vars(self))

    def _refuse(self, name: str) -> None:
        if self._sealed is None or name.startswith("_") or name in self._open:
            return
        if name in self._sealed or hasattr(type(self), name):
            raise AttributeError(
                f"'{name}' of {type(self).__name__} is read-only: other plugins are given the same object; "
                "work on a copy"
            )

    if not TYPE_CHECKING:  # with these, a type checker would let any name be set

        def __setattr__(self, name, value):
            self._refuse(name)
            super().__setattr__(name, value)

        def __delattr__(self, name):
            self._refuse(name)
            super().__delattr__(name)
