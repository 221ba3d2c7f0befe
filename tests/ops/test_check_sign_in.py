"""What `chatd check` finds out about issuers and identity services."""

import json
from pathlib import Path
from typing import Any

import pytest

from chatd.config import Auth, Config, Jwt, Oidc, Server
from chatd.ops.check_sign_in import sign_in
from support.issuers import ISSUER, Web, key_set

KEYS = f"{ISSUER}/keys"
DESCRIBED = f"{ISSUER}/.well-known/openid-configuration"
DESCRIPTION = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/auth",
    "token_endpoint": f"{ISSUER}/token",
    "jwks_uri": KEYS,
}


def found(web: Web, **tables: Any) -> dict[str, tuple[str, str]]:
    config = Config(server=Server(public_url="https://chat.example"), auth=Auth(methods=("jwt", "oidc")), **tables)
    return {one.what: (one.level, one.text) for one in sign_in(config, web.fetch) if one.what != "sign-in"}


def jwt(jwks: str) -> dict[str, Jwt]:
    return {"clinic": Jwt(issuer=ISSUER, audience=("chat",), jwks=jwks)}


def oidc(**more: Any) -> dict[str, Oidc]:
    return {"entra": Oidc(**{"issuer": ISSUER, "client_id": "c", "client_secret": "s", **more})}


def test_keys_that_can_be_had_are_counted(tmp_path: Path) -> None:
    web = Web(**{KEYS: key_set(), DESCRIBED: json.dumps(DESCRIPTION).encode()})
    expected = ("ok", "3 keys to check its tokens with")
    assert found(web, jwt=jwt(KEYS), oidc=oidc()) == {"jwt clinic": expected, "oidc entra": expected}
    file = tmp_path / "keys.json"
    file.write_bytes(key_set())
    assert found(web, jwt=jwt(str(file))) == {"jwt clinic": expected}


@pytest.mark.parametrize("page", [None, b"<html>", b'{"keys": []}'])
def test_keys_that_cannot_be_had_are_told(page: bytes | None) -> None:
    web = Web(**({} if page is None else {KEYS: page}))
    ((what, (level, text)),) = found(web, jwt=jwt(KEYS)).items()
    assert (what, level) == ("jwt clinic", "wrong")
    assert text.startswith("no keys to check its tokens with: ")


def test_service_that_is_another_one_is_told(tmp_path: Path) -> None:
    web = Web(**{KEYS: key_set(), DESCRIBED: json.dumps({**DESCRIPTION, "issuer": "https://evil.example"}).encode()})
    assert found(web, oidc=oidc())["oidc entra"][0] == "wrong"
    missing = found(web, oidc=oidc(client_secret="", client_secret_file=str(tmp_path / "none")))
    assert missing["oidc"] == ("wrong", f"{tmp_path}/none: is not there")


def test_shared_secret_asks_nobody() -> None:
    web = Web()
    assert found(web, jwt={"app": Jwt(secret="s" * 32)}) == {}
    assert web.asked == []
