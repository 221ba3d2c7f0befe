"""Which pages may open a WebSocket."""

import pytest

from chatd.head import Head
from chatd.origins import Origins


def refused(host: str | None, origin: str | None, *, development: bool = True, exposed: bool = False) -> bool:
    headers = [(b"host", host.encode("latin-1"))] if host is not None else []
    headers += [(b"origin", origin.encode("latin-1"))] if origin is not None else []
    head = Head("GET", "/ws", "/ws", headers)
    return Origins(development=development, exposed=exposed).refusal(head) is not None


LOCAL = ["localhost", "localhost:3001", "LOCALHOST:3001", "app.localhost:3001", "127.0.0.1:3001", "127.8.9.1", "[::1]"]
ELSEWHERE = ["clinic.example", "192.168.1.5:3001", "localhost.evil.example", "127.0.0.1.evil.example", "[2001:db8::1]"]


@pytest.mark.parametrize("host", LOCAL)
def test_development_mode_serves_pages_of_this_machine(host: str) -> None:
    assert not refused(host, None)
    for page in LOCAL:
        assert not refused(host, f"http://{page}")
        assert not refused(host, f"https://{page}")


@pytest.mark.parametrize("page", ELSEWHERE)
def test_development_mode_refuses_pages_from_elsewhere(page: str) -> None:
    assert refused("localhost:3001", f"https://{page}")


@pytest.mark.parametrize("host", ELSEWHERE)
def test_development_mode_answers_to_no_other_name(host: str) -> None:
    """A name that an attacker's DNS points at this machine makes his page one of the same origin."""
    assert refused(host, None)
    assert refused(host, f"http://{host}")
    assert refused(None, None)


@pytest.mark.parametrize("development", [True, False])
def test_exposed_or_in_production_a_page_of_the_same_host_is_let_in(development: bool) -> None:
    for host in ("clinic.example", "clinic.example:8443", "192.168.1.5:3001"):
        assert not refused(host, None, development=development, exposed=True)
        assert not refused(host, f"https://{host}", development=development, exposed=True)
        assert not refused(host, f"https://{host.upper()}", development=development, exposed=True)
        assert refused(host, "https://evil.example", development=development, exposed=True)
        assert refused(host, f"https://{host}.evil.example", development=development, exposed=True)
    assert refused("clinic.example", "https://clinic.example:8443", development=development, exposed=True)


@pytest.mark.parametrize("origin", ["null", "", "file://", "https://", "not an origin", "http://[::1", "https://a@localhost"])
def test_an_origin_that_names_no_page_is_refused(origin: str) -> None:
    assert refused("clinic.example", origin, development=False)
    assert refused("clinic.example", origin, exposed=True) or origin.endswith("@localhost")


def test_in_production_this_machine_is_nothing_special() -> None:
    assert refused("clinic.example", "http://localhost:3001", development=False)
    assert refused("clinic.example", "http://127.0.0.1", development=False)
