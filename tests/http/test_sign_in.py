"""Signing in over HTTP: by password, token, ticket and invitation; and everything that must not."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from chatd.admin.ports import LivePort
from chatd.admin.sign_in import AddApiKey, RevokeApiKey
from chatd.auth.sessions import TOUCHED_EVERY_MS
from chatd.config import Auth, Web
from chatd.testing import Refused
from storage.changes import PutUser, SetDisabled
from storage.keyed import SIGNED_IN
from support.clinics import API_KEY, PASSWORD, Clinic, clinic, cookie_of


async def invited(c: Clinic, user: str = "pat-2", **fields: Any) -> dict[str, Any]:
    staff = await c.sign_in("staff-1")
    answer = await c.as_session(staff, "POST", "/v1/invitations", {"user": user, **fields})
    assert answer.status == 201, answer.body
    found: dict[str, Any] = json.loads(answer.body)
    return found


async def ticket_for(c: Clinic, user: str, **fields: Any) -> str:
    body = {"user": user, **fields}
    answer = await c.ask("POST", "/v1/tickets", body, origin=None, Authorization=f"Bearer {API_KEY}")
    assert answer.status == 201, answer.body
    ticket: str = json.loads(answer.body)["ticket"]
    return ticket


async def redeem(c: Clinic, code: str, **fields: Any) -> int:
    return (await c.ask("POST", "/v1/invitations/redeem", {"invitation": code, **fields})).status


async def test_password_gives_a_session_that_works_everywhere(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        answer = await c.ask("POST", "/v1/sign-in", {"user": "pat-1", "password": PASSWORD})
        assert json.loads(answer.body)["user"]["id"] == "pat-1"
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=lax" in cookie
        assert f"Max-Age={180 * 86_400}" in cookie
        secret = cookie_of(answer)
        me = await c.as_session(secret, "GET", "/v1/me")
        assert (me.status, json.loads(me.body)["user"]["id"]) == (200, "pat-1")
        client = await c.connect(secret)
        ok = await client.ask("hello")
        assert ok["user"]["id"] == "pat-1"
        assert ok["expires_at"] is not None
        with_token = await c.server.connect()
        assert (await with_token.ask("hello", token=secret))["user"]["id"] == "pat-1"


async def test_every_sign_in_begins_another_session(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        first = await c.sign_in("pat-1")
        fixed = await c.as_session(first, "POST", "/v1/sign-in", {"user": "pat-1", "password": PASSWORD})
        assert cookie_of(fixed) != first
        planted = await c.as_session("cs_planted", "POST", "/v1/sign-in", {"user": "pat-1", "password": PASSWORD})
        assert cookie_of(planted) != "cs_planted"
        assert (await c.as_session("cs_planted", "GET", "/v1/me")).status == 401


WRONG: dict[str, tuple[dict[str, Any], int]] = {
    "wrong password": ({"user": "pat-1", "password": "wrong"}, 401),
    "empty password": ({"user": "pat-1", "password": ""}, 401),
    "no such user": ({"user": "pat-9", "password": PASSWORD}, 401),
    "no id": ({"user": "pat 1\n", "password": PASSWORD}, 401),
    "user without a password": ({"user": "pat-2", "password": PASSWORD}, 401),
    "huge password": ({"user": "pat-1", "password": "x" * 60_000}, 401),
    "token that is none": ({"token": "abc"}, 401),
    "API key as a token": ({"token": API_KEY}, 401),
    "ticket that is none": ({"token": "ct_abc"}, 401),
    "number as a password": ({"user": "pat-1", "password": 5}, 400),
    "NUL": ({"user": "pat-1\x00", "password": PASSWORD}, 400),
    "nothing": ({}, 400),
    "user alone": ({"user": "pat-1"}, 400),
    "huge": ({"user": "x" * 70_000}, 413),
}


@pytest.mark.parametrize("name", WRONG)
async def test_wrong_way_to_sign_in_is_refused(name: str, autojump_clock: MockClock) -> None:
    async with clinic() as c:
        body, status = WRONG[name]
        answer = await c.ask("POST", "/v1/sign-in", body)
        assert answer.status == status, answer.body
        assert "set-cookie" not in answer.headers


async def test_wrong_password_and_unknown_user_get_the_same_answer(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        answers = [
            await c.ask("POST", "/v1/sign-in", {"user": user, "password": "wrong one"}) for user in ("pat-1", "pat-9")
        ]
        assert answers[0].body == answers[1].body


@pytest.mark.parametrize("origin", [None, "https://evil.example", "null"])
@pytest.mark.parametrize("target", ["/v1/sign-in", "/v1/sign-out", "/v1/invitations/redeem"])
async def test_page_of_another_site_signs_nobody_in_or_out(
    target: str, origin: str | None, autojump_clock: MockClock
) -> None:
    async with clinic() as c:
        secret = await c.sign_in("pat-1")
        code = (await invited(c))["code"]
        body = {"user": "pat-1", "password": PASSWORD, "invitation": code}
        answer = await c.ask("POST", target, body, origin=origin, Cookie=f"chatd_session={secret}")
        assert (answer.status, "set-cookie" in answer.headers) == (403, False)
        assert (await c.as_session(secret, "GET", "/v1/me")).status == 200
        assert await redeem(c, code) == 200, "the invitation was used up"


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x"])
async def test_form_signs_nobody_in(kind: str, autojump_clock: MockClock) -> None:
    async with clinic() as c:
        body = json.dumps({"user": "pat-1", "password": PASSWORD}).encode()
        answer = await c.ask("POST", "/v1/sign-in", body, Content_Type=kind)
        assert (answer.status, "set-cookie" in answer.headers) == (415, False)


async def test_cookie_on_a_page_of_another_site_is_refused_on_websocket(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        secret = await c.sign_in("pat-1")
        upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec_WebSocket_Version": "13"}
        key = {"Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ=="}
        answer = await c.as_session(secret, "GET", "/ws", origin="https://evil.example", **upgrade, **key)
        assert answer.status == 403


async def test_sign_out_ends_the_session_and_its_connections(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        secret, other = await c.sign_in("pat-1"), await c.sign_in("pat-1")
        client, elsewhere = await c.connect(secret), await c.connect(other)
        await client.ask("hello")
        await elsewhere.ask("hello")
        answer = await c.as_session(secret, "POST", "/v1/sign-out")
        assert answer.status == 204
        assert answer.headers["clear-site-data"] == '"cache", "storage"'
        assert 'chatd_session=""' in answer.headers["set-cookie"]
        assert (await client.closed()).code == 4503
        assert (await c.as_session(secret, "GET", "/v1/me")).status == 401
        await elsewhere.ask("ping")
        assert (await c.as_session(other, "GET", "/v1/me")).status == 200


async def test_session_that_was_ended_is_refused_by_hello(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        secret = await c.sign_in("pat-1")
        await c.as_session(secret, "POST", "/v1/sign-out")
        client = await c.connect(secret)
        with pytest.raises(Refused, match="unauthorized"):
            await client.ask("hello")
        assert (await client.closed()).code == 4501


async def test_new_password_ends_the_other_sessions(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        here, there = await c.sign_in("pat-1"), await c.sign_in("pat-1")
        elsewhere = await c.connect(there)
        await elsewhere.ask("hello")
        weak = await c.as_session(here, "POST", "/v1/password", {"old": PASSWORD, "new": "password123"})
        assert (weak.status, "tried first" in json.loads(weak.body)["message"]) == (400, True)
        wrong = await c.as_session(here, "POST", "/v1/password", {"old": "wrong", "new": "four very plain words"})
        assert wrong.status == 401
        done = await c.as_session(here, "POST", "/v1/password", {"old": PASSWORD, "new": "four very plain words"})
        assert done.status == 204
        assert (await elsewhere.closed()).code == 4503
        assert (await c.as_session(there, "GET", "/v1/me")).status == 401
        assert (await c.as_session(here, "GET", "/v1/me")).status == 200
        assert (await c.ask("POST", "/v1/sign-in", {"user": "pat-1", "password": PASSWORD})).status == 401
        await c.sign_in("pat-1", "four very plain words")


async def test_sessions_are_listed_and_ended_by_their_owner_alone(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        here, there = await c.sign_in("pat-1"), await c.sign_in("pat-1")
        foreign = await c.sign_in("den-1")
        listed = json.loads((await c.as_session(here, "GET", "/v1/sessions")).body)["sessions"]
        assert [(s["method"], s["current"]) for s in listed] == [("password", True), ("password", False)]
        other = listed[1]["id"]
        assert (await c.as_session(foreign, "DELETE", f"/v1/sessions/{other}")).status == 404
        assert (await c.as_session(here, "DELETE", f"/v1/sessions/{other}")).status == 204
        assert (await c.as_session(there, "GET", "/v1/me")).status == 401
        assert here not in str(listed)


async def test_disabled_user_has_no_session(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        secret = await c.sign_in("pat-1")
        await c.server.daemon.parts.accounts.commit([SetDisabled("pat-1", True, c.server.now())])
        assert (await c.as_session(secret, "GET", "/v1/me")).status == 401
        assert (await c.ask("POST", "/v1/sign-in", {"user": "pat-1", "password": PASSWORD})).status == 401


async def test_session_lives_as_long_as_it_is_used(autojump_clock: MockClock) -> None:
    async with clinic(auth=Auth(session_lifetime=("patient=2h", "staff=1h"))) as c:
        used, idle = await c.sign_in("pat-1"), await c.sign_in("pat-1")
        for _ in range(3):
            await trio.sleep(1.5 * TOUCHED_EVERY_MS / 1000)
            assert (await c.as_session(used, "GET", "/v1/me")).status == 200
        assert (await c.as_session(idle, "GET", "/v1/me")).status == 401
        await trio.sleep(2 * 3600 + 1)
        assert (await c.as_session(used, "GET", "/v1/me")).status == 401


async def test_session_ends_its_connection_when_its_time_is_up(autojump_clock: MockClock) -> None:
    async with clinic(auth=Auth(session_lifetime=("dentist=60s",))) as c:
        client = await c.connect(await c.sign_in("den-1"))
        await client.ask("hello")
        with trio.fail_after(61):
            assert (await client.closed()).code == 4011


# -- tickets --


async def test_ticket_signs_in_once_on_any_way(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        ticket = await ticket_for(c, "pat-7", name="New Patient")
        client = await c.server.connect()
        ok = await client.ask("hello", token=ticket)
        assert (ok["user"]["id"], ok["user"]["name"], ok["user"]["role"]) == ("pat-7", "New Patient", "patient")
        again = await c.server.connect()
        with pytest.raises(Refused, match="unauthorized"):
            await again.ask("hello", token=ticket)
        assert (await again.closed()).code == 4501
        assert (await c.ask("POST", "/v1/sign-in", {"token": ticket})).status == 401
        by_http = await c.ask("POST", "/v1/sign-in", {"token": await ticket_for(c, "pat-7")})
        assert (await c.as_session(cookie_of(by_http), "GET", "/v1/me")).status == 200


async def test_ticket_is_good_for_a_minute(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        early, late = await ticket_for(c, "pat-1"), await ticket_for(c, "pat-1")
        await trio.sleep(59)
        assert (await c.ask("POST", "/v1/sign-in", {"token": early})).status == 200
        await trio.sleep(2)
        assert (await c.ask("POST", "/v1/sign-in", {"token": late})).status == 401


async def test_ticket_of_a_revoked_key_is_worth_nothing_at_once(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        port = LivePort(c.server.daemon.parts, c.server.daemon.tokens)
        other = (await AddApiKey(name="another").run(port))["key"]
        mine = [await ticket_for(c, "pat-1") for _ in range(2)]
        answer = await c.ask("POST", "/v1/tickets", {"user": "pat-1"}, Authorization=f"Bearer {other}")
        others = json.loads(answer.body)["ticket"]
        await RevokeApiKey(id="key-1").run(port)
        assert (await c.ask("POST", "/v1/sign-in", {"token": mine[0]})).status == 401
        client = await c.server.connect()
        with pytest.raises(Refused, match="unauthorized"):
            await client.ask("hello", token=mine[1])
        assert (await c.ask("POST", "/v1/sign-in", {"token": others})).status == 200, "its key is good yet"


async def test_ticket_with_another_keys_id_is_worth_nothing(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        ticket = await ticket_for(c, "pat-1")
        forged = ticket.replace("key-1.", "key-2.")
        assert forged != ticket
        assert (await c.ask("POST", "/v1/sign-in", {"token": forged})).status == 401
        assert (await c.ask("POST", "/v1/sign-in", {"token": ticket})).status == 200


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"user": "pat-8", "role": "dentist"}, 201),
        ({"user": "pat-8", "role": "staff"}, 403),
        ({"user": "pat-8", "role": "admin"}, 403),
        ({"user": "admin-1"}, 403),
        ({"user": "admin-1", "role": "patient"}, 403),
        ({"user": "pat-8", "role": "owner"}, 400),
        ({"user": "a b"}, 400),
        ({"user": "pat-8", "name": "\n"}, 400),
        ({}, 400),
    ],
)
async def test_ticket_is_made_up_to_the_role_of_its_key(
    fields: dict[str, Any], status: int, autojump_clock: MockClock
) -> None:
    async with clinic() as c:
        answer = await c.ask("POST", "/v1/tickets", fields, origin=None, Authorization=f"Bearer {API_KEY}")
        assert answer.status == status, answer.body


async def test_api_key_is_good_for_tickets_alone(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        assert (await c.ask("GET", "/v1/me", origin=None, Authorization=f"Bearer {API_KEY}")).status == 401
        client = await c.server.connect()
        with pytest.raises(Refused, match="unauthorized"):
            await client.ask("hello", token=API_KEY)
        for wrong in ("ck_wrong", c.server.token("admin-1"), await c.sign_in("admin-1"), ""):
            answer = await c.ask("POST", "/v1/tickets", {"user": "pat-1"}, Authorization=f"Bearer {wrong}")
            assert answer.status == 401


# -- invitations --


async def test_invitation_signs_a_patient_in_once(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        made = await invited(c, birth_date="1953-04-30")
        assert made["url"].endswith(f"/#invitation={made['code']}")
        typed = made["code"].lower().replace("-", " ")
        body = {"invitation": typed, "birth_date": "1953-04-30", "password": "my own three words"}
        answer = await c.ask("POST", "/v1/invitations/redeem", body)
        assert (await c.as_session(cookie_of(answer), "GET", "/v1/me")).status == 200
        assert await redeem(c, made["code"], birth_date="1953-04-30") == 401
        await c.sign_in("pat-2", "my own three words")


async def test_invitation_ends_with_the_third_wrong_birth_date(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        code = (await invited(c, birth_date="1953-04-30"))["code"]
        assert await redeem(c, code) == 400, "a date that is absent is no guess"
        assert await redeem(c, code, birth_date="30.4.1953") == 400
        assert await redeem(c, code, birth_date="1953-05-01") == 401
        assert await redeem(c, code, birth_date="1953-05-02") == 401
        spared = (await invited(c, user="pat-1", birth_date="1953-04-30"))["code"]
        assert await redeem(c, spared, birth_date="1953-04-30") == 200
        assert await redeem(c, code, birth_date="1953-05-03") == 401
        assert await redeem(c, code, birth_date="1953-04-30") == 401


async def test_invitation_guessed_many_times_at_once_is_tried_three_times(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        code = (await invited(c, birth_date="1953-04-30"))["code"]
        invitations = c.server.daemon.keepers.invitations
        found: list[str] = []

        async def guess(day: int) -> None:
            try:
                found.append((await invitations.redeem(code, f"1953-04-{day:02d}")).id)
            except Exception as error:
                found.append(type(error).__name__)

        async with trio.open_nursery() as nursery:
            for day in range(1, 31):
                nursery.start_soon(guess, day)
        assert found.count("NotInvited") >= 27
        assert await redeem(c, code, birth_date="1953-04-30") == 401


async def test_invitation_is_over_in_its_time(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        code = (await invited(c, expires=3600))["code"]
        await trio.sleep(3601)
        assert await redeem(c, code) == 401


@pytest.mark.parametrize(
    ("inviter", "fields", "status"),
    [
        ("staff-1", {"user": "pat-1"}, 201),
        ("admin-1", {"user": "pat-1"}, 201),
        ("staff-1", {"name": "New Patient"}, 201),
        ("staff-1", {"user": "admin-1"}, 403),
        ("staff-1", {"user": "den-1"}, 403),
        ("den-1", {"user": "pat-1"}, 403),
        ("pat-1", {"user": "pat-2"}, 403),
        ("staff-1", {"user": "pat-9"}, 404),
        ("staff-1", {}, 400),
        ("staff-1", {"user": "pat-1", "birth_date": "1953-02-30"}, 400),
        ("staff-1", {"user": "pat-1", "expires": 1e12}, 400),
        ("staff-1", {"user": "pat-1", "birth_date": "2999-01-01"}, 400),
        ("staff-1", {"user": "pat-1", "birth_date": "１９５３-04-30"}, 400),
        ("staff-1", {"user": "pat-1", "name": "Somebody Else"}, 400),
    ],
)
async def test_invitation_is_made_by_staff_for_patients(
    inviter: str, fields: dict[str, Any], status: int, autojump_clock: MockClock
) -> None:
    async with clinic() as c:
        secret = await c.sign_in(inviter)
        answer = await c.as_session(secret, "POST", "/v1/invitations", fields)
        assert answer.status == status, answer.body


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"user": "pat-1", "birth_date": "2999-01-01"}, "`birth_date`: this date is in the future"),
        ({"user": "pat-1", "name": "Ada"}, "`user` is for somebody known, `name` for somebody new: give one of them"),
    ],
)
async def test_invitation_says_what_is_wrong(fields: dict[str, Any], said: str, autojump_clock: MockClock) -> None:
    async with clinic() as c:
        answer = await c.as_session(await c.sign_in("staff-1"), "POST", "/v1/invitations", fields)
        assert json.loads(answer.body)["message"] == said


async def test_invitation_of_a_child_born_today_is_made_where_the_day_has_begun(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        day = (datetime.fromtimestamp(c.server.now() / 1000, UTC) + timedelta(hours=14)).date()
        await invited(c, "pat-1", birth_date=day.isoformat())
        staff = await c.sign_in("staff-1")
        later = {"user": "pat-1", "birth_date": (day + timedelta(days=1)).isoformat()}
        assert (await c.as_session(staff, "POST", "/v1/invitations", later)).status == 400


# -- throttle --


async def test_guessing_one_password_is_slowed_then_refused_and_the_owner_still_gets_in(
    autojump_clock: MockClock,
) -> None:
    async with clinic() as c:
        statuses = []
        for n in range(8):
            answer = await c.ask("POST", "/v1/sign-in", {"user": "pat-1", "password": f"guess {n}"})
            statuses.append(answer.status)
        assert statuses == [401] * 6 + [429] * 2
        assert int(answer.headers["retry-after"]) >= 1
        await trio.sleep(2)
        await c.sign_in("pat-1")


async def test_address_that_tries_too_often_is_refused(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        statuses = [
            (await c.ask("POST", "/v1/sign-in", {"user": f"u-{n}", "password": "guess"})).status for n in range(101)
        ]
        assert statuses == [401] * 100 + [429]
        await trio.sleep(61)
        await c.sign_in("pat-1")


async def test_clinic_of_sixty_behind_one_address_signs_in_within_a_minute(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        for _ in range(60):
            for user in ("pat-1", "den-1"):
                await c.sign_in(user)


async def test_offer_says_what_is_on(autojump_clock: MockClock) -> None:
    async with clinic(auth=Auth(methods=("ticket",))) as c:
        offer = json.loads((await c.ask("GET", "/v1/sign-in")).body)
        assert offer == {"development": False, "methods": ["ticket"], "providers": [], "name": "Chat"}
        assert (await c.ask("POST", "/v1/sign-in", {"user": "pat-1", "password": PASSWORD})).status == 401
        assert (await c.ask("POST", "/v1/sign-in", {"token": c.server.token("pat-1")})).status == 401
        assert (await c.ask("POST", "/v1/sign-in", {"token": await ticket_for(c, "pat-1")})).status == 200


async def test_offer_says_when_a_screen_locks_where_that_is_not_the_default(autojump_clock: MockClock) -> None:
    for minutes, said in ((5.0, None), (0.0, 0.0), (1.5, 1.5)):
        async with clinic(web=Web(lock_after=minutes)) as c:
            assert json.loads((await c.ask("GET", "/v1/sign-in")).body).get("lock_after") == said


async def test_sign_in_secrets_are_in_no_log_store_or_metrics(
    autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    async with clinic() as c:
        secret = await c.sign_in("pat-1")
        ticket = await ticket_for(c, "pat-1")
        code = (await invited(c, birth_date="1953-04-30"))["code"]
        await c.ask("POST", "/v1/sign-in", {"user": "s3cret typed as user", "password": "wr0ng pass"})
        await redeem(c, code, birth_date="1953-05-01")
        kept = str(c.server.store.rows(SIGNED_IN, None, None, after="", limit=100))
        printed = "".join(capsys.readouterr())
        numbers = (await c.ask("GET", "/metrics", origin=None)).body.decode()
        for canary in (secret, ticket, code, PASSWORD, API_KEY, "wr0ng pass", "s3cret typed as user", "1953-05-01"):
            assert canary not in kept
            assert canary not in printed
            assert canary not in numbers


async def test_changed_role_of_a_user_counts_from_now_on(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        secret = await c.sign_in("staff-1")
        await c.server.daemon.parts.accounts.commit([PutUser("staff-1", None, "patient", 2)])
        assert (await c.as_session(secret, "POST", "/v1/invitations", {"user": "pat-2"})).status == 403
