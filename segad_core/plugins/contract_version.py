"""The version of the contract that a plugin is written for, compared with those that this segad supports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segad_core.base.distribution_code import OWN, own_version
from segad_core.base.text import listed
from segad_core.contracts import KINDS
from segad_core.contracts.versions import ENDING, declared_version, is_version

if TYPE_CHECKING:
    from segad_core.plugins.registry import Provider


def written_for(provider: Provider, loaded: object) -> int | None:
    """The version of the contract that a plugin is written for; None if it says none that could be.

    Segad's own plugins are written for the current version.
    """
    contract = KINDS[provider.kind]
    if provider.distribution == OWN or not (isinstance(loaded, type) and issubclass(loaded, contract)):
        return contract.contract
    said = declared_version(loaded)
    return said if is_version(said) else None


def invalid_version(provider: Provider, loaded: type) -> str:
    """What is wrong with the version that a plugin's class declares; empty if nothing is."""
    if written_for(provider, loaded) is not None:
        return ""
    said = declared_version(loaded)
    shown = said if type(said) is int else f"a {type(said).__name__}"
    return (
        f"{loaded.__name__}.contract is {shown}, not the version of the contract that it is written for: "
        "a whole number from 1"
    )


def unsupported(provider: Provider, loaded: object) -> str:
    """Why this segad cannot use a plugin that is written for another version; empty if it can."""
    kind, version = provider.kind, written_for(provider, loaded)
    known = sorted([*ENDING.get(kind, {}), KINDS[kind].contract])
    if version is None or version in known:
        return ""
    return (
        f"is written for version {version} of the contract of {kind}, and segad "
        f"{own_version()} supports {_versions(known)}"
    )


def remedy(provider: Provider, loaded: object) -> str:
    """What to do about it."""
    version = written_for(provider, loaded)
    newer = version is not None and version > KINDS[provider.kind].contract
    first, other = ("segad", provider.distribution) if newer else (provider.distribution, "segad")
    return f"Upgrade {first}, or install a version of {other} that fits."


def ending(provider: Provider, loaded: object) -> str:
    """That the version that a plugin is written for will not be supported much longer; empty if it will."""
    kind, version = provider.kind, written_for(provider, loaded)
    release = ENDING.get(kind, {}).get(version or 0)
    if release is None:
        return ""
    return (
        f"is written for version {version} of the contract of {kind}, which segad {release} will not "
        f"support: the current version is {KINDS[kind].contract}"
    )


def _versions(known: list[int]) -> str:
    return f"version{'s' if len(known) > 1 else ''} {listed([str(one) for one in known])}"
