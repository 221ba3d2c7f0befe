"""`chatd schema`."""

import click

from protocol.schema import render


@click.command()
def schema() -> None:
    """Print the JSON Schema of every frame."""
    click.echo(render(), nl=False)
