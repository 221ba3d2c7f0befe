"""Signing in with tokens, and what ends a session: expiry, revoking, shutting out. On the virtual clock."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from chatd.admin.ports import LivePort
from chatd.client import Closed, Connected
from chatd.config import Config
from chatd.config import Server as ServerSettings
from chatd.daemon import Daemon
from chatd.testing.harness import Disconnected, Refused, Server, TestClient, daemon
from protocol.times import to_rfc3339
from storage.changes import AddToken, BeginLineage, PutUser, RevokeToken, RevokeTokens, SetDisabled
from storage.memory import MemoryStore
from support import forge
from support.forge import WRONG
from support.steering import Runner, WatchedStore

ORIGIN = "https://clinic.example"
SETTINGS = Config(server=ServerSettings(allowed_origins=(ORIGIN,)))


@asynccontextmanager
async def clinic(**parts: Any) -> AsyncIterator[Server]:
    """A daemon outside development mode; pat-1, pat-2 and den-1 are known."""
    parts.setdefault("store", MemoryStore(epoch="epoch-1"))
    async with daemon(development=False, config=SETTINGS, **parts) as server:
        people = (("pat-1", "Ada", "patient"), ("pat-2", "Cleo", "patient"), ("den-1", "Bo", "dentist"))
        server.store.commit([PutUser(id, name, role, 1) for id, name, role in people])
        yield server


def seconds(server: Server) -> int:
    return server.now() // 1000


async def refusal(client: TestClient, **hello: Any) -> tuple[Refused, Disconnected]:
    with pytest.raises(Refused) as caught:
        await client.ask("hello", **hello)
    return caught.value, await client.closed()


def named(user: Any) -> tuple[str, str, str]:
    return user["id"], user["name"], user["role"]


# -- signing in --


async def test_a_token_signs_in_as_its_user(autojump_clock: MockClock) -> None:
    async with clinic() as server:
        client = await server.connect(token=server.token("pat-1", lifetime=90))
        assert named(client.user) == ("pat-1", "Ada", "patient")
        assert client.received[-1]["expires_at"] == to_rfc3339(seconds(server) * 1000 + 90_000)


@pytest.mark.parametrize("name", WRONG)
async def test_wrong_tokens(autojump_clock: MockClock, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = WRONG[name]
    async with clinic() as server:
        client = await server.connect()
        text = wrong.make(seconds(server))
        error, end = await refusal(client, token=text)
        assert (error.code, end.code) == ("unauthorized", 4011 if wrong.expired else 4501)
        assert error.temporary == wrong.expired
        assert error.message.startswith("the token ")
        assert (error.message == "the token has expired") == wrong.expired
        assert server.daemon.registry.count == 0
    logged = capsys.readouterr()
    assert "sign-in refused" in logged.out
    assert len(text) < 5 or text not in logged.out + logged.err


async def test_a_token_over_8_kib_breaks_the_schema(autojump_clock: MockClock) -> None:
    async with clinic() as server:
        client = await server.connect()
        with pytest.raises(Refused) as caught:
            await client.ask("hello", token=forge.token(seconds(server), pad="x" * 8192))
        assert caught.value.code == "bad_request"
        await client.hello(token=server.token("pat-1"))


async def test_no_token_at_all(autojump_clock: MockClock) -> None:
    async with clinic() as server:
        error, end = await refusal(await server.connect())
        assert (error.code, end.code) == ("unauthorized", 4501)
        assert "token" in error.message


async def test_a_name_is_no_token(autojump_clock: MockClock) -> None:
    async with clinic() as server:
        good = {"Authorization": f"Bearer {server.token('pat-1')}"}
        for client in (await server.connect(), await server.connect(headers=good)):
            error, end = await refusal(client, user="pat-1")
            assert (error.code, end.code) == ("unauthorized", 4501)


@pytest.mark.parametrize("changed", [{"sub": "pat-9"}, {"sub": "PAT-1"}, {"sub": "pat-1/"}], ids=str)
async def test_an_unknown_user(autojump_clock: MockClock, changed: dict[str, Any]) -> None:
    async with clinic() as server:
        error, end = await refusal(await server.connect(), token=forge.token(seconds(server), **changed))
        assert (error.code, end.code) == ("unauthorized", 4501)
        assert error.message == "the token is not accepted: no such user"


async def test_the_platform_signs_tokens_of_its_own(autojump_clock: MockClock) -> None:
    async with clinic() as server:
        client = await server.connect(token=forge.token(seconds(server)))
        assert client.user is not None
        assert client.user["id"] == "pat-1"


async def test_a_token_in_the_handshake(autojump_clock: MockClock) -> None:
    async with clinic() as server:
        ada, cleo = server.token("pat-1"), server.token("pat-2")
        bearer, cookie = {"Authorization": f"Bearer {ada}"}, {"Cookie": f"a=b; chatd_session={ada}", "Origin": ORIGIN}
        for headers in (bearer, cookie):
            client = await server.connect(headers=headers)
            await client.hello()
            assert named(client.user) == ("pat-1", "Ada", "patient")
            client = await server.connect(headers=headers)
            await client.hello(token=cleo)
            assert named(client.user) == ("pat-2", "Cleo", "patient")
        error, end = await refusal(await server.connect(headers={"Cookie": f"chatd_session={ada}"}))
        assert (error.code, end.code) == ("unauthorized", 4501)


@pytest.mark.parametrize("header", ["Authorization", "Cookie"])
@pytest.mark.parametrize("kind", ["expired", "another secret", "over 8 KiB"])
async def test_a_wrong_token_in_the_handshake(autojump_clock: MockClock, header: str, kind: str) -> None:
    async with clinic() as server:
        now = seconds(server)
        text = forge.token(now, pad="x" * 8192) if kind == "over 8 KiB" else WRONG[kind].make(now)
        value = f"Bearer {text}" if header == "Authorization" else f"chatd_session={text}"
        error, end = await refusal(await server.connect(headers={header: value, "Origin": ORIGIN}))
        assert (error.code, end.code) == ("unauthorized", 4011 if kind == "expired" else 4501)


async def test_a_store_that_cannot_answer(autojump_clock: MockClock) -> None:
    reads = Runner()
    async with clinic(read=reads) as server:
        client = await server.connect()
        reads.fail("before")
        error, end = await refusal(client, token=server.token("pat-1"))
        assert (error.code, error.temporary, end.code) == ("unavailable", True, 4013)


async def test_tokens_are_not_for_development_mode(autojump_clock: MockClock) -> None:
    async with daemon() as server:
        client = await server.connect()
        with pytest.raises(Refused) as caught:
            await client.ask("hello", token="a.b.c", user="pat-1")
        assert caught.value.code == "bad_request"
        await client.hello("pat-1")
        with pytest.raises(Refused) as caught:
            await client.ask("hello", token="a.b.c")
        assert caught.value.code == "bad_request"
        await client.ask("ping")


async def test_one_read_signs_in(autojump_clock: MockClock) -> None:
    reads = 0

    class Counting(MemoryStore):
        def credentials(self, user: str, jti: str) -> Any:
            nonlocal reads
            reads += 1
            return super().credentials(user, jti)

    async with clinic(store=Counting(epoch="e")) as server:
        await server.connect(token=server.token("pat-1"))
        assert reads == 1


# -- expiry, renewal --


async def test_a_connection_ends_with_its_token(autojump_clock: MockClock) -> None:
    async with clinic() as server:
        client = await server.connect(token=server.token("pat-1", lifetime=10))
        began = trio.current_time()
        assert (await client.closed()).code == 4011
        assert trio.current_time() - began == pytest.approx(10, abs=0.01)
        assert server.daemon.registry.count == 0


async def test_a_fresh_token_renews(autojump_clock: MockClock) -> None:
    async with clinic() as server:
        client = await server.connect(token=server.token("pat-1", lifetime=90))
        began = trio.current_time()
        await trio.sleep(60)
        ok = await client.ask("hello", token=server.token("pat-1", lifetime=90), revs={"c": 1}, epoch="epoch-1")
        assert ok["expires_at"] == to_rfc3339(seconds(server) * 1000 + 90_000)
        assert not {"conversations", "revs", "users", "presence", "cursor"} & ok.keys()
        assert ok["user"]["id"] == "pat-1"
        await trio.sleep(60)
        await client.ask("ping")
        assert (await client.closed()).code == 4011
        assert trio.current_time() - began == pytest.approx(150, abs=0.01)


async def test_a_fresh_token_may_end_sooner(autojump_clock: MockClock) -> None:
    async with clinic() as server:
        client = await server.connect(token=server.token("pat-1", lifetime=900))
        await client.ask("hello", token=server.token("pat-1", lifetime=10))
        began = trio.current_time()
        assert (await client.closed()).code == 4011
        assert trio.current_time() - began == pytest.approx(10, abs=0.01)


async def test_a_clock_that_is_set_moves_the_end(autojump_clock: MockClock) -> None:
    ahead = 0

    def now() -> int:
        return 1_795_400_000_000 + round(trio.current_time() * 1000) + ahead

    async with clinic(now=now) as server:
        client = await server.connect(token=server.token("pat-1", lifetime=3600))
        began = trio.current_time()
        ahead = 3600_000
        assert (await client.closed()).code == 4011
        assert trio.current_time() - began < 26, "seen with the next heartbeat"


@pytest.mark.parametrize("name", ["expired", "another secret", "no exp", "garbage"])
async def test_a_wrong_token_later_is_the_end(autojump_clock: MockClock, name: str) -> None:
    async with clinic() as server:
        client = await server.connect(token=server.token("pat-1"))
        error, end = await refusal(client, token=WRONG[name].make(seconds(server)))
        assert (error.code, end.code) == ("unauthorized", 4011 if name == "expired" else 4501)


async def test_other_hellos_later_are_mistakes(autojump_clock: MockClock) -> None:
    async with clinic() as server:
        client = await server.connect(token=server.token("pat-1"))
        for hello in (
            {},
            {"user": "pat-1"},
            {"token": server.token("pat-2")},
            {"token": server.token("pat-1"), "user": "x"},
        ):
            with pytest.raises(Refused) as caught:
                await client.ask("hello", **hello)
            assert caught.value.code == "bad_request"
        assert server.daemon.registry.of("pat-2") == ()
        await client.ask("ping")


async def test_a_renewal_that_the_store_cannot_judge_may_be_tried_again(autojump_clock: MockClock) -> None:
    reads = Runner()
    async with clinic(read=reads) as server:
        client = await server.connect(token=server.token("pat-1", lifetime=90))
        reads.fail("before")
        with pytest.raises(Refused) as caught:
            await client.ask("hello", token=server.token("pat-1"))
        assert caught.value.code == "unavailable"
        assert caught.value.temporary
        await client.ask("hello", token=server.token("pat-1"))


# -- revoked, shut out --


async def test_user_disabled_is_cut_off_everywhere(autojump_clock: MockClock) -> None:
    async with clinic() as server:
        ones = [await server.connect(token=server.token("pat-1")) for _ in range(2)]
        other = await server.connect(token=server.token("pat-2"))
        began = trio.current_time()
        await server.daemon.parts.accounts.commit([SetDisabled("pat-1", True, server.now())])
        for client in ones:
            end = await client.closed()
            assert (end.code, end.reason) == (4503, "this account is disabled")
        assert trio.current_time() - began < 1
        error, end = await refusal(await server.connect(), token=server.token("pat-1"))
        assert (error.code, end.code) == ("unauthorized", 4501)
        assert error.message == "the token is not accepted: the user is disabled"
        await server.daemon.parts.accounts.commit([SetDisabled("pat-1", False, server.now())])
        await server.connect(token=server.token("pat-1"))
        await other.ask("ping")


async def issued(server: Server, jti: str, user: str = "pat-1") -> str:
    now = server.now()
    tokens = server.daemon.tokens
    assert tokens is not None
    text, claims = tokens.issue(user, jti, now, 3600)
    await server.daemon.parts.accounts.commit([AddToken(jti, user, claims.issued_at, claims.expires_at)])
    return text


async def test_a_revoked_token_cuts_its_own_connections(autojump_clock: MockClock) -> None:
    async with clinic() as server:
        first, second = await issued(server, "t1"), await issued(server, "t2")
        ones = [await server.connect(token=first) for _ in range(2)]
        other = await server.connect(token=second)
        await server.daemon.parts.accounts.commit([RevokeToken("t1", server.now())])
        for client in ones:
            end = await client.closed()
            assert (end.code, end.reason) == (4503, "the token was revoked")
        await other.ask("ping")
        error, end = await refusal(await server.connect(), token=first)
        assert (error.code, end.code) == ("unauthorized", 4501)


async def test_a_renewed_session_ends_with_the_fresh_token(autojump_clock: MockClock) -> None:
    async with clinic() as server:
        first, second = await issued(server, "t1"), await issued(server, "t2")
        client = await server.connect(token=first)
        await client.ask("hello", token=second)
        await server.daemon.parts.accounts.commit([RevokeToken("t1", server.now())])
        await client.ask("ping")
        await server.daemon.parts.accounts.commit([RevokeToken("t2", server.now())])
        assert (await client.closed()).code == 4503


async def test_all_tokens_of_a_user(autojump_clock: MockClock) -> None:
    async with clinic() as server:
        known, foreign = await issued(server, "t1"), forge.token(seconds(server))
        ones = [await server.connect(token=text) for text in (known, foreign)]
        other = await server.connect(token=server.token("pat-2"))
        await server.daemon.parts.accounts.commit([RevokeTokens("pat-1", server.now())])
        same_second = forge.token(seconds(server), jti="platform-2")
        fresh = await issued(server, "t2")
        for client in ones:
            assert (await client.closed()).code == 4503
        for text in (known, foreign, same_second):
            error, end = await refusal(await server.connect(), token=text)
            assert (error.code, end.code) == ("unauthorized", 4501)
        await server.connect(token=fresh)
        await trio.sleep(1)
        await server.connect(token=forge.token(seconds(server), jti="platform-3"))
        await other.ask("ping")


@pytest.mark.parametrize(
    "change",
    [SetDisabled("pat-1", True, 5), RevokeToken("t1", 5), RevokeTokens("pat-1", 5)],
    ids=lambda change: type(change).__name__,
)
@pytest.mark.parametrize("later", [False, True], ids=["hello", "renewal"])
async def test_sign_in_during_a_disabling_is_shut_out(autojump_clock: MockClock, change: Any, later: bool) -> None:
    """The store is asked before the change, and answers after it."""
    reads = Runner()
    async with clinic(read=reads) as server:
        text = await issued(server, "t1")
        client = await server.connect()
        if later:
            await client.hello(token=await issued(server, "t0"))
        reads.hold("after")
        await client.send("hello", token=text)
        await wait_all_tasks_blocked()
        await server.daemon.parts.accounts.commit([change])
        reads.release()
        assert (await client.closed()).code == 4503
        await wait_all_tasks_blocked()
        assert server.daemon.registry.count == 0


async def test_a_revoked_connection_sees_nothing_more(autojump_clock: MockClock) -> None:
    """Not while it takes its time to answer the close, either."""
    async with clinic() as server:
        ada = await server.connect(token=server.token("pat-1"))
        bo = await server.connect(token=server.token("den-1"))
        opened = await bo.ask("conversation.open", with_="pat-1")
        await ada.expect("change")
        parts = server.daemon.parts
        (session,) = server.daemon.registry.of("pat-1")
        await parts.accounts.commit([RevokeTokens("pat-1", server.now())])
        assert session.is_gone
        await bo.ask("message.send", conversation=opened["conversation"], client_id="b-1", body="secret")
        assert (await ada.closed()).code == 4503
        assert all("secret" not in str(frame) for frame in ada.received)


async def test_another_lineage_makes_everybody_start_anew(autojump_clock: MockClock) -> None:
    async with clinic() as server:
        client = await server.connect(token=server.token("pat-1"))
        assert client.epoch == "epoch-1"
        await server.daemon.parts.accounts.commit([BeginLineage("epoch-2")])
        assert (await client.closed()).code == 1001
        client = await server.connect(token=server.token("pat-1"), epoch="epoch-1", revs={"c": 4})
        assert client.epoch == "epoch-2"
        assert client.received[-1]["revs"] == {"c": {"rev": 0, "reset": True}}


# -- names and roles --


async def test_a_new_name_and_role_reach_those_who_are_connected(autojump_clock: MockClock) -> None:
    async with clinic() as server:
        ada, again = [await server.connect(token=server.token("pat-1")) for _ in range(2)]
        bo = await server.connect(token=server.token("den-1"))
        cleo = await server.connect(token=server.token("pat-2"))
        await bo.ask("conversation.open", with_="pat-1")
        await server.daemon.parts.accounts.commit([PutUser("pat-1", "Ada L.", "staff", server.now())])
        for client in (ada, again, bo):
            await client.expect("user", user={"id": "pat-1", "name": "Ada L.", "role": "staff"})
        assert all(event["type"] != "user" for event in await cleo.barrier())
        # What they may do is by the new role: patients don't reach patients.
        await ada.ask("conversation.open", with_="pat-2")
        await again.ask("user.list", role="patient")


async def test_peers_hear_of_somebody_who_is_away(autojump_clock: MockClock) -> None:
    async with clinic() as server:
        bo = await server.connect(token=server.token("den-1"))
        cleo = await server.connect(token=server.token("pat-2"))
        await bo.ask("conversation.open", with_="pat-1")
        await server.daemon.parts.accounts.commit([PutUser("pat-1", "Ada L.", None, server.now())])
        await bo.expect("user", user={"id": "pat-1", "name": "Ada L."})
        await server.daemon.parts.accounts.commit([SetDisabled("pat-1", True, server.now())])
        await bo.expect("user", user={"id": "pat-1", "disabled": True})
        assert all(event["type"] != "user" for event in await cleo.barrier())


async def test_a_name_that_changes_during_hello(autojump_clock: MockClock) -> None:
    reads = Runner()
    async with clinic(read=reads) as server:
        client = await server.connect()
        reads.hold("after")
        id = await client.send("hello", token=server.token("pat-1"))
        await wait_all_tasks_blocked()
        await server.daemon.parts.accounts.commit([PutUser("pat-1", "Ada L.", "staff", server.now())])
        reads.release()
        ok = await client.reply(id)
        assert named(ok["user"]) == ("pat-1", "Ada L.", "staff")
        (session,) = server.daemon.registry.of("pat-1")
        assert session.user is not None
        assert session.user.role == "staff"


async def test_a_renaming_hello_that_is_refused_is_told_all_the_same(autojump_clock: MockClock) -> None:
    async with daemon(store=WatchedStore()) as server:
        bo = await server.connect("den-1", role="dentist")
        await bo.ask("user.list")
        ada = await server.connect("pat-1")
        await ada.ask("conversation.open", with_="den-1")
        await server.daemon.parts.accounts.commit([SetDisabled("pat-1", True, server.now())])
        assert (await ada.closed()).code == 4503
        error, end = await refusal(await server.connect(), user="pat-1", name="Ada again")
        assert (error.code, end.code) == ("unauthorized", 4501)
        await bo.expect("user", user={"id": "pat-1", "name": "Ada again"})


# -- the program's client --


async def test_the_client_fetches_a_fresh_token_when_its_own_expires(autojump_clock: MockClock) -> None:
    async with clinic() as server:
        fetched = 0

        async def fetch() -> str:
            nonlocal fetched
            fetched += 1
            await trio.lowlevel.checkpoint()
            return server.token("pat-1", lifetime=60)

        async with server.client(token=fetch) as client:
            connected = 0
            with trio.fail_after(300):
                async for event in client.events():
                    connected += isinstance(event, Connected)
                    if connected == 3:
                        break
            assert fetched == 3


async def test_the_client_ends_when_it_is_revoked(autojump_clock: MockClock) -> None:
    async with clinic() as server, server.client(token=server.token("pat-1")) as client:
        events = client.events()
        await client.conversations()
        await server.daemon.parts.accounts.commit([RevokeTokens("pat-1", server.now())])
        with pytest.raises(Closed) as caught:
            async for _ in events:
                pass
        assert caught.value.code == 4503


def test_a_daemon_outside_development_mode_needs_tokens() -> None:
    with pytest.raises(ValueError, match="tokens"):
        Daemon(Config(), MemoryStore(epoch="e"))


async def test_a_live_port_commits_by_the_gate(autojump_clock: MockClock) -> None:
    async with clinic() as server:
        client = await server.connect(token=server.token("pat-1"))
        port = LivePort(server.daemon.parts, server.daemon.tokens)
        await port.commit([SetDisabled("pat-1", True, port.now())])
        assert (await client.closed()).code == 4503
