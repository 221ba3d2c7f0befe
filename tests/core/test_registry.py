"""The registry: who is online, whom an event reaches, and whom a revocation cuts off."""

import attrs

from chatd.core.identity import Identity
from chatd.core.registry import Registry
from chatd.core.session import Session
from storage.records import User
from support.small_clinic import SmallClinic


def session(credential: str | None = None, user: str = "ada") -> Session:
    made = SmallClinic().session
    made.identity = identity(credential, user)
    return made


def identity(credential: str | None, user: str = "ada") -> Identity:
    return Identity(user=user, method="token", credential_id=credential, authenticated_at=1)


def row(name: str) -> User:
    found = SmallClinic().store.user("ada")
    assert found is not None
    return attrs.evolve(found, name=name)


def test_registry_user_is_online_until_the_last_session_goes() -> None:
    registry, first, second = Registry(), session(), session()
    registry.add("ada", first)
    registry.add("ada", second)
    assert (registry.of("ada"), registry.count, registry.users) == ((first, second), 2, 1)
    assert not registry.remove("ada", first)
    assert registry.online("ada")
    assert registry.remove("ada", second)
    assert (registry.online("ada"), registry.of("ada"), registry.count, registry.users) == (False, (), 0, 0)


def test_registry_revoked_credential_finds_its_own_sessions_alone() -> None:
    registry = Registry()
    phone, desk, other = session("phone"), session("desk"), session("phone", "bo")
    for each, user in ((phone, "ada"), (desk, "ada"), (other, "bo")):
        registry.add(user, each)
    assert registry.signed_in_by("ada", "phone") == [phone]
    assert registry.signed_in_by("ada", None) == [phone, desk]
    assert registry.signed_in_by("ada", "tablet") == []


def test_registry_session_that_is_signing_in_is_found_by_what_it_shows() -> None:
    registry, arriving = Registry(), session()
    arriving.identity = None
    with registry.arriving(identity("phone"), arriving):
        assert registry.signed_in_by("ada", "phone") == [arriving]
        assert registry.signed_in_by("ada", None) == [arriving]
        assert registry.signed_in_by("ada", "desk") == []
        assert not registry.online("ada"), "it receives nothing yet"
    assert registry.signed_in_by("ada", None) == []


def test_registry_session_whose_sign_in_fails_is_forgotten() -> None:
    registry, arriving = Registry(), session()
    try:
        with registry.arriving(identity("phone"), arriving):
            raise ZeroDivisionError
    except ZeroDivisionError:
        pass
    assert registry.signed_in_by("ada", None) == []


def test_registry_changed_row_reaches_sessions_that_live_and_that_arrive() -> None:
    registry, live, arriving = Registry(), session(), session()
    registry.add("ada", live)
    with registry.arriving(identity("phone"), arriving) as arrival:
        registry.replace(row("Ada L."))
        assert live.user is not None
        assert arrival.user is not None
        assert (live.user.name, arrival.user.name) == ("Ada L.", "Ada L.")
    assert arriving.user is not None
    assert arriving.user.name == "Ada", "who arrives takes it from the arrival"
