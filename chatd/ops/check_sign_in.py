"""The part of `chatd check` that is about signing in: what is missing, and whether services answer."""

import os
from collections.abc import Awaitable, Callable, Iterator
from functools import partial

import trio

from chatd.auth import elsewhere, secret
from chatd.auth.key_source import read_file
from chatd.auth.public_keys import BadKeys, keys_in
from chatd.config import Config
from chatd.net import fetching
from chatd.net.fetching import Fetch, Fetched, FetchError

from .finding import CheckFinding

WEB_APP_SIGN_INS = {
    "Auth.js": ("AUTH_SECRET", "NEXTAUTH_SECRET"),
    "Better Auth": ("BETTER_AUTH_SECRET",),
    "Clerk": ("CLERK_SECRET_KEY",),
    "Supabase": ("SUPABASE_JWT_SECRET", "SUPABASE_SERVICE_ROLE_KEY"),
    "Auth0": ("AUTH0_SECRET",),
}
"""Environment variables by which a web app's sign-in shows, by its name."""

METHODS_OF = {
    "Auth.js": "nextauth",
    "Better Auth": "better-auth",
    **dict.fromkeys(("Clerk", "Supabase", "Auth0"), "jwt"),
}
"""Ways to sign in that take such an app's sessions or tokens as they are, by its name."""


def sign_in(settings: Config, fetch: Fetch = fetching.fetch) -> Iterator[CheckFinding]:
    """Check that people can sign in by each way that is named."""
    yield CheckFinding("ok", "sign-in", ", ".join(settings.auth.methods) or "by nothing: nobody can sign in")
    yield from _site_sign_in(settings)
    yield from _services(settings, fetch)
    for service, names in WEB_APP_SIGN_INS.items():
        if METHODS_OF.get(service) in settings.auth.methods:
            continue
        if found := [name for name in names if os.environ.get(name)]:
            text = f"{found[0]} is set: an app here signs people in with {service}; so that they needn't do it twice, "
            if "ticket" in settings.auth.methods:
                text += "its backend asks for tickets with a key (chatd apikey add NAME; docs/sign-in.md)"
            else:
                text += 'let auth.methods hold "ticket"'
            if service in METHODS_OF:
                text += f'; or let it hold "{METHODS_OF[service]}", which takes what it gives people as it is'
            yield CheckFinding("ok", "sign-in", text)


def _site_sign_in(settings: Config) -> Iterator[CheckFinding]:
    """Check that the sessions of a site beside chatd can be told."""
    for method in ("nextauth", "better-auth"):
        if not elsewhere.needs_secret(settings, method):
            continue
        try:
            secrets = elsewhere.secrets_of(settings, method)
        except secret.BadSecret as error:
            yield CheckFinding("wrong", method, str(error))
            continue
        if min(map(len, secrets)) < elsewhere.STRONG_CHARS:
            text = f"a secret of the site has fewer than {elsewhere.STRONG_CHARS} characters: who guesses it is anybody"
            yield CheckFinding(
                "warning", method, f"{text}; make one with `openssl rand -base64 33`, for the site and here"
            )
        else:
            yield CheckFinding("ok", method, f"{len(secrets)} secret{'s' if len(secrets) > 1 else ''} of the site")


def _services(settings: Config, fetch: Fetch) -> Iterator[CheckFinding]:
    """Check that the keys of issuers and identity services can be had, and are of use."""
    places: dict[str, Callable[[], Awaitable[Fetched]]] = {}
    if "jwt" in settings.auth.methods:
        for name, given in settings.jwt.items():
            if given.jwks:
                places[f"jwt {name}"] = partial(fetch if "://" in given.jwks else read_file, given.jwks)
    try:
        for name, provider in elsewhere.providers(settings, fetch, fetching.post_form, lambda: 0).items():
            places[f"oidc {name}"] = partial(provider.fetch_keys, provider.client.issuer)
    except secret.BadSecret as error:
        yield CheckFinding("wrong", "oidc", str(error))
    for what, look in places.items():
        try:
            keys = keys_in(trio.run(look).body)
        except (FetchError, BadKeys) as error:
            yield CheckFinding("wrong", what, f"no keys to check its tokens with: {error}")
        else:
            yield CheckFinding("ok", what, f"{len(keys)} keys to check its tokens with")
