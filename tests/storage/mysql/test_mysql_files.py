"""Messages with files, which an app beside chatd keeps in a table of its own."""

import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from storage.mysql.adoption.check import Finding
from storage.mysql.attachments import MAX_FILES_SHOWN, SPELLINGS, shown
from storage.mysql.store import MysqlStore
from storage.mysql.tables import ATTACHMENT, TOUCHED
from storage.mysql.upgrade import upgrade
from storage.records import Attachment, Message
from support import mariadb, prisma_app
from support.prisma_app import FILES, PLAIN, App, adopt, adoption_of, people, served
from support.round_trips import counted
from support.shown import rev
from support.stores import Desk


@pytest.fixture
def app() -> Iterator[App]:
    with prisma_app.with_files() as found:
        yield found


@pytest.fixture
def store(app: App) -> Iterator[MysqlStore]:
    """Adopted; its conversation has one message with a file, and one without."""
    first, _ = app.say("c1", "ada", "an x-ray", "and")
    app.attach(first, "old")
    adopt(app)
    with served(app) as found:
        assert found.warnings == [] or "innodb" in found.warnings[0]
        yield found


def page(store: MysqlStore, conversation: str = "c1") -> Sequence[Message]:
    found = store.history(conversation, "bo", before=None, after=0, limit=200)
    assert found is not None
    return found.messages


def ids(messages: Sequence[Message]) -> list[list[str]]:
    return [[file.id for file in message.attachments] for message in messages]


