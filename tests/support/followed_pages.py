"""Pages of the documentation are followed: files are created, commands run, and their output compared."""

import re
import shlex

_FIGURE = re.compile(r"(\d+\.\d) (?:± \d+\.\d|\[\d+\.\d, \d+\.\d\])")
_POINTS = 8  # a pair of images in another order, as another machine may round
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def steps(text):
    """A page's files and commands, in order.

    A block of code is the content of the file that was named last; it is appended to the file if the
    paragraph before it begins with "Append". In a console block, lines that begin with `$` are commands, each
    followed by lines of its output, in which `...` stands for what differs from one run to another.
    """
    for block in _BLOCK.finditer(text):
        language, content = block.groups()
        before = text[: block.start()]
        if language == "console":
            for part in content.removeprefix("$ ").split("\n$ "):
                command, *output = part.splitlines()
                yield "command", command, output
        else:
            kind = "more" if before.rstrip().rpartition("\n")[2].startswith("Append") else "file"
            yield kind, re.findall(r"`([\w/]+\.\w+)`", before)[-1], content


def unfollowed(text):
    """What of a page is in blocks that `steps` does not see."""
    return _BLOCK.sub("", text).partition("```")[2]


def follow(page, house, install=None):
    """Does what a page says in the home of a house; returns what was done, by files and commands.

    Args:
        install: does what `pip install -e .` does; by default, pip.
    """
    done = []
    for kind, what, content in steps(page.read_text()):
        if kind != "command":
            path = house.home / what
            path.parent.mkdir(exist_ok=True)
            path.write_text((path.read_text() if kind == "more" else "") + content)
        elif what == "pip install -e ." and install:
            install()
        elif what == "pip install -e .":
            house.pip("install", "--no-build-isolation", "--no-index", "--no-deps", "-e", house.home)
        else:
            answer = _run(house, *shlex.split(what))
            fails = any(line.startswith("error:") for line in content)
            printed = answer.out + answer.err
            assert answer.code == (2 if fails else 0), f"{what}\n{printed}"
            shown = [_words(line) for line in printed.splitlines()]
            for line in content:
                assert any(_agree(_words(line), one) for one in shown), f"{what}\n{line}\n{printed}"
        done.append(what)
    return done


def _run(house, program, *arguments):
    if program == "python":  # of a script
        return house.process(*arguments)
    if program == "pytest":  # without this environment's plugins, which take a second to import
        return house.run("-m", "pytest", *arguments, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
    return house.run("-m", {"segad": "segad_core.cli"}[program], *arguments)


def _agree(line, shown):
    """Whether a line of the page is what was shown; figures of a table may differ by some points."""
    shown = re.sub(r" \(importing it takes [\d.]+ s\)", "", shown)  # on a busy machine
    pattern = re.escape(_FIGURE.sub("#", line)).replace(re.escape("..."), ".*")
    pairs = zip(_FIGURE.findall(line), _FIGURE.findall(shown), strict=False)
    near = all(abs(float(a) - float(b)) <= _POINTS for a, b in pairs)
    return near and re.fullmatch(pattern, _FIGURE.sub("#", shown)) is not None


def _words(line):
    return " ".join(line.split())
