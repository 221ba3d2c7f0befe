"""Settings as they are shown: where each was found, and what is masked."""

import json
from pathlib import Path

import pytest

from chatd.config import as_toml, read, report
from support.settings import PASSWORD

pytestmark = pytest.mark.usefixtures("empty_folder")


def test_settings_shown_with_their_sources() -> None:
    Path("chatd.toml").write_text("[server]\ngrace = 3\n")
    loaded = read(Path("chatd.toml"), {"server.heartbeat": "9"}, {"PORT": "4000", "CHATD_LOGS_LEVEL": "debug"})
    lines = as_toml(loaded).splitlines()
    for line in (
        "[server]",
        "port = 4000  # environment PORT",
        "grace = 3.0  # chatd.toml",
        "heartbeat = 9.0  # command line",
        'level = "debug"  # environment CHATD_LOGS_LEVEL',
        'host = "127.0.0.1"  # default',
    ):
        assert line in lines
    assert report(loaded)["server"]["port"] == {"value": 4000, "source": "environment PORT"}


def test_settings_shown_can_be_loaded_again() -> None:
    loaded = read(None, {"server.port": 5}, {"CORS_ORIGIN": "https://a.example", "CHATD_POLICY_ADMIN": "staff"})
    Path("again.toml").write_text(as_toml(loaded))
    assert read(Path("again.toml"), {}, {}).config == loaded.config


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"mysql://app:{PASSWORD}@db:3306/next", "mysql://app:***@db:3306/next"),
        (f"mysql://app:a@{PASSWORD}@db/next", "mysql://app:***@db/next"),
        (f"mysql://a@pp:{PASSWORD}@db/next", "mysql://a@pp:***@db/next"),
        (f"mysql://app:{PASSWORD}:{PASSWORD}@db/next", "mysql://app:***@db/next"),
        (f"mysql://db/next?password={PASSWORD}", "mysql://db/next?***"),
        ("mysql://app@db/next", "mysql://app@db/next"),
        ("sqlite:////srv/chat.db", "sqlite:////srv/chat.db"),
    ],
)
def test_passwords_are_masked(url: str, shown: str) -> None:
    loaded = read(None, {}, {"DATABASE_URL": url})
    assert report(loaded)["storage"]["database"]["value"] == shown
    assert PASSWORD not in as_toml(loaded)


def test_the_secret_is_never_shown() -> None:
    secret = PASSWORD * 4
    loaded = read(None, {}, {"CHATD_AUTH_SECRET": secret})
    assert 'secret = "***"  # environment CHATD_AUTH_SECRET' in as_toml(loaded)
    assert PASSWORD not in json.dumps(report(loaded)) + repr(loaded) + str(loaded.config)
