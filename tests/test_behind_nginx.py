"""Behind nginx, as in production: TLS on each hop, two processes, and one of them that goes.

nginx runs by `deploy/nginx.conf`; `tests.nginx` says what is changed for a test.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import aiohttp
import pytest
import socketio

from tests import backstage, nginx, servers
from tests.cast import Person
from tests.nginx import CONFIGURATION, Backend, Nginx
from tests.servers import MockProvider, Redis, Server
from tests.test_events import message

S = TypeVar("S", bound=Server)
Record = Callable[[str, object], None]
log = logging.getLogger(__name__)

CLOUDFORMATION_PARAMETER = 4_000
CHATTERS, OF_THEM_POLLING = 40, 4
EVERY_S = 1.0
EXIT_S = 10.0
# Time runs so much faster where idle connections are waited for; TEST_LONG=1 takes it as it is.
FASTER = 1 if os.environ.get("TEST_LONG") else 120


class Site(NamedTuple):
    """nginx, and the processes behind it: one for Alice, and one for Bob."""

    nginx: Nginx
    here: Backend
    there: Backend

    def arrive(self, sub: str) -> Person:
        return Person(self.here, sub, self.nginx.transport())

    def sign_in_at(self, app: Backend, sub: str) -> Person:
        """Someone whom nginx leads to that process: which one, depends on the session's key."""
        for _ in range(40):
            person = self.arrive(sub).signs_in()
            if self.nginx.port_of(person) == app.port:
                return person
            person.close()
        raise AssertionError(f"40 sessions, and none at {app.port}")


@contextlib.contextmanager
def running(server: S) -> Iterator[S]:
    server.start()
    try:
        yield server
    finally:
        if server.alive:
            server.stop(2 * EXIT_S)
    assert "Traceback" not in server.log, server.log


@pytest.fixture(scope="module")
def site(mock_provider: MockProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    servers.require(Redis.installed(), "redis-server")
    servers.require(Nginx.installed(), "nginx")
    folder, port = tmp_path_factory.mktemp, servers.free_port()
    with contextlib.ExitStack() as stack:
        redis = stack.enter_context(running(Redis(folder("redis"), servers.free_port())))
        environ = {
            "PUBLIC_URL": f"https://localhost:{port}",
            "DATABASE_URL": stack.enter_context(servers.fresh_postgres()),
            "REDIS_URL": redis.url,
            "MAX_SOCKETS_PER_USER": "100",
        }
        apps = [
            stack.enter_context(running(Backend(folder("app"), mock_provider, **environ)))
            for _ in range(2)
        ]
        server = nginx.serving(*(app.port for app in apps), port=port)
        yield Site(stack.enter_context(server), *apps)


@pytest.fixture(scope="module")
def alice(site: Site) -> Iterator[Person]:
    with contextlib.closing(site.sign_in_at(site.here, "alice")) as person:
        yield person


@pytest.fixture(scope="module")
def bob(site: Site) -> Iterator[Person]:
    with contextlib.closing(site.sign_in_at(site.there, "bob")) as person:
        yield person


class Page:
    """A client that comes back by itself, as the page's does, and resends what was not acked."""

    def __init__(self, server: Nginx, person: Person, transport: str) -> None:
        self.url = server.url
        self.transport = transport
        self.http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=server.context),
            cookies=dict(person.cookies),
            # A browser adds it to each request; the client would leave it out of a poll's POST.
            headers={"Origin": person.app.url},
        )
        self.client = socketio.AsyncClient(http_session=self.http)
        self.heard: set[str] = set()
        self.acked: dict[str, int] = {}
        self.came: list[float] = []
        self.left: list[float] = []
        self.client.on("receive_message", lambda heard: self.heard.add(heard["body"]))
        self.client.on("connect", lambda: self.came.append(time.monotonic()))
        self.client.on("disconnect", lambda _reason: self.left.append(time.monotonic()))

    async def connect(self) -> None:
        await self.client.connect(self.url, transports=[self.transport], wait_timeout=10)

    async def say(self, sent: dict[str, Any]) -> None:
        """Say something until it is acked."""
        while True:
            try:
                ack = await self.client.call("send_message", sent, timeout=3)
            except (socketio.exceptions.SocketIOError, TimeoutError):
                await asyncio.sleep(0.1)
                continue
            assert ack["ok"], ack
            self.acked[ack["message"]["body"]] = ack["message"]["seq"]
            return

    async def chat(self, room: int, stop: asyncio.Event) -> None:
        while not stop.is_set():
            await asyncio.sleep(random.uniform(0, 2 * EVERY_S))
            await self.say(message(room, uuid.uuid4().hex))

    async def close(self) -> None:
        await self.client.disconnect()
        await self.http.close()


