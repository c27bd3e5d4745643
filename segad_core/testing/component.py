"""The clauses that hold for plugins of every kind."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from pydantic import ValidationError

from segad_core.contracts import Component, Parameters, optional
from segad_core.contracts.component import SUPER_INIT
from segad_core.contracts.versions import declared_version, is_version
from segad_core.errors import SegadError
from segad_core.testing.checks import is_sentences, refused, works
from segad_core.testing.expected import expect, makes_or_fails
from segad_core.testing.files_opened import files_opened

_CHEAP = 0.05  # seconds of processor time; storing two values takes a millionth of that


class ComponentSuite:
    """The clauses that all kinds share. The suite of each kind derives from this one.

    Attributes:
        expected_failures: clauses that the plugin violates, by name, each with the reason. One that passes is
            a failure.
    """

    expected_failures: ClassVar[Mapping[str, str]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        expect(cls, cls.expected_failures)
        makes_or_fails(cls)

    def make(self) -> Component:
        """The plugin under test: a new instance at each call, always with the same parameters."""
        raise NotImplementedError(f"{type(self).__name__} must define make(), which returns a new plugin")

    def test_docstring_begins_with_a_line_of_its_own(self) -> None:
        """The first line of the docstring is complete by itself, as `list-plugins` shows no more."""
        cls = type(self.make())
        lines = (cls.__doc__ or "").strip().splitlines()
        assert lines, f"{cls.__name__} has no docstring, whose first line list-plugins shows"
        assert len(lines) == 1 or not lines[1].strip(), (
            f"the summary of {cls.__name__} continues in the second line of its docstring "
            f"('{lines[1].strip()}'), which list-plugins does not show: write one line, then a blank one"
        )

    def test_params_refuse_unknown_keys(self) -> None:
        """`Params` derives from `Parameters`, and rejects unknown keys."""
        component = self.make()
        cls = type(component)
        assert isinstance(cls.Params, type) and issubclass(cls.Params, Parameters), (
            f"{cls.__name__}.Params must derive from segad_core.api.Parameters"
        )
        given = {name: getattr(component.params, name) for name in cls.Params.model_fields}
        with refused(
            f"{cls.__name__}.Params accepts the unknown key 'no_such_key'", ValidationError
        ) as caught:
            cls.Params.model_validate({**given, "no_such_key": 1})
        kinds = {(str(e["loc"][0]), e["type"]) for e in caught[0].errors() if e["loc"]}
        assert ("no_such_key", "extra_forbidden") in kinds, (
            f"{cls.__name__}.Params raises an error, but not because of the unknown key: {caught[0]}"
        )

    def test_params_are_valid_and_plain(self) -> None:
        """Parameters, defaults included, are valid, and unchanged when written to a recipe and read again."""
        component = self.make()
        cls = type(component)
        assert isinstance(component.params, cls.Params), (
            f"make() uses parameters of type {type(component.params).__name__}, not {cls.__name__}.Params"
        )
        sets = [component.params]
        with suppress(ValidationError):  # some parameters may be required
            sets.append(cls.Params())
        for params in sets:
            written = params.model_dump(mode="json")
            with works(f"{cls.__name__}.Params accepts its own values"):
                read = cls.Params.model_validate(written)
            assert read == params, f"{cls.__name__}.Params written to a recipe and read again is {read}"

    def test_constructor_only_stores(self) -> None:
        """The constructor stores parameters and device, and opens no file."""
        component = self.make()
        cls = type(component)
        assert hasattr(component, "params"), (
            f"the constructor of {cls.__name__} leaves params unset: {SUPER_INIT}"
        )
        with files_opened() as files:
            built = cls(component.params, "cpu")
        assert built.params is component.params, f"{cls.__name__}(params).params is not params"
        assert built.device == "cpu", f"{cls.__name__}(params, 'cpu').device is {built.device!r}"
        assert not files, (
            f"the constructor of {cls.__name__} opens {sorted(map(str, files))}: open files when "
            "the component is used"
        )

    def test_constructor_needs_none_of_its_files(self) -> None:
        """A component can be constructed before the files that its parameters name exist."""
        component = self.make()
        cls = type(component)
        absent = {
            name: Path("no", "such", "place", value.name)
            for name in cls.Params.model_fields
            if isinstance(value := getattr(component.params, name), Path)
        }
        with works(f"{cls.__name__} can be constructed without its files, which it needs when it is used"):
            cls(component.params.model_copy(update=absent), "cpu")

    def test_constructor_is_cheap(self) -> None:
        """The constructor is fast, as checking a recipe constructs every component."""
        component = self.make()
        times = []
        for _ in range(3):
            start = time.thread_time()
            type(component)(component.params, "cpu")
            times.append(time.thread_time() - start)
        assert min(times) < _CHEAP, (
            f"the constructor of {type(component).__name__} takes {min(times):.2f} s: do slow work when the "
            "component is used"
        )

    def test_optional_answers_are_well_formed(self) -> None:
        """`notes`, `plain_file`, `knows_images_by_name` and `contract`, if defined, are well formed."""
        component = self.make()
        version = declared_version(type(component))
        assert is_version(version), f"contract is {version!r}, not a version: a whole number from 1"
        is_sentences(optional.notes(component), "notes()")
        by_name = getattr(component, "knows_images_by_name", False)
        assert isinstance(by_name, bool), f"knows_images_by_name is {by_name!r}, not True or False"
        files = [getattr(component.params, name) for name in type(component).Params.model_fields]
        for path in (file for file in files if isinstance(file, Path) and file.is_file()):
            with suppress(SegadError):  # the file may be of no use
                suffix, content = optional.plain_file(component, path)
                assert isinstance(suffix, str) and (not suffix or suffix.startswith(".")), (
                    f"plain_file() returns the suffix {suffix!r}, which does not begin with a dot"
                )
                assert isinstance(content, bytes | Path), (
                    f"plain_file() returns a {type(content).__name__}, not bytes or a path"
                )
