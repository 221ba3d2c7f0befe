"""The verb by which the daemon starts its worker process: hidden, as nobody else has a use for it."""

import click


@click.command("attachment-worker", hidden=True)
def worker() -> None:
    """Decode files that the daemon hands over on standard input."""
    from chatd.attachments.job import main

    main()
