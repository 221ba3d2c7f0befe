"""Session tokens of NextAuth 4 and Auth.js 5: those of the site open, and no others."""

import json
import time
from base64 import urlsafe_b64encode

import pytest

from chatd.auth.nextauth import EXPIRY_LEEWAY_S, NextAuthCookies
from chatd.auth.site_cookies import MAX_COOKIE_CHARS, BadChunks, site_cookie
from chatd.auth.tokens import BadToken
from chatd.config.sign_in import NEXTAUTH_COOKIES
from chatd.testing.harness import START
from support.site_tokens import AUTHJS, NEXTAUTH, NOW, SECRET, SECURE_AUTHJS, claims, site_token

SITE = NextAuthCookies([SECRET], NEXTAUTH_COOKIES)


def flipped(text: str, at: int) -> str:
    """The same with another character in one of its parts."""
    parts = text.split(".")
    part = parts[at]
    middle = len(part) // 2
    parts[at] = part[:middle] + ("A" if part[middle] != "A" else "B") + part[middle + 1 :]
    return ".".join(parts)


def with_header(**header: object) -> str:
    """A good token whose header is replaced."""
    head = urlsafe_b64encode(json.dumps(header).encode()).rstrip(b"=").decode()
    return head + site_token()[site_token().index(".") :]


GOOD = {
    "NextAuthCookies 4": site_token(version=4, name=NEXTAUTH),
    "Auth.js 5": site_token(),
    "Auth.js 5, secure": site_token(name=SECURE_AUTHJS),
    "Auth.js 5 with the other algorithm": site_token(enc="A256GCM"),
    "just over, within the leeway": site_token(claims(exp=NOW - EXPIRY_LEEWAY_S + 1)),
    "times with fractions": site_token(claims(iat=NOW - 1.5, exp=NOW + 60.25)),
}

WRONG = {
    "another site's secret": site_token(secret="the secret of another site 01234"),
    "another cookie's key": site_token(name="authjs.pkce.code_verifier"),
    "another name's key, NextAuth 4": site_token(version=4, secret="other"),
    "A128GCM": site_token(enc="A128GCM"),
    "A192GCM": site_token(enc="A192GCM"),
    "A128CBC-HS256": site_token(enc="A128CBC-HS256"),
    "A192CBC-HS384": site_token(enc="A192CBC-HS384"),
    "compressed": site_token(header={"zip": "DEF"}),
    "crit": with_header(alg="dir", enc="A256CBC-HS512", crit=["exp"]),
    "jwk in the header": site_token(header={"jwk": {"kty": "oct", "k": "AAAA"}}),
    "jku in the header": site_token(header={"jku": "https://evil.example"}),
    "alg none": with_header(alg="none", enc="A256CBC-HS512"),
    "alg A256KW": with_header(alg="A256KW", enc="A256CBC-HS512"),
    "alg PBES2": with_header(alg="PBES2-HS512+A256KW", enc="A256CBC-HS512", p2c=10**9, p2s="AAAA"),
    "enc that is a list": with_header(alg="dir", enc=["A256GCM"]),
    "kid of another key": with_header(alg="dir", enc="A256CBC-HS512", kid="other"),
    "kid that is a number": with_header(alg="dir", enc="A256CBC-HS512", kid=1),
    "header that is a list": urlsafe_b64encode(b"[1]").decode().rstrip("=") + "..AAAA.AAAA.AAAA",
    "header that is no JSON": "AAAA..AAAA.AAAA.AAAA",
    "deep header": urlsafe_b64encode(b"[" * 700).decode().rstrip("=") + "..AAAA.AAAA.AAAA",
    "key in its second part": site_token().replace("..", ".AAAA."),
    "changed header": flipped(site_token(), 0),
    "changed vector": flipped(site_token(), 2),
    "changed text": flipped(site_token(), 3),
    "changed tag": flipped(site_token(), 4),
    "truncated text": site_token()[:-60],
    "truncated tag": site_token()[:-2],
    "tag of one byte": site_token().rpartition(".")[0] + ".AA",
    "no tag": site_token().rpartition(".")[0] + ".",
    "six parts": site_token() + ".AAAA",
    "blank at the end": site_token() + "\n",
    "signed instead": "eyJhbGciOiJub25lIn0.eyJzdWIiOiJwYXQtMSJ9.",
    "nothing": "",
    "dots": "....",
    "not ASCII": site_token()[:-3] + "ü" + site_token()[-2:],
    "claims that are a list": site_token(b"[]"),
    "claims that are no JSON": site_token(b"sub=pat-1"),
    "claims that are not UTF-8": site_token(b'{"sub": "\xff"}'),
    "deep claims": site_token(b"[" * 100_000),
    "no end": site_token(claims(exp=None)),
    "no beginning": site_token(claims(iat=None)),
    "end that is text": site_token(claims(exp=str(NOW + 60))),
    "end that is true": site_token(claims(exp=True)),
    "end beyond all times": site_token(claims(exp=10**18)),
    "end that is infinite": site_token(json.dumps(claims()).replace(str(NOW + 86_400), "1e999").encode()),
    "end that is no number": site_token(json.dumps(claims()).replace(str(NOW + 86_400), "NaN").encode()),
    "made tomorrow": site_token(claims(iat=NOW + 86_000)),
    "good from tomorrow on": site_token(claims(nbf=NOW + 86_000)),
}


