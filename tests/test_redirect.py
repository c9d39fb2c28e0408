"""Where the service speaks TLS: it is all TLS, and plain HTTP only shows the way."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Iterator
from http.cookies import SimpleCookie
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from werkzeug.test import Client

from chat import redirect, tls
from tests import inside, servers
from tests.cast import Person
from tests.raw import Connection
from tests.servers import App, MockProvider, wait_for

OURS = "https://localhost:5001"
SETTINGS = inside.settings("sqlite:////nowhere.db", PUBLIC_URL=OURS)


class TlsApp(App):
    """The application with a certificate of its own."""

    def __init__(self, folder: Path, provider: MockProvider) -> None:
        certificate, key = folder / "chat.crt", folder / "chat.key"
        tls.ensure_self_signed(certificate, key, ["localhost", "127.0.0.1"])
        self.context = ssl.create_default_context(cafile=str(certificate))
        self.plain_port = servers.free_port()
        port = servers.free_port()
        environ = {
            "OKTA_OAUTH2_ISSUER": provider.issuer,
            "OKTA_OAUTH2_CLIENT_ID": "chat",
            "OKTA_OAUTH2_CLIENT_SECRET": "unchecked",
            "PUBLIC_URL": f"https://localhost:{port}",
            "TLS_CERT_FILE": str(certificate),
            "TLS_KEY_FILE": str(key),
            "REDIRECT_PORT": str(self.plain_port),
        }
        super().__init__(folder, port, environ)


class Plain(NamedTuple):
    """Its port that leads to the other."""

    port: int
    url: str


@pytest.fixture(scope="module")
def tls_app(
    mock_provider: MockProvider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TlsApp]:
    app = TlsApp(tmp_path_factory.mktemp("tls"), mock_provider)
    app.start()
    yield app
    app.stop()


@pytest.fixture
def alice(tls_app: TlsApp) -> Iterator[Person]:
    person = Person(tls_app, "alice", httpx.HTTPTransport(verify=tls_app.context))
    yield person
    person.close()


def plainly(app: TlsApp, path: str, method: str = "GET") -> httpx.Response:
    return httpx.request(method, f"http://127.0.0.1:{app.plain_port}{path}", timeout=5)


# As it is served


def test_alice_signs_in_over_tls(alice: Person) -> None:
    answer = alice.sign_in()
    cookies = SimpleCookie[str]()
    for header in answer.headers.get_list("set-cookie"):
        cookies.load(header)
    cookie = cookies["__Host-chat_session"]
    assert (cookie["secure"], cookie["httponly"], cookie["path"]) == (True, True, "/")
    assert not cookie["domain"]
    assert answer.headers["strict-transport-security"].startswith("max-age=")
    assert alice.me["name"] == "Alice"


def test_the_certificate_is_the_one_that_was_made(tls_app: TlsApp) -> None:
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{tls_app.url}/healthz", verify=ssl.create_default_context())


@pytest.mark.parametrize("path", ["/", "/chat/lobby?a=1&b=%2F", "/socket.io/?EIO=4"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_plain_http_leads_to_tls(tls_app: TlsApp, path: str, method: str) -> None:
    answer = plainly(tls_app, path, method)
    assert answer.status_code == 308
    assert answer.headers["location"] == f"{tls_app.url}{path}"
    assert answer.content == b""
    assert "set-cookie" not in answer.headers


def test_plain_http_says_that_it_is_well(tls_app: TlsApp) -> None:
    answer = plainly(tls_app, "/healthz")
    assert (answer.status_code, answer.json()) == (200, {"ok": True})


def test_plain_http_serves_nothing_else(tls_app: TlsApp) -> None:
    for path in ("/readyz", "/healthz/", "/api/me", "/metrics", "/static/js/chat.js"):
        assert plainly(tls_app, path).status_code == 308


def test_who_says_nothing_to_plain_http_takes_nothing_from_tls(tls_app: TlsApp) -> None:
    """That port is open to everyone, and shares the process's files with those who chat."""
    with contextlib.ExitStack() as stack:
        silent = [
            stack.enter_context(Connection(Plain(tls_app.plain_port, tls_app.url)))
            for _ in range(redirect.MAX_CONNECTIONS + 100)
        ]
        assert httpx.get(f"{tls_app.url}/healthz", verify=tls_app.context, timeout=5).is_success
        assert descriptors(tls_app) < redirect.MAX_CONNECTIONS + 100
        assert silent[0].rest() == b""  # hung up on
    wait_for(lambda: plainly(tls_app, "/healthz").is_success, 10, "plain HTTP to answer again")


def descriptors(app: TlsApp) -> int:
    """How many files the process that serves has open."""
    (worker,) = Path(f"/proc/{app.pid}/task/{app.pid}/children").read_text().split()
    return len(list(Path(f"/proc/{worker}/fd").iterdir()))


def test_tls_answers_no_plain_http(tls_app: TlsApp) -> None:
    with pytest.raises(httpx.TransportError):
        httpx.get(f"http://127.0.0.1:{tls_app.port}/healthz", timeout=5)


@pytest.mark.parametrize("sent", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x00\x01\x01", b""])
def test_a_handshake_that_fails_is_no_defect_of_ours(tls_app: TlsApp, sent: bytes) -> None:
    """Strangers' scanners, and browsers that do not trust the certificate, would fill the log."""
    before = len(tls_app.log)
    with Connection(tls_app) as connection:
        connection.socket.sendall(sent)
        with contextlib.suppress(OSError):  # it may have hung up already
            connection.socket.shutdown(socket.SHUT_WR)
        connection.rest()
    assert httpx.get(f"{tls_app.url}/healthz", verify=tls_app.context, timeout=5).is_success
    assert "Traceback" not in tls_app.log[before:]


@pytest.mark.parametrize("target", ["@evil.example/", ".evil.example/", "http://evil.example/x"])
def test_no_request_line_leads_elsewhere(tls_app: TlsApp, target: str) -> None:
    with Connection(Plain(tls_app.plain_port, tls_app.url)) as connection:
        connection.ask("GET", target, {"Connection": "close"})
        answer = connection.head()
    if answer.status == 308:
        assert answer.headers["location"].startswith(f"{tls_app.url}/")
    else:
        assert answer.status == 400


# As it is written


@pytest.mark.parametrize(
    "path",
    [
        *["/", "/chat/lobby", "/a%20b", "/caf%C3%A9", "/a%3Fb", "/a%23b", "/100%25", "/a%2Fb"],
        *["/?x=1&y=%26", "/chat?next=https://evil.example", "/a//b"],
    ],
)
def test_path_and_query_are_kept(path: str) -> None:
    answer = Client(redirect.to(SETTINGS)).get(path)
    assert answer.status == "308 Permanent Redirect"
    location = answer.headers["Location"]
    assert location.startswith(f"{OURS}/")
    # A slash in a name is one between names to WSGI, which hands over the path decoded.
    assert location.removeprefix(OURS) == path.replace("%2F", "/")


def test_nothing_can_be_written_into_the_headers() -> None:
    answer = Client(redirect.to(SETTINGS)).get("/a%0D%0ASet-Cookie:%20planted=1")
    assert answer.status_code == 308
    assert "Set-Cookie" not in answer.headers
    assert answer.headers["Location"] == f"{OURS}/a%0D%0ASet-Cookie:%20planted=1"
