"""Which settings take effect while the daemon runs."""

import json
from typing import Any

import attrs
import pytest
from trio.testing import MockClock

from chatd import testing
from chatd.client.raw import upgrade
from chatd.config import TABLES, Config, in_config
from chatd.ops.reload import LIVE, merge

NAMES = {f"{table}.{field.name}" for table, type_ in TABLES.items() for field in attrs.fields(type_)}


def with_(config: Config, **settings: Any) -> Config:
    """The same with some settings changed: `table__key=value`."""
    for name, value in settings.items():
        table, _, key = name.partition("__")
        config = attrs.evolve(config, **{table: attrs.evolve(getattr(config, table), **{key: value})})
    return config


def changed(name: str, config: Config) -> Config:
    """The same with another value of this setting, whatever its type."""
    table, _, key = name.rpartition(".")
    table = in_config(table)
    value = getattr(getattr(config, table), key)
    other: Any = "other" if isinstance(value, str) else ("other",) if isinstance(value, tuple) else value + 1
    return with_(config, **{f"{table}__{key}": other})


def test_live_settings_are_settings() -> None:
    assert LIVE <= NAMES


def test_merge_of_equal_settings_applies_nothing() -> None:
    merged = merge(Config(), Config())
    assert (merged.config, merged.applied, merged.waiting) == (Config(), [], [])


@pytest.mark.parametrize("name", sorted(NAMES))
def test_each_setting_is_applied_or_waits(name: str) -> None:
    old, new = Config(), changed(name, Config())
    merged = merge(old, new)
    if name in LIVE:
        assert (merged.config, merged.applied, merged.waiting) == (new, [name], [])
        again = merge(merged.config, new)
        assert (again.applied, again.waiting) == ([], [])
    else:
        assert (merged.config, merged.applied, merged.waiting) == (old, [], [name])
        again = merge(merged.config, new)
        assert (again.applied, again.waiting) == ([], [name]), "it still needs a restart"


def test_both_at_once() -> None:
    new = with_(Config(), server__port=1, server__allowed_hosts=("a",), logs__level="debug", storage__readers=9)
    merged = merge(Config(), new)
    assert merged.config == with_(Config(), server__allowed_hosts=("a",), logs__level="debug")
    assert (merged.applied, merged.waiting) == (
        ["server.allowed_hosts", "logs.level"],
        ["server.port", "storage.readers"],
    )


async def test_policies_change_for_those_who_are_connected(autojump_clock: MockClock) -> None:
    async with testing.daemon() as server:
        pat, _ = await server.connect("pat-1", role="patient"), await server.connect("den-1", role="dentist")
        server.daemon.apply(with_(server.daemon.config, policy__patient=("staff",)), None)
        with pytest.raises(testing.Refused) as refused:
            await pat.ask("conversation.open", with_="den-1")
        assert refused.value.code in ("forbidden", "not_found")
        server.daemon.apply(with_(server.daemon.config, policy__patient=("dentist",)), None)
        await pat.ask("conversation.open", with_="den-1")


async def status(server: testing.Server, origin: str) -> int:
    """Of the answer to a handshake with this origin."""
    stream = server.dial()
    await stream.send_all(upgrade("/ws", f"Origin: {origin}"))
    answer = bytes(await stream.receive_some())
    await stream.aclose()
    return int(answer.split()[1])


async def test_origins_change_for_new_connections(autojump_clock: MockClock) -> None:
    other, public, app = "https://other.example", "https://chat.clinic.example", "https://www.clinic.example"
    allowed = {"server__allowed_origins": (other,), "server__public_url": public, "server__app_url": app}
    async with testing.daemon() as server:
        assert [await status(server, origin) for origin in (other, public, app)] == [403, 403, 403]
        old = server.daemon.config
        server.daemon.apply(with_(old, **allowed), None)
        assert [await status(server, origin) for origin in (other, public, app)] == [101, 101, 101]
        server.daemon.apply(old, None)
        assert [await status(server, origin) for origin in (other, public, app)] == [403, 403, 403]


async def test_names_are_no_values(autojump_clock: MockClock) -> None:
    merged = merge(Config(), with_(Config(), auth__secret_file="/run/secrets/of-the-clinic"))
    assert "clinic" not in json.dumps([merged.applied, merged.waiting])