@pytest.mark.parametrize("name", GOOD)
def test_token_of_the_site_is_opened(name: str) -> None:
    assert SITE.open(GOOD[name], START).claims["sub"] == "pat-1"


@pytest.mark.parametrize("name", WRONG)
def test_wrong_token_is_refused(name: str) -> None:
    with pytest.raises(BadToken) as caught:
        SITE.open(WRONG[name], START)
    assert not caught.value.expired
    assert "pat-1" not in str(caught.value)


def test_token_that_is_over_is_told_from_a_wrong_one() -> None:
    with pytest.raises(BadToken) as caught:
        SITE.open(site_token(claims(exp=NOW - EXPIRY_LEEWAY_S)), START)
    assert caught.value.expired


def test_token_counts_in_the_cookie_that_it_was_made_for_alone() -> None:
    token = site_token(name=SECURE_AUTHJS)
    assert SITE.open(token, START, name=SECURE_AUTHJS).claims["sub"] == "pat-1"
    with pytest.raises(BadToken, match="for another cookie"):
        SITE.open(token, START, name=AUTHJS)


def test_huge_token_of_many_secrets_is_refused_in_a_moment() -> None:
    site = NextAuthCookies([f"secret number {n}" for n in range(10)], NEXTAUTH_COOKIES)
    token = site_token(b"x" * 20_000)
    began = time.process_time()
    with pytest.raises(BadToken):
        site.open(token, START)
    assert time.process_time() - began < 1.0


COOKIES = {
    "whole": ([("s", "abc")], "abc"),
    "chunks": ([("s.1", "b"), ("s.0", "a"), ("s.2", "c")], "abc"),
    "ten chunks": ([(f"s.{n}", str(n)) for n in range(11)], "012345678910"),
    "none": ([("t", "abc"), ("s2", "x"), ("xs.0", "x")], None),
    "another's chunks": ([("s", "abc"), ("t.0", "x"), ("s.x", "y"), ("s.00", "z")], "abc"),
}

BROKEN = {
    "whole and chunks": [("s", "abc"), ("s.0", "a")],
    "hole": [("s.0", "a"), ("s.2", "c")],
    "no first": [("s.1", "b")],
    "too many": [(f"s.{n}", "x") for n in range(17)],
    "too long": [("s.0", "x" * MAX_COOKIE_CHARS), ("s.1", "x")],
    "whole and too long": [("s", "x" * (MAX_COOKIE_CHARS + 1))],
}


@pytest.mark.parametrize("name", COOKIES)
def test_cookie_is_put_together(name: str) -> None:
    cookies, expected = COOKIES[name]
    assert site_cookie(cookies, "s") == expected


@pytest.mark.parametrize("name", BROKEN)
def test_chunks_that_do_not_fit_are_refused(name: str) -> None:
    with pytest.raises(BadChunks):
        site_cookie(BROKEN[name], "s")
