"""Settings that are read again while the daemon runs: which take effect at once, and which need a restart."""

from typing import Any, Final

import attrs

from chatd.config import FAMILIES, TABLES, Config, in_config

LIVE: Final = frozenset(
    {
        *("server.public_url", "server.app_url", "server.allowed_origins", "server.allowed_hosts"),
        "server.trusted_proxies",
        "server.grace",
        *("tls.certificate", "tls.key"),
        *("limits.connections", "limits.outbox_bytes", "limits.http_body_bytes"),
        "limits.unfinished_bytes",
        *("limits.connections_per_address", "limits.address_requests_per_second", "limits.address_request_burst"),
        *("limits.requests_per_second", "limits.request_burst"),
        *("limits.user_requests_per_second", "limits.user_request_burst"),
        *("policy.patient", "policy.dentist", "policy.staff", "policy.admin"),
        *("messages.edit_within", "messages.delete_within"),
        *(
            "web.name",
            "web.logo",
            "web.theme",
            "web.language",
            "web.sign_in_url",
            "web.media_origins",
            "web.lock_after",
        ),
        *("metrics.token", "limits.free_disk_bytes"),
        *("auth.second_step", "logs.level"),
    }
)
"""Settings that take effect at once; limits and certificates for connections that come from then on."""


@attrs.frozen
class Merged:
    """The settings to go on with. `applied`, `waiting`: names of those that changed, and those that need a restart."""

    config: Config
    applied: list[str]
    waiting: list[str]


def merge(running: Config, read: Config) -> Merged:
    """The running settings, with those that can be taken from the ones just read."""
    applied, waiting = list[str](), list[str]()
    tables: dict[str, Any] = {}
    for table in TABLES:
        old, new = getattr(running, in_config(table)), getattr(read, in_config(table))
        taken: dict[str, Any] = {}
        for setting in attrs.fields(type(old)):
            name, value = f"{table}.{setting.name}", getattr(new, setting.name)
            if value != getattr(old, setting.name):
                if name in LIVE:
                    taken[setting.name] = value
                (applied if name in LIVE else waiting).append(name)
        tables[in_config(table)] = attrs.evolve(old, **taken)
    for family in FAMILIES:
        if getattr(running, in_config(family)) != getattr(read, in_config(family)):
            waiting.append(family)
    return Merged(attrs.evolve(running, **tables), applied, waiting)
