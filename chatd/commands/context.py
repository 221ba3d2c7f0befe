"""One request on its way to its command."""

from typing import Generic, TypeVar

import attrs

from chatd.core.catchup import Feeder
from chatd.core.session import Session
from protocol.requests import Request
from storage.records import User

from .parts import Parts
from .permissions import Relations

R = TypeVar("R", bound=Request)


@attrs.frozen(slots=False)
class Context(Generic[R]):
    """One request and its caller. `by`: the relations to its subject that suffice (`permissions.py`)."""

    parts: Parts
    session: Session
    feeder: Feeder
    request: R
    by: Relations

    @property
    def user(self) -> User:
        """Who asks. Only after `hello`."""
        assert self.session.user is not None
        return self.session.user
