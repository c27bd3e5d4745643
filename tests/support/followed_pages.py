"""Pages of the documentation are followed: files are created, commands run, and their output compared."""

import re

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def steps(text):
    """A page's files and commands, in order.

    A block of code is the content of the file that was named last; it is appended to the file if the
    paragraph before it begins with "Append". In a console block, lines that begin with `$` are commands, each
    followed by its output.
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


def follow(page, house):
    """Does what a page says in the home of a house; returns what was done, by files and commands."""
    done = []
    for kind, what, content in steps(page.read_text()):
        if kind != "command":
            path = house.home / what
            path.parent.mkdir(exist_ok=True)
            path.write_text((path.read_text() if kind == "more" else "") + content)
        elif what == "pip install -e .":
            house.pip("install", "--no-build-isolation", "--no-index", "--no-deps", "-e", house.home)
        else:
            program, *arguments = what.split()
            module = {"segad": "segad_core.cli", "pytest": "pytest"}[program]
            answer = house.run("-m", module, *arguments)
            fails = any(line.startswith("error:") for line in content)
            assert answer.code == (2 if fails else 0), f"{what}\n{answer.out}{answer.err}"
            shown = {_words(line) for line in (answer.out + answer.err).splitlines()}
            assert {_words(line) for line in content} <= shown, f"{what}\n{answer.out}{answer.err}"
        done.append(what)
    return done


def _words(line):
    return " ".join(line.split())
