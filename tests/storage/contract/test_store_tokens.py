"""Tokens, users that are shut out, and another lineage, on every store."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.changes import (
    AddToken,
    BeginLineage,
    Change,
    LineageBegun,
    Outcome,
    PutUser,
    Refused,
    RevokeToken,
    RevokeTokens,
    SetDisabled,
    TokensSaved,
    UserSaved,
)
from storage.contract import Store
from storage.records import Credentials, IssuedToken, User
from storage.rules.tokens import EXPIRED_TOKEN_KEPT_MS
from support.stores import Kind

ADA = User(id="ada", name="Ada", role="patient")
FAR = 10**13


@pytest.fixture
def store(kind: Kind, tmp_path: Path) -> Iterator[Store]:
    store = kind.open(tmp_path)
    store.commit([PutUser("ada", "Ada", "patient", 1), PutUser("ben", "Ben", "dentist", 2)])
    yield store
    store.close()


def do(store: Store, change: Change) -> Outcome:
    (outcome,) = store.commit([change])
    return outcome


def add(store: Store, jti: str, user: str = "ada", *, at: int = 1000, expires: int = FAR) -> None:
    assert do(store, AddToken(jti, user, at, expires)) == TokensSaved(
        (IssuedToken(jti=jti, user=user, issued_at=at, expires_at=expires),)
    )


def test_token_is_known_once_added(store: Store) -> None:
    add(store, "t1")
    assert store.credentials("ada", "t1") == Credentials(
        ADA, IssuedToken(jti="t1", user="ada", issued_at=1000, expires_at=FAR), None
    )
    assert store.credentials("ada", "t2") == Credentials(ADA, None, None)


def test_credentials_of_nobody_are_none(store: Store) -> None:
    add(store, "t1")
    assert store.credentials("cleo", "t1") == Credentials(None, None, None)


def test_credentials_say_whose_token_it_is(store: Store) -> None:
    add(store, "t1", "ben")
    assert store.credentials("ada", "t1").token == IssuedToken(jti="t1", user="ben", issued_at=1000, expires_at=FAR)


def test_token_for_nobody_is_refused(store: Store) -> None:
    assert do(store, AddToken("t1", "cleo", 1, 2)) == Refused("not_found", "no such user", "user")
    assert store.tokens(user=None, after=None, limit=9) == []


def test_token_id_is_taken_once(store: Store) -> None:
    add(store, "t1")
    taken = do(store, AddToken("t1", "ben", 5, 6))
    assert isinstance(taken, Refused)
    assert taken.reason == "conflict"
    assert store.credentials("ben", "t1").token == IssuedToken(jti="t1", user="ada", issued_at=1000, expires_at=FAR)


def test_token_revoked_leaves_the_others(store: Store) -> None:
    add(store, "t1")
    add(store, "t2")
    gone = IssuedToken(jti="t1", user="ada", issued_at=1000, expires_at=FAR, revoked_at=2000)
    assert do(store, RevokeToken("t1", 2000)) == TokensSaved((gone,))
    assert do(store, RevokeToken("t1", 3000)) == TokensSaved((gone,))
    assert store.credentials("ada", "t1") == Credentials(ADA, gone, None)
    assert store.credentials("ada", "t2").token == IssuedToken(jti="t2", user="ada", issued_at=1000, expires_at=FAR)


def test_token_unknown_cannot_be_revoked(store: Store) -> None:
    assert do(store, RevokeToken("t1", 1)) == Refused("not_found", "no such token", "token")
    assert do(store, RevokeTokens("cleo", 1)) == Refused("not_found", "no such user", "user")


def test_tokens_of_a_user_are_revoked_together(store: Store) -> None:
    add(store, "t1")
    add(store, "t2")
    add(store, "t3", "ben")
    do(store, RevokeToken("t1", 1500))
    assert do(store, RevokeTokens("ada", 2000)) == TokensSaved(
        (IssuedToken(jti="t2", user="ada", issued_at=1000, expires_at=FAR, revoked_at=2000),)
    )
    assert [(t.jti, t.revoked_at) for t in store.tokens(user=None, after=None, limit=9)] == [
        ("t1", 1500), ("t2", 2000), ("t3", None),
    ]  # fmt: skip
    assert store.credentials("ada", "other").cut_off == 2000
    assert store.credentials("ben", "other").cut_off is None


def test_token_added_after_revocation_of_all_counts(store: Store) -> None:
    outcomes = store.commit(
        [AddToken("t1", "ada", 1000, FAR), RevokeTokens("ada", 1000), AddToken("t2", "ada", 1000, FAR)]
    )
    assert [type(outcome) for outcome in outcomes] == [TokensSaved] * 3
    assert [t.revoked_at for t in store.tokens(user="ada", after=None, limit=9)] == [1000, None]


def test_cut_off_only_moves_on(store: Store) -> None:
    do(store, RevokeTokens("ada", 2000))
    do(store, RevokeTokens("ada", 1000))
    assert store.credentials("ada", "t").cut_off == 2000
    do(store, RevokeTokens("ada", 3000))
    assert store.credentials("ada", "t").cut_off == 3000


def test_tokens_come_by_age_in_pages(store: Store) -> None:
    for jti, user, at in (("c", "ada", 1), ("a", "ben", 2), ("b", "ada", 2), ("d", "ada", 0)):
        add(store, jti, user, at=at)
    assert [t.jti for t in store.tokens(user=None, after=None, limit=9)] == ["d", "c", "a", "b"]
    assert [t.jti for t in store.tokens(user=None, after=(1, "c"), limit=1)] == ["a"]
    assert [t.jti for t in store.tokens(user="ada", after=None, limit=2)] == ["d", "c"]
    assert [t.jti for t in store.tokens(user="ada", after=(1, "c"), limit=2)] == ["b"]
    assert store.tokens(user="cleo", after=None, limit=9) == []


def test_token_expired_long_ago_is_forgotten(store: Store) -> None:
    add(store, "old", expires=5000)
    add(store, "newer", expires=5001)
    do(store, RevokeToken("old", 2000))
    add(store, "t1", at=5000 + EXPIRED_TOKEN_KEPT_MS)
    assert [t.jti for t in store.tokens(user="ada", after=None, limit=9)] == ["newer", "old", "t1"]
    add(store, "t2", at=5001 + EXPIRED_TOKEN_KEPT_MS)
    assert [t.jti for t in store.tokens(user="ada", after=None, limit=9)] == ["newer", "t1", "t2"]


def test_user_is_shut_out_and_let_in(store: Store) -> None:
    out = User(id="ada", name="Ada", role="patient", disabled_at=70)
    assert do(store, SetDisabled("ada", True, 70)) == UserSaved(out, changed=True)
    assert do(store, SetDisabled("ada", True, 80)) == UserSaved(out, changed=False)
    assert store.credentials("ada", "t").user == store.user("ada") == out
    assert do(store, SetDisabled("ada", False, 90)) == UserSaved(ADA, changed=True)
    assert do(store, SetDisabled("ada", False, 95)) == UserSaved(ADA, changed=False)
    assert store.user("ada") == ADA
    assert do(store, SetDisabled("cleo", True, 1)) == Refused("not_found", "no such user", "user")


def test_users_come_by_id_in_pages_the_disabled_too(store: Store) -> None:
    do(store, PutUser("Zoe", "Zoe", "admin", 3))
    do(store, SetDisabled("ada", True, 4))
    assert [u.id for u in store.all_users(after=None, limit=9)] == ["Zoe", "ada", "ben"]
    assert [u.id for u in store.all_users(after="Zoe", limit=1)] == ["ada"]
    assert store.all_users(after="ben", limit=9) == []


def test_lineage_begun_gives_another_epoch(store: Store) -> None:
    assert do(store, BeginLineage("e2")) == LineageBegun("e2")
    assert store.epoch == "e2"


def test_tokens_reopened_are_all_there(kind: Kind, tmp_path: Path) -> None:
    if not kind.durable:
        return
    store = kind.open(tmp_path)
    store.commit([PutUser("ada", "Ada", "patient", 1), AddToken("t1", "ada", 5, FAR), RevokeTokens("ada", 6)])
    store.commit([BeginLineage("e2"), SetDisabled("ada", True, 7)])
    store.close()
    store = kind.open(tmp_path)
    try:
        assert store.epoch == "e2"
        out = User(id="ada", name="Ada", role="patient", disabled_at=7)
        assert store.credentials("ada", "t1") == Credentials(
            out, IssuedToken(jti="t1", user="ada", issued_at=5, expires_at=FAR, revoked_at=6), 6
        )
    finally:
        store.close()
