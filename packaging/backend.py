"""The build backend (PEP 517): setuptools, with the chat page built first where it is absent.

A wheel without the page works, too: the daemon says at `/` what to do.
"""

import shutil
import sys
from pathlib import Path
from typing import Any

from setuptools import build_meta
from setuptools.build_meta import *  # noqa: F403  # the hooks that stay as they are

import web


def get_requires_for_build_wheel(config_settings: Any = None) -> list[str]:
    """Ask for a Node where the page is to be built and none is here."""
    needed = build_meta.get_requires_for_build_wheel(config_settings)
    return needed if web.is_built() or web.has_node() else [*needed, web.WHEEL]


get_requires_for_build_sdist = get_requires_for_build_wheel


def build_wheel(wheel_directory: str, config_settings: Any = None, metadata_directory: str | None = None) -> str:
    """Build the wheel, with the page."""
    _forget_last_build()
    _ensure_page()
    return build_meta.build_wheel(wheel_directory, config_settings, metadata_directory)


def build_sdist(sdist_directory: str, config_settings: Any = None) -> str:
    """Build the source distribution, with the page."""
    _ensure_page()
    return build_meta.build_sdist(sdist_directory, config_settings)


def _forget_last_build() -> None:
    """Remove what setuptools kept of an earlier build: it would pack modules again that are gone by now."""
    shutil.rmtree(Path("build", "lib"), ignore_errors=True)


def _ensure_page() -> None:
    if web.is_built():
        return
    try:
        web.build()
    except web.NoPage as error:
        print(f"the chat page is left out: {error}", file=sys.stderr)
