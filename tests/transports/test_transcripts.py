"""The protocol as dialogues (`transcripts/`, notation in `support/dialogue.py`), played on every engine and store.

An engine never sees the store: each engine plays on the memory store, and each other store under the own engine.
"""

from pathlib import Path
from typing import Literal, get_args

import pytest
from trio.testing import MockClock

from chatd.config import Config, Messages, Mysql, Server
from chatd.testing import daemon
from protocol.requests import REQUESTS
from support import dialogue, stores
from support.peers import PollingPeer, RequestPeer, StreamPeer

NAMES = sorted(path.stem for path in dialogue.FOLDER.glob("*.txt") if " in a " not in path.stem)
KINDS = [kind for kind in stores.KINDS if kind.name != "sqlite-single"]
Engine = Literal["own", "trio-websocket"]
PAIRS = [
    pytest.param(engine, kind, id=f"{engine}-{kind.name}")
    for kind in KINDS
    for engine in get_args(Engine)
    if engine == "own" or kind.name == "memory"
]


def test_pairs_reach_every_engine_and_every_store() -> None:
    assert [pair.id for pair in PAIRS] == ["own-memory", "trio-websocket-memory", "own-sqlite", "own-mysql"]


@pytest.mark.parametrize(("engine", "kind"), PAIRS)
@pytest.mark.parametrize("name", NAMES)
async def test_transcript(
    name: str, engine: Engine, kind: stores.Kind, tmp_path: Path, autojump_clock: MockClock
) -> None:
    store = kind.open(tmp_path)
    try:
        # No other program writes; to look for it all the same takes long, where hours pass on a virtual clock.
        config = Config(
            server=Server(websocket=engine),
            messages=Messages(edit_within=1.0, delete_within=1.0),
            mysql=Mysql(poll=3600.0),
        )
        async with daemon(store=store, config=config) as server:
            wrong = await dialogue.perform(server, dialogue.read(name))
        assert wrong is None, wrong
    finally:
        store.close()


@pytest.mark.parametrize("make_peer", [PollingPeer, StreamPeer, RequestPeer])
@pytest.mark.parametrize("name", NAMES)
async def test_transcript_by_another_way_in(
    name: str, make_peer: type[dialogue.Peer], autojump_clock: MockClock
) -> None:
    config = Config(messages=Messages(edit_within=1.0, delete_within=1.0))
    async with daemon(config=config) as server:
        wrong = await dialogue.perform(server, dialogue.read(name), make_peer)
    assert wrong is None, wrong


def test_every_request_is_in_some_transcript() -> None:
    text = "".join(path.read_text() for path in dialogue.FOLDER.glob("*.txt"))
    assert [name for name in REQUESTS if f'"type": "{name}"' not in text] == []


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ('ada < {"re": 2}', "re: 1, not 2"),
        ('ada < {"server_time": "absent"}', "server_time: it is there"),
        ('ada < {"nonsense": "..."}', "nonsense: absent"),
        ('ada <= {"type": "ok", "re": 1}', "it has server_time, too"),
        ("ada < nothing", '"re": 1'),
        ("bo < nothing", "at the end ada has"),
        ("ada is closed with 4010", "came:"),
        ("bo is closed with 4010", "it is open"),
        ("ada sings", "not a line of a dialogue"),
    ],
)
async def test_a_wrong_line_fails(line: str, complaint: str, autojump_clock: MockClock) -> None:
    lines = [dialogue.Line(text, "here:1") for text in ("ada signs in as pat-1, patient",
                                                        'ada > {"type": "ping", "id": 1}', line)]  # fmt: skip
    async with daemon() as server:
        wrong = await dialogue.perform(server, lines)
    assert wrong is not None
    assert complaint in wrong
