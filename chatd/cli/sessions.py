"""`chatd session ...`."""

import click

from chatd.admin.sign_in import ListSessions, RevokeSession, RevokeSessions

from .fail import fail
from .operate import each_page, operate, print_json, print_table
from .options import Settings, settings
from .say import say
from .users import AS_JSON


@click.group()
def session() -> None:
    """List or end the sessions of people who signed in. The daemon may run meanwhile, or not."""


@session.command("list")
@click.option("--user", metavar="ID", help="Only this user's.")
@AS_JSON
@settings("data", "database")
def list_(settings: Settings, user: str | None, as_json: bool) -> None:
    """List the sessions that are not over.

    Who has them, since and until when, and with which browser.
    """
    sessions = each_page(settings, "sessions", lambda after: ListSessions(user=user, after=after))
    if as_json:
        print_json(sessions)
        return
    sessions.sort(key=lambda s: (s["user"], s["created_at"]))
    rows = [
        (s["id"], s["user"], s["method"], s["seen_at"][:16], s["expires_at"][:16], s["agent"] or "-") for s in sessions
    ]
    head = ("ID", "USER", "BY", "LAST USED (UTC)", "ENDS (UTC)", "BROWSER")
    print_table(head, rows, nothing="no sessions: nobody has signed in on the page")


@session.command()
@click.argument("session_id", required=False)
@click.option("--user", metavar="ID", help="All sessions of this user.")
@click.option("--all", "everybody", is_flag=True, help="All sessions of everybody.")
@settings("data", "database")
def revoke(settings: Settings, session_id: str | None, user: str | None, everybody: bool) -> None:
    """End a session by its id, all of a user, or all there are. Their connections are cut at once."""
    if [session_id is not None, user is not None, everybody].count(True) != 1:
        fail("say which: chatd session revoke ID (see chatd session list), --user ID, or --all")
    if session_id is not None:
        done = operate(settings, RevokeSession(id=session_id))
        say(f"ended {done['id']} of {done['user']}")
        return
    ended = operate(settings, RevokeSessions(user=user))["ended"]
    say(f"ended {ended} sessions" + (f" of {user}" if user is not None else ""))
