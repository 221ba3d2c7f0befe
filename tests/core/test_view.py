"""From records to objects."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from chatd.core import view
from protocol.encode import encode_object
from storage.records import Attachment, Message, Reaction

TEXT = st.text(st.sampled_from('aZ09 "\\/{}\n\u2028é🦷'), max_size=12)
TIMES = st.integers(0, 4_000_000_000_000)
DATA: st.SearchStrategy[Any] = st.none() | st.dictionaries(TEXT, TEXT, max_size=2)
MESSAGES = st.builds(
    Message,
    conversation=TEXT,
    seq=st.integers(1, 2**53),
    rev=st.integers(1, 2**53),
    id=TEXT,
    sender=st.none() | TEXT,
    client_id=st.none() | TEXT,
    kind=st.sampled_from(["text", "system"]),
    body=TEXT,
    reply_to=st.none() | st.integers(1, 2**53),
    data=DATA,
    sent_at=TIMES,
    edited_at=st.none() | TIMES,
    deleted_at=st.none() | TIMES,
    attachments=st.lists(
        st.builds(Attachment, id=TEXT, name=TEXT, type=TEXT, size=st.integers(0, 2**53), url=TEXT), max_size=2
    ).map(tuple),
    reactions=st.lists(st.builds(Reaction, TEXT, st.lists(TEXT, max_size=2).map(tuple)), max_size=2).map(tuple),
)


@given(message=MESSAGES)
def test_the_short_way_for_a_message_makes_the_same(message: Message) -> None:
    """Every field, those with defaults too, and in the same order."""
    short, whole = bytes(view.encoded_message(message)), bytes(encode_object(view.message(message)))
    assert json.loads(short) == json.loads(whole)
    assert short == whole
