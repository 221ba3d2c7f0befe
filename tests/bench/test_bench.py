"""What a load does with bytes, frames and numbers, without a server."""

import json
import math
import os
import random
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatd.bench import machine, report
from chatd.bench.figures import Durations, Figures, Percentiles, ServerCost, Syncs, Workload
from chatd.bench.ledger import ENOUGH, Ledger
from chatd.bench.load import FIRST, Load, Talker
from chatd.bench.members import NONSENSE, Member, text_of
from chatd.bench.peer import Address, Lost, Peer, Wires, frame
from chatd.bench.private import CannotStart, environment, running
from chatd.transports.websocket.frames import FrameReader
from chatd.transports.websocket.framing import close_frame, text_frame

# -- durations --


def test_percentiles_are_within_a_percent_of_the_sorted_ones() -> None:
    rng = random.Random(7)
    durations, all_of_them = Durations(), sorted(rng.expovariate(50) + 1e-5 for _ in range(5000))
    for seconds in all_of_them:
        durations.add(seconds)
    found = durations.percentiles()
    assert found is not None
    for name, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99)):
        exact = all_of_them[math.ceil(share * 5000) - 1] * 1e3
        assert getattr(found, name) == pytest.approx(exact, rel=0.01)
    assert found.max == all_of_them[-1] * 1e3


def test_of_one_duration_all_are_that_one() -> None:
    durations = Durations()
    durations.add(0.002)
    found = durations.percentiles()
    assert found is not None
    assert (found.p50, found.p90, found.p99) == pytest.approx((2.0, 2.0, 2.0), rel=0.01)
    assert found.max == 2.0
    assert durations.count == 1
    durations.clear()
    assert durations.percentiles() is None
    assert durations.count == 0


def test_no_percentile_is_above_the_longest() -> None:
    durations = Durations()
    for _ in range(3):
        durations.add(0.0100001)
    found = durations.percentiles()
    assert found is not None
    assert found.p50 <= found.p99 <= found.max


# -- the ledger --


def said(ledger: Ledger, seq: int, client_id: str, *to: int, sender: int = 0) -> None:
    """A message goes its whole way."""
    ledger.sent(client_id)
    for member in to:
        ledger.delivered(member, seq, client_id)
    ledger.acknowledged(sender, seq, client_id, duplicate=False)


def test_all_is_well() -> None:
    ledger = Ledger(3, last=40)
    settled = [ledger.settled]
    ledger.sent("a")
    ledger.delivered(1, 41, "a")
    settled.append(ledger.settled)
    ledger.acknowledged(0, 41, "a", duplicate=False)
    settled.append(ledger.settled)  # member 2 lacks it
    ledger.delivered(2, 41, "a")
    settled.append(ledger.settled)
    said(ledger, 42, "b", 0, 2, sender=1)
    settled.append(ledger.settled)
    assert settled == [True, False, False, True, True]
    assert ledger.close(complete=True) == []


def twice(ledger: Ledger) -> None:
    ledger.delivered(1, 1, "a")


def gap(ledger: Ledger) -> None:
    said(ledger, 3, "b", 1)


def late(ledger: Ledger) -> None:
    said(ledger, 2, "b", 1)
    ledger.delivered(1, 1, "a")


def another_text(ledger: Ledger) -> None:
    ledger.sent("b")
    ledger.delivered(1, 2, "c")
    ledger.acknowledged(0, 2, "b", duplicate=False)


def acknowledged_twice(ledger: Ledger) -> None:
    ledger.acknowledged(0, 2, "a", duplicate=False)


def same_seq_for_two(ledger: Ledger) -> None:
    said(ledger, 1, "b")


def taken_for_a_repeat(ledger: Ledger) -> None:
    ledger.sent("b")
    ledger.acknowledged(0, 1, "b", duplicate=True)


