"""Signing in by a token that somebody else has signed: an identity service, or an app with a secret of its own."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import attrs

from chatd.core.accounts import Accounts
from chatd.core.gate import Gate
from chatd.core.identity import Identity, Offer, Profile
from protocol.objects import Role
from protocol.types import is_id, is_name
from storage.changes import PutUser, UserSaved
from storage.contract import SharedStore
from storage.records import User

from .authenticate import NotAccepted
from .claims import claim_at, id_in, role_in
from .foreign_tokens import ForeignClaims, IssuerKeys, Rules, Unverified, look, verify
from .token_method import refusal_of
from .tokens import AUDIENCE, BadToken

TOKEN_REFUSED: Final = "the token is not accepted"


@attrs.frozen(kw_only=True)
class Issuer:
    """Somebody whose tokens count. `user`, `name_claim`, `role_claim`: paths of claims; `prefix`: of its users' ids.

    `roles`: what values of the role's claim mean here; without them roles are as they are. `make_patients`: users who
    are not known here are made. `cookie`: has the token where none is said; empty: none has.
    """

    name: str
    keys: IssuerKeys
    rules: Rules
    user: str = "sub"
    prefix: str = ""
    name_claim: str = "name"
    role_claim: str = ""
    roles: Mapping[str, Role] = attrs.Factory(dict)
    make_patients: bool = False
    cookie: str = ""


class JwtAuthenticator:
    """Accepts the tokens of issuers, of which the token's `iss` chooses one.

    `own`: chatd's own tokens count, too; what is none of an issuer's is left to them.
    """

    method = "jwt"

    def __init__(
        self, issuers: Sequence[Issuer], gate: Gate, accounts: Accounts, now: Callable[[], int], *, own: bool
    ) -> None:
        self.issuers = tuple(issuers)
        self._gate = gate
        self._accounts = accounts
        self._now = now
        self._own = own

    async def authenticate(self, offer: Offer) -> Identity | None:
        """Verify the token that is said, or that of a cookie. Raises NotAccepted, Unavailable."""
        for text, issuers in self._shown(offer):
            try:
                said = look(text)
                issuer = None if said is None else self._issuer_of(said, issuers)
                if said is not None and issuer is not None:
                    return self._identity(issuer, await verify(text, said, issuer.keys, issuer.rules, self._now()))
            except BadToken as error:
                if error.expired:
                    raise NotAccepted("the token has expired", reason=error.reason, kind="expired") from None
                raise NotAccepted(TOKEN_REFUSED, reason=error.reason) from None
            if said is not None and not self._own:
                raise NotAccepted(TOKEN_REFUSED, reason="of an issuer that no [auth.jwt] names")
        return None

    def _shown(self, offer: Offer) -> list[tuple[str, Sequence[Issuer]]]:
        """Return the tokens that are offered, and whose each may be."""
        if not offer.only_cookies:
            token = offer.token if offer.token is not None else offer.carried.bearer
            return [] if token is None else [(token, self.issuers)]
        cookies = dict(offer.carried.cookies)
        names = dict.fromkeys(issuer.cookie for issuer in self.issuers if issuer.cookie in cookies)
        return [(cookies[name], [i for i in self.issuers if i.cookie == name]) for name in names if name]

    def _issuer_of(self, said: Unverified, issuers: Sequence[Issuer]) -> Issuer | None:
        """Return the issuer that a token names; one without a name is that of tokens that name none."""
        name = said.claims.get("iss")
        named = [issuer for issuer in issuers if issuer.rules.issuer and issuer.rules.issuer == name]
        if named:
            return next((issuer for issuer in named if said.family in issuer.rules.algorithms), named[0])
        if self._own and name is None and said.claims.get("aud") == AUDIENCE:
            return None
        return next((issuer for issuer in issuers if not issuer.rules.issuer), None)

    def _identity(self, issuer: Issuer, found: ForeignClaims) -> Identity:
        user = id_in(found.claims, issuer.user)
        if not user or not is_id(issuer.prefix + user):
            raise BadToken(f"the claim with the user is no id: see [auth.jwt.{issuer.name}] user")
        name = claim_at(found.claims, issuer.name_claim)
        fit = isinstance(name, str) and is_name(name)
        return Identity(
            user=issuer.prefix + user,
            method=self.method,
            expires_at=found.expires_at,
            authenticated_at=found.issued_at,
            issuer=issuer.name,
            profile=Profile(name=name if fit else None, role=role_in(found.claims, issuer.role_claim, issuer.roles)),
        )

    async def admit(self, identity: Identity, offer: Offer) -> User:  # noqa: ARG002
        """Look the user up; make one or move the role, as the settings say. Raises NotAccepted, Unavailable."""
        store = self._gate.store
        found = await self._gate.read(lambda: store.credentials(identity.user, ""))
        issuer = next(each for each in self.issuers if each.name == identity.issuer)
        profile = identity.profile or Profile()
        if found.user is None and issuer.make_patients and not isinstance(store, SharedStore):
            if profile.role not in (None, "patient"):
                raise NotAccepted(
                    TOKEN_REFUSED, reason="an unknown user with a higher role than patient: chatd user add"
                )
            return await self._put(PutUser(identity.user, profile.name, "patient", self._now()))
        refusal = refusal_of(identity, found)
        if refusal is not None:
            raise NotAccepted(TOKEN_REFUSED, reason=refusal)
        assert found.user is not None
        if profile.role in (None, found.user.role) or isinstance(store, SharedStore):
            return found.user
        return await self._put(PutUser(identity.user, None, profile.role, self._now()))

    async def _put(self, change: PutUser) -> User:
        (outcome,) = await self._accounts.commit([change])
        if not isinstance(outcome, UserSaved) or outcome.user.disabled_at is not None:
            raise NotAccepted(TOKEN_REFUSED, reason="the database refused the user, or has disabled them")
        return outcome.user
