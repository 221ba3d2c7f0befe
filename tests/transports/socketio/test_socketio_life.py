"""Sign-in, recovery, the end and the settings of Socket.IO connections."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from chatd import testing
from chatd.config import Config, Limits
from chatd.config.settings import SocketIo
from chatd.http import socketio
from chatd.testing import Server
from protocol.codes import CloseCode
from storage.changes import PutUser, SetDisabled
from support.clinics import SITE, clinic
from support.engineio import Wire
from support.socketio_chat import ConnectError, SioClient, sio

PAT = {"userId": "pat-1", "name": "Ada"}
DEN = {"userId": "den-1", "name": "Dr Ay", "role": "dentist"}


async def refused(server: Server, auth: dict[str, Any] | None, **more: Any) -> dict[str, Any]:
    """Be refused, and return what the CONNECT_ERROR says."""
    with pytest.raises(ConnectError) as raised:
        async with sio(server, auth, **more):
            pass
    return raised.value.data


@asynccontextmanager
async def secured(**config: Any) -> AsyncIterator[Server]:
    """A daemon outside development mode, with a patient and a dentist."""
    async with testing.daemon(development=False, config=Config(**config)) as server:
        for id, name, role in (("pat-1", "Ada", "patient"), ("den-1", "Dr Ay", "dentist")):
            await server.daemon.parts.accounts.commit([PutUser(id, name, role, server.now())])
        yield server


async def opened(pat: SioClient) -> str:
    id: str = (await pat.ask("create_conversation", {"targetUserId": "den-1"}))["conversationId"]
    return id


# -- sign-in --


@pytest.mark.parametrize("field", ["token", "ticket", "accessToken"])
@pytest.mark.parametrize("prefix", ["", "Bearer "])
async def test_token_signs_in(autojump_clock: MockClock, field: str, prefix: str) -> None:
    async with secured() as server, sio(server, {field: prefix + server.token("pat-1")}) as pat:
        assert (await pat.ask("get_online_users", {}))["success"] is True


@pytest.mark.parametrize(
    "auth", [None, {}, {"userId": "pat-1"}, {"token": "wrong"}, {"token": 7}, {"token": {"a": 1}}, {"token": ""}]
)
async def test_without_a_credential_nobody_is_let_in(autojump_clock: MockClock, auth: Any) -> None:
    async with secured() as server:
        data = await refused(server, auth)
        assert data["message"]
        assert data["data"]["code"] in ("unauthorized", "bad_request")


async def test_expired_token_is_refused_and_a_live_one_ends_the_connection(autojump_clock: MockClock) -> None:
    async with secured() as server:
        async with sio(server, {"token": server.token("pat-1", lifetime=10)}) as pat:
            await trio.sleep(9)
            assert not pat.lost.is_set()
            await trio.sleep(2)
            assert pat.lost.is_set()
            assert not pat.disconnected, "it comes back by itself"
        late = server.token("pat-1", lifetime=1)
        await trio.sleep(2)
        assert (await refused(server, {"token": late}))["data"]["code"] == "unauthorized"


async def test_token_in_the_query_counts_by_setting_only(autojump_clock: MockClock) -> None:
    async with secured() as server:
        await refused(server, {}, token=server.token("pat-1"))
    async with secured(socketio=SocketIo(query=True)) as server, sio(server, {}, token=server.token("pat-1")) as pat:
        assert pat.sid


async def test_cookie_signs_in_where_an_allowed_page_connects(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        secret = await c.sign_in("pat-1")
        headers = {"Cookie": f"chatd_session={secret}", "Origin": SITE}
        async with sio(c.server, None, headers=headers) as pat:
            assert (await pat.ask("get_conversations", {}))["conversations"] == []
        await refused(c.server, None, headers={"Cookie": f"chatd_session={secret}"})  # no page says where it comes from


async def test_cookie_signs_in_over_polling(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        headers = {"Cookie": f"chatd_session={await c.sign_in('pat-1')}", "Origin": SITE}
        wire = Wire(c.server.dial)
        sid = await wire.begin(headers)
        await wire.post(sid, "40", headers)
        response = await wire.get(sid, headers)
        assert response.text.startswith('40{"sid":'), response.text
        assert response.headers["access-control-allow-origin"] == SITE
        assert response.headers["access-control-allow-credentials"] == "true"


async def test_session_is_nobody_elses(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        mine, theirs = [
            {"Cookie": f"chatd_session={await c.sign_in(user)}", "Origin": SITE} for user in ("pat-1", "den-1")
        ]
        wire = Wire(c.server.dial)
        sid = await wire.begin(mine)
        assert (await wire.post(sid, "40", theirs)).status == 400
        assert (await wire.post(sid, "40", mine)).status == 200


# -- the end --


async def test_revocation_disconnects_for_good(autojump_clock: MockClock) -> None:
    async with secured() as server, sio(server, {"token": server.token("pat-1")}) as pat:
        await server.daemon.parts.accounts.commit([SetDisabled("pat-1", True, server.now())])
        await pat.lost.wait()
        assert pat.disconnected
        assert (await refused(server, {"token": server.token("pat-1")}))["data"]["code"] == "unauthorized"


@pytest.mark.parametrize("code", [CloseCode.TOO_SLOW, CloseCode.GOING_AWAY, CloseCode.OVERLOADED])
async def test_other_ends_close_the_transport_alone(autojump_clock: MockClock, code: CloseCode) -> None:
    async with testing.daemon() as server, sio(server, PAT) as pat:
        (live,) = server.daemon.sessions
        live.stop(code, "for a test")
        await pat.lost.wait()
        assert not pat.disconnected


async def test_shutdown_closes_the_transport(autojump_clock: MockClock) -> None:
    async with testing.daemon() as server, sio(server, PAT) as pat:
        server.daemon.stop()
        await pat.lost.wait()
        assert not pat.disconnected


async def test_poll_that_is_never_made_ends_the_session_as_too_slow(autojump_clock: MockClock) -> None:
    config = Config(limits=Limits(outbox_bytes=65_536))
    async with testing.daemon(config=config) as server, sio(server, DEN) as den:
        wire = Wire(server.dial)
        sid = await wire.begin()
        await wire.post(sid, "40" + json.dumps(PAT))
        await wire.get(sid)
        id = (await den.ask("create_conversation", {"targetUserId": "pat-1"}))["conversationId"]
        for _ in range(40):
            await den.ask("send_message", {"conversationId": id, "content": "x" * 5_000})
        assert (await wire.get(sid)).status == 400
        assert [live.transport for live in server.daemon.sessions] == ["socketio"]


# -- rates --


async def test_burst_after_connect_waits_and_is_not_refused(autojump_clock: MockClock) -> None:
    config = {"limits": Limits(requests_per_second=10, request_burst=5)}
    async with secured(**config) as server, sio(server, {"token": server.token("pat-1")}) as pat:
        id = await opened(pat)
        began = trio.current_time()
        answers: list[Any] = []

        async def send(number: int) -> None:
            answers.append(await pat.ask("send_message", {"conversationId": id, "content": str(number)}))

        async with trio.open_nursery() as nursery:
            for number in range(60):
                nursery.start_soon(send, number)
        assert all(answer["success"] for answer in answers)
        assert 4 < trio.current_time() - began < 12


# -- recovery --


async def test_lost_connection_goes_on_where_it_was(autojump_clock: MockClock) -> None:
    async with testing.daemon() as server, sio(server, DEN) as den:
        async with sio(server, PAT) as pat:
            id = await opened(pat)
            await den.ask("send_message", {"conversationId": id, "content": "one"})
            await pat.next("new_message")
        await trio.sleep(60)
        await den.ask("send_message", {"conversationId": id, "content": "two"})
        await den.ask("mark_read", id)
        async with sio(server, {**PAT, "pid": pat.pid, "offset": pat.offset}) as again:
            assert (again.sid, again.pid) == (pat.sid, pat.pid)
            assert (await again.next("new_message"))["content"] == "two"
            await den.ask("send_message", {"conversationId": id, "content": "three"})
            assert (await again.next("new_message"))["content"] == "three"
            assert not again.named("online_users"), "that is for those who are new"
            await again.ask("send_message", {"conversationId": id, "content": "four"})
        assert [m["content"] for m in (await den.ask("get_messages", id))["messages"]] == [
            "one",
            "two",
            "three",
            "four",
        ]


async def test_client_that_lost_the_last_events_gets_them_again(autojump_clock: MockClock) -> None:
    async with testing.daemon() as server, sio(server, DEN) as den:
        async with sio(server, PAT) as pat:
            id = await opened(pat)
            await pat.next("conversation_created")
            offset = pat.offset
            for text in ("one", "two"):
                await den.ask("send_message", {"conversationId": id, "content": text})
            await pat.next("new_message")
        async with sio(server, {**PAT, "pid": pat.pid, "offset": offset}) as again:
            assert [(await again.next("new_message"))["content"] for _ in range(2)] == ["one", "two"]


async def test_recovery_of_another_users_connection_is_refused(autojump_clock: MockClock) -> None:
    async with secured() as server:
        async with sio(server, {"token": server.token("pat-1")}) as pat:
            pass
        stolen = {"token": server.token("den-1"), "pid": pat.pid, "offset": pat.offset}
        async with sio(server, stolen) as thief:
            assert thief.pid != pat.pid
            assert thief.sid != pat.sid
        await refused(server, {"pid": pat.pid, "offset": pat.offset})


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_client_that_is_back_before_it_is_missed_takes_its_connection_over(
    autojump_clock: MockClock, transport: str
) -> None:
    async with testing.daemon() as server, sio(server, DEN) as den, sio(server, PAT) as lost:
        id = await opened(lost)
        pid, offset = lost.pid, lost.offset
        if transport == "polling":
            wire = Wire(server.dial)
            engine_sid = await wire.begin()
            await wire.post(engine_sid, "40" + json.dumps(PAT))
            first = (await wire.get(engine_sid)).text.split("\x1e")
            pid, offset = json.loads(first[0][2:])["pid"], json.loads(first[1][2:])[-1]
        await den.ask("send_message", {"conversationId": id, "content": "one"})  # reaches nobody who reads
        async with sio(server, {**PAT, "pid": pid, "offset": offset}) as again:
            assert again.pid == pid
            assert (await again.next("new_message"))["content"] == "one"
            await den.ask("send_message", {"conversationId": id, "content": "two"})
            assert (await again.next("new_message"))["content"] == "two"
            assert not again.named("online_users"), "that is for those who are new"
            if transport == "polling":
                assert (await wire.get(engine_sid)).status == 400
            else:
                await lost.lost.wait()
                assert not lost.disconnected, "nobody is shut out"
                assert lost.named("new_message")[1:] == [], "two came to the new connection alone"
            await trio.sleep(10)
            assert not den.named("user_offline")
            # One more where the lost one polls: that of WebSocket is somebody's other window then.
            assert len(server.daemon.registry.of("pat-1")) == (2 if transport == "polling" else 1)


async def test_takeover_of_another_users_live_connection_is_refused(autojump_clock: MockClock) -> None:
    async with secured() as server, sio(server, {"token": server.token("pat-1")}) as pat:
        stolen = {"token": server.token("den-1"), "pid": pat.pid, "offset": pat.offset}
        async with sio(server, stolen) as thief:
            assert thief.pid != pat.pid
        await refused(server, {"pid": pat.pid, "offset": pat.offset})
        await refused(server, {"token": "wrong", "pid": pat.pid, "offset": pat.offset})
        assert (await pat.ask("join"))["success"] is True, "it is still there"
        unknown = {"token": server.token("pat-1"), "pid": pat.pid, "offset": "0" * 20}
        async with sio(server, unknown) as other:
            assert other.pid != pat.pid
        assert (await pat.ask("join"))["success"] is True


@pytest.mark.parametrize("case", ["late", "unknown pid", "unknown offset", "left by itself", "off"])
async def test_connection_that_cannot_be_recovered_begins_anew(autojump_clock: MockClock, case: str) -> None:
    config = Config(socketio=SocketIo(recovery=0 if case == "off" else 120))
    async with testing.daemon(config=config) as server:
        async with sio(server, PAT) as pat:
            await trio.sleep(1)
            if case == "left by itself":
                await pat._socket.say("41")
                await trio.sleep(1)
        if case == "late":
            await trio.sleep(125)
        pid = "unknown" if case == "unknown pid" else pat.pid
        offset = "0" * 20 if case == "unknown offset" else pat.offset
        async with sio(server, {**PAT, "pid": pid, "offset": offset}) as again:
            assert again.sid != pat.sid
            await again.next("online_users")
        assert (pat.pid is None) == (case == "off")


async def test_waiting_connection_is_not_seen_online(autojump_clock: MockClock) -> None:
    async with testing.daemon() as server, sio(server, DEN) as den:
        async with sio(server, PAT) as pat:
            await opened(pat)
        assert (await den.next("user_offline"))["userId"] == "pat-1"
        async with sio(server, {**PAT, "pid": pat.pid, "offset": pat.offset}) as again:
            assert again.pid == pat.pid
            assert (await den.next("user_online"))["userId"] == "pat-1"


async def test_revoked_user_does_not_wait(autojump_clock: MockClock) -> None:
    async with secured() as server:
        async with sio(server, {"token": server.token("pat-1")}) as pat:
            pass
        assert len(server.daemon.registry.of("pat-1")) == 1
        await server.daemon.parts.accounts.commit([SetDisabled("pat-1", True, server.now())])
        assert server.daemon.registry.of("pat-1") == ()
        await refused(server, {"token": server.token("pat-1"), "pid": pat.pid, "offset": pat.offset})


async def test_kept_bytes_are_bounded_over_all_sessions(autojump_clock: MockClock) -> None:
    config = Config(socketio=SocketIo(recovery_bytes=20_000))
    async with testing.daemon(config=config) as server, sio(server, DEN) as den:
        async with sio(server, PAT) as pat:
            id = await opened(pat)
        for _ in range(30):
            await den.ask("send_message", {"conversationId": id, "content": "x" * 5_000})
        assert server.daemon._socketio is not None
        assert server.daemon._socketio.application.recovery.budget.held <= 20_000  # type: ignore[attr-defined]
        async with sio(server, {**PAT, "pid": pat.pid, "offset": pat.offset}) as again:
            assert again.sid != pat.sid, "too much was missed"


async def test_parked_sessions_leave_nothing_behind(autojump_clock: MockClock) -> None:
    async with testing.daemon() as server:
        for _ in range(15):
            async with sio(server, PAT):
                pass
        assert len(server.daemon.registry.of("pat-1")) == 10
        await trio.sleep(130)
        assert server.daemon.registry.of("pat-1") == ()
        assert len(server.daemon.sessions) == 0
        assert server.daemon._socketio is not None
        assert server.daemon._socketio.application.recovery.budget.held == 0  # type: ignore[attr-defined]


async def test_two_connections_of_strict_mode_dont_flap_presence(autojump_clock: MockClock) -> None:
    async with testing.daemon() as server, sio(server, DEN) as den:
        async with sio(server, PAT) as pat:
            await opened(pat)
        async with sio(server, PAT):
            await trio.sleep(0.01)
        async with sio(server, PAT):
            await trio.sleep(20)
            assert [name for name, _ in den.events if name in ("user_online", "user_offline")] == []


# -- settings --


@pytest.mark.parametrize(
    ("form", "good", "bad"),
    [("success", ("success", True), ("success", False)), ("ok", ("ok", True), ("ok", False)),
     ("status", ("status", "success"), ("status", "error"))],
)  # fmt: skip
async def test_form_of_acknowledgements(
    autojump_clock: MockClock, form: Any, good: tuple[str, Any], bad: tuple[str, Any]
) -> None:
    config = Config(socketio=SocketIo(acknowledgement=form))
    async with testing.daemon(config=config) as server, sio(server, PAT) as pat:
        assert await pat.ask("join", {}) == {good[0]: good[1]}
        assert (await pat.ask("unknown"))[bad[0]] == bad[1]


async def test_events_have_other_names_and_aliases(autojump_clock: MockClock) -> None:
    settings = SocketIo(
        names=("send_message=chat:send", "user_typing=typing"), aliases=("new_message=receive_message",)
    )
    async with (
        testing.daemon(config=Config(socketio=settings)) as server,
        sio(server, DEN) as den,
        sio(server, PAT) as pat,
    ):
        id = await opened(pat)
        await pat.ask("chat:send", {"conversationId": id, "content": "Hello"})
        assert (await den.next("new_message"))["content"] == "Hello"
        assert (await den.next("receive_message"))["content"] == "Hello"
        await pat.ask("typing", id)
        assert (await den.next("typing"))["isTyping"] is True


async def test_system_messages_are_off_by_setting(autojump_clock: MockClock) -> None:
    settings = SocketIo(system_messages=False)
    async with testing.daemon(config=Config(socketio=settings)) as server, sio(server, DEN) as den:
        await server.connect("staff-1", role="staff")
        id = (await den.ask("create_conversation", {"userIds": ["staff-1"], "name": "Desk"}))["conversationId"]
        native = await server.connect("den-1")
        await native.ask("conversation.update", conversation=id, title="Front desk")
        await den.ask("send_message", {"conversationId": id, "content": "after"})
        assert (await den.next("new_message"))["content"] == "after"
        assert [m["content"] for m in (await den.ask("get_messages", id))["messages"]] == ["after"]


async def test_other_paths_and_namespaces_are_served_by_setting(autojump_clock: MockClock) -> None:
    settings = SocketIo(paths=("/api/socket",), namespaces=("/chat",))
    async with testing.daemon(config=Config(socketio=settings)) as server:
        for path in ("/api/socket", "/api/socket/"):
            async with sio(server, PAT, path=path, namespace="/chat") as pat:
                assert (await pat.ask("join"))["success"] is True
            assert (await Wire(server.dial, path).get()).status == 200
        assert await refused(server, PAT, path="/api/socket") == {"message": "Invalid namespace"}
        assert (await Wire(server.dial).get()).status == 404


async def test_switched_off_nothing_is_served(autojump_clock: MockClock) -> None:
    async with testing.daemon(config=Config(socketio=SocketIo(enabled=False))) as server:
        assert (await Wire(server.dial).get()).status == 404


@pytest.mark.parametrize("is_there", [True, False])
async def test_client_file_is_served_where_the_build_has_it(
    autojump_clock: MockClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_there: bool
) -> None:
    file = tmp_path / "socket.io.js"
    if is_there:
        file.write_text("/* the client */")
    monkeypatch.setattr(socketio, "client_file", lambda: file)
    async with testing.daemon() as server:
        answer = await Wire(server.dial).ask("GET", "/socket.io/socket.io.js")
        if is_there:
            assert (answer.status, answer.text) == (200, "/* the client */")
            assert answer.headers["content-type"].startswith("text/javascript")
        else:
            assert answer.status == 404
            assert "socket.io-client" in answer.text, "what to do is said"
