"""Apps' tables in other shapes than chatd's own: adopted and served as they are."""

import pytest

from support import prisma_app, shapes
from support.beside import ingest
from support.prisma_app import adopt, changed, fill, history, served
from support.stores import Desk


def test_times_without_parts_of_a_second_are_told_as_they_will_be_read() -> None:
    with prisma_app.app(*shapes.coarse()) as app:
        app.users("ada", "bo", "eve")
        fill(app)
        adopt(app)
        with served(app) as store:
            desk = Desk(store)
            desk.now = app.now + 777
            (told,) = desk.say("c4", "bo", "one")
            desk.changed(desk.edit("c4", "bo", told.seq, "two"))
            page = store.history("c4", "ada", before=None, after=told.seq - 1, limit=10)
            assert page is not None
            assert page.messages[0].sent_at == told.sent_at == desk.now // 1000 * 1000
            app.say("c4", "ada", "three")
            ingest(store, None)
            assert history(store, "c4", "ada")[-2:] == ["two", "three"]


@pytest.mark.parametrize("kind", ["MEDIUMINT UNSIGNED", "INTEGER UNSIGNED", "BIGINT UNSIGNED", "BIGINT"])
def test_count_of_unread_in_any_whole_type_is_adopted(kind: str) -> None:
    with prisma_app.app(*changed("ConversationParticipant", "`unreadCount` INTEGER", f"`unreadCount` {kind}")) as app:
        app.users("ada", "bo", "eve")
        fill(app)
        adopt(app)
        with served(app) as store:
            found = store.summary("c4", "ada")
            assert found is not None
            assert found[0].membership.unread == 2
            desk = Desk(store)
            desk.now = app.now
            desk.say("c4", "bo", "one")
            desk.changed(desk.receipt("c4", "ada", read=9))
            assert history(store, "c4", "ada")[-1] == "one"
        assert app.run("SELECT unreadCount FROM ConversationParticipant WHERE conversationId = 'c4' "
                       "AND userId = 'ada'") == [(0,)]  # fmt: skip
