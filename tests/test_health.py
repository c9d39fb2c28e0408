"""Alive, ready, and what was counted."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import psycopg
import pytest
from psycopg import sql
from sqlalchemy.engine import make_url

from chat.transport import GATE
from tests.cast import Arrive, Person
from tests.inside import Inside
from tests.servers import App, MockProvider, Redis, Serve, wait_for
from tests.test_events import lobby, message

TOKEN = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def counting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inside]:
    """An application that shows its metrics."""
    folder = tmp_path_factory.mktemp("counting")
    inside = Inside(f"sqlite:///{folder / 'chat.db'}", METRICS_TOKEN=TOKEN)
    inside.migrate()
    yield inside
    inside.close()


def test_it_is_alive_and_ready(house: Inside) -> None:
    assert house.client().get("/healthz").json == {"ok": True}
    ready = house.client().get("/readyz")
    assert ready.status_code == 200
    assert ready.json == {"ok": True, "store": True, "bus": True, "serving": True}


def test_one_that_is_about_to_go_is_not_ready(house: Inside) -> None:
    gate = house.app.extensions[GATE]
    gate.draining = True
    try:
        answer = house.client().get("/readyz")
        assert answer.status_code == 503
        assert (answer.json["ok"], answer.json["serving"]) == (False, False)
        assert house.client().get("/healthz").status_code == 200
    finally:
        gate.draining = False


def test_one_without_its_store_is_not_ready(postgres_url: str) -> None:
    inside = Inside(postgres_url)
    inside.migrate()
    browser = inside.client()
    assert browser.get("/readyz").status_code == 200
    with psycopg.connect(server_of(postgres_url), autocommit=True) as server:
        name = make_url(postgres_url).database or ""
        allow = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
        server.execute(allow.format(sql.Identifier(name), sql.SQL("false")))
        server.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name]
        )
        answer = browser.get("/readyz")
        assert answer.status_code == 503
        assert (answer.json["ok"], answer.json["store"], answer.json["bus"]) == (False, False, True)
        assert browser.get("/healthz").status_code == 200, "killed for another's fault"
        failed = inside.client("A" * 43).get("/api/me")
        assert (failed.status_code, failed.json["error"]["code"]) == (503, "unavailable")
        server.execute(allow.format(sql.Identifier(name), sql.SQL("true")))
    assert browser.get("/readyz").status_code == 200
    inside.close()


def server_of(url: str) -> str:
    """The server's own database, which every PostgreSQL has."""
    server = make_url(url).set(drivername="postgresql", database="postgres")
    return server.render_as_string(hide_password=False)


async def test_one_without_its_bus_is_not_ready_but_goes_on(
    serve: Serve, mock_provider: MockProvider, arrive: Arrive, redis: Redis
) -> None:
    app = serve(mock_provider, REDIS_URL=redis.url, RATE_MESSAGES="100 per minute")
    alice, bob = (arrive(app, name).signs_in() for name in ("alice", "bob"))

    def ready() -> tuple[int, bool]:
        answer = httpx.get(f"{app.address}/readyz", timeout=10)
        return answer.status_code, answer.json()["bus"]

    assert ready() == (200, True)
    async with alice.socket() as hers, bob.socket() as his:
        redis.stop()
        assert ready() == (503, False)
        assert httpx.get(f"{app.address}/healthz", timeout=5).status_code == 200
        ack = await hers.call("send_message", message(lobby(alice), "Still here"), timeout=10)
        assert ack["ok"] is True, ack
        assert (await his.next("receive_message"))["body"] == "Still here"
        redis.start()
        wait_for(lambda: ready() == (200, True), 10, "the bus to be back")


# Metrics


def test_metrics_are_not_there_without_a_token(house: Inside) -> None:
    for headers in ({}, {"Authorization": "Bearer "}, {"Authorization": f"Bearer {TOKEN}"}):
        assert house.client().get("/metrics", headers=headers).status_code == 404


@pytest.mark.parametrize(
    "sent",
    [
        *[None, "", "Bearer", "Bearer ", f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN}0", TOKEN],
        *[f"bearer {TOKEN}", f"Basic {TOKEN}", "Bearer \xe9\xff"],
    ],
)
def test_metrics_are_refused_with_a_wrong_token(counting: Inside, sent: str | None) -> None:
    headers = {} if sent is None else {"Authorization": sent}
    answer = counting.client().get("/metrics", headers=headers)
    assert answer.status_code == 401
    assert "chat_" not in answer.text


def test_metrics_are_told_to_who_has_the_token(counting: Inside) -> None:
    answer = counting.client().get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 200
    assert answer.content_type.startswith("text/plain")
    for name in ("chat_messages_total", "chat_sockets", "chat_http_requests_total"):
        assert re.search(rf"^# TYPE {name.removesuffix('_total')}", answer.text, re.MULTILINE)


@pytest.fixture(scope="module")
def served(serve_module: Serve, mock_provider: MockProvider) -> App:
    return serve_module(mock_provider, METRICS_TOKEN=TOKEN, MAX_SOCKETS_PER_USER="1")


def sample(app: App, name: str) -> float:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    text = httpx.get(f"{app.address}/metrics", headers=headers, timeout=5).text
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


async def test_what_happens_is_counted(served: App, arrive: Arrive) -> None:
    alice: Person = arrive(served, "alice").signs_in()
    assert sample(served, 'chat_sign_ins_total{outcome="ok"}') == 1
    async with alice.socket() as socket:
        assert sample(served, "chat_sockets") == 1
        with pytest.raises(Exception, match="rate_limited"):
            async with alice.socket():
                pass
        assert sample(served, "chat_sockets") == 1, "one that was refused is counted"
        await socket.call("send_message", message(lobby(alice)))
        await socket.call("send_message", {})
        await socket.call("nothing")
    count = 'chat_event_seconds_count{event="%s",outcome="%s"}'
    assert sample(served, count % ("send_message", "ok")) == 1
    assert sample(served, count % ("send_message", "invalid")) == 1
    assert sample(served, count % ("unknown", "invalid")) == 1
    assert sample(served, "chat_messages_total") == 1
    wait_for(lambda: sample(served, "chat_sockets") == 0, 5, "the socket to be counted off")


def test_the_name_of_an_event_is_not_counted_as_it_comes(served: App, arrive: Arrive) -> None:
    """Each would be a series of its own: strangers could fill the memory."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    for path in ("/made-up-1", "/api/made-up-2"):
        httpx.get(f"{served.address}{path}", timeout=5)
    text = httpx.get(f"{served.address}/metrics", headers=headers, timeout=5).text
    assert "made-up" not in text
