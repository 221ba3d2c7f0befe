"""Answers as bytes: what h11 reads of them is what was meant."""

from collections.abc import Callable

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatd.net.framing import Framing, Nonsense

VALUES = st.binary(max_size=20).map(lambda value: bytes(byte for byte in value if 33 <= byte < 127) or b"x")
Headers = list[tuple[bytes, bytes]]


def read(data: bytes, method: str) -> tuple[h11.Response, bytes, bool]:
    """The answer as a client has it: its head, its body, and whether the connection lives on."""
    conn = h11.Connection(h11.CLIENT)
    conn.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
    conn.send(h11.EndOfMessage())
    conn.receive_data(data)
    response = conn.next_event()
    assert isinstance(response, h11.Response)
    body = b""
    while True:
        event = conn.next_event()
        if event is h11.NEED_DATA:
            conn.receive_data(b"")
        elif isinstance(event, h11.Data):
            body += event.data
        else:
            assert isinstance(event, h11.EndOfMessage)
            return response, body, conn.our_state is h11.DONE and conn.their_state is h11.DONE


@given(
    status=st.sampled_from([200, 201, 204, 206, 304, 404, 416, 500, 503]),
    parts=st.lists(st.binary(max_size=50), max_size=5),
    sized=st.booleans(),
    method=st.sampled_from(["GET", "HEAD", "POST"]),
    chunks=st.booleans(),
    closes=st.booleans(),
    value=VALUES,
)
def test_answer_is_read_as_it_was_meant(
    status: int, parts: list[bytes], sized: bool, method: str, chunks: bool, closes: bool, value: bytes
) -> None:
    framing = Framing(bodyless=method == "HEAD", chunks=chunks, closes=closes)
    whole = b"".join(parts)
    headers: Headers = [(b"x-test", value)]
    if sized and status not in (204, 304):
        headers.append((b"content-length", b"%d" % len(whole)))
    data = framing.head(status, headers) + b"".join(framing.body(part) for part in parts) + framing.end()
    response, body, lives = read(data, method)
    assert response.status_code == status
    assert dict(response.headers)[b"x-test"] == value
    assert body == (b"" if framing.bodyless else whole)
    assert lives is not framing.closes
    assert framing.closes or chunks or sized or framing.bodyless


@pytest.mark.parametrize(
    "headers",
    [
        [(b"x", b"a\r\nset-cookie: b")],
        [(b"x", b"a\nb")],
        [(b"x", b"a\rb")],
        [(b"x", b"a\0b")],
        [(b"x\r\ny", b"a")],
        [(b"transfer-encoding", b"chunked")],
    ],
)
def test_header_that_would_be_another_line_is_refused(headers: Headers) -> None:
    framing = Framing(bodyless=False, chunks=True, closes=False)
    with pytest.raises(Nonsense):
        framing.head(200, headers)
    assert not framing.started


@pytest.mark.parametrize("length", [2, 4])
def test_body_of_another_size_than_said_is_refused(length: int) -> None:
    framing = Framing(bodyless=False, chunks=True, closes=False)
    framing.head(200, [(b"content-length", b"%d" % length)])
    with pytest.raises(Nonsense):
        framing.body(b"abc")
        framing.end()


def test_parts_out_of_turn_are_refused() -> None:
    calls: list[Callable[[], bytes]]
    framing = Framing(bodyless=False, chunks=True, closes=False)
    calls = [lambda: framing.body(b"x"), framing.end, lambda: framing.head(100, []), lambda: framing.head(99, [])]
    for call in calls:
        with pytest.raises(Nonsense):
            call()
    framing.head(200, [])
    framing.end()
    calls = [lambda: framing.body(b"x"), framing.end, lambda: framing.head(200, [])]
    for call in calls:
        with pytest.raises(Nonsense):
            call()
