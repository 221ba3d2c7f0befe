"""The events of Socket.IO front ends, mapped onto the same commands as the native protocol's."""

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from chatd import testing
from support.socketio_chat import ConnectError, SioClient, sio

PAT = {"userId": "pat-1", "name": "Ada"}
DEN = {"userId": "den-1", "name": "Dr Ay", "role": "dentist"}


async def conversation(pat: SioClient) -> str:
    made = await pat.ask("create_conversation", {"targetUserId": "den-1"})
    assert made["success"] is True, made
    id: str = made["conversationId"]
    return id


async def test_flow_of_patient_and_dentist(autojump_clock: MockClock) -> None:
    async with testing.daemon() as server, sio(server, DEN) as den, sio(server, PAT) as pat:
        made = await pat.ask("create_conversation", {"targetUserId": "den-1"})
        id = made["conversationId"]
        assert made["conversation"]["id"] == id
        assert {p["userId"]: p["name"] for p in made["conversation"]["participants"]} == {
            "pat-1": "Ada",
            "den-1": "Dr Ay",
        }
        for person in (pat, den):
            told = (await person.next("conversation_created"))["conversation"]
            assert told["id"] == id
            assert {p["userId"]: (p["role"], p["isOnline"]) for p in told["participants"]} == {
                "pat-1": ("patient", True), "den-1": ("dentist", True),
            }  # fmt: skip
        sent = await pat.ask("send_message", {"conversationId": id, "content": "It hurts", "clientId": "a-1"})
        assert sent == {"success": True, "message": sent["message"], "duplicate": False}
        expected = {
            "id": sent["message"]["id"], "conversationId": id, "senderId": "pat-1", "content": "It hurts",
            "clientId": "a-1", "replyToId": None, "attachments": [], "status": "SENT", "seq": 1,
            "createdAt": sent["message"]["createdAt"],
        }  # fmt: skip
        assert sent["message"] == expected
        for person in (pat, den):
            assert await person.next("new_message") == expected, "the sender has it, too"
        assert await den.ask("message_delivered", {"conversationId": id, "messageId": expected["id"]}) == {
            "success": True
        }
        status = {"conversationId": id, "userId": "den-1", "messageId": expected["id"], "seq": 1}
        assert await pat.next("message_status") == status | {"status": "DELIVERED"}
        assert await den.ask("mark_read", {"conversationId": id}) == {"success": True}
        assert await pat.next("message_status") == status | {"status": "READ"}
        page = await pat.ask("get_messages", {"conversationId": id})
        assert page == {"success": True, "messages": [expected | {"status": "READ"}], "hasMore": False}
        await den.emit("typing", {"conversationId": id, "isTyping": True})
        assert await pat.next("user_typing") == {"conversationId": id, "userId": "den-1", "isTyping": True}
        listed = await pat.ask("get_conversations", {})
        assert [c["lastMessage"]["content"] for c in listed["conversations"]] == ["It hurts"]


async def test_socketio_and_native_clients_share_conversations(autojump_clock: MockClock) -> None:
    async with testing.daemon() as server, sio(server, PAT) as pat:
        den = await server.connect("den-1", role="dentist", name="Dr Ay")
        id = await conversation(pat)
        assert (await den.expect("change", conversation=id))["from"] == 0
        await pat.emit("send_message", {"conversationId": id, "content": "one"})
        change = await den.expect("change", conversation=id)
        assert [m["body"] for m in change["messages"]] == ["one"]
        await den.ask("message.send", conversation=id, client_id="d-1", body="two", reply_to=1)
        assert (await pat.next("new_message"))["content"] == "one"
        two = await pat.next("new_message")
        assert (two["content"], two["senderId"]) == ("two", "den-1")
        assert two["replyToId"] == change["messages"][0]["id"]
        await den.ask("message.edit", conversation=id, seq=2, body="three")
        edited = await pat.next("message_updated")
        assert (edited["id"], edited["content"]) == (two["id"], "three")
        await den.ask("message.react", conversation=id, seq=1, emoji="\N{THUMBS UP SIGN}", on=True)
        assert (await pat.next("message_updated"))["reactions"][0]["count"] == 1
        await den.ask("message.react", conversation=id, seq=1, emoji="\N{THUMBS UP SIGN}", on=False)
        assert (await pat.next("message_updated"))["content"] == "one"
        await den.ask("message.delete", conversation=id, seq=2)
        assert (await pat.next("message_updated"))["content"] == ""


