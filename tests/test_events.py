"""The socket events: who is answered what, who hears of it, and what gets no further."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests import backstage, raw, servers
from tests.cast import Arrive, Person, Socket, SocketRefused
from tests.provider import Provider
from tests.raw import WebSocket
from tests.servers import App, MockProvider, Serve

# What `tests.variants` raises.
INSIDE = "the colour of the inside is puce"
TYPES = {
    "id": int,
    "room": int,
    "seq": int,
    "changed_seq": int,
    "author": dict,
    "body": str,
    "created_at": str,
    "edited_at": type(None),
    "deleted": bool,
    "reactions": list,
}


def lobby(person: Person) -> int:
    rooms = person.http.get("/api/rooms").raise_for_status().json()["rooms"]
    return next(int(room["id"]) for room in rooms if room["slug"] == "lobby")


def message(room: int, body: Any = "Hello", **changed: Any) -> dict[str, Any]:
    return {"room": room, "body": body, "client_id": str(uuid.uuid4()), **changed}


async def say(socket: Socket, room: int, body: str) -> dict[str, Any]:
    ack = await socket.call("send_message", message(room, body))
    assert ack["ok"] is True, ack
    said: dict[str, Any] = ack["message"]
    return said


def assert_refused(ack: Any, code: str) -> None:
    assert ack["ok"] is False
    assert ack["error"]["code"] == code
    assert isinstance(ack["error"]["message"], str)
    assert set(ack) == {"ok", "error"}


async def next_is(socket: Socket, said: dict[str, Any]) -> None:
    """That what was said is the next message heard, so that nothing came before it."""
    heard = await socket.next("receive_message")
    assert heard["body"] == said["body"]
    assert heard["id"] == said["id"]


# The cast, signed in once for all tests here


@pytest.fixture(scope="module")
def alice(app: App) -> Iterator[Person]:
    yield from signed_in(app, "alice")


@pytest.fixture(scope="module")
def bob(app: App) -> Iterator[Person]:
    yield from signed_in(app, "bob")


def signed_in(app: App, sub: str) -> Iterator[Person]:
    person = Person(app, sub).signs_in()
    yield person
    person.close()


# Acks


async def test_a_message_is_acked_with_itself(alice: Person) -> None:
    sent = message(lobby(alice), "  Hello Lobby \n")
    async with alice.socket() as socket:
        ack = await socket.call("send_message", sent)
    assert set(ack) == {"ok", "message"}
    assert ack["ok"] is True
    said = ack["message"]
    assert {name: type(value) for name, value in said.items()} == {**TYPES, "client_id": str}
    assert (said["body"], said["client_id"]) == ("Hello Lobby", sent["client_id"])
    assert said["author"] == {"id": alice.me["id"], "name": "Alice"}


@pytest.mark.parametrize("event", ["typing", "mark_read"])
async def test_other_events_are_acked_with_ok(alice: Person, event: str) -> None:
    async with alice.socket() as socket:
        assert await socket.call(event, {"room": lobby(alice), "seq": 0}) == {"ok": True}


async def test_a_name_is_not_taken_from_the_client(alice: Person) -> None:
    sent = message(lobby(alice), author={"id": 1, "name": "Mallory"}, user="Mallory", name="M")
    async with alice.socket() as socket:
        said = (await socket.call("send_message", sent))["message"]
    assert said["author"]["name"] == "Alice"


BAD_PAYLOADS: list[Any] = [
    *[None, "x", 7, True, [], {}, ({}, {}), ({"room": 1}, {"room": 1})],
    *[{"room": None}, {"room": "1"}, {"room": True}, {"room": 1.0}, {"room": 0}, {"room": -1}],
    *[{"room": 2**31}, {"room": 10**30}, {"room": {"id": 1}}, {"room": [1]}, {"rooms": 1}],
]


@pytest.mark.parametrize("event", ["send_message", "typing", "mark_read"])
async def test_a_payload_that_makes_no_sense_is_invalid(alice: Person, event: str) -> None:
    async with alice.socket() as socket:
        for payload in BAD_PAYLOADS:
            if isinstance(payload, dict):
                payload = {"body": "Hello", "client_id": str(uuid.uuid4()), "seq": 0, **payload}
            assert_refused(await socket.call(event, payload), "invalid")


@pytest.mark.parametrize(
    "changed",
    [
        *[{"body": body} for body in (None, 1, "", " \n", ["Hello"], "a\x00b")],
        *[{"client_id": client_id} for client_id in (None, 1, "", "x" * 36)],
    ],
    ids=repr,
)
async def test_a_message_that_makes_no_sense_is_invalid_and_not_stored(
    alice: Person, changed: dict[str, Any]
) -> None:
    room = backstage.private_room(alice.app, alice)
    async with alice.socket() as socket:
        assert_refused(await socket.call("send_message", message(room, **changed)), "invalid")
    assert backstage.stored(alice.app, room) == []
    assert backstage.last_seq(alice.app, room) == 0


async def test_a_message_as_long_as_may_be(alice: Person) -> None:
    room = backstage.private_room(alice.app, alice)
    async with alice.socket() as socket:
        await say(socket, room, "🙂" * 4_000)
    assert backstage.stored(alice.app, room) == ["🙂" * 4_000]


async def test_a_message_longer_than_that_is_not_stored(alice: Person) -> None:
    room = backstage.private_room(alice.app, alice)
    async with alice.socket() as socket:
        ack = await socket.call("send_message", message(room, "🙂" * 4_001))
        assert_refused(ack, "too_large")
    assert backstage.stored(alice.app, room) == []


async def test_one_cannot_have_read_what_was_not_said(alice: Person) -> None:
    room = backstage.private_room(alice.app, alice)
    async with alice.socket() as socket:
        assert_refused(await socket.call("mark_read", {"room": room, "seq": 1}), "invalid")


@pytest.mark.parametrize("event", ["send_message", "typing", "mark_read"])
async def test_a_room_that_one_is_not_in_is_not_found(
    alice: Person, bob: Person, event: str
) -> None:
    room = backstage.private_room(alice.app, alice)
    async with alice.socket() as hers, bob.socket() as his:
        assert_refused(await his.call(event, message(room, seq=0)), "not_found")
        await next_is(hers, await say(hers, room, "Alone"))
        assert hers.waiting("typing") == 0
    assert backstage.stored(alice.app, room) == ["Alone"]


@pytest.mark.parametrize("event", ["nothing", "message", "json", "connect", "disconnect", "*", ""])
@pytest.mark.parametrize("payload", ["", ',{"room":1}', ",1,2"])
def test_an_event_that_there_is_not_is_invalid(hostile: Hostile, event: str, payload: str) -> None:
    with hostile.socket() as socket:
        socket.send(f'427["{event}"{payload}]')
        assert_refused(json.loads(socket.until("437").removeprefix("437"))[0], "invalid")
        assert raw.is_answered(socket, hostile.room)


# Who hears of it


async def test_all_of_a_room_hear_a_message(alice: Person, bob: Person) -> None:
    room = backstage.private_room(alice.app, alice, bob)
    async with alice.socket() as one, alice.socket() as two, bob.socket() as his:
        said = await say(one, room, "Hello")
        for own in (one, two):
            assert await own.next("receive_message") == said
        del said["client_id"]
        assert await his.next("receive_message") == said
        # Once each: the next that they hear is the next that was said.
        said = await say(one, room, "Hello again")
        for socket in (one, two, his):
            await next_is(socket, said)


async def test_nobody_else_hears_it(alice: Person, bob: Person) -> None:
    apart, common = (
        backstage.private_room(alice.app, alice),
        backstage.private_room(alice.app, alice, bob),
    )
    async with alice.socket() as hers, bob.socket() as his:
        await say(hers, apart, "For myself")
        await hers.call("typing", {"room": apart})
        await next_is(his, await say(hers, common, "For Bob"))
        assert his.waiting("typing") == 0


async def test_messages_are_heard_in_the_order_of_their_numbers(
    broken: App, arrive: Arrive
) -> None:
    """Also when those who sent them learn of their commits in another order."""
    alice, bob = (arrive(broken, name).signs_in() for name in ("alice", "bob"))
    room = backstage.private_room(broken, alice, bob)
    uneven = {"X-Fault": "uneven"}
    async with (
        alice.socket(**uneven) as one,
        alice.socket(**uneven) as two,
        bob.socket(**uneven) as his,
    ):
        senders = [(one, two, his)[n % 3] for n in range(50)]
        said = await asyncio.gather(*(say(s, room, f"{n}") for n, s in enumerate(senders)))
        for socket in (one, two, his):
            heard = [await socket.next("receive_message") for _ in range(50)]
            assert [m["seq"] for m in heard] == list(range(1, 51))
            assert [m["id"] for m in heard] == [
                m["id"] for m in sorted(said, key=lambda m: int(m["seq"]))
            ]


async def test_sent_again_it_has_the_same_answer_and_is_not_heard_again(
    alice: Person, bob: Person
) -> None:
    room = backstage.private_room(alice.app, alice, bob)
    sent = message(room, "Hello")
    async with alice.socket() as hers, bob.socket() as his:
        first = await hers.call("send_message", sent)
        again = await asyncio.gather(*(hers.call("send_message", sent) for _ in range(3)))
        assert again == [first] * 3
        await next_is(his, first["message"])
        await next_is(his, await say(hers, room, "Next"))
    assert backstage.stored(alice.app, room) == ["Hello", "Next"]


async def test_a_client_id_of_another_room_is_invalid(alice: Person) -> None:
    rooms = [backstage.private_room(alice.app, alice) for _ in range(2)]
    sent = message(rooms[0])
    async with alice.socket() as socket:
        assert (await socket.call("send_message", sent))["ok"]
        assert_refused(await socket.call("send_message", {**sent, "room": rooms[1]}), "invalid")
    assert backstage.stored(alice.app, rooms[1]) == []


async def test_typing_is_for_the_others(alice: Person, bob: Person) -> None:
    room = backstage.private_room(alice.app, alice, bob)
    async with alice.socket() as one, alice.socket() as two, bob.socket() as his:
        await one.call("typing", {"room": room})
        alice_is = {"id": alice.me["id"], "name": "Alice"}
        assert await his.next("typing") == {"room": room, "user": alice_is}
        said = await say(one, room, "Typed")
        for own in (one, two):
            await next_is(own, said)
            assert own.waiting("typing") == 0


async def test_what_one_has_read_is_for_ones_own_tabs(alice: Person, bob: Person) -> None:
    room = backstage.private_room(alice.app, alice, bob)
    async with alice.socket() as one, alice.socket() as two, bob.socket() as his:
        await say(his, room, "Read this")
        await one.call("mark_read", {"room": room, "seq": 1})
        for own in (one, two):
            assert await own.next("read") == {"room": room, "seq": 1}
        await one.call("mark_read", {"room": room, "seq": 1})
        said = await say(one, room, "Done")
        for socket in (two, his):
            while (await socket.next("receive_message"))["id"] != said["id"]:
                pass
            assert socket.waiting("read") == 0


# Limits


@pytest.fixture(scope="module")
def limited(serve_module: Serve, shared_provider: Provider) -> App:
    return serve_module(
        shared_provider,
        RATE_MESSAGES="3 per 10 minutes",
        RATE_EVENTS="20 per 10 minutes",
        MAX_SOCKETS_PER_USER="2",
    )


@pytest.fixture
def dora(limited: App, shared_provider: Provider, arrive: Arrive) -> Person:
    """Someone of the test's own, as limits are each person's."""
    sub = f"dora-{len(shared_provider.people)}"
    shared_provider.people[sub] = {"name": "Dora"}
    return arrive(limited, sub).signs_in()


async def test_too_many_messages_are_not_stored(dora: Person) -> None:
    room = backstage.private_room(dora.app, dora)
    first = message(room, "1")
    async with dora.socket() as socket:
        kept = await socket.call("send_message", first)
        for body in "23":
            await say(socket, room, body)
        ack = await socket.call("send_message", message(room, "4"))
        assert_refused(ack, "rate_limited")
        assert isinstance(ack["error"]["retry_after"], int)
        assert 0 < ack["error"]["retry_after"] <= 600
        # What was stored before costs nothing when it is sent again, nor does anything else.
        assert await socket.call("send_message", first) == kept
        assert (await socket.call("typing", {"room": room}))["ok"]
    assert backstage.stored(dora.app, room) == ["1", "2", "3"]
    assert backstage.last_seq(dora.app, room) == 3


async def test_the_limit_is_each_persons_in_all_tabs(
    dora: Person, limited: App, shared_provider: Provider, arrive: Arrive
) -> None:
    shared_provider.people["erin"] = {"name": "Erin"}
    erin = arrive(limited, "erin").signs_in()
    room = backstage.private_room(limited, dora, erin)
    async with dora.socket() as one, dora.socket() as two, erin.socket() as hers:
        for socket in (one, two, one):
            await say(socket, room, "Hello")
        assert_refused(await two.call("send_message", message(room)), "rate_limited")
        await say(hers, room, "Hello")


async def test_too_many_events_are_refused(dora: Person) -> None:
    room = backstage.private_room(dora.app, dora)
    async with dora.socket() as socket:
        for _ in range(20):
            assert (await socket.call("typing", {"room": room}))["ok"]
        ack = await socket.call("typing", {"room": room})
        assert_refused(ack, "rate_limited")
        assert ack["error"]["retry_after"] > 0
        assert_refused(await socket.call("send_message", message(room)), "rate_limited")
    assert backstage.stored(dora.app, room) == []


async def test_a_person_has_so_many_sockets(dora: Person) -> None:
    async with dora.socket() as one:
        async with dora.socket():
            with pytest.raises(SocketRefused) as refused:
                async with dora.socket():
                    pass
            assert refused.value.reason == "rate_limited"
            assert one.client.connected

        async def one_went() -> Socket:
            """The server hears of a tab that was closed a moment after the client closed it."""
            for _ in range(100):
                try:
                    async with dora.socket() as socket:
                        return socket
                except SocketRefused:
                    continue
            raise AssertionError("the place of a closed socket stays taken")

        await one_went()


# Faults inside: `tests.variants.broken`


class Hostile:
    """An application to be maltreated, and someone who signed in there."""

    def __init__(self, app: App, alice: Person, room: int) -> None:
        self.app, self.alice, self.room = app, alice, room

    def socket(self) -> Any:
        return raw.connected(self.alice)


@pytest.fixture(scope="module")
def broken(mock_provider: MockProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """Not by `serve`, which minds the tracebacks that this one logs."""
    environ = {
        "OKTA_OAUTH2_ISSUER": mock_provider.issuer,
        "OKTA_OAUTH2_CLIENT_ID": "chat",
        "OKTA_OAUTH2_CLIENT_SECRET": "unchecked",
        "MAX_SOCKETS_PER_USER": "200",
    }
    folder, port = tmp_path_factory.mktemp("broken"), servers.free_port()
    app = App(folder, port, environ, "tests.variants:broken()")
    app.start()
    yield app
    app.stop()


@pytest.fixture(scope="module")
def frida(broken: App) -> Iterator[Person]:
    """Alice, at the application that is broken."""
    yield from signed_in(broken, "alice")


@pytest.fixture
def hostile(broken: App, frida: Person) -> Iterator[Hostile]:
    """Fails if the maltreated application logs a traceback."""
    before = len(broken.log)
    yield Hostile(broken, frida, lobby(frida))
    assert "Traceback" not in broken.log[before:]


@pytest.mark.parametrize("fault", ["TypeError", "KeyError", "RuntimeError", "ValueError"])
async def test_whatever_breaks_in_connect_refuses_the_client(frida: Person, fault: str) -> None:
    room = lobby(frida)
    async with frida.socket() as sound:
        with pytest.raises(SocketRefused) as refused:
            async with frida.socket(**{"X-Fault": f"connect {fault}"}):
                pass
        assert refused.value.reason == "unavailable"
        await say(sound, room, "Hello")


@pytest.mark.parametrize("fault", ["TypeError", "KeyError", "RuntimeError", "ValueError"])
def test_a_refused_client_hears_nothing_and_says_nothing(frida: Person, fault: str) -> None:
    """As a client of one's own would try: it stays, whatever it was told, and goes on."""
    room = lobby(frida)
    cookie = f"chat_session={frida.session_key}"
    with WebSocket(frida.app) as refused, raw.connected(frida) as sound:
        assert refused.upgrade(Cookie=cookie, **{"X-Fault": f"connect {fault}"}) == 101
        refused.until("0{")
        refused.send("40")
        told = refused.until("4")
        assert told.startswith("44")
        assert INSIDE not in told
        refused.send(f'427["send_message",{json.dumps(message(room, "Intruder"))}]')
        sound.send(f'428["send_message",{json.dumps(message(room, "Members only"))}]')
        assert '"ok":true' in sound.until("438")
        # Engine.IO answers a probe in its turn: whatever was sent before it would have come first.
        refused.send("5")
        assert refused.until("") == "6"
    assert "Intruder" not in backstage.stored(frida.app, room)


