"""Logs on standard error, for people or as JSON lines, and never of what people write.

Everywhere else: `log = structlog.get_logger("chatd.room")`, then `log.info("loaded", conversation=id)`. The event is a
constant; what varies goes into the fields, where the guard sees it.
"""

import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from enum import Enum
from itertools import islice
from pathlib import PurePath
from typing import Any, Literal, TextIO

import attrs
import orjson
import structlog
from structlog.typing import EventDict, WrappedLogger

from .writer import LineWriter

WITHHELD = "[withheld]"
_PRIVATE = {
    *("body", "text", "content", "snippet", "title"),
    *("token", "password", "secret", "authorization", "cookie"),
}
_MAX_STRING = 512  # characters of any field
_MAX_MESSAGE = 200  # characters of an exception's message, which may quote what it complains about
_MAX_DEPTH = 4  # of nested fields
_MAX_ITEMS = 50  # of one nested field
_MAX_CHAIN = 10  # exceptions within and behind one another
_MAX_LINES = 200  # of a traceback
_SEVERITY = {"debug": 0, "info": 1, "warning": 2, "error": 3, "critical": 4}
_least = _SEVERITY["info"]
_writer: LineWriter | None = None


def configure(
    level: Literal["debug", "info", "warning", "error"],
    format: Literal["auto", "human", "json"],
    stream: TextIO | None = None,
    *,
    background: bool = False,
) -> None:
    """Set up logging for the process; `stream` None means standard error. Logging to a closed stream is silent.

    `background`: lines leave on a thread of their own, and are dropped and counted while they can't; see `flush`.
    """
    global _writer
    output = sys.stderr if stream is None else stream
    _writer = _writer_of(output) if background else None
    terminal = _is_terminal(output)
    human = format == "human" or (format == "auto" and terminal)
    set_level(level)
    structlog.configure(
        processors=[
            _drop_minor,
            _guard,
            _exception,
            structlog.processors.add_log_level,
            _add_name,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _console(colors=terminal) if human else _json,
        ],
        wrapper_class=_Logger,
        logger_factory=lambda name="chatd": _Lines(name, output, _writer),
        cache_logger_on_first_use=True,
    )


def flush(timeout: float = 1.0) -> None:
    """Wait, at most `timeout` seconds, until the lines logged in the background have left."""
    if _writer is not None:
        _writer.flush(timeout)


def _writer_of(stream: TextIO | None) -> LineWriter | None:
    try:
        return None if stream is None else LineWriter(stream.fileno(), _tell_dropped)
    except (OSError, ValueError):  # closed, or no file
        return None


def _tell_dropped(lines: int) -> None:
    structlog.get_logger("chatd.logs").warning("log lines dropped: standard error took none", lines=lines)


def set_level(level: Literal["debug", "info", "warning", "error"]) -> None:
    """Log what is at least so severe from now on, in loggers that exist already, too."""
    global _least
    _least = _SEVERITY[level]


def debugging() -> bool:
    """Return True if debugging lines are wanted: for those whose fields cost something."""
    return not _least


class _Logger(structlog.make_filtering_bound_logger("debug")):  # type: ignore[misc]  # made at run time
    """Says at once that a debugging line is not wanted: there is one for each batch of each conversation."""

    def debug(self, event: str, *arguments: Any, **fields: Any) -> Any:
        if _least:
            return None
        return super().debug(event, *arguments, **fields)


def _drop_minor(_logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    # Not by structlog's wrapper class: loggers keep the one that they began with.
    if _SEVERITY[method] < _least:
        raise structlog.DropEvent
    return event


@attrs.frozen
class _Lines:
    """Writes finished lines, one call each, so that those of several threads don't mix."""

    name: str
    stream: TextIO | None  # None where the process was started with standard error closed
    writer: LineWriter | None

    def msg(self, line: str) -> None:
        if self.writer is not None:
            self.writer.put(line)
        elif self.stream is not None:
            with suppress(OSError, ValueError):  # broken or closed: no reason to fail what was being done
                self.stream.write(line + "\n")
                self.stream.flush()

    debug = info = warning = error = critical = exception = msg


def _is_terminal(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # closed
        return False


def _console(colors: bool) -> structlog.dev.ConsoleRenderer:
    # By default it would look for prettier tracebacks, which show local variables.
    return structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback)


def _json(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    return orjson.dumps(event).decode()


def _add_name(logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    event["logger"] = logger.name
    return event


def _guard(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Leave only short, printable, harmless values; what is named like private text goes, at any depth."""
    for key, value in event.items():
        if key != "exc_info":
            event[key] = _safe(key, value, _MAX_DEPTH)
    return event


def _safe(key: object, value: object, depth: int) -> object:
    # The last word decides: message_body and set-cookie go, content_type stays.
    if str(key).lower().replace("-", "_").rpartition("_")[2] in _PRIVATE:
        return WITHHELD
    match value:
        case None | bool() | float():
            return value
        case Enum():
            return _safe("", value.value, depth)
        case str() | PurePath():
            return _cut(str(value), _MAX_STRING)
        case int():
            return value if -(2**63) <= value < 2**63 else "[large integer]"
        case BaseException():
            return _headline(value)
        case Mapping() if depth:
            pairs = list(value.items())[:_MAX_ITEMS]
            return {_cut(str(name), _MAX_STRING): _safe(name, item, depth - 1) for name, item in pairs}
        case list() | tuple() | set() | frozenset() if depth:
            return [_safe("", item, depth - 1) for item in list(value)[:_MAX_ITEMS]]
        case _:
            return f"[{type(value).__qualname__}]"  # its repr may hold a whole message


def _cut(text: str, limit: int) -> str:
    """At most `limit` characters, and none that moves a terminal's cursor, breaks a line, or isn't UTF-8."""
    short = text if len(text) <= limit else text[:limit] + "..."
    return short if short.isprintable() else repr(short)[1:-1]


def _exception(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Turn `exc_info` into the types, short messages and stacks of the exceptions, without local variables."""
    info = event.pop("exc_info", None)
    if info is True:
        info = sys.exc_info()
    error = info[1] if isinstance(info, tuple) else info
    if isinstance(error, BaseException):
        event["exception"] = "\n".join(islice(_trace(error, "", _MAX_CHAIN), _MAX_LINES))
    return event


def _headline(error: BaseException) -> str:
    try:
        message = _cut(str(error), _MAX_MESSAGE)
    except Exception:  # a broken __str__ must not break the log
        message = "[no message]"
    return f"{type(error).__qualname__}: {message}"


def _trace(error: BaseException, indent: str, depth: int) -> Iterator[str]:
    yield indent + _headline(error)
    step = error.__traceback__
    while step is not None:
        code = step.tb_frame.f_code
        yield f'{indent}  at {code.co_qualname} ("{code.co_filename}", line {step.tb_lineno})'
        step = step.tb_next
    if depth == 0:
        return
    if isinstance(error, BaseExceptionGroup):
        for number, each in enumerate(error.exceptions[:_MAX_CHAIN], 1):
            yield f"{indent}  {number} of {len(error.exceptions)}:"
            yield from _trace(each, indent + "    ", depth - 1)
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None:
        yield f"{indent}from:"
        yield from _trace(cause, indent, depth - 1)