@contextlib.asynccontextmanager
async def pages(
    server: Nginx, *people: Person, transports: Sequence[str] = ("websocket",)
) -> AsyncIterator[list[Page]]:
    """A page for each, connected; of the transports each is given the next one."""
    opened = [
        Page(server, person, transports[n % len(transports)]) for n, person in enumerate(people)
    ]
    try:
        await asyncio.gather(*(page.connect() for page in opened))
        yield opened
    finally:
        await asyncio.gather(*(page.close() for page in opened))


async def until(true: Callable[[], bool], what: str, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"waited {seconds:g} s in vain for {what}"
        await asyncio.sleep(0.02)


# Two processes


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_everyone_gets_in_and_is_heard_by_all_on_both(
    site: Site, alice: Person, bob: Person, transport: str
) -> None:
    room = backstage.private_room(site.here, alice, bob)
    async with pages(site.nginx, *[alice, bob] * 20, transports=[transport]) as opened:
        said = [message(room, f"Message {n}") for n in range(len(opened))]
        await asyncio.gather(*(page.say(one) for page, one in zip(opened, said, strict=True)))
        bodies = {one["body"] for one in said}
        await until(lambda: all(page.heard == bodies for page in opened), "all to be heard by all")
        assert sorted(seq for page in opened for seq in page.acked.values()) == list(range(1, 41))
        assert not [page for page in opened if page.left]


async def ask(
    server: Nginx, person: Person, path: str, stop: asyncio.Event, statuses: list[int]
) -> None:
    """One request after another, on a connection that is kept."""
    connector = aiohttp.TCPConnector(ssl=server.context)
    async with aiohttp.ClientSession(connector=connector, cookies=dict(person.cookies)) as http:
        while not stop.is_set():
            async with http.get(f"{server.url}{path}") as answer:
                statuses.append(answer.status)
            await asyncio.sleep(0.02)


class Crowd(NamedTuple):
    """People who chat here, one who listens there, and one who asks for pages here."""

    chatters: list[Page]
    listener: Page
    statuses: list[int]

    @property
    def acked(self) -> dict[str, int]:
        return {body: seq for page in self.chatters for body, seq in page.acked.items()}

    async def all_say_more(self) -> None:
        before = [len(page.acked) for page in self.chatters]
        await until(
            lambda: all(len(page.acked) > n for page, n in zip(self.chatters, before, strict=True)),
            "everyone to say something",
        )


@contextlib.asynccontextmanager
async def crowd(site: Site, alice: Person, bob: Person, room: int) -> AsyncIterator[Crowd]:
    stop = asyncio.Event()
    transports = ["polling"] * OF_THEM_POLLING + ["websocket"] * (CHATTERS - OF_THEM_POLLING + 1)
    people = [alice] * CHATTERS + [bob]
    async with pages(site.nginx, *people, transports=transports) as (*chatters, listener):
        here = Crowd(chatters, listener, [])
        asked = [ask(site.nginx, alice, "/api/me", stop, here.statuses) for _ in range(2)]
        busy = [asyncio.create_task(page.chat(room, stop)) for page in chatters]
        busy += [asyncio.create_task(asking) for asking in asked]
        yield here
        stop.set()
        await asyncio.gather(*busy)
        acked = here.acked
        await until(lambda: acked.keys() <= listener.heard, "all that was acked to be heard")


async def test_one_process_goes_while_forty_chat(
    site: Site, alice: Person, bob: Person, record_property: Record
) -> None:
    """Nor does it come back: this is the last test of two processes."""
    room = backstage.private_room(site.here, alice, bob)
    async with crowd(site, alice, bob, room) as here:
        await until(lambda: len(here.acked) > CHATTERS, "the chat to be under way")
        began = time.monotonic()
        status = await asyncio.to_thread(site.here.stop, 2 * EXIT_S)
        took = time.monotonic() - began
        await here.all_say_more()
        assert not here.listener.left
        assert {len(page.left) for page in here.chatters} == {1}
    acked = here.acked
    assert backstage.stored(site.there, room) == sorted(acked, key=acked.__getitem__)
    assert sorted(acked.values()) == list(range(1, len(acked) + 1))
    assert set(here.statuses) == {200}
    assert status == 0
    assert took < EXIT_S

    record_property("messages, requests", (len(acked), len(here.statuses)))
    record_property("seconds to exit", round(took, 1))
    for transport in ("websocket", "polling"):
        pages_of = [page for page in here.chatters if page.transport == transport]
        moves = sorted(round(page.came[1] - page.left[0], 1) for page in pages_of)
        record_property(f"seconds to move by {transport}", moves)
        log.info("%s: %.1f to %.1f s; exit %.1f s", transport, moves[0], moves[-1], took)


# One process, and nginx beside it as it is shipped


class Beside(NamedTuple):
    nginx: Nginx
    app: Backend

    def arrive(self, sub: str, address: str, spoofed: str = "") -> Person:
        """Someone whose address the load balancer in front has added to what was sent."""
        person = Person(self.app, sub, self.nginx.transport())
        person.http.headers["X-Forwarded-For"] = ", ".join(filter(None, (spoofed, address)))
        return person


@pytest.fixture(scope="module")
def beside(
    mock_provider: MockProvider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Beside]:
    servers.require(Nginx.installed(), "nginx")
    port = servers.free_port()
    environ = {
        "PUBLIC_URL": f"https://localhost:{port}",
        "TRUSTED_PROXIES": "2",
        "RATE_SIGN_IN": "4 per minute",
        "wsgi": f"tests.variants:pinging({20 / FASTER:.2f})",
    }
    app = Backend(tmp_path_factory.mktemp("app"), mock_provider, **environ)
    with running(app), nginx.serving(app.port, port=port) as server:
        yield Beside(server, app)


def test_what_is_tested_for_two_processes_is_what_is_written_down() -> None:
    operations = (servers.ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    assert nginx.PERSON + nginx.TWO in operations


def test_it_can_be_handed_over() -> None:
    assert len(CONFIGURATION.read_bytes()) <= CLOUDFORMATION_PARAMETER


def test_addresses_are_counted_as_the_load_balancer_saw_them(beside: Beside) -> None:
    for n in range(4):
        flooding = beside.arrive("mallory", "198.51.100.1", spoofed=f"203.0.113.{n}")
        assert flooding.http.get("/login").status_code == 302
    for spoofed in ("203.0.113.9", "198.51.100.2", ""):
        flooding = beside.arrive("mallory", "198.51.100.1", spoofed)
        assert flooding.http.get("/login").status_code == 429
    assert beside.arrive("alice", "198.51.100.2").signs_in().signed_in


def test_what_the_app_says_is_not_added_to(beside: Beside) -> None:
    answer = beside.arrive("alice", "198.51.100.3").http.get("/")
    for header in ("strict-transport-security", "content-security-policy"):
        assert len(answer.headers.get_list(header)) == 1
    assert answer.headers["server"] == "nginx"
    assert answer.http_version == "HTTP/1.1"


@pytest.mark.parametrize(("size", "taken"), [(65_536, True), (65_537, False)])
def test_a_body_is_as_large_as_the_app_takes_it(beside: Beside, size: int, taken: bool) -> None:
    alice = beside.arrive("alice", "198.51.100.4")
    answer = alice.http.post("/socket.io/?EIO=4&transport=polling&sid=x", content=b"4" * size)
    assert answer.status_code == (400 if taken else 413)


def test_no_query_gets_into_the_log(beside: Beside) -> None:
    alice = beside.arrive("alice", "198.51.100.5")
    alice.http.get("/authorization-code/callback?code=puce&state=puce")
    servers.wait_for(lambda: "/authorization-code/callback" in beside.nginx.log, 5, "a line")
    assert "puce" not in beside.nginx.log


async def test_an_idle_connection_stays_open(beside: Beside) -> None:
    """For longer than nginx waits for a word, as the app's pings are words too."""
    alice = beside.arrive("alice", "198.51.100.6").signs_in()
    changed = {
        f"{name} {seconds}s;": f"{name} {1_000 * seconds // FASTER}ms;"
        for name, seconds in (("proxy_read_timeout", 120), ("proxy_send_timeout", 30))
    }
    with nginx.serving(beside.app.port, changed=changed) as impatient:
        async with pages(impatient, alice, transports=["websocket"]) as (page,):
            await asyncio.sleep(1.5 * 120 / FASTER)
            assert not page.left
            await page.say(message(lobby(alice), "Still here"))


def lobby(person: Person) -> int:
    rooms = person.http.get("/api/rooms").raise_for_status().json()["rooms"]
    return next(int(room["id"]) for room in rooms if room["slug"] == "lobby")


async def test_who_asks_is_answered_until_the_process_is_gone(beside: Beside) -> None:
    """Then the load balancer asks elsewhere; and even a failure is logged without its query. This
    is the last test of one process."""
    alice = beside.arrive("alice", "198.51.100.7").signs_in()
    path, stop, statuses = "/healthz?code=puce", asyncio.Event(), list[int]()
    asked = [ask(beside.nginx, alice, path, stop, statuses) for _ in range(4)]
    async with pages(beside.nginx, *[alice] * 20) as opened:  # so that it takes its time
        asking = [asyncio.create_task(one) for one in asked]
        await until(lambda: len(statuses) > 20, "answers")
        before = len(statuses)
        assert await asyncio.to_thread(beside.app.stop, 2 * EXIT_S) == 0
        stop.set()
        await asyncio.gather(*asking)
        assert all(page.left for page in opened)
    assert alice.http.get(path).status_code == 502
    assert set(statuses) <= {200, 502}
    gone = statuses.index(502) if 502 in statuses else len(statuses)
    assert gone > before + 20
    assert "puce" not in beside.nginx.log
