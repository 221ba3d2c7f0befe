"""One request on its way to its command."""

from typing import Generic, TypeVar

import attrs

from protocol.requests import Request
from storage.records import User

from .catchup import Feeder
from .rights import Relations
from .services import Services
from .session import Session

R = TypeVar("R", bound=Request)


@attrs.frozen(slots=False)
class Call(Generic[R]):
    """A request, who asks, and what commands work with. `by`: what the caller must be to its subject (`rights.py`)."""

    services: Services
    session: Session
    feeder: Feeder
    request: R
    by: Relations

    @property
    def user(self) -> User:
        """Who asks. Only after `hello`."""
        assert self.session.user is not None
        return self.session.user
