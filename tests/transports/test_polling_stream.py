"""A polled session's events as a stream: ids, heartbeat, its end, and what EventSource does when it comes back."""

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from chatd import testing
from support.polled import Polled, frame, polled


async def test_stream_has_numbers_as_ids_and_comments_as_heartbeat(autojump_clock: MockClock) -> None:
    async with testing.daemon() as server, polled(server) as session, session.stream(0) as stream:
        assert await anext(stream) == {"retry": "1000"}
        assert (await anext(stream))["id"] == "1"
        await session.say(frame("ping", id=2))
        event = await anext(stream)
        assert (event["id"], '"re":2' in event["data"]) == ("2", True)
        began = trio.current_time()
        assert await anext(stream) == {"": ""}
        assert trio.current_time() - began == 25


async def test_stream_ends_after_a_minute_and_goes_on_with_the_last_id(autojump_clock: MockClock) -> None:
    async with testing.daemon() as server, polled(server) as session:
        began = trio.current_time()
        assert (await session.streamed(1))[1:] == [{"": ""}, {"": ""}]
        assert trio.current_time() - began == 60
        await session.say(frame("ping", id=2), frame("ping", id=3))
        await wait_all_tasks_blocked()
        async with session.stream(0, last_event_id=2) as stream:
            await anext(stream)
            assert (await anext(stream))["id"] == "3"
        assert list((await session.poll(0)).events) == [3], "the last id acknowledged"


async def test_stream_ends_where_an_acknowledgement_is_wanted(autojump_clock: MockClock) -> None:
    async with testing.daemon() as server, polled(server) as session:
        bo = await server.connect("den-1", role="dentist")
        opened = await bo.ask("conversation.open", with_="pat-1")
        for n in range(12):
            await bo.ask("message.send", conversation=opened["conversation"], client_id=f"b-{n}", body="x" * 9_000)
        history = frame("message.history", id=2, conversation=opened["conversation"])
        await session.say(history)
        came: list[int] = []
        began = trio.current_time()
        while len(came) < 15:  # hello, the conversation, twelve messages, and the page, for which all others are read
            async with session.stream(0, last_event_id=came[-1] if came else 0) as stream:
                async for event in stream:
                    came += [int(event["id"])] if "id" in event else []
                    if len(came) == 15:
                        break
        assert came == list(range(1, 16))
        assert trio.current_time() == began


async def test_stream_ends_with_the_session_and_says_why(autojump_clock: MockClock) -> None:
    async with testing.daemon() as server:
        session = Polled(server.open_local, {"X-Chatd-User": "pat-1"})
        await session.open()
        events = await session.streamed(0)
        assert events[-1] == {"event": "closed", "data": '{"code":4010,"reason":"no hello"}'}
        async with session.stream(0) as again:
            assert again.refusal is not None
            assert (again.refusal.status, again.refusal.closed) == (410, 4010)


async def test_stream_ends_where_another_request_fetches(autojump_clock: MockClock) -> None:
    async with testing.daemon() as server, polled(server) as session, session.stream(1) as stream:
        await anext(stream)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(session.poll, 1)
            assert [event async for event in stream] == []
            assert trio.current_time() < 1


async def test_stream_whose_client_leaves_lets_the_session_die(autojump_clock: MockClock) -> None:
    async with testing.daemon() as server, polled(server) as session:
        async with session.stream(1) as stream:
            await anext(stream)
        await trio.sleep(61)
        assert not server.daemon.registry.online("pat-1")


async def test_shutdown_ends_streams_with_all_answers(autojump_clock: MockClock) -> None:
    async with testing.daemon() as server, polled(server) as session, session.stream(1) as stream:
        await anext(stream)
        server.daemon.stop()
        event, closed = [event async for event in stream]
        assert '"going_away"' in event["data"]
        assert '"code":1001' in closed["data"]
