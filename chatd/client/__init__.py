"""A client for Python programs: keeps a connection, and a copy of the conversations that follows the server's.

    async with chatd.client.connect("http://127.0.0.1:3001", user="bot-1", role="staff") as client:
        async for event in client.events():
            ...

It comes back by itself, resumes where it was, closes gaps, and repeats what was not acknowledged; the server takes no
message twice.
"""

from .client import Client
from .connecting import connect
from .link import RequestFailed
from .mailbox import (
    Closed,
    Connected,
    ConversationChanged,
    Disconnected,
    Event,
    Events,
    PresenceChanged,
    TypingChanged,
    UserChanged,
)
from .replica import Conversation
from .sending import Sending
from .sign_in import SignIn, SignInFailed

__all__ = [
    "Client",
    "Closed",
    "Connected",
    "Conversation",
    "ConversationChanged",
    "Disconnected",
    "Event",
    "Events",
    "PresenceChanged",
    "RequestFailed",
    "Sending",
    "SignIn",
    "SignInFailed",
    "TypingChanged",
    "UserChanged",
    "connect",
]