def to_nobody(ledger: Ledger) -> None:
    said(ledger, 2, "b")
    said(ledger, 3, "c")


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (twice, "member 1 got seq 1 again"),
        (gap, "member 1 got seq 3 where 2 is next"),
        (late, "member 1 got seq 1 again, or after a later one"),
        (another_text, "seq 2 is one message to member 0 and another to others"),
        (acknowledged_twice, "seq 2 was acknowledged twice"),
        (same_seq_for_two, "member 0 got seq 1 again"),
        (taken_for_a_repeat, "seq 1 was acknowledged as another message"),
        (to_nobody, "2 acknowledged messages did not reach everybody; the first is seq 2"),
    ],
)
def test_what_must_not_be(event: Any, words: str) -> None:
    ledger = Ledger(2, last=0)
    said(ledger, 1, "a", 1)
    assert ledger.close(complete=True) == []
    event(ledger)
    assert any(words in wrong for wrong in ledger.close(complete=True)), ledger.close(complete=True)


def test_what_is_still_on_its_way_is_not_wrong() -> None:
    ledger = Ledger(2, last=0)
    ledger.sent("a")
    ledger.delivered(1, 1, "a")
    assert ledger.close(complete=True) == [], "never acknowledged: nothing was promised"
    ledger.sent("b")
    ledger.acknowledged(0, 1, "a", duplicate=False)
    ledger.acknowledged(0, 2, "b", duplicate=False)
    assert ledger.close(complete=False) == []
    assert ledger.close(complete=True) == ["1 acknowledged messages did not reach everybody; the first is seq 2"]


@pytest.mark.parametrize("event_first", [False, True])
def test_a_repeated_request_may_be_answered_before_or_after_its_event(event_first: bool) -> None:
    ledger = Ledger(2, last=0)
    ledger.sent("a")
    if event_first:  # the first request was said to have failed, and had not
        ledger.delivered(0, 1, "a")
    ledger.acknowledged(0, 1, "a", duplicate=True)
    ledger.delivered(1, 1, "a")
    assert ledger.settled
    assert ledger.close(complete=True) == []


def test_a_thousand_discrepancies_are_told_in_a_few_lines() -> None:
    ledger = Ledger(2, last=0)
    for _ in range(1000):
        ledger.delivered(1, 0, "a")
    wrong = ledger.close(complete=True)
    assert len(wrong) == ENOUGH + 1
    assert wrong[-1] == f"and {1000 - ENOUGH} more of the kind"


# -- connections --


@attrs.define(eq=False, init=False)
class Ear(Peer):
    """Notes what comes."""

    texts: list[bytes]
    ended: list[str]

    def __init__(self) -> None:
        super().__init__()
        self.texts, self.ended = [], []

    def receive(self, payload: bytes) -> None:
        self.texts.append(payload)

    def lost(self, reason: str) -> None:
        self.ended.append(reason)


@pytest.fixture
def wired() -> Iterator[tuple[Ear, socket.socket]]:
    """A peer, and the server's end of its connection."""
    ours, theirs = socket.socketpair()
    ear, wires = Ear(), Wires()
    ear.attach(ours, b"", wires)
    theirs.settimeout(5)
    yield ear, theirs
    wires.close()
    theirs.close()


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 70_001])
def test_the_server_reads_what_a_load_writes(size: int) -> None:
    reader = FrameReader(1 << 20)
    reader.feed(frame(b"x" * size) + frame(b"next"))
    assert reader.next() == "x" * size
    assert reader.next() == "next"
    assert reader.next() is None


@given(st.lists(st.sampled_from([0, 1, 125, 126, 300, 65_536]), max_size=4), st.data())
def test_frames_are_read_however_they_are_cut(sizes: list[int], data: st.DataObject) -> None:
    texts = [bytes([65 + at]) * size for at, size in enumerate(sizes)]
    stream = b"".join(map(text_frame, texts))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    ear = Ear()
    for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        ear._take(stream[begin:end])
    assert ear.texts == texts
    assert ear.ended == []


