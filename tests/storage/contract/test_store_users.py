"""People, on every store: made, changed, seen, listed by name."""

import contextlib
from typing import Any

import attrs
import pytest
from sqlite_utils.utils import sqlite3  # type: ignore[attr-defined]

from storage.changes import UserSaved
from storage.contract import Store
from storage.memory import MemoryStore
from storage.records import User
from storage.search import fold
from storage.sqlite import SqliteStore
from support.stores import Desk, by_hand, disable, id_in

STAFF = ("dentist", "staff", "admin")


def test_user_is_made_then_changed_by_what_is_given(desk: Desk, store: Store) -> None:
    assert desk.do(desk.put("ada")) == [UserSaved(User(id="ada", name="ada", role="patient"), changed=False)]
    assert desk.do(desk.put("ada", name="Ada")) == [UserSaved(User(id="ada", name="Ada", role="patient"), changed=True)]
    assert desk.do(desk.put("ada", role="staff")) == [UserSaved(User(id="ada", name="Ada", role="staff"), changed=True)]
    assert (
        desk.do(desk.put("ada"), desk.put("ada", name="Ada", role="staff"))
        == [UserSaved(User(id="ada", name="Ada", role="staff"), changed=False)] * 2
    )
    assert store.user("ada") == User(id="ada", name="Ada", role="staff")


def test_user_seen_keeps_when(desk: Desk, store: Store) -> None:
    made, seen = desk.do(desk.put("ada"), desk.see("ada"))
    assert isinstance(made, UserSaved)
    assert seen == UserSaved(User(id="ada", name="ada", role="patient", last_seen_at=2), changed=False)
    desk.do(attrs.evolve(desk.see("ada"), at=1))
    assert store.user("ada") == User(id="ada", name="ada", role="patient", last_seen_at=2), "never earlier"
    assert desk.refused(desk.see("nobody")).reason == "not_found"


def test_users_are_found_by_their_ids(desk: Desk, store: Store) -> None:
    desk.people("ada", "ben")
    assert store.user("nobody") is None
    assert store.users([]) == {}
    assert store.users(["ada", "nobody", "ada", "ben"]) == {
        "ada": User(id="ada", name="ada", role="patient"), "ben": User(id="ben", name="ben", role="patient"),
    }  # fmt: skip


def test_ids_are_compared_exactly(desk: Desk, store: Store) -> None:
    desk.people("ada", "Ada", "ADA")
    assert store.user("aDa") is None
    assert desk.changed(desk.open("ada", "Ada")).created
    assert desk.changed(desk.open("ada", "ADA")).created


NAMES = {
    "1": ("Ben Ziegler", "dentist"),
    "2": ("ada Weiß", "staff"),
    "3": ("Ada Weiß", "staff"),
    "4": ("ÅSA Öberg", "admin"),
    "5": ("åsa berg", "patient"),
    "6": ("Ёлкина", "dentist"),
    "7": ("100% _Done_", "admin"),
    "8": ("Σίσυφος", "staff"),
}


@pytest.fixture
def people(desk: Desk) -> None:
    desk.do(*(desk.put(user, name, role) for user, (name, role) in NAMES.items()))


def found(store: Store, query: str | None = None, *, roles: tuple[str, ...] = STAFF, but: str = "0") -> list[str]:
    page, after = store.list_users(roles=roles, but=but, query=query, after=None, limit=50)
    assert after is None
    return [user.id for user in page]


@pytest.mark.usefixtures("people")
def test_users_are_listed_by_name_then_id(store: Store) -> None:
    assert found(store) == ["7", "2", "3", "1", "4", "8", "6"]
    assert found(store, but="3") == ["7", "2", "1", "4", "8", "6"]
    assert found(store, roles=("patient",)) == ["5"]
    assert found(store, roles=("admin", "patient")) == ["7", "5", "4"]
    assert found(store, roles=()) == []