@pytest.mark.parametrize("fault", ["TypeError", "KeyError", "RuntimeError"])
async def test_an_event_that_breaks_is_acked_without_the_inside(frida: Person, fault: str) -> None:
    room = lobby(frida)
    before = len(frida.app.log)
    async with frida.socket(**{"X-Fault": f"typing {fault}"}) as socket:
        ack = await socket.call("typing", {"room": room})
        assert_refused(ack, "unavailable")
        assert "puce" not in json.dumps(ack)
        assert fault not in json.dumps(ack)
        await say(socket, room, "It goes on")
    assert INSIDE in frida.app.log[before:], "those who run it must find it in the log"


@pytest.mark.parametrize("event", ["send_message", "typing", "mark_read"])
async def test_each_event_asks_whether_the_session_lives(
    broken: App, arrive: Arrive, event: str
) -> None:
    """The copy from the time of the handshake is not to be trusted."""
    frida = arrive(broken, "alice").signs_in()
    room = backstage.private_room(broken, frida)
    async with frida.socket() as socket:
        assert (await socket.call(event, message(room, "In time", seq=0)))["ok"]
        before = backstage.stored(broken, room)
        backstage.end_session(frida)
        ack = await socket.call(event, message(room, "Too late", seq=0))
        assert_refused(ack, "unauthenticated")
    assert backstage.stored(broken, room) == before


