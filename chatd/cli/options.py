"""The flags that many commands share, and how a command gets its settings."""

import functools
import os
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs
import click

from chatd import config
from chatd.ops import program


@attrs.frozen
class Settings:
    """The settings that a command was started with: where they are read from, as often as need be."""

    file: Path | None
    flags: Mapping[str, object]
    env_file: Path | None = None

    def load(self) -> config.Config:
        """The settings as they are now. Raises ConfigError."""
        return self.read().config

    def read(self) -> config.LoadedConfig:
        """The same, with where each setting was found. Raises ConfigError."""
        environment = os.environ if self.env_file is None else config.with_file(self.env_file, os.environ)
        return config.read(self.file or config.default_file(), self.flags, environment)

    def hint(self, loaded: config.LoadedConfig) -> str | None:
        """Return what to say of a file of variables that isn't read, if anything."""
        return config.hint(loaded, os.environ) if self.env_file is None else None

    def next(self, *arguments: str) -> str:
        """Return the command line of another command on the same settings."""
        where = ["--config", str(self.file)] if self.file else []
        where += ["--env-file", str(self.env_file)] if self.env_file else []
        for name, (setting, _) in _FLAGS.items():
            value = self.flags.get(setting)
            if value is not None and "@" not in str(value):  # the password of a URL is for nobody's screen
                where += ["--" + name.replace("_", "-"), str(value)]
        return f"{program.program()} {shlex.join([*arguments, *where])}"


_FLAGS = {
    "host": ("server.host", "Address to listen on (127.0.0.1)."),
    "port": ("server.port", "Port to listen on (3001); 0: any free one."),
    "data": ("server.data", "Folder for all that is kept (./data)."),
    "database": ("storage.database", "sqlite:///relative.db or sqlite:////absolute.db."),
    "public_url": ("server.public_url", "Where browsers find this server, like https://chat.example.org."),
    "certificate": ("tls.certificate", "PEM file of the certificate with its chain."),
    "key": ("tls.key", "PEM file of the certificate's private key."),
}


def setting_flags(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command these flags; it gets them as `flags`, as `config.load` takes them."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def run(**given: Any) -> Any:
            return command(flags={_FLAGS[name][0]: given.pop(name) for name in names}, **given)

        wrapped = run
        for name in reversed(names):  # the value is checked with all other settings, so that errors read alike
            wrapped = click.option("--" + name.replace("_", "-"), name, help=_FLAGS[name][1])(wrapped)
        return wrapped

    return decorate


def settings(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command `--config`, `--env-file` and these flags; it gets them as `settings`."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def run(*, file: Path | None, env_file: Path | None, flags: Mapping[str, object], **given: Any) -> Any:
            return command(settings=Settings(file, flags, env_file), **given)

        where = click.option(
            "--config", "file", type=click.Path(path_type=Path), help="Settings; ./chatd.toml where it exists."
        )
        variables = click.option(
            "--env-file",
            type=click.Path(path_type=Path),
            help="Variables, like a web app's .env; none is read unasked.",
        )
        return where(variables(setting_flags(*names)(run)))

    return decorate