def ingest(store: MysqlStore) -> None:
    while store.ingest(None, time.time_ns() // 1_000_000):
        pass


def test_files_from_before_are_shown(app: App, store: MysqlStore) -> None:
    assert not store.scan(None).waiting, "nobody has to hear of that"
    assert not store.has_pending("c1")
    assert [message.attachments for message in page(store)] == [
        (Attachment(id="old", name="old.png", type="image/png", size=1024, url="/files/old.png"),),
        (),
    ]
    assert [m.rev for m in page(store)] == [2, 3]
    notes = adoption_of(app).examine().only("note")
    assert [finding for finding in notes if finding.table == "Attachment"] == [
        Finding(
            "Attachment",
            "note",
            "messages are shown with its files: name is fileName, type is mimeType, size is fileSize",
        )
    ]


def test_message_of_files_alone(app: App, store: MysqlStore) -> None:
    (message,) = app.say("c1", "ada", "")
    app.attach(message, "b", createdAt="2026-01-01 00:00:02.000")
    app.attach(
        message, "a", url="https://cdn.example/a?x=1&y=2", width=640, height=480, thumbnailUrl="/thumbs/a.png",
        createdAt="2026-01-01 00:00:02.000",
    )  # fmt: skip
    app.attach(message, "first", createdAt="2026-01-01 00:00:01.000")
    before = rev(store, "c1")
    assert store.scan(None).waiting
    ingest(store)
    assert not store.scan(None).waiting
    assert rev(store, "c1") == before + 1
    (new,) = page(store)[2:]
    assert (new.body, ids([new])) == ("", [["first", "a", "b"]])
    assert new.attachments[1] == Attachment(
        id="a",
        name="a.png",
        type="image/png",
        size=1024,
        url="https://cdn.example/a?x=1&y=2",
        width=640,
        height=480,
        thumbnail_url="/thumbs/a.png",
    )
    found = store.summary("c1", "bo")
    assert found is not None
    assert found[0].last_message == new
    assert store.summaries("bo", archived=False, after=None, limit=5).summaries[0].last_message == new
    since = store.since("c1", "bo", before, limit=10)
    assert since is not None
    assert since.messages == (new,)


def test_file_that_comes_after_its_message(app: App, store: MysqlStore) -> None:
    before = rev(store, "c1")
    (last,) = page(store)[1:]
    app.attach(last.id, "late")
    assert store.scan(None).waiting
    assert store.has_pending("c1")
    ingest(store)
    assert (store.scan(None).waiting, store.has_pending("c1"), rev(store, "c1")) == (False, False, before + 1)
    since = store.since("c1", "bo", before, limit=10)
    assert since is not None
    assert [(m.seq, m.rev) for m in since.messages] == [(2, before + 1)]
    assert ids(since.messages) == [["late"]]
    app.run("UPDATE Attachment SET thumbnailUrl = '/t.png' WHERE id IN ('late', 'old')")
    assert store.ingest("c1", 1) is False, "of one conversation, as when it is opened"
    assert (ids(page(store)), rev(store, "c1")) == ([["old"], ["late"]], before + 3)
    assert [m.attachments[0].thumbnail_url for m in page(store)] == ["/t.png", "/t.png"]
    app.run("DELETE FROM Attachment WHERE id = 'late'")
    assert ids(page(store)) == [["old"], []]


def test_file_that_is_still_written_holds_nobody_up(app: App, store: MysqlStore) -> None:
    (last,) = page(store)[1:]
    app.attach(last.id, "late")
    before = rev(store, "c1")
    with mariadb.server().session(app.database) as cursor:
        cursor.execute("BEGIN")
        cursor.execute("UPDATE Attachment SET fileSize = 1 WHERE id = 'late'")
        began = time.monotonic()
        ingest(store)
        assert time.monotonic() - began < 2
        assert rev(store, "c1") == before
        cursor.execute("COMMIT")
    ingest(store)
    assert (rev(store, "c1"), page(store)[1].attachments[0].size) == (before + 1, 1)


def test_file_of_a_message_that_is_still_written(app: App, store: MysqlStore) -> None:
    (last,) = page(store)[1:]
    app.attach(last.id, "late")
    before = rev(store, "c1")
    with mariadb.server().session(app.database) as cursor:
        cursor.execute("BEGIN")
        cursor.execute("UPDATE Message SET content = 'another' WHERE id = %s", (last.id,))
        ingest(store)
        assert (rev(store, "c1"), store.scan(None).waiting) == (before, True)
        cursor.execute("COMMIT")
    ingest(store)
    assert (rev(store, "c1"), store.scan(None).waiting) == (before + 1, False)
    assert (page(store)[1].body, ids(page(store)[1:])) == ("another", [["late"]])


def test_files_of_nobody() -> None:
    """Uploaded before the message is sent; without foreign keys, also of messages that aren't there."""
    table = FILES[0].replace("`messageId` VARCHAR(191) NOT NULL", "`messageId` VARCHAR(191) NULL")
    with prisma_app.app(*PLAIN, table) as app:
        people(app)
        app.conversation("c1", "ada", "bo")
        adopt(app)
        with served(app) as store:
            app.run("INSERT INTO Attachment (id, fileName, mimeType, fileSize, url) VALUES ('x', 'x', 'x', 1, '/x')")
            app.attach("nowhere", "y")
            ingest(store)
            assert not store.scan(None).waiting
            (message,) = app.say("c1", "ada", "now it is sent")
            app.run("UPDATE Attachment SET messageId = %s WHERE id = 'x'", message)
            ingest(store)
            assert ids(page(store)) == [["x"]]
            assert not store.scan(None).waiting


def test_files_of_a_message_that_chatd_changes_stay(app: App, store: MysqlStore) -> None:
    desk = Desk(store, first=100)
    desk.now = app.now
    reacted = desk.changed(desk.react("c1", "bo", 1))
    edited = desk.changed(desk.edit("c1", "ada", 1, "the x-ray"))
    assert ids([*reacted.messages, *edited.messages]) == [["old"], ["old"]]
    assert ids(desk.unchanged(desk.edit("c1", "ada", 1, "the x-ray")).messages) == [["old"]]
    found = store.search("bo", ["x-ray"], conversation=None, before=None, limit=5)
    assert found is not None
    assert ids([hit.message for hit in found.hits]) == [["old"]]
    deleted = desk.changed(desk.delete("c1", "ada", 1))
    assert ids([*deleted.messages, page(store)[0]]) == [[], []], "a tombstone has none"
    app.run("UPDATE Message SET deletedAt = NOW(3) WHERE seq = 2")
    app.attach(page(store)[1].id, "late")
    ingest(store)
    assert ids(page(store)) == [[], []]


def test_repeated_message_has_its_files(app: App, store: MysqlStore) -> None:
    desk = Desk(store, first=100)
    desk.now = app.now
    send = desk.send("c1", "ada", client_id="k")
    desk.changed(send)
    app.attach(page(store)[2].id, "late")
    for _ in range(2):  # the second is looked up before it is written
        assert ids(desk.unchanged(send).messages) == [["late"]]


def test_app_files_are_asked_for_together_with_those_that_chatd_keeps(app: App, store: MysqlStore) -> None:
    desk = Desk(store, first=100)
    desk.now = app.now
    with_: list[int] = []
    without: list[int] = []
    for _ in range(2):  # every reader is connected now
        page(store)
    for files, trips in (store._files, with_), (None, without):
        store._files = files
        for ask in (
            lambda: desk.do(*(desk.send("c1", "ada") for _ in range(25))),
            lambda: page(store),
            lambda: store.since("c1", "bo", 1, limit=100),
            lambda: store.summary("c1", "bo"),
            lambda: store.scan(None),
            lambda: store.has_pending("c1"),
        ):
            with counted() as count:
                ask()
            trips.append(count[0])
    assert [a - b for a, b in zip(with_, without, strict=True)] == [0, 0, 0, 0, 0, 0]


def test_files_beyond_the_bound_are_left_out(app: App, store: MysqlStore) -> None:
    (last,) = page(store)[1:]
    for n in range(MAX_FILES_SHOWN + 1):
        app.attach(last.id, f"f-{n:03}")
    assert ids(page(store))[1] == [f"f-{n:03}" for n in range(MAX_FILES_SHOWN)]


@pytest.mark.parametrize(
    ("url", "is_shown"),
    [
        ("https://cdn.example/a.png", True),
        ("HTTP://cdn.example/a.png?x=ü#y", True),
        ("/files/a.png", True),
        ("/", True),
        ("//evil.example/a.png", False),
        ("/\\evil.example/a.png", False),
        ("javascript:alert(1)", False),
        ("JavaScript:alert(1)//https://x", False),
        ("data:text/html,x", False),
        ("files/a.png", False),
        (" https://cdn.example/a.png", False),
        ("https://cdn.example/a b", False),
        ("https://cdn.example/a\nb", False),
        ("https://", False),
        ("/a\n", False),
        ("/" + "a" * 2047, True),
        ("/" + "a" * 2048, False),
        ("/" + "ü" * 1024, False),
        ("", False),
        (None, False),
    ],
)
def test_address_that_a_browser_may_follow(url: str | None, is_shown: bool) -> None:
    found = shown(["f", url, "a.png", "image/png", 1, None, None, None])
    assert (found is not None and found.url == url) is is_shown
    found = shown(["f", "/a", "a.png", "image/png", 1, None, None, url])
    assert found is not None
    assert found.thumbnail_url == (url if is_shown else None)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (
            [7, "/a", None, None, None, 0, None, None],
            Attachment(id="7", name="a", type="application/octet-stream", size=0, url="/a"),
        ),
        (
            ["f", "/x/My%20scan.pdf?v=2", None, None, -5, None, None, None],
            Attachment(id="f", name="My scan.pdf", type="application/pdf", size=0, url="/x/My%20scan.pdf?v=2"),
        ),
        (
            ["f", "/a", "a.JPG", "IMAGE", 5, 3, 4, None],
            Attachment(id="f", name="a.JPG", type="image/jpeg", size=5, url="/a", width=3, height=4),
        ),
        (
            ["f", "/a", "a", "text/plain; charset=utf-8", 5, 3, 4, None],
            Attachment(id="f", name="a", type="text/plain; charset=utf-8", size=5, url="/a", width=3, height=4),
        ),
        (
            ["f", "https://x", None, "a\nb/c", 5, None, None, None],
            Attachment(id="f", name="file", type="application/octet-stream", size=5, url="https://x"),
        ),
        (
            ["f", "/a", "n" * 300, "t/" + "t" * 300, 5, None, None, None],
            Attachment(id="f", name="n" * 255, type="application/octet-stream", size=5, url="/a"),
        ),
        (
            ["f", "https://[x/a%00%0Ab.png#/y", "\0", None, 5, None, None, None],
            Attachment(id="f", name="ab.png", type="image/png", size=5, url="https://[x/a%00%0Ab.png#/y"),
        ),
        (["two words", "/a", "a", None, 5, None, None, None], None),
    ],
)
def test_files_row_with_gaps_is_completed(row: list[Any], expected: Attachment | None) -> None:
    assert shown(row) == expected


