"""Settings that are wrong: the one line that each gets, and what it hides."""

import json
from typing import Any

import pytest

from chatd.config import SETTINGS
from support.settings import DATABASE, ORIGIN, ORIGINS, PASSWORD, refusal, refused, variable

pytestmark = pytest.mark.usefixtures("empty_folder")

INTEGER = "an integer from {} to {}".format
NUMBER = "a number from {} to {}".format
PROXIES = 'a list of addresses or networks like "10.0.0.0/8"'
NAMES = 'a list of theirs for ours, like "Message=messages" or "Message.content=body"'
ROLES_OF = 'a list like "PRO=dentist" of patient, dentist, staff and admin'
METHODS = 'a list of "token", "password", "ticket", "invitation", "nextauth", "better-auth", "jwt", "oidc"'
COOKIES = "a list of names of cookies"
SESSION_COLUMNS = 'a list of theirs for token, user, expires, like "token={}"'.format
CLAIM = 'the path of a claim, like "sub" or "user.id"'
ROLES = 'a list of "patient", "dentist", "staff", "admin"'

WRONG: dict[str, list[tuple[str | list[str], str]]] = {
    "server.host": [("a b", "an address or a host name")],
    "server.port": [("abc", INTEGER(0, 65535))],
    "server.data": [("a\nb", "the path of a folder")],
    "server.public_url": [
        (url, ORIGIN)
        for url in (
            *("https://a.example/chat", "https://a.example?x", "ftp:a.example", "a.example", "https://*", "https://"),
            *("https://a.example:0", "https://a.example:99999", "https://a.example:", "https://ä.example", "*", "null"),
            *("https://[::1", "https://[12345::]", "https://a..b", "https://a.example//", "https://\u212aa.example"),
        )
    ],
    "server.app_url": [("https://a.example/chat", ORIGIN), ("a.example", ORIGIN)],
    "server.allowed_origins": [
        (["*"], ORIGINS),
        (["https://*.a.example"], ORIGINS),
        (["https://a.example", "https://b.example/chat"], ORIGINS),
        (["https://a.example", ""], ORIGINS),
    ],
    "server.allowed_hosts": [
        (["a.example:80"], "a list of host names without ports"),
        (["*"], "a list of host names without ports"),
    ],
    "server.trusted_proxies": [(["10.0.0.1/8"], PROXIES), (["10.0.0.300"], PROXIES), (["proxy"], PROXIES)],
    "server.grace": [("10s", NUMBER(0, 3600))],
    "server.heartbeat": [("often", NUMBER(1, 3600))],
    "server.websocket": [("websockets", 'one of "own", "trio-websocket"')],
    "tls.certificate": [("a\tb", "the path of a PEM file")],
    "tls.key": [("a\tb", "the path of a PEM file")],
    "auth.secret": [("..." + PASSWORD, "at least 32 characters")],
    "auth.secret_file": [("a\x7fb\n", "the path of a file")],
    "auth.token_lifetime": [("30d", NUMBER(0.001, 3650))],
    "auth.methods": [([wrong], METHODS) for wrong in ("cookie", "Password")],
    "auth.session_lifetime": [
        ([wrong], 'a list like "patient=180d", with s, m, h or d') for wrong in ("patient", "nurse=1d", "staff=0h")
    ],
    "auth.second_step": [(["nurse"], ROLES)],
    "auth.nextauth.secrets": [([PASSWORD, "x" * 1025], "a list of texts of 1 to 1024 characters")],
    "auth.nextauth.secrets_file": [("a\x7fb\n", "the path of a file")],
    "auth.nextauth.cookies": [([wrong], COOKIES) for wrong in ("a b", "a=b", "a;b")],
    "auth.nextauth.sessions": [("cookie", 'one of "jwt", "database"')],
    "auth.nextauth.table": [("a b", "the name of a table"), ("`x`", "the name of a table")],
    "auth.nextauth.columns": [
        ([wrong], SESSION_COLUMNS("sessionToken")) for wrong in ("token", "id=x", "token=a b", "token=`x`", "token=")
    ],
    "auth.better_auth.secrets": [([PASSWORD, "x" * 1025], "a list of texts of 1 to 1024 characters")],
    "auth.better_auth.secrets_file": [("a\x7fb\n", "the path of a file")],
    "auth.better_auth.cookies": [(["a b"], COOKIES)],
    "auth.better_auth.table": [("a.b", "the name of a table")],
    "auth.better_auth.columns": [(["user=a;b"], SESSION_COLUMNS("token"))],
    "auth.nextauth.user": [("a b", CLAIM)],
    "storage.database": [
        ("postgresql:", DATABASE),
        ("file:./dev.db", DATABASE),
        ("sqlite://relative.db", DATABASE),
        ("sqlite:///:memory:", DATABASE),
    ],
    "storage.durability": [("off", 'one of "full", "normal"')],
    "storage.readers": [("two", INTEGER(1, 32))],
    "mysql.constants": [
        ([wrong], 'a list like "Message.type=TEXT"') for wrong in ("Message.type", "type=TEXT", "M.a b=c")
    ],
    "mysql.ids": [("nanoid", 'one of "", "uuid", "cuid"')],
    "mysql.receiver_in_groups": [("everybody", 'one of "", "sender"')],
    "storage.files": [("a\nb", "the path of a folder")],
    "mysql.write_attachments": [("sometimes", "true or false")],
    "mysql.names": [([wrong], NAMES) for wrong in ("Message", "Message=a b", "Message.a.b=c", "=x", "Message=`x`")],
    "mysql.poll": [("always", NUMBER(0.1, 3600))],
    "mysql.roles": [([wrong], ROLES_OF) for wrong in ("PRO", "PRO=doctor", "=dentist", "PRO=dentist=x")],
    "limits.max_frame_bytes": [("1M", INTEGER(4096, 4194304))],
    "limits.max_body_chars": [("many", INTEGER(1, 100000))],
    "limits.max_revs": [("many", INTEGER(1, 10000))],
    "limits.max_page": [("many", INTEGER(1, 1000))],
    "limits.max_participants": [("many", INTEGER(2, 2000))],
    "limits.max_attachment_bytes": [("25M", INTEGER(1, 2**40))],
    "limits.max_attachments": [("all", INTEGER(1, 50))],
    "limits.user_attachment_bytes_per_day": [("1 GiB", INTEGER(1, 2**50))],
    "limits.outbox_bytes": [("1M", INTEGER(65536, 2**30))],
    "limits.connections": [("many", INTEGER(1, 1000000))],
    "limits.connections_per_user": [("many", INTEGER(1, 1000000))],
    "limits.connections_per_address": [("many", INTEGER(1, 1000000))],
    "limits.address_requests_per_second": [("many", NUMBER(0.1, 1000000))],
    "limits.address_request_burst": [("many", INTEGER(1, 1000000))],
    "limits.requests_per_second": [("many", NUMBER(0.1, 1000000))],
    "limits.request_burst": [("many", INTEGER(1, 1000000))],
    "limits.user_requests_per_second": [("many", NUMBER(0.1, 1000000))],
    "limits.user_request_burst": [("many", INTEGER(1, 1000000))],
    "limits.rooms": [("many", INTEGER(1, 1000000))],
    "limits.room_inbox": [("many", INTEGER(1, 65536))],
    "limits.free_disk_bytes": [("1G", INTEGER(0, 2**50))],
    "limits.http_body_bytes": [("many", INTEGER(1024, 2**30))],
    "limits.unfinished_bytes": [("1", INTEGER(2**20, 2**40))],
    "timeouts.handshake": [("5s", NUMBER(0.1, 3600))],
    "timeouts.hello": [("5s", NUMBER(0.1, 3600))],
    "timeouts.close": [("5s", NUMBER(0.1, 3600))],
    "timeouts.write": [("5s", NUMBER(0.1, 3600))],
    "timeouts.commit": [("5s", NUMBER(0.1, 3600))],
    "timeouts.room_idle": [("1m", NUMBER(0.1, 86400))],
    "timeouts.keep_alive": [("5s", NUMBER(0.1, 3600))],
    "policy.patient": [(["nurse"], ROLES)],
    "policy.dentist": [(["all"], ROLES)],
    "policy.staff": [(["*"], ROLES)],
    "policy.admin": [(["Patient"], ROLES)],
    "messages.edit_within": [("1d", NUMBER(0, 876000))],
    "messages.delete_within": [("1d", NUMBER(0, 876000))],
    "web.name": [("a\nb", "1 to 80 characters")],
    "web.logo": [("a\tb", "the path of a picture: .svg, .png, .webp or .jpg")],
    "web.theme": [("a\tb", "the path of a CSS file")],
    "web.language": [(wrong, 'a language like "en" or "pt-BR"') for wrong in ("English", "en_GB", "en-", "en\n")],
    "web.sign_in_url": [
        (wrong, "an http or https address")
        for wrong in ("javascript:alert(1)", "/sign-in", "https://", "https://a b", "https://a.example\n")
    ],
    "web.lock_after": [("5m", NUMBER(0, 1440))],
    "web.media_origins": [(["*"], ORIGINS), (["https://a.example/x"], ORIGINS)],
    "socketio.enabled": [("yes", "true or false")],
    "socketio.paths": [
        (wrong, 'a list of paths like "/api/socket"')
        for wrong in (["socket.io"], ["/"], ["/a b"], ["/a?x=1"], ["/a//b"])
    ],
    "socketio.namespaces": [(["chat"], 'a list of namespaces like "/" or "/chat"')],
    "socketio.names": [
        (wrong, 'a list of ours=theirs, like "new_message=receive_message"')
        for wrong in (["new_message"], ["=x"], ["new_message="], ["a b=c"])
    ],
    "socketio.aliases": [(["new_message"], 'a list of ours=theirs, like "new_message=receive_message"')],
    "socketio.acknowledgement": [("okay", 'one of "success", "ok", "status"')],
    "socketio.system_messages": [("no", "true or false")],
    "socketio.query": [("on", "true or false")],
    "socketio.connect_timeout": [("soon", "a number from 0.1 to 3600")],
    "socketio.ping_timeout": [("soon", "a number from 0.1 to 3600")],
    "socketio.recovery": [("long", "a number from 0 to 3600")],
    "socketio.recovery_bytes": [("much", "an integer from 0 to 1099511627776")],
    "metrics.token": [("a secret with spaces", "16 to 512 printable characters without space")],
    "logs.level": [("INFO", 'one of "debug", "info", "warning", "error"')],
    "files.downloads": [([wrong], 'a list of "dicom", "docx" and "zip"') for wrong in ("DICOM", "exe")],
    "files.clamd": [(wrong, "the path of a socket, or host:port") for wrong in ("clamd.ctl", "host", ":3310", "/a\nb")],
    "files.cache": [("day", 'one of "hour", "never"')],
    "logs.format": [("xml", 'one of "auto", "human", "json"')],
}
"""Of each setting, text that is wrong for it, and what the error says is allowed. Written by hand, not derived."""

