"""The second step of a sign-in by password: asked for, checked, used up, guessed at."""

import json
from typing import Any
from unittest import mock

import pytest
import trio
from trio.testing import MockClock

from chatd.admin.ports import LivePort
from chatd.admin.sign_in import ResetSecondStep, SetSecondStep
from chatd.auth import totp
from chatd.cli.chat.command import CODES_ASKED_FOR
from chatd.cli.chat.command import sign_in as enter
from chatd.client import SignIn, SignInFailed
from chatd.config import Auth
from storage.keyed import RECOVERY_CODE, SECOND_STEP, SIGNED_IN, RowKind
from support.clinics import PASSWORD, SITE, Clinic, clinic, cookie_of
from support.served import Answer

STEP_SECRET = totp.make_secret()


async def set_up(c: Clinic, user: str = "admin-1") -> list[str]:
    """Give the user a second step: the recovery codes."""
    port = LivePort(c.server.daemon.parts, c.server.daemon.tokens)
    codes: list[str] = (await SetSecondStep(user=user, secret=STEP_SECRET, step=0).run(port))["codes"]
    return codes


async def sign_in(c: Clinic, code: str | None = None, *, user: str = "admin-1", password: str = PASSWORD) -> Answer:
    body = {"user": user, "password": password}
    return await c.ask("POST", "/v1/sign-in", body if code is None else {**body, "code": code})


