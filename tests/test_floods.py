"""What one client can't do to others: send without a pause, stay unasked, hoard what is shared."""

from __future__ import annotations

import asyncio
import threading
import time
import uuid
from collections.abc import Iterator

import httpx
import pytest
from sqlalchemy import text

from tests import backstage, raw
from tests.cast import Arrive, Person
from tests.raw import WebSocket
from tests.servers import App, MockProvider, Serve
from tests.test_events import message, signed_in

# What is asked for meanwhile takes a few milliseconds; a starved loop gave no answer in 15 s.
ANSWERED_S = 3.0
HUNG_UP_S = 15.0
FLOOD = b"".join(
    [b"\x81\x8a\x00\x00\x00\x00" + b'42["x",{}]'] * 200  # masked with zeros: 200 small events
)


def flood(socket: WebSocket, sent: list[int]) -> None:
    """Send until hung up on, or for as long as the test may take."""
    socket.socket.settimeout(HUNG_UP_S)
    ends = time.monotonic() + HUNG_UP_S
    try:
        while time.monotonic() < ends:
            socket.socket.sendall(FLOOD)
            sent.append(200)
    except OSError:
        return
    sent.append(-1)


def test_a_flood_of_frames_starves_nobody_and_is_hung_up_on(app: App) -> None:
    with WebSocket(app) as stranger:
        assert stranger.upgrade() == 101
        flooding = threading.Thread(target=flood, args=(stranger, sent := []))
        flooding.start()
        while flooding.is_alive():
            assert httpx.get(f"{app.url}/healthz", timeout=ANSWERED_S).is_success
        flooding.join()
    assert sent, "nothing was sent"
    assert sent[-1] != -1, "not hung up on"


def test_requests_without_a_pause_starve_nobody(app: App) -> None:
    asked = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" * 2_000
    with raw.Connection(app) as greedy:
        sending = threading.Thread(target=greedy.socket.sendall, args=(asked,), daemon=True)
        sending.start()
        for _ in range(5):
            assert httpx.get(f"{app.url}/healthz", timeout=ANSWERED_S).is_success


def test_a_stranger_who_never_says_who_he_is_is_hung_up_on(app: App) -> None:
    with WebSocket(app) as stranger:
        assert stranger.upgrade() == 101
        stranger.socket.settimeout(HUNG_UP_S)
        while stranger.frame() is not None:
            pass


@pytest.fixture(scope="module")
def on_postgres(serve_module: Serve, mock_provider: MockProvider) -> Iterator[App]:
    from tests import servers

    with servers.fresh_postgres() as url:
        app = serve_module(mock_provider, DATABASE_URL=url)
        yield app
        app.stop()


@pytest.fixture
def alice(on_postgres: App) -> Iterator[Person]:
    yield from signed_in(on_postgres, "alice")


@pytest.fixture
def bob(on_postgres: App) -> Iterator[Person]:
    yield from signed_in(on_postgres, "bob")


async def test_who_waits_to_speak_in_a_room_holds_up_no_other_room(
    alice: Person, bob: Person
) -> None:
    """Each that waits for its turn with a connection in hand would leave none for the others."""
    busy = backstage.private_room(alice.app, alice)
    quiet = backstage.private_room(alice.app, bob)
    async with alice.socket() as hers, bob.socket() as his:
        with backstage.store(alice.app) as lock:
            lock.execute(text("SELECT 1 FROM room WHERE id = :id FOR UPDATE"), {"id": busy})
            sends = [
                asyncio.create_task(hers.call("send_message", message(busy), timeout=20))
                for _ in range(40)
            ]
            for _ in range(10):
                ack = await asyncio.wait_for(his.call("typing", {"room": quiet}), 1.0)
                assert ack == {"ok": True}
            assert not any(send.done() for send in sends), "the room was not locked"
        assert all(ack["ok"] for ack in await asyncio.gather(*sends))


@pytest.mark.parametrize("store", ["sqlite", "postgresql"])
async def test_a_message_sent_twice_at_once_counts_once(
    serve: Serve, mock_provider: MockProvider, arrive: Arrive, on_postgres: App, store: str
) -> None:
    settings = {"RATE_MESSAGES": "1 per hour"}
    if store == "postgresql":
        settings["DATABASE_URL"] = on_postgres.database_url
    app = serve(mock_provider, **settings)
    alice = arrive(app, "alice").signs_in()
    room = backstage.private_room(app, alice)
    sent = message(room, client_id=str(uuid.uuid4()))
    async with alice.socket() as one, alice.socket() as other:
        acks = await asyncio.gather(*(s.call("send_message", sent) for s in (one, other)))
    assert [ack["ok"] for ack in acks] == [True, True]
