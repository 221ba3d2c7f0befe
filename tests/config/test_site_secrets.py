"""Secrets of a site's sign-in, which its environment has already."""

from pathlib import Path

import pytest

from chatd.config import Config, ConfigError, NextAuth, as_toml, read

NAMED = '[auth]\nmethods = ["nextauth"]\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "chatd.toml"
    path.write_text(NAMED)
    return path


def test_secrets_of_the_environment_are_read_where_the_way_is_named(file: Path) -> None:
    environment = {"NEXTAUTH_SECRET": "older", "AUTH_SECRET": "now, with a comma", "AUTH_SECRET_1": "next"}
    loaded = read(file, {}, environment)
    assert loaded.config.nextauth.secrets == ("next", "now, with a comma", "older")
    assert str(loaded.sources["auth.nextauth.secrets"]) == "environment: AUTH_SECRET_1, AUTH_SECRET, NEXTAUTH_SECRET"
    by_variable = read(None, {}, {"CHATD_AUTH_METHODS": "password,nextauth", "AUTH_SECRET": "s"})
    assert by_variable.config.nextauth.secrets == ("s",)


def test_secrets_of_the_environment_are_not_looked_at_otherwise() -> None:
    assert read(None, {}, {"AUTH_SECRET": "s", "NEXTAUTH_SECRET": "s"}).config == Config()


def test_secret_of_better_auth_is_read_where_it_is_named() -> None:
    environment = {"CHATD_AUTH_METHODS": "better-auth", "BETTER_AUTH_SECRET": "b", "AUTH_SECRET": "a"}
    found = read(None, {}, environment).config
    assert (found.better_auth.secrets, found.nextauth.secrets) == (("b",), ())


def test_one_secret_twice_is_one(file: Path) -> None:
    assert read(file, {}, {"AUTH_SECRET": "s", "NEXTAUTH_SECRET": "s"}).config.nextauth.secrets == ("s",)


def test_environment_is_stronger_than_the_list_and_weaker_than_our_own_variable(file: Path) -> None:
    file.write_text(NAMED + '[auth.nextauth]\nsecrets = ["in the file"]\n')
    assert read(file, {}, {}).config.nextauth.secrets == ("in the file",)
    assert read(file, {}, {"AUTH_SECRET": "s"}).config.nextauth.secrets == ("s",)
    both = {"AUTH_SECRET": "s", "CHATD_AUTH_NEXTAUTH_SECRETS": "a,b"}
    assert read(file, {}, both).config.nextauth.secrets == ("a", "b")


def test_file_of_secrets_that_is_named_means_it(file: Path) -> None:
    file.write_text(NAMED + '[auth.nextauth]\nsecrets_file = "site"\n')
    found = read(file, {}, {"AUTH_SECRET": "s"}).config.nextauth
    assert found == NextAuth(secrets_file=str(file.parent / "site"))


def test_list_and_file_together_are_refused(file: Path) -> None:
    file.write_text(NAMED + '[auth.nextauth]\nsecrets = ["s"]\nsecrets_file = "site"\n')
    with pytest.raises(ConfigError, match=r"\[auth.nextauth\] secrets: given together with .* secrets_file"):
        read(file, {}, {})


def test_wrong_table_below_another_is_told(file: Path) -> None:
    file.write_text('[auth.nextauht]\nsecrets = ["s"]\n')
    with pytest.raises(ConfigError, match=r"\[auth\] nextauht: unknown key; did you mean nextauth\?"):
        read(file, {}, {})
    file.write_text("[auth]\nnextauth = 5\n")
    with pytest.raises(ConfigError, match=r"\[auth\] nextauth = 5: expected a table, \[auth.nextauth\]"):
        read(file, {}, {})


def test_secrets_are_never_shown(file: Path) -> None:
    loaded = read(file, {}, {"AUTH_SECRET": "canary-1", "AUTH_SECRET_1": "canary-2"})
    shown = as_toml(loaded)
    assert 'secrets = ["***", "***"]' in shown
    assert "canary" not in shown + repr(loaded.config)
