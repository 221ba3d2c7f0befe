"""`chatd db check` and `chatd db adopt` on an app's database."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from chatd.cli import main
from storage.contract import StoreError
from storage.mysql.adoption.adopt import Adoption
from support import mariadb, prisma_app
from support.prisma_app import App, adoption_of, fill


@pytest.fixture
def app() -> Iterator[App]:
    with prisma_app.with_people() as found:
        yield found


@pytest.fixture
def chatd(app: App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> Result:
        return CliRunner().invoke(main, [*words, "--database", mariadb.server().url(app.database)])

    return run


def test_commands(app: App, chatd: Callable[..., Result], tmp_path: Path) -> None:
    fill(app)
    served = chatd("serve", "--data", str(tmp_path / "data"))
    assert served.exit_code == 2
    assert "there are an app's tables: `chatd db adopt` shows" in served.stderr
    assert served.stderr.count("\n") == 1
    checked = chatd("db", "check")
    assert checked.exit_code == 1
    assert "missing  Message: column seq\n" in checked.stdout
    printed = chatd("db", "adopt")
    assert printed.exit_code == 0, printed.output
    assert printed.stdout == adoption_of(app).examine().migration()
    assert chatd("db", "adopt", "--prisma").stdout == adoption_of(app).examine().fragment()
    assert adoption_of(app).examine().done == (), "nothing has been done yet"
    applied = chatd("db", "adopt", "--apply")
    assert applied.exit_code == 0, applied.output
    assert applied.stdout == f"{adoption_of(app).examine().where}: adopted\n"
    assert "adding Message: column replyToId, column seq" in applied.stderr
    assert "29 of 29 conversations and messages taken in\n" in applied.stderr
    assert chatd("db", "adopt", "--apply").stdout.endswith(": nothing to do, it is adopted\n")
    checked = chatd("db", "check")
    assert checked.exit_code == 0, checked.output
    assert checked.stdout.endswith(": everything is there, and its numbers agree\n")
    app.run("UPDATE Conversation SET lastSeq = 1 WHERE lastSeq > 2")
    checked = chatd("db", "check")
    assert checked.exit_code == 1
    assert "conversations whose last number is below that of a message, " in checked.stdout
    assert "numbers disagree: restore a backup" in checked.stderr


def test_commands_that_cant(app: App, chatd: Callable[..., Result]) -> None:
    app.users("two words")
    for words in ("db", "adopt"), ("db", "adopt", "--apply"):
        result = chatd(*words)
        assert result.exit_code == 2
        assert "User: 1 ids that are not" in result.stderr
    result = CliRunner().invoke(main, ["db", "adopt", "--database", "sqlite:///x.db"])
    assert result.exit_code == 2
    assert "only a database of MySQL can be adopted" in result.stderr


def test_the_password_is_never_shown(app: App, chatd: Callable[..., Result]) -> None:
    with pytest.raises(StoreError) as error:
        Adoption(f"mysql://chatd:{'s3cret'}@127.0.0.1:1/x").examine()
    assert "s3cret" not in str(error.value)
    assert mariadb.PASSWORD not in chatd("db", "adopt", "--apply").output
