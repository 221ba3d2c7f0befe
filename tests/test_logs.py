"""Logs: what a line looks like, and what never gets into one."""

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import attrs
import pytest
import structlog

from chatd import logs

SAID = "it hurts when I bite"


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def logged(act: Callable[[Any], object]) -> dict[str, Any]:
    """The one JSON line that `act` logs, parsed."""
    stream = io.StringIO()
    logs.configure("info", "json", stream)
    act(structlog.get_logger("chatd.test"))
    (line,) = stream.getvalue().splitlines()
    parsed: dict[str, Any] = json.loads(line)
    return parsed


def human(act: Callable[[Any], object]) -> str:
    stream = io.StringIO()
    logs.configure("info", "human", stream)
    act(structlog.get_logger("chatd.test"))
    return stream.getvalue()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Broken(io.StringIO):
    def write(self, _text: str) -> int:
        raise BrokenPipeError


def test_a_json_line() -> None:
    line = logged(lambda log: log.info("loaded", conversation="c1", took=0.5, rev=3, gone=None, ok=True))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", line.pop("timestamp"))
    assert line == {
        **{"event": "loaded", "level": "info", "logger": "chatd.test"},
        **{"conversation": "c1", "took": 0.5, "rev": 3, "gone": None, "ok": True},
    }


def test_a_line_for_people() -> None:
    line = human(lambda log: log.warning("slow reader", session="s1"))
    assert re.search(r"^\S+Z \[warning +\] slow reader +\[chatd\.test\] session=s1\n$", line)


@pytest.mark.parametrize(("stream", "is_json"), [(io.StringIO(), True), (Terminal(), False)])
def test_auto_means_human_on_a_terminal(stream: io.StringIO, is_json: bool) -> None:
    logs.configure("info", "auto", stream)
    structlog.get_logger("chatd.test").info("up")
    assert stream.getvalue().startswith("{") is is_json
    assert ("\x1b[" in stream.getvalue()) is not is_json


def test_less_severe_lines_are_left_out() -> None:
    stream = io.StringIO()
    logs.configure("error", "json", stream)
    log = structlog.get_logger("chatd.test")
    log.debug("no")
    log.info("no")
    log.warning("no")
    log.error("yes")
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["yes"]


def test_the_level_changes_for_loggers_that_exist_already() -> None:
    stream = io.StringIO()
    logs.configure("warning", "json", stream)
    log = structlog.get_logger("chatd.test")
    bound = log.bind(session="s1")
    for level in ("debug", "warning", "info"):
        logs.set_level(level)
        for each in (log, bound):
            each.debug(f"{level}: debug")
            each.info(f"{level}: info")
            each.exception(f"{level}: error")
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == [
        *["debug: debug", "debug: info", "debug: error"] * 2,
        *["warning: error"] * 2,
        *["info: info", "info: error"] * 2,
    ]


@pytest.mark.parametrize(
    "key",
    [
        *("body", "text", "content", "snippet", "title", "token", "password", "secret", "authorization", "cookie"),
        *("Body", "message_body", "access_token", "Set-Cookie"),
    ],
)
def test_private_fields_are_withheld_at_any_depth(key: str) -> None:
    line = logged(lambda log: log.info("got", **{key: SAID}, frame={"list": [{key: SAID}]}))
    assert line[key] == logs.WITHHELD
    assert line["frame"] == {"list": [{key: logs.WITHHELD}]}


def test_objects_are_named_but_not_shown() -> None:
    @attrs.frozen
    class Message:
        body: str

    line = logged(lambda log: log.info("got", frame=Message(SAID), raw=SAID.encode(), path=Path("/srv")))
    assert line["raw"] == "[bytes]"
    assert line["frame"].endswith("Message]")
    assert line["path"] == "/srv"
    assert SAID not in str(line)


