"""`chatd serve`."""

import click
import structlog

from chatd import logs
from chatd.config import ConfigError
from chatd.ops import serve as serving

from .fail import fail
from .options import Settings, settings

log = structlog.get_logger("chatd.settings")


@click.command()
@settings("host", "port", "data", "database")
@click.option("--dev", is_flag=True, help="Development mode: whoever connects is who they say. On this machine only.")
@click.option("--dev-expose", is_flag=True, help="Development mode for other machines, too.")
def serve(settings: Settings, dev: bool, dev_expose: bool) -> None:
    """Run the daemon until SIGTERM or Ctrl-C."""
    try:
        loaded = settings.read()
        logs.configure(loaded.config.logs.level, loaded.config.logs.format, background=True)
        if hint := settings.hint(loaded):
            log.warning(hint)
        serving.serve(loaded, development=dev or dev_expose, exposed=dev_expose, read=settings.load)
    except (ConfigError, serving.CannotServe) as error:
        logs.flush()  # the one line that says why comes last
        fail(str(error))
    finally:
        logs.flush()
