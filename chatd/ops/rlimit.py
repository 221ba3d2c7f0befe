"""The limit of open files and sockets of this process.

Shells and service managers let a program have 1024, for the sake of select(2), but more if it asks.
"""

import resource

OTHER_DESCRIPTORS = 64
"""Beside the sockets of connections: database, log, libraries."""

WANTED_DESCRIPTORS = 65_536
"""More than this is not asked for without a need."""


def needed(connections: int) -> int:
    """Return the descriptors that a daemon with so many connections has open."""
    return connections + OTHER_DESCRIPTORS


def most() -> int | float:
    """Return the descriptors that this process may allow itself."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return float("inf") if hard == resource.RLIM_INFINITY else hard


def allow(wanted: int = 0) -> None:
    """Let this process and those that it starts have so many, or as many as the system lets them; never fewer."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    target = int(min(max(wanted, WANTED_DESCRIPTORS), most()))
    if soft != resource.RLIM_INFINITY and soft < target:
        resource.setrlimit(resource.RLIMIT_NOFILE, (target, hard))