def test_a_ping_is_answered(wired: tuple[Ear, socket.socket]) -> None:
    ear, theirs = wired
    theirs.sendall(b"\x89\x04ping" + b"\x8a\x00" + text_frame(b"{}"))
    ear.ready(1)
    assert theirs.recv(100) == b"\x8a\x84\0\0\0\0ping"
    assert ear.texts == [b"{}"]


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (close_frame(1001, "shutting down"), "1001 shutting down"),
        (b"\x82\x01a", "no text"),
        (b"\x01\x01a", "no text"),
        (b"", "closed the connection"),
    ],
)
def test_how_a_connection_ends(wired: tuple[Ear, socket.socket], sent: bytes, words: str) -> None:
    ear, theirs = wired
    theirs.sendall(sent)
    theirs.shutdown(socket.SHUT_WR)
    ear.ready(1)
    (reason,) = ear.ended
    assert words in reason
    ear.push(b"too late")
    ear.flush()
    ear.ready(1)
    assert len(ear.ended) == 1


def test_what_the_kernel_refuses_follows_in_order(wired: tuple[Ear, socket.socket]) -> None:
    ear, theirs = wired
    blocks = [bytes([at]) * 100_000 for at in range(40)]
    for block in blocks:
        ear.push(block)
        ear.flush()
    received = bytearray()
    while len(received) < 4_000_000:
        received += theirs.recv(1 << 20)
        ear.ready(2)
    assert received == b"".join(blocks)


@pytest.mark.parametrize("url", ["", "nonsense", "ftp://x", "http://", "http://x:99999", "http://[::1"])
def test_what_is_no_url(url: str) -> None:
    with pytest.raises(Lost, match="expected one like"):
        Address.of(url)


def test_addresses() -> None:
    assert Address.of("http://127.0.0.1:3001") == Address("127.0.0.1", 3001)
    assert Address.of("ws://[::1]:80/ws") == Address("::1", 80)
    assert str(Address("::1", 80)) == "[::1]:80"
    secure = Address.of("wss://chat.example.org")
    assert (secure.host, secure.port) == ("chat.example.org", 443)
    assert secure.trust is not None


def test_a_file_of_certificates_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("my shopping list")
    with pytest.raises(Lost, match=r"ca\.pem"):
        Address.of("https://localhost", ca=str(tmp_path / "ca.pem"))


# -- members --


class Silent(Talker):
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
        "id": FIRST,
        "conversation": 'c"1',
        "client_id": f"run.0.{FIRST}",
        "body": text_of(200),
    }
    assert len(first["body"].encode()) == 200
    assert second["id"] == FIRST + 1


def test_an_acknowledgement_makes_room_for_the_next(pair: tuple[Load, Member, Member, Ledger]) -> None:
    load, sender, receiver, ledger = pair
    frames_of(sender)
    hear(receiver, type="change", conversation='c"1', messages=[told(1, f"run.0.{FIRST}")])
    hear(sender, type="ok", re=FIRST, conversation='c"1', messages=[told(1, f"run.0.{FIRST}")], duplicate=False)
    assert (load.acknowledged, load.delivered, load.latencies.count) == (1, 1, 1)
    assert [request["id"] for request in frames_of(sender)] == [FIRST + 2]
    assert frames_of(receiver) == [{"type": "receipt", "conversation": 'c"1', "delivered": 1}]
    load.sending = False
    hear(sender, type="ok", re=FIRST + 1, conversation='c"1', messages=[told(2, f"run.0.{FIRST + 1}")])
    assert frames_of(sender) == []
    assert ledger.close(complete=False) == []
    assert load.failure is None


def test_an_acknowledgement_that_comes_twice(pair: tuple[Load, Member, Member, Ledger]) -> None:
    load, sender, _, ledger = pair
    for _ in range(2):
        hear(sender, type="ok", re=FIRST, conversation='c"1', messages=[told(1, f"run.0.{FIRST}")])
    assert load.acknowledged == 1
    assert any("twice" in wrong for wrong in ledger.close(complete=False))


