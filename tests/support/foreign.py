"""Ways of presenting a wrong token, of an issuer that wants `azp` and `sid`, by name."""

import hmac
import json
from base64 import urlsafe_b64encode
from hashlib import sha256
from typing import Any

from .issuers import AUDIENCE, ISSUER, NOW, OTHER, RSA, claims, public, token, unsigned

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
