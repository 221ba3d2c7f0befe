"""The chat on Socket.IO: who is let in, and whose connection goes on where it was."""

import secrets
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any, Final
from urllib.parse import parse_qsl

import structlog
import trio

from chatd.auth.authenticate import NotAccepted
from chatd.auth.offered import SESSION_COOKIE, carried
from chatd.commands.parts import Parts
from chatd.config.settings import SocketIo
from chatd.core.identity import Carried, Offer
from chatd.core.outbox import Cork
from chatd.core.ratelimit import TokenBucket
from chatd.net.head import Head
from chatd.transports.engineio.application import Receiver
from chatd.transports.engineio.packets import SEPARATOR
from chatd.transports.engineio.session import EngineSession
from chatd.transports.intake import Rates
from chatd.transports.sessions import LiveSessions
from protocol.objects import ROLES
from storage.contract import SharedStore, Unavailable

from .asking import online_users
from .connection import ConnectRefused, Namespace, NamespaceMember, NamespacePlace, SocketioConnection
from .dialect import SocketIoDialect
from .events import EventHandlers
from .member import ChatMember, EventRefused, SharedParts
from .objects import MessageIds
from .packets import SocketioKind, head_of, text_packet
from .recovery import Recovery
from .words import EventNumbers, Words

log = structlog.get_logger("chatd.socketio")

SID_BYTES: Final = 15
PREFIX_BYTES: Final = 4
PACKETS: Final = (b"42", b"43")
"""First bytes of events and acknowledgements, which are sent again."""

TOKEN_FIELDS: Final = ("token", "ticket", "accessToken", "jwt")
"""Fields of `auth` that hold a credential, whatever its kind."""


class SocketioChat:
    """Chat that the engine serves. `nursery`: where clients wait that may come back."""

    def __init__(
        self,
        parts: Parts,
        sessions: LiveSessions,
        settings: SocketIo,
        *,
        cork: Cork,
        rates: Callable[[], Rates | None],
        user_bucket: Callable[[], Callable[[str], TokenBucket] | None],
        nursery: Callable[[], trio.Nursery | None],
    ) -> None:
        self._parts = parts
        self._settings = settings
        self.recovery = Recovery(seconds=settings.recovery, limit=settings.recovery_bytes, nursery=nursery)
        places = EventNumbers(secrets.token_hex(PREFIX_BYTES) if settings.recovery else None)
        words = Words(settings.names, settings.aliases, settings.acknowledgement, places)
        shared = SharedParts(
            parts=parts, cork=cork, sessions=sessions, recovery=self.recovery, rates=rates, user_bucket=user_bucket
        )
        ids = MessageIds()
        self._namespaces = {
            name: ChatNamespace(name, shared, words, ids, settings) for name in dict.fromkeys(settings.namespaces)
        }

    def owner(self, head: Head) -> bytes:
        """Return a digest of the credentials that a request shows; b"" where it shows none."""
        parts = [part.strip() for header in head.all(b"cookie") for part in header.split(b";")]
        cookies = [part for part in parts if part.startswith(SESSION_COOKIE + b"=")]
        shown = [*head.all(b"authorization"), *cookies]
        return sha256(b"\0".join(shown)).digest() if shown else b""

    def open(self, session: EngineSession, head: Head, address: str | None, shown: Carried | None) -> Receiver:
        """Take a new session. `shown`: credentials of a poll's headers; None: it is a WebSocket's handshake."""
        query = dict(parse_qsl(head.query.decode("ascii", "replace"))) if self._settings.query else {}

        def find(name: str) -> Namespace | None:
            return self._namespaces.get(name)

        return SocketioConnection(
            session,
            find,
            connect_timeout=self._settings.connect_timeout,
            carried=carried(head) if shown is None else shown,
            query=query,
            address=address,
        )


