"""Plain data that others may have written: strict models, strings fit to be printed, errors in one line."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints, ValidationError


class Strict(BaseModel):
    """A model that converts nothing, takes no unknown key and no number that is not finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("holds what cannot be printed")
    return text


Digest = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
Printable = Annotated[str, AfterValidator(printable)]
Text = Annotated[str, StringConstraints(max_length=1000), AfterValidator(printable)]


def first_of(error: ValidationError) -> str:
    """Where and what the first thing is that pydantic found, fit to be printed whatever was in the data."""
    first = error.errors(include_url=False, include_input=False)[0]
    return shown(f"at '{'.'.join(str(part)[:60] for part in first['loc'])}': {first['msg']}")


def shown(what: object) -> str:
    """The first line of an error or a piece of it, fit to be printed whatever is in it."""
    line = (str(what).splitlines() or [""])[0][:300]
    return "".join(c if c.isprintable() else "?" for c in line)
