"""The worker process: whatever a file does to it, the file is refused and the daemon lives."""

import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from chatd.attachments import job, worker
from chatd.attachments.refusal import FileRefused
from chatd.attachments.types import JPEG, MOV, PNG
from chatd.attachments.worker import Worker, WorkerResult
from chatd.ops.program import command
from support import pictures

SPOKEN = """
import sys, time
print('{"pictures": true}', flush=True)
for answer in sys.argv[1:]:
    sys.stdin.readline()
    if answer == "die":
        sys.exit()
    if answer == "hang":
        time.sleep(600)
    print(answer, flush=True)
"""


def spoken(*answers: str) -> list[str]:
    """A worker that says so, whatever it is asked; "hang" and "die" are what it does instead."""
    return [sys.executable, "-c", SPOKEN, *answers]


@pytest.fixture
async def real() -> AsyncIterator[Worker]:
    found = Worker(command("attachment-worker"))
    yield found
    await found.aclose()


async def look(given: Worker, folder: Path, data: bytes = b"", type: object = JPEG) -> WorkerResult:
    source = folder / "source"
    source.write_bytes(data or pictures.jpeg())
    return await given.look(type, source, folder / "target", folder / "small")  # type: ignore[arg-type]


async def test_worker_measures_a_picture_and_a_movie(real: Worker, tmp_path: Path) -> None:
    assert await look(real, tmp_path) == WorkerResult(type="image/jpeg", width=64, height=48, thumbnail=None)
    shown = await look(real, tmp_path, pictures.movie(), MOV)
    assert shown == WorkerResult(type="video/quicktime", width=1920, height=1080, thumbnail=None)
    assert pictures.CANARY not in (tmp_path / "source").read_bytes()
    large = await look(real, tmp_path, pictures.jpeg(size=(900, 900)))
    assert large.thumbnail == "image/jpeg"


async def test_worker_killed_is_started_again_for_the_next_file(real: Worker, tmp_path: Path) -> None:
    await look(real, tmp_path)
    first = real.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    with pytest.raises(FileRefused, match="could not be looked at"):
        await look(real, tmp_path)
    assert (await look(real, tmp_path)).width == 64
    assert real.pid != first


@pytest.mark.parametrize("answer", ["hang", "die", "nonsense", "x" * 100_000])
async def test_worker_that_fails_refuses_the_file_and_is_ended(answer: str, tmp_path: Path) -> None:
    broken = Worker(spoken(answer), answer_timeout_s=1)
    with pytest.raises(FileRefused, match="could not be looked at") as caught:
        await look(broken, tmp_path)
    assert not caught.value.temporary
    assert broken.pid is None


async def test_worker_that_cannot_be_started_refuses_the_file(tmp_path: Path) -> None:
    for missing in (["/nowhere/chatd"], [sys.executable, "-c", ""]):
        with pytest.raises(FileRefused):
            await look(Worker(missing), tmp_path)


async def test_worker_without_a_decoder_takes_no_picture(tmp_path: Path) -> None:
    found = Worker(spoken('{"refused": "no decoder"}'))
    with pytest.raises(FileRefused, match="not installed") as caught:
        await look(found, tmp_path)
    await found.aclose()
    assert caught.value.status == 503


async def test_worker_cancelled_gives_its_answer_to_no_other_file(tmp_path: Path) -> None:
    found = Worker(spoken("hang"))
    with trio.move_on_after(1):
        await look(found, tmp_path)
    assert found.pid is None


async def test_worker_with_a_full_queue_refuses_for_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "MAX_WAITING_JOBS", 2)
    found = Worker(spoken("hang"))
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(look, found, tmp_path)
            await wait_all_tasks_blocked()
        with pytest.raises(FileRefused, match="in a minute") as caught:
            await look(found, tmp_path)
        nursery.cancel_scope.cancel()
    assert caught.value.status == 503
    assert caught.value.temporary
    await found.aclose()


async def test_worker_has_none_of_the_settings_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHATD_STORAGE_PASSWORD", "secret")
    code = (
        "import os, sys\nprint('{\"pictures\": %s}' % str(any('CHATD' in n for n in os.environ)).lower(), flush=True)\n"
    )
    code += 'sys.stdin.readline()\nprint(\'{"refused": "damaged"}\', flush=True)'
    found = Worker([sys.executable, "-c", code])
    with pytest.raises(FileRefused, match="damaged"):
        await look(found, tmp_path)
    assert not found.pictures
    await found.aclose()


def forked(code: str, file_bytes: int = 1 << 20) -> dict[str, object]:
    """What is answered where a job does so."""

    def work() -> dict[str, object]:
        space: dict[str, object] = {}
        exec(code, space)
        return {"did": space.get("did", True)}

    return job._forked(work, file_bytes)


def test_job_that_takes_too_much_memory_fails_alone() -> None:
    assert forked("x = bytearray(100 << 20)") == {"did": True}
    assert forked("x = bytearray(1200 << 20)") == {"refused": "died"}


def test_job_that_takes_too_long_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "JOB_TIMEOUT_S", 0.2)
    assert forked("while True: pass") == {"refused": "time"}


def test_job_that_takes_too_much_processor_time_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "CPU_S", 1)
    assert forked("while True: pass") == {"refused": "died"}


def test_job_that_crashes_is_refused() -> None:
    assert forked("import os; os.kill(os.getpid(), 9)") == {"refused": "died"}
    assert forked("import os; os._exit(3)") == {"refused": "died"}


def test_job_that_writes_too_much_fails_alone(tmp_path: Path) -> None:
    target = tmp_path / "out"
    assert forked(f"open({str(target)!r}, 'wb').write(bytes(2 << 20))") == {"refused": "died"}
    assert target.stat().st_size <= 1 << 20


def test_job_that_opens_too_much_fails_alone() -> None:
    assert forked("import os; x = [os.open('/dev/null', 0) for _ in range(100)]") == {"refused": "died"}


def test_job_has_nothing_of_the_worker_s_input_and_output() -> None:
    code = "import os; did = [os.readlink(f'/proc/self/fd/{fd}') for fd in (0, 1, 2)]"
    assert forked(code) == {"did": ["/dev/null"] * 3}


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), "too large"),
        (OSError(28, "full"), "disk"),
        (OSError("truncated"), "damaged"),
        (ValueError(), "damaged"),
        (SyntaxError(), "damaged"),
    ],
    ids=repr,
)
def test_job_answers_what_the_decoder_meant(error: Exception, expected: str) -> None:
    def images(*_: object) -> dict[str, object]:
        raise error

    told = {"kind": "image", "type": PNG.mime, "source": "a", "target": "b", "thumbnail": "c"}
    assert job._done(told, images) == {"refused": expected}
    assert job._done(told, None) == {"refused": "no decoder"}
