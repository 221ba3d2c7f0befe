"""`chatd init`, `chatd check` and `chatd config`."""

import json
import shlex
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import attrs
import click

from chatd import config
from chatd.ops import check as checkup
from chatd.ops.finding import CheckFinding
from chatd.ops.init import CannotSetUp, set_up, settings_file
from chatd.ops.program import program

from .fail import fail
from .options import Settings, setting_flags, settings
from .say import say

SOMETHING_WRONG = 1
"""Exit code of a check that found something that must be mended."""


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), default=".")
@setting_flags("host", "port", "public_url", "data", "database", "certificate", "key")
def init(folder: Path, flags: Mapping[str, str | None]) -> None:
    """Make what a daemon needs in FOLDER.

    Settings, data folder, secret, database; what is there already stays as it is.
    """
    made = False
    try:
        for step in set_up(folder, flags):
            made = made or step.made
            note = f" ({step.note})" if step.note else ""
            say(f"{'made' if step.made else 'kept'}  {step.path}{note}")
    except (config.ConfigError, CannotSetUp) as error:
        fail(str(error))
    if not made:
        say("Nothing was changed: all of it was there.")
    with_file = f"--config {shlex.quote(str(settings_file(folder)))}"
    say("Next: whether it can work here; the first person and their password; then the daemon, and its page:")
    for command in ("check", "user add ID --name NAME --role admin", "user passwd ID", "serve"):
        say(f"  {program()} {command} {with_file}")
    say("Patients need no password: `chatd invite ID` prints an address that signs one in, once.")


@click.command()
@settings("host", "port", "data", "database")
@click.option("--json", "as_json", is_flag=True, help="Findings as JSON.")
def check(settings: Settings, as_json: bool) -> None:
    """Say whether a daemon with these settings can work here.

    A line each for what is ok, doubtful, or wrong. Exits with 1 if something is wrong, with 2 if the settings can't be
    used.
    """
    try:
        loaded = settings.read()
    except config.ConfigError as error:
        fail(str(error))
    findings = list(checkup.check_up(loaded, now=time.time_ns() // 1_000_000))
    if hint := settings.hint(loaded):
        findings.insert(0, CheckFinding("warning", "settings", hint))
    if as_json:
        click.echo(json.dumps([attrs.asdict(finding) for finding in findings], indent=2))
    else:
        for finding in findings:
            say(f"{finding.level:<7}  {finding.what}: {finding.text}")
    if any(finding.level == "wrong" for finding in findings):
        sys.exit(SOMETHING_WRONG)


@click.command("config")
@settings("host", "port", "data", "database")
@click.option("--json", "as_json", is_flag=True, help="As JSON: value and source of each.")
@click.option("--example", is_flag=True, help="Print an example file instead, with all settings and their defaults.")
def show_config(settings: Settings, as_json: bool, example: bool) -> None:
    """Print all settings that hold, and where each was found. Secrets and passwords are masked."""
    if example:
        click.echo(config.example(), nl=False)
        return
    try:
        loaded = settings.read()
    except config.ConfigError as error:
        fail(str(error))
    click.echo(json.dumps(config.report(loaded), indent=2) if as_json else config.as_toml(loaded))
