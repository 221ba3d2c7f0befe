"""Settings from a text, from variables or from the command line, and the line that refuses them."""

from pathlib import Path

import pytest

from chatd.config import Config, ConfigError, read

PASSWORD = "correct-horse"
ORIGIN = "an address like https://chat.example.org, without a path"
ORIGINS = 'a list of origins like "https://www.example.org", without paths or *'
DATABASE = '"", "sqlite:///relative.db", "sqlite:////absolute.db" or "mysql://user:password@host/name"'
"""What the line says is expected of an origin, of a list of them, and of a database's URL."""


def from_file(text: str, **environment: str) -> Config:
    Path("chatd.toml").write_text(text)
    return read(Path("chatd.toml"), {}, environment).config


def from_environment(**variables: str) -> Config:
    return read(None, {}, variables).config


def refusal(text: str = "", /, **environment: str) -> str:
    """The message of the error that a file of this text, or one of the variables, gets."""
    Path("chatd.toml").write_text(text)
    return refused(Path("chatd.toml"), {}, environment)


def refused(file: Path | None, flags: dict[str, object], environment: dict[str, str]) -> str:
    with pytest.raises(ConfigError) as caught:
        read(file, flags, environment)
    return str(caught.value)


def variable(setting: str) -> str:
    return "CHATD_" + setting.replace(".", "_").upper()