@pytest.mark.parametrize("field", ["content", "text", "message", "body"])
async def test_message_under_any_name_is_sent(autojump_clock: MockClock, field: str) -> None:
    async with testing.daemon() as server, sio(server, DEN), sio(server, PAT) as pat:
        id = await conversation(pat)
        sent = await pat.ask("send_message", {"conversationId": id, field: "Hello"})
        assert sent["message"]["content"] == "Hello"
        assert sent["message"]["clientId"] is None


@pytest.mark.parametrize(
    ("event", "data"),
    [
        ("no_such_event", {}),
        ("send_message", {}),
        ("send_message", None),
        ("send_message", {"conversationId": "unknown", "content": "x"}),
        ("send_message", {"conversationId": 7, "content": "x"}),
        ("send_message", {"conversationId": "with space", "content": "x"}),
        ("send_message", {"conversationId": "c", "content": "nul \0"}),
        ("send_message", {"conversationId": "c", "content": "x" * 20_000}),
        ("create_conversation", {}),
        ("create_conversation", {"targetUserId": "nobody"}),
        ("create_conversation", {"participantIds": "den-1"}),
        ("create_conversation", {"targetUserId": {"$ne": None}}),
        ("join_conversation", "unknown"),
        ("join_conversation", {"conversationId": None}),
        ("join_conversation", [["c"]]),
        ("mark_read", {"conversationId": "unknown"}),
        ("message_delivered", {"conversationId": "unknown", "messageId": "m"}),
        ("get_messages", {"conversationId": "unknown"}),
        ("get_messages", {"conversationId": "c", "limit": -1}),
        ("typing", {"conversationId": "unknown"}),
        ("typing", {}),
    ],
)
async def test_refused_event_is_acknowledged_or_told(autojump_clock: MockClock, event: str, data: Any) -> None:
    async with testing.daemon() as server, sio(server, DEN), sio(server, PAT) as pat:
        refused = await pat.ask(event, data)
        assert refused["success"] is False, refused
        assert refused["error"].keys() >= {"code", "message"}
        await pat.emit(event, data)
        assert (await pat.next("error"))["code"] == refused["error"]["code"]
        assert (await pat.ask("get_online_users", {}))["success"] is True, "the connection lives"


@pytest.mark.parametrize("event", ["join", "register", "user_connected"])
async def test_greeting_is_accepted_and_not_believed(autojump_clock: MockClock, event: str) -> None:
    async with testing.daemon() as server, sio(server, DEN) as den, sio(server, PAT) as pat:
        id = await conversation(pat)
        assert await pat.ask(event, "den-1") == {"success": True}
        assert await pat.ask(event, {"userId": "den-1", "role": "admin"}) == {"success": True}
        await pat.emit("send_message", {"conversationId": id, "content": "x"})
        assert (await den.next("new_message"))["senderId"] == "pat-1"


async def test_typing_by_all_its_names(autojump_clock: MockClock) -> None:
    async with testing.daemon() as server, sio(server, DEN) as den, sio(server, PAT) as pat:
        id = await conversation(pat)
        for event, active in (("typing", True), ("stop_typing", False), ("typing_start", True), ("typing_stop", False)):
            assert await pat.ask(event, {"conversationId": id}) == {"success": True}
            assert (await den.next("user_typing"))["isTyping"] is active
        await pat.emit("typing", id)
        assert (await den.next("user_typing"))["isTyping"] is True
        await pat.emit("typing", {"conversationId": id, "isTyping": False})
        assert (await den.next("user_typing"))["isTyping"] is False


async def test_conversation_is_joined_by_id_object_or_array(autojump_clock: MockClock) -> None:
    async with testing.daemon() as server, sio(server, DEN), sio(server, PAT) as pat:
        id = await conversation(pat)
        (session,) = server.daemon.registry.of("pat-1")
        for data in (id, {"conversationId": id}, [id], [{"conversationId": id}]):
            assert await pat.ask("join_conversation", data) == {"success": True}
            assert session.focus == id
            assert await pat.ask("leave_conversation", data) == {"success": True}
            assert session.focus is None


async def test_presence_is_told_and_listed(autojump_clock: MockClock) -> None:
    async with testing.daemon() as server, sio(server, PAT) as pat:
        assert await pat.next("online_users") == {"userIds": []}
        async with sio(server, DEN) as den:
            await conversation(pat)
            assert await den.ask("get_online_users", {}) == {"success": True, "userIds": ["pat-1"]}
        gone = await pat.next("user_offline")
        assert gone["userId"] == "den-1"
        assert gone["lastSeen"] is not None
        async with sio(server, DEN) as den:
            assert await den.next("online_users") == {"userIds": ["pat-1"]}
            assert (await pat.next("user_online"))["userId"] == "den-1"


