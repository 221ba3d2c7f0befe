"""Members of a load: what they send, and what they make of what they hear."""

import json
from typing import Any

import pytest

from chatd.bench.ledger import Ledger
from chatd.bench.load import FIRST_NUMBER, Load, LoadPeer
from chatd.bench.members import NOT_CHATD, Member, text_of
from chatd.transports.websocket.frames import FrameReader


class Silent(LoadPeer):
    """Keeps what it would send."""

    def message(self, number: int) -> bytes:
        return b"%d" % number

    def request(self, number: int, fields: dict[str, Any]) -> bytes:
        raise NotImplementedError

    def receive(self, payload: bytes) -> None:
        raise NotImplementedError


@pytest.fixture
def pair() -> tuple[Load, Member, Member, Ledger]:
    load, ledger = Load(receipts=True), Ledger(2, last=0)
    sender, receiver = Member(load, "ada"), Member(load, "bo")
    sender.join('c"1', ledger, 0, run="run", body=text_of(200))
    receiver.join('c"1', ledger, 1, run="run", body="")
    load.sending = True
    sender.begin(2)
    return load, sender, receiver, ledger


def frames_of(member: Member) -> list[dict[str, Any]]:
    """What it wants to send, as the server reads it; from now on, no more."""
    reader = FrameReader(1 << 20)
    reader.feed(b"".join(member._out))
    member._out.clear()
    texts = []
    while isinstance(text := reader.next(), str):
        texts.append(json.loads(text))
    return texts


def told(seq: int, client_id: str | None) -> dict[str, Any]:
    return {"seq": seq, "client_id": client_id, "body": "hi", "rev": seq}


def hear(member: Member, **fields: Any) -> None:
    member.receive(json.dumps(fields).encode())


def test_messages_are_well_formed(pair: tuple[Load, Member, Member, Ledger]) -> None:
    _, sender, _, _ = pair
    first, second = frames_of(sender)
    assert first == {
        "type": "message.send",
        "id": FIRST_NUMBER,
        "conversation": 'c"1',
        "client_id": f"run.0.{FIRST_NUMBER}",
        "body": text_of(200),
    }
    assert len(first["body"].encode()) == 200
    assert second["id"] == FIRST_NUMBER + 1


def test_an_acknowledgement_makes_room_for_the_next(pair: tuple[Load, Member, Member, Ledger]) -> None:
    load, sender, receiver, ledger = pair
    frames_of(sender)
    hear(receiver, type="change", conversation='c"1', messages=[told(1, f"run.0.{FIRST_NUMBER}")])
    hear(
        sender,
        type="ok",
        re=FIRST_NUMBER,
        conversation='c"1',
        messages=[told(1, f"run.0.{FIRST_NUMBER}")],
        duplicate=False,
    )
    assert (load.acknowledged, load.delivered, load.latencies.count) == (1, 1, 1)
    assert [request["id"] for request in frames_of(sender)] == [FIRST_NUMBER + 2]
    assert frames_of(receiver) == [{"type": "receipt", "conversation": 'c"1', "delivered": 1}]
    load.sending = False
    hear(sender, type="ok", re=FIRST_NUMBER + 1, conversation='c"1', messages=[told(2, f"run.0.{FIRST_NUMBER + 1}")])
    assert frames_of(sender) == []
    assert ledger.close(complete=False) == []
    assert load.failure is None


def test_an_acknowledgement_that_comes_twice(pair: tuple[Load, Member, Member, Ledger]) -> None:
    load, sender, _, ledger = pair
    for _ in range(2):
        hear(sender, type="ok", re=FIRST_NUMBER, conversation='c"1', messages=[told(1, f"run.0.{FIRST_NUMBER}")])
    assert load.acknowledged == 1
    assert any("twice" in wrong for wrong in ledger.close(complete=False))


@pytest.mark.parametrize("messages", [[], None, [told(1, f"run.0.{FIRST_NUMBER + 1}")]])
def test_an_acknowledgement_of_another_message(
    pair: tuple[Load, Member, Member, Ledger], messages: list[dict[str, Any]] | None
) -> None:
    _, sender, _, ledger = pair
    hear(sender, type="ok", re=FIRST_NUMBER, conversation='c"1', messages=messages)
    assert any(f"request {FIRST_NUMBER} was acknowledged as another" in wrong for wrong in ledger.close(complete=False))


def test_message_refused_for_now_is_sent_again(
    pair: tuple[Load, Member, Member, Ledger], monkeypatch: pytest.MonkeyPatch
) -> None:
    load, sender, _, _ = pair
    now = [1000.0]
    monkeypatch.setattr("chatd.bench.load.time.perf_counter", lambda: now[0])
    frames_of(sender)
    hear(sender, type="error", re=FIRST_NUMBER, code="rate_limited", message="slowly", temporary=True, retry_after=2.5)
    assert load.errors == {"rate_limited": 1}
    now[0] += 2.4
    load.tick()
    assert frames_of(sender) == []
    now[0] += 0.2
    load.tick()
    assert [request["client_id"] for request in frames_of(sender)] == [f"run.0.{FIRST_NUMBER}"]
    load.tick()
    assert frames_of(sender) == []
    assert load.failure is None


def test_message_refused_for_good_ends_the_run(pair: tuple[Load, Member, Member, Ledger]) -> None:
    load, sender, _, _ = pair
    hear(sender, type="error", re=FIRST_NUMBER, code="bad_request", message="`body`: too long", temporary=False)
    assert load.over.is_set()
    assert load.failure == "the server refused a request: bad_request: `body`: too long"
    load.fail("and more")
    assert load.failure.startswith("the server refused")


@pytest.mark.parametrize("client_id", [None, "other.0.1"])
def test_message_of_another_load_ends_the_run(pair: tuple[Load, Member, Member, Ledger], client_id: str | None) -> None:
    load, _, receiver, ledger = pair
    hear(receiver, type="change", conversation='c"1', messages=[told(1, client_id)])
    assert load.failure is not None
    assert "second load" in load.failure
    assert ledger.close(complete=False) == []


def test_other_conversations_and_events_are_none_of_its_business(pair: tuple[Load, Member, Member, Ledger]) -> None:
    load, _, receiver, ledger = pair
    hear(receiver, type="change", conversation="c2", messages=[told(9, "x")])
    hear(receiver, type="change", conversation='c"1', participants=[])
    hear(receiver, type="presence", user="ada", online=True)
    assert (load.delivered, load.failure) == (0, None)
    assert ledger.close(complete=True) == []


@pytest.mark.parametrize("payload", [b"", b"[]", b"\xff", b'{"type":1}', b'{"type":"ok","re":"x"}'])
def test_text_that_is_no_frame_ends_the_run(pair: tuple[Load, Member, Member, Ledger], payload: bytes) -> None:
    load, _, receiver, _ = pair
    receiver.receive(payload)
    assert load.failure == NOT_CHATD
