"""A log that a reader keeps from being copied is named once, after a minute."""

import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from chatd.background.checkpoints import BLOCKED_S, CHECKPOINT_EVERY_S, Checkpoints
from chatd.background.supervise import repeating
from chatd.core.gate import Gate, run_inline
from storage.contract import LoggedStore, Unavailable
from storage.memory import MemoryStore


class LogStore(MemoryStore):
    """A store whose log is so many bytes long, and can't be copied."""

    def __init__(self) -> None:
        super().__init__(epoch="epoch")
        self.blocked = 0
        self.fails = False

    def checkpoint(self) -> int:
        if self.fails:
            raise Unavailable("the disk is full")
        return self.blocked


async def test_reader_that_blocks_checkpoints_is_named_once_after_a_minute(autojump_clock: MockClock) -> None:
    store = LogStore()
    job = repeating(CHECKPOINT_EVERY_S, Checkpoints(Gate(store, run_inline, run_inline), store))
    with capture_logs() as lines:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(job)
            await trio.sleep(600)
            assert lines == []
            store.blocked = 70_000_000
            await trio.sleep(BLOCKED_S)
            assert lines == []
            store.fails = True
            await trio.sleep(CHECKPOINT_EVERY_S)
            store.fails = False
            await trio.sleep(600)
            (line,) = lines
            assert (line["log_level"], line["log_bytes"]) == ("warning", 70_000_000)
            assert line["seconds"] > BLOCKED_S
            store.blocked = 0
            await trio.sleep(600)
            assert [line["log_level"] for line in lines] == ["warning", "info"]
            store.blocked = 80_000_000
            await trio.sleep(BLOCKED_S - CHECKPOINT_EVERY_S)
            store.blocked = 0
            await trio.sleep(600)
            assert len(lines) == 2, "a short one is none"
            nursery.cancel_scope.cancel()


def test_only_stores_with_a_log_are_watched() -> None:
    assert isinstance(LogStore(), LoggedStore)
    assert not isinstance(MemoryStore(epoch="epoch"), LoggedStore)
