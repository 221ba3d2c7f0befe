"""Files of variables: how they are read where asked for, and named where they are not."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from chatd.cli import main
from chatd.config import ConfigError, hint, read, with_file


@pytest.fixture(autouse=True)
def _no_variables_of_this_process(empty_folder: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PORT", "SOCKET_PORT", "DATABASE_URL", "CORS_ORIGIN", "HOSTNAME"):
        monkeypatch.delenv(name, raising=False)


def variables(text: str) -> dict[str, str]:
    Path("v").write_text(text)
    return with_file(Path("v"), {})


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=b", "b"),
        ("  export A = b c ", "b c"),
        ("A=b # why", "b"),
        ("A=b#c", "b#c"),
        ("A=# why", ""),
        ("A=", ""),
        ('A="b # c" # why', "b # c"),
        ("A='b \"c\" \\n'", 'b "c" \\n'),
        (r'A="b\n\"c\" \\"', 'b\n"c" \\'),
        ("A=p$ss", "p$ss"),
        ("# nothing\n\nA=b\r", "b"),
        ("\ufeffA=b", "b"),
        ("A=a\nA=b", "b"),
    ],
)
def test_variable_of_a_file_is_read_as_web_apps_do(line: str, value: str) -> None:
    assert variables(line) == {"A": value}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A=b\nnonsense", "v: line 2: expected NAME=value"),
        ('A="b', "v: line 1: A: expected a quotation mark at the end"),
        ("DATABASE_URL=mysql://u:hush@${HOST}/db", "v: line 1: DATABASE_URL: variables within variables"),
    ],
)
def test_variable_that_cannot_be_read_is_named_without_its_value(text: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        variables(text)
    assert str(caught.value).startswith(words)
    assert "hush" not in str(caught.value)


def test_file_of_variables_is_weaker_than_the_environment() -> None:
    Path("v").write_text("PORT=1\nA=b\n")
    assert with_file(Path("v"), {"PORT": "2"}) == {"PORT": "2", "A": "b"}


def test_file_of_variables_that_is_missing_is_named() -> None:
    with pytest.raises(ConfigError, match="other: cannot be read: No such file"):
        with_file(Path("other"), {})


@pytest.mark.parametrize(
    ("text", "environment", "settings", "named"),
    [
        ("DATABASE_URL=mysql://u@h/d\nNEXT_SECRET=x", {}, "", "DATABASE_URL"),
        ("CHATD_SERVER_PORT=1\nHOSTNAME=web", {}, "", "CHATD_SERVER_PORT"),
        ("DATABASE_URL=mysql://u@h/d", {"DATABASE_URL": "mysql://u@h/d"}, "", None),
        ("DATABASE_URL=mysql://u@h/d", {}, '[storage]\ndatabase = "sqlite:///x.db"\n', None),
        ("NEXT_SECRET=x", {}, "", None),
        ("some other program's", {}, "", None),
    ],
)
def test_file_of_variables_beside_is_named_where_it_would_count(
    text: str, environment: dict[str, str], settings: str, named: str | None
) -> None:
    Path(".env").write_text(text)
    Path("chatd.toml").write_text(settings)
    said = hint(read(Path("chatd.toml"), {}, environment), environment)
    if named is None:
        assert said is None
    else:
        assert said == f".env is here and was not read, though it has {named}; --env-file .env reads it"


def test_check_mentions_the_file_beside_it_unless_it_reads_it() -> None:
    Path(".env").write_text("PORT=4711\n")
    for words, mentioned in (([], True), (["--env-file", ".env"], False)):
        done = CliRunner().invoke(main, ["check", *words])
        assert ("warning  settings: .env is here" in done.stdout) == mentioned
        assert ("port 4711" in done.stdout) == (not mentioned)


def test_serve_mentions_the_file_beside_it() -> None:
    Path(".env").write_text("DATABASE_URL=mysql://app:hush@db/next\n")
    done = CliRunner().invoke(main, ["serve", "--host", "nobody.invalid"])
    assert ".env is here and was not read, though it has DATABASE_URL" in done.stderr
    assert "hush" not in done.stderr
