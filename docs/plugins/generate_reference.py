"""Writes the reference for authors of plugins, from contracts and parameters: docs/plugins/reference.

    python docs/plugins/generate_reference.py

A test compares the pages with what this writes, and fails where something that is public has no description.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from segad_core import api, testing
from segad_core.contracts import KINDS
from segad_core.plugins.registry import Provider, Registry
from segad_core.tools.attribute_docs import attribute_docs, constant_doc
from segad_core.tools.plugin_page import default_words, plugin_page

FOLDER = Path(__file__).with_name("reference")

BY_ENGINE = {"ImageBatch": {"witness", "ignoring", "seen_as", "cut"}}
"""Members that only the engine uses, and that are not promised."""

_SAID_ELSEWHERE = ("Params", "model_config")

PUBLIC = {*api.__all__, *testing.__all__}

ANSWERED_BY: dict[str, Sequence[str]] = {
    "HasNotes": [*KINDS],
    "HasPlainFiles": [*KINDS],
    "KnowsImagesByName": ["detectors", "classifiers", "segmenters"],
    "Trains": ["detectors"],
    "ReadsOptionalLayers": ["detectors", "classifiers", "segmenters"],
    "KnowsOutputs": ["classifiers"],
    "NeedsUnseenScores": ["final_classifiers"],
    "HasEstimate": ["detectors", "classifiers"],
    "HasFinalEstimate": ["final_classifiers"],
    "HasGraph": ["encoders", "detectors", "classifiers"],
    "HasExportedFiles": ["final_classifiers"],
    "RunsGraphs": ["encoders", "detectors", "classifiers"],
    "SupportsPrecision": ["encoders", "detectors", "classifiers"],
    "HasDownload": ["encoders"],
    "HasSizeCheck": ["encoders"],
    "HasPublishedCategories": ["datasets"],
    "HasPublishedCounts": ["datasets"],
    "HasBadSubsets": ["datasets"],
    "HasContradictions": ["datasets"],
    "HasUnread": ["datasets"],
    "FindsPartsInPaths": ["datasets"],
}
"""The kinds that each optional question is asked of."""

SHARED = {
    "common": ("What all kinds share", ("Contracts", "Parameters")),
    "optional": ("Optional methods", ("Optional knowledge of plugins",)),
    "given": ("What plugins are given and return", ("What plugins are given and return",)),
    "helpers": ("Errors and helpers", ("Errors", "Helpers for files", "Other helpers")),
}
"""Pages beside those of the kinds: title, and the groups of names in the docstring of `segad_core.api`."""

_ENTRY = re.compile(r"([*\w.`, |\[\]]+): (.*)", re.DOTALL)
_SECTION = re.compile(r"^(Args|Attributes|Raises|Returns|Yields):$")
_NOTE = "<!-- Written by docs/plugins/generate_reference.py: change the docstrings, and run it again. -->"

Undocumented = list[str]


def pages(undocumented: Undocumented | None = None) -> dict[str, str]:
    """The text of each page, by its file's name.

    Args:
        undocumented: gets the names of what has no description.
    """
    missing = undocumented if undocumented is not None else []
    places = {name: page for page, names in _names().items() for name in names}
    texts = {}
    for page, names in _names().items():
        blocks = _kind_page(page, names, missing) if page in KINDS else _shared_page(page, names, missing)
        texts[f"{page}.md"] = "\n\n".join([_NOTE, *blocks]) + "\n"
    texts["README.md"] = "\n\n".join([_NOTE, *_index(places)]) + "\n"
    return texts


def _names() -> dict[str, list[str]]:
    """The public names on each page."""
    found: dict[str, list[str]] = {kind: [] for kind in KINDS}
    found |= {page: [] for page in SHARED} | {"testing": [*testing.__all__]}
    groups = {group: page for page, (_, groups) in SHARED.items() for group in groups}
    for bullet in re.findall(r"^- (.*?)(?=^- |\n\n)", api.__doc__ or "", re.M | re.S):
        page = groups[re.split("[,:]", bullet)[0]]
        for name in re.findall(r"`(\w+)`", bullet):
            value = getattr(api, name)
            kinds = [k for k, c in KINDS.items() if isinstance(value, type) and issubclass(value, c)]
            hooks = "hooks" if name in ("Observer", "hookimpl") else page
            found[kinds[0] if kinds else hooks].append(name)
    return found


def _index(places: Mapping[str, str]) -> Iterator[str]:
    yield "# Reference for authors of plugins"
    yield (
        "Everything that a plugin may import: `segad_core.api`, and `segad_core.testing` for tests. "
        "[What is promised](../versions.md) of it. [Pages with examples](../index.md) show how to write "
        "plugins."
    )
    kinds = [f"| [`segad.{kind}`]({kind}.md) | {_first(contract)} |" for kind, contract in KINDS.items()]
    yield "\n".join(["| entry-point group | contract |", "| --- | --- |", *kinds])
    others = {page: title for page, (title, _) in SHARED.items()} | {"testing": "Conformance suites"}
    yield "\n".join(f"- [{title}]({page}.md)" for page, title in others.items())
    yield "## All names"
    lines = [f"| [`{name}`]({page}.md#{name.lower()}) | {_first_of(name)} |" for name, page in places.items()]
    yield "\n".join(["| name | what it is |", "| --- | --- |", *sorted(lines, key=str.lower)])


def _kind_page(kind: str, names: Sequence[str], missing: Undocumented) -> Iterator[str]:
    contract = KINDS[kind]
    yield f"# {_title(kind)}"
    yield markdown(inspect.getdoc(inspect.getmodule(contract)) or "")
    yield f"The entry-point group is `segad.{kind}`, the current version of the contract {contract.contract}."
    for name in names:
        yield from _described(name, getattr(api, name), missing)
    optional = [name for name, kinds in ANSWERED_BY.items() if kind in kinds]
    yield "## Optional methods"
    yield "\n".join(f"- [`{name}`](optional.md#{name.lower()}): {_first_of(name)}" for name in optional)
    if own := Registry(third_parties=False).providers(kind):
        yield f"## Built-in {_title(kind).lower()}"
        for provider in own:
            yield from _plugin(provider, missing)


def _plugin(provider: Provider, missing: Undocumented) -> Iterator[str]:
    page = plugin_page(provider, provider.name, Registry(third_parties=False).component(provider))
    yield f"### `{provider.name}`"
    yield markdown(page["about"])
    lines = ["| parameter | type | default | |", "| --- | --- | --- | --- |"]
    for one in page["parameters"]:
        default = "required" if one["required"] else f"`{default_words(one['default'])}`"
        if not one["description"]:
            missing.append(f"{provider.described}: parameter {one['name']}")
        lines.append(f"| `{one['name']}` | {_cell(one['type'])} | {default} | {_cell(one['description'])} |")
    yield "\n".join(lines) if page["parameters"] else "No parameters."
    if page["layers"]:
        yield f"Layers of the encoder that it reads by default: {', '.join(page['layers'])}."
    yield f"```yaml\n{page['recipe'].rstrip()}\n```"


def _shared_page(page: str, names: Sequence[str], missing: Undocumented) -> Iterator[str]:
    module = testing if page == "testing" else api
    yield f"# {SHARED[page][0] if page in SHARED else 'Conformance suites'}"
    if page == "testing":
        yield markdown(inspect.getdoc(testing) or "")
    for name in names:
        yield from _described(name, getattr(module, name), missing)
        if page == "optional":
            yield f"Asked of: {', '.join(ANSWERED_BY[name])}."


def _described(name: str, value: Any, missing: Undocumented) -> Iterator[str]:
    yield f"## `{name}`"
    if isinstance(value, type):
        yield from _class(name, value, missing)
    elif inspect.isfunction(value):
        yield f"`{_signature(name, value)}`"
        yield _said(name, value, missing)
    else:
        module = api if name in api.__all__ else testing
        if not (said := constant_doc(module, name)):
            missing.append(name)
        yield markdown(said)


def _class(name: str, cls: type, missing: Undocumented) -> Iterator[str]:
    bases = [one.__name__ for one in cls.__bases__ if one.__name__ in PUBLIC]
    if bases:
        yield f"Derives from {', '.join(f'`{one}`' for one in bases)}."
    said = _said(name, cls, missing)
    if _is_record(cls) or "**Args**" in said:
        yield f"`{_signature(name, cls)}`"
    yield "\n".join(line for line in said.splitlines() if _told(line).isdisjoint(BY_ENGINE.get(name, ())))
    documented, clauses = attribute_docs(cls), []
    for member, value in _members(name, cls):
        method = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
        if member.startswith("test_"):
            clauses.append(f"- `{member}`: {_cell(_said(f'{name}.{member}', method, missing))}")
        elif inspect.isfunction(method):
            yield f"### `{name}.{member}`"
            must = " (has to be defined)" if getattr(value, "__isabstractmethod__", False) else ""
            yield f"`{_signature(member, method, isinstance(value, property))}`{must}"
            yield _said(f"{name}.{member}", method, missing)
        elif member not in _told(said):
            if not documented.get(member):
                missing.append(f"{name}.{member}")
            yield f"### `{name}.{member}`"
            yield markdown(documented.get(member, ""))
    if clauses:
        yield "Its clauses, beside those that it derives from:" if bases else "Its clauses:"
        yield "\n".join(clauses)


def _members(name: str, cls: type) -> Iterator[tuple[str, Any]]:
    """What a class has that its public bases do not describe, with what its private bases have."""
    bases = [one for one in cls.__mro__[1:] if one.__module__.startswith("segad_core.")]
    private = [cls, *(one for one in bases if one.__name__ not in PUBLIC)]
    own: dict[str, Any] = {}
    for one in reversed(private):
        own |= {**dict.fromkeys(vars(one).get("__annotations__", ())), **vars(one)}
    inherited = [base for base in bases if base.__name__ in PUBLIC]
    for member, value in own.items():
        if member.startswith("_") or member in BY_ENGINE.get(name, ()) or member in _SAID_ELSEWHERE:
            continue
        undescribed = inspect.isroutine(value) and not value.__doc__
        changed = not inspect.isroutine(value) and not isinstance(value, property)
        if not ((undescribed or changed) and any(member in vars(base) for base in inherited)):
            yield member, value


def _told(text: str) -> set[str]:
    """The names that lists describe."""
    return set(re.findall(r"`(\w+)`", " ".join(re.findall(r"^- (`.*?`): ", text, re.M))))


def _said(name: str, value: Any, missing: Undocumented) -> str:
    """A docstring; notes those that lack something."""
    said = inspect.cleandoc(value.__doc__ or "")
    if not said or said.startswith(f"{name}("):  # a dataclass without one gets its signature
        missing.append(name)
        return ""
    text = markdown(said)
    given = re.search(r"\*\*Args\*\*\n\n((?:- .*(?:\n|$))+)", text)
    if given or _is_record(value):
        takes = {
            one for one in inspect.signature(value).parameters if one not in ("self", "cls") and one[0] != "_"
        }
        told = _told(given[1]) if given else takes & _told(text)
        missing += [f"{name}: argument {one}" for one in sorted(takes ^ told)]
    return text


def _is_record(value: Any) -> bool:
    """Whether something is a dataclass or a named tuple, whose fields are its arguments."""
    return hasattr(value, "__dataclass_fields__") or hasattr(value, "_fields")


def _signature(name: str, function: Callable[..., Any], is_property: bool = False) -> str:
    signature = inspect.signature(function)
    if is_property:
        return f"{name}: {_type(signature.return_annotation)}"
    words, keyword_only = [], False
    for one in signature.parameters.values():
        if one.name in ("self", "cls") or one.name.startswith("_"):
            continue
        if one.kind is one.KEYWORD_ONLY and not keyword_only:
            words, keyword_only = [*words, "*"], True
        stars = {one.VAR_POSITIONAL: "*", one.VAR_KEYWORD: "**"}.get(one.kind, "")
        keyword_only = keyword_only or stars == "*"
        hint = "" if one.annotation is one.empty else f": {_type(one.annotation)}"
        default = (
            "" if one.default is one.empty else f" = {getattr(one.default, '__name__', repr(one.default))}"
        )
        words.append(f"{stars}{one.name}{hint}{default}")
    result = signature.return_annotation
    returns = "" if result is signature.empty or isinstance(function, type) else f" -> {_type(result)}"
    return f"{name}({', '.join(words)}){returns}"


def _type(annotation: Any) -> str:
    named = getattr(annotation, "__forward_arg__", annotation)  # of a named tuple
    return named if isinstance(named, str) else inspect.formatannotation(named)


def markdown(docstring: str) -> str:
    """A docstring as Markdown: sections become lists, and indented code becomes blocks."""
    blocks, lines = [], docstring.expandtabs().splitlines()
    while lines:
        first = lines.pop(0)
        inside = []
        if (section := _SECTION.match(first)) or first.startswith("    "):
            while lines and (not lines[0] or lines[0].startswith("    ")):
                inside.append(lines.pop(0))
        if section:
            blocks.append(_list(section[1], textwrap.dedent("\n".join(inside)).strip()))
        elif first.startswith("    "):
            blocks.append(_code(textwrap.dedent("\n".join([first, *inside])).strip()))
        else:
            blocks.append(first)
    return re.sub(r"\n{3,}(?!class |def |@)", "\n\n", "\n".join(blocks)).strip()


def _list(section: str, text: str) -> str:
    entries = re.split(r"\n(?! )", text)
    lines = []
    for entry in entries:
        entry = " ".join(entry.split())
        named = _ENTRY.fullmatch(entry) if section not in ("Returns", "Yields") else None
        names = [f"`{one.strip('` *')}`" for one in named[1].split(",")] if named else []
        lines.append(f"- {', '.join(names)}: {named[2]}" if named else f"- {entry}")
    if section in ("Returns", "Yields"):
        lines = [f"- {' '.join(text.split())}"]
    return f"\n**{section}**\n\n" + "\n".join(lines) + "\n"


def _code(text: str) -> str:
    try:
        ast.parse(text)
        language = "python"
    except SyntaxError:
        language = "text"
    spaced = re.sub(r"\n\n(?=class |def |@)", "\n\n\n", text.replace("'''", '"""'))  # as linters want it
    return f"```{language}\n{spaced}\n```\n"


def _title(kind: str) -> str:
    return {"datasets": "Data sets"}.get(kind, kind.replace("_", " ").capitalize())


def _first(value: Any) -> str:
    return _cell((inspect.cleandoc(value.__doc__ or "")).partition("\n\n")[0])


def _first_of(name: str) -> str:
    value = getattr(api if name in api.__all__ else testing, name)
    if isinstance(value, type) or inspect.isfunction(value):
        return _first(value)
    return _cell(constant_doc(api, name).partition("\n\n")[0])


def _cell(text: str) -> str:
    return re.sub("<(?=[a-z])", "&lt;", " ".join(text.split()).replace("|", r"\|"))


def write() -> list[str]:
    """Writes all pages; returns the names of what is undocumented."""
    missing: Undocumented = []
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages(missing).items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    return missing


if __name__ == "__main__":
    if undocumented := write():
        raise SystemExit("undocumented: " + "; ".join(undocumented))
