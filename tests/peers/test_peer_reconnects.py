"""A thousand reconnects of real clients while messages come: nothing is lost, nothing is stored or shown twice.

What is counted is what an application shows, by the messages' ids: a client that is recovered may hand on an event
twice, as it keeps what comes while it is not connected, and asks for it again.
"""

from pathlib import Path

import pytest
import trio

from support.process import running
from support.socketio_peer import MODES, Person, person

PAT = {"userId": "pat-1", "name": "Ada"}
DEN = {"userId": "den-1", "name": "Dr Ay", "role": "dentist"}
SETTINGS = "[limits]\nrequests_per_second = 10000.0\n"
RECONNECTS = 1_000
CLIENTS = 4
"""Of each mode that are cut, again and again: two windows of each person."""
CUTS = -(-RECONNECTS // (CLIENTS * len(MODES)))
PAUSE_S = 0.02
"""Between two messages: some come with each reconnect."""
PAGE = 200


async def kept(who: Person, conversation: str) -> list[str]:
    """All that is stored, the oldest first."""
    found: list[str] = []
    before: int | None = None
    while True:
        page = await who.ask("get_messages", {"conversationId": conversation, "limit": PAGE, "before": before})
        found = [message["content"] for message in page["messages"]] + found
        if not page["hasMore"]:
            return found
        before = page["messages"][0]["seq"]


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
async def test_thousand_reconnects_during_traffic_lose_and_double_nothing(tmp_path: Path, mode: str) -> None:
    options = MODES[mode]
    async with running(tmp_path, settings=SETTINGS) as daemon:
        url = f"http://127.0.0.1:{daemon.port}"
        async with (
            person(url, auth=PAT) as sender,
            person(url, auth=DEN, options=options) as den,
            person(url, auth=DEN, options=options) as den_too,
            person(url, auth=PAT, options=options) as pat,
            person(url, auth=PAT, options=options) as pat_too,
        ):
            cut_off = (den, den_too, pat, pat_too)
            for who in (sender, *cut_off):
                await who.until("connect")
            id = (await sender.ask("create_conversation", {"targetUserId": "den-1"}))["conversationId"]
            sent: list[str] = []

            async def send() -> None:
                while True:
                    text = str(len(sent))
                    fields = {"conversationId": id, "content": text, "clientId": f"c-{text}"}
                    with trio.CancelScope(shield=True):  # what is under way is acknowledged, and counts
                        assert (await sender.ask("send_message", fields))["success"] is True
                        sent.append(text)
                    await trio.sleep(PAUSE_S)

            async def cut(who: Person) -> None:
                for _ in range(CUTS):
                    await who.do("cut")
                    assert (await who.until("connect"))["recovered"] is True

            async with trio.open_nursery() as sending:
                sending.start_soon(send)
                async with trio.open_nursery() as cutting:
                    for who in cut_off:
                        cutting.start_soon(cut, who)
                sending.cancel_scope.cancel()
            for who in cut_off:
                await who.heard("new_message", sent[-1])
                shown = {data["id"]: data["content"] for name, data in who.events if name == "new_message"}
                assert list(shown.values()) == sent
            assert await kept(sender, id) == sent, "none is stored twice"
            print(f"{mode}: {CUTS * CLIENTS} reconnects, {len(sent)} messages")
