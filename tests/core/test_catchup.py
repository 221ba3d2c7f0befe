"""The feeder: reads on until the session is live, whatever happens meanwhile."""

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from chatd.core.catchup import MAX_JOBS, OBJECTS_PER_READ, STORE_RETRY_S
from storage.changes import Leave
from storage.records import Standing
from support.small_clinic import C, SmallClinic


def chained(told: list[dict[str, object]], after: int) -> int:
    """The rev to which the changes lead, without a hole."""
    for event in told:
        assert event["from"] == after, told
        after = event["rev"]  # type: ignore[assignment]
    return after


async def fed(clinic: SmallClinic, **revs: int) -> None:
    """Feed, until nothing is left to be done."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(clinic.session.run)
        clinic.session.feed({name.replace("_", "-"): rev for name, rev in revs.items()})
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()


async def test_feeder_many_changes_come_in_pieces_without_a_hole(autojump_clock: MockClock) -> None:
    clinic = SmallClinic()
    clinic.send(3 * OBJECTS_PER_READ)
    clinic.sink.acknowledge(0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(clinic.session.run)
        clinic.session.feed({C: 1})
        seen, after = [], 0
        while clinic.session.behind:
            await wait_all_tasks_blocked()
            for number, _ in clinic.sink.behind(after):
                after = number
            seen += clinic.told
            clinic.sink.acknowledge(after)
        nursery.cancel_scope.cancel()
    assert len(seen) >= 3
    assert chained(seen, 1) == 1 + 3 * OBJECTS_PER_READ


async def test_feeder_reads_on_only_when_the_sink_is_drained(autojump_clock: MockClock) -> None:
    clinic = SmallClinic()
    clinic.send(3 * OBJECTS_PER_READ)
    await fed(clinic, c_1=1)
    assert clinic.session.behind
    assert chained(clinic.told, 1) < 1 + 2 * OBJECTS_PER_READ, "the rest waits for the reader"


async def test_feeder_nothing_missed_is_one_event_all_the_same(autojump_clock: MockClock) -> None:
    clinic = SmallClinic()
    await fed(clinic, c_1=1)
    (event,) = clinic.told
    assert (event["from"], event["rev"], "membership" in event) == (1, 1, True)
    assert not clinic.session.behind


async def test_feeder_store_that_fails_is_asked_again_after_a_second(autojump_clock: MockClock) -> None:
    clinic = SmallClinic()
    clinic.send()
    clinic.reads.failures = 3
    async with trio.open_nursery() as nursery:
        nursery.start_soon(clinic.session.run)
        clinic.session.feed({C: 1})
        await trio.sleep(2.5 * STORE_RETRY_S)
        assert clinic.told == []
        await trio.sleep(STORE_RETRY_S)
        assert chained(clinic.told, 1) == 2
        nursery.cancel_scope.cancel()


async def test_feeder_job_that_another_has_fed_gets_an_event_of_its_own(autojump_clock: MockClock) -> None:
    clinic = SmallClinic()
    async with trio.open_nursery() as nursery:
        clinic.session.feed({C: 1})
        await clinic.session.sync({C: 1}, {C: Standing(1, reset=False)}, 7)
        nursery.start_soon(clinic.session.run)
        await wait_all_tasks_blocked()
        clinic.sink.acknowledge(1)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert [frame.get("re", frame["type"]) for frame in clinic.told] == ["change", 7]


async def test_feeder_ok_of_a_sync_comes_behind_its_events(autojump_clock: MockClock) -> None:
    clinic = SmallClinic()
    clinic.send(2)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(clinic.session.run)
        await clinic.session.sync({C: 1}, {C: Standing(3, reset=False)}, 7)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    event, ok = clinic.told
    assert (event["rev"], ok["re"], ok["revs"]) == (3, 7, {C: {"rev": 3, "reset": False}})


async def test_feeder_ninth_sync_waits_for_a_place(autojump_clock: MockClock) -> None:
    clinic = SmallClinic()
    taken = 0

    async def sync() -> None:
        nonlocal taken
        await clinic.session.sync({}, {}, None)
        taken += 1

    async with trio.open_nursery() as nursery:
        for _ in range(MAX_JOBS + 1):
            nursery.start_soon(sync)
        await wait_all_tasks_blocked()
        assert taken == MAX_JOBS
        nursery.start_soon(clinic.session.run)
        await wait_all_tasks_blocked()
        assert taken == MAX_JOBS + 1
        nursery.cancel_scope.cancel()


async def test_feeder_user_who_left_meanwhile_is_told_so_once(autojump_clock: MockClock) -> None:
    clinic = SmallClinic()
    clinic.store.commit([Leave(conversation=C, user="ada", message="m-l", at=3)])
    await fed(clinic, c_1=1)
    (event,) = clinic.told
    assert [p["user"] for p in event["participants"]] == ["ada"]
    assert event["participants"][0]["left_at"] is not None
    assert "messages" not in event or event["messages"] is None, "the others' goodbye is not for them"
    assert not clinic.session.behind


async def test_feeder_change_between_read_and_answer_is_not_lost(autojump_clock: MockClock) -> None:
    clinic = SmallClinic()
    clinic.send()
    clinic.reads.before = clinic.send  # committed, and nobody tells of it: as by another daemon
    await fed(clinic, c_1=1)
    assert chained(clinic.told, 1) == 2
    assert not clinic.session.behind
    clinic.session.feed({C: 2})  # as whoever notices it does
    await fed(clinic)
    clinic.sink.acknowledge(1)
    await fed(clinic)
    assert chained(clinic.told, 2) == 3


async def test_feeder_from_zero_sends_the_conversation_whole(autojump_clock: MockClock) -> None:
    clinic = SmallClinic()
    clinic.send(3)
    await fed(clinic, c_1=0)
    (event,) = clinic.told
    assert (event["from"], event["rev"], event["info"]["last_seq"]) == (0, 4, 3)
    assert {p["user"] for p in event["participants"]} == {"ada", "bo"} == {u["id"] for u in event["users"]}
