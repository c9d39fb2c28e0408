"""`URL_FROM_HOST`, for a task whose address is known only once it runs."""

from __future__ import annotations

import httpx
import pytest

from tests import raw, servers
from tests.cast import Arrive, Person
from tests.provider import Provider
from tests.servers import App, Serve

POLLING = "/socket.io/?EIO=4&transport=polling"


@pytest.fixture(scope="module")
def task(serve_module: Serve, shared_provider: Provider) -> App:
    """As the demo's task is started: nothing tells it where it is."""
    return serve_module(
        shared_provider,
        TLS="self-signed",
        URL_FROM_HOST="1",
        REDIRECT_PORT=str(servers.free_port()),
    )


@pytest.fixture
def alice(task: App, arrive: Arrive) -> Person:
    return arrive(task, "alice").signs_in()


def get(task: App, path: str, **headers: str) -> httpx.Response:
    return httpx.get(task.address + path, headers=headers, verify=False, timeout=5)


def test_alice_signs_in_at_its_address(task: App, arrive: Arrive) -> None:
    """The redirect URI is that of the address she asked for, which the provider knows."""
    alice = arrive(task, "alice")
    page = alice.begin("/chat")
    assert page.url.params["redirect_uri"] == f"{task.url}/authorization-code/callback"
    answer = alice.http.get(alice.choose(page))
    assert answer.headers["location"] == "/chat"
    assert alice.me["name"] == "Alice"


def test_signing_out_leads_back_to_its_address(task: App, alice: Person) -> None:
    assert str(alice.sign_out().url) == f"{task.url}/"
    assert not alice.signed_in


async def test_her_page_may_connect(task: App, alice: Person) -> None:
    room = alice.http.get("/api/rooms").json()["rooms"][0]["id"]
    async with alice.socket() as socket:
        assert await socket.call("typing", {"room": room}) == {"ok": True}


@pytest.mark.parametrize(
    "origin",
    [
        *["https://192.0.2.7", "https://localhost:{port}", "http://127.0.0.1:{port}"],
        *["https://127.0.0.1", "https://evil.example", "null"],
    ],
)
def test_no_other_page_may_connect(task: App, alice: Person, origin: str) -> None:
    headers = raw.upgrade_headers(task, Origin=origin.format(port=task.port))
    upgrade = alice.http.get(raw.SOCKET_PATH, headers={k: v for k, v in headers.items() if v})
    assert (upgrade.status_code, upgrade.text) == (403, "Wrong origin.")
    posted = alice.http.post("/logout", headers={"Origin": headers["Origin"] or ""})
    assert posted.status_code == 403
    assert alice.signed_in


@pytest.mark.parametrize("host", ["localhost", "chat.example.com", "127.0.0.1.evil.example"])
@pytest.mark.parametrize("path", ["/", "/login", "/chat", "/api/me", "/static/js/main.js"])
def test_no_name_is_believed(task: App, host: str, path: str) -> None:
    answer = get(task, path, Host=host)
    assert answer.status_code == 400
    assert "by its IP address" in answer.text
    # A page would load and link to what is refused as well.
    json = path.startswith("/api/")
    assert answer.headers["content-type"].startswith("application/json" if json else "text/plain")
    assert host not in answer.text
    assert host not in answer.headers["content-security-policy"]
    assert "location" not in answer.headers
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("origin", [None, "https://evil.example"])
def test_a_name_that_leads_here_gets_no_socket(task: App, origin: str | None) -> None:
    """Whoever owns a domain can point it at this address (DNS rebinding)."""
    headers = {"Host": "evil.example"} | ({"Origin": origin} if origin else {})
    assert get(task, POLLING, **headers).status_code == 403
    upgrade = {k: v for k, v in raw.upgrade_headers(task).items() if v and k != "Origin"}
    assert get(task, raw.SOCKET_PATH, **upgrade | headers).status_code == 403


def test_machines_may_ask_by_any_name(task: App) -> None:
    assert get(task, "/healthz", Host="localhost").status_code == 200


def test_plain_http_leads_to_the_same_address(task: App) -> None:
    port = task.environ["REDIRECT_PORT"]
    answer = httpx.get(f"http://127.0.0.1:{port}/chat?a=1", timeout=5)
    assert answer.status_code == 308
    assert answer.headers["location"] == f"{task.url}/chat?a=1"


def test_plain_http_leads_no_name_anywhere(task: App) -> None:
    url = f"http://127.0.0.1:{task.environ['REDIRECT_PORT']}/"
    for host in ("evil.example", "localhost", ""):
        answer = httpx.get(url, headers={"Host": host}, timeout=5)
        assert answer.status_code == 400
        assert "location" not in answer.headers
