"""Unread texts, counted for many conversations and users by few statements."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import attrs

from storage.apply import CountUnread

from .connection import Connection

PARTS_PER_UNION = 100
"""Most parts of one UNION."""

_COUNT_TEXTS = (
    '(SELECT ?, "senderId", COUNT(*) FROM "Message" WHERE "conversationId" = ? AND "seq" > ? AND "seq" <= ? '
    'AND "deletedAt" IS NULL AND "kind" = \'text\' GROUP BY "senderId")'
)


@attrs.frozen
class Question:
    """Question for the number of others' texts in a conversation behind each user's mark, up to a seq."""

    conversation: str
    marks: Mapping[str, int]
    upto: int


class Counts:
    """Answers to the questions of whoever asks them one by one (`apply.finish`, `apply.membership_of`).

    That is run twice: the first time the questions are only noted, and everybody has read everything.
    """

    def __init__(self) -> None:
        self._questions: list[Question] = []
        self._answers: list[dict[str, int]] | None = None

    def note(self, conversation: str, marks: Mapping[str, int], upto: int) -> Mapping[str, int]:
        """A `CountUnread` for the first run."""
        self._questions.append(Question(conversation, dict(marks), upto))
        return dict.fromkeys(marks, 0)

    def answers(self, db: Connection) -> CountUnread:
        """A `CountUnread` for the second run, which asks the same in the same order."""
        found = iter(count(db, self._questions))
        return lambda conversation, marks, upto: next(found)


def count(db: Connection, questions: Sequence[Question]) -> list[dict[str, int]]:
    """The answers, in order."""
    spans: list[tuple[int, str, int, int]] = []  # one between two neighbouring marks, each text in one of them
    for question in questions:
        lows = sorted(set(question.marks.values()), reverse=True)
        highs = [question.upto, *lows[:-1]]
        spans += [
            (len(spans) + place, question.conversation, low, high)
            for place, (low, high) in enumerate(zip(lows, highs, strict=True))
        ]
    texts: defaultdict[int, Counter[str]] = defaultdict(Counter)
    for start in range(0, len(spans), PARTS_PER_UNION):
        some = spans[start : start + PARTS_PER_UNION]
        values = [value for span in some for value in span]
        for place, sender, number in db.run_many("{}", _COUNT_TEXTS, len(some), values, between=" UNION ALL "):
            # The server describes a union's columns as nobody's: a number that is an id would stay one.
            texts[place][str(sender)] += number
    answers: list[dict[str, int]] = []
    numbered = iter(spans)
    for question in questions:
        answer: dict[str, int] = {}
        behind: Counter[str] = Counter()  # sender -> texts above the mark
        for low in sorted(set(question.marks.values()), reverse=True):
            behind.update(texts[next(numbered)[0]])
            whole = behind.total()
            answer.update((user, whole - behind[user]) for user, mark in question.marks.items() if mark == low)
        answers.append(answer)
    return answers
