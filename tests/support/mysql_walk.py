"""The random walk of `support.walk`, on MySQL, with a look at what the app beside it reads."""

from pathlib import Path
from typing import Any

from hypothesis.stateful import invariant, rule

from storage.mysql.store import MysqlStore
from storage.records import status_of

from . import mariadb
from .model import Chat
from .shaped_ids import ShapedIds, ShapedStore
from .stores import done_with, mysql
from .walk import Stores

RANKS = ("sent", "delivered", "read")


class MysqlStores(Stores):
    sqlite: Any  # in the place of the other one

    def __init__(self) -> None:
        mariadb.server()  # where there is none this ends here, and nothing is left lying about
        super().__init__()
        self.best: dict[str, int] = {}  # message -> rank of the best status that it had

    def open(self) -> Any:
        return mysql(Path(self.folder.name))

    def teardown(self) -> None:
        super().teardown()
        self.give_back()

    def give_back(self) -> None:
        """Let another walk have the database."""
        done_with(Path(self.folder.name))

    @property
    def store(self) -> MysqlStore:
        """The store itself, where a shape stands before it."""
        found = self.sqlite.store if isinstance(self.sqlite, ShapedStore) else self.sqlite
        assert isinstance(found, MysqlStore)
        return found

    @rule()
    def fail_and_repair(self) -> None:
        """As if it had been lost in COMMIT."""
        store = self.store
        generation = store.generation
        writer = store._require_writer()
        store._doubt, store._unsettled = writer.name, True
        store._drop()
        store.repair()
        assert store.generation == generation + 1

    @invariant()
    def the_view_counts_as_the_model_does(self) -> None:
        chats = self.model.chats.values()
        ids = self.sqlite.ids if isinstance(self.sqlite, ShapedStore) else ShapedIds()
        with self.store._pool.reading() as db:
            rows = db.run(
                'SELECT "conversationId", "userId", "unreadCount", "chatdUnread" FROM "ConversationParticipant" '
                'WHERE "leftAt" IS NULL'
            )
            counts = {(ids.outward(c), ids.outward(user)): (theirs, ours) for c, user, theirs, ours in rows}
            rows = db.run('SELECT "id", "status" FROM "Message"')
            statuses = {ids.outward(id): RANKS.index(status.lower()) for id, status in rows}
        assert counts == {(c.id, user): (c.unread(user),) * 2 for c in chats for user in c.people if c.here(user)}
        for chat in chats:
            self.check_statuses(chat, statuses)

    def check_statuses(self, chat: Chat, statuses: dict[str, int]) -> None:
        """The app's never go back. A newcomer alone makes none better there."""
        everyone = [chat.participant(user) for user in chat.people]
        for message in chat.log:
            if message.sender is not None:
                now = RANKS.index(status_of(message, everyone))
                best = self.best[message.id] = max(now, self.best.get(message.id, 0))
                assert statuses[message.id] <= best
                if chat.row().kind == "direct":
                    assert statuses[message.id] == best
