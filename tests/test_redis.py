"""Two processes with one store and one bus: people hear each other wherever they are connected."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from sqlalchemy import text

from tests import backstage, servers
from tests.cast import Person, Socket
from tests.servers import App, MockProvider, Redis, Serve, wait_for
from tests.test_events import message, say, signed_in

CUT_S = 2.0


class Site(NamedTuple):
    here: App
    there: App


@pytest.fixture(scope="module")
def site(
    serve_module: Serve, mock_provider: MockProvider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    servers.require(Redis.installed(), "redis-server")
    redis = Redis(tmp_path_factory.mktemp("redis"), servers.free_port()).start()
    with servers.fresh_postgres() as url:
        both = [
            serve_module(mock_provider, DATABASE_URL=url, REDIS_URL=redis.url) for _ in range(2)
        ]
        yield Site(*both)
        for app in both:
            app.stop()
    redis.stop()


@pytest.fixture
def alice(site: Site) -> Iterator[Person]:
    yield from signed_in(site.here, "alice")


@pytest.fixture
def bob(site: Site) -> Iterator[Person]:
    yield from signed_in(site.there, "bob")


def elsewhere(person: Person, app: App) -> Person:
    """The same browser, led to another process by the load balancer."""
    other = Person(app, person.sub)
    other.cookies.set("chat_session", person.session_key or "", domain="localhost.local")
    return other


@pytest.fixture
def alice_there(site: Site, alice: Person) -> Iterator[Person]:
    person = elsewhere(alice, site.there)
    yield person
    person.close()


async def heard_until(socket: Socket, last: dict[str, Any]) -> list[dict[str, Any]]:
    """Messages up to one, and that one."""
    heard = [await socket.next("receive_message")]
    while heard[-1]["id"] != last["id"]:
        heard.append(await socket.next("receive_message"))
    return heard


async def test_bob_hears_alice_from_there(alice: Person, bob: Person, site: Site) -> None:
    room = backstage.private_room(site.here, alice, bob)
    async with alice.socket() as hers, bob.socket() as his:
        said = await say(hers, room, "From here")
        del said["client_id"]
        assert await his.next("receive_message") == said
        answer = await say(his, room, "From there")
        assert (await heard_until(hers, answer))[-1]["body"] == "From there"


async def test_alice_hears_herself_there(
    alice: Person, alice_there: Person, bob: Person, site: Site
) -> None:
    room = backstage.private_room(site.here, alice, bob)
    async with alice.socket() as here, alice_there.socket() as there, bob.socket() as his:
        said = [await say(here, room, "One"), await say(here, room, "Two")]
        heard = await heard_until(there, said[-1])
        assert {m["id"] for m in heard} == {m["id"] for m in said}
        assert {m["client_id"] for m in heard if "client_id" in m} == {m["client_id"] for m in said}
        # At most once for herself and once for the room; the page knows it by its id.
        assert len(heard) <= 4
        assert [m["body"] for m in await heard_until(his, said[-1])] == ["One", "Two"]


async def test_nobody_else_hears_it_there(alice: Person, bob: Person, site: Site) -> None:
    apart = backstage.private_room(site.here, alice)
    common = backstage.private_room(site.here, alice, bob)
    async with alice.socket() as hers, bob.socket() as his:
        await say(hers, apart, "Alone")
        said = await say(hers, common, "For Bob")
        assert [m["body"] for m in await heard_until(his, said)] == ["For Bob"]


async def test_signing_out_here_cuts_the_socket_there(
    alice: Person, alice_there: Person, bob: Person
) -> None:
    async with alice_there.socket() as socket, bob.socket() as his:
        alice.http.post("/logout")
        assert await socket.next("session_ended", CUT_S) == {"reason": "signed_out"}
        await socket.ends(CUT_S)
        assert not his.closed.is_set()
    assert not alice_there.signed_in


async def test_a_session_that_ended_in_the_store_is_cut(alice: Person) -> None:
    """Whichever process ended it, and even if the bus lost the word of it."""
    async with alice.socket() as socket:
        backstage.end_session(alice)
        assert await socket.next("session_ended", CUT_S) == {"reason": "signed_out"}
        await socket.ends(CUT_S)


async def test_numbers_are_taken_once_by_both(alice: Person, bob: Person, site: Site) -> None:
    room = backstage.private_room(site.here, alice, bob)
    async with alice.socket() as hers, bob.socket() as his:
        said = await asyncio.gather(*(say((hers, his)[n % 2], room, f"{n}") for n in range(40)))
    assert sorted(m["seq"] for m in said) == list(range(1, 41))
    page = alice.http.get(f"/api/rooms/{room}/messages").json()
    by_seq = {m["seq"]: m["body"] for m in said}
    assert [m["body"] for m in page["messages"]] == [by_seq[n] for n in range(1, 41)]
    assert page["last_seq"] == 40


async def test_sent_through_both_at_once_it_is_one_message(
    alice: Person, alice_there: Person, site: Site
) -> None:
    """A page that lost its connection resends through another process while the first still works.
    Both are held up at the room's number, so that both have seen that it is not there yet."""
    room = backstage.private_room(site.here, alice)
    sent = message(room, "Once")
    async with alice.socket() as here, alice_there.socket() as there:
        with backstage.store(site.here) as lock:
            lock.execute(text("SELECT id FROM room WHERE id = :id FOR UPDATE"), {"id": room})
            acks = [
                asyncio.create_task(socket.call("send_message", sent, timeout=10))
                for socket in (here, there)
            ]
            await asyncio.to_thread(wait_for, lambda: waiting(site) == 2, 4, "both to wait")
        first, second = await asyncio.gather(*acks)
    assert first["ok"] is True
    assert first == second
    assert backstage.stored(site.here, room) == ["Once"]
    assert backstage.last_seq(site.here, room) == 1


def waiting(site: Site) -> int:
    return int(
        backstage.one(
            site.here,
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'",
        )
    )


async def test_the_same_client_id_in_two_rooms_through_both_is_good_once(
    alice: Person, alice_there: Person, site: Site
) -> None:
    rooms = [backstage.private_room(site.here, alice) for _ in range(2)]
    client_id = str(uuid.uuid4())
    async with alice.socket() as here, alice_there.socket() as there:
        acks = await asyncio.gather(
            *(
                socket.call("send_message", message(room, client_id=client_id))
                for socket, room in zip((here, there), rooms, strict=True)
            )
        )
    assert sorted(ack["ok"] for ack in acks) == [False, True]
    refused = next(ack for ack in acks if not ack["ok"])
    assert refused["error"]["code"] == "invalid"
    assert sorted(backstage.last_seq(site.here, room) for room in rooms) == [0, 1]
