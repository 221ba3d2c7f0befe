"""Receipts that wait in a room are merged; each is answered, and what is wrong is refused by itself."""

from typing import Any

import pytest
from trio.testing import MockClock, wait_all_tasks_blocked

from chatd.core.pending import PendingRequest
from chatd.core.receipts import merge
from chatd.testing import Refused
from storage.changes import AdvanceReceipt, Leave, SendMessage
from support.steering import Clinic, agree, clinic, say
from support.strict import Book

SENT = SendMessage(conversation="c", user="a", client_id="k", message="m", body="x", reply_to=None, at=1)


class Nobody:
    """A caller that is never answered."""


def pending(change: Any) -> PendingRequest:
    return PendingRequest(Nobody(), 1, change)  # type: ignore[arg-type]


def advance(user: str, read: int | None = None, delivered: int | None = None, at: int = 1) -> AdvanceReceipt:
    return AdvanceReceipt(conversation="c", user=user, delivered=delivered, read=read, at=at)


def receipt(user: str, read: int | None = None, delivered: int | None = None, at: int = 1) -> PendingRequest:
    return pending(advance(user, read, delivered, at))


def test_first_receipt_of_a_user_stands_for_the_later_ones() -> None:
    first, other, second, third = receipt("a", 2), receipt("b", 1), receipt("a", None, 5, 7), receipt("a", 3)
    merge([first, other, second, third], last_seq=5)
    assert first.change == advance("a", 3, 5, 7)
    assert [each.leader for each in (first, other, second, third)] == [None, None, first, first]
    assert other.change == advance("b", 1)


def test_receipt_beyond_what_is_known_stays_alone() -> None:
    first, beyond, second = receipt("a", 1), receipt("a", 6), receipt("a", 2)
    merge([first, beyond, second], last_seq=5)
    assert beyond.leader is None
    assert beyond.change == advance("a", 6)
    assert second.leader is first


def test_change_that_may_take_somebody_out_ends_what_was_gathered() -> None:
    first, text, left, second = receipt("a", 1), pending(None), pending(Leave("c", "a", "m", 1)), receipt("a", 2)
    merge([first, text, left, second], last_seq=5)
    assert second.leader is None
    first, sent, second = receipt("a", 1), pending(SENT), receipt("a", 2)
    merge([first, sent, second], last_seq=5)
    assert second.leader is first


async def read_while_held(c: Clinic, conversation: str, bo: Any, tablet: Any, marks: list[int]) -> list[Any]:
    """Receipts of both connections, one after the other, while a commit is under way; their ids."""
    c.writes.hold("before")
    await say(bo, conversation, "b-0")
    await wait_all_tasks_blocked()
    ids = [
        (client, await client.send("receipt", conversation=conversation, read=mark))
        for mark, client in zip(marks, [bo, tablet] * len(marks), strict=False)
    ]
    await wait_all_tasks_blocked()
    return ids


async def test_waiting_receipts_become_one_change_and_each_gets_its_ok(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        ada, bo, conversation = await c.pair()
        tablet = await c.server.connect("den-1")
        for id in await say(ada, conversation, *(f"a-{n}" for n in range(5))):
            await ada.reply(id)
        await ada.barrier()
        before = len(c.store.batches)
        ids = await read_while_held(c, conversation, bo, tablet, [2, 5, 3])
        c.writes.release()
        oks = [await client.reply(id) for client, id in ids]
        changes = [change for batch in c.store.batches[before:] for change in batch]
        [receipt] = [change for change in changes if isinstance(change, AdvanceReceipt)]
        assert (receipt.user, receipt.read, receipt.delivered) == ("den-1", 5, None)
        assert oks[0]["rev"] == oks[0]["from"] + 1
        assert [(ok["from"], ok["rev"]) for ok in oks[1:]] == [(oks[0]["rev"], oks[0]["rev"])] * 2
        assert [ok["participants"][0]["read_seq"] for ok in oks] == [5, 5, 5]
        await agree(c, Book(ada), Book(bo), Book(tablet))


async def test_wrong_receipt_among_those_that_wait_is_refused_alone(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        ada, bo, conversation = await c.pair()
        tablet = await c.server.connect("den-1")
        for id in await say(ada, conversation, "a-0", "a-1"):
            await ada.reply(id)
        ids = await read_while_held(c, conversation, bo, tablet, [1, 99, 2])
        c.writes.release()
        assert (await ids[0][0].reply(ids[0][1]))["participants"][0]["read_seq"] == 2
        with pytest.raises(Refused, match="bad_request"):
            await ids[1][0].reply(ids[1][1])
        assert (await ids[2][0].reply(ids[2][1]))["participants"][0]["read_seq"] == 2
