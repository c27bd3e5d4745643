"""Versions: each artifact says under which it was made, and reading them costs its manifest alone."""

from __future__ import annotations

import json
import sys
import threading
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

from segad_core.base import locks
from segad_core.base.versions import current_versions
from segad_core.store import store as module
from segad_core.store.arrays import kept
from segad_core.store.store import Store

KEY = "ab" + 62 * "0"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def manifest(store: Store) -> Path:
    return store.root / "objects" / KEY[:2] / KEY / "manifest.json"


def test_an_artifact_has_the_versions_that_decide_it(store: Store) -> None:
    assert store.versions(KEY) is None
    store.put(KEY, "fit", {"a": b"1"}, {"their-plugin": "2.3"})
    found = store.versions(KEY)
    assert found is not None
    assert found["their-plugin"] == "2.3"
    assert found["numpy"] == np.__version__
    assert found["segad"] == version("segad")
    assert found["python"] == ".".join(sys.version.split(".")[:2])
    assert store.get(KEY) == {"a": b"1"}


def test_what_was_not_loaded_decided_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xgboost", object())
    assert current_versions()["xgboost"] == version("xgboost")
    monkeypatch.delitem(sys.modules, "xgboost")
    assert "xgboost" not in current_versions()


def test_they_are_those_of_the_making_not_of_the_reading(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(module, "current_versions", lambda: {"xgboost": "1.0"})
        kept(store, KEY, "artifact", lambda: {"a": np.zeros(1)}, {"their-plugin": "2.3"})
    kept(store, KEY, "artifact", lambda: {"a": np.ones(1)})
    assert store.versions(KEY) == {"xgboost": "1.0", "their-plugin": "2.3"}


def test_an_artifact_of_an_older_store_has_none(store: Store) -> None:
    store.put(KEY, "fit", {"a": b"1"})
    plain = json.loads(manifest(store).read_text())
    del plain["versions"]
    manifest(store).write_text(json.dumps(plain))
    assert store.versions(KEY) == {}
    assert store.get(KEY) == {"a": b"1"}


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b'{"versions": []}', b"\xff"])
def test_a_damaged_manifest_has_none_to_tell(store: Store, data: bytes) -> None:
    store.put(KEY, "fit", {"a": b"1"})
    manifest(store).write_bytes(data)
    assert store.versions(KEY) is None


def test_waiting_for_an_artifact_says_for_which(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(locks, "NOTICE", 0.05)
    begun, end = threading.Event(), threading.Event()

    def hold() -> None:
        with store.lock(KEY):
            begun.set()
            end.wait(20)

    holder = threading.Thread(target=hold)
    holder.start()
    begun.wait(20)
    threading.Timer(0.5, end.set).start()
    kept(store, KEY, "image artifact", lambda: {"a": np.zeros(1)})
    holder.join()
    (message,) = caplog.messages
    assert f"the image artifact {KEY}" in message
    assert str(store.root / "locks" / f"{KEY}.lock") in message
