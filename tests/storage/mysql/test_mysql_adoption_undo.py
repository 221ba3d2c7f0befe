"""An adoption that somebody else ran by hand, and one that is taken back."""

from collections.abc import Iterator

import pytest

from storage.contract import StoreError
from support import prisma_app
from support.prisma_app import PLAIN, RENAMED, USER, App, adopt, adoption_of, changed, fill, layout, served
from support.stores import Desk


@pytest.fixture
def app() -> Iterator[App]:
    with prisma_app.with_people() as found:
        fill(found)
        yield found


def run(app: App, script: str) -> None:
    statements = "\n".join(line for line in script.splitlines() if not line.startswith("--")).split(";\n")
    for statement in filter(str.strip, statements):
        app.cursor.execute(statement)


def test_migration_that_somebody_else_ran_is_known_for_the_fragment(app: App) -> None:
    before = adoption_of(app).examine()
    run(app, before.migration())
    after = adoption_of(app).examine()
    assert after.steps == ()
    assert (after.fragment(), after.migration()) == (before.fragment(), before.migration())
    assert "chatdTouched" in after.fragment()
    adopt(app)
    assert adoption_of(app).examine().fragment() == before.fragment()


@pytest.mark.parametrize("tables", [PLAIN, changed("Message", "`content` TEXT", "`content` VARCHAR(191)")])
def test_undo_leaves_the_tables_as_they_were(tables: tuple[str, ...]) -> None:
    with prisma_app.app(*tables) as app:
        prisma_app.people(app)
        fill(app)
        before = [row for row in layout(app) if "content" not in row]
        with pytest.raises(StoreError, match="nothing of chatd's is in it"):
            adoption_of(app).examine().undo()
        adoption_of(app).apply(new_epoch=lambda: "e", widen=True)
        with served(app) as store:
            desk = Desk(store, first=900)
            desk.now = app.now
            desk.say("c1", "ada", "something new")
        run(app, adoption_of(app).examine().undo())
        assert [row for row in layout(app) if "content" not in row] == before
        assert app.run("SELECT COUNT(*) FROM Message WHERE content = 'something new'") == [(1,)]
        adopt(app)
        with served(app) as store:
            page = store.history("c1", "ada", before=None, after=0, limit=9)
            assert page is not None
            assert page.messages[-1].body == "something new", "and it can be adopted again"


def test_undo_in_other_names() -> None:
    with prisma_app.app(*prisma_app.renamed()) as app:
        before = layout(app)
        adopt(app, names=RENAMED)
        run(app, adoption_of(app).examine().undo())
        assert layout(app) == before


def test_undo_never_drops_what_people_wrote() -> None:
    with prisma_app.app(USER) as app:
        app.users("ada", "bo")
        adopt(app)
        script = adoption_of(app).examine().undo()
        assert "\n-- DROP TABLE `Message`;\n" in script
        run(app, script)
        assert app.run("SELECT COUNT(*) FROM Message") == [(0,)]
