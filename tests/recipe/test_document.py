"""YAML as segad reads it: lines, overrides, variables, limits."""

from pathlib import Path

import pytest

from segad_core.errors import RecipeError, UsageError
from segad_core.recipe.document import MAX_NODES, Document, dotted, read_document


def _read(tmp_path: Path, text: str, *overrides: str) -> Document:
    path = tmp_path / "r.yaml"
    path.write_text(text)
    return read_document(path, "r.yaml", overrides)


def test_every_value_knows_its_line(tmp_path: Path) -> None:
    document = _read(tmp_path, "a: 1\nb:\n  c: [x,\n      y]\n  d: {e: 2}\n")
    assert document.data == {"a": 1, "b": {"c": ["x", "y"], "d": {"e": 2}}}
    assert document.lines[("b", "c", 1)] == 4
    assert document.problem(("b", "d", "e"), "is odd") == "r.yaml:5: b.d.e: is odd"
    assert document.problem(("b", "d", "zz"), "is absent").startswith("r.yaml:5: b.d.zz:")
    assert dotted(("rows", 0, "name")) == "rows[0].name"


def test_overrides_replace_add_and_reach_into_lists_and_shorthands(tmp_path: Path) -> None:
    document = _read(
        tmp_path,
        "a: {b: 1}\nl: [{n: 1}, {n: 2}]\nshort: name\n",
        "a.b=[1, 2.5, x]",
        "l.1.n=7",
        "new.deep=true",
        "short.params.k=1e-3",
        "gone=null",
    )
    assert document.data == {
        "a": {"b": [1, 2.5, "x"]},
        "l": [{"n": 1}, {"n": 7}],
        "new": {"deep": True},
        "short": {"use": "name", "params": {"k": "1e-3"}},
        "gone": None,
    }
    assert document.problem(("l", 1, "n"), "is odd") == "--set l.1.n=7: is odd"


@pytest.mark.parametrize("short", ["true", "false", "null", "{good: 0.5}"])
def test_an_override_reaches_into_what_true_is_short_for(tmp_path: Path, short: str) -> None:
    document = _read(tmp_path, f"regions: {short}", "regions.good=0.9")
    assert document.data == {"regions": {"good": 0.9}}
    assert "regions.good=0.9" in document.problem(("regions",), "") or short.startswith("{")


@pytest.mark.parametrize("word", ["a", "=1", "a..b=1", "l.5=1", "a.b.c.d=1", "a=[1"])
def test_overrides_that_cannot_be(tmp_path: Path, word: str) -> None:
    with pytest.raises(UsageError, match="--set"):
        _read(tmp_path, "a: {b: 1}\nl: [1]\n", word)


def test_variables_are_put_in_and_must_be_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGAD_TEST_ROOT", "/data")
    assert _read(tmp_path, "a: ${SEGAD_TEST_ROOT}/x\n").data == {"a": "/data/x"}
    monkeypatch.delenv("SEGAD_TEST_ROOT")
    with pytest.raises(
        RecipeError, match=r"r.yaml:1: a: the environment variable SEGAD_TEST_ROOT is not set"
    ):
        _read(tmp_path, "a: ${SEGAD_TEST_ROOT}/x\n")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: 1\na: 2\n", "r.yaml:2: a: is listed twice"),
        ("a: {b: 1,\n b: 2}\n", "r.yaml:2: a.b: is listed twice"),
        ("a: [1\nb: 2\n", "is not valid YAML"),
        ("- 1\n", "a recipe must be a mapping"),
        ("", "a recipe must be a mapping"),
        ("1: x\n", "the key '1' must be a string"),
        ("yes: x\n", "the key 'yes' must be a string"),
        ("a: !!python/object:os.system x\n", "is not a valid value"),
    ],
)
def test_what_a_recipe_may_not_hold(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(RecipeError) as caught:
        _read(tmp_path, text)
    assert words in str(caught.value)


def test_an_alias_bomb_ends_at_the_limit(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    with pytest.raises(RecipeError, match=f"a recipe can have {MAX_NODES} values"):
        _read(tmp_path, "\n".join(lines))


def test_deep_nesting_ends_at_the_limit(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="nested"):
        _read(tmp_path, "a: " + "[" * 5000 + "]" * 5000)


def test_an_override_makes_a_variable_needless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SEGAD_TEST_ROOT", raising=False)
    monkeypatch.setenv("SEGAD_TEST_OTHER", "there")
    path = tmp_path / "r.yaml"
    path.write_text("a: {b: '${SEGAD_TEST_ROOT}/x', c: 1}\n")
    assert read_document(path, "r.yaml", ["a.b=/data"]).data == {"a": {"b": "/data", "c": 1}}
    assert read_document(path, "r.yaml", ["a=2"]).data == {"a": 2}
    assert read_document(path, "r.yaml", ["a.b='${SEGAD_TEST_OTHER}/y'"]).data["a"]["b"] == "there/y"
    with pytest.raises(RecipeError, match=r"r\.yaml:1: a\.b: the environment variable SEGAD_TEST_ROOT"):
        read_document(path, "r.yaml", ["a.c=3"])


def test_an_empty_variable_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path that begins with it would lead somewhere else."""
    monkeypatch.setenv("SEGAD_TEST_ROOT", "")
    path = tmp_path / "r.yaml"
    path.write_text("a: ${SEGAD_TEST_ROOT}\n")
    with pytest.raises(RecipeError, match="the environment variable SEGAD_TEST_ROOT is empty: export"):
        read_document(path, "r.yaml")
