"""A daemon that takes files, with a patient and a dentist who have a conversation."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs

from chatd import testing
from chatd.config import Config, Storage
from chatd.config import Server as ServerSettings
from chatd.testing import Server
from storage.changes import PutUser
from storage.memory import MemoryStore

from . import pictures
from .served import Answer, calling

SITE = "https://www.clinic.example"
PDF = pictures.pdf()
BOUNDARY = "----form"
FORM = f"multipart/form-data; boundary={BOUNDARY}"


def form(
    data: bytes, name: str = "report.pdf", *, field: str = "file", before: bytes = b"", end: bytes = b"--"
) -> bytes:
    """A form with one file, and perhaps parts before it."""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{field}"; filename="{name}"\r\n'
    typed = "Content-Type: image/png\r\n\r\n"  # which nobody believes
    return before + (head + typed).encode() + data + f"\r\n--{BOUNDARY}".encode() + end + b"\r\n"


@attrs.frozen
class Clinic:
    """A daemon whose pat-1 and den-1 have a conversation; pat-2 and staff are in none."""

    server: Server
    conversation: str
    folder: Path

    async def ask(self, user: str | None, method: str, target: str, data: bytes = b"", /, **headers: str) -> Answer:
        if user is not None:
            headers.setdefault("Authorization", f"Bearer {self.server.token(user)}")
        async with calling(self.server, ("192.0.2.1", 5000)) as client:
            return await client.ask(method, target, data, **headers)

    async def upload(self, user: str, data: bytes, name: str = "report.pdf", **more: Any) -> Answer:
        return await self.ask(user, "POST", "/v1/attachments", form(data, name, **more), Content_Type=FORM)

    async def uploaded(self, user: str = "pat-1", data: bytes = PDF, name: str = "report.pdf") -> dict[str, Any]:
        answer = await self.upload(user, data, name)
        assert answer.status == 201, answer.body
        return fields(answer)

    async def request(self, user: str, type: str, **given: Any) -> Answer:
        plain = {name.removesuffix("_"): value for name, value in given.items()}
        body = json.dumps({"type": type, "conversation": self.conversation, **plain}).encode()
        return await self.ask(user, "POST", "/v1/requests", body, Content_Type="application/json")

    async def sent(self, user: str, *ids: str, client_id: str = "k") -> dict[str, Any]:
        """The message with these files."""
        answer = await self.request(user, "message.send", client_id=client_id, body="", attachments=list(ids))
        assert answer.status == 200, answer.body
        message: dict[str, Any] = fields(answer)["messages"][0]
        return message

    async def status(self, user: str | None, target: str, **headers: str) -> int:
        return (await self.ask(user, "GET", target, **headers)).status

    def left(self) -> int:
        """Files on disk, whatever they are."""
        return sum(path.is_file() and path.name != "lock" for path in self.folder.rglob("*"))


def fields(answer: Answer) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(answer.body)
    return found


@asynccontextmanager
async def clinic(folder: Path, **settings: Any) -> AsyncIterator[Clinic]:
    given = {"server": ServerSettings(allowed_origins=(SITE,)), **settings}
    config = Config(storage=Storage(files=str(folder / "files")), **given)
    store = MemoryStore(epoch="e")
    async with testing.daemon(development=False, store=store, config=config) as server:
        people = {"pat-1": "patient", "pat-2": "patient", "den-1": "dentist", "staff": "staff"}
        store.commit([PutUser(id, id.title(), role, 1) for id, role in people.items()])
        made = Clinic(server, "", folder)
        opened = fields(await made.request("pat-1", "conversation.open", with_="den-1"))
        yield attrs.evolve(made, conversation=opened["conversation"])