@pytest.mark.usefixtures("people")
@pytest.mark.parametrize(
    ("query", "users"),
    [
        ("ADA", ["2", "3"]),
        ("weiss", ["2", "3"]),
        ("WEIß", ["2", "3"]),
        ("åsa", ["4"]),
        ("ÖB", ["4"]),
        ("ёЛК", ["6"]),
        ("ΣΊΣΥΦΟΣ", ["8"]),
        ("%", ["7"]),
        ("_", ["7"]),
        ("e", ["7", "2", "3", "1", "4"]),
        (" ", ["7", "2", "3", "1", "4"]),
        ("", ["7", "2", "3", "1", "4", "8", "6"]),
        ("'", []),
        ("sisyphos", []),
        ("nobody", []),
    ],
)
@pytest.mark.untraced
def test_query_is_a_part_of_the_name_in_any_case(store: Store, query: str, users: list[str]) -> None:
    assert found(store, query) == users


@pytest.mark.parametrize(
    ("name", "query"),
    [
        ("İstanbul Yılmaz", "ISTANBUL YILMAZ"),
        ("Istanbul", "İstanbul"),
        ("Seán O\u2019Brien", "o'brien"),
        ("O'Brien", "O\u02bcBRIEN"),
        ("ﬁona Ｗeiß", "FIONA WEISS"),
        ("מֹשֶׁה", "משה"),
        ("مُحَمَّد", "محمد"),
    ],
)
def test_user_list_finds_a_name_as_search_finds_a_text(desk: Desk, store: Store, name: str, query: str) -> None:
    desk.do(desk.put("1", name, "staff"), desk.put("2", "Another", "staff"))
    assert found(store, query) == found(store, name) == ["1"]


def test_user_list_sorts_names_of_all_scripts_as_one_list(desk: Desk, store: Store) -> None:
    names = ["ada", "Ádám", "İda", "idb", "Zoë", "zof", "o'b", "O’a", "ﬁa", "fib", "a ", "a", "Ａ", "ß", "ssa"]
    desk.do(*(desk.put(f"u{n:02}", name, "staff") for n, name in enumerate(names)))
    expected = sorted((fold(name), f"u{n:02}") for n, name in enumerate(names))
    assert found(store) == [user for _, user in expected]
    for limit in (1, 4):
        users, after = [], None
        while True:
            page, after = store.list_users(roles=STAFF, but="0", query=None, after=after, limit=limit)
            users += [user.id for user in page]
            if after is None:
                break
        assert users == [user for _, user in expected]


@pytest.mark.usefixtures("people")
@pytest.mark.parametrize("limit", range(1, 9))
def test_users_page_by_page(store: Store, limit: int) -> None:
    ids: list[str] = []
    after: tuple[Any, ...] | None = None
    while True:
        page, after = store.list_users(roles=STAFF, but="1", query=None, after=after, limit=limit)
        assert len(page) <= limit
        ids += [user.id for user in page]
        if after is None:
            break
        assert len(page) == limit
    assert ids == ["7", "2", "3", "4", "8", "6"]


@pytest.mark.usefixtures("people")
def test_users_disabled_are_not_listed(store: Store) -> None:
    disable(store, "3")
    assert found(store, "ada") == ["2"]
    user = store.user("3")
    assert user is not None
    assert user.disabled_at == 1


# -- users whose rows are gone --


def lose(store: Store, user: str) -> None:
    """As where an app deletes a row, and no key forbids it."""
    if isinstance(store, MemoryStore):
        del store._users[user]
    elif isinstance(store, SqliteStore):
        with contextlib.closing(sqlite3.connect(store.path)) as db, db:
            db.execute('DELETE FROM "User" WHERE "id" = ?', (user,))
    else:
        by_hand(store, 'DELETE FROM "User" WHERE "id" = ?', id_in(store, user))


def test_participant_without_a_row_is_listed_with_a_placeholder(desk: Desk, store: Store) -> None:
    group = desk.group("ada", "ben", "cleo")
    desk.say(group, "ben", "hello")
    lose(store, "ben")
    placeholder = User(id="ben", name="Deleted user", role="patient", disabled_at=0)
    found = store.summary(group, "ada")
    assert found is not None
    page = store.summaries("ada", archived=False, after=None, limit=5)
    since = store.since(group, "ada", 0, limit=100)
    assert since is not None
    for users in found[1], page.users, since.users:
        assert users["ben"] == placeholder
        assert users["ada"] == User(id="ada", name="ada", role="patient")
    desk.people("dan")
    added = desk.changed(desk.add(group, "ada", "dan"))
    assert placeholder in added.users
    assert store.user("ben") is None, "there is none to sign in, or to be added"
