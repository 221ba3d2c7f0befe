"""Tables of which there is one for each name that an operator gives."""

from pathlib import Path

import pytest

from chatd.config import Config, ConfigError, Jwt, as_toml, example, read
from chatd.config.settings import FAMILY_SETTINGS
from chatd.ops.reload import merge

BEGIN = '[auth]\nmethods = ["jwt"]\n'
GOOD = '[auth.jwt.app]\nsecret = "{}"\n'.format("s" * 32)


def loaded(tmp_path: Path, text: str, **environment: str) -> Config:
    file = tmp_path / "chatd.toml"
    file.write_text(text)
    return read(file, {}, environment).config


def refusal(tmp_path: Path, text: str, **environment: str) -> str:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, text, **environment)
    return str(caught.value).replace(f"{tmp_path}/", "")


def test_table_of_each_name_is_read(tmp_path: Path) -> None:
    text = BEGIN + GOOD + '[auth.jwt.id-2]\nissuer = "i"\naudience = ["a"]\njwks = "keys.json"\nuser_prefix = "i-"\n'
    config = loaded(tmp_path, text, CHATD_AUTH_JWT_APP_USER="user.id", CHATD_AUTH_JWT_APP_USER_PREFIX="a-")
    assert config.jwt == {
        "app": Jwt(secret="s" * 32, user="user.id", user_prefix="a-"),
        "id-2": Jwt(issuer="i", audience=("a",), jwks=str(tmp_path / "keys.json"), user_prefix="i-"),
    }


def test_table_may_come_from_the_environment_alone() -> None:
    environment = {
        "CHATD_AUTH_METHODS": "jwt",
        "CHATD_AUTH_JWT_CLERK_ISSUER": "https://clerk.example",
        "CHATD_AUTH_JWT_CLERK_JWKS": "https://clerk.example/keys",
        "CHATD_AUTH_JWT_CLERK_AUTHORIZED_PARTIES": "https://a.example,https://b.example",
    }
    (found,) = read(None, {}, environment).config.jwt.values()
    assert found.authorized_parties == ("https://a.example", "https://b.example")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", 'chatd.toml: [auth] methods: "jwt" needs a table with settings, [auth.jwt.NAME]'),
        ("[auth.jwt]\nissuer = 5", "chatd.toml: [auth.jwt] issuer = 5: expected a table, [auth.jwt.issuer]"),
        (
            "[auth.jwt.Clerk]\nuser = 'a'",
            'chatd.toml: [auth.jwt] "Clerk": expected a name of small letters, digits, _ and -',
        ),
        ("[auth.jwt.a]\nisuer = 5", "chatd.toml: [auth.jwt.a] isuer: unknown key; did you mean issuer?"),
        ("[auth.jwt.a]\nleeway = 900", "chatd.toml: [auth.jwt.a] leeway = 900: expected a number from 0 to 300"),
        (
            '[auth.jwt.a]\nsecret = "short"',
            "chatd.toml: [auth.jwt.a] secret = ...: expected 32 to 1024 characters",
        ),
        (
            '[auth.jwt.a]\njwks = "http://a.example/keys"',
            'chatd.toml: [auth.jwt.a] jwks = "http://a.example/keys": expected an https address or the path of a file',
        ),
        ('[auth.jwt.a]\nuser = "b"', "chatd.toml: [auth.jwt.a] no keys: one of jwks, secret and secret_file is needed"),
        (
            GOOD + 'jwks = "x"',
            "chatd.toml: [auth.jwt.app] jwks and secret: one of jwks, secret and secret_file is needed",
        ),
        ('[auth.jwt.a]\njwks = "x"', "chatd.toml: [auth.jwt.a] issuer: needed with jwks"),
        (
            '[auth.jwt.a]\njwks = "x"\nissuer = "i"',
            "chatd.toml: [auth.jwt.a] audience: needed with jwks, or authorized_parties; else tokens for other "
            "services count here",
        ),
        (GOOD + 'role = "x"', "chatd.toml: [auth.jwt.app] role and roles: the one needs the other"),
        (
            GOOD + GOOD.replace("app", "bpp"),
            "chatd.toml: [auth.jwt.bpp] issuer: needed, as another table has none either",
        ),
        (
            GOOD + GOOD.replace("app", "bpp") + 'issuer = "i"',
            "chatd.toml: [auth.jwt.bpp] user_prefix: the same as that of another issuer, whose users would be the same "
            "people",
        ),
    ],
)
def test_wrong_table_gets_one_exact_line(text: str, message: str, tmp_path: Path) -> None:
    assert refusal(tmp_path, BEGIN + text) == message


def test_two_ways_to_check_tokens_of_one_issuer_may_stand_side_by_side(tmp_path: Path) -> None:
    old = GOOD + 'issuer = "i"\n'
    new = '[auth.jwt.new]\nissuer = "i"\naudience = ["a"]\njwks = "https://i.example/keys"\n'
    assert set(loaded(tmp_path, BEGIN + old + new).jwt) == {"app", "new"}


def test_secret_is_never_shown_and_the_rest_is(tmp_path: Path) -> None:
    file = tmp_path / "chatd.toml"
    file.write_text(BEGIN + GOOD)
    found = read(file, {}, {})
    shown = as_toml(found)
    assert "s" * 32 not in shown + repr(found.config)
    assert "[auth.jwt.app]" in shown
    assert f'secret = "***"  # {file}' in shown


def test_example_has_every_key_of_a_family() -> None:
    text = example()
    for family, settings in FAMILY_SETTINGS.items():
        assert f"# [{family}.NAME]" in text
        for key in settings:
            assert f"\n# {key} = " in text


def test_changed_table_waits_for_a_restart() -> None:
    merged = merge(Config(), Config(jwt={"a": Jwt(secret="s" * 32)}))
    assert (merged.config, merged.applied, merged.waiting) == (Config(), [], ["auth.jwt"])


OIDC = """
[server]
public_url = "https://chat.example"
[auth]
methods = ["oidc"]
[auth.oidc.entra]
issuer = "https://id.example/t/v2.0"
client_id = "c"
client_secret_file = "entra"
"""


def test_identity_service_is_read(tmp_path: Path) -> None:
    (found,) = loaded(tmp_path, OIDC, CHATD_AUTH_OIDC_ENTRA_TITLE="Microsoft").oidc.values()
    assert (found.title, found.client_secret_file) == ("Microsoft", str(tmp_path / "entra"))


@pytest.mark.parametrize(
    ("taken", "message"),
    [
        ('public_url = "https://chat.example"', "[server] public_url: needed, as the service sends people back to it"),
        ('issuer = "https://id.example/t/v2.0"', "issuer: needed"),
        ('client_id = "c"', "client_id: needed"),
        ('client_secret_file = "entra"', "client_secret_file: needed, or client_secret"),
    ],
)
def test_identity_service_lacks_nothing(taken: str, message: str, tmp_path: Path) -> None:
    assert refusal(tmp_path, OIDC.replace(taken, "")) == f"chatd.toml: [auth.oidc.entra] {message}"


def test_issuer_of_an_identity_service_is_by_https(tmp_path: Path) -> None:
    text = OIDC.replace("https://id", "http://id")
    message = 'chatd.toml: [auth.oidc.entra] issuer = "http://id.example/t/v2.0": expected an https address'
    assert refusal(tmp_path, text) == message
    assert loaded(tmp_path, OIDC.replace("https://id.example", "http://127.0.0.1:8080")).oidc
