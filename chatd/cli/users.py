"""`chatd user ...`."""

import sys

import click

from chatd.admin.sign_in import LinkIdentity, SetPassword, UnlinkIdentities
from chatd.admin.verbs import AddUser, Answer, ChangeUser, DisableUser, ListUsers
from chatd.auth.passwords import WeakPassword, check_new, hashed
from chatd.config import ConfigError
from protocol.objects import ROLES, Role

from . import second_step
from .fail import fail
from .operate import each_page, operate, print_json, print_table
from .options import Settings, settings
from .say import say

AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a line.")


@click.group()
def user() -> None:
    """Add, list, rename and shut out users. The daemon may run meanwhile, or not."""


@user.command()
@click.argument("id")
@click.option("--name", required=True, help="As others see it.")
@click.option("--role", required=True, type=click.Choice(ROLES))
@settings("data", "database")
def add(settings: Settings, id: str, name: str, role: Role) -> None:
    """Make a user."""
    made = operate(settings, AddUser(user=id, name=name, role=role))
    say(f"added {_line(made)}; to let them sign in: {settings.next('token', made['id'])}")


@user.command("list")
@AS_JSON
@settings("data", "database")
def list_(settings: Settings, as_json: bool) -> None:
    """Print all users, by id."""
    users = each_page(settings, "users", lambda after: ListUsers(after=after))
    if as_json:
        print_json(users)
    else:
        rows = [(u["id"], u["role"], "disabled" if u["disabled_at"] else "active", u["name"]) for u in users]
        print_table(
            ("ID", "ROLE", "STATE", "NAME"), rows, nothing="no users yet: chatd user add ID --name NAME --role ROLE"
        )


@user.command()
@click.argument("id")
@settings("data", "database")
def disable(settings: Settings, id: str) -> None:
    """Shut a user out, and cut off who is connected as them."""
    done = operate(settings, DisableUser(user=id, disabled=True))
    say(f"disabled {_line(done)}, and cut off; to let them in again: {settings.next('user', 'enable', id)}")


@user.command()
@click.argument("id")
@settings("data", "database")
def enable(settings: Settings, id: str) -> None:
    """Let a user in again."""
    done = operate(settings, DisableUser(user=id, disabled=False))
    tokens = settings.next("token", "list", "--user", id)
    say(f"enabled {_line(done)}; their tokens are good again, see: {tokens}")


@user.command()
@click.argument("id")
@click.argument("name")
@settings("data", "database")
def rename(settings: Settings, id: str, name: str) -> None:
    """Give a user another name."""
    say(f"renamed {_line(operate(settings, ChangeUser(user=id, name=name)))}; who talks with them sees it now")


@user.command()
@click.argument("id")
@click.argument("role", type=click.Choice(ROLES))
@settings("data", "database")
def role(settings: Settings, id: str, role: Role) -> None:
    """Give a user another role."""
    say(f"changed {_line(operate(settings, ChangeUser(user=id, role=role)))}; it counts from now on")


@user.command()
@click.argument("id")
@settings("data", "database")
def passwd(settings: Settings, id: str) -> None:
    """Give a user a password; their sessions end.

    Asks for it at a terminal, else reads the first line of standard input: never from the command line, which others
    can see.
    """
    password = _password()
    try:
        check_new(password, id)
    except WeakPassword as error:
        fail(str(error))
    done = operate(settings, SetPassword(user=id, hash=hashed(password)))
    ended = f", and {done['ended']} sessions ended" if done["ended"] else ""
    say(f"{id} has a new password{ended}; they sign in on the page with the id {id}")


@user.command()
@click.argument("id")
@click.argument("provider")
@click.argument("subject")
@settings("data", "database")
def link(settings: Settings, id: str, provider: str, subject: str) -> None:
    """Let somebody of an identity service sign in as the user ID.

    PROVIDER is the name of a table [auth.oidc.NAME], SUBJECT what the service calls them (`sub`); both are in the log
    line of a sign-in that was refused.
    """
    try:
        services = settings.load().oidc
    except ConfigError as error:
        fail(str(error))
    if provider not in services:
        fail(f"there is no [auth.oidc.{provider}] in the settings: there is {', '.join(services) or 'none'}")
    operate(settings, LinkIdentity(user=id, issuer=services[provider].issuer, subject=subject))
    say(f"{subject} of {provider} signs in as {id} from now on")


@user.command()
@click.argument("id")
@settings("data", "database")
def unlink(settings: Settings, id: str) -> None:
    """Forget who the user ID is at identity services.

    Their sessions end.
    """
    done = operate(settings, UnlinkIdentities(user=id))
    say(f"{id} is linked with nobody elsewhere any more ({done['unlinked']} before)")


user.add_command(second_step.set_up)
user.add_command(second_step.reset)


def _password() -> str:
    if sys.stdin.isatty():
        return str(click.prompt("New password", hide_input=True, confirmation_prompt="The same again", err=True))
    line = sys.stdin.readline().rstrip("\r\n")
    if not line:
        fail("a password is needed, as the first line of standard input")
    return line


def _line(user: Answer) -> str:
    return f"{user['id']} ({user['name']}, {user['role']})"
