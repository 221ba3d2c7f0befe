"""Invitations: staff make them, and whoever has one redeems it, once."""

import attrs
import msgspec
from starlette.requests import Request
from starlette.responses import Response

from chatd.auth.invitations import DEFAULT_LIFETIME_S, MAX_LIFETIME_S, NotInvited, checked_birth_date
from chatd.core.errors import Refusal, not_found
from chatd.transports.request import HttpCaller
from protocol.codes import ErrorCode
from protocol.times import to_rfc3339
from protocol.types import MAX_NAME_CHARS, is_id, is_name
from storage.changes import DeleteRows, PutRow, PutUser
from storage.contract import SharedStore
from storage.keyed import INVITATION, SIGNED_IN
from storage.records import User

from .account import set_by_owner
from .answers import json_answer
from .guards import address_of, admit, body_of, from_allowed_page, log
from .operation import Operation
from .sign_in import signed_in
from .site import Site

TEAM = ("staff", "admin")


@attrs.frozen
class InvitationRequest:
    """The body of an invitation: of a user, or of somebody new by `name`; `expires` in seconds from now."""

    user: str | None = None
    name: str | None = None
    birth_date: str | None = None
    expires: float | None = None


@attrs.frozen
class Redeemed:
    """The body of a redemption."""

    invitation: str
    password: str | None = None
    birth_date: str | None = None


def operations(site: Site) -> list[Operation]:
    """`POST /v1/invitations` and `/v1/invitations/redeem`."""
    parts = site.parts

    async def make(request: Request, caller: HttpCaller) -> Response:
        if caller.user.role not in TEAM:
            raise Refusal(ErrorCode.FORBIDDEN, "staff and admin invite")
        _require_on(site)
        wanted = await body_of(request, InvitationRequest)
        birth_date = _date(site, wanted.birth_date)
        lifetime = DEFAULT_LIFETIME_S if wanted.expires is None else wanted.expires
        if not 60 <= lifetime <= MAX_LIFETIME_S:
            raise Refusal(ErrorCode.BAD_REQUEST, f"`expires`: 60 to {MAX_LIFETIME_S} seconds from now")
        user = await _invited(site, wanted)
        code, row = await parts.keepers.invitations.make(
            user.id, birth_date=birth_date, lifetime=lifetime, by=caller.user_id
        )
        log.info("invited", user=user.id, by=caller.user_id, invitation=row.id)
        answer = {"url": url_of(site, code), "code": code, "expires_at": to_rfc3339(row.expires_at)}
        return json_answer(msgspec.json.encode({**answer, "user": user.id}), 201)

    async def redeem(request: Request) -> Response:
        from_allowed_page(site, request)
        _require_on(site)
        given = await body_of(request, Redeemed)
        admit(site, request)
        invitations = parts.keepers.invitations
        known = await invitations.find(given.invitation)
        if known is not None and known.birth_date is not None and given.birth_date is None:
            raise Refusal(ErrorCode.BAD_REQUEST, "`birth_date`: this invitation asks for it")
        password = None
        if known is not None and given.password is not None:  # before the invitation is used up
            set_by_owner(given.password)
            password = await parts.keepers.passwords.hashed(known.user, given.password)
        try:
            user = await invitations.redeem(given.invitation, _date(site, given.birth_date))
        except NotInvited as error:
            log.warning("sign-in refused", reason=error.reason, method="invitation", address=address_of(request))
            raise Refusal(ErrorCode.UNAUTHORIZED, str(error)) from None
        if password is not None:
            others = DeleteRows(kind=SIGNED_IN, field="user", value=user.id)
            await parts.accounts.commit([PutRow(row=password), others])
        # Others that were made for the same person are of no use any more, and a risk.
        await parts.accounts.commit([DeleteRows(kind=INVITATION, field="user", value=user.id)])
        return await signed_in(site, request, user, "invitation")

    text = {"type": "string"}
    return [
        Operation(
            method="POST",
            path="/v1/invitations",
            run=make,
            text="Invites a patient: a code that signs them in once. Staff and admin.",
            body={
                "type": "object",
                "properties": {"user": text, "name": text, "birth_date": text, "expires": {"type": "number"}},
            },
            answers={201: {"type": "object", "properties": {"url": text, "code": text, "expires_at": text}}},
        ),
        Operation(
            method="POST",
            path="/v1/invitations/redeem",
            run=redeem,
            public=True,
            text="Uses an invitation up: the cookie of a new session.",
            body={
                "type": "object",
                "properties": {"invitation": text, "password": text, "birth_date": text},
                "required": ["invitation"],
            },
            answers={200: {"type": "object"}},
        ),
    ]


def url_of(site: Site, code: str) -> str:
    """Return the page's address with the code in its fragment, which reaches no log."""
    server = site.config().server
    return f"{server.public_url or f'http://{server.host}:{server.port}'}/#invitation={code}"


def _require_on(site: Site) -> None:
    if site.parts.development or "invitation" not in site.parts.keepers.methods:
        raise Refusal(ErrorCode.BAD_REQUEST, "invitations are off here")


async def _invited(site: Site, wanted: InvitationRequest) -> User:
    """Return the patient that is invited, made where they are new. Raises Refusal or Unavailable."""
    parts = site.parts
    if wanted.user is not None and wanted.name is not None:
        raise Refusal(ErrorCode.BAD_REQUEST, "`user` is for somebody known, `name` for somebody new: give one of them")
    if wanted.user is not None:
        id = wanted.user
        user = await parts.gate.read(lambda: parts.store.user(id)) if is_id(id) else None
        if user is None or user.disabled_at is not None:
            raise not_found("user")
        if user.role != "patient":
            # A code signs its holder in as that person: with an admin's, staff could become an admin.
            raise Refusal(ErrorCode.FORBIDDEN, "patients are invited here; others by the operator: chatd invite")
        return user
    name = (wanted.name or "").strip()
    if not is_name(name):
        raise Refusal(ErrorCode.BAD_REQUEST, f"`user` is needed, or `name`: 1 to {MAX_NAME_CHARS} characters")
    if isinstance(parts.store, SharedStore):
        raise Refusal(ErrorCode.FORBIDDEN, "users of this database are made by its app")
    id = f"pat-{parts.new_id()}"
    await parts.accounts.commit([PutUser(id, name, "patient", parts.now())])
    made = await parts.gate.read(lambda: parts.store.user(id))
    assert made is not None
    return made


def _date(site: Site, text: str | None) -> str | None:
    """Return a birth date as it is compared. Raises Refusal."""
    try:
        return None if text is None else checked_birth_date(text, site.parts.now())
    except ValueError as error:
        raise Refusal(ErrorCode.BAD_REQUEST, f"`birth_date`: {error}") from None
