"""The page on security: its limits are those of the code, and the tests that it names exist."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
LIMITS = re.findall(r"^\| .* \| ([\d,]+)(?: (\S+))? \| `([\w.]+)` \|$", PAGE, re.M)
UNITS = {"": 1, "s": 1, "bytes": 1, "pixels": 1, "MiB": 1 << 20, "GiB": 1 << 30}


def test_every_limit_is_read() -> None:
    assert len(LIMITS) == PAGE.partition("## Limits")[2].count("\n| ") - 2 >= 20


@pytest.mark.parametrize(("number", "unit", "constant"), LIMITS)
def test_a_limit_is_that_of_the_code(number: str, unit: str, constant: str) -> None:
    module, _, name = constant.rpartition(".")
    value = getattr(importlib.import_module(module), name)
    assert int(number.replace(",", "")) * UNITS[unit] == value


@pytest.mark.parametrize("page", ["docs/security.md", "SECURITY.md", "README.md"])
def test_links_lead_to_files(page: str) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", (ROOT / page).read_text(encoding="utf-8"))
    assert links
    assert [link for link in links if not (ROOT / page).parent.joinpath(link).exists()] == []
