"""The ways to sign in that an app or a clinic's IT has already, as the settings name them."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import cast

from joserfc.jwk import OctKey

from chatd.config import BetterAuth, Config, ConfigError, Jwt, Oidc
from chatd.config import NextAuth as NextAuthSettings
from chatd.core.accounts import Accounts
from chatd.core.gate import Gate
from chatd.net.fetching import Fetch, PostForm
from protocol.objects import Role
from storage.contract import StoreError
from storage.site_sessions import SiteSessions, SiteTable

from . import secret
from .authenticate import Authenticator
from .better_auth import signed_token
from .foreign_tokens import PUBLIC_ALGORITHMS, SHARED_ALGORITHMS, Rules
from .jwt_method import Issuer, JwtAuthenticator
from .key_source import FixedKeys, KeySource, read_file
from .nextauth import NextAuthCookies
from .nextauth_method import NextAuthAuthenticator
from .oidc import OidcClient, Provider
from .public_keys import VerificationKey
from .secret import BadSecret
from .site_session import SiteRows, SiteSessionAuthenticator, plain_token

STRONG_CHARS = 32
"""Characters of a site's secret below which `chatd check` warns: who guesses it is anybody."""

_HOW = {
    "nextauth": "AUTH_SECRET (or NEXTAUTH_SECRET) in the environment, or [auth.nextauth] secrets_file",
    "better-auth": "BETTER_AUTH_SECRET in the environment, or [auth.better_auth] secrets_file",
}


def authenticators(
    config: Config, gate: Gate, accounts: Accounts, now: Callable[[], int], fetch: Fetch
) -> Iterator[Authenticator]:
    """The authenticators of `auth.methods` that need more than chatd itself has. Raises BadSecret, ConfigError."""
    given = config.nextauth
    if "nextauth" in config.auth.methods and given.sessions == "jwt":
        site = NextAuthCookies(secrets_of(config, "nextauth"), given.cookies)
        yield NextAuthAuthenticator(site, gate, now, user=given.user)
    elif "nextauth" in config.auth.methods:
        rows = _rows("nextauth", given, gate)
        yield SiteSessionAuthenticator("nextauth", rows, now, names=given.cookies, token=plain_token)
    if "better-auth" in config.auth.methods:
        rows = _rows("better-auth", config.better_auth, gate)
        token = partial(signed_token, secrets=secrets_of(config, "better-auth"))
        yield SiteSessionAuthenticator("better-auth", rows, now, names=config.better_auth.cookies, token=token)

    if "jwt" in config.auth.methods:
        issuers = [_issuer(name, given, fetch) for name, given in config.jwt.items()]
        yield JwtAuthenticator(issuers, gate, accounts, now, own="token" in config.auth.methods)


def providers(config: Config, fetch: Fetch, post: PostForm, now: Callable[[], int]) -> dict[str, Provider]:
    """The identity services that people may sign in at, by name. Raises BadSecret."""
    if "oidc" not in config.auth.methods:
        return {}
    return {name: Provider(_client(name, given), fetch, post, now) for name, given in config.oidc.items()}


def _client(name: str, given: Oidc) -> OidcClient:
    return OidcClient(
        name=name,
        title=given.title or name.capitalize(),
        issuer=given.issuer,
        id=given.client_id,
        secret=given.client_secret or _first_line(given.client_secret_file),
        scopes=given.scopes,
        make_patients=given.unknown == "patient",
        name_claim=given.name,
        role_claim=given.role,
        roles=_roles(given.roles),
    )


def _first_line(file: str) -> str:
    lines = _lines(file)
    if not lines:
        raise BadSecret(f"{file}: is empty")
    return lines[0]


def _roles(mappings: tuple[str, ...]) -> dict[str, Role]:
    return {theirs: cast(Role, ours) for theirs, _, ours in (mapping.rpartition("=") for mapping in mappings)}


def _issuer(name: str, given: Jwt, fetch: Fetch) -> Issuer:
    """The issuer that a table describes. Raises BadSecret."""
    rules = Rules(
        algorithms=PUBLIC_ALGORITHMS if given.jwks else SHARED_ALGORITHMS,
        issuer=given.issuer,
        audience=given.audience,
        parties=given.authorized_parties,
        require=given.require,
        leeway=given.leeway,
    )
    return Issuer(
        name=name,
        keys=_keys(name, given, fetch),
        rules=rules,
        user=given.user,
        prefix=given.user_prefix,
        name_claim=given.name,
        role_claim=given.role,
        roles=_roles(given.roles),
        make_patients=given.unknown == "patient",
        cookie=given.cookie,
    )


def _keys(name: str, given: Jwt, fetch: Fetch) -> KeySource | FixedKeys:
    if given.jwks:
        return KeySource(name, given.jwks, fetch if "://" in given.jwks else read_file)
    shared = given.secret.encode() or secret.read(Path(given.secret_file).expanduser())
    return FixedKeys(VerificationKey("HS256", None, OctKey.import_key(shared)))


def needs_secret(config: Config, method: str) -> bool:
    """Return True if this way to sign in is on and stands on a secret of the site."""
    return method in config.auth.methods and not (method == "nextauth" and config.nextauth.sessions == "database")


def secrets_of(config: Config, method: str) -> tuple[str, ...]:
    """The secrets of the site's sign-in, the newest first. Raises BadSecret where there is none."""
    given = config.nextauth if method == "nextauth" else config.better_auth
    found = given.secrets or _lines(given.secrets_file)
    if not found:
        raise BadSecret(f'auth.methods has "{method}", which needs the site\'s secret: {_HOW[method]}')
    return found


def _rows(method: str, given: NextAuthSettings | BetterAuth, gate: Gate) -> SiteRows:
    """The rows of the site's sessions. Raises ConfigError where the database can't have them, or hasn't."""
    store = gate.store
    where = f"[auth.{method.replace('-', '_')}]"
    if not isinstance(store, SiteSessions):
        raise ConfigError(
            f'auth.methods has "{method}" with sessions in the site\'s database: [storage] database must be that '
            "database (mysql://)"
        )
    columns = dict(column.split("=", 1) for column in (*type(given)().columns, *given.columns))
    table = SiteTable(table=given.table, **columns)
    try:
        store.check_site_table(table)
    except StoreError as error:
        raise ConfigError(f"{where} table, columns: {error}; see docs/sign-in.md") from None
    return SiteRows(gate, store, table)


def _lines(file: str) -> tuple[str, ...]:
    """The secrets in a file, a line each. Raises BadSecret."""
    if not file:
        return ()
    path = Path(file).expanduser()
    try:
        text = secret.read_private(path).decode()
    except UnicodeDecodeError:
        raise BadSecret(f"{path}: not UTF-8 text") from None
    except FileNotFoundError:
        raise BadSecret(f"{path}: is not there") from None
    return tuple(line.strip() for line in text.splitlines() if line.strip())
