"""The plugins' estimates: their formulas are part of no key in the store."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

import segad_plugins
from segad_core.base import code_digest
from segad_core.contracts import KINDS
from segad_core.plugins.registry import Registry

ESTIMATED = {
    *("fastflow", "rd4ad", "patchcore", "efficientad"),
    *("wide_resnet", "devnet", "dra", "linear_probe"),
    "clusters",
    *("brf", "bt", "rf", "logistic", "blend"),
}
FORMULAS = sorted(
    module.name
    for module in pkgutil.walk_packages(segad_plugins.__path__, "segad_plugins.")
    if "estimate" in module.name
)


def test_plugins_that_train_have_estimates() -> None:
    providers = [p for kind in KINDS for p in Registry(third_parties=False).providers(kind)]
    has = {p.name for p in providers if hasattr(Registry().component(p), "estimate")}
    assert has == ESTIMATED


def test_no_key_holds_a_formula(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(FORMULAS) == 5
    read: set[str] = set()
    source = code_digest._source

    def noting(name: str) -> bytes | None:
        read.add(name)
        return source(name)

    monkeypatch.setattr(code_digest, "_source", noting)
    for kind in KINDS:
        for provider in Registry(third_parties=False).providers(kind):
            code_digest.code_digest(Registry().component(provider))
    assert "segad_plugins.torch_tools" in read
    assert not read.intersection(FORMULAS)
    for name in FORMULAS:
        importlib.import_module(name)