@pytest.mark.parametrize("messages", [[], None, [told(1, f"run.0.{FIRST + 1}")]])
def test_an_acknowledgement_of_another_message(
    pair: tuple[Load, Member, Member, Ledger], messages: list[dict[str, Any]] | None
) -> None:
    _, sender, _, ledger = pair
    hear(sender, type="ok", re=FIRST, conversation='c"1', messages=messages)
    assert any(f"request {FIRST} was acknowledged as another" in wrong for wrong in ledger.close(complete=False))


def test_what_is_refused_for_now_is_sent_again(
    pair: tuple[Load, Member, Member, Ledger], monkeypatch: pytest.MonkeyPatch
) -> None:
    load, sender, _, _ = pair
    now = [1000.0]
    monkeypatch.setattr("chatd.bench.load.time.perf_counter", lambda: now[0])
    frames_of(sender)
    hear(sender, type="error", re=FIRST, code="rate_limited", message="slowly", temporary=True, retry_after=2.5)
    assert load.errors == {"rate_limited": 1}
    now[0] += 2.4
    load.tick()
    assert frames_of(sender) == []
    now[0] += 0.2
    load.tick()
    assert [request["client_id"] for request in frames_of(sender)] == [f"run.0.{FIRST}"]
    load.tick()
    assert frames_of(sender) == []
    assert load.failure is None


def test_what_is_refused_for_good_ends_the_run(pair: tuple[Load, Member, Member, Ledger]) -> None:
    load, sender, _, _ = pair
    hear(sender, type="error", re=FIRST, code="bad_request", message="`body`: too long", temporary=False)
    assert load.over.is_set()
    assert load.failure == "the server refused a request: bad_request: `body`: too long"
    load.fail("and more")
    assert load.failure.startswith("the server refused")


@pytest.mark.parametrize("client_id", [None, "other.0.1"])
def test_somebody_else_writes(pair: tuple[Load, Member, Member, Ledger], client_id: str | None) -> None:
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
def test_what_is_no_frame_of_chatd(pair: tuple[Load, Member, Member, Ledger], payload: bytes) -> None:
    load, _, receiver, _ = pair
    receiver.receive(payload)
    assert load.failure == NONSENSE


# -- the machine and the report --


def test_cpu_time_and_memory_of_this_process() -> None:
    cpu, memory = machine.cpu_time(os.getpid()), machine.memory(os.getpid())
    assert cpu is not None
    assert cpu > 0.1
    assert memory is not None
    assert memory[1] >= memory[0] > 10 * 1024 * 1024


def test_of_a_process_that_is_gone() -> None:
    assert machine.cpu_time(2**22 + 7) is None
    assert machine.memory(2**22 + 7) is None


def test_syncs_leave_nothing(tmp_path: Path) -> None:
    found = machine.syncs(tmp_path)
    assert found.p99 >= found.p50 > 0
    assert list(tmp_path.iterdir()) == []


def test_the_json_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "bench.md").read_text()
    for kind in (Figures, Workload, ServerCost, Percentiles, Syncs):
        for field in attrs.fields(kind):
            assert f"`{field.name}`" in text, field.name


PAIRS = Workload(
    conversations=20, members=2, senders=1, window=8, body_bytes=95, receipts=False, seconds=10.0, warm_up=1.5
)
MIB = 1024 * 1024
GOOD = Figures(
    version="1.2", server="http://127.0.0.1:1", private=True, workload=PAIRS, seconds=10.04, interrupted=False,
    failure=None, acknowledged=112_340, acknowledged_per_second=11_234.1, delivered=112_341,
    delivered_per_second=11_234.2, ack_ms=Percentiles(p50=1.5, p90=2.5, p99=3.5, max=40.25),
    sync_ms=Syncs(p50=0.4, p99=1.25),
    cost=ServerCost(cpu_percent=58.2, cpu_us_per_message=52.34, cpu_us_per_delivery=51.0, memory_start=50 * MIB,
                    memory_end=60 * MIB, memory_peak=70 * MIB),
    load_cpu_percent=31.4, errors={}, discrepancies=[],
)  # fmt: skip


