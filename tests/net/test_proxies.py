"""Who is behind a proxy: only trusted ones are believed, and of what they pass on only what they wrote themselves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatd.net.head import Head
from chatd.net.proxies import PeerClient, Proxies, Scheme

PROXY = ("10.0.0.1", 40_000)
TRUSTED = ("10.0.0.0/8", "2001:db8:ffff::/48")


def client(
    *headers: tuple[str, str],
    peer: tuple[str, int] | None = PROXY,
    scheme: Scheme = "http",
    trusted: tuple[str, ...] = TRUSTED,
) -> PeerClient:
    head = Head("GET", "/ws", "/ws", [(name.encode(), value.encode("latin-1")) for name, value in headers])
    return Proxies(trusted).client(head, peer, scheme)


def forwarded(*values: str) -> tuple[str, int] | None:
    return client(*(("x-forwarded-for", value) for value in values)).address


@pytest.mark.parametrize("peer", [("192.0.2.1", 5), ("11.0.0.1", 5), ("2001:db8::1", 5), ("not an address", 5), None])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_forwarded_header_of_an_untrusted_peer_is_ignored(peer: tuple[str, int] | None, scheme: Scheme) -> None:
    lies = (("x-forwarded-for", "203.0.113.9"), ("x-forwarded-proto", "https" if scheme == "http" else "http"))
    assert client(*lies, peer=peer, scheme=scheme) == PeerClient(peer, scheme)


def test_proxies_by_default_are_none() -> None:
    lies = (("x-forwarded-for", "203.0.113.9"), ("x-forwarded-proto", "https"))
    assert client(*lies, peer=("127.0.0.1", 5), trusted=()) == PeerClient(("127.0.0.1", 5), "http")


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("203.0.113.9", ("203.0.113.9", 0)),
        ("  203.0.113.9\t", ("203.0.113.9", 0)),
        ("203.0.113.9:5123", ("203.0.113.9", 5123)),
        ("2001:db8::9", ("2001:db8::9", 0)),
        ("2001:DB8:0::9", ("2001:db8::9", 0)),
        ("[2001:db8::9]", ("2001:db8::9", 0)),
        ("[2001:db8::9]:5123", ("2001:db8::9", 5123)),
        ("::ffff:203.0.113.9", ("203.0.113.9", 0)),
        # what stands before the last that is not trusted, anybody may have written
        ("198.51.100.7, 203.0.113.9", ("203.0.113.9", 0)),
        ("10.1.2.3, 203.0.113.9", ("203.0.113.9", 0)),
        ("198.51.100.7,203.0.113.9,10.9.9.9", ("203.0.113.9", 0)),
        ("203.0.113.9, 10.1.1.1:80 , 2001:db8:ffff::1", ("203.0.113.9", 0)),
        ("203.0.113.9, ::ffff:10.1.1.1", ("203.0.113.9", 0)),
        # all of them trusted: the first
        ("10.1.1.1, 10.2.2.2", ("10.1.1.1", 0)),
    ],
)
def test_the_last_address_that_is_not_trusted(value: str, address: tuple[str, int]) -> None:
    assert forwarded(value) == address


def test_several_headers_are_one_list() -> None:
    assert forwarded("198.51.100.7", "203.0.113.9", "10.1.1.1") == ("203.0.113.9", 0)
    assert forwarded("203.0.113.9", "10.1.1.1, 10.2.2.2") == ("203.0.113.9", 0)


NONSENSE = [
    *("", " ", ",", "unknown", "_hidden", "localhost", "1.2.3", "1.2.3.4.5", "256.1.1.1", "01.2.3.4", "1.2.3.4:", "x"),
    *("1.2.3.4:x", "1.2.3.4:99999", "1.2.3.4:-1", "1.2.3.4:\xb2", "1.2.3.4 5.6.7.8", '"1.2.3.4"', "[1.2.3.4", "[::1]x"),
    *("[::1]5", "[]", "[", "fe80::1%eth0", "1.2.3.4/8", "for=1.2.3.4", "http://1.2.3.4", "\xff\xfe", "1" * 10_000),
]


@pytest.mark.parametrize("value", NONSENSE)
def test_nonsense_stands_for_the_proxy_that_wrote_it(value: str) -> None:
    assert forwarded(value) == PROXY
    assert forwarded(f"198.51.100.7, {value}, 10.1.1.1") == ("10.1.1.1", 0)


def test_no_header_at_all() -> None:
    assert client() == PeerClient(PROXY, "http")
    assert client(scheme="https") == PeerClient(PROXY, "https")


@pytest.mark.parametrize(
    ("values", "scheme"),
    [
        (["https"], "https"),
        (["HTTPS"], "https"),
        ([" https "], "https"),
        (["wss"], "https"),
        (["http"], "http"),
        (["ws"], "http"),
        # only the last is the trusted proxy's own
        (["https, http"], "http"),
        (["http", "https"], "https"),
        (["ftp"], "http"),
        (["https;"], "http"),
        ([""], "http"),
        (["https,"], "http"),
        (["\xe9"], "http"),
    ],
)
def test_the_scheme(values: list[str], scheme: str) -> None:
    assert client(*(("x-forwarded-proto", value) for value in values)).scheme == scheme
    assert client(*(("x-forwarded-proto", value) for value in values)).address == PROXY


def test_a_proxy_may_say_that_tls_ended_before_it_and_began_again() -> None:
    assert client(("x-forwarded-proto", "http"), scheme="https").scheme == "http"


@given(st.lists(st.text(st.characters(max_codepoint=255), max_size=40), max_size=4))
def test_forwarded_nonsense_still_gives_an_address(values: list[str]) -> None:
    head = Head("GET", "/", "/", [(b"x-forwarded-for", value.encode("latin-1")) for value in values])
    found = Proxies(TRUSTED).client(head, PROXY, "http").address
    assert found is not None
    assert len(found[0]) <= 45
    assert 0 <= found[1] < 65536
