"""Lineage of the store: another epoch, where a backup was restored."""

from storage.changes import BeginLineage, LineageBegun

from .rule import Keys, Rule, Rules
from .unit import Answer, Unit


def begin_lineage(unit: Unit, change: BeginLineage) -> Answer:
    """Give the store another epoch."""
    unit.new_epoch = change.epoch
    return LineageBegun(change.epoch), ()


def _keys(keys: Keys, change: BeginLineage) -> None:
    """No rows: the epoch is not one of them."""


RULES: Rules = {BeginLineage: Rule(_keys, begin_lineage)}
