"""`python -m bench.search`: fill a store with messages in several scripts, index them, and time searches."""

import itertools
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import click

from chatd.commands.handlers.search import PAGE_LIMIT_S
from storage.changes import CreateGroup, PutUser, SendMessage
from storage.search import words_of
from storage.sqlite import SqliteStore

MESSAGES_PER_BATCH = 500
INDEXED_AT_ONCE = 5_000
LIVE_MESSAGES = 500
"""Messages that the daemon indexes at once."""

PAGE_ITEMS = 50
ENGLISH, GERMAN, RUSSIAN, ARABIC, EMOJI = map(
    str.split,
    (
        """patient tooth pain crown appointment tomorrow morning please bring x-ray results insurance form the a to of
        and is it for you we on can be with at this that not have your our will thanks hello doctor dentist clinic root
        canal filling cleaning gum bleeding swelling cold hot bite hurts night ibuprofen antibiotic three times daily
        after meals call us if worse bridge implant braces retainer wisdom upper lower left right molar incisor checkup
        cancel confirm waiting room parking second floor payment invoice receipt estimate treatment plan discuss""",
        "Zahn Schmerzen Termin morgen früh bitte Röntgenbild mitbringen Überweisung Straße Füllung Krone Brücke",
        "зуб болит завтра утром приём пожалуйста принесите снимок спасибо доктор клиника лечение пломба",
        "ألم في الأسنان موعد غدا صباحا من فضلك إحضار صورة الأشعة شكرا دكتور عيادة علاج تنظيف حشو",
        "🦷 😀 🙏 👍 ❤️ 😢 👩\u200d⚕️",
    ),
)
CHINESE = (
    "歯が痛いです予約をお願いします明日の午前中に来てください抜歯治療計画保険証牙齿疼痛请明天上午来医院检查洗牙补牙"
)

CALLERS = {"all": None, "few (5)": 5, "some (300)": 300, "many (2000)": 2000}
"""Callers, and in how many conversations, small ones, they take part."""


def texts(rng: random.Random, names: list[str]) -> Iterator[str]:
    """Messages of about 85 characters; every seventh word of the English ones is a rare one."""
    while True:
        kind, length = rng.random(), max(1, int(rng.lognormvariate(2.4, 0.7)))
        if kind < 0.7:
            text = " ".join(rng.choice(names if rng.random() < 0.15 else ENGLISH) for _ in range(length))
        elif kind < 0.8:
            text = " ".join(rng.choice(GERMAN) for _ in range(length))
        elif kind < 0.88:
            text = "".join(rng.choice(CHINESE) for _ in range(length * 3))
        else:
            text = " ".join(rng.choice(ARABIC if kind < 0.94 else RUSSIAN) for _ in range(length))
        yield text.capitalize() + (f" {rng.choice(EMOJI)}" if rng.random() < 0.1 else "")


def rare_words(rng: random.Random, count: int) -> list[str]:
    return ["".join(rng.choice("bcdfgklmnprstvw") + rng.choice("aeiou") for _ in range(4)) for _ in range(count)]


@attrs.define
class Filled:
    """A store to search. `send`: sends some messages as one batch, and tells how long each took, in us."""

    store: SqliteStore
    names: list[str]
    send: Callable[[int], float]


