"""Codes of authenticator apps, by the numbers of RFC 4226 and RFC 6238."""

from base64 import b32encode
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from chatd.auth import totp
from chatd.auth.sealing import Sealer, Unsealable

RFC_SECRET = b32encode(b"12345678901234567890").decode()
RFC_4226 = ["755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"]
RFC_6238 = {59: "287082", 1111111109: "081804", 1111111111: "050471", 1234567890: "005924", 20000000000: "353130"}


def test_codes_are_those_of_the_standard() -> None:
    assert [totp.code_at(RFC_SECRET, step) for step in range(10)] == RFC_4226
    assert {second: totp.code_at(RFC_SECRET, second // 30) for second in RFC_6238} == RFC_6238


@pytest.mark.parametrize(("off", "counts"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_code_counts_a_step_before_and_after_its_time(off: int, counts: bool) -> None:
    code = totp.code_at(RFC_SECRET, 1000 + off)
    assert totp.matching_step(RFC_SECRET, code, 1000 * 30_000, after=-1) == (1000 + off if counts else None)


def test_code_of_a_step_that_is_over_does_not_count() -> None:
    code = totp.code_at(RFC_SECRET, 1000)
    assert totp.matching_step(RFC_SECRET, code, 1000 * 30_000, after=999) == 1000
    assert totp.matching_step(RFC_SECRET, code, 1000 * 30_000, after=1000) is None


def test_secrets_differ_and_have_160_bits() -> None:
    made = {totp.make_secret() for _ in range(50)}
    assert (len(made), {len(secret) for secret in made}) == (50, {32})


def test_address_tells_an_app_all_it_needs() -> None:
    url = urlsplit(totp.address_of(RFC_SECRET, "Clinic: Dr. Ä & Co", "ad/min"))
    assert (url.scheme, url.netloc, unquote(url.path)) == ("otpauth", "totp", "/Clinic: Dr. Ä & Co:ad/min")
    assert parse_qs(url.query) == {
        "secret": [RFC_SECRET], "issuer": ["Clinic: Dr. Ä & Co"], "digits": ["6"], "period": ["30"]
    }  # fmt: skip


def test_sealed_text_opens_for_its_owner_and_key_alone() -> None:
    sealer = Sealer(b"k" * 32)
    sealed = sealer.seal("secret", "ada")
    assert sealed != sealer.seal("secret", "ada")
    assert sealer.open(sealed, "ada") == "secret"
    for other, text, owner in ((sealer, sealed, "bo"), (Sealer(b"l" * 32), sealed, "ada"), (sealer, sealed[2:], "ada")):
        with pytest.raises(Unsealable):
            other.open(text, owner)
    for text in ("", "AAAA", "ü", sealed[:20] + "A" + sealed[21:]):
        with pytest.raises(Unsealable):
            sealer.open(text, "ada")
