"""Users: names, roles, who is shut out, and when they were last seen."""

import attrs

from storage.changes import PutUser, SeeUser, SetDisabled, UserSaved
from storage.records import User

from .rule import Rule, Rules, of_user
from .unit import NO_USER, Answer, Unit


def put_user(unit: Unit, change: PutUser) -> Answer:
    """Make a user, or change what is given."""
    known = unit.users.get(change.user)
    if known is None:
        user = User(id=change.user, name=change.name or change.user, role=change.role or "patient")
        unit.users[user.id] = user
        unit.new_users[user.id] = change.at
        return UserSaved(user, changed=False), ()
    user = attrs.evolve(known, name=change.name or known.name, role=change.role or known.role)
    if user != known:
        _change(unit, user, change.at)
    return UserSaved(user, changed=user != known), ()


def see_user(unit: Unit, change: SeeUser) -> Answer:
    """Move the time forward; an earlier one changes nothing."""
    known = unit.users.get(change.user)
    if known is None:
        return NO_USER, ()
    user = attrs.evolve(known, last_seen_at=max(change.at, known.last_seen_at or 0))
    _change(unit, user, change.at)
    return UserSaved(user, changed=False), ()


def set_disabled(unit: Unit, change: SetDisabled) -> Answer:
    """Shut the user out, or let them in; a second time keeps the time of the first."""
    known = unit.users.get(change.user)
    if known is None:
        return NO_USER, ()
    if change.disabled == (known.disabled_at is not None):
        return UserSaved(known, changed=False), ()
    user = attrs.evolve(known, disabled_at=change.at if change.disabled else None)
    _change(unit, user, change.at)
    return UserSaved(user, changed=True), ()


def _change(unit: Unit, user: User, at: int) -> None:
    unit.users[user.id] = user
    unit.changed_users[user.id] = at


RULES: Rules = {
    PutUser: Rule(of_user, put_user),
    SeeUser: Rule(of_user, see_user),
    SetDisabled: Rule(of_user, set_disabled),
}
