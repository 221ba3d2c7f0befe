"""Settings for people to read: the example file, and all that hold with where each was found."""

import re
from collections.abc import Iterator
from typing import Any

import attrs

from .fields import toml
from .layers import LoadedConfig
from .settings import FAMILIES, FAMILY_SETTINGS, SETTINGS, TABLES, settings_of, table_of, tables_of

MASK = "***"


def example() -> str:
    """The text of `chatd.toml.example`: every setting with its default, which loads to the defaults."""
    return "\n".join(_example_lines())


def _example_lines() -> Iterator[str]:
    yield "# Settings of chatd, with their defaults. Copy to chatd.toml, and keep the lines that you change."
    yield "# Relative paths start at the folder of the file. The environment is stronger than the file: a variable like"
    yield "# CHATD_SERVER_PORT sets port in [server], lists comma separated; flags are stronger still."
    for name, table in TABLES.items():
        yield f"\n# {table.__doc__}\n[{name}]"
        for field in attrs.fields(table):
            setting = SETTINGS[name][field.name]
            yield f"# {setting.help} ({setting.expects})"
            yield f"{field.name} = {toml(field.default)}"
    for name, table in FAMILIES.items():
        yield f"\n# {table.__doc__}\n# [{name}.NAME]"
        for field in attrs.fields(table):
            setting = FAMILY_SETTINGS[name][field.name]
            yield f"# {setting.help} ({setting.expects})"
            yield f"# {field.name} = {toml(field.default)}"
    yield ""


def report(loaded: LoadedConfig) -> dict[str, dict[str, dict[str, Any]]]:
    """Return each setting's `value` in force and its `source`, by table, for JSON; secrets and passwords masked."""
    return {
        name: {
            key: {"value": _masked(loaded, name, key), "source": _source(loaded, name, key)}
            for key in settings_of(name)
        }
        for name in tables_of(loaded.config)
    }


def as_toml(loaded: LoadedConfig) -> str:
    """All settings that hold, a line each, and behind it where it was found; secrets and passwords masked."""
    lines = []
    for name, settings in report(loaded).items():
        lines += ["", f"[{name}]"]
        lines += [f"{key} = {toml(found['value'])}  # {found['source']}" for key, found in settings.items()]
    return "\n".join(lines[1:])


def _source(loaded: LoadedConfig, table: str, key: str) -> str:
    source = loaded.sources.get(f"{table}.{key}")
    if source is None:
        return "default"
    return f"environment {source.name}" if source.place == "environment" else source.place


def _masked(loaded: LoadedConfig, table: str, key: str) -> Any:
    return masked(table, key, getattr(table_of(loaded.config, table), key))


def masked(table: str, key: str, value: Any) -> Any:
    """A setting's value as it may be shown: no secret, no password."""
    if settings_of(table)[key].secret:
        masks: Any = [MASK] * len(value) if isinstance(value, tuple) else MASK
        return masks if value else value
    return _without_password(value) if (table, key) == ("storage", "database") else value


def _without_password(url: str) -> str:
    """A database's URL without what may be secret in it: the password, and what follows a question mark."""
    return re.sub(r"\?.+", f"?{MASK}", re.sub(r"^(\w+://[^:/]*):.*@", rf"\1:{MASK}@", url))
