"""One request on its way to its command."""

from typing import Generic, TypeVar

from chatd.core.caller import Caller
from chatd.core.session import Session
from protocol.requests import Request
from storage.records import User
from storage.value import value

from .parts import Parts
from .permissions import Relations

R = TypeVar("R", bound=Request)


@value
class Context(Generic[R]):
    """One request and its caller. `by`: the relations to its subject that suffice (`permissions.py`)."""

    parts: Parts
    caller: Caller
    request: R
    by: Relations

    @property
    def user(self) -> User:
        """The caller's row. Only after `hello`."""
        assert self.caller.user is not None
        return self.caller.user

    @property
    def session(self) -> Session:
        """The caller's session, for requests that are about a connection; dispatch refuses them to other callers."""
        assert isinstance(self.caller, Session)
        return self.caller
