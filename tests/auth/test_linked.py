"""People whom an identity service knows: who they are here."""

import itertools

import trio
import trio.testing

from chatd import testing
from chatd.auth.linked import LinkedIdentities
from chatd.auth.oidc import Account, OidcClient

CLIENT = OidcClient(
    name="clinic", title="Clinic", issuer="https://id.example", id="chatd", secret="s", scopes=(), make_patients=True
)
ACCOUNT = Account(issuer="https://id.example", subject="person-1", name="Ada")
AT_ONCE = 5


async def test_person_who_signs_in_many_times_at_once_is_made_one_patient() -> None:
    numbers = itertools.count(1)
    async with testing.daemon() as server:
        parts = server.daemon.parts
        linked = LinkedIdentities(parts.gate, parts.accounts, lambda: 1, lambda: f"made-{next(numbers)}")
        found: list[str] = []

        async def sign_in() -> None:
            found.append((await linked.user_of(ACCOUNT, CLIENT)).id)

        async with trio.open_nursery() as nursery:
            for _ in range(AT_ONCE):
                nursery.start_soon(sign_in)
        assert found == ["made-1"] * AT_ONCE
        assert [user.id for user in server.daemon.store.all_users(after=None, limit=10)] == ["made-1"]
