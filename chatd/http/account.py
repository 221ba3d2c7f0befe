"""The caller's own sign-in: the password, and the sessions on other devices."""

from typing import Any

import attrs
import msgspec
from starlette.requests import Request
from starlette.responses import Response

from chatd.auth.passwords import WeakPassword, check_new
from chatd.core.errors import Refusal, not_found
from chatd.transports.request import HttpCaller
from protocol.codes import ErrorCode
from protocol.times import to_rfc3339
from storage.changes import DeleteRows, PutRow
from storage.keyed import PASSWORD, SIGNED_IN, SignedIn

from .answers import NO_STORE, json_answer
from .guards import admit, body_of, log
from .operation import Operation
from .sign_in import check_password
from .site import Site


@attrs.frozen
class NewPassword:
    """The body of a change of password; `old` is needed where there is one."""

    new: str
    old: str | None = None


def operations(site: Site) -> list[Operation]:
    """`/v1/password` and `/v1/sessions`."""
    parts = site.parts

    async def change(request: Request, caller: HttpCaller) -> Response:
        given = await body_of(request, NewPassword)
        keepers = parts.keepers
        if "password" not in keepers.methods:
            raise Refusal(ErrorCode.FORBIDDEN, "signing in by a password is off here")
        if await parts.gate.read(lambda: parts.store.row(PASSWORD, caller.user_id)) is not None:
            admit(site, request)
            await check_password(site, request, caller.user_id, given.old or "")
            keepers.throttle.good(request.scope["client"][0] if request.scope["client"] else None)
        elif caller.identity is None or caller.identity.method != "session":
            raise Refusal(ErrorCode.FORBIDDEN, "there is no password yet: sign in by an invitation, then set one")
        set_by_owner(given.new, caller.user_id, caller.user.name)
        row = await keepers.passwords.hashed(caller.user_id, given.new)
        current = caller.identity.secret_hash if caller.identity else None
        others = DeleteRows(kind=SIGNED_IN, field="user", value=caller.user_id, but=current)
        await parts.accounts.commit([PutRow(row=row), others])
        log.info("password changed", user=caller.user_id)
        return Response(status_code=204, headers=NO_STORE)

    async def sessions(request: Request, caller: HttpCaller) -> Response:
        current = caller.identity.credential_id if caller.identity else None
        rows = await parts.keepers.sessions.of(caller.user_id)
        return json_answer(msgspec.json.encode({"sessions": [shown(row, current) for row in rows]}))

    async def end(request: Request, caller: HttpCaller) -> Response:
        if not await parts.keepers.sessions.end(caller.user_id, request.path_params["id"]):
            raise not_found("session")
        log.info("session ended", user=caller.user_id, session=request.path_params["id"])
        return Response(status_code=204, headers=NO_STORE)

    text = {"type": "string"}
    return [
        Operation(
            method="POST",
            path="/v1/password",
            run=change,
            text="Gives the caller another password; their other sessions end.",
            body={"type": "object", "properties": {"old": text, "new": text}, "required": ["new"]},
            answers={204: None},
        ),
        Operation(
            method="GET",
            path="/v1/sessions",
            run=sessions,
            text="The caller's sessions, oldest first.",
            answers={200: {"type": "object"}},
        ),
        Operation(
            method="DELETE",
            path="/v1/sessions/{id}",
            run=end,
            text="Ends one of the caller's sessions.",
            answers={204: None},
        ),
    ]


def set_by_owner(password: str, *names: str) -> None:
    """Refuse a new password that is easily guessed. Raises Refusal."""
    try:
        check_new(password, *names)
    except WeakPassword as error:
        raise Refusal(ErrorCode.BAD_REQUEST, str(error)) from None


def shown(row: SignedIn, current: str | None) -> dict[str, Any]:
    """Return a session as its owner sees it."""
    return {
        "id": row.id,
        "method": row.method,
        "created_at": to_rfc3339(row.created_at),
        "seen_at": to_rfc3339(row.seen_at),
        "expires_at": to_rfc3339(row.expires_at),
        "agent": row.agent,
        "current": row.id == current,
    }
