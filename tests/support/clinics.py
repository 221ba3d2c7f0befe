"""A daemon outside development mode whose people have passwords, and a client of its HTTP."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
from argon2 import PasswordHasher

from chatd import testing
from chatd.auth import opaque
from chatd.config import Auth, Config
from chatd.config import Server as ServerSettings
from chatd.testing import Server
from storage.changes import PutRow, PutUser
from storage.keyed import ApiKey, Password
from storage.memory import MemoryStore

from .served import Answer, calling

SITE = "https://www.clinic.example"
ADDRESS = "192.0.2.1"
PASSWORD = "three plain words"
QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
PEOPLE = {"pat-1": "patient", "pat-2": "patient", "den-1": "dentist", "staff-1": "staff", "admin-1": "admin"}
API_KEY = "ck_an-apps-own-key-for-tests"


@attrs.frozen
class Clinic:
    """A daemon, asked over HTTP from `ADDRESS`."""

    server: Server

    async def ask(
        self, method: str, target: str, body: Any = None, *, origin: str | None = SITE, **more: str
    ) -> Answer:
        """Ask with a JSON body, as a page of `origin`."""
        headers = {"Origin": origin, **more} if origin is not None else dict(more)
        data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        if body is not None:
            headers.setdefault("Content_Type", "application/json")
        async with calling(self.server, (ADDRESS, 5000)) as client:
            return await client.ask(method, target, data, **headers)

    async def sign_in(self, user: str, password: str = PASSWORD) -> str:
        """Sign in by a password: the secret in the cookie."""
        answer = await self.ask("POST", "/v1/sign-in", {"user": user, "password": password})
        assert answer.status == 200, answer.body
        return cookie_of(answer)

    async def as_session(
        self, secret: str, method: str, target: str, body: Any = None, *, origin: str | None = SITE, **more: str
    ) -> Answer:
        """The same, with the cookie of a session."""
        return await self.ask(method, target, body, origin=origin, Cookie=f"chatd_session={secret}", **more)

    async def connect(self, secret: str, *, origin: str = SITE) -> testing.TestClient:
        """A WebSocket connection that a page makes, with the cookie of a session; `hello` is still to be said."""
        return await self.server.connect(headers={"Origin": origin, "Cookie": f"chatd_session={secret}"})


def cookie_of(answer: Answer) -> str:
    """The secret that an answer sets as the cookie."""
    name, _, value = answer.headers["set-cookie"].partition(";")[0].partition("=")
    assert name == "chatd_session"
    return value


@asynccontextmanager
async def clinic(store: Any = None, **settings: Any) -> AsyncIterator[Clinic]:
    """Everybody's password is `PASSWORD`, but pat-2 has none."""
    config = Config(server=ServerSettings(allowed_origins=(SITE,)), **{"auth": Auth(), **settings})
    store = store or MemoryStore(epoch="e")
    async with testing.daemon(development=False, store=store, config=config) as server:
        server.daemon.keepers.passwords._hasher = QUICK
        store.commit([PutUser(id, id.title(), role, 1) for id, role in PEOPLE.items()])
        hashed = {user: QUICK.hash(PASSWORD) for user in PEOPLE if user != "pat-2"}
        store.commit([PutRow(row=Password(user=user, hash=hash, changed_at=1)) for user, hash in hashed.items()])
        key = ApiKey(hash=opaque.hash_of(API_KEY), id="key-1", name="app", max_role="dentist", created_at=1)
        store.commit([PutRow(row=key)])
        yield Clinic(server)
