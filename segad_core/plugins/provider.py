"""A plugin as the metadata of its distribution describe it."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import EntryPoint

from segad_core.base.distribution_code import own_version
from segad_core.base.text import reason
from segad_core.errors import PluginError
from segad_core.plugins.importing import imported


@dataclass(frozen=True)
class Provider:
    """A plugin as the metadata of its distribution describe it; known without importing it.

    Attributes:
        unmet: the versions of segad that its distribution needs, if this is none of them.
        damaged: what is wrong with its distribution's metadata, and where, if they are damaged.
    """

    kind: str
    name: str
    distribution: str
    version: str
    target: str
    unmet: str = ""
    damaged: str = ""

    @property
    def qualified(self) -> str:
        """`distribution:name`, which is unambiguous."""
        return f"{self.distribution}:{self.name}"

    @property
    def described(self) -> str:
        """The plugin in a sentence: `detector 'tiny' (segad-tiny 0.1)`."""
        return f"{singular(self.kind)} '{self.name}' ({self.distribution} {self.version})"

    @property
    def blamed(self) -> str:
        """The plugin as the subject of an error: `detectors: the plugin 'tiny' of segad-tiny 0.1`."""
        return f"{self.kind}: the plugin '{self.name}' of {self.distribution} {self.version}"

    def __str__(self) -> str:
        return f"{self.name} ({self.distribution} {self.version})"

    def plain(self) -> dict[str, str]:
        """Which plugin it is, as plain data."""
        return {
            "kind": self.kind,
            "name": self.name,
            "distribution": self.distribution,
            "version": self.version,
        }

    def load(self) -> object:
        """Imports the object that the entry point names.

        Raises:
            PluginError: the import fails; the message names the distribution and the reason.
        """
        if self.damaged:
            raise PluginError(
                f"{self.blamed} cannot be used: {self.damaged}", f"Install {self.distribution} again."
            )
        if self.unmet:
            raise PluginError(
                f"{self.blamed} needs {self.unmet}, and this is segad {own_version()}",
                f"Install versions of segad and {self.distribution} that fit each other.",
            )
        try:
            return imported(EntryPoint(self.name, self.target, f"segad.{self.kind}"))
        except (KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as error:  # SystemExit, and what compiled code raises, such as a panic of Rust
            raise PluginError(
                f"{self.blamed} cannot be imported with segad {own_version()}: {reason(error)}",
                f"Repair or uninstall {self.distribution}, or remove the plugin from the recipe.",
            ) from error


def singular(kind: str) -> str:
    """A kind in a sentence: `final classifier`."""
    return kind.removesuffix("s").replace("_", " ")
