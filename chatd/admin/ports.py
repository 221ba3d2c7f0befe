"""The ports of verbs: the daemon that runs, or a store that the command opened itself."""

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import attrs
import trio
import uuid_utils

from chatd.auth.secret import BadSecret, ensure
from chatd.auth.tokens import Tokens
from chatd.commands.parts import Parts
from chatd.config import Config
from chatd.core.accounts import AccountChange
from chatd.core.registry import Registry
from storage.changes import Outcome
from storage.contract import Store

from .verbs import VerbFailed

T = TypeVar("T")


@attrs.frozen
class LivePort:
    """Over the daemon's gate: what is changed reaches the connections that live."""

    parts: Parts
    issuer: Tokens | None  # None in development mode

    @property
    def store(self) -> Store:
        return self.parts.store

    @property
    def registry(self) -> Registry:
        return self.parts.registry

    async def commit(self, changes: Sequence[AccountChange]) -> list[Outcome]:
        return await self.parts.accounts.commit(changes)

    async def read(self, work: Callable[[], T]) -> T:
        return await self.parts.gate.read(work)

    def tokens(self) -> Tokens:
        if self.issuer is None:
            raise VerbFailed("the daemon runs in development mode, where nobody needs a token: start it without --dev")
        return self.issuer

    def now(self) -> int:
        return self.parts.now()

    def new_id(self) -> str:
        return self.parts.new_id()


@attrs.frozen
class DirectPort:
    """Over a store that nobody else has open."""

    store: Store
    config: Config

    async def commit(self, changes: Sequence[AccountChange]) -> list[Outcome]:
        await trio.lowlevel.checkpoint()
        return self.store.commit(changes)

    async def read(self, work: Callable[[], T]) -> T:
        await trio.lowlevel.checkpoint()
        return work()

    def tokens(self) -> Tokens:
        if self.store.development:
            raise VerbFailed("this store was made in development mode, where nobody needs a token: use another --data")
        try:
            return Tokens(ensure(self.config)[0])
        except BadSecret as error:
            raise VerbFailed(str(error)) from None

    def now(self) -> int:
        return time.time_ns() // 1_000_000

    def new_id(self) -> str:
        return str(uuid_utils.uuid7())