RENAMED = """
CREATE TABLE `chat_files` (
    `id` INTEGER NOT NULL AUTO_INCREMENT, `message_id` VARCHAR(191) NOT NULL, `link` TEXT NOT NULL,
    `original_name` VARCHAR(191) NULL, `file_name` VARCHAR(191) NULL, `type` ENUM('IMAGE', 'OTHER') NULL,
    `Size` BIGINT NULL, `width` VARCHAR(10) NULL, `deleted_at` DATETIME(3) NULL, PRIMARY KEY (`id`)
)
"""


def test_files_columns_by_other_names_are_found() -> None:
    """Some are usual, some are set; a column whose type doesn't fit is passed over."""
    names = {"Attachment": "chat_files", "Attachment.url": "link"}
    with prisma_app.app(*PLAIN, RENAMED) as app:
        people(app)
        app.conversation("c1", "ada", "bo")
        (first,) = app.say("c1", "ada", "an x-ray")
        add = (
            "INSERT INTO chat_files (message_id, link, original_name, file_name, type, Size) VALUES (%s,%s,%s,%s,%s,%s)"
        )
        app.run(add, first, "/a", "tooth.png", "4711", "IMAGE", 2**40)
        examined = adoption_of(app, names=names).examine()
        assert [f.text for f in examined.findings if f.table == "chat_files"] == [
            "column chatdTouched",
            "index on message_id",
            "index on chatdTouched",
            "messages are shown with its files: messageId is message_id, url is link, name is original_name, "
            "size is Size, deletedAt is deleted_at; nothing tells width, height, thumbnailUrl",
        ]
        assert "// To the model of the table chat_files:\n  chatdTouched DateTime? " in examined.fragment()
        assert '@@index([message_id], map: "chat_files_message_id_idx")' in examined.fragment()
        assert "ALTER TABLE `chat_files` ADD COLUMN `chatdTouched`" in examined.migration()
        adopt(app, names=names)
        assert adoption_of(app, names=names).examine().only("missing") == []
        with served(app, names=names) as store:
            assert page(store)[0].attachments == (
                Attachment(id="1", name="tooth.png", type="image/png", size=2**40, url="/a"),
            )
            app.run(add, first, "/b", None, None, "OTHER", None)
            ingest(store)
            assert ids(page(store)) == [["1", "2"]]
            app.run("UPDATE chat_files SET deleted_at = NOW(3) WHERE id = 1")
            ingest(store)
            assert ids(page(store)) == [["2"]]
            assert not store.scan(None).waiting


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("`url`", "`location`", "no column that could be its url (usual are url: url or fileUrl or href; "),
        ("`messageId` VARCHAR(191)", "`messageId` INTEGER", "no column that could be its messageId ("),
        ("PRIMARY KEY (`id`)", "PRIMARY KEY (`fileName`)", "id is no key of it"),
    ],
)
def test_table_that_cannot_be_used_is_left_alone(old: str, new: str, why: str) -> None:
    with prisma_app.app(*PLAIN, FILES[0].replace(old, new)) as app:
        people(app)
        app.conversation("c1", "ada", "bo")
        app.say("c1", "ada", "an x-ray")
        examined = adoption_of(app).examine()
        (finding,) = [f for f in examined.findings if f.table == "Attachment"]
        assert (finding.level, finding.text.startswith(f"messages are shown without files: {why}")) == ("note", True)
        assert "Attachment" not in examined.migration()
        adopt(app)
        with served(app) as store:
            assert ids(page(store)) == [[]]


