"""`WEB_CONCURRENCY`: several processes on one port, which nothing can tell apart from outside."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import psycopg
import pytest

from tests import raw, servers
from tests.cast import Arrive, Person, Socket
from tests.servers import App, MockProvider, Redis, Serve, wait_for
from tests.test_events import message
from tests.test_redis import heard_until

POLLING = "/socket.io/?EIO=4&transport=polling"
TOKEN = "0123456789abcdef0123456789abcdef"
LOCK = 5_013_741
SOCKETS = 12


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    servers.require(Redis.installed(), "redis-server")
    server = Redis(tmp_path_factory.mktemp("redis"), servers.free_port()).start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def site(serve_module: Serve, mock_provider: MockProvider, redis: Redis) -> Iterator[App]:
    """Two processes of one service."""
    with servers.fresh_postgres() as url:
        app = serve_module(
            mock_provider,
            WEB_CONCURRENCY="2",
            REDIS_URL=redis.url,
            DATABASE_URL=url,
            METRICS_TOKEN=TOKEN,
        )
        yield app
        app.stop()


@pytest.fixture
def alice(site: App, arrive: Arrive) -> Person:
    return arrive(site, "alice").signs_in()


@pytest.fixture
def bob(site: App, arrive: Arrive) -> Person:
    return arrive(site, "bob").signs_in()


def processes(app: App) -> list[int]:
    """Those that serve, by their ids."""
    children = Path(f"/proc/{app.pid}/task/{app.pid}/children").read_text()
    return [int(pid) for pid in children.split()]


def lobby(person: Person) -> int:
    return int(person.http.get("/api/rooms").json()["rooms"][0]["id"])


async def everyone_hears(app: App, alice: Person, bob: Person) -> None:
    """What each of many sockets, on whichever process, says, all of them hear."""
    async with AsyncExitStack() as stack:
        sockets: list[Socket] = []
        for person in (alice, bob) * (SOCKETS // 2):
            sockets.append(await stack.enter_async_context(person.socket()))
        room = lobby(alice)
        for number, speaker in enumerate(sockets):
            said = await speaker.call("send_message", message(room, f"from {number}"))
            assert said["ok"], said
            for listener in sockets:
                await heard_until(listener, said["message"])


async def test_all_hear_each_other(site: App, alice: Person, bob: Person) -> None:
    wait_for(lambda: len(processes(site)) == 2, 10, "the second process")
    await everyone_hears(site, alice, bob)


def test_polling_is_refused_with_the_reason(site: App, alice: Person) -> None:
    """Its requests would reach one process or the other, of which one knows nothing of it."""
    answer = alice.http.get(POLLING)
    assert answer.status_code == 400
    assert "Only WebSockets are served here" in answer.text
    posted = alice.http.post(f"{POLLING}&sid=x", content="40")
    assert (posted.status_code, posted.text) == (400, answer.text)


def test_one_process_takes_polling(app: App, arrive: Arrive) -> None:
    assert arrive(app, "alice").signs_in().http.get(POLLING).status_code == 200


def test_a_socket_is_not_polling(site: App) -> None:
    with raw.WebSocket(site) as socket:
        assert socket.upgrade() == 101


def test_signing_out_counts_on_all(site: App, alice: Person) -> None:
    alice.sign_out()
    assert {alice.http.get("/api/me").status_code for _ in range(20)} == {401}


def metric(app: App, name: str) -> float:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    text = httpx.get(f"{app.address}/metrics", headers=headers, timeout=5).raise_for_status().text
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    assert found, text
    return float(found[1])


async def test_any_process_tells_the_metrics_of_all(site: App, alice: Person) -> None:
    async with AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(alice.socket()) for _ in range(SOCKETS)]
        before = metric(site, "chat_messages_total")
        for number, socket in enumerate(sockets):
            await socket.call("send_message", message(lobby(alice), f"counted {number}"))
        assert {metric(site, "chat_sockets") for _ in range(20)} == {SOCKETS}
        assert {metric(site, "chat_messages_total") for _ in range(20)} == {before + SOCKETS}


async def test_one_that_dies_is_replaced_and_forgotten(
    site: App, alice: Person, bob: Person
) -> None:
    first, second = processes(site)
    async with alice.socket(), alice.socket(), alice.socket():
        os.kill(first, signal.SIGKILL)
        wait_for(lambda: others(site, first, second), 10, "another process")
    wait_for(lambda: metric(site, "chat_sockets") == 0, 10, "no socket")
    await everyone_hears(site, alice, bob)


def others(app: App, gone: int, stays: int) -> bool:
    now = processes(app)
    return len(now) == 2 and gone not in now and stays in now


# Migrations


def test_whoever_waits_for_a_migration_waits_for_as_long_as_it_takes(
    serve: Serve, mock_provider: MockProvider, postgres_url: str
) -> None:
    """Longer than the heartbeat, after which gunicorn kills a worker, and the app's own limits."""
    conninfo = postgres_url.replace("+psycopg", "")
    with psycopg.connect(conninfo) as migrating, ThreadPoolExecutor(1) as elsewhere:
        migrating.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        options = {"GUNICORN_CMD_ARGS": "--timeout 2", "DATABASE_URL": postgres_url}
        started = elsewhere.submit(lambda: serve(mock_provider, **options))
        wait_for(waits(conninfo), 10, "a process that waits for its turn")
        killed = wait_until_not(waits(conninfo), 7)
        migrating.commit()
        app = started.result()
    app.stop()
    assert not killed
    assert "WORKER TIMEOUT" not in app.log
    assert "could not be brought up to date" not in app.log


def waits(conninfo: str) -> Callable[[], bool]:
    asked = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"

    def anyone() -> bool:
        with psycopg.connect(conninfo) as connection:
            (count,) = connection.execute(asked).fetchone() or (0,)
            return bool(count)

    return anyone


def wait_until_not(true: Callable[[], bool], seconds: float) -> bool:
    """Whether it ends within that time; in vain is what is hoped for."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not true():
            return True
        time.sleep(servers.POLL_S)
    return False
