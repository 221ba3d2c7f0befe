"""A real Better Auth on the database beside chatd's tables: its cookie lets in, until it signs out."""

from pathlib import Path
from typing import Any

import pytest
from trio.testing import MockClock

from chatd.config import Auth, BetterAuth
from chatd.testing.harness import START
from storage.changes import PutUser
from support import mariadb, stores
from support.clinics import SITE, clinic
from support.npm_peers import answer_of, node
from support.site_tokens import SECRET


def site(url: str, **more: Any) -> Any:
    return answer_of("better-auth.mjs", url=url, secret=SECRET, now=START, **more)


@pytest.mark.parametrize("secure", [True, False])
async def test_cookie_of_the_site_lets_in_until_it_signs_out(
    secure: bool, tmp_path: Path, autojump_clock: MockClock
) -> None:
    node()
    store = stores.mysql(tmp_path)
    url = stores.mysql_database(tmp_path)
    found = site(url, secure=secure)
    assert any(name.endswith(".session_data") for name in found["cookies"]), "the cache that must not be trusted"
    cookie = "; ".join(f"{name}={value}" for name, value in found["cookies"].items())
    settings = BetterAuth(secrets=(SECRET,))
    try:
        async with clinic(store, auth=Auth(methods=("better-auth",)), better_auth=settings) as c:
            assert (await c.ask("GET", "/v1/me", Cookie=cookie)).status == 401, "nobody knows Ada here yet"
            store.commit([PutUser(found["user"], "Ada", "patient", 1)])
            assert (await c.ask("GET", "/v1/me", Cookie=cookie)).status == 200
            client = await c.server.connect(headers={"Origin": SITE, "Cookie": cookie})
            assert (await client.ask("hello"))["user"]["id"] == found["user"]
            site(url, secure=secure, out=cookie)
            assert (await c.ask("GET", "/v1/me", Cookie=cookie)).status == 401
            assert (await client.closed()).code == 4503
    finally:
        with mariadb.server().session(url.rpartition("/")[2]) as cursor:
            cursor.execute("SET foreign_key_checks = 0")
            cursor.execute("DROP TABLE IF EXISTS `user`, `session`, `account`, `verification`")
        store.close()