class ChatNamespace:
    """A namespace of the chat."""

    def __init__(self, name: str, shared: SharedParts, words: Words, ids: MessageIds, settings: SocketIo) -> None:
        self._name = name
        self._shared = shared
        self._words = words
        self._ids = ids
        self._settings = settings
        self._events = EventHandlers()

    async def join(self, place: NamespacePlace, auth: dict[str, Any]) -> NamespaceMember:
        """Sign a client in: anew, or to where it was. Raises ConnectRefused."""
        said = {**place.query, **auth}
        member = self._left_behind(said.get("pid"))
        if member is not None and await self._resume(member, place, said):
            return member
        return await self._enter(place, said)

    # -- anew --

    async def _enter(self, place: NamespacePlace, said: Mapping[str, Any]) -> ChatMember:
        parts = self._shared.parts
        sid, pid = (secrets.token_urlsafe(SID_BYTES) for _ in range(2))
        dialect = SocketIoDialect(
            self._name, self._words, self._ids, parts.presence, system=self._settings.system_messages
        )
        member = ChatMember(place, dialect, self._shared, self._events, sid=sid, pid=pid)
        dialect.welcome = lambda: _welcome(member, pid if self._settings.recovery else None)
        try:
            await member.ask("hello", **_credentials(said, development=parts.development))
        except EventRefused as refused:
            raise ConnectRefused(refused.error.message, refused.error.code) from None
        self._welcomed(member, recovered=False)
        return member

    # -- where it was --

    def _left_behind(self, pid: Any) -> ChatMember | None:
        """Return the client that this one was, where it is sure to have been told all.

        It waits or, where nobody has noticed yet that its connection is lost, seems to be there.
        """
        found = self._shared.recovery.known(pid) if isinstance(pid, str) else None
        if not isinstance(found, ChatMember) or found.place.namespace != self._name or found.wire.is_cut:
            return None
        parts = self._shared.parts
        if isinstance(parts.store, SharedStore) and not parts.presence.online(found.user_id):
            return None  # what others write to the database is looked for only for those who are seen
        return found

    async def _resume(self, member: ChatMember, place: NamespacePlace, said: Mapping[str, Any]) -> bool:
        """Let the client go on, if it is the same user by a fresh sign-in. Raises ConnectRefused.

        False: it must sign in anew. A ticket is good once: that is decided before it is used, as far as possible.
        """
        parts, session, recovery = self._shared.parts, member.session, self._shared.recovery
        if _missed(member, said) is None:
            recovery.drop(member)
            return False
        offer = _offer(said, place.carried, development=parts.development)
        try:
            identity = await parts.sign_in.authenticate(offer)
            if identity.user != member.user_id:
                return False
            with parts.registry.arriving(identity, session):
                await parts.sign_in.admit(identity, offer)
            if recovery.find(member.pid) is None:
                member.place.close("transport close")  # it waits from here on, like all who are lost
            missed = _missed(member, said)
            if missed is None or not recovery.resume(member):
                return False
            session.identity = identity
            parts.registry.unpark(member.user_id, session)
            member.resume(place)
            place.welcome(member.sid, member.pid)
            member.wire.resend(SEPARATOR.join(missed))
            await parts.presence.arrive(member.user_id)
        except NotAccepted as error:
            raise ConnectRefused(error.message, "unauthorized") from None
        except Unavailable:
            raise ConnectRefused("the server can't read or save at the moment", "unavailable") from None
        self._welcomed(member, recovered=True)
        return True

    def _welcomed(self, member: ChatMember, *, recovered: bool) -> None:
        session = member.place.session
        session.trust()
        self._shared.recovery.joined(member)
        log.info(
            "signed in",
            session=member.session.id,
            user=member.user_id,
            transport=session.transport,
            connections=len(self._shared.parts.registry.of(member.user_id)),
            recovered=recovered,
        )


def _missed(member: ChatMember, said: Mapping[str, Any]) -> list[bytes] | None:
    """Return the packets that the client has not got; None where some of them are gone."""
    offset = said.get("offset")
    kept = member.wire.log
    missed = kept.after(offset if isinstance(offset, str) else None) if kept is not None else None
    return None if missed is None else [packet for packet in missed if packet[:2] in PACKETS]


def _welcome(member: ChatMember, pid: str | None) -> bytes:
    """Return what a client gets first: its ids, then who is online."""
    namespace = member.place.namespace
    ids = {"sid": member.sid} if pid is None else {"sid": member.sid, "pid": pid}
    first = text_packet(head_of(SocketioKind.CONNECT, namespace), ids)
    return SEPARATOR.join([first, *member.dialect.emit("online_users", {"userIds": online_users(member)})])


def _credentials(said: Mapping[str, Any], *, development: bool) -> dict[str, Any]:
    """Return the fields of `hello` that a client's `auth` amounts to."""
    if development:
        role = said.get("role")
        return {
            "user": said.get("userId") or said.get("user"),
            "name": said.get("name") or said.get("userName"),
            "role": role.lower() if isinstance(role, str) and role.lower() in ROLES else None,
        }
    found = next((said[name] for name in TOKEN_FIELDS if isinstance(said.get(name), str) and said[name]), None)
    if found is not None and found[:7].lower() == "bearer ":
        found = found[7:].strip()
    return {"token": found}


def _offer(said: Mapping[str, Any], shown: Carried, *, development: bool) -> Offer:
    fields = _credentials(said, development=development)
    return Offer(
        token=fields.get("token"), carried=shown,
        user=fields.get("user"), name=fields.get("name"), role=fields.get("role"),
    )  # fmt: skip
