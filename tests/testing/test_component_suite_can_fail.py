"""Each clause for plugins of every kind fails for a plugin that violates it, and passes sound ones."""

import time

import pytest
from pydantic import ConfigDict, Field

from segad_core.contracts import Component, InputFile, Parameters
from segad_core.errors import PluginError
from segad_core.testing import ComponentSuite


class Sound(Component):
    """Does nothing.

    And says more here.
    """

    class Params(Parameters):
        file: InputFile | None = None
        amount: int = 3


class NoDocstring(Sound):
    pass


class WrappedDocstring(Sound):
    """Does nothing, and needs
    two lines to say so."""


class LooseParams(Sound):
    """Takes any key."""

    class Params(Parameters):
        model_config = ConfigDict(extra="ignore")


class ForeignParams(Sound):
    """Has parameters of its own kind."""

    class Params:
        model_fields = ()


class BadDefault(Sound):
    """Has a default that its own check refuses."""

    class Params(Parameters):
        amount: int = Field(0, ge=1)


class ForgetsDevice(Sound):
    """Drops what it is told."""

    def __init__(self, params=None, device="cpu"):
        super().__init__(params)
        self.device = "cuda"


class ReadsAtOnce(Sound):
    """Reads its file in the constructor."""

    def __init__(self, params=None, device="cpu"):
        super().__init__(params, device)
        self.data = self.params.file.read_bytes()


class ChecksAtOnce(Sound):
    """Looks for its file in the constructor."""

    def __init__(self, params=None, device="cpu"):
        super().__init__(params, device)
        if not self.params.file.is_file():
            raise PluginError("no file")


class Talks(Sound):
    """Has notes, a plain file, and knows images by name."""

    knows_images_by_name = True

    def notes(self):
        return ["Mind it."]

    def plain_file(self, path):
        return ".npy", path.read_bytes()


class OneNote(Sound):
    """Has one note instead of a sequence of notes."""

    def notes(self):
        return "Mind it."


class EmptyNote(Sound):
    """Has a note without words."""

    def notes(self):
        return ["Mind it.", ""]


class Unsure(Sound):
    """Does not know how it knows images."""

    knows_images_by_name = None


class WrongContract(Sound):
    """Says a text where a number belongs."""

    contract = "1"


class Arrays(Sound):
    """Returns a plain file as something else than its content."""

    def plain_file(self, path):
        return ".npy", [1, 2]


class BareSuffix(Sound):
    """Forgets the dot of a suffix."""

    def plain_file(self, path):
        return "npy", path


class NoUse(Sound):
    """Rejects the file."""

    def plain_file(self, path):
        raise PluginError("not weights")


class Slow(Sound):
    """Works in the constructor."""

    def __init__(self, params=None, device="cpu"):
        super().__init__(params, device)
        start = time.thread_time()
        while time.thread_time() - start < 0.1:
            pass


@pytest.mark.parametrize(
    ("plugin", "expected"),
    [
        (Sound, ""),
        (NoDocstring, "test_docstring_begins_with_a_line_of_its_own"),
        (WrappedDocstring, "test_docstring_begins_with_a_line_of_its_own"),
        (LooseParams, "test_params_refuse_unknown_keys"),
        (ForeignParams, "test_params_refuse_unknown_keys test_constructor_needs_none_of_its_files"),
        (BadDefault, "test_params_are_valid_and_plain"),
        (ForgetsDevice, "test_constructor_only_stores"),
        (ReadsAtOnce, "test_constructor_only_stores test_constructor_needs_none_of_its_files"),
        (ChecksAtOnce, "test_constructor_needs_none_of_its_files"),
        (Slow, "test_constructor_is_cheap"),
        (Talks, ""),
        (NoUse, ""),
        (OneNote, "test_optional_answers_are_well_formed"),
        (EmptyNote, "test_optional_answers_are_well_formed"),
        (Unsure, "test_optional_answers_are_well_formed"),
        (WrongContract, "test_optional_answers_are_well_formed"),
        (Arrays, "test_optional_answers_are_well_formed"),
        (BareSuffix, "test_optional_answers_are_well_formed"),
    ],
)
def test_component(check, plugin, expected, tmp_path):
    (tmp_path / "weights.bin").write_bytes(b"1")
    has_file = "file" in plugin.Params.model_fields
    given = plugin.Params(file=tmp_path / "weights.bin") if has_file else None
    check(ComponentSuite, lambda: plugin(given), expected)
