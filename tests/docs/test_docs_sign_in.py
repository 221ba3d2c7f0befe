"""The recipes in docs/sign-in.md: each takes a token of the shape that the service makes."""

import re
from pathlib import Path
from typing import Any

import pytest
from trio.testing import MockClock

from chatd import testing
from chatd.config import Config, read
from storage.changes import PutUser
from storage.memory import MemoryStore
from support.clinics import Clinic
from support.issuers import EC, NOW, RSA, Web, claims, key_set, public, token

DOCS = (Path(__file__).parents[2] / "docs" / "sign-in.md").read_text()
RECIPES: dict[str, str] = dict(re.findall(r"### (\w+)\n\n```toml\n(.*?)```", DOCS, flags=re.DOTALL))

USER = "8f14e45f-ceea-467f-9a36-dedd4bea2543"


def says(**more: Any) -> dict[str, Any]:
    """The claims of a token, without those that only our own tests' issuer has."""
    return {**claims(iss=None, aud=None, sub=None), **more}


# Shapes: as each service's documentation shows a token of its own, and its set of keys.
TOKENS: dict[str, tuple[str, dict[str, Any], dict[str, Any], str, str]] = {
    "Clerk": (
        "RS256",
        {"typ": "JWT", "cat": "cl_B7d4PD111AAA"},
        says(
            azp="https://www.CLINIC.example", iss="https://clerk.CLINIC.example", nbf=NOW - 10, exp=NOW + 60,
            sid="sess_2GaMqUCB3Sc1WNAkWuNzsnYVVEy", sub="user_2CRmdVqyuKWZJnBzWMc7ZyfZ4cN", v=2, sts="active",
            fva=[0, -1], o=None,
        ),
        "user_2CRmdVqyuKWZJnBzWMc7ZyfZ4cN",
        "patient",
    ),
    "Supabase": (
        "ES256",
        {"typ": "JWT"},
        says(
            iss="https://PROJECT.supabase.co/auth/v1", aud="authenticated", sub=USER, email="a@b.example", phone="",
            app_metadata={"provider": "email", "providers": ["email"], "role": "dentist"},
            user_metadata={"role": "admin"}, role="authenticated", aal="aal1", session_id="s", is_anonymous=False,
            amr=[{"method": "password", "timestamp": NOW}],
        ),
        USER,
        "dentist",
    ),
    "Firebase": (
        "RS256",
        {"typ": "JWT"},
        says(
            iss="https://securetoken.google.com/PROJECT", aud="PROJECT", auth_time=NOW - 100, name="Ada",
            user_id="AbCdEfGhIjKlMnOpQrStUvWxYz12", sub="AbCdEfGhIjKlMnOpQrStUvWxYz12", email_verified=True,
            firebase={"identities": {"email": ["a@b.example"]}, "sign_in_provider": "password"},
        ),
        "AbCdEfGhIjKlMnOpQrStUvWxYz12",
        "patient",
    ),
    "Entra": (
        "RS256",
        {"typ": "JWT", "x5t": "thumb"},
        says(
            aud="CLIENT", iss="https://login.microsoftonline.com/TENANT/v2.0", nbf=NOW - 10, aio="A", azp="CLIENT",
            azpacr="1", name="Ada", oid=USER, preferred_username="ada@clinic.example", rh="0.A", scp="access_as_user",
            roles=["Chat.Staff", "Other"], sub="HKZpfaHyWadeOouYlitjrI-KffTm222X5rrV3xDqfKQ", tid="TENANT", uti="u",
            ver="2.0",
        ),
        USER,
        "staff",
    ),
    "Keycloak": (
        "RS256",
        {"typ": "JWT"},
        says(
            iss="https://id.CLINIC.example/realms/CLINIC", aud="account", sub=USER, typ="Bearer", azp="chat-page",
            sid="s", acr="1", realm_access={"roles": ["offline_access", "dentist", "uma_authorization"]},
            resource_access={"account": {"roles": ["manage-account"]}}, scope="openid profile", name="Ada",
            preferred_username="admin",
        ),
        USER,
        "dentist",
    ),
}  # fmt: skip

KEYS = key_set(
    {"kid": "enc", "kty": "RSA", "alg": "RSA-OAEP", "use": "enc", "n": "AQAB", "e": "AQAB", "x5c": ["MIIC"]},
    public(RSA, alg="RS256", x5c=["MIIC"], x5t="thumb", issuer="https://login.example/TENANT/v2.0"),
    public(EC, alg="ES256", key_ops=["verify"], ext=True),
)


def settings(name: str, tmp_path: Path) -> Config:
    file = tmp_path / "chatd.toml"
    file.write_text('[auth]\nmethods = ["jwt"]\n' + RECIPES[name])
    return read(file, {}, {}).config


def test_every_recipe_has_a_token_here() -> None:
    assert set(RECIPES) == set(TOKENS)


@pytest.mark.parametrize("name", TOKENS)
async def test_recipe_takes_a_token_of_the_service(name: str, tmp_path: Path, autojump_clock: MockClock) -> None:
    alg, header, content, user, role = TOKENS[name]
    config = settings(name, tmp_path)
    (table,) = config.jwt.values()
    store = MemoryStore(epoch="e")
    store.commit([PutUser(user, "Ada", "patient", 1)])
    web = Web(**{table.jwks: KEYS})
    async with testing.daemon(development=False, store=store, config=config, fetch=web.fetch) as server:
        clinic = Clinic(server)

        async def ask(text: str) -> int:
            return (await clinic.ask("GET", "/v1/me", origin=None, Authorization=f"Bearer {text}")).status

        assert await ask(token(content, alg=alg, header=header)) == 200
        found = store.user(user)
        assert found is not None
        assert found.role == role
        other_project = {k: v.replace("PROJECT", "OTHER").replace("CLINIC", "OTHER").replace("TENANT", "OTHER")
                         for k, v in content.items() if isinstance(v, str)}  # fmt: skip
        assert await ask(token({**content, **other_project}, alg=alg)) == 401
        for claim in ("exp", "iss", *(["aud"] if table.audience else ["azp"]), *table.require):
            assert await ask(token({k: v for k, v in content.items() if k != claim}, alg=alg)) == 401, claim
