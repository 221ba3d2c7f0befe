"""A client's copy that takes every frame by the letter of the cursor rules, and complains where they are broken."""

from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any

import attrs
import msgspec

from chatd.core import view
from chatd.testing.harness import Frame, TestClient
from storage.contract import Store


def plain(value: Any) -> Any:
    """An object as JSON has it, without what is null and without `status`, which is as of its reply."""
    built = msgspec.json.decode(msgspec.json.encode(value))
    return {key: field for key, field in built.items() if field is not None and key != "status"}


WATERMARKS = ("delivered_seq", "delivered_at", "read_seq", "read_at", "rev")


def surely_told(participants: Iterable[Frame], viewer: str) -> dict[str, Frame]:
    """Of the participants of a conversation what its changes tell the viewer: in a crowd only their own watermarks."""
    rows = {p["user"]: p for p in participants}
    if sum("left_at" not in p for p in rows.values()) <= view.CROWD:
        return rows
    unsaid = {user: WATERMARKS for user in rows if user != viewer}
    return {user: {k: v for k, v in p.items() if k not in unsaid.get(user, ())} for user, p in rows.items()}


@attrs.define
class Copy:
    """What is held of one conversation. `began`: the rev from which on every change must have come."""

    rev: int
    began: int
    membership: Frame
    participants: dict[str, Frame] = attrs.Factory(dict)
    messages: dict[int, Frame] = attrs.Factory(dict)
    counted: int = 0  # the newest seq that `membership` accounts for


class Book:
    """All that one connection was told. `copies`: what an earlier connection of the same user left, to resume.

    `doubles`: changes that told again what was known already; only a catch-up may do that. `ignored`: those of
    conversations without a cursor. `forgiving`: a hole is no failure but noted in `holes`, to be asked for by `sync`,
    and a reply may be ahead, as while a catch-up is under way.
    """

    def __init__(
        self, client: TestClient, copies: Mapping[str, Copy] | None = None, *, forgiving: bool = False
    ) -> None:
        self.copies = deepcopy(dict(copies or {}))
        self.forgiving = forgiving
        self.holes: set[str] = set()
        self.doubles: list[Frame] = []
        self.ignored: list[Frame] = []
        self._client = client
        self._read = 0

    @property
    def revs(self) -> dict[str, int]:
        """The cursors, for `hello` and `sync`."""
        return {id: copy.rev for id, copy in self.copies.items()}

    @property
    def me(self) -> str:
        assert self._client.user is not None
        return str(self._client.user["id"])

    def read(self) -> "Book":
        """Take the frames that came since the last time."""
        while self._read < len(self._client.received):
            frame = self._client.received[self._read]
            self._read += 1
            try:
                self._take(frame)
            except AssertionError as error:
                raise AssertionError(f"{error}\n{str(frame)[:500]}\nwith {self.copies}"[:3000]) from None
        return self

    def _take(self, frame: Frame) -> None:
        for id, state in (frame.get("revs") or {}).items():
            if state["reset"]:
                self.copies.pop(id, None)
        if "from" in frame:
            self._change(frame)
        elif frame.get("info"):
            self._summary(frame)
        for summary in frame.get("conversations") or ():
            if summary["conversation"] not in self.copies or summary["conversation"] not in (frame.get("revs") or {}):
                self._summary(summary)  # of the others, those to resume, a catch-up follows

    def _change(self, frame: Frame) -> None:
        id, start, rev = frame["conversation"], frame["from"], frame["rev"]
        assert start == 0 or start <= rev
        copy = self.copies.get(id)
        own = [p for p in frame.get("participants") or () if p["user"] == self.me]
        if own and own[0].get("left_at"):
            assert frame["info"], "a goodbye without info"
            assert copy is None or start <= copy.rev, f"a goodbye above the cursor: at {copy.rev} came {start} to {rev}"
            assert not frame.get("messages"), "whoever left sees no more messages"
            self.copies.pop(id, None)
        elif start == 0:
            assert frame["info"]["rev"] == rev
            copy = self.copies[id] = Copy(rev, rev - 1, frame["membership"], counted=frame["info"]["last_seq"])
            self._objects(copy, frame)
            assert copy.participants.keys() <= {user["id"] for user in frame["users"]}, "not all users are named"
        elif copy is None and frame.get("info") and frame["type"] == "ok":
            self._summary(frame)
        elif copy is None:
            self.ignored.append(frame)
        else:
            if start > copy.rev and self.forgiving:
                self.holes.add(id)
                return
            assert start <= copy.rev, f"a hole: at {copy.rev} came {start} to {rev}"
            if start < copy.rev:
                behind_the_whole = frame["type"] == "ok" and rev <= copy.began + 1  # it waited, and that came first
                assert frame.get("membership") or behind_the_whole, "a double that isn't a catch-up's"
                self.doubles.append(frame)
            copy.rev = max(copy.rev, rev)
            self._objects(copy, frame)
            if frame.get("membership"):
                copy.membership = frame["membership"]

    def _objects(self, copy: Copy, frame: Frame) -> None:
        for participant in frame.get("participants") or ():
            held = copy.participants.get(participant["user"])
            if held is None or participant["rev"] >= held["rev"]:
                copy.participants[participant["user"]] = plain(participant)
        for message in frame.get("messages") or ():
            held = copy.messages.get(message["seq"])
            if held is None or message["rev"] >= held["rev"]:
                copy.messages[message["seq"]] = plain(message)
            if message["seq"] > copy.counted:
                copy.counted = message["seq"]
                theirs = message.get("sender") not in (None, self.me)
                copy.membership = copy.membership | {"unread": copy.membership["unread"] + theirs}

    def _summary(self, summary: Frame) -> None:
        id, rev = summary["conversation"], summary["info"]["rev"]
        copy = self.copies.get(id)
        if copy is None:
            copy = self.copies[id] = Copy(rev, rev, summary["membership"])
        assert rev >= copy.rev, f"at {copy.rev} came a reply as of {rev}"
        assert rev == copy.rev or self.forgiving, f"a reply as of {rev} overtook the changes after {copy.rev}"
        copy.counted = summary["info"]["last_seq"]
        last = summary.get("last_message")
        self._objects(copy, {**summary, "messages": [last] if last else []})
        copy.membership = summary["membership"]

    def agree(self, store: Store) -> None:
        """Everything held is as the store has it, and nothing is missing."""
        self.read()
        for id, copy in self.copies.items():
            found = store.summary(id, self.me)
            page = store.history(id, self.me, before=None, after=0, limit=100_000)
            assert found is not None, f"{id} is held, and not the user's any more"
            assert page is not None
            summary, _ = found
            assert copy.rev == summary.room.conversation.rev
            truth = surely_told([plain(view.participant(p)) for p in summary.room.participants], self.me)
            assert surely_told(copy.participants.values(), self.me) == truth
            assert copy.membership == plain(view.membership(summary.membership))
            kept = {m.seq: plain(view.message(m)) for m in page.messages}
            wrong = {seq: message for seq, message in copy.messages.items() if kept.get(seq) != message}
            assert not wrong, f"{self.me} holds what isn't: {wrong}"
            missing = [m.seq for m in page.messages if m.rev > copy.began and m.seq not in copy.messages]
            assert not missing, f"{self.me} lacks {missing}"
