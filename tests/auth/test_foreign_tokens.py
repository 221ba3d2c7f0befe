"""Ways of presenting a wrong token: each is refused, whatever it says of itself."""

import json
from typing import Any

import pytest
from joserfc.jwk import ECKey, OctKey, OKPKey
from trio.testing import MockClock

from chatd.auth.foreign_tokens import PUBLIC_ALGORITHMS, SHARED_ALGORITHMS, Rules, look, verify
from chatd.auth.key_source import FixedKeys
from chatd.auth.public_keys import MAX_KEYS, BadKeys, VerificationKey, keys_in
from chatd.auth.tokens import BadToken
from chatd.testing.harness import START
from support.foreign import GOOD, TOKEN, WRONG, good
from support.issuers import (
    AUDIENCE,
    EC,
    ED,
    ISSUER,
    NOW,
    OTHER,
    RSA,
    SHARED_SECRET,
    key_set,
    public,
    shared,
    token,
)

RULES = Rules(
    algorithms=PUBLIC_ALGORITHMS,
    issuer=ISSUER,
    audience=(AUDIENCE, "other"),
    parties=("web",),
    require=("sid",),
    leeway=30,
)


async def checked(text: str, rules: Rules = RULES, keys: FixedKeys | None = None) -> Any:
    said = look(text)
    if said is None:
        raise BadToken("no token")
    return (await verify(text, said, keys or FixedKeys(*keys_in(key_set())), rules, START)).claims


@pytest.mark.parametrize("name", WRONG)
async def test_wrong_token_is_refused(name: str, autojump_clock: MockClock) -> None:
    with pytest.raises(BadToken) as caught:
        await checked(WRONG[name])
    assert not caught.value.expired
    assert "pat-1" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        TOKEN,
        token(good(aud=["x", AUDIENCE])),
        token(GOOD, header={"kid": None}),
        token(GOOD, header={"typ": None}),
        token(GOOD, header={"typ": "at+JWT"}),
        token(good(nbf=NOW + 29, iat=NOW + 29)),
        token(good(exp=NOW - 29)),
        token(good(exp=NOW + 0.5)),
        token(GOOD, alg="ES256"),
        token(GOOD, alg="EdDSA"),
    ],
)
async def test_good_token_is_taken(text: str, autojump_clock: MockClock) -> None:
    assert (await checked(text))["sub"] == "pat-1"


async def test_token_that_is_over_is_told_from_a_wrong_one(autojump_clock: MockClock) -> None:
    with pytest.raises(BadToken) as caught:
        await checked(token(good(exp=NOW - 30)))
    assert caught.value.expired
    with pytest.raises(BadToken) as caught:
        await checked(token(good(exp=NOW - 30), key=OTHER))
    assert not caught.value.expired, "who signs it wrongly learns nothing"


@pytest.mark.parametrize("alg", ["RS256", "ES256", "EdDSA"])
async def test_secret_is_no_public_key_and_a_public_key_no_secret(alg: str, autojump_clock: MockClock) -> None:
    keys = FixedKeys(VerificationKey("HS256", None, OctKey.import_key(SHARED_SECRET)))
    rules = Rules(algorithms=SHARED_ALGORITHMS)
    assert await checked(shared(GOOD), rules, keys)
    with pytest.raises(BadToken, match="algorithm"):
        await checked(token(GOOD, alg=alg), rules, keys)
    with pytest.raises(BadToken, match="algorithm"):
        await checked(shared(GOOD))


# -- sets of keys --

USELESS: dict[str, dict[str, Any]] = {
    "a secret": {"kty": "oct", "k": "AAAA", "kid": "a", "alg": "HS256"},
    "for encryption": public(RSA, use="enc"),
    "another algorithm": public(RSA, alg="RSA-OAEP"),
    "RSA for PS256": public(RSA, alg="PS256"),
    "operations without verify": public(RSA, key_ops=["encrypt"]),
    "short RSA": public(RSA, n="f" * 171),
    "huge RSA": public(RSA, n="A" + "f" * 2600),
    "huge exponent": public(RSA, e="f" * 300),
    "exponent of one": public(RSA, e="AQ"),
    "RSA without a number": public(RSA, n=None),
    "numbers in place of text": public(RSA, n=5, e=3),
    "P-384": public(ECKey.generate_key("P-384", {"kid": "p"}, auto_kid=False)),
    "secp256k1": public(EC, crv="secp256k1"),
    "point off its curve": public(EC, y="A" * 43),
    "X25519": public(OKPKey.generate_key("X25519", {"kid": "x"}, auto_kid=False)),
    "short Ed25519": public(ED, x="AAAA"),
    "kid that is a list": public(RSA, kid=["a"]),
    "huge kid": public(RSA, kid="x" * 600),
    "kind that is none": {"kty": "PQC", "kid": "a"},
    "kind that is a list": {"kty": ["RSA"]},
    "nothing": {},
}


@pytest.mark.parametrize("name", USELESS)
def test_key_of_no_use_is_passed_over(name: str) -> None:
    with pytest.raises(BadKeys, match="none of its keys"):
        keys_in(key_set(USELESS[name]))
    found = keys_in(key_set(USELESS[name], public(EC)))
    assert [(key.algorithm, key.kid) for key in found] == [("ES256", "ec-1")]


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"<html>",
        b"[]",
        b'{"keys": {}}',
        b'{"keys": [5, null, "x"]}',
        b"[" * 200_000,
        key_set(*[public(EC, kid=str(n)) for n in range(MAX_KEYS + 1)]),
    ],
)
def test_set_that_is_none_is_refused(text: bytes) -> None:
    with pytest.raises(BadKeys):
        keys_in(text)


def test_private_members_of_a_key_are_not_taken_in() -> None:
    (found,) = keys_in(json.dumps({"keys": [{**RSA.as_dict(private=True), "use": "sig"}]}).encode())
    assert not found.key.is_private


def test_first_key_of_a_name_counts() -> None:
    found = keys_in(key_set(public(RSA), public(OTHER)))
    assert [key.key.as_dict(private=False)["n"] for key in found] == [RSA.as_dict(private=False)["n"]]
