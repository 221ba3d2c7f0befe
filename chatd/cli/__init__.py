"""The command line: reads flags and settings, and hands over. No logic of its own. One file a family of commands."""

from importlib import import_module

import click

from .say import replace_unencodable

COMMANDS = {
    "init": "init.init",
    "check": "init.check",
    "config": "init.show_config",
    "serve": "serve.serve",
    "user": "users.user",
    "token": "tokens.token",
    "invite": "invite.invite",
    "session": "sessions.session",
    "apikey": "api_keys.apikey",
    "message": "messages.message",
    "who": "who.who",
    "db": "db.db",
    "chat": "chat.command.chat",
    "bench": "bench.bench",
    "schema": "protocol.schema",
    "attachment-worker": "worker.worker",
}


class _Lazy(click.Group):
    """Imports a command when it is asked for: most need a small part of the program, and people wait for it."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[name].rpartition(".")
        command: click.Command = getattr(import_module(f"{__name__}.{module}"), attribute)
        return command


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="chatd", prog_name="chatd")
def main() -> None:
    """A self-hosted chat daemon for clinics."""
    replace_unencodable()
