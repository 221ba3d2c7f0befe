"""Sessions that are polled: numbers both ways, how long they live, how they end, whose they are."""

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from chatd import testing
from chatd.config import Config, Limits
from storage.changes import SetDisabled
from support.polled import Polled, Told, frame, polled

HELLO = '{"type":"hello","id":1}'


async def ended(session: Polled, after: int = 0) -> Told:
    told = await session.poll(after)
    assert told.status == 410
    return told


async def test_events_are_kept_until_acknowledged(autojump_clock: MockClock) -> None:
    async with testing.daemon() as server, polled(server) as session:
        await session.say(frame("ping", id=2), frame("ping", id=3))
        await wait_all_tasks_blocked()
        assert [e["re"] for e in (await session.poll(1)).events.values()] == [2, 3]
        assert list((await session.poll(1)).events) == [2, 3]
        assert list((await session.poll(2)).events) == [3]
        assert list((await session.poll(0)).events) == [3], "what was acknowledged is gone"
        wrong = await session.poll(4)
        assert (wrong.status, wrong.json["code"]) == (400, "bad_request")


@pytest.mark.parametrize("after", ["x", "-1", "1.5", "1e3", "9" * 40])
async def test_events_after_no_number_are_refused(after: str, autojump_clock: MockClock) -> None:
    async with testing.daemon() as server, polled(server) as session:
        assert (await session.ask("GET", f"/v1/session/{session.id}/events?after={after}")).status == 400


async def test_events_none_for_25_s_answers_with_none(autojump_clock: MockClock) -> None:
    async with testing.daemon() as server, polled(server) as session:
        began = trio.current_time()
        told = await session.poll(1)
        assert (told.json, trio.current_time() - began) == ({"events": []}, 25)


async def test_events_second_request_ends_the_first(autojump_clock: MockClock) -> None:
    async with testing.daemon() as server, polled(server) as session:
        answers: list[Told] = []

        async def poll() -> None:
            answers.append(await session.poll(1))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(poll)
            await wait_all_tasks_blocked()
            nursery.start_soon(poll)
            await wait_all_tasks_blocked()
            assert [told.events for told in answers] == [{}]
            await session.say(frame("ping", id=2))
        assert [list(told.events) for told in answers] == [[], [2]]


async def test_frames_repeated_are_ignored_and_a_gap_is_409(autojump_clock: MockClock) -> None:
    async with testing.daemon() as server, polled(server) as session:
        pings = [frame("ping", id=id) for id in range(2, 6)]
        assert (await session.frames(2, *pings[:2])).json == {"acked": 3}
        assert (await session.frames(1, HELLO, *pings[:3])).json == {"acked": 4}
        gap = await session.frames(6, pings[3])
        assert (gap.status, gap.json["code"], gap.json["acked"]) == (409, "conflict", 4)
        assert (await session.frames(5, pings[3])).json == {"acked": 5}
        await wait_all_tasks_blocked()
        assert [e["re"] for e in (await session.poll(1)).events.values()] == [2, 3, 4, 5]


async def test_frames_can_acknowledge_events(autojump_clock: MockClock) -> None:
    async with testing.daemon() as server, polled(server) as session:
        assert (await session.frames(2, frame("ping", id=2), after=1)).status == 202
        assert (await session.frames(3, after=9)).status == 400
        await wait_all_tasks_blocked()
        assert list((await session.poll(0)).events) == [2]


@pytest.mark.parametrize(
    "body", [b"{}", b'{"first":0,"frames":[]}', b'{"first":1,"frames":{}}', b'{"first":"1"}', b"[]"]
)
async def test_frames_of_a_wrong_body_are_refused_and_the_session_lives(body: bytes, autojump_clock: MockClock) -> None:
    async with testing.daemon() as server, polled(server) as session:
        target = f"/v1/session/{session.id}/frames"
        assert (await session.ask("POST", target, body)).status == 400
        assert (await session.ask("POST", target, body, **{"Content-Type": "text/plain"})).status == 415
        assert (await session.say(frame("ping", id=2))).status == 202


async def test_session_lives_60_s_after_its_last_request(autojump_clock: MockClock) -> None:
    async with testing.daemon() as server, polled(server) as session:
        bo = await server.connect("den-1", role="dentist")
        await bo.ask("conversation.open", with_="pat-1")
        await trio.sleep(59)
        assert (await session.poll(1)).status == 200
        await trio.sleep(59)
        assert server.daemon.registry.online("pat-1")
        await trio.sleep(2)
        assert not server.daemon.registry.online("pat-1")
        assert (await ended(session)).closed == 4012
        await bo.expect("presence", user="pat-1", online=False)
        await trio.sleep(31)
        assert (await session.poll(0)).status == 404


async def test_session_while_it_is_polled_lives_on(autojump_clock: MockClock) -> None:
    async with testing.daemon() as server, polled(server) as session:
        for _ in range(6):
            assert (await session.poll(1)).json == {"events": []}
        assert trio.current_time() > 140


