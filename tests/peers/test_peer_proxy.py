"""A real client, polling only, behind a proxy that cuts, delays and repeats requests."""

import random
from functools import partial
from pathlib import Path

import trio

from support.flaky_proxy import FlakyProxy
from support.process import running
from support.socketio_peer import MODES, person

PAT = {"userId": "pat-1", "name": "Ada"}
DEN = {"userId": "den-1", "name": "Dr Ay", "role": "dentist"}
MANY = 60


async def test_polls_that_break_lose_and_double_nothing(tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    options = {**MODES["polling"], "retries": 100, "ackTimeout": 1_500}
    async with running(tmp_path) as daemon, trio.open_nursery() as nursery:
        proxy = FlakyProxy(daemon.port, random.Random(seed), badness=0.0)
        listen = partial(trio.serve_tcp, proxy.serve, 0, host="127.0.0.1")
        (listener,) = await nursery.start(listen)
        url = f"http://127.0.0.1:{listener.socket.getsockname()[1]}"
        async with person(url, auth=DEN, options=options) as den, person(url, auth=PAT, options=options) as pat:
            await den.until("connect")
            await pat.until("connect")
            id = (await pat.ask("create_conversation", {"targetUserId": "den-1"}, way="retried"))["conversationId"]
            proxy.badness = 0.12
            for number in range(MANY):
                fields = {"conversationId": id, "content": str(number), "clientId": f"c-{number}"}
                assert (await pat.ask("send_message", fields, way="retried"))["success"] is True
            proxy.badness = 0.0
            await den.ask("get_online_users", way="retried")
            again = [told for told in den.happened if told["happened"] == "connect"]
            assert all(told["recovered"] for told in again), "also where it is back before the server has seen it go"
            await den.heard("new_message", str(MANY - 1))
            told = {data["id"]: data["content"] for name, data in den.events if name == "new_message"}
            got = list(told.values())  # each once: the client may hand on twice what came while it was not connected
            everything = [str(number) for number in range(MANY)]
            assert got == everything
            kept = await pat.ask("get_messages", {"conversationId": id, "limit": 200}, way="retried")
            assert [m["content"] for m in kept["messages"]] == everything
            assert all(proxy.done.values()), proxy.done
        nursery.cancel_scope.cancel()
