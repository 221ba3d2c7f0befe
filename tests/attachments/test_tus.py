"""tus 1.0 to the letter, without a network."""

import base64
import hashlib
from typing import Any

import attrs
import pytest

from chatd.attachments import tus
from chatd.attachments.tus import Append, Create, TusAnswer, TusUpload

NOW = 1_800_000_000.0
MOST = 1000
OFFSET_STREAM = "application/offset+octet-stream"


def upload(**changes: Any) -> TusUpload:
    return attrs.evolve(TusUpload(offset=70, length=100, metadata="filename dG9vdGg=", expires=NOW + 60), **changes)


def patch(stored: TusUpload | None, busy: bool = False, **headers: str) -> TusAnswer | Append:
    sent = {"content-type": OFFSET_STREAM, "upload-offset": "70", "content-length": "30"}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    return tus.on_patch(sent, stored, now=NOW, busy=busy, max_bytes=MOST)


def create(**headers: str) -> TusAnswer | Create:
    return tus.on_create({name.replace("_", "-"): value for name, value in headers.items()}, MOST)


def status(found: object) -> int | None:
    return found.status if isinstance(found, TusAnswer) else None


def test_every_answer_but_that_of_options_names_the_version() -> None:
    answers = [
        create(),
        patch(None),
        patch(upload(), busy=True),
        patch(upload(offset=1)),
        tus.on_head(upload(), now=NOW),
        tus.on_head(None, now=NOW),
        tus.on_delete(upload(), busy=False),
        tus.on_delete(None, busy=False),
        tus.created("https://x/1", upload()),
        tus.appended(upload()),
        tus.mismatch(),
        tus.surplus(True),
        tus.on_any("PATCH", {}),
    ]
    for answer in answers:
        assert isinstance(answer, TusAnswer)
        assert answer.headers["Tus-Resumable"] == "1.0.0"
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.status != 429
    assert "Tus-Resumable" not in tus.on_options(MOST).headers


def test_options_says_what_is_offered() -> None:
    answer = tus.on_options(MOST)
    assert answer.status == 204
    assert answer.headers["Tus-Version"] == "1.0.0"
    assert answer.headers["Tus-Max-Size"] == "1000"
    assert answer.headers["Tus-Checksum-Algorithm"] == "sha1,sha256"
    offered = set(answer.headers["Tus-Extension"].split(","))
    assert {"creation", "creation-with-upload", "expiration", "termination", "checksum"} <= offered
    assert "concatenation" not in offered


@pytest.mark.parametrize("verb", ["POST", "HEAD", "PATCH", "DELETE"])
@pytest.mark.parametrize("version", [None, "0.2.2", "1.0.1", "2.0.0", ""])
def test_request_of_another_version_is_412_with_the_one_that_is_spoken(verb: str, version: str | None) -> None:
    answer = tus.on_any(verb, {} if version is None else {"tus-resumable": version})
    assert answer is not None
    assert answer.status == 412
    assert answer.headers["Tus-Version"] == "1.0.0"
    assert tus.on_any(verb, {"tus-resumable": "1.0.0"}) is None
    assert tus.on_any("OPTIONS", {}) is None


def test_method_override_counts() -> None:
    assert tus.method("POST", {"x-http-method-override": "patch"}) == "PATCH"
    assert tus.method("POST", {"x-http-method-override": "DELETE"}) == "DELETE"
    assert tus.method("POST", {}) == "POST"


def test_creation_keeps_length_and_metadata() -> None:
    found = create(upload_length="100", upload_metadata="filename dG9vdGguanBn,empty", content_length="0")
    assert found == Create(
        length=100,
        metadata="filename dG9vdGguanBn,empty",
        names={"filename": "tooth.jpg", "empty": ""},
        append=None,
    )


def test_creation_of_nothing_is_complete_at_once() -> None:
    found = create(upload_length="0")
    assert isinstance(found, Create)
    assert found.append is None
    assert upload(offset=0, length=found.length).complete


