"""What every plugin owes, of whatever kind."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from segad_core.contracts import Component, Parameters
from segad_core.testing.checks import refused, works
from segad_core.testing.files_opened import files_opened

_CHEAP = 0.05  # seconds of processor time; storing two values takes a millionth of it


class ComponentSuite:
    """The clauses that all kinds share; the suites of the kinds derive from it."""

    def make(self) -> Component:
        """The plugin under test: a fresh instance at each call, always with the same parameters."""
        raise NotImplementedError(f"{type(self).__name__} has to define make(): it returns a fresh plugin")

    def test_docstring_begins_with_a_line_of_its_own(self) -> None:
        """A component has a docstring whose first line, all that `list-plugins` shows, is complete."""
        cls = type(self.make())
        lines = (cls.__doc__ or "").strip().splitlines()
        assert lines, f"{cls.__name__} has no docstring; list-plugins shows its first line"
        assert len(lines) == 1 or not lines[1].strip(), (
            f"the docstring of {cls.__name__} goes on in its second line ('{lines[1].strip()}'), which "
            "list-plugins does not show: say it in one line, then leave one blank"
        )

    def test_params_refuse_unknown_keys(self) -> None:
        """`Params` derives from `Parameters`; a key that it does not know is an error."""
        component = self.make()
        cls = type(component)
        assert isinstance(cls.Params, type) and issubclass(cls.Params, Parameters), (
            f"{cls.__name__}.Params has to derive from segad_core.contracts.Parameters"
        )
        given = {name: getattr(component.params, name) for name in cls.Params.model_fields}
        with refused(f"{cls.__name__}.Params takes the unknown key 'no_such_key'", ValidationError) as caught:
            cls.Params.model_validate({**given, "no_such_key": 1})
        kinds = {(str(e["loc"][0]), e["type"]) for e in caught[0].errors() if e["loc"]}
        assert ("no_such_key", "extra_forbidden") in kinds, (
            f"{cls.__name__}.Params fails, but not because of the unknown key: {caught[0]}"
        )

    def test_params_are_valid_and_plain(self) -> None:
        """Parameters, the defaults too, pass their own checks and survive being written in a recipe."""
        component = self.make()
        cls = type(component)
        assert isinstance(component.params, cls.Params), (
            f"make() gave parameters of type {type(component.params).__name__}, not {cls.__name__}.Params"
        )
        sets = [component.params]
        with suppress(ValidationError):  # some have to be given
            sets.append(cls.Params())
        for params in sets:
            written = params.model_dump(mode="json")
            with works(f"{cls.__name__}.Params takes the values that it holds itself"):
                read = cls.Params.model_validate(written)
            assert read == params, f"{cls.__name__}.Params written in a recipe and read again: {read}"

    def test_constructor_only_stores(self) -> None:
        """The constructor takes parameters and a device and does no work: it reads no file."""
        component = self.make()
        cls = type(component)
        with files_opened() as files:
            built = cls(component.params, "cpu")
        assert built.params is component.params, f"{cls.__name__}(params).params is not what it was given"
        assert built.device == "cpu", f"{cls.__name__}(params, 'cpu').device is {built.device!r}"
        assert not files, (
            f"the constructor of {cls.__name__} opens {sorted(map(str, files))}; a component reads files "
            "when it is used"
        )

    def test_constructor_needs_none_of_its_files(self) -> None:
        """A component can be built where the files that its parameters name are not there yet."""
        component = self.make()
        cls = type(component)
        absent = {
            name: Path("no", "such", "place", value.name)
            for name in cls.Params.model_fields
            if isinstance(value := getattr(component.params, name), Path)
        }
        with works(f"{cls.__name__} can be built without its files, which it reads when it is used"):
            cls(component.params.model_copy(update=absent), "cpu")

    def test_constructor_is_cheap(self) -> None:
        """Building a component takes no time worth mention: recipes build what they check."""
        component = self.make()
        times = []
        for _ in range(3):
            start = time.thread_time()
            type(component)(component.params, "cpu")
            times.append(time.thread_time() - start)
        assert min(times) < _CHEAP, (
            f"the constructor of {type(component).__name__} takes {min(times):.2f} s; what is slow happens "
            "when the component is used"
        )
