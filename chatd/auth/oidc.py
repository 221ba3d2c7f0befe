"""Signing in at an identity service: OpenID Connect, code flow with PKCE (RFC 7636).

What must hold between the two halves (state, nonce, verifier) travels in a sealed cookie of the browser that began, so
that an answer counts in that browser alone. People are found by (`iss`, `sub`), and by nothing else that a token says.
"""

import json
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import attrs
import structlog
import trio

from chatd.net.fetching import Fetch as FetchPage
from chatd.net.fetching import Fetched, FetchError, PostForm
from protocol.objects import Role
from protocol.types import is_name
from storage.contract import Unavailable

from .claims import role_in
from .foreign_tokens import PUBLIC_ALGORITHMS, ForeignClaims, Rules, look, verify
from .key_source import KeySource
from .tokens import BadToken

log = structlog.get_logger("chatd.oidc")

BEGUN_S: Final = 600
"""Seconds in which somebody signs in there."""

METADATA_S: Final = 3600.0
"""Seconds for which the service's description of itself is kept."""

MAX_CODE_CHARS: Final = 4096
LEEWAY_S: Final = 60.0


class NotSignedIn(Exception):
    """The service's answer signs nobody in. `reason` is for the log, and holds no secret."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@attrs.frozen(kw_only=True)
class BegunSignIn:
    """A sign-in that was begun, as the browser keeps it, sealed. `redirect`: where it comes back; `at`: when, ms."""

    provider: str
    state: str = attrs.field(repr=False)
    nonce: str = attrs.field(repr=False)
    verifier: str = attrs.field(repr=False)
    redirect: str
    at: int


@attrs.frozen
class Metadata:
    """A service's description of itself, as far as it is used."""

    authorization: str
    token: str
    keys: str
    by_post: bool
    names_itself: bool


@attrs.frozen(kw_only=True)
class Account:
    """Somebody as the service knows them. `role`: what the settings make of its claims; None: they say nothing."""

    issuer: str
    subject: str
    name: str | None = None
    role: Role | None = None


@attrs.frozen(kw_only=True)
class OidcClient:
    """The settings of one service."""

    name: str
    title: str
    issuer: str
    id: str
    secret: str = attrs.field(repr=False)
    scopes: tuple[str, ...]
    make_patients: bool = False
    name_claim: str = "name"
    role_claim: str = ""
    roles: Mapping[str, Role] = attrs.Factory(dict)


