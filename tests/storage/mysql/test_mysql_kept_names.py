"""The names that a database was adopted with are kept in it: settings that forget them never make a second chat."""

from collections.abc import Iterator

import pytest

from storage.contract import StoreError
from storage.mysql.upgrade import upgrade
from support import mariadb, prisma_app
from support.prisma_app import PLAIN, RENAMED, App, adopt, adoption_of, history, layout, served
from support.stores import Desk


@pytest.fixture
def app() -> Iterator[App]:
    """Adopted by other names, with a message in c1."""
    with prisma_app.app(*prisma_app.renamed()) as app:
        app.run("INSERT INTO users (id, name, role, updatedAt) VALUES ('ada', 'Ada', 'PATIENT', NOW(3)), "
                "('bo', 'Bo', 'DENTIST', NOW(3))")  # fmt: skip
        app.run("INSERT INTO chats (id, updatedAt) VALUES ('c1', NOW(3))")
        app.run("INSERT INTO chat_members (member_id, chat_id, user_id, unread) VALUES ('1', 'c1', 'ada', 1), "
                "('2', 'c1', 'bo', 0)")  # fmt: skip
        app.run("INSERT INTO chat_messages (message_id, chat_id, senderId, body, sent_at) VALUES "
                "('x', 'c1', 'bo', 'one', NOW(3))")  # fmt: skip
        adopt(app, names=RENAMED)
        yield app


def upgraded(app: App, **known: object) -> list[str]:
    return upgrade(mariadb.server().url(app.database), new_epoch=lambda: "second", **known)  # type: ignore[arg-type]


def test_forgotten_names_are_those_of_the_adoption(app: App) -> None:
    before = layout(app)
    assert upgraded(app) == []
    with served(app) as store:
        assert store.epoch == "e"
        desk = Desk(store)
        desk.say("c1", "ada", "two")
        assert history(store, "c1", "ada") == ["one", "two"]
    assert adoption_of(app).examine().only("wrong") == []
    assert layout(app) == before


def test_other_names_than_those_of_the_adoption_are_refused(app: App) -> None:
    before = layout(app)
    wrong = {**RENAMED, "Message": "posts"}
    for attempt in lambda: upgraded(app, names=wrong), lambda: served(app, names=wrong).__enter__():
        with pytest.raises(StoreError, match=r"says Message=posts, but .* adopted with Message=chat_m"):
            attempt()
    with pytest.raises(StoreError, match=r"posts: no such table, though there was when this database was adopted"):
        adopt(app, names=wrong)
    assert layout(app) == before


def test_table_that_the_app_renames_later_goes_on_by_its_new_name(app: App) -> None:
    app.run("RENAME TABLE chat_messages TO posts")
    names = {**RENAMED, "Message": "posts"}
    with pytest.raises(StoreError, match=r"chat_messages: no such table, though there was"), served(app):
        pass
    with pytest.raises(StoreError, match=r"it was adopted, and there is no table chat_messages in it"):
        upgraded(app)
    adopt(app, names=names)
    with served(app) as store:
        assert history(store, "c1", "ada") == ["one"]
    assert app.run("SHOW TABLES LIKE 'chat_messages'") == []


def test_another_table_in_the_place_of_a_renamed_one_is_not_altered(app: App) -> None:
    for statement in PLAIN:
        if "CREATE TABLE `Message`" in statement:
            app.run(statement)
    before = layout(app)
    with pytest.raises(StoreError, match=r"adopted with other names than .* and Message by its new name"):
        adopt(app, names={"Message": "Message", "Message.content": "content", "Message.id": "id", "Message.seq": "seq",
                          "Message.conversationId": "conversationId", "Message.createdAt": "createdAt"})  # fmt: skip
    assert layout(app) == before


def test_renamed_required_column_is_a_clear_refusal(app: App) -> None:
    app.run("ALTER TABLE chat_messages RENAME COLUMN body TO text")
    with pytest.raises(StoreError, match=r"chat_messages: no column body; if it has another name, set"):
        served(app).__enter__()
