"""`chatd token ...`."""

import click

from chatd.admin.verbs import IssueToken, ListTokens, RevokeAll, RevokeOne
from chatd.config import ConfigError

from .duration import Duration
from .fail import fail
from .operate import each_page, operate, print_json, print_table
from .options import Settings, settings
from .say import say
from .users import AS_JSON


class _Tokens(click.Group):
    """A group whose default command is `issue`: `chatd token ada` is `chatd token issue ada`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ("--help", "-h"):
            args = ["issue", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_Tokens, options_metavar="", subcommand_metavar="ID | COMMAND [ARGS]...")
def token() -> None:
    """Issue a token to the user ID, list or revoke tokens. The daemon may run meanwhile, or not."""


@token.command()
@click.argument("id")
@click.option(
    "--expires", type=Duration(least="1s", most="3650d"), help="How long it is good for, like 12h or 90d (30d)."
)
@settings("data", "database")
def issue(settings: Settings, id: str, expires: int | None) -> None:
    """Print a token that lets the user ID sign in, and nothing else. What `chatd token ID` does."""
    try:
        lifetime = expires or max(1, round(settings.load().auth.token_lifetime * 86400))
    except ConfigError as error:
        fail(str(error))
    say(operate(settings, IssueToken(user=id, lifetime=lifetime))["token"])


@token.command("list")
@click.option("--user", metavar="ID", help="Only this user's.")
@AS_JSON
@settings("data", "database")
def list_(settings: Settings, user: str | None, as_json: bool) -> None:
    """List the tokens that were issued here. By id, oldest first; never the tokens themselves."""
    tokens = each_page(settings, "tokens", lambda after: ListTokens(user=user, after=after))
    if as_json:
        print_json(tokens)
    else:
        rows = [(t["id"], t["state"], t["issued_at"][:16], t["expires_at"][:16], t["user"]) for t in tokens]
        print_table(("ID", "STATE", "ISSUED (UTC)", "EXPIRES (UTC)", "USER"), rows, nothing="no tokens: chatd token ID")


@token.command()
@click.argument("token_id", required=False)
@click.option("--user", metavar="ID", help="All tokens of this user, those of other issuers too.")
@settings("data", "database")
def revoke(settings: Settings, token_id: str | None, user: str | None) -> None:
    """Make a token worthless by its id, or all of a user. Whoever signed in with it is cut off at once.

    Sessions of a password (`chatd session revoke`), and those that a site keeps in its database, stay.
    """
    if (token_id is None) == (user is None):
        fail("say which: chatd token revoke TOKEN_ID (see chatd token list), or chatd token revoke --user ID")
    if user is not None:
        done = operate(settings, RevokeAll(user=user))
        issued = f"{done['revoked']} issued here"
        say(f"revoked all tokens of {user} ({issued}); a new one: {settings.next('token', user)}")
        if _site_keeps_sessions(settings):
            say(
                f"a session of {user} on the site is not ended: its cookie lets them in again. End it there, or keep "
                f"them out: {settings.next('user', 'disable', user)}",
                err=True,
            )
    elif token_id is not None:
        done = operate(settings, RevokeOne(id=token_id))
        say(f"revoked {done['id']} of {done['user']}; a new one: {settings.next('token', done['user'])}")


def _site_keeps_sessions(settings: Settings) -> bool:
    """Return whether people sign in by sessions in a site's database, which only the site ends."""
    try:
        config = settings.load()
    except ConfigError:
        return False
    methods = config.auth.methods
    return "better-auth" in methods or ("nextauth" in methods and config.nextauth.sessions == "database")
