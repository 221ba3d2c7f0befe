"""The core of tus 1.0 (tus.io, resumable uploads): decides from a request's headers, does nothing by itself.

Offered: creation, creation with upload, deferred length, checksum, expiration, termination; not concatenation. Each
`on_...` returns an Answer that ends the request, or a plan of what the caller does with the body. tus-js-client gives
up on every 4xx but 409 and 423, so a busy upload is 423 and nothing is ever 429.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from email.utils import formatdate

import attrs

TUS_VERSION = "1.0.0"
EXTENSIONS = ("creation", "creation-with-upload", "creation-defer-length", "checksum", "expiration", "termination")
CHECKSUMS = ("sha1", "sha256")
CONTENT_TYPE = "application/offset+octet-stream"
METADATA_CHARS = 4096

EXPOSED_HEADERS = (
    "Location, Upload-Offset, Upload-Length, Upload-Defer-Length, Upload-Metadata, Upload-Expires, Tus-Resumable, "
    "Tus-Version, Tus-Extension, Tus-Max-Size, Tus-Checksum-Algorithm"
)
"""Value of Access-Control-Expose-Headers: without it a page from elsewhere can't read them."""

_DIGITS = re.compile(r"[0-9]{1,16}", re.ASCII)
_KEY = re.compile(r"[!-+\--~]+", re.ASCII)  # ASCII without space and comma


@attrs.frozen
class TusUpload:
    """The stored state of an upload. `length` None: not known yet; `metadata` as it came; `expires`: unix seconds."""

    offset: int
    length: int | None
    metadata: str
    expires: float

    @property
    def complete(self) -> bool:
        return self.length is not None and self.offset == self.length


@attrs.frozen
class TusAnswer:
    """A response. `message`: for people, in the body; empty where the status has none."""

    status: int
    headers: dict[str, str]
    message: str = ""


@attrs.frozen
class Checksum:
    """Checksum that the body of a PATCH must have: the name of a hash, and its digest."""

    algorithm: str
    digest: bytes

    def matches(self, body_hash: "hashlib._Hash") -> bool:
        return body_hash.digest() == self.digest

    def start(self) -> "hashlib._Hash":
        return hashlib.new(self.algorithm, usedforsecurity=False)


@attrs.frozen
class Append:
    """Append the body at `offset`, at most `most` bytes of it. `length`: of the whole upload, None: still unknown."""

    offset: int
    length: int | None
    most: int
    checksum: Checksum | None


@attrs.frozen
class Create:
    """Make an upload; `append` tells what to do with the body, None where it has none."""

    length: int | None
    metadata: str
    names: dict[str, str]
    append: Append | None


def method(given: str, headers: Mapping[str, str]) -> str:
    """The method that is meant: networks that know no PATCH send a POST and say so."""
    return headers.get("x-http-method-override", given).upper()


def on_any(verb: str, headers: Mapping[str, str]) -> TusAnswer | None:
    """Refuse a request of another version; None for one that goes on."""
    if verb == "OPTIONS" or headers.get("tus-resumable") == TUS_VERSION:
        return None
    return _answer(412, "this server speaks tus 1.0.0 only", {"Tus-Version": TUS_VERSION})


def on_options(max_bytes: int) -> TusAnswer:
    """Return the offer of this server. It has no Tus-Resumable: which version is spoken isn't settled yet."""
    return TusAnswer(
        204,
        {
            "Tus-Version": TUS_VERSION,
            "Tus-Extension": ",".join(EXTENSIONS),
            "Tus-Max-Size": str(max_bytes),
            "Tus-Checksum-Algorithm": ",".join(CHECKSUMS),
            "Cache-Control": "no-store",
        },
    )


def on_create(headers: Mapping[str, str], max_bytes: int) -> TusAnswer | Create:
    """A POST to where uploads are made. `headers`: by their names in lower case, here and below."""
    if "upload-concat" in headers:
        return _answer(400, "Upload-Concat: concatenation is not offered here")
    length = _announced(headers, max_bytes)
    if isinstance(length, TusAnswer):
        return length
    metadata = headers.get("upload-metadata", "")
    names = parse_metadata(metadata)
    if names is None:
        return _answer(400, "Upload-Metadata: expected pairs of a key and a value in base64, separated by commas")
    append = None
    if headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
        if (refusal := _content_type(headers)) is not None:
            return refusal
        checksum = _checksum(headers)
        if isinstance(checksum, TusAnswer):
            return checksum
        most = max_bytes if length is None else length
        if (refusal := _too_long(headers, most, length is not None)) is not None:
            return refusal
        append = Append(0, length, most, checksum)
    return Create(length, metadata, names, append)


def on_head(upload: TusUpload | None, *, now: float) -> TusAnswer:
    """Say how far an upload is; None: it is unknown, gone, or somebody else's."""
    if upload is None:
        return _gone()
    if upload.expires <= now:
        return _expired()
    headers = {"Upload-Offset": str(upload.offset), "Upload-Expires": http_date(upload.expires)}
    if upload.length is None:
        headers["Upload-Defer-Length"] = "1"
    else:
        headers["Upload-Length"] = str(upload.length)
    if upload.metadata:
        headers["Upload-Metadata"] = upload.metadata
    return _answer(200, "", headers)