class Provider:
    """One service."""

    def __init__(self, client: OidcClient, fetch: FetchPage, post: PostForm, now: Callable[[], int]) -> None:
        self.client = client
        self._fetch = fetch
        self._post = post
        self._now = now
        self._metadata: Metadata | None = None
        self._read_at = 0.0
        self.keys = KeySource(client.name, client.issuer, self.fetch_keys)

    async def begin(self, redirect: str) -> tuple[str, BegunSignIn]:
        """Return where the browser is to go, and what it is to keep. Raises Unavailable.

        `redirect`: the address here that the service sends it back to.
        """
        begun = BegunSignIn(
            provider=self.client.name,
            state=secrets.token_urlsafe(24),
            nonce=secrets.token_urlsafe(24),
            verifier=secrets.token_urlsafe(48),
            redirect=redirect,
            at=self._now(),
        )
        challenge = urlsafe_b64encode(sha256(begun.verifier.encode()).digest()).rstrip(b"=").decode()
        query = {
            "response_type": "code",
            "client_id": self.client.id,
            "redirect_uri": redirect,
            "scope": " ".join(self.client.scopes),
            "state": begun.state,
            "nonce": begun.nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        address = (await self._described()).authorization
        return f"{address}{'&' if urlsplit(address).query else '?'}{urlencode(query)}", begun

    async def finish(self, answer: Mapping[str, str], begun: BegunSignIn) -> Account:
        """Return who has signed in, by the query that the browser came back with. Raises NotSignedIn, Unavailable."""
        if not secrets.compare_digest(answer.get("state", ""), begun.state):
            raise NotSignedIn("the answer belongs to another sign-in (state)")
        if self._now() > begun.at + BEGUN_S * 1000:
            raise NotSignedIn("it took too long")
        described = await self._described()
        issuer = answer.get("iss", "" if described.names_itself else self.client.issuer)
        if issuer != self.client.issuer:
            raise NotSignedIn("the answer is that of another service (iss)")
        if "error" in answer:
            raise NotSignedIn(f"the service refused: {_plain(answer['error'])}")
        code = answer.get("code", "")
        if not 1 <= len(code) <= MAX_CODE_CHARS:
            raise NotSignedIn("the answer has no code")
        token = await self._redeem(described, code, begun)
        return self._account(await self._verified(token, begun))

    async def _redeem(self, described: Metadata, code: str, begun: BegunSignIn) -> str:
        """Return the identity token for a code. Raises NotSignedIn."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": begun.redirect,
            "client_id": self.client.id,
            "code_verifier": begun.verifier,
        }
        if described.by_post:
            form["client_secret"] = self.client.secret
        basic = None if described.by_post else (self.client.id, self.client.secret)
        try:
            fetched = await self._post(described.token, form, basic)
        except FetchError as error:
            raise NotSignedIn(f"the service gives no token for the code: {error}") from None
        found = _object(fetched)
        token = None if found is None else found.get("id_token")
        if not isinstance(token, str):
            raise NotSignedIn("the service's answer has no id_token")
        return token

    async def _verified(self, token: str, begun: BegunSignIn) -> ForeignClaims:
        """Check an identity token as OpenID Connect Core has it, section 3.1.3.7. Raises NotSignedIn, Unavailable."""
        rules = Rules(
            algorithms=PUBLIC_ALGORITHMS,
            issuer=self.client.issuer,
            audience=(self.client.id,),
            require=("sub",),
            leeway=LEEWAY_S,
        )
        try:
            said = look(token)
            if said is None:
                raise BadToken("no signed token")
            found = await verify(token, said, self.keys, rules, self._now())
        except BadToken as error:
            raise NotSignedIn(f"the identity token is not accepted: {error.reason}") from None
        claims = found.claims
        nonce, audience, party = claims.get("nonce"), claims.get("aud"), claims.get("azp")
        if not isinstance(nonce, str) or not secrets.compare_digest(nonce.encode(), begun.nonce.encode()):
            raise NotSignedIn("the identity token belongs to another sign-in (nonce)")
        if party not in (None, self.client.id) or (isinstance(audience, list) and len(audience) > 1 and party is None):
            raise NotSignedIn("the identity token is for another client (azp)")
        return found

    def _account(self, found: ForeignClaims) -> Account:
        claims, client = found.claims, self.client
        subject, name = claims["sub"], claims.get(client.name_claim)
        if not isinstance(subject, str) or not 1 <= len(subject) <= 255 or not subject.isprintable():
            raise NotSignedIn("`sub` is no short text")
        fit = isinstance(name, str) and is_name(name)
        return Account(
            issuer=client.issuer,
            subject=subject,
            name=name if fit else None,
            role=role_in(claims, client.role_claim, client.roles),
        )

    async def _described(self) -> Metadata:
        """Return the service's description of itself. Raises Unavailable where it has never come."""
        if self._metadata is None or trio.current_time() > self._read_at + METADATA_S:
            try:
                fetched = await self._fetch(f"{self.client.issuer.rstrip('/')}/.well-known/openid-configuration")
                self._metadata = _described(_object(fetched), self.client.issuer)
                self._read_at = trio.current_time()
            except (FetchError, NotSignedIn) as error:
                log.warning("no description of an identity service", provider=self.client.name, reason=str(error))
                if self._metadata is None:
                    raise Unavailable("the identity service does not answer") from None
        return self._metadata

    async def fetch_keys(self, _issuer: str) -> Fetched:
        """Fetch the service's keys. Raises FetchError."""
        try:
            return await self._fetch((await self._described()).keys)
        except Unavailable as error:
            raise FetchError(str(error)) from None


def _described(found: dict[str, Any] | None, issuer: str) -> Metadata:
    """Take in a description; addresses are by https, as the issuer's is, or on this machine. Raises NotSignedIn."""
    if found is None or found.get("issuer") != issuer:
        raise NotSignedIn("its description is that of another issuer")
    addresses = list[str]()
    for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
        address = found.get(name)
        if not isinstance(address, str) or not _is_safe(address, issuer):
            raise NotSignedIn(f"its description has no {name} by https")
        addresses.append(address)
    authorization, token, keys = addresses
    methods = found.get("token_endpoint_auth_methods_supported")
    return Metadata(
        authorization,
        token,
        keys,
        by_post=isinstance(methods, list) and "client_secret_post" in methods and "client_secret_basic" not in methods,
        names_itself=found.get("authorization_response_iss_parameter_supported") is True,
    )


def _is_safe(address: str, issuer: str) -> bool:
    parts, own = urlsplit(address), urlsplit(issuer)
    return parts.scheme == "https" or (parts.scheme == own.scheme == "http" and parts.hostname == own.hostname)


def _object(fetched: Fetched) -> dict[str, Any] | None:
    try:
        found = json.loads(fetched.body)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _plain(text: str) -> str:
    """Return an error's code as a service sends it, for the log: printable and short."""
    return "".join(sign for sign in text[:60] if sign.isascii() and (sign.isalnum() or sign in "_-. "))
