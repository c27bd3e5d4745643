"""Every reader withstands the corpus, and a fixed number of damages to it."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from fuzz_targets import TARGETS, FoundError, Target, attempt, corpus
from light_bundle import install
from mutations import mutated

from segad_core.errors import ImageError

COUNTS = {"bundle": 60, "member": 60}
"""Damages for each target; 150 where nothing is said."""


@pytest.fixture(autouse=True)
def _fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)


@pytest.mark.filterwarnings("ignore")  # Pillow's, of damaged files
@pytest.mark.parametrize("name", TARGETS)
def test_a_reader_withstands(name: str, tmp_path: Path) -> None:
    target, known = TARGETS[name], corpus(name)
    inputs = list(known)
    for number in range(COUNTS.get(name, 150)):
        rng = random.Random(f"0 {name} {number}")
        inputs.append(mutated(rng.choice(known), known, target.tokens, rng))
    found = [attempt(target, data, tmp_path) for data in inputs]
    target.check([data for data in found if data is not None])


@pytest.mark.parametrize("name", TARGETS)
def test_sound_inputs_are_read(name: str, tmp_path: Path) -> None:
    """Otherwise all the damages would be refused for something else."""
    for file, data in TARGETS[name].seeds().items():
        if file != "pages.tif" and name != "camera":
            TARGETS[name].read(data, tmp_path)


def _raise(error: Exception) -> Target:
    def read(data: bytes, folder: Path) -> None:
        raise error

    return Target(dict, read, (ImageError,))


def test_other_errors_are_found(tmp_path: Path) -> None:
    attempt(_raise(ImageError("a.png: is damaged", "Restore it.")), b"", tmp_path)
    for error in (IndexError("list index out of range"), ImageError("")):
        with pytest.raises(FoundError):
            attempt(_raise(error), b"", tmp_path)


def test_damages_are_repeatable_and_differ() -> None:
    made = [mutated(b"0123456789" * 9, [b"ab"], [b"<<:"], random.Random(f"{n}")) for n in range(200)]
    assert made == [mutated(b"0123456789" * 9, [b"ab"], [b"<<:"], random.Random(f"{n}")) for n in range(200)]
    assert len(set(made)) > 150