def test_creation_without_a_body_ignores_the_content_type_that_libraries_add() -> None:
    found = create(upload_length="5", content_length="0", content_type="application/x-www-form-urlencoded")
    assert isinstance(found, Create)
    assert found.append is None


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, 400),
        ({"upload_length": "-1"}, 400),
        ({"upload_length": "1e3"}, 400),
        ({"upload_length": "٣"}, 400),
        ({"upload_length": ""}, 400),
        ({"upload_length": "9" * 30}, 400),
        ({"upload_length": "1001"}, 413),
        ({"upload_defer_length": "0"}, 400),
        ({"upload_defer_length": "1", "upload_length": "5"}, 400),
        ({"upload_length": "5", "upload_concat": "partial"}, 400),
        ({"upload_length": "5", "upload_metadata": "filename ###"}, 400),
        ({"upload_length": "5", "upload_metadata": "a YQ==,a YQ=="}, 400),
        ({"upload_length": "5", "upload_metadata": "ä YQ=="}, 400),
        ({"upload_length": "5", "upload_metadata": ",,"}, 400),
        ({"upload_length": "5", "upload_metadata": "a " + "QUFB" * 2000}, 400),
        ({"upload_length": "5", "content_length": "5"}, 415),
        ({"upload_length": "5", "content_length": "5", "content_type": "text/plain"}, 415),
        ({"upload_length": "5", "content_length": "6", "content_type": OFFSET_STREAM}, 400),
        ({"upload_defer_length": "1", "content_length": "1001", "content_type": OFFSET_STREAM}, 413),
        ({"upload_length": "5", "content_length": "5", "content_type": OFFSET_STREAM, "upload_checksum": "md5 x"}, 400),
    ],
)
def test_creation_refused_has_its_status(headers: dict[str, str], expected: int) -> None:
    found = create(**headers)
    assert status(found) == expected
    assert isinstance(found, TusAnswer)
    assert found.message


def test_creation_with_upload_appends_the_body() -> None:
    found = create(upload_length="100", content_length="40", content_type=OFFSET_STREAM)
    assert isinstance(found, Create)
    assert found.append == Append(offset=0, length=100, most=100, checksum=None)
    chunked = create(upload_length="100", transfer_encoding="chunked", content_type=OFFSET_STREAM)
    assert isinstance(chunked, Create)
    assert chunked.append is not None


def test_creation_with_deferred_length_takes_up_to_the_limit() -> None:
    found = create(upload_defer_length="1", content_length="40", content_type=OFFSET_STREAM)
    assert isinstance(found, Create)
    assert found.length is None
    assert found.append == Append(offset=0, length=None, most=MOST, checksum=None)


def test_created_says_where_and_until_when() -> None:
    answer = tus.created("https://chat.example/v1/uploads/a1", upload(offset=40))
    assert answer.status == 201
    assert answer.headers["Location"] == "https://chat.example/v1/uploads/a1"
    assert answer.headers["Upload-Offset"] == "40"
    assert answer.headers["Upload-Expires"] == tus.http_date(NOW + 60)
    assert tus.http_date(0) == "Thu, 01 Jan 1970 00:00:00 GMT"


def test_head_says_where_the_upload_stands() -> None:
    answer = tus.on_head(upload(offset=0), now=NOW)
    assert answer.status == 200
    assert answer.headers["Upload-Offset"] == "0"
    assert answer.headers["Upload-Length"] == "100"
    assert answer.headers["Upload-Metadata"] == "filename dG9vdGg="
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.message == ""


def test_head_of_a_deferred_length_says_so() -> None:
    answer = tus.on_head(upload(length=None, metadata=""), now=NOW)
    assert answer.headers["Upload-Defer-Length"] == "1"
    assert "Upload-Length" not in answer.headers
    assert "Upload-Metadata" not in answer.headers


def test_head_of_what_is_gone_has_no_offset() -> None:
    for answer, expected in ((tus.on_head(None, now=NOW), 404), (tus.on_head(upload(expires=NOW), now=NOW), 410)):
        assert answer.status == expected
        assert "Upload-Offset" not in answer.headers


