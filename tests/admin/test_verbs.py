"""Verbs as they come over the control socket: what is none is refused in words."""

import pytest

from chatd.admin.catalogue import parse
from chatd.admin.verbs import VerbFailed


@pytest.mark.parametrize(
    "asked", [None, [], 5, {}, {"verb": None}, {"verb": 5}, {"verb": []}, {"verb": {}}, {"verb": "user.none"}]
)
def test_parse_no_verb_is_refused_in_words(asked: object) -> None:
    with pytest.raises(VerbFailed, match="is it of the same version"):
        parse(asked)