async def test_group_tells_who_comes_and_goes(autojump_clock: MockClock) -> None:
    async with testing.daemon() as server, sio(server, DEN) as den, sio(server, PAT) as pat:
        desk = await server.connect("staff-1", role="staff")
        made = await den.ask("create_conversation", {"userIds": ["pat-1"], "name": "Implants", "isGroup": True})
        id = made["conversationId"]
        assert (made["conversation"]["kind"], made["conversation"]["title"]) == ("group", "Implants")
        await pat.next("conversation_created")
        den_native = await server.connect("den-1")
        await den_native.ask("conversation.add", conversation=id, user="staff-1")
        assert await pat.next("user_joined") == {"conversationId": id, "userId": "staff-1"}
        added = await pat.next("new_message")
        assert (added["senderId"], added["system"]) == (None, True)
        await desk.expect("change", conversation=id)
        await den_native.ask("conversation.remove", conversation=id, user="pat-1")
        assert await pat.next("user_left") == {"conversationId": id, "userId": "pat-1"}
        assert (await pat.ask("send_message", {"conversationId": id, "content": "x"}))["error"]["code"] == "not_found"


async def test_repeated_client_id_is_a_duplicate(autojump_clock: MockClock) -> None:
    async with testing.daemon() as server, sio(server, DEN) as den, sio(server, PAT) as pat:
        id = await conversation(pat)
        one = {"conversationId": id, "content": "one", "clientId": "k"}
        first = await pat.ask("send_message", one)
        await den.ask("mark_read", {"conversationId": id})
        again = await pat.ask("send_message", one)
        assert again["duplicate"] is True
        assert again["message"] == first["message"] | {"status": "READ"}
        assert len(den.named("new_message")) == 1


async def test_messages_are_paged_by_seq_and_by_id(autojump_clock: MockClock) -> None:
    async with testing.daemon() as server, sio(server, DEN), sio(server, PAT) as pat:
        id = await conversation(pat)
        ids = [
            (await pat.ask("send_message", {"conversationId": id, "content": str(n)}))["message"]["id"]
            for n in range(5)
        ]
        for before in (4, ids[3]):
            page = await pat.ask("get_messages", {"conversationId": id, "before": before, "limit": 2})
            assert [m["content"] for m in page["messages"]] == ["1", "2"]
            assert page["hasMore"] is True


async def test_reply_is_named_by_its_message(autojump_clock: MockClock) -> None:
    async with testing.daemon() as server, sio(server, DEN) as den, sio(server, PAT) as pat:
        id = await conversation(pat)
        first = (await pat.ask("send_message", {"conversationId": id, "content": "1"}))["message"]["id"]
        await pat.ask("send_message", {"conversationId": id, "content": "2", "replyToId": first})
        await den.next("new_message")
        assert (await den.next("new_message"))["replyToId"] == first
        unknown = await pat.ask("send_message", {"conversationId": id, "content": "3", "replyToId": "no"})
        assert unknown["error"]["code"] == "not_found"


async def test_message_that_the_app_stored_is_told_and_not_stored_again(autojump_clock: MockClock) -> None:
    async with testing.daemon() as server, sio(server, DEN) as den, sio(server, PAT) as pat:
        id = await conversation(pat)
        sent = (await pat.ask("send_message", {"conversationId": id, "content": "1"}))["message"]
        again = await pat.ask("send_message", {"conversationId": id, "content": "1", "id": sent["id"]})
        assert (again["success"], again["message"]["id"]) == (True, sent["id"])
        other = await den.ask("send_message", {"conversationId": id, "content": "1", "id": sent["id"]})
        assert other["error"]["code"] == "not_found", "it is another's"
        assert len((await pat.ask("get_messages", id))["messages"]) == 1


async def test_binary_event_is_refused_and_acknowledged(autojump_clock: MockClock) -> None:
    async with testing.daemon() as server, sio(server, PAT) as pat:
        await pat._socket.say('451-9["send_message",{"file":{"_placeholder":true,"num":0}}]', b"\x89PNG")
        with trio.fail_after(10):
            while 9 not in pat._acks:
                await pat._news.wait()
        assert pat._acks[9]["error"]["code"] == "bad_request"


async def test_connect_without_a_name_is_refused_with_a_code(autojump_clock: MockClock) -> None:
    async with testing.daemon() as server:
        with pytest.raises(ConnectError) as refused:
            async with sio(server, None):
                pass
        assert refused.value.data["data"] == {"code": "bad_request"}
