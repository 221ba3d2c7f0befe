"""docs/socketio.md names every event and every setting, with its default, and nothing else."""

import re
from pathlib import Path

import attrs

from chatd.config.fields import toml
from chatd.config.settings import SocketIo
from chatd.transports.socketio.events import EVENTS
from chatd.transports.socketio.words import SERVER_EVENTS

DOC = (Path(__file__).parents[2] / "docs" / "socketio.md").read_text(encoding="utf-8")


def named_in(heading: str) -> set[str]:
    """The names in the first column of the table below a heading."""
    (section,) = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", DOC, re.DOTALL | re.MULTILINE)
    cells = re.findall(r"^\| (`[^|]+) \|", section, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def test_events_of_clients_are_those_that_are_served() -> None:
    assert named_in("What clients emit") == EVENTS.keys()


def test_events_of_the_server_are_those_that_are_emitted() -> None:
    assert named_in("What the server emits") == set(SERVER_EVENTS)


def test_settings_are_there_with_their_defaults() -> None:
    defaults = {f"{field.name} = {toml(field.default)}" for field in attrs.fields(SocketIo)}
    assert named_in("Settings") == {"[socketio]", *defaults}
