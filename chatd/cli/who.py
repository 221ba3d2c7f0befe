"""`chatd who`."""

import click

from chatd.admin.who import Who

from .operate import each_page, print_json, print_table
from .options import Settings, settings
from .users import AS_JSON


@click.command()
@click.option("--conversation", metavar="ID", help="Only of those who take part in it.")
@click.option("--transport", metavar="NAME", help="Only those who came by it: websocket, socketio, polling or sse.")
@AS_JSON
@settings("data", "database")
def who(settings: Settings, conversation: str | None, transport: str | None, as_json: bool) -> None:
    """List who is connected to the daemon that runs.

    By what, and what they have on screen.
    """
    found = each_page(
        settings,
        "connections",
        lambda after: Who(conversation=conversation, transport=transport, after=after),
    )
    if as_json:
        print_json(found)
        return
    found.sort(key=lambda row: (row["user"], row["session"]))
    rows = [
        (row["user"], row["role"] or "-", row["transport"], row["address"] or "-", row["on_screen"] or "-")
        for row in found
    ]
    print_table(("USER", "ROLE", "BY", "FROM", "ON SCREEN"), rows, nothing="nobody is connected")
