"""Two daemons on one store: what one revokes, the other cuts off within two seconds."""

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from chatd import testing
from chatd.cluster.notices import KEPT_MS
from chatd.core.accounts import AccountChange
from chatd.testing import Server
from storage.changes import AddToken, DeleteRows, PutUser, RevokeToken, RevokeTokens, SetDisabled
from storage.keyed import REVOCATION, SIGNED_IN
from storage.memory import MemoryStore
from storage.records import Room, Scan, ScanPosition, Shrunk


class TwoDaemons(MemoryStore):
    """A store that says of itself that others write to it, too; no app does."""

    def __init__(self) -> None:
        super().__init__(epoch="epoch-1")

    def scan(self, since: ScanPosition | None) -> Scan:
        return Scan(next=(0, "", 0, ""), conversations={}, users=(), waiting=False)

    def has_pending(self, conversation: str, user: str | None = None) -> bool:
        return False

    def ingest(self, conversation: str | None, at: int, *, people_gone_at: int | None = None) -> bool:
        return False

    def shrunk(self, watched: Mapping[str, Collection[str]]) -> Shrunk:
        return Shrunk()

    def missing_users(self, ids: Collection[str]) -> list[str]:
        return [id for id in ids if id not in self._users]

    def rooms(self, ids: Collection[str]) -> dict[str, Room]:
        return {id: room for id in ids if (room := self.room(id)) is not None}


@asynccontextmanager
async def pair() -> AsyncIterator[tuple[Server, Server]]:
    store = TwoDaemons()
    store.commit([PutUser("pat-1", "Ada", "patient", 0), PutUser("pat-2", "Eva", "patient", 0)])
    async with (
        testing.daemon(development=False, store=store) as one,
        testing.daemon(development=False, store=store) as two,
    ):
        yield one, two


async def session_of(server: Server, user: str) -> str:
    row = server.store.user(user)
    assert row is not None
    secret, _ = await server.daemon.keepers.sessions.begin(row, "password", None)
    return secret


@pytest.mark.parametrize(
    "change",
    [
        SetDisabled("pat-1", True, 1),
        RevokeTokens("pat-1", 1),
        RevokeToken("jti-1", 1),
        DeleteRows(kind=SIGNED_IN, field="user", value="pat-1"),
        DeleteRows(kind=SIGNED_IN),
    ],
    ids=lambda change: type(change).__name__,
)
async def test_revocation_cuts_connections_at_the_other_daemon(
    change: AccountChange, autojump_clock: MockClock
) -> None:
    async with pair() as (one, two):
        if isinstance(change, (SetDisabled, DeleteRows)):
            client = await two.connect(token=await session_of(one, "pat-1"))
        else:
            tokens = two.daemon.tokens
            assert tokens is not None
            text, claims = tokens.issue("pat-1", "jti-1", two.now(), 3600)
            await two.daemon.parts.accounts.commit([AddToken("jti-1", "pat-1", claims.issued_at, claims.expires_at)])
            client = await two.connect(token=text)
        bystander = await two.connect(token=two.token("pat-2"))
        await one.daemon.parts.accounts.commit([change])
        with trio.fail_after(2):
            assert (await client.closed()).code == 4503
        await bystander.ask("ping")


async def test_revocation_is_carried_out_once_and_forgotten(autojump_clock: MockClock) -> None:
    async with pair() as (one, two):
        await session_of(one, "pat-1")
        await one.daemon.parts.accounts.commit([DeleteRows(kind=SIGNED_IN, field="user", value="pat-1")])
        await trio.sleep(2)
        again = await two.connect(token=await session_of(two, "pat-1"))
        await trio.sleep(100)
        await again.ask("ping")
        assert len(one.store.rows(REVOCATION, None, None, after="", limit=10)) == 1
        await trio.sleep(2 * KEPT_MS / 1000 + 100)
        assert one.store.rows(REVOCATION, None, None, after="", limit=10) == []
