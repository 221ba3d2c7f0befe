"""Messages: sent once, then edited, deleted, reacted to. System messages stay as they are."""

import attrs

from storage.changes import (
    Changed,
    DeleteMessage,
    EditMessage,
    MessageChange,
    React,
    Refused,
    SendMessage,
    Unchanged,
    make_changed,
)
from storage.emoji import qualified
from storage.files import attachment_of, waits_for
from storage.records import Attachment, Conversation, Message, Participant, Reaction, make_message

from .rule import Keys, Rule, Rules
from .unit import NOT_FOUND, Answer, Unit, brought_back, moved_on, time_after, with_everyone, with_message

MAX_EMOJIS = 20
"""Most different emojis on one message."""


def send(unit: Unit, change: SendMessage) -> Answer:
    """Add a message, unless one has this `client_id` already."""
    before = unit.conversations.get(change.conversation)
    rows = unit.participants.get(change.conversation)
    sender = rows.get(change.user) if rows is not None else None
    if before is None or rows is None or sender is None or sender.left_at is not None:
        return NOT_FOUND, ()
    known = unit.sent.get((change.user, change.client_id))
    if known is not None:
        if known.conversation != change.conversation:
            return Refused("conflict", "this client_id was used in another conversation"), ()
        return Unchanged(room=before, messages=(known,), duplicate=True), ()
    if change.reply_to is not None and not 1 <= change.reply_to <= before.last_seq:
        return Refused("bad_request", "`reply_to`: there is no such message in this conversation"), ()
    at = change.at
    files: tuple[Attachment, ...] = ()
    if change.attachments:
        waiting = {id for id in change.attachments if id in unit.files and waits_for(unit.files[id], change.user, at)}
        if len(waiting) < len(change.attachments):
            return _NO_FILE, ()
        files = _take_files(unit, change)
    at = time_after(before, at)
    after = with_message(before, at, unit.activity(change.at))
    message = make_message(
        conversation=after.id,
        seq=after.last_seq,
        rev=after.rev,
        id=change.message,
        sender=change.user,
        client_id=change.client_id,
        kind="text",
        body=change.body,
        reply_to=change.reply_to,
        data=None,
        sent_at=at,
        attachments=files,
    )
    unit.put_conversation(after)
    unit.add_message(message)
    away = unit.away(change.conversation)
    if not away:  # the hot path
        return make_changed(room=after, from_rev=before.rev, rev=after.rev, messages=(message,)), ()
    back: list[Participant] = []
    moved: list[Participant] = []
    for row in away:
        if row.user == change.user:
            continue
        if row.left_at is not None:
            if before.kind == "direct":
                back.append(brought_back(unit, row, before, after, at))
        else:
            row = attrs.evolve(row, archived=False)
            unit.put_participant(row)
            moved.append(row)
    if not back:
        return Changed(room=after, from_rev=before.rev, rev=after.rev, messages=(message,)), moved
    return with_everyone(unit, after, before.rev, messages=(message,), entered=back), moved + back


def _take_files(unit: Unit, change: SendMessage) -> tuple[Attachment, ...]:
    """Give the files to the message; nobody can send them again, and they don't expire."""
    for place, id in enumerate(change.attachments):
        unit.files[id] = attrs.evolve(
            unit.files[id], conversation=change.conversation, message=change.message, place=place, expires_at=None
        )
        unit.sent_files[id] = None
    return tuple(attachment_of(unit.files[id]) for id in change.attachments)


def edit(unit: Unit, change: EditMessage) -> Answer:
    """Edit a text: its sender alone may, and for a while only."""
    found = _text(unit, change)
    if isinstance(found, Refused):
        return found, ()
    before, message = found
    if message.sender != change.user:
        return Refused("forbidden", "only its sender may edit a message"), ()
    if message.deleted_at is not None:
        return _DELETED, ()
    if _too_late(message, change.since):
        return Refused("forbidden", "it is too late to edit this message"), ()
    if message.body == change.body:
        return Unchanged(room=before, messages=(message,)), ()
    after = moved_on(before)
    edited = attrs.evolve(message, rev=after.rev, body=change.body, edited_at=change.at)
    unit.put_conversation(after)
    unit.retext(message, edited, change.at)
    return Changed(room=after, from_rev=before.rev, rev=after.rev, messages=(edited,)), ()


