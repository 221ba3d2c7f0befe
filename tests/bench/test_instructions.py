"""Instructions per message: the load in lockstep, and the arithmetic. Valgrind itself takes minutes."""

from pathlib import Path

import pytest

from bench.instructions import Checkout, counted, drive, main, per_message
from chatd.bench.peer import PeerLost
from chatd.bench.private import chatd_server

HERE = Path(__file__).parents[2]


def test_per_message_subtracts_start_and_shutdown() -> None:
    assert per_message((2_000, 1_000_000_000), (6_000, 1_200_000_000)) == 50_000


def test_counted_reads_what_cachegrind_says_last() -> None:
    assert counted("==7== Cachegrind, a ...\n==7== \n==7== I   refs:      1,234,567\n") == 1_234_567


def test_counted_of_a_log_without_a_count_raises() -> None:
    with pytest.raises(PeerLost, match="cachegrind counted nothing: Bus error"):
        counted("==7== Cachegrind, a ...\nBus error\n")


@pytest.mark.parametrize("members", [2, 5])
def test_drive_sends_whole_windows_and_sees_each_delivered(members: int, tmp_path: Path) -> None:
    with chatd_server(tmp_path) as server:
        assert drive(server.url, members, 40) == 40


def test_drive_of_socketio_clients_sees_each_message_delivered(tmp_path: Path) -> None:
    with chatd_server(tmp_path) as server:
        assert drive(server.url, 2, 40, socketio=True) == 40


def test_drive_without_a_server_raises() -> None:
    with pytest.raises(PeerLost, match="cannot connect"):
        drive("http://127.0.0.1:1", 2, 8)


def test_checkout_is_named_by_its_commit_else_by_its_folder(tmp_path: Path) -> None:
    assert Checkout(tmp_path / "nowhere").python == tmp_path / "nowhere" / ".venv" / "bin" / "python"
    assert Checkout(tmp_path).name == tmp_path.name


def test_options_are_those_that_the_page_names() -> None:
    page = (HERE / "bench" / "README.md").read_text()
    for option in ("--against", "--fanout", "--repeat", "--at-most"):
        assert option in page
        assert any(option in parameter.opts for parameter in main.params)
