"""Files of messages that chatd keeps: their rows as messages show them, and who may have them."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from storage.keyed import KeptFile
from storage.records import Attachment, Message
from storage.value import copy_with

ATTACHMENTS_PATH = "/v1/attachments/"
"""Path of a file on chatd's own site, followed by its id."""


def attachment_of(file: KeptFile) -> Attachment:
    """Return a file as its message shows it."""
    return Attachment(
        id=file.id,
        name=file.name,
        type=file.type,
        size=file.size,
        url=ATTACHMENTS_PATH + file.id,
        width=file.width,
        height=file.height,
        thumbnail_url=f"{ATTACHMENTS_PATH}{file.id}/thumbnail" if file.thumbnail is not None else None,
    )


def described(file: KeptFile, site: str) -> dict[str, object]:
    """Return a file as an app's tables name what it has; `site`: chatd's own address, without a path."""
    url = f"{site}{ATTACHMENTS_PATH}{file.id}"
    return {
        "id": file.id,
        "url": url,
        "name": file.name,
        "type": file.type,
        "size": file.size,
        "width": file.width,
        "height": file.height,
        "thumbnailUrl": f"{url}/thumbnail" if file.thumbnail is not None else None,
    }


def may_have_files(messages: Iterable[Message]) -> list[str]:
    """Return the ids of the messages that may have files."""
    return [message.id for message in messages if message.deleted_at is None and message.kind == "text"]


def add_files(messages: Sequence[Message], files: Iterable[KeptFile]) -> list[Message]:
    """Return the messages with their files, in the order in which they were sent, before files from elsewhere."""
    found: defaultdict[str | None, list[Attachment]] = defaultdict(list)
    for file in sorted(files, key=lambda file: file.place):
        found[file.message].append(attachment_of(file))
    return [copy_with(m, attachments=(*found[m.id], *m.attachments)) if m.id in found else m for m in messages]


def waits_for(file: KeptFile, user: str, at: int) -> bool:
    """Return True if the user may still send the file: nobody else may, and no message has it."""
    return file.message is None and file.user == user and file.expires_at is not None and file.expires_at > at
