"""What `/metrics` shows, and to whom; the board and the alerts ask for nothing else."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
import yaml
from prometheus_client.parser import text_string_to_metric_families
from trio.testing import MockClock

from chatd import testing
from chatd.background import loop_delay
from chatd.config import Config, Limits, Metrics
from chatd.config import Server as ServerSettings
from chatd.http.health import failing
from chatd.testing import Server
from storage.memory import MemoryStore
from support.served import Answer, calling

DEPLOY = Path(__file__).parents[2] / "deploy"
TOKEN = "metrics-token-of-the-clinic"
LOCAL = ("127.0.0.1", 5000)
ELSEWHERE = ("192.0.2.7", 5000)
Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


async def ask(server: Server, target: str, peer: tuple[str, int] = LOCAL, **headers: str) -> Answer:
    async with calling(server, peer) as client:
        return await client.ask("GET", target, b"", **headers)


async def series(server: Server) -> Series:
    text = (await ask(server, "/metrics")).body.decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(found: Series, name: str, **labels: str) -> float:
    return found[name, frozenset(labels.items())]


async def test_metrics_follow_what_happens(autojump_clock: MockClock) -> None:
    async with testing.daemon() as server:
        before = await series(server)
        ada, bo = await server.connect("pat-1"), await server.connect("den-1", role="dentist")
        opened = await ada.ask("conversation.open", with_="den-1")
        sent = await ada.ask("message.send", conversation=opened["conversation"], client_id="a", body="it hurts")
        await bo.expect("change", rev=sent["rev"])
        found = await series(server)
        assert value(found, "chatd_connections", transport="websocket") == 2
        assert value(found, "chatd_users_online") == 2
        assert value(found, "chatd_rooms") == 1
        assert value(found, "chatd_ready") == 1
        assert value(found, "chatd_deliveries_total") - value(before, "chatd_deliveries_total") >= 2
        changes = "chatd_commit_changes_sum"
        assert value(found, changes) - value(before, changes) >= 4  # two users, a conversation, a message
        assert value(found, "chatd_commit_seconds_count") == value(found, "chatd_commit_changes_count") > 0
        asked = {"method": "GET", "operation": "/metrics", "status": "200"}
        assert value(found, "chatd_http_requests_total", **asked) == 1  # this one is not over yet
        await ada.aclose()
        await bo.aclose()
        await trio.sleep(1)
        assert value(await series(server), "chatd_connections", transport="websocket") == 0
        # What those who left were given still counts.
        assert value(await series(server), "chatd_deliveries_total") >= value(found, "chatd_deliveries_total")


async def test_no_metric_names_a_user_a_conversation_or_a_text(autojump_clock: MockClock) -> None:
    async with testing.daemon() as server:
        ada = await server.connect("canary-user", name="Canary Name")
        await server.connect("canary-dentist", role="dentist")
        opened = await ada.ask("conversation.open", with_="canary-dentist")
        await ada.ask("message.send", conversation=opened["conversation"], client_id="a", body="canary text")
        await ask(server, "/v1/canary-path?canary-query", Authorization="Bearer canary-token")
        text = (await ask(server, "/metrics")).body.decode()
        assert "canary" not in text.lower()
        assert opened["conversation"] not in text
        # One series, whatever those ask for whom nobody serves.
        assert 'operation="none",status="404"' in text


@pytest.mark.parametrize(
    ("token", "peer", "headers", "status"),
    [
        ("", LOCAL, {}, 200),
        ("", ("::1", 5000), {}, 200),
        ("", ("127.9.9.9", 5000), {}, 200),
        ("", ELSEWHERE, {}, 401),
        ("", LOCAL, {"Forwarded": "for=192.0.2.7"}, 401),
        ("", LOCAL, {"X-Forwarded-For": "127.0.0.1"}, 401),
        ("", LOCAL, {"X-Forwarded-Proto": "https"}, 401),
        ("", LOCAL, {"X-Forwarded-Anything": "x"}, 401),
        ("", LOCAL, {"Via": "1.1 proxy"}, 401),
        ("", ELSEWHERE, {"Authorization": "Bearer "}, 401),
        (TOKEN, ELSEWHERE, {"Authorization": f"Bearer {TOKEN}"}, 200),
        (TOKEN, ELSEWHERE, {"Authorization": f"bearer {TOKEN}", "Via": "1.1 proxy"}, 200),
        (TOKEN, ELSEWHERE, {"Authorization": f"Bearer {TOKEN}x"}, 401),
        (TOKEN, ELSEWHERE, {"Authorization": f"Basic {TOKEN}"}, 401),
        (TOKEN, ELSEWHERE, {}, 401),
        (TOKEN, LOCAL, {}, 200),
    ],
)
async def test_metrics_are_for_the_token_or_this_machine(
    token: str, peer: tuple[str, int], headers: dict[str, str], status: int, autojump_clock: MockClock
) -> None:
    async with testing.daemon(config=Config(metrics=Metrics(token=token))) as server:
        answer = await ask(server, "/metrics", peer, **headers)
        assert answer.status == status
        assert (b"chatd_ready" in answer.body) == (status == 200)
        if status == 200:
            assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
            assert answer.headers["cache-control"] == "no-store"


SELECTOR = re.compile(r"([a-z_:]+)\{([^}]*)\}|\b((?:chatd|process)_[a-z_]+|up)\b")
MATCHER = re.compile(r'(\w+)(=~|=|!=)"([^"]*)"')
ADDED = {"job", "instance"}
"""Labels that Prometheus adds itself when it scrapes."""


def queries() -> Iterator[tuple[str, str]]:
    board = json.loads((DEPLOY / "grafana" / "chatd.json").read_text())
    for panel in board["panels"]:
        assert panel["description"]
        for target in panel["targets"]:
            yield panel["title"], target["expr"]
    rules = yaml.safe_load((DEPLOY / "prometheus" / "chatd.rules.yml").read_text())
    for group in rules["groups"]:
        for rule in group["rules"]:
            assert rule["annotations"].keys() == {"summary", "action"}
            assert rule["labels"]["severity"] in ("page", "ticket")
            yield rule["alert"], rule["expr"]


def selected(query: str, found: Series) -> Iterator[tuple[str, int]]:
    """Each selector of a query, and how many series it has."""
    for name, matchers, bare in SELECTOR.findall(query):
        wanted = [each for each in MATCHER.findall(matchers) if each[0] not in ADDED]

        def matches(labels: dict[str, str], wanted: list[Any] = wanted) -> bool:
            return all(
                {
                    "=": labels.get(label) == text,
                    "!=": labels.get(label) != text,
                    "=~": re.fullmatch(text, labels.get(label, "")) is not None,
                }[how]
                for label, how, text in wanted
            )

        yield name or bare, sum(n == (name or bare) and matches(dict(labels)) for n, labels in found)


@pytest.mark.parametrize(("title", "query"), list(queries()))
async def test_query_of_the_board_or_an_alert_finds_series(title: str, query: str, autojump_clock: MockClock) -> None:
    assert query.count("(") == query.count(")")
    async with testing.daemon() as server:
        await server.connect("pat-1")
        await ask(server, "/healthz")
        found = await series(server)
    asked = list(selected(query, found))
    assert asked, query
    for name, number in asked:
        assert number or name == "up", (title, name)


async def test_loop_delay_is_what_a_timer_was_late(mock_clock: MockClock) -> None:
    seen: list[float] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(loop_delay.watch, seen.append)
        await trio.testing.wait_all_tasks_blocked()
        for late in (0.0, 0.75):
            mock_clock.jump(loop_delay.LOOP_DELAY_EVERY_S + late)
            await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert seen == [pytest.approx(0), pytest.approx(0.75)]


async def test_damage_is_a_note_of_a_ready_daemon(autojump_clock: MockClock) -> None:
    store = MemoryStore(epoch="e", development=True)
    async with testing.daemon(store=store) as server:
        assert "notes" not in json.loads((await ask(server, "/readyz")).body)
        store.damaged = [("c1", seq) for seq in range(1, 8)]
        answer = await ask(server, "/readyz")
        assert answer.status == 200
        (note,) = json.loads(answer.body)["notes"]
        assert note == (
            "damaged messages: 1 of c1, 2 of c1, 3 of c1, 4 of c1, 5 of c1 and 2 more; run `chatd db check`, "
            "and restore a backup"
        )


async def test_failing_job_is_a_note_of_a_ready_daemon_and_a_metric(autojump_clock: MockClock) -> None:
    async def broken() -> None:
        raise ValueError("with a secret in it")

    async with testing.daemon() as server, trio.open_nursery() as nursery:
        jobs = server.daemon.jobs
        nursery.start_soon(jobs.supervise, "broken", broken)
        await trio.sleep(2.5)
        answer = await ask(server, "/readyz")
        assert answer.status == 200
        body = json.loads(answer.body)
        assert body["status"] == "ready"
        assert body["notes"] == failing(jobs) == ["the job 'broken' fails (ValueError, 2 times in a row); see the log"]
        found = await series(server)
        assert value(found, "chatd_job_failures_total", job="broken") == 2
        assert value(found, "chatd_job_failing", job="broken") == 1
        assert value(found, "chatd_job_failing", job="presence") == 0
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(("least", "status"), [(0, 200), (1, 200), (2**50, 503)])
async def test_full_disk_is_not_ready(least: int, status: int, tmp_path: Path, autojump_clock: MockClock) -> None:
    config = Config(server=ServerSettings(data=str(tmp_path)), limits=Limits(free_disk_bytes=least))
    async with testing.daemon(config=config) as server:
        answer = await ask(server, "/readyz")
        assert answer.status == status
        if status == 503:
            assert re.fullmatch(r"the disk is almost full: \d+ MiB are free", json.loads(answer.body)["reason"])