def test_long_and_deep_values_are_cut() -> None:
    circle: list[object] = []
    circle.append(circle)
    line = logged(lambda log: log.info("x" * 600, long="y" * 513, just="z" * 512, circle=circle, many=[0] * 1000))
    assert line["event"] == "x" * 512 + "..."
    assert line["long"] == "y" * 512 + "..."
    assert line["just"] == "z" * 512
    assert line["circle"] == [[[["[list]"]]]]
    assert len(line["many"]) == 50


def test_log_of_any_value_is_one_valid_line() -> None:
    class Role(Enum):
        STAFF = "staff"

    fields = {"big": 10**5000, "nan": float("nan"), "torn": "\ud800", "keys": {1: 2, "\ud800": 3}, "role": Role.STAFF}
    line = logged(lambda log: log.info("odd", **fields))
    assert line["big"] == "[large integer]"
    assert line["nan"] is None
    assert line["torn"] == "\\ud800"
    assert line["keys"] == {"1": 2, "\\ud800": 3}
    assert line["role"] == "staff"


def test_a_field_can_neither_break_the_line_nor_move_the_cursor() -> None:
    text = human(lambda log: log.info("bad\nevent", user="\x1b[2J\nforged"))
    assert text.count("\n") == 1
    assert "\x1b" not in text


def fail(private: str) -> None:
    raise KeyError(private + "x" * 300)


def test_an_exception_keeps_type_and_stack_but_not_values() -> None:
    hidden = "a local variable"

    def act(log: Any) -> None:
        try:
            fail(hidden[:1])
        except KeyError:
            log.exception("failed")

    for text in (logged(act)["exception"], human(act)):
        assert re.search(r"^KeyError: 'ax{198}\.\.\.$", text, re.MULTILINE)  # 200 characters, the quote included
        assert re.search(r'^  at fail \(".*test_logs\.py", line \d+\)$', text, re.MULTILINE)
        assert hidden not in text


def test_groups_and_causes_are_shown() -> None:
    cause = OSError(28, "No space left on device")
    group = ExceptionGroup("several", [ValueError("a\nb"), TypeError("c")])
    group.__cause__ = cause
    cause.__context__ = group  # a circle ends somewhere
    lines = logged(lambda log: log.error("failed", exc_info=group))["exception"].splitlines()
    assert lines[:7] == [
        "ExceptionGroup: several (2 sub-exceptions)",
        *("  1 of 2:", "    ValueError: a\\nb", "  2 of 2:", "    TypeError: c"),
        *("from:", "OSError: [Errno 28] No space left on device"),
    ]
    assert len(lines) <= 200


def test_exc_info_may_be_a_tuple_or_nothing() -> None:
    error = ValueError("v")
    assert logged(lambda log: log.error("failed", exc_info=(ValueError, error, None)))["exception"] == "ValueError: v"
    assert "exception" not in logged(lambda log: log.error("failed", exc_info=True))


def test_an_exception_as_a_field_is_short() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    line = logged(lambda log: log.info("failed", error=ValueError("w" * 300), mute=Mute()))
    assert line["error"] == "ValueError: " + "w" * 200 + "..."
    assert line["mute"].endswith("Mute: [no message]")


def test_a_broken_or_closed_stream_is_no_error() -> None:
    closed = io.StringIO()
    closed.close()
    for stream in (Broken(), closed):
        logs.configure("info", "auto", stream)
        structlog.get_logger("chatd.test").info("nobody listens")


@pytest.mark.skipif(os.name != "posix", reason="needs a POSIX shell")
@pytest.mark.parametrize("redirect", ["2>&-", "2>/dev/full"])
def test_a_process_without_standard_error_logs_in_silence(redirect: str) -> None:
    code = (
        "import structlog; from chatd import logs; logs.configure('info', 'auto');"
        "structlog.get_logger('x').info('up'); print('done')"
    )
    shell = f'"$0" -c "$1" {redirect}'
    done = subprocess.run(["sh", "-c", shell, sys.executable, code], stdout=subprocess.PIPE, text=True, check=False)
    assert done.stdout == "done\n"
