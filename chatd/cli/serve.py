"""`chatd serve`."""

from pathlib import Path

import click

from .. import logs, serving
from ..config import ConfigError, load
from .fail import fail


@click.command()
@click.option("--config", "file", type=click.Path(path_type=Path), help="Settings; ./chatd.toml where it exists.")
@click.option("--host", help="Address to listen on (127.0.0.1).")
@click.option("--port", type=int, help="Port to listen on (3001); 0: any free one.")
@click.option("--data", help="Folder for all that is kept (./data).")
@click.option("--database", help="sqlite:///relative.db or sqlite:////absolute.db.")
@click.option("--dev", is_flag=True, help="Development mode: whoever connects is who they say. On this machine only.")
@click.option("--dev-expose", is_flag=True, help="Development mode for other machines, too.")
def serve(
    file: Path | None,
    host: str | None,
    port: int | None,
    data: str | None,
    database: str | None,
    dev: bool,
    dev_expose: bool,
) -> None:
    """Run the daemon until SIGTERM or Ctrl-C."""
    flags = {"server.host": host, "server.port": port, "server.data": data, "storage.database": database}
    try:
        config = load(file, flags)
        logs.configure(config.logs.level, config.logs.format)
        serving.serve(config, development=dev or dev_expose, exposed=dev_expose)
    except (ConfigError, serving.CannotServe) as error:
        fail(str(error))
