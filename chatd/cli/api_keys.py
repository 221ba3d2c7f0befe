"""`chatd apikey ...`."""

import click

from chatd.admin.sign_in import AddApiKey, ListApiKeys, RevokeApiKey
from protocol.objects import ROLES, Role

from .operate import each_page, operate, print_json, print_table
from .options import Settings, settings
from .say import say
from .users import AS_JSON


@click.group()
def apikey() -> None:
    """Make, list or revoke keys for an app's backend.

    With a key it has tickets made, which sign its users in: docs/sign-in.md.
    """


@apikey.command()
@click.argument("name")
@click.option("--max-role", type=click.Choice(ROLES), default="staff", help="Highest role of its tickets (staff).")
@settings("data", "database")
def add(settings: Settings, name: str, max_role: Role) -> None:
    """Print a new key, and nothing else. It is shown this once."""
    say(operate(settings, AddApiKey(name=name, max_role=max_role))["key"])


@apikey.command("list")
@AS_JSON
@settings("data", "database")
def list_(settings: Settings, as_json: bool) -> None:
    """List the keys, never the keys themselves."""
    keys = each_page(settings, "keys", lambda after: ListApiKeys(after=after))
    if as_json:
        print_json(keys)
        return
    keys.sort(key=lambda key: key["created_at"])
    rows = [(key["id"], key["max_role"], key["created_at"][:16], key["name"]) for key in keys]
    print_table(("ID", "UP TO", "MADE (UTC)", "NAME"), rows, nothing="no API keys: chatd apikey add NAME")


@apikey.command()
@click.argument("id")
@settings("data", "database")
def revoke(settings: Settings, id: str) -> None:
    """Make a key worthless, at once, and the tickets that it made. Who signed in with one stays so."""
    done = operate(settings, RevokeApiKey(id=id))
    say(f"revoked {done['id']} ({done['name']}) and its tickets; who signed in with one stays so: chatd session revoke")