def test_the_report() -> None:
    assert list(report.lines(GOOD)) == [
        "server         chatd 1.2, of its own",
        "disk           4 KiB written and synced in 0.40 ms (p50), 1.25 ms (p99)",
        "load           20 pairs, 8 messages in flight each, 95 bytes of text",
        "measured       10.0 s after 1.5 s of warm-up",
        "",
        "acknowledged   11,234 messages/s",
        "delivered      11,234 deliveries/s, every one checked: once, in order",
        "ack            p50 1.50 ms   p90 2.50 ms   p99 3.50 ms   max 40.25 ms",
        "server CPU     52.3 us a message, 58 % of a core",
        "server memory  50 MiB at the start, 60 MiB at the end, 70 MiB at most",
        "this program   31 % of a core",
        "refused        nothing",
    ]
    assert GOOD.good


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"cost": None}, "server CPU     not available: only for a server on this machine, on Linux"),
        ({"private": False}, "server         http://127.0.0.1:1"),
        ({"interrupted": True}, "measured       10.0 s after 1.5 s of warm-up, then interrupted"),
        ({"load_cpu_percent": 97.0}, "this program   97 % of a core: it is the bottleneck, the server may do more"),
        ({"errors": {"unavailable": 3, "internal": 1}}, "refused        1 internal, 3 unavailable"),
        ({"errors": {"rate_limited": 3}},
         "refused        3 rate_limited; the server's own limits ([limits]) are what was measured"),
        ({"discrepancies": ["seq 4 was acknowledged twice"]}, "WRONG: seq 4 was acknowledged twice"),
        ({"failure": "the server closed the connection"}, "FAILED: the server closed the connection"),
        ({"discrepancies": ["x"]}, "delivered      11,234 deliveries/s"),
        ({"sync_ms": Syncs(p50=0.002, p99=0.003)},
         "disk           4 KiB written and synced in 0.00 ms (p50), 0.00 ms (p99); "
         "that is memory, no disk: see --data-on"),
        ({"workload": attrs.evolve(PAIRS, conversations=1, members=100, senders=2, receipts=True)},
         "load           a group of 100, 2 senders, 8 messages in flight each, 95 bytes of text, "
         "each reported delivered"),
        ({"workload": attrs.evolve(PAIRS, members=100)},
         "server CPU     52.3 us a message, 51.00 us a delivery, 58 % of a core"),
    ],
)  # fmt: skip
def test_lines_of_the_report(changed: dict[str, Any], line: str) -> None:
    figures = attrs.evolve(GOOD, **changed)
    assert line in list(report.lines(figures))
    assert figures.good == (not changed.keys() & {"discrepancies", "failure"})


# -- a server of its own --


def test_a_server_of_its_own_is_not_told_about_another(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CHATD_STORAGE_DATABASE", "DATABASE_URL", "PORT", "NODE_ENV", "CHATD_ENV", "HOSTNAME"):
        monkeypatch.setenv(name, "production")
    monkeypatch.setenv("LANG", "C.UTF-8")
    kept = environment()
    assert "production" not in kept.values()
    assert kept["LANG"] == "C.UTF-8"


def test_a_server_that_does_not_start(tmp_path: Path) -> None:
    complains = ("/bin/sh", "-c", "echo first >&2; echo 'no more room' >&2; exit 3")
    with (
        pytest.raises(CannotStart, match="it did not start: no more room"),
        running("it", complains, tmp_path, environment()),
    ):
        raise AssertionError
