"""Bodies and queries as requests: put together from path and body, and read by the strict decoder alone."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatd.core.errors import Refusal
from chatd.http.bodies import decoded, made, media_type, true_or_false, whole_number, with_fields
from chatd.http.cookies import cookie_counts
from chatd.net.head import Head
from chatd.net.origins import Origins
from protocol.objects import Limits
from protocol.requests import ConversationList, MessageHistory, MessageSend

SITE = b"https://www.clinic.example"
GIVEN = {"type": "message.send", "conversation": 'c"1'}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), JSON), st.booleans())
def test_fields_put_into_an_object_are_its_own(fields: dict[str, Any], spaced: bool) -> None:
    text = json.dumps(fields, indent=1 if spaced else None) + ("\n " if spaced else "")
    assert json.loads(with_fields(text, GIVEN)) == {**fields, **GIVEN}


@pytest.mark.parametrize(
    "text", ["", " ", "{", "}", "[]", "[{}", "{}}", '{"a":{}', '"}"', "[1}", "nul}", '{"a":1,}', "{,}"]
)
def test_text_that_is_no_object_stays_wrong(text: str) -> None:
    with pytest.raises(Refusal) as refused:
        decoded(with_fields(text, GIVEN), Limits())
    assert refused.value.code == "bad_request"


def test_field_that_is_given_cannot_be_overridden() -> None:
    body = '{"conversation":"other","type":"message.delete","seq":1,"client_id":"a","body":"x"}'
    assert decoded(with_fields(body, {"type": "message.send", "conversation": "c1"}), Limits()) == MessageSend(
        conversation="c1", client_id="a", body="x"
    )


def test_request_is_made_by_the_rules_of_frames() -> None:
    assert made(MessageHistory, Limits(), conversation="c1", before=whole_number("7"), limit=None) == MessageHistory(
        conversation="c1", before=7
    )
    assert made(ConversationList, Limits(), archived=true_or_false("true")) == ConversationList(archived=True)
    for wrong in ({"before": whole_number("x")}, {"before": whole_number("9" * 30)}, {"before": 1, "after": 2}):
        with pytest.raises(Refusal) as refused:
            made(MessageHistory, Limits(), conversation="c1", **wrong)
        assert refused.value.code == "bad_request"
        assert "`before`" in refused.value.message or "`after`" in refused.value.message
    with pytest.raises(Refusal, match="`archived`"):
        made(ConversationList, Limits(), archived=true_or_false("yes"))
    with pytest.raises(Refusal, match="`conversation`"):
        made(MessageHistory, Limits(), conversation="a b")


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"content-length": "0"}, None),
        ({"content-length": "1"}, ""),
        ({"transfer-encoding": "chunked"}, ""),
        ({"content-type": "Application/JSON; charset=utf-8", "content-length": "2"}, "application/json"),
        ({"content-type": "text/plain"}, "text/plain"),
    ],
)
def test_media_type(headers: dict[str, str], expected: str | None) -> None:
    assert media_type(head("POST", **headers)) == expected


def head(method: str, **headers: str) -> Head:
    return Head(
        method, "/v1/me", "/v1/me", [(name.replace("_", "-").encode(), v.encode()) for name, v in headers.items()]
    )


ALLOWED = {"origin": SITE.decode()}
FOREIGN = {"origin": "https://evil.example"}
BODY = {"content_type": "application/json", "content_length": "2"}
FORM = {"content_type": "application/x-www-form-urlencoded", "content_length": "2"}
PLAIN = {"content_type": "text/plain", "content_length": "2"}
FILES = {"content_type": "multipart/form-data; boundary=x", "content_length": "2"}


@pytest.mark.parametrize(
    ("method", "headers", "counts"),
    [
        ("GET", {}, True),
        ("GET", {"sec_fetch_site": "same-origin"}, True),
        ("GET", {"sec_fetch_site": "none"}, True),
        ("GET", {"sec_fetch_site": "cross-site"}, False),
        ("GET", {"sec_fetch_site": "cross-site", **ALLOWED}, False),
        ("GET", {"sec_fetch_site": "same-site"}, False),
        ("GET", {"sec_fetch_site": "same-site", **FOREIGN}, False),
        ("GET", {"sec_fetch_site": "same-site", **ALLOWED}, True),
        ("HEAD", {"sec_fetch_site": "cross-site"}, False),
        ("HEAD", {}, True),
        ("POST", {**BODY}, False),
        ("POST", {**BODY, **FOREIGN}, False),
        ("POST", {**BODY, "origin": "null"}, False),
        ("POST", {**BODY, "sec_fetch_site": "same-origin"}, False),
        ("POST", {**BODY, **ALLOWED}, True),
        ("POST", {**FILES, **ALLOWED}, True),
        ("POST", {**FORM, **ALLOWED}, False),
        ("POST", {**PLAIN, **ALLOWED}, False),
        ("POST", {"content_length": "2", **ALLOWED}, False),
        ("POST", {**ALLOWED}, True),
        ("DELETE", {**ALLOWED}, True),
        ("DELETE", {}, False),
        ("PATCH", {**BODY, **FOREIGN}, False),
        ("OPTIONS", {}, False),
    ],
)
def test_cookie_counts(method: str, headers: dict[str, str], counts: bool) -> None:
    assert cookie_counts(head(method, **headers), "https", Origins(allowed=(SITE.decode(),))) == counts
