"""The way of bytes: who may open a connection, how much it may carry, and how it ends."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from socket import SO_RCVBUF, SOL_SOCKET
from typing import NamedTuple

import httpx
import pytest

from tests import backstage, raw, servers
from tests.cast import Arrive, Person
from tests.raw import (
    BINARY,
    FIN,
    MORE,
    PING,
    PONG,
    TEXT,
    Frame,
    WebSocket,
    exchange,
    upgrade_headers,
)
from tests.servers import App, MockProvider, Serve, wait_for

POLLING = "/socket.io/?EIO=4&transport=polling"
CAP = 65_536

Origin = Callable[[App], str | None]
EVIL: dict[str, Origin] = {
    "another site": lambda app: "https://evil.example",
    "null": lambda app: "null",
    "empty": lambda app: "",
    "ours as a prefix": lambda app: f"{app.url}.evil.example",
    "ours as a suffix": lambda app: app.url.replace("localhost", "evillocalhost"),
    "ours as a user": lambda app: f"{app.url}@evil.example",
    "ours and another": lambda app: f"{app.url} https://evil.example",
    "without a scheme": lambda app: app.url.removeprefix("http://"),
    "another scheme": lambda app: app.url.replace("http:", "https:"),
    "another port": lambda app: "http://localhost:1",
    "without a port": lambda app: "http://localhost",
    "with a path": lambda app: f"{app.url}/",
    "its address": lambda app: app.url.replace("localhost", "127.0.0.1"),
}
evil = pytest.mark.parametrize("origin", EVIL.values(), ids=EVIL.keys())


# Who may upgrade to a WebSocket


def test_our_own_page_may_upgrade(app: App) -> None:
    with WebSocket(app) as socket:
        assert socket.upgrade() == 101
        assert socket.until("0{")


@evil
def test_no_other_page_may_upgrade(app: App, origin: Origin) -> None:
    with WebSocket(app) as socket:
        assert socket.upgrade(Origin=origin(app)) == 403


def test_who_does_not_say_where_from_may_not_upgrade(app: App) -> None:
    with WebSocket(app) as socket:
        assert socket.upgrade(Origin=None) == 403


@pytest.mark.parametrize(
    "path", ["/", "/chat", "/healthz", "/socket.io", "/x/socket.io/", "/api/me"]
)
@pytest.mark.parametrize("origin", [lambda app: app.url, lambda app: "https://evil.example"])
def test_there_is_no_websocket_elsewhere(app: App, path: str, origin: Origin) -> None:
    with WebSocket(app) as socket:
        assert socket.upgrade(path, Origin=origin(app)) == 400


def test_a_refused_upgrade_opens_nothing(app: App) -> None:
    with WebSocket(app) as socket:
        socket.ask("GET", raw.SOCKET_PATH, upgrade_headers(app, Origin="https://evil.example"))
        answer = socket.head()
        assert "sec-websocket-accept" not in answer.headers
        assert socket.read(int(answer.headers["content-length"])) == b"Wrong origin."


# Who may poll


@pytest.mark.parametrize("origin", [None, lambda app: app.url], ids=["without", "with ours"])
def test_our_own_page_may_begin_to_poll(app: App, origin: Origin | None) -> None:
    """Browsers send no Origin with a GET of the same origin."""
    answer = exchange(app, "GET", POLLING, {"Origin": origin(app) if origin else None})
    assert answer.status == 200
    assert answer.body.startswith(b"0{")


@evil
def test_no_other_page_may_poll(app: App, origin: Origin) -> None:
    assert exchange(app, "GET", POLLING, {"Origin": origin(app)}).status == 403


def poll_sid(app: App, **headers: str) -> str:
    begun = exchange(app, "GET", POLLING, {**headers})
    return str(json.loads(begun.body[1:])["sid"])


def test_our_own_page_may_post(app: App) -> None:
    path = f"{POLLING}&sid={poll_sid(app)}"
    assert exchange(app, "POST", path, {"Origin": app.url}, b"40").status == 200


@evil
def test_no_other_page_may_post(app: App, origin: Origin) -> None:
    path = f"{POLLING}&sid={poll_sid(app)}"
    assert exchange(app, "POST", path, {"Origin": origin(app)}, b"40").status == 403


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_who_does_not_say_where_from_may_not_post(app: App, method: str) -> None:
    path = f"{POLLING}&sid={poll_sid(app)}"
    assert exchange(app, method, path, {}, b"40").status == 403


def test_no_page_is_told_that_it_may_read(app: App) -> None:
    answer = exchange(app, "GET", POLLING, {"Origin": app.url})
    assert "*" not in answer.headers.get("access-control-allow-origin", "")
    refused = exchange(app, "GET", POLLING, {"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in refused.headers


def test_whoever_can_only_poll_talks_too(alice: Person) -> None:
    cookie = {"Cookie": f"chat_session={alice.session_key}"}
    path = f"{POLLING}&sid={poll_sid(alice.app, **cookie)}"

    def post(packet: bytes) -> bytes:
        posted = exchange(alice.app, "POST", path, {"Origin": alice.app.url, **cookie}, packet)
        assert posted.status == 200
        return exchange(alice.app, "GET", path, cookie).body

    assert post(b"40").startswith(b"40{")
    assert post(b'427["typing",{"room":1}]') == b'437[{"ok":true}]'


# How much a message may be


def padded(size: int) -> str:
    """An event of so many bytes."""
    empty = '427["typing",{"room":1}]'
    return empty.replace(",{", "," + " " * (size - len(empty)) + "{")


def test_a_message_as_large_as_may_be(alice: Person) -> None:
    with raw.connected(alice) as socket:
        socket.send(padded(CAP))
        assert socket.until("437") == '437[{"ok":true}]'


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("claimed", [CAP + 1, 2**31, 2**63 - 1])
def test_a_frame_over_the_cap_is_refused_by_its_header(
    alice: Person, opcode: int, claimed: int
) -> None:
    with raw.connected(alice) as socket:
        socket.send_frame(FIN | opcode, b"", claimed)  # of the payload not a byte comes
        assert socket.close_code() == 1009


@pytest.mark.parametrize("claimed", [126, CAP + 1])
def test_a_ping_over_its_limit_ends_it(alice: Person, claimed: int) -> None:
    """Of a control frame 125 bytes are taken (RFC 6455 section 5.5)."""
    with raw.connected(alice) as socket:
        socket.send_frame(FIN | PING, b"", claimed)
        assert is_closed(socket)


def is_closed(socket: WebSocket) -> bool:
    """Whether the server closes; the library leaves the code out."""
    socket.close_code()
    return True


def test_fragments_share_the_cap(alice: Person) -> None:
    with raw.connected(alice) as socket:
        socket.send_frame(TEXT, b"4" + b" " * 39_999)
        socket.send_frame(MORE, b" " * 20_000)
        socket.send_frame(FIN | MORE, b"", 10_000)
        assert socket.close_code() == 1009


def test_fragments_within_the_cap_are_one_message(alice: Person) -> None:
    text = padded(CAP).encode()
    with raw.connected(alice) as socket:
        socket.send_frame(TEXT, text[:30_000])
        socket.send_frame(FIN | MORE, text[30_000:])
        assert socket.until("437") == '437[{"ok":true}]'


def test_a_ping_is_answered(alice: Person) -> None:
    with raw.connected(alice) as socket:
        socket.send_frame(FIN | PING, b"are you there")
        frame = socket.frame()
        assert frame == (PONG, b"are you there")


def test_many_messages_are_not_one(alice: Person) -> None:
    """The cap is of a message, not of a connection."""
    with raw.connected(alice) as socket:
        for _ in range(3):
            socket.send(padded(CAP))
            assert socket.until("437") == '437[{"ok":true}]'


@pytest.mark.parametrize("payload", [b"\xff\xfe", b"4\xed\xa0\x80"])
def test_what_is_no_utf8_is_refused(alice: Person, payload: bytes) -> None:
    with raw.connected(alice) as socket:
        socket.send_frame(FIN | TEXT, payload)
        assert is_closed(socket)


# How many there may be

PLACES = 20


@pytest.fixture(scope="module")
def small(mock_provider: MockProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """An application with few places, whose log its tests look into."""
    environ = {
        "OKTA_OAUTH2_ISSUER": mock_provider.issuer,
        "OKTA_OAUTH2_CLIENT_ID": "chat",
        "OKTA_OAUTH2_CLIENT_SECRET": "unchecked",
        "MAX_SOCKETS": str(PLACES),
        "MAX_SOCKETS_PER_USER": str(PLACES),
        "MAX_STRANGERS": str(PLACES),
    }
    app = App(tmp_path_factory.mktemp("small"), servers.free_port(), environ)
    app.start()
    yield app
    app.stop()


def opens(app: App) -> int:
    with WebSocket(app) as socket:
        return socket.upgrade()


def test_a_house_full_of_people_says_so_and_still_answers(small: App, arrive: Arrive) -> None:
    alice, bob = arrive(small, "alice").signs_in(), arrive(small, "bob").signs_in()
    with contextlib.ExitStack() as stack:
        for _ in range(PLACES):
            stack.enter_context(raw.connected(alice))
        with pytest.raises(AssertionError, match="not upgraded: 503"):
            stack.enter_context(raw.connected(bob))
        assert httpx.get(f"{small.address}/healthz", timeout=5).status_code == 200


def test_strangers_fill_no_place_but_their_own(small: App, arrive: Arrive) -> None:
    alice = arrive(small, "alice").signs_in()
    with contextlib.ExitStack() as stack:
        wait_for(lambda: opens(small) == 101, 20, "a place to be free")
        for _ in range(PLACES):
            stack.enter_context(WebSocket(small)).upgrade()
        assert opens(small) == 503
        stack.enter_context(raw.connected(alice))


def test_strangers_in_a_full_house_are_told_so(small: App) -> None:
    wait_for(lambda: opens(small) == 101, 20, "a place to be free")
    sockets = [WebSocket(small) for _ in range(PLACES)]
    try:
        for socket in sockets:
            assert socket.upgrade() == 101
            socket.until("0{")
        assert opens(small) == 503
        assert exchange(small, "GET", POLLING, {}).status == 503
        assert httpx.get(f"{small.address}/healthz", timeout=5).status_code == 200
        sockets.pop().__exit__()
        wait_for(lambda: opens(small) == 101, 5, "the place of a closed socket to be free")
    finally:
        for socket in sockets:
            socket.__exit__()


BODIES = {
    "nothing": b"",
    "no packet": b"x",
    "no UTF-8": b"\xff",
    "lists in lists": b"4" + b"[" * 5_000,
    "many packets": b"\x1e" * 100,
    "an empty message": b"4",
    "no base64": b"bA",
    "a long number": b"1" * 60_000,
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_a_post_that_makes_no_sense_breaks_nothing(small: App, body: bytes) -> None:
    wait_for(lambda: exchange(small, "GET", POLLING, {}).status == 200, 5, "a place to be free")
    before = len(small.log)
    path = f"{POLLING}&sid={poll_sid(small)}"
    answer = exchange(small, "POST", path, {"Origin": small.url}, body)
    assert answer.status in (200, 400)
    assert "Traceback" not in small.log[before:]


@pytest.mark.parametrize("sent", [b"", b"4" * (CAP + 1)], ids=["claimed", "sent"])
def test_a_post_over_the_cap_is_refused(small: App, sent: bytes) -> None:
    wait_for(lambda: exchange(small, "GET", POLLING, {}).status == 200, 5, "a place to be free")
    before = len(small.log)
    path = f"{POLLING}&sid={poll_sid(small)}"
    with raw.Connection(small) as connection:
        connection.ask("POST", path, {"Origin": small.url, "Content-Length": str(CAP + 1)}, sent)
        assert connection.head().status in (400, 413)
    assert "Traceback" not in small.log[before:]


# The process


def test_gunicorn_listens_nowhere_else(app: App) -> None:
    """Its control socket would take commands from whoever can reach it."""
    lines = Path("/proc/net/unix").read_text().splitlines()[1:]
    listening = {line.split()[6] for line in lines if line.split()[3] == "00010000"}
    held = set()
    for pid in (app.pid, *children(app.pid)):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            held.add(os.readlink(descriptor))
    assert not {f"socket:[{inode}]" for inode in listening} & held
    assert list(app.log_file.parent.rglob("*.ctl")) == []


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_the_master_imports_no_driver() -> None:
    """psycopg and redis hold on to what they find when they are imported: it must be patched."""
    code = (
        "import runpy, sys; runpy.run_path('gunicorn.conf.py');"
        "import chat.transport.worker;"
        "print(*sorted({'psycopg', 'redis', 'sqlalchemy', 'flask'} & set(sys.modules)))"
    )
    environ = {
        "CHAT_ENV": "development",
        "OKTA_OAUTH2_ISSUER": "http://127.0.0.1:1",
        "OKTA_OAUTH2_CLIENT_ID": "chat",
        "OKTA_OAUTH2_CLIENT_SECRET": "unused",
    }
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=servers.ROOT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")


@pytest.mark.parametrize("hangs_up", [True, False], ids=["hang up", "stay"])
def test_at_the_end_sockets_are_closed_in_time(
    serve: Serve, mock_provider: MockProvider, arrive: Arrive, hangs_up: bool
) -> None:
    """Told by Socket.IO to disconnect (`41`), a client in a browser would not come back. Those that
    have gone without a word, and do not answer, must not hold up the end."""
    app = serve(mock_provider)
    alice = arrive(app, "alice").signs_in()
    told: list[Frame] = []
    with raw.connected(alice) as socket, WebSocket(app) as idle:
        assert idle.upgrade() == 101
        ended = threading.Thread(target=told_until_the_end, args=(socket, told, hangs_up))
        ended.start()
        if hangs_up:
            idle.__exit__()
        began = time.monotonic()
        assert app.stop(20.0) == 0
        assert time.monotonic() - began < 10
        ended.join(10)
    assert told, "closed without a word"
    assert not [frame for frame in told if frame.payload.startswith(b"41")]


def told_until_the_end(socket: WebSocket, told: list[Frame], hangs_up: bool) -> None:
    socket.socket.settimeout(20)
    while (frame := socket.frame()) is not None:
        told.append(frame)
        if hangs_up and frame.opcode == raw.CLOSE:
            return socket.__exit__()
    return None


def test_a_socket_that_is_cut_is_hung_up(app: App, arrive: Arrive) -> None:
    """Not only told: one that stayed would take a place that nobody can use."""
    alice = arrive(app, "alice").signs_in()
    with raw.connected(alice) as socket:
        alice.http.post("/logout")
        told = []
        while (frame := socket.frame()) is not None:
            told.append(frame.payload)
        assert any(text.startswith(b'42["session_ended"') for text in told)


# How a process leaves

STAYING = 30


class Leaving(NamedTuple):
    """An application that was told to end, and a connection that it kept before."""

    app: App
    kept: raw.Connection


@pytest.fixture
def leaving(serve: Serve, mock_provider: MockProvider) -> Iterator[Leaving]:
    """With so many sockets that it takes its time."""
    app = serve(mock_provider)
    with contextlib.ExitStack() as stack:
        for _ in range(STAYING):
            assert stack.enter_context(WebSocket(app)).upgrade() == 101
        kept = stack.enter_context(raw.Connection(app))
        assert asked(kept, "/healthz").status == 200
        os.kill(app.pid, signal.SIGTERM)
        wait_for(lambda: exchange(app, "GET", "/readyz", {}).status == 503, 5, "it to drain")
        yield Leaving(app, kept)
        began = time.monotonic()
        assert app.stop(20.0) == 0
        assert time.monotonic() - began < 10


def asked(connection: raw.Connection, path: str) -> raw.Answer:
    """An answer on a connection that may be kept."""
    connection.ask("GET", path, {})
    head = connection.head()
    return head._replace(body=connection.read(int(head.headers["content-length"])))


def test_who_leaves_takes_in_nobody(leaving: Leaving) -> None:
    """Those who move would come back to it."""
    refused = exchange(leaving.app, "GET", POLLING, {})
    assert (refused.status, refused.body) == (503, b"This process is about to end.")
    with WebSocket(leaving.app) as socket:
        assert socket.upgrade() == 503


def test_who_leaves_still_answers_and_says_that_it_is_the_last_time(leaving: Leaving) -> None:
    """A proxy would send its next request on a connection that is gone."""
    answer = asked(leaving.kept, "/healthz")
    assert (answer.status, answer.headers["connection"]) == (200, "close")
    assert leaving.kept.rest() == b""
    with raw.Connection(leaving.app) as fresh:
        answer = asked(fresh, "/healthz")
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert fresh.rest() == b""


def test_who_leaves_hangs_up_on_who_stays_idle(leaving: Leaving) -> None:
    assert leaving.kept.rest() == b""
    assert leaving.app.alive


def test_what_is_under_way_is_acked_before_the_end(
    serve: Serve, mock_provider: MockProvider, arrive: Arrive
) -> None:
    app = serve(mock_provider, wsgi="tests.variants:slow_commits()")
    alice = arrive(app, "alice").signs_in()
    room = backstage.private_room(app, alice)
    payload = json.dumps({"room": room, "body": "Hello", "client_id": str(uuid.uuid4())})
    with raw.connected(alice) as socket:
        socket.send(f'427["send_message",{payload}]')
        os.kill(app.pid, signal.SIGTERM)
        assert socket.until("437").startswith('437[{"ok":true')
        assert is_closed(socket)


def test_who_does_not_read_does_not_hold_up_the_end(
    serve: Serve, mock_provider: MockProvider, arrive: Arrive
) -> None:
    app = serve(mock_provider)
    alice = arrive(app, "alice").signs_in()
    room = backstage.private_room(app, alice)
    with raw.connected(alice) as stuck, raw.connected(alice) as socket:
        stuck.socket.setsockopt(SOL_SOCKET, SO_RCVBUF, 4_096)
        for _ in range(100):  # more than the kernel holds for one who does not read
            payload = {"room": room, "body": "🙂" * 4_000, "client_id": str(uuid.uuid4())}
            text = json.dumps(payload, ensure_ascii=False)
            socket.send(f'427["send_message",{text}]')
            socket.until("437")
        began = time.monotonic()
        assert app.stop(20.0) == 0
        assert time.monotonic() - began < 10
