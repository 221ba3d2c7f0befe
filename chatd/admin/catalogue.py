"""All verbs by name, and how they travel as JSON."""

from collections.abc import Mapping

import attrs
import msgspec

from protocol.decode import for_people
from protocol.types import is_id

from .sign_in import (
    AddApiKey,
    Invite,
    LinkIdentity,
    ListApiKeys,
    ListSessions,
    ResetSecondStep,
    RevokeApiKey,
    RevokeSession,
    RevokeSessions,
    SetPassword,
    SetSecondStep,
    UnlinkIdentities,
)
from .verbs import (
    AddUser,
    Answer,
    ChangeUser,
    DisableUser,
    IssueToken,
    ListTokens,
    ListUsers,
    MessageVersions,
    NewEpoch,
    RevokeAll,
    RevokeOne,
    Verb,
    VerbFailed,
)
from .who import Who

VERBS: Mapping[str, type[Verb]] = {
    verb.NAME: verb
    for verb in (
        AddUser, ChangeUser, DisableUser, ListUsers, IssueToken, ListTokens, RevokeOne, RevokeAll,
        SetPassword, Invite, ListSessions, RevokeSession, RevokeSessions, AddApiKey, ListApiKeys, RevokeApiKey,
        LinkIdentity, UnlinkIdentities, SetSecondStep, ResetSecondStep,
        MessageVersions, NewEpoch, Who,
    )
}  # fmt: skip


def written(verb: Verb) -> Answer:
    """The verb as JSON has it."""
    return {"verb": verb.NAME, **attrs.asdict(verb)}


def parse(asked: object) -> Verb:
    """The verb that a JSON object names. Raises VerbFailed."""
    if not isinstance(asked, dict) or not isinstance(asked.get("verb"), str) or asked["verb"] not in VERBS:
        raise VerbFailed("this daemon doesn't know what is asked for; is it of the same version?")
    kind = VERBS[asked["verb"]]
    try:
        verb: Verb = msgspec.convert({key: value for key, value in asked.items() if key != "verb"}, kind)
    except msgspec.ValidationError as error:
        raise VerbFailed(for_people(str(error))) from None
    user = getattr(verb, "user", None)
    if user is not None and not is_id(user):
        raise VerbFailed("a user's id has 1 to 128 printable ASCII characters, and no space")
    name = getattr(verb, "name", None)
    if name is not None and not name.isprintable():
        raise VerbFailed("a name has printable characters only")
    return verb
