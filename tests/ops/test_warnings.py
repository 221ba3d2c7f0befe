"""What the log of a running daemon warns of before it fails."""

import signal
import time
from pathlib import Path

import attrs
import pytest
import structlog
import trio
from cryptography import x509
from trio.testing import MockClock

from chatd.config import Config, Server, Tls
from chatd.ops import machine, rlimit, warnings
from chatd.ops.finding import CheckFinding
from support.certificates import make_certificate, trusting
from support.process import eventually, running

DAY_MS = 86_400_000
NOW = time.time_ns() // 1_000_000


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """Settings with a certificate, on a machine with room for everything."""
    monkeypatch.setattr(machine, "LOW_SPACE", 0)
    monkeypatch.setattr(rlimit, "most", lambda: float("inf"))
    certificate, key = make_certificate(tmp_path)
    server = Server(data=str(tmp_path), public_url="https://localhost")
    return Config(server=server, tls=Tls(certificate=str(certificate), key=str(key)))


def warned(config: Config, now: int = NOW) -> list[str]:
    return [f"{finding.what}: {finding.text}" for finding in warnings.doubtful(config, now)]


def test_machine_where_all_is_well_is_not_warned_of(config: Config) -> None:
    assert warned(config) == []
    assert warned(attrs.evolve(config, tls=Tls(), server=attrs.evolve(config.server, host="0.0.0.0"))) == []


@pytest.mark.parametrize(
    ("before_end", "words"),
    [
        (-1, "expired on"),
        (DAY_MS, "1 days left"),
        (14 * DAY_MS - 1, "13 days left"),
        (367 * DAY_MS, "not valid before"),
    ],
)
def test_certificate_that_does_not_count_or_ends_soon_is_warned_of(config: Config, before_end: int, words: str) -> None:
    found = x509.load_pem_x509_certificate(Path(config.tls.certificate).read_bytes())
    (line,) = warned(config, int(found.not_valid_after_utc.timestamp() * 1000) - before_end)
    assert words in line


def test_certificate_for_another_host_is_warned_of(config: Config) -> None:
    server = attrs.evolve(config.server, public_url="https://chat.example.org")
    (line,) = warned(attrs.evolve(config, server=server))
    assert line.endswith("not for chat.example.org, the host of public_url")


def test_too_few_descriptors_and_a_nearly_full_disk_are_warned_of(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rlimit, "most", lambda: 100)
    monkeypatch.setattr(machine, "LOW_SPACE", 2**62)
    assert [line.partition(":")[0] for line in warned(config)] == ["open files", "disk"]


async def test_watch_warns_at_the_start_and_each_day(autojump_clock: MockClock) -> None:
    levels = iter(["warning", "wrong", "warning", "warning"])

    async def inline(look: warnings.Look) -> list[CheckFinding]:
        return look()

    with structlog.testing.capture_logs() as logged, trio.move_on_after(2.5 * 86_400):
        await warnings.watch(lambda: [CheckFinding(next(levels), "disk", "full")], inline)  # type: ignore[arg-type]
    assert [line["log_level"] for line in logged] == ["warning", "error", "warning"]
    assert (logged[0]["what"], logged[0]["reason"]) == ("disk", "full")


async def test_watch_goes_on_where_the_machine_cannot_be_looked_at(autojump_clock: MockClock) -> None:
    looks = 0

    async def failing(look: warnings.Look) -> list[CheckFinding]:
        nonlocal looks
        looks += 1
        raise OSError(5, "Input/output error")

    with structlog.testing.capture_logs() as logged, trio.move_on_after(86_401):
        await warnings.watch(list, failing)
    assert looks == len(logged) == 2


async def test_daemon_logs_what_will_fail_at_its_start_and_after_a_reload(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    tls = f'[tls]\ncertificate = "{certificate}"\nkey = "{key}"\n'
    settings = f'{tls}[server]\npublic_url = "https://chat.example.org"\n'
    async with running(tmp_path, settings=settings, tls=trusting(certificate)) as daemon:
        said = "not for chat.example.org, the host of public_url"

        async def logged(words: str) -> bool:
            await trio.lowlevel.checkpoint()
            return words in daemon.log

        await eventually(lambda: logged(said), within=30)
        (tmp_path / "chatd.toml").write_text(f'{tls}[server]\npublic_url = "https://other.example.org"\n')
        daemon.process.send_signal(signal.SIGHUP)
        await eventually(lambda: logged("not for other.example.org"), within=30)
        assert daemon.log.count(said) == 1
