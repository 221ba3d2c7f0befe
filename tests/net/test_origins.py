"""Which pages may open a WebSocket."""

import pytest

from chatd.net.head import Head
from chatd.net.origins import Origins

SITE = "https://www.clinic.example"  # another site that is allowed
PUBLIC = "https://chat.clinic.example"  # where this server is found
HOSTS = ("localhost", "127.0.0.1", "[::1]", "chat.clinic.example", "intranet")


def refusal(
    host: str | list[str] | None,
    origin: str | list[str] | None,
    *,
    scheme: str = "http",
    development: bool = False,
    exposed: bool = False,
    allowed: tuple[str, ...] = (),
    hosts: tuple[str, ...] = HOSTS,
) -> str | None:
    headers: list[tuple[bytes, bytes]] = []
    for name, given in ((b"host", host), (b"origin", origin)):
        values = [given] if isinstance(given, str) else given or []
        headers += [(name, value.encode("latin-1")) for value in values]
    origins = Origins(development=development, exposed=exposed, allowed=allowed, hosts=hosts)
    return origins.refusal(Head("GET", "/ws", "/ws", headers), scheme)


def in_production(host: str | None, origin: str | None, scheme: str = "http") -> str | None:
    return refusal(host, origin, scheme=scheme, allowed=(SITE, PUBLIC))


NOT_ALLOWED = "the page's origin is not allowed"


# -- outside development mode --


@pytest.mark.parametrize("host", ["chat.clinic.example", "intranet:3001", "evil.example", "127.0.0.1:3001", "", None])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_configured_origins_are_allowed_whatever_the_host(host: str | None, scheme: str) -> None:
    assert in_production(host, SITE, scheme) is None
    assert in_production(host, PUBLIC, scheme) is None


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "",
        "*",
        "http://www.clinic.example",
        "wss://www.clinic.example",
        "https://www.clinic.example:443",
        "https://www.clinic.example:8443",
        "https://www.clinic.example.",
        "https://www.clinic.example/",
        "https://www.clinic.example/chat",
        "https://www.clinic.example?",
        "https://www.clinic.example#",
        "https://www.clinic.example.evil.example",
        "https://evil-www.clinic.example",
        "https://evilwww.clinic.example",
        "https://www.clinic.exampl",
        "https://clinic.example",
        "https://sub.www.clinic.example",
        "https://WWW.clinic.example",
        "HTTPS://www.clinic.example",
        "https://user@www.clinic.example",
        "https://www.clinic.example@evil.example",
        "https://www.clinic.example:443@evil.example",
        "https://evil.example/https://www.clinic.example",
        "https://evil.example#https://www.clinic.example",
        " https://www.clinic.example",
        "https://www.clinic.example ",
        "https://www.clinic.example, https://www.clinic.example",
        "https://www.clinic.example https://evil.example",
        "https:/www.clinic.example",
        "//www.clinic.example",
        "www.clinic.example",
        "https://www\xe9.clinic.example",
        "file://",
        "https://",
        "https://[::1",
        "https://evil.example",
    ],
)
@pytest.mark.parametrize("host", ["chat.clinic.example", "www.clinic.example", "localhost:3001", None])
def test_origin_that_differs_in_anything_is_refused(host: str | None, origin: str) -> None:
    for scheme in ("http", "https"):
        assert in_production(host, origin, scheme) == NOT_ALLOWED


@pytest.mark.parametrize("host", ["chat.clinic.example", "evil.example", "localhost:3001", None])
def test_no_origin_is_no_browsers_page(host: str | None) -> None:
    assert in_production(host, None) is None


@pytest.mark.parametrize("first", [SITE, "https://evil.example", "null"])
def test_two_origins_are_refused(first: str) -> None:
    assert refusal("intranet", [first, SITE], allowed=(SITE,)) == "two origin headers"
    assert refusal("localhost", [SITE, SITE], development=True, allowed=(SITE,)) == "two origin headers"


@pytest.mark.parametrize("origin", [None, SITE])
def test_two_hosts_are_refused(origin: str | None) -> None:
    assert refusal(["intranet", "intranet"], origin, allowed=(SITE,)) == "two host headers"
    assert refusal(["localhost", "localhost"], origin, development=True, exposed=True) == "two host headers"