async def test_each_event_asks_whether_one_is_still_a_member(frida: Person, broken: App) -> None:
    room = backstage.private_room(broken, frida)
    async with frida.socket() as socket:
        await say(socket, room, "In time")
        with backstage.store(broken) as store:
            store.exec_driver_sql(f"DELETE FROM membership WHERE room_id = {room}")
        assert_refused(await socket.call("send_message", message(room)), "not_found")
        assert_refused(await socket.call("typing", {"room": room}), "not_found")


# What gets no further: others must neither be sent it nor lose their connection over it


POISON = {
    "NaN": "NaN",
    "Infinity": "Infinity",
    "-Infinity": "-Infinity",
    "an infinite float": "1e999",
    "NUL": r'"\u0000"',
    "a lone surrogate": r'"\ud800"',
    "half a pair": r'"\ude42\ud83d"',
    "nested deeply": "[" * 5_000 + "]" * 5_000,
    "a huge number": "1" * 5_000,
    "no JSON": "{",
}


@pytest.mark.parametrize("field", ["body", "room", "client_id"])
@pytest.mark.parametrize("poison", POISON.values(), ids=POISON.keys())
def test_poison_is_invalid_and_goes_no_further(hostile: Hostile, poison: str, field: str) -> None:
    payload = message(hostile.room)
    payload[field] = "POISON"
    packet = json.dumps(["send_message", payload]).replace('"POISON"', poison)
    with hostile.socket() as socket, hostile.socket() as other:
        socket.send(f"427{packet}")
        assert_refused(json.loads(socket.until("437").removeprefix("437"))[0], "invalid")
        assert raw.is_answered(socket, hostile.room)
        socket.send(f'428["send_message",{json.dumps(message(hostile.room, "Sound"))}]')
        assert '"body":"Sound"' in other.until("4")


