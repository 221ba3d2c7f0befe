"""Files that are sent through chatd, in the table of an app that keeps files of its own."""

from collections.abc import Iterator

import pytest

from storage.mysql.app_files import Sites
from storage.mysql.store import MysqlStore
from support import prisma_app
from support.prisma_app import App, adopt, served
from support.stores import Desk

SITES = Sites(app="https://www.example.org", own="https://chat.example.org", write_files=True)
OURS = "https://chat.example.org/v1/attachments/f1"


@pytest.fixture
def app() -> Iterator[App]:
    with prisma_app.with_files() as found:
        yield found


def desk_of(app: App, store: MysqlStore) -> Desk:
    desk = Desk(store, first=100)
    desk.now = app.now
    desk.upload("ada", "f1", width=640, height=480, thumbnail="small", thumbnail_type="image/jpeg")
    return desk


def written(app: App) -> list[tuple[object, ...]]:
    return list(app.run("SELECT id, messageId, fileName, mimeType, fileSize, url, width, thumbnailUrl FROM Attachment"))


def urls(store: MysqlStore) -> list[list[str]]:
    page = store.history("c1", "bo", before=None, after=0, limit=10)
    assert page is not None
    return [[file.url for file in message.attachments] for message in page.messages]


def test_file_is_in_the_app_s_table_and_shown_once(app: App) -> None:
    adopt(app)
    with served(app, sites=SITES) as store:
        assert not [warning for warning in store.warnings if "written" in warning]
        desk = desk_of(app, store)
        (message,) = desk.changed(desk.send("c1", "ada", "", attachments=["f1"])).messages
        assert written(app) == [("f1", message.id, "f1.jpg", "image/jpeg", 7, OURS, 640, f"{OURS}/thumbnail")]
        app.attach(message.id, "theirs")
        assert urls(store) == [["/v1/attachments/f1", "https://www.example.org/files/theirs.png"]]


def test_deletion_takes_the_app_s_row_of_our_file_alone(app: App) -> None:
    adopt(app)
    with served(app, sites=SITES) as store:
        desk = desk_of(app, store)
        (message,) = desk.changed(desk.send("c1", "ada", "", attachments=["f1"])).messages
        app.attach(message.id, "theirs")
        desk.changed(desk.delete("c1", "ada", message.seq))
        assert [row[0] for row in written(app)] == ["theirs"]


def test_relative_addresses_of_the_app_become_whole(app: App) -> None:
    (first,) = app.say("c1", "ada", "an x-ray")
    app.attach(first, "old", thumbnailUrl="/thumbs/old.png")
    app.attach(first, "older", url="https://cdn.example/x.png")
    adopt(app)
    with served(app, sites=SITES) as store:
        page = store.history("c1", "bo", before=None, after=0, limit=10)
        assert page is not None
        old, older = page.messages[0].attachments
        assert (old.url, old.thumbnail_url) == (
            "https://www.example.org/files/old.png",
            "https://www.example.org/thumbs/old.png",
        )
        assert older.url == "https://cdn.example/x.png"


@pytest.mark.parametrize(
    ("sites", "more", "why"),
    [
        (Sites(write_files=True), "", "server.public_url"),
        (SITES, "ALTER TABLE Attachment ADD COLUMN bucket VARCHAR(20) NOT NULL", "bucket"),
        (SITES, "DROP TABLE Attachment", "none of use"),
    ],
)
def test_table_that_cannot_be_written_is_told_and_left_alone(app: App, sites: Sites, more: str, why: str) -> None:
    if more:
        app.run(more)
    adopt(app)
    with served(app, sites=sites) as store:
        assert [why in warning for warning in store.warnings if "not written" in warning] == [True]
        desk = desk_of(app, store)
        desk.changed(desk.send("c1", "ada", "", attachments=["f1"]))
        if "DROP" not in more:
            assert written(app) == []


def test_required_column_is_filled_by_a_constant(app: App) -> None:
    app.run("ALTER TABLE Attachment ADD COLUMN bucket VARCHAR(20) NOT NULL")
    adopt(app)
    with served(app, sites=SITES, constants={"Attachment.bucket": "chat"}) as store:
        desk = desk_of(app, store)
        desk.changed(desk.send("c1", "ada", "", attachments=["f1"]))
        assert list(app.run("SELECT bucket FROM Attachment")) == [("chat",)]


def test_number_that_the_server_counts_is_left_to_it(app: App) -> None:
    app.run("ALTER TABLE Attachment DROP PRIMARY KEY, DROP COLUMN id")
    app.run("ALTER TABLE Attachment ADD COLUMN id INT NOT NULL AUTO_INCREMENT PRIMARY KEY")
    adopt(app)
    with served(app, sites=SITES) as store:
        desk = desk_of(app, store)
        desk.changed(desk.send("c1", "ada", "", attachments=["f1"]))
        assert [row[0] for row in written(app)] == [1]
        assert urls(store) == [["/v1/attachments/f1"]]
