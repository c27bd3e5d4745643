"""Plain data from untrusted sources: strict models, printable strings, errors in one line."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints, ValidationError


class Strict(BaseModel):
    """A model without conversions, unknown keys or non-finite numbers."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("contains characters that cannot be printed")
    return text


Digest = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
Printable = Annotated[str, AfterValidator(printable)]
Text = Annotated[str, StringConstraints(max_length=1000), AfterValidator(printable)]


def first_of(error: ValidationError) -> str:
    """The first problem that pydantic found and its place, printable whatever the data."""
    first = error.errors(include_url=False, include_input=False)[0]
    return shown(f"at '{'.'.join(str(part)[:60] for part in first['loc'])}': {first['msg']}")


def shown(what: object) -> str:
    """The first line of an error or a value, shortened and printable."""
    line = (str(what).splitlines() or [""])[0][:300]
    return "".join(c if c.isprintable() else "?" for c in line)
