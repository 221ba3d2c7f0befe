"""Values: how they are written in statements, and made of what the server sends."""

import datetime
import functools
from collections.abc import Callable
from typing import Any

from pymysql.connections import TEXT_TYPES
from pymysql.constants import FIELD_TYPE
from pymysql.converters import conversions, escape_string
from pymysql.protocol import FieldDescriptorPacket

_EPOCH = datetime.datetime(1970, 1, 1)
_MILLISECOND = datetime.timedelta(milliseconds=1)
_BINARY = 63
"""The number of the character set that is none."""

Value = Callable[[bytes], Any]
"""Makes a value of what the server sent."""


def time_text(at: int | None) -> str | None:
    """A time in ms as DATETIME(3) in UTC takes it."""
    return None if at is None else (_EPOCH + at * _MILLISECOND).isoformat(" ", "milliseconds")


@functools.lru_cache(4096)
def time_literal(at: int | None) -> str:
    """Return a time as it is written in a statement."""
    return "NULL" if at is None else f"'{time_text(at)}'"


def is_date(column: str) -> str:
    """Return the condition that a time is one of the calendar's, or NULL: neither "0000-00-00" nor "2024-02-31"."""
    return f"FROM_DAYS(TO_DAYS({column})) <=> DATE({column})"


def milliseconds(column: str) -> str:
    """Return a time in ms, as SQL; NULL for one without, and for a date that no calendar has."""
    return f"TIMESTAMPDIFF(MICROSECOND, '1970-01-01', {column}) DIV 1000"


@functools.lru_cache(4096)
def _time_of(text: bytes) -> int:
    """A DATETIME or TIMESTAMP in ms; 0 for a date that no calendar has ("0000-00-00")."""
    try:
        return (datetime.datetime.fromisoformat(text.decode("ascii")) - _EPOCH) // _MILLISECOND
    except ValueError:
        return 0


def _text(text: str) -> str:
    # Backslashes escape, as no sql_mode of ours says otherwise; line ends may stand in a string as they are.
    if "'" in text or "\\" in text or "\0" in text:
        text = escape_string(text)
    return f"'{text}'"


LITERALS: dict[type, Callable[[Any], str]] = {
    str: _text,
    int: str,
    bool: lambda flag: "1" if flag else "0",
    type(None): lambda _: "NULL",
}
"""Functions that write values in a statement, by type."""

_VALUES: dict[int, Value] = {
    **dict.fromkeys((FIELD_TYPE.TINY, FIELD_TYPE.SHORT, FIELD_TYPE.INT24, FIELD_TYPE.LONG, FIELD_TYPE.LONGLONG), int),
    FIELD_TYPE.DATETIME: _time_of,
    FIELD_TYPE.TIMESTAMP: _time_of,
    FIELD_TYPE.JSON: bytes.decode,
}


@functools.lru_cache(2048)
def value_of(description: bytes, texts: frozenset[tuple[str, str]] = frozenset()) -> Value:
    """Return what makes values of a column of the server's bytes, from the column's description.

    `texts`: (table, column) of numbers that are ids, and so texts to everybody else.

    https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_query_response_text_resultset.html
    """
    field: Any = FieldDescriptorPacket(description, "utf-8")
    if texts and (field.org_table, field.org_name) in texts:
        return bytes.decode
    known = _VALUES.get(field.type_code)
    if known is not None:
        return known
    if field.type_code in TEXT_TYPES:
        return bytes if field.charsetnr == _BINARY else bytes.decode
    if field.type_code == FIELD_TYPE.NEWDECIMAL and field.scale == 0:
        return int  # what the server makes of an unsigned column beside a signed number: COALESCE(unsigned, 0)
    convert: Callable[[str], Any] = conversions.get(field.type_code) or str
    return lambda data: convert(data.decode("ascii"))