@pytest.mark.parametrize("poison", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_json_is_invalid_wherever_it_stands(hostile: Hostile, poison: str) -> None:
    """Python reads these and writes them again; socket.io-client hangs up on them."""
    with hostile.socket() as socket:
        socket.send(f'427["typing",{{"room":{hostile.room},"extra":[{poison}]}}]')
        assert_refused(json.loads(socket.until("437").removeprefix("437"))[0], "invalid")


async def test_a_binary_payload_is_invalid(frida: Person) -> None:
    room = lobby(frida)
    async with frida.socket() as socket:
        for payload in (message(room, body=b"Hello"), [b"1", b"2"], b"Hello"):
            assert_refused(await socket.call("send_message", payload), "invalid")
            await say(socket, room, "Text")


@pytest.mark.parametrize("kind", ["5", "6"])
@pytest.mark.parametrize("count", ["1", "3", "5000", "9999999999"])
def test_attachments_are_not_waited_for(hostile: Hostile, kind: str, count: str) -> None:
    """Held until they have all come, their number and size would know no bound."""
    attached = '{"_placeholder":true,"num":0}'
    with hostile.socket() as socket:
        socket.send(f'4{kind}{count}-7["send_message",{attached}]')
        assert_refused(json.loads(socket.until("437").removeprefix("437"))[0], "invalid")
        assert raw.is_answered(socket, hostile.room), "the next event was taken for an attachment"
        socket.send_frame(raw.FIN | raw.BINARY, b"\x00" * 1_000)
        assert raw.is_answered(socket, hostile.room)


PACKETS = {
    "an empty frame": "",
    "no packet": "x",
    "an Engine.IO close with data": "1x",
    "a superscript": "²",
    "an empty message": "4",
    "an empty list": "4[]",
    "an empty object": "4{}",
    "null": "4null",
    "an empty string": '4""',
    "nothing in base64": "b",
    "no base64": "b!!",
    "base64": "bAAAA",
    "a digit of another script": "४",
    "a server's refusal": "44",
    "no type 7": "47",
    "no type 9": "49",
    "an object for a packet": '4{"type":2}',
    "lists in lists": "4" + "[" * 20_000,
    "connected again": "40",
    "another namespace": "40/admin",
    "an event elsewhere": '42/admin,7["typing"]',
    "an ack nobody asked for": "4399[]",
    "an ack that is none": '4399{"a":1}',
    "an event without a name": "42[]",
    "an event that is a text": '42"x"',
    "an event whose name is a list": '42[["x"]]',
    "an id without end": "42" + "9" * 5_000 + '["typing"]',
    "an upgrade": "5",
    "a pong": "3{}",
    "an unknown Engine.IO type": "9",
}


@pytest.mark.parametrize("packet", PACKETS.values(), ids=PACKETS.keys())
def test_a_packet_that_makes_no_sense_breaks_nothing(hostile: Hostile, packet: str) -> None:
    """It may cost its sender the connection; a traceback would be a log for strangers to fill."""
    with hostile.socket() as socket:
        socket.send(packet)
        try:
            answered = raw.is_answered(socket, hostile.room)
        except (AssertionError, OSError):
            answered = True  # hung up, or closed
        assert answered
    with hostile.socket() as another:
        assert raw.is_answered(another, hostile.room)


def test_nothing_is_answered_before_connecting(hostile: Hostile) -> None:
    with WebSocket(hostile.app) as socket:
        assert socket.upgrade(Cookie=f"chat_session={hostile.alice.session_key}") == 101
        socket.until("0{")
        socket.send(f'427["send_message",{json.dumps(message(hostile.room, "Too soon"))}]')
        socket.send("5")
        assert socket.until("") == "6"
    assert "Too soon" not in backstage.stored(hostile.app, hostile.room)
