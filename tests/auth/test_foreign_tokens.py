"""Ways of presenting a wrong token: each is refused, whatever it says of itself."""

import hmac
import json
from base64 import urlsafe_b64encode
from hashlib import sha256
from typing import Any

import pytest
from joserfc.jwk import ECKey, OctKey, OKPKey
from trio.testing import MockClock

from chatd.auth.foreign_tokens import PUBLIC, SHARED, Rules, look, verify
from chatd.auth.key_source import FixedKeys
from chatd.auth.public_keys import MAX_KEYS, BadKeys, VerificationKey, keys_in
from chatd.auth.tokens import BadToken
from chatd.testing.harness import START
from support.issuers import (
    AUDIENCE,
    EC,
    ED,
    ISSUER,
    NOW,
    OTHER,
    RSA,
    SHARED_SECRET,
    claims,
    key_set,
    public,
    shared,
    token,
    unsigned,
)

RULES = Rules(
    algorithms=PUBLIC, issuer=ISSUER, audience=(AUDIENCE, "other"), parties=("web",), require=("sid",), leeway=30
)
GOOD = claims(azp="web", sid="s-1")


def good(**more: Any) -> dict[str, Any]:
    return {name: value for name, value in {**GOOD, **more}.items() if value is not None}


def signed_with_public_key(pem: bool) -> str:
    """HS256, whose secret is the issuer's public key: anybody has it."""
    secret = RSA.as_pem(private=False) if pem else json.dumps(public(RSA)).encode()
    text = unsigned({"alg": "HS256", "kid": "rsa-1"}, GOOD).rpartition(".")[0]
    signature = hmac.digest(secret, text.encode(), sha256)
    return f"{text}.{urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def parts_of(text: str, **replaced: str) -> str:
    header, payload, signature = text.split(".")
    return ".".join(
        [replaced.get("header", header), replaced.get("payload", payload), replaced.get("signature", signature)]
    )


TOKEN = token(GOOD)

WRONG: dict[str, str] = {
    "alg none": unsigned({"alg": "none"}, GOOD),
    "alg none without a signature": unsigned({"alg": "none"}, GOOD, signature=""),
    "alg None": unsigned({"alg": "None", "kid": "rsa-1"}, GOOD),
    "no alg": unsigned({"kid": "rsa-1"}, GOOD),
    "alg that is a list": unsigned({"alg": ["RS256"]}, GOOD),
    "HS256 with the public key in PEM": signed_with_public_key(pem=True),
    "HS256 with the public key in JSON": signed_with_public_key(pem=False),
    "HS256 with an empty key": unsigned({"alg": "HS256"}, GOOD),
    "RS384": token(GOOD, alg="RS384", key=RSA),
    "PS256": token(GOOD, alg="PS256", key=RSA),
    "RS256 said of a P-256 key": parts_of(TOKEN, header=token(GOOD, header={"kid": "ec-1"}).split(".")[0]),
    "ES256 said of an RSA key": unsigned({"alg": "ES256", "kid": "rsa-1"}, GOOD),
    "another's key of the same kid": token(GOOD, key=OTHER),
    "unknown kid": token(GOOD, header={"kid": "unknown"}),
    "kid that is a path": token(GOOD, header={"kid": "../../dev/null"}),
    "kid that is SQL": token(GOOD, header={"kid": "' OR 1=1 --"}),
    "kid that is a number": token(GOOD, header={"kid": 1}),
    "huge kid": token(GOOD, header={"kid": "x" * 2000}),
    "own key in the header": token(GOOD, key=OTHER, header={"kid": "x", "jwk": public(OTHER)}),
    "own address of keys": token(GOOD, key=OTHER, header={"kid": "x", "jku": "https://evil.example/keys"}),
    "own certificate": token(GOOD, key=OTHER, header={"kid": "x", "x5u": "https://evil.example/c"}),
    "unknown crit": token(GOOD, header={"crit": ["x"], "x": 1}),
    "empty crit": token(GOOD, header={"crit": []}),
    "unencoded payload": token(GOOD, header={"b64": False, "crit": ["b64"]}),
    "logout token": token(GOOD, header={"typ": "logout+jwt"}),
    "proof": token(GOOD, header={"typ": "dpop+jwt"}),
    "typ that is a number": token(GOOD, header={"typ": 5}),
    "changed payload": parts_of(TOKEN, payload=token(good(sub="admin-1")).split(".")[1]),
    "changed header": parts_of(TOKEN, header=token(GOOD, header={"typ": "at+jwt"}).split(".")[0]),
    "signature cut short": TOKEN[:-8],
    "signature of another token": parts_of(TOKEN, signature=token(good(sub="x")).split(".")[2]),
    "no signature": TOKEN.rpartition(".")[0] + ".",
    "signature of zeros": unsigned({"alg": "ES256", "kid": "ec-1"}, GOOD, signature="A" * 86),
    "two parts": TOKEN.rpartition(".")[0],
    "five parts": TOKEN + ".AAAA.AAAA",
    "blank within": TOKEN.replace(".", ". ", 1),
    "newline at the end": TOKEN + "\n",
    "huge": token(good(x="x" * 9000)),
    "payload that is a list": token(b"[]"),
    "payload that is no JSON": token(b"sub=pat-1"),
    "deep payload": token(b"[" * 5000),
    "another issuer": token(good(iss="https://evil.example")),
    "issuer with a slash more": token(good(iss=ISSUER + "/")),
    "issuer that is a list": token(good(iss=[ISSUER])),
    "no issuer": token(good(iss=None)),
    "another audience": token(good(aud="another")),
    "audience that only begins alike": token(good(aud=AUDIENCE + "2")),
    "audience that is an object": token(good(aud={"a": AUDIENCE})),
    "no audience": token(good(aud=None)),
    "another party": token(good(azp="https://evil.example")),
    "no party": token(good(azp=None)),
    "a required claim missing": token(good(sid=None)),
    "a required claim empty": token(good(sid="")),
    "no end": token(good(exp=None)),
    "end that is text": token(good(exp="9999999999")),
    "end that is true": token(good(exp=True)),
    "end that is infinite": token(json.dumps(GOOD).replace(str(NOW + 600), "1e999").encode()),
    "end that is no number": token(json.dumps(GOOD).replace(str(NOW + 600), "NaN").encode()),
    "not yet": token(good(nbf=NOW + 31)),
    "not yet, in text": token(good(nbf="soon")),
    "made tomorrow": token(good(iat=NOW + 86_400)),
    "made at no time": token(good(iat="x")),
}


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
    rules = Rules(algorithms=SHARED)
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