def on_patch(
    headers: Mapping[str, str], upload: TusUpload | None, *, now: float, busy: bool, max_bytes: int
) -> TusAnswer | Append:
    """A PATCH. `busy`: another request writes to it right now."""
    if (refusal := _content_type(headers)) is not None:
        return refusal
    if upload is None:
        return _gone()
    if upload.expires <= now:
        return _expired()
    offset = _number(headers.get("upload-offset"))
    if offset is None:
        return _answer(400, "Upload-Offset: expected a number of bytes")
    if busy:
        return _answer(423, "another request is writing to this upload")
    if offset != upload.offset:
        return _answer(409, f"Upload-Offset: this upload is at {upload.offset}", {"Upload-Offset": str(upload.offset)})
    length = _length_now(headers, upload, max_bytes)
    if isinstance(length, TusAnswer):
        return length
    checksum = _checksum(headers)
    if isinstance(checksum, TusAnswer):
        return checksum
    most = (max_bytes if length is None else length) - offset
    if (refusal := _too_long(headers, most, length is not None)) is not None:
        return refusal
    return Append(offset, length, most, checksum)


def on_delete(upload: TusUpload | None, *, busy: bool) -> TusAnswer:
    """A DELETE. On 204 the caller removes the upload."""
    if upload is None:
        return _gone()
    if busy:
        return _answer(423, "another request is writing to this upload")
    return _answer(204)


def created(location: str, upload: TusUpload) -> TusAnswer:
    """After an upload was made. `location`: absolute, as a proxy may stand before us."""
    headers = {"Location": location, "Upload-Offset": str(upload.offset), "Upload-Expires": http_date(upload.expires)}
    return _answer(201, "", headers)


def appended(upload: TusUpload) -> TusAnswer:
    """After a body was stored, and is on disk up to the offset that this acknowledges."""
    return _answer(204, "", {"Upload-Offset": str(upload.offset), "Upload-Expires": http_date(upload.expires)})


def mismatch() -> TusAnswer:
    """After a body whose checksum is another; the caller has dropped all of it."""
    return _answer(460, "the checksum of this part is another; please send it again")


def surplus(length_known: bool) -> TusAnswer:
    """After a body that went past `Append.most`; the caller has dropped what was too much."""
    if length_known:
        return _answer(400, "this part goes past the Upload-Length")
    return _answer(413, "this file is too large")


def parse_metadata(value: str) -> dict[str, str] | None:
    """Upload-Metadata: keys, each with its value in base64 or none. None where it isn't that."""
    found: dict[str, str] = {}
    if len(value) > METADATA_CHARS:
        return None
    if not value.strip():
        return found
    for pair in value.split(","):
        key, _, encoded = pair.strip().partition(" ")
        if not _KEY.fullmatch(key) or key in found:
            return None
        try:
            found[key] = base64.b64decode(encoded.strip(), validate=True).decode("utf-8", "replace")
        except (binascii.Error, ValueError):
            return None
    return found


def http_date(seconds: float) -> str:
    """A time as headers have it (RFC 9110, 5.6.7)."""
    return formatdate(seconds, usegmt=True)


def _announced(headers: Mapping[str, str], max_bytes: int) -> int | TusAnswer | None:
    """The length that a creation names, None where it comes later."""
    deferred = headers.get("upload-defer-length")
    if deferred is not None:
        if deferred != "1" or "upload-length" in headers:
            return _answer(400, "Upload-Defer-Length: expected 1, and no Upload-Length")
        return None
    length = _number(headers.get("upload-length"))
    if length is None:
        return _answer(400, "Upload-Length: expected a number of bytes (or Upload-Defer-Length: 1)")
    return _large(max_bytes) if length > max_bytes else length


def _length_now(headers: Mapping[str, str], upload: TusUpload, max_bytes: int) -> int | TusAnswer | None:
    """The upload's length, which a PATCH may name if it isn't known yet; once known it never changes."""
    if "upload-length" not in headers:
        return upload.length
    length = _number(headers["upload-length"])
    if length is None or length < upload.offset:
        return _answer(400, "Upload-Length: expected a number of bytes, of what is stored already at least")
    if upload.length not in (None, length):
        return _answer(400, "Upload-Length: it was another before")
    return _large(max_bytes) if length > max_bytes else length


def _too_long(headers: Mapping[str, str], most: int, length_known: bool) -> TusAnswer | None:
    """Refuse a body by its announced size, before a byte of it is read."""
    size = _number(headers.get("content-length"))
    return surplus(length_known) if size is not None and size > most else None


def _content_type(headers: Mapping[str, str]) -> TusAnswer | None:
    if headers.get("content-type", "").strip().lower() == CONTENT_TYPE:
        return None
    return _answer(415, f"Content-Type: expected {CONTENT_TYPE}")


def _checksum(headers: Mapping[str, str]) -> Checksum | TusAnswer | None:
    value = headers.get("upload-checksum")
    if value is None:
        return None
    algorithm, _, encoded = value.strip().partition(" ")
    if algorithm not in CHECKSUMS:
        return _answer(400, f"Upload-Checksum: expected one of {', '.join(CHECKSUMS)}")
    try:
        digest = base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError):
        digest = b""
    if len(digest) != hashlib.new(algorithm, usedforsecurity=False).digest_size:
        return _answer(400, f"Upload-Checksum: expected {algorithm} and its digest in base64")
    return Checksum(algorithm, digest)


def _number(value: str | None) -> int | None:
    return int(value) if value is not None and _DIGITS.fullmatch(value.strip()) else None


def _large(max_bytes: int) -> TusAnswer:
    return _answer(413, f"Upload-Length: at most {max_bytes} bytes are taken", {"Tus-Max-Size": str(max_bytes)})


def _gone() -> TusAnswer:
    return _answer(404, "this upload is not known here (any more)")


def _expired() -> TusAnswer:
    return _answer(410, "this upload has expired; please begin anew")


def _answer(status: int, message: str = "", headers: Mapping[str, str] | None = None) -> TusAnswer:
    return TusAnswer(status, {"Tus-Resumable": TUS_VERSION, "Cache-Control": "no-store", **(headers or {})}, message)
