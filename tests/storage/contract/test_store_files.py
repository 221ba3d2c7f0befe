"""Files of messages, on every store: sent once by who uploaded them, shown wherever the message is, gone with it."""

import pytest

from storage.changes import Changed, ForgetRows, Refused
from storage.files import attachment_of
from storage.keyed import KEPT_FILE
from storage.records import Attachment, Message
from support.stores import STAFF, Desk

PHOTO = Attachment(
    id="f1",
    name="f1.jpg",
    type="image/jpeg",
    size=7,
    url="/v1/attachments/f1",
    width=640,
    height=480,
    thumbnail_url="/v1/attachments/f1/thumbnail",
)
LATER = 10_000
"""A time at which every upload of a test is late."""


def sent(desk: Desk, conversation: str, *ids: str, body: str = "", user: str = "pat-1") -> Message:
    (message,) = desk.changed(desk.send(conversation, user, body, attachments=ids)).messages
    return message


def missing(desk: Desk, conversation: str, *ids: str, user: str = "pat-1") -> bool:
    """Whether the files are refused, and the conversation stays as it was."""
    before = desk.store.room(conversation)
    outcome = desk.refused(desk.send(conversation, user, attachments=ids))
    assert outcome == Refused("not_found", "no such attachment", "attachment")
    return desk.store.room(conversation) == before


def test_files_are_shown_wherever_their_message_is(desk: Desk) -> None:
    store, chat = desk.store, desk.chat("pat-1", "den-1")
    photo = desk.upload("pat-1", "f1", width=640, height=480, thumbnail="hash of small", thumbnail_type="image/jpeg")
    report = desk.upload("pat-1", "f2")
    assert attachment_of(photo) == PHOTO
    shown = (attachment_of(report), PHOTO)
    message = sent(desk, chat, "f2", "f1", body="molar")
    assert message.attachments == shown
    desk.say(chat, "den-1", "thanks")
    page = store.history(chat, "den-1", before=None, after=None, limit=10)
    since = store.since(chat, "den-1", 1, limit=10)
    hits = store.search("den-1", ["molar"], conversation=None, before=None, limit=10)
    assert page is not None
    assert since is not None
    assert hits is not None
    for messages in (page.messages, since.messages, [hit.message for hit in hits.hits]):
        assert messages[0].attachments == shown
        assert all(not other.attachments for other in messages[1:])
    edited = desk.changed(desk.edit(chat, "pat-1", message.seq, "lower left"))
    assert edited.messages[0].attachments == shown
    reacted = desk.changed(desk.react(chat, "den-1", message.seq))
    assert reacted.messages[0].attachments == shown


def test_summary_of_a_photo_without_text_shows_it(desk: Desk) -> None:
    chat = desk.chat("pat-1", "den-1")
    desk.upload("pat-1", "f1")
    message = sent(desk, chat, "f1")
    assert (message.body, message.attachments[0].thumbnail_url) == ("", None)
    found = desk.store.summary(chat, "den-1")
    assert found is not None
    assert found[0].last_message == message
    page = desk.store.summaries("den-1", archived=False, after=None, limit=5)
    assert page.summaries[0].last_message == message


def test_send_of_the_same_client_id_again_is_answered_with_its_files(desk: Desk) -> None:
    chat = desk.chat("pat-1", "den-1")
    desk.upload("pat-1", "f1")
    first = desk.changed(desk.send(chat, "pat-1", "", client_id="k", attachments=["f1"]))
    again = desk.unchanged(desk.send(chat, "pat-1", "", client_id="k", attachments=["f1"]))
    assert again.duplicate
    assert again.messages == first.messages
    other = desk.unchanged(desk.send(chat, "pat-1", "", client_id="k", attachments=["nothing"]))
    assert other.messages == first.messages


@pytest.mark.parametrize(
    "ids",
    [["unknown"], ["den's"], ["used"], ["late"], ["f1", "unknown"], ["f1", "f1"]],
    ids=["unknown", "foreign", "used", "late", "one of two", "twice"],
)
def test_file_that_may_not_be_sent_is_not_found(desk: Desk, ids: list[str]) -> None:
    chat = desk.chat("pat-1", "den-1")
    desk.upload("den-1", "den's")
    desk.upload("pat-1", "used")
    sent(desk, chat, "used")
    desk.upload("pat-1", "late", expires_at=desk.now + 1)
    desk.upload("pat-1", "f1")
    assert missing(desk, chat, *ids)
    sent(desk, chat, "f1")


def test_file_sent_twice_in_one_batch_belongs_to_the_first(desk: Desk) -> None:
    chat = desk.chat("pat-1", "den-1")
    desk.upload("pat-1", "f1")
    first, second = desk.do(desk.send(chat, "pat-1", attachments=["f1"]), desk.send(chat, "pat-1", attachments=["f1"]))
    assert isinstance(first, Changed)
    assert isinstance(second, Refused)


def test_file_of_a_message_never_expires(desk: Desk) -> None:
    chat = desk.chat("pat-1", "den-1")
    desk.upload("pat-1", "f1")
    desk.upload("pat-1", "f2")
    sent(desk, chat, "f1")
    desk.do(ForgetRows(kind=KEPT_FILE, before=LATER))
    assert desk.store.file("f1", "den-1", LATER) is not None
    assert desk.store.row(KEPT_FILE, "f2") is None


def test_deletion_of_a_message_takes_its_files(desk: Desk) -> None:
    store, chat = desk.store, desk.chat("pat-1", "den-1")
    for id in ("f1", "f2", "f3"):
        desk.upload("pat-1", id)
    gone, kept = sent(desk, chat, "f1", "f2"), sent(desk, chat, "f3")
    tombstone = desk.changed(desk.delete(chat, "den-1", gone.seq, by=STAFF)).messages[0]
    assert tombstone.attachments == ()
    assert [store.file(id, "pat-1", desk.now) for id in ("f1", "f2")] == [None, None]
    assert store.file("f3", "den-1", desk.now) is not None
    assert missing(desk, chat, "f1")
    page = store.history(chat, "pat-1", before=None, after=None, limit=10)
    assert page is not None
    assert [m.attachments for m in page.messages] == [(), kept.attachments]


def test_deletion_in_the_batch_of_the_send_takes_the_file(desk: Desk) -> None:
    chat = desk.chat("pat-1", "den-1")
    desk.upload("pat-1", "f1")
    desk.do(desk.send(chat, "pat-1", attachments=["f1"]), desk.delete(chat, "pat-1", 1))
    assert desk.store.file("f1", "pat-1", desk.now) is None
    assert desk.store.row(KEPT_FILE, "f1") is None


def test_file_is_for_its_uploader_then_for_participants(desk: Desk) -> None:
    store, chat = desk.store, desk.chat("pat-1", "den-1")
    desk.people("den-2")
    file = desk.upload("pat-1", "f1")

    def who() -> list[str]:
        return [user for user in ("pat-1", "den-1", "den-2", "nobody") if store.file("f1", user, desk.now)]

    assert store.file("f1", "pat-1", desk.now) == file
    assert store.file("f1", "pat-1", LATER) is None
    assert store.file("f2", "pat-1", desk.now) is None
    assert who() == ["pat-1"]
    sent(desk, chat, "f1")
    assert who() == ["pat-1", "den-1"]
    desk.do(desk.leave(chat, "den-1"))
    assert who() == ["pat-1"]
    desk.do(desk.leave(chat, "pat-1"))
    assert who() == []
