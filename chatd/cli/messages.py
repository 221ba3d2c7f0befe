"""`chatd message ...`."""

import click

from chatd.admin.verbs import MessageVersions

from .chat.texts import printable
from .operate import each_page, print_json
from .options import Settings, settings
from .say import say
from .users import AS_JSON


@click.group()
def message() -> None:
    """Look at what is kept of messages for the record. The daemon may run meanwhile, or not."""


@message.command()
@click.argument("conversation")
@click.argument("seq", type=click.IntRange(min=1))
@AS_JSON
@settings("data", "database")
def versions(settings: Settings, conversation: str, seq: int, as_json: bool) -> None:
    """Print the earlier texts of message SEQ of CONVERSATION.

    Those that it had before it was edited or deleted, oldest first.
    """
    found = each_page(
        settings, "versions", lambda after: MessageVersions(conversation=conversation, seq=seq, after=after)
    )
    if as_json:
        print_json(found)
    elif not found:
        say("it was never edited or deleted", err=True)
    for version in () if as_json else found:
        say(f"-- until {version['until']} (rev {version['rev']})")
        click.echo(printable(version["body"]))