def test_patch_at_the_offset_appends() -> None:
    assert patch(upload()) == Append(offset=70, length=100, most=30, checksum=None)


@pytest.mark.parametrize(
    ("stored", "headers", "expected"),
    [
        (None, {}, 404),
        (upload(), {"content_type": "application/octet-stream"}, 415),
        (upload(), {"content_type": ""}, 415),
        (upload(), {"upload_offset": "69"}, 409),
        (upload(), {"upload_offset": "71"}, 409),
        (upload(), {"upload_offset": "-1"}, 400),
        (upload(), {"upload_offset": "x"}, 400),
        (upload(), {"content_length": "31"}, 400),
        (upload(), {"upload_length": "101"}, 400),
        (upload(expires=NOW), {}, 410),
        (upload(length=None), {"upload_length": "69"}, 400),
        (upload(length=None), {"upload_length": "1001"}, 413),
        (upload(length=None), {"content_length": "931"}, 413),
        (upload(length=None), {"upload_length": "99"}, 400),
        (upload(), {"upload_checksum": "crc32 AAAA"}, 400),
        (upload(), {"upload_checksum": "sha1 AAAA"}, 400),
        (upload(), {"upload_checksum": "sha1"}, 400),
    ],
)
def test_patch_refused_has_its_status(stored: TusUpload | None, headers: dict[str, str], expected: int) -> None:
    assert status(patch(stored, False, **headers)) == expected


def test_patch_while_another_writes_is_423() -> None:
    assert status(patch(upload(), busy=True)) == 423
    assert status(patch(upload(), busy=True, upload_offset="71")) == 423, "the offset isn't settled yet"
    assert status(tus.on_delete(upload(), busy=True)) == 423


def test_patch_without_its_offset_is_400() -> None:
    found = tus.on_patch({"content-type": OFFSET_STREAM}, upload(), now=NOW, busy=False, max_bytes=MOST)
    assert status(found) == 400


def test_patch_of_another_content_type_is_415_whether_or_not_the_upload_exists() -> None:
    assert status(patch(None, content_type="text/plain")) == 415


def test_patch_names_a_deferred_length_once() -> None:
    assert patch(upload(length=None), upload_length="100") == Append(offset=70, length=100, most=30, checksum=None)
    assert patch(upload(length=None)) == Append(offset=70, length=None, most=930, checksum=None)
    assert patch(upload(), upload_length="100") == Append(offset=70, length=100, most=30, checksum=None)


@pytest.mark.parametrize("algorithm", tus.CHECKSUMS)
def test_checksum_is_that_of_the_body(algorithm: str) -> None:
    digest = base64.b64encode(hashlib.new(algorithm, b"body").digest()).decode()
    found = patch(upload(), upload_checksum=f"{algorithm} {digest}")
    assert isinstance(found, Append)
    assert found.checksum is not None
    for body, expected in ((b"body", True), (b"bodx", False), (b"", False)):
        started = found.checksum.start()
        started.update(body)
        assert found.checksum.matches(started) is expected
    assert tus.mismatch().status == 460


def test_appended_says_the_new_offset_and_until_when() -> None:
    answer = tus.appended(upload(offset=100))
    assert answer.status == 204
    assert answer.headers["Upload-Offset"] == "100"
    assert "Upload-Expires" in answer.headers


def test_delete_is_204_then_404() -> None:
    assert tus.on_delete(upload(), busy=False).status == 204
    assert tus.on_delete(None, busy=False).status == 404


def test_surplus_of_an_unannounced_body_is_refused() -> None:
    assert tus.surplus(True).status == 400
    assert tus.surplus(False).status == 413


def test_metadata_with_bytes_that_are_no_text_is_read_all_the_same() -> None:
    assert tus.parse_metadata("filename /w==") == {"filename": "\ufffd"}
    assert tus.parse_metadata(" a YQ== , b ") == {"a": "a", "b": ""}
    assert tus.parse_metadata("") == {}