@pytest.mark.parametrize(
    ("scheme", "host", "origin"),
    [
        ("http", "intranet", "http://intranet"),
        ("https", "intranet", "https://intranet"),
        ("http", "intranet:3001", "http://intranet:3001"),
        ("https", "intranet:3001", "https://intranet:3001"),
        ("https", "intranet:80", "https://intranet:80"),
        ("http", "intranet:443", "http://intranet:443"),
        ("http", "localhost:3001", "http://localhost:3001"),
        ("http", "127.0.0.1:3001", "http://127.0.0.1:3001"),
        ("http", "[::1]:3001", "http://[::1]:3001"),
        ("http", "[::1]", "http://[::1]"),
        # the default port: browsers leave it out, some proxies put it into Host
        ("http", "intranet:80", "http://intranet"),
        ("https", "intranet:443", "https://intranet"),
    ],
)
def test_this_servers_own_pages_under_its_own_names(scheme: str, host: str, origin: str) -> None:
    assert refusal(host, origin, scheme=scheme) is None
    other = "https" if scheme == "http" else "http"
    assert refusal(host, origin, scheme=other) == NOT_ALLOWED
    assert refusal(host, origin, scheme=scheme, hosts=()) == NOT_ALLOWED


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("intranet:3001", "http://intranet"),
        ("intranet", "http://intranet:3001"),
        ("intranet:3001", "http://intranet:3002"),
        ("intranet:80", "http://intranet:80"),
        ("intranet:443", "http://intranet"),
        # a name that an attacker's DNS points here: of the same origin, but not ours
        ("evil.example", "http://evil.example"),
        ("evil.example:3001", "http://evil.example:3001"),
        ("192.168.1.5:3001", "http://192.168.1.5:3001"),
        ("intranet.", "http://intranet."),
        ("INTRANET", "http://INTRANET"),
        ("INTRANET", "http://intranet"),
        ("intranet", "http://INTRANET"),
        ("intranet.evil.example", "http://intranet.evil.example"),
        ("evil-intranet", "http://evil-intranet"),
        ("evil@intranet", "http://evil@intranet"),
        ("intranet:x", "http://intranet:x"),
        ("intranet:", "http://intranet:"),
        ("intranet:3001:3001", "http://intranet:3001:3001"),
        ("intranet/", "http://intranet/"),
        ("::1", "http://::1"),
        ("", "http://"),
        (None, "http://"),
        (None, "http://intranet"),
    ],
)
def test_origin_that_resembles_an_own_page_is_refused(host: str | None, origin: str) -> None:
    assert refusal(host, origin) == NOT_ALLOWED


def test_this_machine_is_nothing_special() -> None:
    for page in ("http://localhost:3001", "http://127.0.0.1", "http://[::1]:3001"):
        assert refusal("chat.clinic.example", page) == NOT_ALLOWED


# -- in development mode --

LOCAL = ["localhost", "localhost:3001", "LOCALHOST:3001", "app.localhost:3001", "127.0.0.1:3001", "127.8.9.1", "[::1]"]
ELSEWHERE = ["clinic.example", "192.168.1.5:3001", "localhost.evil.example", "127.0.0.1.evil.example", "[2001:db8::1]"]


def in_development(host: str | None, origin: str | None, *, exposed: bool = False) -> str | None:
    return refusal(host, origin, development=True, exposed=exposed, allowed=(SITE,))


@pytest.mark.parametrize("host", LOCAL)
def test_development_mode_serves_pages_of_this_machine(host: str) -> None:
    assert in_development(host, None) is None
    for page in LOCAL:
        assert in_development(host, f"http://{page}") is None
        assert in_development(host, f"https://{page}") is None


@pytest.mark.parametrize("page", ELSEWHERE)
def test_development_mode_refuses_pages_from_elsewhere(page: str) -> None:
    assert in_development("localhost:3001", f"https://{page}") == NOT_ALLOWED


def test_development_mode_serves_configured_sites_too() -> None:
    assert in_development("localhost:3001", SITE) is None
    assert in_development("clinic.example", SITE, exposed=True) is None
    assert in_development("localhost:3001", SITE + ".evil.example") == NOT_ALLOWED


@pytest.mark.parametrize("host", [*ELSEWHERE, "", None])
def test_development_mode_answers_to_no_other_name(host: str | None) -> None:
    """A name that an attacker's DNS points at this machine makes his page one of the same origin."""
    refused = "development mode serves this machine only, by its loopback address or localhost"
    for origin in (None, f"http://{host}", SITE):
        assert in_development(host, origin) == refused


def test_exposed_a_page_of_the_same_host_is_let_in() -> None:
    for host in ("clinic.example", "clinic.example:8443", "192.168.1.5:3001"):
        assert in_development(host, None, exposed=True) is None
        assert in_development(host, f"https://{host}", exposed=True) is None
        assert in_development(host, f"https://{host.upper()}", exposed=True) is None
        assert in_development(host, "https://evil.example", exposed=True) == NOT_ALLOWED
        assert in_development(host, f"https://{host}.evil.example", exposed=True) == NOT_ALLOWED
    assert in_development("clinic.example", "https://clinic.example:8443", exposed=True) == NOT_ALLOWED


@pytest.mark.parametrize("origin", ["null", "", "file://", "https://", "not an origin", "http://[::1"])
@pytest.mark.parametrize("exposed", [False, True])
def test_origin_that_names_no_page_is_refused_in_development_too(origin: str, exposed: bool) -> None:
    assert in_development("localhost", origin, exposed=exposed) == NOT_ALLOWED