def delete(unit: Unit, change: DeleteMessage) -> Answer:
    """Leave a tombstone, which counts as unread for nobody."""
    found = _text(unit, change)
    if isinstance(found, Refused):
        return found, ()
    before, message = found
    as_sender = message.sender == change.user and "sender" in change.by
    if not as_sender and "participant" not in change.by:
        return Refused("forbidden", "only its sender may delete a message"), ()
    if message.deleted_at is not None:
        return Unchanged(room=before, messages=(message,)), ()
    if "participant" not in change.by and _too_late(message, change.since):
        return Refused("forbidden", "it is too late to delete this message"), ()
    after = moved_on(before)
    tombstone = attrs.evolve(message, rev=after.rev, body="", reactions=(), attachments=(), deleted_at=change.at)
    unit.put_conversation(after)
    unit.retext(message, tombstone, change.at)
    unit.dropped_files += [file.id for file in message.attachments]
    moved = [
        row
        for row in unit.participants[after.id].values()
        if row.present and row.read_seq < message.seq and row.user != message.sender
    ]
    return Changed(room=after, from_rev=before.rev, rev=after.rev, messages=(tombstone,)), moved


def react(unit: Unit, change: React) -> Answer:
    """Turn the user's emoji on or off, in whichever form it is given."""
    found = _text(unit, change)
    if isinstance(found, Refused):
        return found, ()
    before, message = found
    if message.deleted_at is not None:
        return _DELETED, ()
    emoji = qualified(change.emoji)
    chosen = {reaction.emoji: reaction.users for reaction in message.reactions}
    users = chosen.get(emoji, ())
    if change.on == (change.user in users):
        return Unchanged(room=before, messages=(message,)), ()
    if change.on:
        if emoji not in chosen and len(chosen) == MAX_EMOJIS:
            return Refused("bad_request", f"`emoji`: a message has at most {MAX_EMOJIS} different ones"), ()
        chosen[emoji] = (*users, change.user)
    else:
        chosen[emoji] = tuple(user for user in users if user != change.user)
    reactions = tuple(Reaction(emoji, users) for emoji, users in chosen.items() if users)
    after = moved_on(before)
    unit.put_conversation(after)
    reacted = attrs.evolve(message, rev=after.rev, reactions=reactions)
    unit.change_message(reacted)
    return Changed(room=after, from_rev=before.rev, rev=after.rev, messages=(reacted,)), ()


_DELETED = Refused("conflict", "this message was deleted")
_NO_FILE = Refused("not_found", "no such attachment", "attachment")


def _text(unit: Unit, change: MessageChange) -> tuple[Conversation, Message] | Refused:
    """Return the conversation and the message, where it has a sender and the user may see it."""
    room = unit.conversations.get(change.conversation)
    if room is None or unit.present(change.conversation, change.user) is None:
        return NOT_FOUND
    message = unit.message(change.conversation, change.seq)
    if message is None:
        return Refused("not_found", "no such message", "message")
    if message.sender is None:
        return Refused("forbidden", "what the system said stays as it is")
    return room, message


def _too_late(message: Message, since: int | None) -> bool:
    return since is not None and message.sent_at < since


def _keys_to_send(keys: Keys, change: SendMessage) -> None:
    keys.conversations.add(change.conversation)
    keys.sent.add((change.user, change.client_id))
    if change.attachments:
        keys.files.update(change.attachments)


def _keys_to_change(keys: Keys, change: MessageChange) -> None:
    keys.conversations.add(change.conversation)
    keys.messages.add((change.conversation, change.seq))


RULES: Rules = {
    SendMessage: Rule(_keys_to_send, send),
    EditMessage: Rule(_keys_to_change, edit),
    DeleteMessage: Rule(_keys_to_change, delete),
    React: Rule(_keys_to_change, react),
}