def now_code(c: Clinic, off: int = 0) -> str:
    return totp.code_at(STEP_SECRET, c.server.now() // 30_000 + off)


def said(answer: Answer) -> tuple[int, Any]:
    return answer.status, json.loads(answer.body).get("need")


async def test_code_is_asked_for_behind_a_right_password_alone(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        await set_up(c)
        answer = await sign_in(c)
        assert said(answer) == (401, "code")
        assert json.loads(answer.body)["code"] == "unauthorized"
        assert "set-cookie" not in answer.headers
        assert said(await sign_in(c, password="wrong")) == (401, None)
        assert said(await sign_in(c, now_code(c), password="wrong")) == (401, None)
        done = await sign_in(c, now_code(c))
        assert done.status == 200
        assert (await c.as_session(cookie_of(done), "GET", "/v1/me")).status == 200


async def test_sign_in_without_a_second_step_is_as_before(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        await set_up(c)
        assert (await sign_in(c, user="den-1")).status == 200
        assert (await sign_in(c, "123456", user="den-1")).status == 200


async def test_code_is_good_once(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        await set_up(c)
        code = now_code(c)
        assert (await sign_in(c, f" {code[:3]} {code[3:]} ")).status == 200
        assert said(await sign_in(c, code)) == (401, "code")
        assert said(await sign_in(c, now_code(c, -1))) == (401, "code"), "what was before it is over, too"
        assert (await sign_in(c, now_code(c, 1))).status == 200


async def test_code_typed_twice_at_once_lets_one_in(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        await set_up(c)
        steps = c.server.daemon.keepers.second_steps
        row = await steps.of("admin-1")
        assert row is not None
        found: list[bool] = []

        async def use(code: str) -> None:
            found.append(await steps.passes(row, code))

        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(use, now_code(c))
        assert found.count(True) == 1


@pytest.mark.parametrize("wrong", ["000000", "", "12345", "1234567", "１２３４５６", "abc", "x" * 1000, "123456\n"])
async def test_wrong_code_is_refused(wrong: str, autojump_clock: MockClock) -> None:
    async with clinic() as c:
        await set_up(c)
        assert said(await sign_in(c, wrong)) == (401, "code")


async def test_recovery_code_stands_in_once(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        codes = await set_up(c)
        others = await set_up(c, "staff-1")
        assert len({*codes, *others}) == 20
        assert said(await sign_in(c, others[0])) == (401, "code")
        assert (await sign_in(c, codes[0].lower().replace("-", " "))).status == 200
        assert said(await sign_in(c, codes[0])) == (401, "code")
        assert (await sign_in(c, codes[1])).status == 200
        assert len(c.server.store.rows(RECOVERY_CODE, "user", "admin-1", after="", limit=20)) == 8


async def test_guessing_codes_is_slowed_more_and_more(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        await set_up(c)
        statuses = [(await sign_in(c, "000000")).status for _ in range(8)]
        assert statuses == [401] * 6 + [429] * 2
        assert (await sign_in(c, now_code(c))).status == 429, "a right one has to wait, too"
        await trio.sleep(61)
        assert said(await sign_in(c, "000000")) == (401, "code")
        await trio.sleep(61)
        assert (await sign_in(c, now_code(c))).status == 429, "the wait doubles"
        await trio.sleep(61)
        assert (await sign_in(c, now_code(c))).status == 200
        assert said(await sign_in(c, "000000")) == (401, "code"), "a right one makes the others forgotten"


async def test_many_guesses_at_once_are_no_more_than_one_by_one(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        await set_up(c)
        steps = c.server.daemon.keepers.second_steps
        row = await steps.of("admin-1")
        assert row is not None
        found: list[str] = []

        async def guess(code: str) -> None:
            try:
                found.append(str(await steps.passes(row, code)))
            except Exception as error:
                found.append(type(error).__name__)

        async with trio.open_nursery() as nursery:
            for n in range(50):
                nursery.start_soon(guess, f"{n:06d}")
        assert found.count("TooManyTries") == 44


async def test_role_that_needs_it_does_not_sign_in_without(autojump_clock: MockClock) -> None:
    async with clinic(auth=Auth(second_step=("admin",))) as c:
        answer = await sign_in(c)
        assert said(answer) == (401, None)
        assert "second step" in json.loads(answer.body)["message"]
        assert (await sign_in(c, user="staff-1")).status == 200
        await set_up(c)
        assert (await sign_in(c, now_code(c))).status == 200


async def test_setting_up_and_resetting_end_sessions(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        before = cookie_of(await sign_in(c))
        await set_up(c)
        assert (await c.as_session(before, "GET", "/v1/me")).status == 401
        during = cookie_of(await sign_in(c, now_code(c)))
        port = LivePort(c.server.daemon.parts, c.server.daemon.tokens)
        assert (await ResetSecondStep(user="admin-1").run(port))["had"] is True
        assert (await c.as_session(during, "GET", "/v1/me")).status == 401
        assert (await sign_in(c)).status == 200
        assert (await ResetSecondStep(user="admin-1").run(port))["had"] is False
        assert c.server.store.rows(RECOVERY_CODE, None, None, after="", limit=20) == []


async def test_secret_is_kept_sealed_and_for_its_user_alone(
    autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    async with clinic() as c:
        codes = await set_up(c)
        await sign_in(c, codes[0])
        await sign_in(c, "000000")
        kinds: tuple[RowKind[Any], ...] = (SECOND_STEP, RECOVERY_CODE, SIGNED_IN)
        kept = "".join(str(c.server.store.rows(kind, None, None, after="", limit=50)) for kind in kinds)
        printed = "".join(capsys.readouterr())
        for canary in (STEP_SECRET, now_code(c), *codes):
            assert canary not in kept + printed
        row = c.server.store.row(SECOND_STEP, "admin-1")
        assert row is not None
        moved = type(row)(user="den-1", sealed=row.sealed, last_used=0, created_at=0)
        assert not await c.server.daemon.keepers.second_steps.passes(moved, now_code(c))


@pytest.mark.parametrize("wrong", [0, 1, 3])
async def test_chat_in_a_terminal_asks_for_the_code(wrong: int, autojump_clock: MockClock) -> None:
    async with clinic() as c:
        await set_up(c)
        token = SignIn(SITE, user="admin-1", password=PASSWORD, dial=c.server.open)
        asked: list[str] = []

        def ask(why: str) -> str:
            asked.append(why)
            return "000000" if len(asked) <= wrong else now_code(c)

        if wrong == CODES_ASKED_FOR:
            with pytest.raises(SignInFailed, match="the code is wrong"):
                await enter(token, ask)
            return
        await enter(token, ask)
        assert (
            asked
            == ["the code of your authenticator app is needed", "the code is wrong, or was used before"][: wrong + 1]
        )
        async with c.server.client(token=token) as client:
            await client.open("den-1")


async def test_chat_in_a_terminal_asks_for_no_code_where_none_is_needed(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        ask = mock.Mock()
        await enter(SignIn(SITE, user="den-1", password=PASSWORD, dial=c.server.open), ask)
        with pytest.raises(SignInFailed, match="user or password is wrong"):
            await enter(SignIn(SITE, user="den-1", password="wrong", dial=c.server.open), ask)
        ask.assert_not_called()
