"""What distributions require of segad."""

from __future__ import annotations

from importlib.metadata import Distribution

from segad_core.base.distribution_code import OWN, own_version


def canonical(distribution: str) -> str:
    """A distribution's name in the normalised form of PEP 503."""
    from packaging.utils import canonicalize_name

    return str(canonicalize_name(distribution))


def unmet_by_segad(dist: Distribution) -> str:
    """The versions of segad that a distribution needs, such as `segad>=9`; empty if this is one of them."""
    if dist.name == OWN:
        return ""
    from packaging.requirements import InvalidRequirement, Requirement

    for text in dist.requires or ():
        try:
            needed = Requirement(text)
        except InvalidRequirement:
            continue  # what pip makes of it is not for segad to say
        if canonical(needed.name) != OWN or (needed.marker and not needed.marker.evaluate({"extra": ""})):
            continue
        if not needed.specifier.contains(own_version(), prereleases=True):
            return f"{needed.name}{needed.specifier}"
    return ""