def fill(path: Path, messages: int, conversations: int) -> Filled:
    """A store whose conversations have very different sizes; the callers' are among the small ones."""
    rng = random.Random(1)
    store = SqliteStore(path, new_epoch=lambda: "bench")
    ids = [f"c{number}" for number in range(conversations)]
    small = ids[conversations // 4 :]
    members: dict[str, list[str]] = {id: ["patient"] for id in ids}
    for caller, number in CALLERS.items():
        for id in ids if number is None else rng.sample(small, min(number, len(small))):
            members[id].append(caller)
    store.commit([PutUser(user, user, "staff", 1) for user in ("patient", *CALLERS)])
    for start in range(0, conversations, MESSAGES_PER_BATCH):
        chunk = ids[start : start + MESSAGES_PER_BATCH]
        store.commit(
            [
                CreateGroup(
                    conversation=id,
                    user="patient",
                    title=id,
                    members=tuple(members[id]),
                    client_id=None,
                    at=1,
                    limit=500,
                )
                for id in chunk
            ]
        )
    weights = list(itertools.accumulate(1 / (place + 10) for place in range(conversations)))
    names = rare_words(rng, 20_000)
    source = texts(rng, names)
    numbers = itertools.count(1)

    def send(count: int) -> float:
        changes = [
            SendMessage(
                conversation=id,
                user="patient",
                client_id=f"k{number}",
                message=f"m{number:012}",
                body=next(source),
                reply_to=None,
                at=number,
            )
            for id, number in zip(rng.choices(ids, cum_weights=weights, k=count), numbers, strict=False)
        ]
        began = time.perf_counter()
        store.commit(changes)
        return (time.perf_counter() - began) / count * 1e6

    with click.progressbar(range(0, messages, MESSAGES_PER_BATCH), label="sending ") as bar:
        for start in bar:
            send(min(MESSAGES_PER_BATCH, messages - start))
    return Filled(store, names, send)


def search(store: SqliteStore, caller: str, query: str, page: int = PAGE_ITEMS) -> int:
    """Return the number of hits on the first page, read call by call as the daemon does."""
    hits, before = 0, None
    until = time.perf_counter() + PAGE_LIMIT_S
    while hits < page and time.perf_counter() < until:
        found = store.search(caller, words_of(query), conversation=None, before=before, limit=page - hits)
        assert found is not None
        hits, before = hits + len(found.hits), found.next
        if before is None:
            break
    return hits


def timed(store: SqliteStore, caller: str, queries: list[str]) -> str:
    """Return the time of the queries: by the clock, and by the processor, which a busy machine doesn't change."""
    walls, cpus, hits = [], [], 0
    for query in queries:
        wall, cpu = time.perf_counter(), time.process_time()
        hits += search(store, caller, query)
        walls.append((time.perf_counter() - wall) * 1e3)
        cpus.append((time.process_time() - cpu) * 1e3)
    rank = len(queries) * 95 // 100
    return (
        f"p50 {statistics.median(walls):7.1f} ms   p95 {sorted(walls)[rank]:7.1f} ms   "
        f"(CPU {statistics.median(cpus):7.1f}, {sorted(cpus)[rank]:7.1f} ms)   {hits / len(queries):5.1f} hits"
    )


def size(path: Path) -> float:
    """MB of the file and its log."""
    return sum(os.path.getsize(file) for file in path.parent.glob(f"{path.name}*")) / 1e6


@click.command()
@click.option("--messages", default=1_000_000, show_default=True, type=click.IntRange(1_000))
@click.option("--conversations", default=20_000, show_default=True, type=click.IntRange(100))
@click.option("--disk", default=".", type=click.Path(exists=True, file_okay=False), help="Folder for the store (.)")
def main(messages: int, conversations: int, disk: str) -> None:
    """Time searches, and what the index costs."""
    with tempfile.TemporaryDirectory(prefix=".bench-", dir=disk) as folder:
        path = Path(folder) / "chat.db"
        filled = fill(path, messages, conversations)
        store, plain = filled.store, size(path)
        before = statistics.median(filled.send(50) for _ in range(200))
        began = time.perf_counter()
        left = store.index(INDEXED_AT_ONCE)
        with click.progressbar(length=left, label="indexing") as bar:
            while left:
                rest = store.index(INDEXED_AT_ONCE)
                bar.update(left - rest)
                left = rest
        click.echo(f"index of {messages:,} messages: {time.perf_counter() - began:.1f} s, {size(path) - plain:.0f} MB "
                   f"beside {plain:.0f} MB")  # fmt: skip
        after = statistics.median(filled.send(50) for _ in range(200))
        click.echo(f"a send, in batches of 50: {before:.1f} us before there was an index, {after:.1f} us with it")
        live = []
        left = 1
        while left:
            began = time.perf_counter()
            left = store.index(LIVE_MESSAGES)
            live.append((time.perf_counter() - began) * 1e3)
        click.echo(f"indexing {LIVE_MESSAGES} new ones: {statistics.median(live):.1f} ms, longest {max(live):.1f} ms")
        rng = random.Random(2)
        kinds = {
            "rare word": rng.sample(filled.names, 40),
            "part of a rare word": [name[1:6] for name in rng.sample(filled.names, 40)],
            "common word": rng.sample(ENGLISH, 20) + rng.sample(GERMAN, 5) + rng.sample(ARABIC, 5),
            "three common words": [" ".join(rng.sample(ENGLISH[:30], 3)) for _ in range(40)],
            "three signs": [CHINESE[at : at + 3] for at in range(0, 40, 2)],
            "nothing": [f"zq{number}xj" for number in range(20)],
            "one character": ["q", "牙", "ж", "%", "ة", "!"],
            "two characters": ["zq", "🦷q", "éj", "計画", "'x"],
        }
        for caller in CALLERS:
            click.echo(f"\n{caller}")
            for kind, queries in kinds.items():
                queries = [query for query in queries if kind != "common word" or len(query) > 2]
                click.echo(f"  {kind:20} {timed(store, caller, queries)}")
        store.close()


if __name__ == "__main__":
    main(prog_name="python -m bench.search")
