"""Files that an app lists in a JSON column of its messages, and files of messages whose ids are numbers."""

import json
from typing import Any

import pytest

from storage.mysql.app_files import Sites
from storage.mysql.listed_files import _row
from storage.mysql.store import MysqlStore
from storage.records import Attachment
from support import prisma_app, shapes
from support.beside import ingest
from support.prisma_app import FILES, App, adopt, adoption_of, changed, people, served
from support.stores import Desk

SITES = Sites(app="https://www.example.org", own="https://chat.example.org", write_files=True)
X_RAY = {"fileName": "x-ray.png", "mime_type": "image/png", "size": 1024, "url": "/files/1.png", "width": 640}


def tables(column: str = "`attachments` JSON NULL") -> tuple[str, ...]:
    return changed("Message", "`createdAt`", f"{column}, `createdAt`")


def shown(store: MysqlStore) -> list[tuple[Attachment, ...]]:
    page = store.history("c1", "bo", before=None, after=0, limit=50)
    assert page is not None
    return [message.attachments for message in page.messages]


def begin(app: App) -> None:
    people(app)
    app.conversation("c1", "ada", "bo")


@pytest.mark.parametrize("name", ["attachments", "files", "media"])
def test_files_in_a_json_column_are_shown(name: str) -> None:
    with prisma_app.app(*tables(f"`{name}` JSON NULL")) as app:
        begin(app)
        first, second, _, fourth = app.say("c1", "ada", "one", "two", "three", "four")
        update = f"UPDATE Message SET {name} = %s WHERE id = %s"
        app.run(update, json.dumps([X_RAY, "https://cdn.example.org/a%20b.pdf", {"url": "javascript:alert(1)"}]), first)
        app.run(update, json.dumps({"url": "/files/2.png"}), second)
        adopt(app)
        with served(app, sites=SITES) as store:
            assert [[(f.id, f.name, f.type, f.size, f.url, f.width) for f in files] for files in shown(store)] == [
                [
                    (f"{first}-1", "x-ray.png", "image/png", 1024, "https://www.example.org/files/1.png", 640),
                    (f"{first}-2", "a b.pdf", "application/pdf", 0, "https://cdn.example.org/a%20b.pdf", None),
                ],
                [(f"{second}-1", "2.png", "image/png", 0, "https://www.example.org/files/2.png", None)],
                [],
                [],
            ]
            app.run(update, json.dumps(["/files/4.png"]), fourth)
            ingest(store, None)
            since = store.since("c1", "bo", 5, limit=10)
            assert since is not None
            assert [(m.seq, len(m.attachments)) for m in since.messages] == [(4, 1)]


@pytest.mark.parametrize(("column", "empty"), [("JSON NULL", None), ("JSON NOT NULL DEFAULT '[]'", "[]")])
def test_file_is_listed_for_the_app_and_shown_once(column: str, empty: str | None) -> None:
    with prisma_app.app(*tables(f"`attachments` {column}")) as app:
        begin(app)
        adopt(app)
        with served(app, sites=SITES) as store:
            assert not [warning for warning in store.warnings if "written" in warning]
            desk = Desk(store, first=100)
            desk.now = app.now
            for id in "f1", "f2":
                desk.upload("ada", id, width=640, height=480)
            (message,) = desk.changed(desk.send("c1", "ada", "", attachments=["f1", "f2"])).messages
            ((text,),) = app.run("SELECT attachments FROM Message")
            assert [(file["id"], file["url"], file["size"]) for file in json.loads(text)] == [
                ("f1", "https://chat.example.org/v1/attachments/f1", 7),
                ("f2", "https://chat.example.org/v1/attachments/f2", 7),
            ]
            assert [file.url for file in shown(store)[0]] == ["/v1/attachments/f1", "/v1/attachments/f2"]
            assert not store.scan(None).waiting, "chatd's own writing is no news"
            desk.changed(desk.delete("c1", "ada", message.seq))
            assert app.run("SELECT attachments FROM Message") == [(empty,)]
        with served(app) as store:
            desk.store = store
            desk.upload("ada", "f3")
            desk.changed(desk.send("c1", "ada", "", attachments=["f3"]))
            assert app.run("SELECT attachments FROM Message WHERE deletedAt IS NULL") == [(empty,)]


@pytest.mark.parametrize("item", [None, 7, [], {}, {"url": 7}, {"url": None, "name": "x"}, [["/files/1.png"]], True])
def test_list_item_that_is_no_file_has_no_address(item: Any) -> None:
    assert _row(item, "m-1")[1] is None


def test_a_list_that_may_not_be_empty_is_named_before() -> None:
    with prisma_app.app(*tables("`attachments` JSON NOT NULL")) as app:
        begin(app)
        (finding,) = adoption_of(app).examine().only("wrong")
        assert "column attachments has no default" in finding.text
        adopt(app, constants={"Message.attachments": "[]"})
        with served(app, constants={"Message.attachments": "[]"}) as store:
            desk = Desk(store)
            desk.now = app.now
            assert desk.say("c1", "ada", "one")


def test_files_of_messages_whose_ids_are_numbers_are_shown_and_written() -> None:
    files = [
        statement.replace("`id` VARCHAR(191) NOT NULL", "`id` INTEGER NOT NULL AUTO_INCREMENT").replace(
            "`messageId` VARCHAR(191)", "`messageId` INTEGER"
        )
        for statement in FILES
    ]
    insert = (
        "INSERT INTO Attachment (messageId, fileName, mimeType, fileSize, url) "
        "VALUES (%s, 'x.png', 'image/png', 7, '/files/x.png')"
    )
    with prisma_app.app(*shapes.numbered(), *files) as app:
        for name in "Ada", "Bo":
            app.run("INSERT INTO User (name, updatedAt) VALUES (%s, NOW(3))", name)
        app.run("INSERT INTO Conversation (updatedAt) VALUES (NOW(3))")
        for user in 1, 2:
            app.run("INSERT INTO ConversationParticipant (conversationId, userId) VALUES (1, %s)", user)
        for body in "one", "two":
            app.run("INSERT INTO Message (conversationId, senderId, content) VALUES (1, 1, %s)", body)
        app.run(insert, 1)
        adopt(app)
        with served(app, sites=SITES) as store:
            desk = Desk(store, first=100)
            desk.now = app.now

            def found() -> list[list[str]]:
                page = store.history("1", "2", before=None, after=0, limit=50)
                assert page is not None
                return [[file.id for file in message.attachments] for message in page.messages]

            assert found() == [["1"], []]
            app.run(insert, 2)
            assert store.has_pending("1")
            ingest(store, None)
            assert found() == [["1"], ["2"]]
            desk.upload("1", "f1")
            (message,) = desk.changed(desk.send("1", "1", "", attachments=["f1"])).messages
            assert app.run("SELECT messageId, fileName FROM Attachment WHERE url LIKE '%%f1'") == [
                (int(message.id), "f1.jpg")
            ]
            assert found()[-1] == ["f1"]
            desk.changed(desk.delete("1", "1", message.seq))
            assert app.run("SELECT COUNT(*) FROM Attachment") == [(2,)]
        assert adoption_of(app).disagreements() == []
