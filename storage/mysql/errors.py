"""Meaning of the server's errors. Their own texts may hold what people wrote, and are not passed on."""

import re
import ssl

import pymysql

from .layout import Layout

DEADLOCK, LOCK_WAIT = 1213, 1205
DUPLICATE = 1062

RETRYABLE = frozenset({DEADLOCK, LOCK_WAIT, DUPLICATE, 1020})
"""The transaction lost a race (1020: a row changed since it was read); done again it finds another state."""

MISMATCH = frozenset({1048, 1054, 1146, 1265, 1364, 1366, 1452, 3819, 4025})
"""A table isn't as it was: a column or table is gone or new, or a value, a reference or a constraint isn't met."""

_QUOTED = re.compile(r"""[`'"]([A-Za-z0-9_$]{1,64})[`'"]""")

_LOST = frozenset({2006, 2013, 2055, 1053, 1077, 1079, 1317, 1927, 3169, 4031})
"""The connection is gone, or about to."""

_WHY = {
    1021: "the database server's disk is full",
    1040: "the database server has too many connections",
    1044: "this user may not use that database: GRANT it",
    1045: "the database server refuses this user and password",
    1049: "there is no such database: CREATE DATABASE it first",
    1114: "a table of the database server is full",
    1129: "the database server has blocked this machine after too many failed connections",
    1130: "the database server does not let this machine connect",
    1142: "this user lacks a right on a table: GRANT SELECT, INSERT, UPDATE, DELETE on the database",
    1143: "this user lacks a right on a column: GRANT SELECT, INSERT, UPDATE, DELETE on the database",
    1203: "this user has too many connections to the database server",
    1205: "a row or a table of the database stays locked by another program",
    1213: "deadlocks with other programs on the database",
    1226: "this user has used up what the database server allows it",
    1290: "the database server is read-only",
    1665: "the database server's binlog_format is STATEMENT: set it to ROW or MIXED",
    1698: "the database server refuses this user and password",
    1792: "the database server is read-only",
    1836: "the database server is read-only",
    2002: "the database server cannot be reached",
    2003: "the database server cannot be reached",
    2005: "the database server's name is unknown",
    2006: "the connection to the database server was lost",
    2013: "the connection to the database server was lost",
    2026: "no encrypted connection to the database server",
    2061: "the database server asks for a way to sign in that this program does not know",
    3024: "the database server gave a statement up as too slow",
    3159: "the database server insists on encryption: add ?sslaccept=strict to the address",
}

Error = pymysql.MySQLError
"""Base of every error of PyMySQL."""


class Fault(Exception):
    """A statement that the server will never take: a bug, or a table that isn't as it should be.

    It bears the error's number alone.
    """


def code(error: BaseException) -> int:
    """MySQL's number of the error, 0 where it has none."""
    first = error.args[0] if error.args else 0
    return first if isinstance(first, int) else 0


def is_lost(error: BaseException) -> bool:
    """Return True if the connection is gone."""
    return isinstance(error, pymysql.err.InterfaceError | OSError) or code(error) in _LOST


_UNREACHABLE = frozenset({1040, 1203, 2002, 2003, 2005})
"""The server isn't there, or has too many connections."""


def is_unreachable(error: BaseException) -> bool:
    """Return True if no connection was made, for a reason that may go away by itself."""
    cause = getattr(error, "original_exception", error)
    return not isinstance(cause, ssl.SSLError) and (is_lost(error) or code(error) in _UNREACHABLE)


def is_fault(error: BaseException) -> bool:
    """Return True if the statement itself is wrong: it fails whenever it is tried."""
    kinds = pymysql.err.IntegrityError, pymysql.err.DataError, pymysql.err.NotSupportedError
    return isinstance(error, kinds) or code(error) in {1054, 1064, 1146, 1364, 1366}


def named(error: BaseException, layout: Layout) -> str:
    """Return the table and column that the error is about, of those that the layout has; never another word of it."""
    words = _QUOTED.findall(str(error.args[1])) if len(error.args) > 1 else []
    tables = [word for word in words if word in layout.columns]
    columns = [word for word in words for table in layout.columns.values() if word in table]
    if not tables:
        tables = [table for table, has in layout.columns.items() if columns and columns[0] in has]
    return ".".join([*tables[:1], *columns[:1]]) or "a table"


def why(error: BaseException) -> str:
    """Return the cause for people, in one line."""
    number, cause = code(error), getattr(error, "original_exception", None)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return "the database server's certificate is not trusted: name its authority's with ?sslcert="
    if isinstance(cause, ssl.SSLError):
        return _WHY[2026]
    if number in _WHY:
        return _WHY[number]
    if is_lost(error):
        return _WHY[2013]
    return f"the database server answers with error {number}"