CASES = [(setting, value, expected) for setting, cases in WRONG.items() for value, expected in cases]


def test_every_setting_has_a_wrong_value_here() -> None:
    assert set(WRONG) == {f"{table}.{key}" for table, keys in SETTINGS.items() for key in keys}


@pytest.mark.parametrize(("setting", "value", "expected"), CASES)
def test_a_wrong_value_gets_one_exact_line_wherever_it_stands(setting: str, value: Any, expected: str) -> None:
    table, _, key = setting.rpartition(".")
    text = ",".join(value) if isinstance(value, list) else value
    shown, typed = (
        json.dumps(found, ensure_ascii=False) if not SETTINGS[table][key].secret else "..." for found in (value, text)
    )
    literal = json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    assert refusal(f"[{table}]\n{key} = {literal}") == f"chatd.toml: [{table}] {key} = {shown}: expected {expected}"
    assert refusal(**{variable(setting): text}) == f"environment: {variable(setting)} = {typed}: expected {expected}"
    assert refused(None, {setting: text}, {}) == f"command line: {setting} = {typed}: expected {expected}"


@pytest.mark.parametrize("text", ["3001.0", " 3001", "3_001", "0x10", "1e3", "٣", "+1", "-1", "9" * 5000, "true"])
def test_numbers_in_the_environment_are_strict(text: str) -> None:
    message = refusal(CHATD_SERVER_PORT=text)
    assert message.startswith("environment: CHATD_SERVER_PORT = ")
    assert message.endswith(": expected an integer from 0 to 65535")