def test_table_that_is_not_there_though_it_is_named(app: App) -> None:
    notes = adoption_of(app, names={"Attachment": "Files"}).examine().only("note")
    assert Finding("Files", "note", "messages are shown without files: there is no such table") in notes


def test_table_that_came_after_the_adoption() -> None:
    with prisma_app.app(*PLAIN) as app:
        people(app)
        app.conversation("c1", "ada", "bo")
        (first, _) = app.say("c1", "ada", "an x-ray", "another")
        adopt(app)
        for statement in FILES:
            app.run(statement)
        app.attach(first, "new")
        with served(app) as store:
            assert ids(page(store)) == [[], []]
            assert store.warnings[-1] == (
                "messages are shown without what is in the table Attachment, until `chatd db upgrade` has been run"
            )
        added = upgrade(mariadb.server().url(app.database), new_epoch=lambda: "e")
        assert added == ["column chatdTouched of Attachment", "index on chatdTouched of Attachment"]
        with served(app) as store:
            before = rev(store, "c1")
            ingest(store)
            assert (ids(page(store)), rev(store, "c1")) == ([["new"], []], before + 1), "who had it without hears of it"


def test_each_column_has_its_usual_names() -> None:
    assert {column.name for column in ATTACHMENT.columns} - {TOUCHED} == SPELLINGS.keys()