async def test_session_without_hello_ends_after_10_s(autojump_clock: MockClock) -> None:
    async with testing.daemon() as server:
        session = Polled(server.open_local, {"X-Chatd-User": "pat-1"})
        await session.open()
        await session.say(frame("ping", id=1))
        assert (await session.poll(0)).events[1]["code"] == "unauthorized"
        told = await ended(session, 1)
        assert trio.current_time() == 10
        assert told.json == {
            "code": "unavailable", "message": "no hello", "temporary": True, "close": 4010,
        }  # fmt: skip
        assert (await session.say(HELLO)).closed == 4010


async def test_session_is_its_users_alone(autojump_clock: MockClock) -> None:
    async with testing.daemon() as server, polled(server) as session:
        other = Polled(server.open_local, {"X-Chatd-User": "eve"})
        other.id = session.id
        answers = [await other.poll(0), await other.frames(2, frame("ping", id=2)), await other.end()]
        other.id = "nothing"
        answers += [await other.poll(0), await other.frames(2, frame("ping", id=2)), await other.end()]
        assert [told.status for told in answers] == [404] * 6
        assert len({told.body for told in answers}) == 1, "another's session is the same as none"
        assert len(session.id) >= 43
        assert (await session.poll(0)).status == 200


async def test_hello_as_somebody_else_is_refused(autojump_clock: MockClock) -> None:
    async with testing.daemon() as server:
        session = Polled(server.open_local, {"X-Chatd-User": "eve"})
        await session.open()
        await session.say(frame("hello", id=1, user="pat-1"))
        told = await session.poll(0)
        assert (told.events[1]["code"], told.closed) == ("unauthorized", 4501)
        assert (await ended(session, 1)).json["temporary"] is False


async def test_unread_events_over_the_limit_are_410(autojump_clock: MockClock) -> None:
    config = Config(limits=Limits(outbox_bytes=65_536))
    async with testing.daemon(config=config) as server, polled(server) as session:
        bo = await server.connect("den-1", role="dentist")
        opened = await bo.ask("conversation.open", with_="pat-1")
        for n in range(8):
            await bo.ask("message.send", conversation=opened["conversation"], client_id=f"b-{n}", body="x" * 9_000)
        told = await ended(session, 1)
        assert (told.closed, told.json["code"], told.json["temporary"]) == (4008, "unavailable", True)
        assert not server.daemon.registry.online("pat-1")


async def test_disabled_user_gets_nothing_more(autojump_clock: MockClock) -> None:
    async with testing.daemon() as server, polled(server) as session:
        answers: list[Told] = []

        async def poll() -> None:
            answers.append(await session.poll(1))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(poll)
            await wait_all_tasks_blocked()
            await server.daemon.parts.accounts.commit([SetDisabled("pat-1", disabled=True, at=server.now())])
        assert (answers[0].status, answers[0].closed) == (410, 4503)
        assert (await session.poll(1)).status == 401


async def test_shutdown_tells_whoever_polls_all_of_it(autojump_clock: MockClock) -> None:
    async with testing.daemon() as server, polled(server) as session:
        answers: list[Told] = []

        async def poll() -> None:
            answers.append(await session.poll(1))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(poll)
            await wait_all_tasks_blocked()
            server.daemon.stop()
        assert [event["type"] for event in answers[0].events.values()] == ["going_away"]
        assert answers[0].closed == 1001
        assert trio.current_time() < 1, "nobody has to be waited for"


async def test_lost_session_ends_its_typing_at_once(autojump_clock: MockClock) -> None:
    async with testing.daemon() as server, polled(server) as session:
        bo = await server.connect("den-1", role="dentist")
        opened = await bo.ask("conversation.open", with_="pat-1")
        await session.say(frame("typing", conversation=opened["conversation"], active=True))
        await bo.expect("typing", user="pat-1", active=True)
        began = trio.current_time()
        assert (await session.end()).status == 204
        await bo.expect("typing", user="pat-1", active=False)
        assert trio.current_time() == began
        assert ((await session.end()).status, (await ended(session)).closed) == (204, 1000)


async def test_sessions_of_a_user_are_limited(autojump_clock: MockClock) -> None:
    async with testing.daemon(config=Config(limits=Limits(connections=3))) as server:
        sessions = [Polled(server.open_local, {"X-Chatd-User": "pat-1"}) for _ in range(4)]
        assert [(await session.open()).status for session in sessions] == [201, 201, 201, 429]
        await trio.sleep(50)  # those that said nothing are forgotten
        assert (await sessions[3].open()).status == 201


async def test_metrics_count_sessions_by_transport(autojump_clock: MockClock) -> None:
    async with testing.daemon() as server, polled(server), polled(server, "pat-2") as streaming:
        await server.connect("den-1")
        async with streaming.stream(1) as streamed:
            assert await anext(streamed) == {"retry": "1000"}
            shown = server.daemon.metrics.render().decode()
            for transport in ("websocket", "polling", "sse"):
                assert f'chatd_connections{{transport="{transport}"}} 1.0' in shown


async def test_poller_that_leaves_is_not_waited_for(autojump_clock: MockClock) -> None:
    async with testing.daemon() as server, polled(server) as session:
        with trio.move_on_after(5):
            await session.poll(1)
        await trio.sleep(59)
        assert server.daemon.registry.online("pat-1")
        await trio.sleep(2)
        assert not server.daemon.registry.online("pat-1"), "60 s after it left, not after 25 s of waiting for it"
