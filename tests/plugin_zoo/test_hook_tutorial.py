"""The page about hooks lists the events that there are."""

from pathlib import Path

from segad_core.plugins.hooks import Observer

PAGE = Path(__file__).parents[2] / "docs" / "plugins" / "hooks.md"


def test_the_page_lists_every_event_with_its_arguments():
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    listed = [[name.strip(" `") for name in line.replace("(Markdown)", "").split("|")[1:3]] for line in rows]
    told = {name: arguments.replace(" (resolved, YAML)", "").replace("`", "") for name, arguments in listed}
    events = {name: event for name, event in vars(Observer).items() if not name.startswith("_")}
    for name, event in events.items():
        arguments = event.__code__.co_varnames[1 : event.__code__.co_argcount]
        assert told[name].replace(" ", "").split(",") == list(arguments), name
