"""Ledger of who got which message of a conversation: every one, once and in order. Pure."""

import attrs

MAX_PROBLEMS_NAMED = 10
"""Discrepancies of a conversation that are told one by one."""


@attrs.define(eq=False)
class _Known:
    """A message that not everybody has had. `told`: how many have; `acknowledged`: whether its sender knows."""

    client_id: str
    told: int = 0
    acknowledged: bool = False


class Ledger:
    """One conversation of `members`, whose messages up to `last` are not this run's.

    Every connection must see every seq behind `last` in turn, with the same `client_id`: others' messages in events,
    its own in their acknowledgements. It holds only what somebody still lacks.
    """

    def __init__(self, members: int, last: int) -> None:
        self.members = members
        self._last = [last] * members
        self._known: dict[int, _Known] = {}
        self._sent: set[str] = set()
        self._wrong: list[str] = []
        self._more = 0

    def sent(self, client_id: str) -> None:
        """A message is on its way."""
        self._sent.add(client_id)

    def acknowledged(self, member: int, seq: int, client_id: str, *, duplicate: bool) -> None:
        """The server says to its sender that a message is kept. `duplicate`: the answer to a repeated request."""
        if client_id not in self._sent:
            self.find(f"seq {seq} was acknowledged twice")
            return
        self._sent.remove(client_id)
        if not (duplicate and seq <= self._last[member]):  # its event may have come before
            self.delivered(member, seq, client_id)
        known = self._known.get(seq)
        if known is None or known.client_id != client_id:
            self.find(f"seq {seq} was acknowledged as another message than it is")
        else:
            known.acknowledged = True
            self._settle(seq, known)

    def delivered(self, member: int, seq: int, client_id: str) -> None:
        """A connection was told of a message."""
        expected = self._last[member] + 1
        if seq < expected:
            self.find(f"member {member} got seq {seq} again, or after a later one")
            return
        if seq > expected:
            self.find(f"member {member} got seq {seq} where {expected} is next")
        self._last[member] = seq
        known = self._known.get(seq)
        if known is None:
            known = self._known[seq] = _Known(client_id)
        elif known.client_id != client_id:
            self.find(f"seq {seq} is one message to member {member} and another to others")
        known.told += 1
        self._settle(seq, known)

    def _settle(self, seq: int, known: _Known) -> None:
        if known.acknowledged and known.told == self.members:
            del self._known[seq]

    @property
    def settled(self) -> bool:
        """Return True if all that was sent is acknowledged, and all that is acknowledged has reached everybody."""
        return not self._sent and not self._known

    def find(self, wrong: str) -> None:
        """Note what must not be."""
        if len(self._wrong) < MAX_PROBLEMS_NAMED:
            self._wrong.append(wrong)
        else:
            self._more += 1

    def close(self, *, complete: bool) -> list[str]:
        """All that is wrong. `complete`: nothing more can come, so that what somebody lacks is wrong, too."""
        wrong = list(self._wrong)
        if self._more:
            wrong.append(f"and {self._more} more of the kind")
        lacking = [seq for seq, known in self._known.items() if known.acknowledged]
        if complete and lacking:
            wrong.append(
                f"{len(lacking)} acknowledged messages did not reach everybody; the first is seq {min(lacking)}"
            )
        return wrong
