"""Ids of everything new: UUIDv7."""

import uuid_utils


def new_id() -> str:
    """A fresh id that sorts by time."""
    return str(uuid_utils.uuid7())