@pytest.mark.parametrize("text", ["nan", "inf", "1,5", "5s", "-0.1", "1e999"])
def test_fractions_are_strict_too(text: str) -> None:
    assert (
        refusal(CHATD_SERVER_GRACE=text)
        == f'environment: CHATD_SERVER_GRACE = "{text}": expected a number from 0 to 3600'
    )


@pytest.mark.parametrize(
    "environment",
    [
        {"DATABASE_URL": f"postgresql://u:{PASSWORD}@h/db"},
        {"DATABASE_URL": f"mysql://u:{PASSWORD}"},
        {"DATABASE_URL": f"mysql://u:{PASSWORD}#1@h/db"},
        {"DATABASE_URL": f"u:{PASSWORD}@h/db"},
        {"DATABASE_URL": f"sqlite:///u:{PASSWORD}@h?"},
        {"CORS_ORIGIN": f"https://a.example,https://u:{PASSWORD}@b.example"},
        {"NEXT_PUBLIC_SITE_URL": f"https://u:{PASSWORD}@b.example/x"},
        {"CHATD_AUTH_SECRET": PASSWORD},
    ],
)
def test_errors_hold_no_password(environment: dict[str, str]) -> None:
    assert PASSWORD not in refusal(**environment)


def test_nor_do_errors_about_a_file() -> None:
    for text in (
        f'[server]\nallowed_origins = ["https://a.example", "https://u:{PASSWORD}@b.example"]',
        f'[storage.database]\nurl = "mysql://u:{PASSWORD}@h/db"',
        f'[auth]\nsecret = ["{PASSWORD}"]',
        f'storage = "mysql://u:{PASSWORD}@h/db"',
    ):
        assert PASSWORD not in refusal(text)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mysql://u:ge#heim@h/d", "to be written otherwise: # as %23"),
        ("mysql://u:ge/heim@h/d", "to be written otherwise: / as %2F"),
        ("mysql://u:ge? heim@h/d", "to be written otherwise: ? as %3F, a space as %20"),
        ("mysql://u:ge#he@im@h/d", "to be written otherwise: # as %23"),
        ("mysql://u:geheim@h/d e", "a space behind the host to be written %20"),
        ('"mysql://u:geheim@h/d"', "expected it without quotation marks and spaces around it"),
        ("'mysql://u:geheim@h/d'", "expected it without quotation marks and spaces around it"),
        (" mysql://u:geheim@h/d", "expected it without quotation marks and spaces around it"),
    ],
)
def test_database_url_with_signs_that_mean_something_says_how_to_write_them(url: str, words: str) -> None:
    said = refusal(DATABASE_URL=url)
    assert words in said
    assert "heim" not in said
    assert "ge#" not in said
