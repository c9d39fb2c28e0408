"""Sessions: how they end, and that nothing outlives them."""

from __future__ import annotations

import time
from collections.abc import Callable

import httpx
import pytest

from tests.cast import Arrive, Person, SocketRefused
from tests.provider import Deviation, Provider
from tests.servers import App, Serve, wait_for

CUT_S = 2.0


@pytest.fixture
def dora(strict_app: App, provider: Provider, arrive: Arrive) -> Person:
    """Someone of the test's own, signed in at the strict provider."""
    sub = f"dora-{len(provider.people)}"
    provider.people[sub] = {"name": "Dora"}
    return arrive(strict_app, sub).signs_in()


def is_alive(app: App, key: str | None) -> bool:
    """Whether a session key is good for anything, whoever bears it."""
    assert key
    with httpx.Client(base_url=app.url, cookies={"chat_session": key}, verify=False) as bearer:
        return bearer.get("/api/me").status_code == 200


# Signing out


def test_sign_out_goes_by_the_provider_and_home(dora: Person, provider: Provider) -> None:
    answer = dora.http.post("/logout")
    assert answer.headers["location"].startswith(f"{provider.issuer}/end-session?")
    home = dora.follow(answer)
    assert home.status_code == 200
    assert (home.url.path, f"{home.url.scheme}://{home.url.netloc.decode()}") == ("/", dora.app.url)
    assert provider.signed_out[-1] == dora.sub
    assert provider.refusals == []


def test_sign_out_at_the_mock(alice: Person) -> None:
    page = alice.sign_out()
    home = alice.follow(alice.press(page, ""))
    assert (home.status_code, home.url.path) == (200, "/")
    assert not alice.signed_in


def test_a_key_is_dead_after_sign_out(dora: Person) -> None:
    key = dora.session_key
    assert is_alive(dora.app, key)
    dora.sign_out()
    assert dora.session_key is None
    assert not is_alive(dora.app, key)


def test_sign_out_ends_this_browsers_session_alone(dora: Person, arrive: Arrive) -> None:
    phone = arrive(dora.app, dora.sub).signs_in()
    dora.sign_out()
    assert not dora.signed_in
    assert phone.signed_in


def test_sign_out_is_no_link(dora: Person) -> None:
    assert dora.http.get("/logout").status_code == 405
    assert dora.signed_in


ORIGINS: dict[str, Callable[[App], dict[str, str]]] = {
    "another site": lambda app: {"Origin": "https://evil.example"},
    "null": lambda app: {"Origin": "null"},
    "empty": lambda app: {"Origin": ""},
    "ours as a prefix": lambda app: {"Origin": f"{app.url}.evil.example"},
    "ours as a suffix": lambda app: {"Origin": f"http://evil{app.url.removeprefix('http://')}"},
    "without a scheme": lambda app: {"Origin": app.url.removeprefix("http://")},
    "another scheme": lambda app: {"Origin": app.url.replace("http:", "https:")},
    "another port": lambda app: {"Origin": "http://localhost:1"},
    "none": lambda app: {},
    "none, with a Referer": lambda app: {"Referer": f"{app.url}/chat"},
    "none, from another site": lambda app: {"Sec-Fetch-Site": "cross-site"},
    "none, from a sibling": lambda app: {"Sec-Fetch-Site": "same-site"},
}


@pytest.mark.parametrize("origin", ORIGINS.values(), ids=ORIGINS.keys())
def test_no_other_site_signs_someone_out(
    dora: Person, origin: Callable[[App], dict[str, str]]
) -> None:
    with dora.outside() as client:
        assert client.post("/logout", headers=origin(dora.app)).status_code == 403
    assert dora.signed_in


def test_charlie_signs_out_of_nothing(charlie: Person) -> None:
    home = charlie.sign_out()
    assert (home.status_code, home.url.path) == (200, "/")


def test_sign_out_where_the_provider_has_no_place_for_it(
    serve: Serve, new_provider: Provider, arrive: Arrive
) -> None:
    alice = arrive(serve(new_provider), "alice")
    lacking = Deviation(metadata=lambda m: {**m, "end_session_endpoint": None})
    with new_provider.deviating(lacking):
        alice.signs_in()
        home = alice.sign_out()
    assert (home.status_code, home.url.path) == (200, "/")
    assert not alice.signed_in


def test_sign_out_while_the_provider_is_away(
    serve: Serve, new_provider: Provider, arrive: Arrive
) -> None:
    """A restarted application asks for the metadata again; without it, sign-out must still work."""
    app = serve(new_provider)
    alice = arrive(app, "alice").signs_in()
    key = alice.session_key
    with new_provider.down():
        app.restart()
        assert is_alive(app, key), "sessions live in the store, not in the process"
        home = alice.sign_out()
        assert (home.status_code, home.url.path) == (200, "/")
        assert not is_alive(app, key)


def test_sign_out_after_the_provider_took_new_keys(dora: Person, provider: Provider) -> None:
    provider.rotate()
    assert dora.sign_out().url.path == "/"
    assert provider.signed_out == [dora.sub]


# Sockets


async def test_alice_connects(alice: Person) -> None:
    async with alice.socket() as socket:
        assert socket.client.connected


async def test_charlie_does_not_connect(charlie: Person) -> None:
    with pytest.raises(SocketRefused) as refusal:
        async with charlie.socket():
            pass
    assert refusal.value.reason == "unauthenticated"


@pytest.mark.parametrize("key", ["", "x", "A" * 43, "A" * 4000, "\x7f"])
async def test_a_made_up_key_does_not_connect(charlie: Person, key: str) -> None:
    with pytest.raises(SocketRefused) as refusal:
        async with charlie.socket(Cookie=f"chat_session={key}"):
            pass
    assert refusal.value.reason == "unauthenticated"


async def test_sign_out_cuts_the_sockets_of_every_tab(dora: Person, arrive: Arrive) -> None:
    phone = arrive(dora.app, dora.sub).signs_in()
    async with dora.socket() as one, dora.socket() as two, phone.socket() as elsewhere:
        dora.http.post("/logout")
        for tab in (one, two):
            ended = await tab.next("session_ended", CUT_S)
            assert ended == {"reason": "signed_out"}
            await tab.ends(CUT_S)
        assert not elsewhere.closed.is_set()
        assert (await elsewhere.call("typing", {"room": 1}))["ok"] is True


async def test_a_dead_key_does_not_connect(dora: Person) -> None:
    dead = f"chat_session={dora.session_key}"
    dora.sign_out()
    with pytest.raises(SocketRefused) as refusal:
        async with dora.socket(Cookie=dead):
            pass
    assert refusal.value.reason == "unauthenticated"


async def test_signing_in_again_cuts_the_old_sockets(dora: Person, arrive: Arrive) -> None:
    browser = arrive(dora.app, dora.sub)
    callbacks = [browser.choose(tab) for tab in (browser.begin(), browser.begin())]
    browser.http.get(callbacks[0])
    async with browser.socket() as old:
        browser.http.get(callbacks[1])
        assert "reason" in await old.next("session_ended", CUT_S)
        await old.ends(CUT_S)
    async with browser.socket() as new:
        assert new.client.connected


# Time


def seconds(of: float) -> str:
    """A number of seconds as the settings take them: in hours."""
    return f"{of / 3600:.6f}"


async def test_a_session_ends_of_age_however_busy(
    serve: Serve, new_provider: Provider, arrive: Arrive
) -> None:
    app = serve(new_provider, SESSION_HOURS=seconds(3))
    alice = arrive(app, "alice")
    began = time.monotonic()
    key = alice.signs_in().session_key
    async with alice.socket() as socket:
        ended = await socket.next("session_ended", 6)
        assert 2.5 < time.monotonic() - began < 6
        assert "reason" in ended
        await socket.ends(CUT_S)
    assert not is_alive(app, key)
    assert alice.signs_in().session_key != key


def test_a_session_ends_when_nobody_uses_it(
    serve: Serve, new_provider: Provider, arrive: Arrive
) -> None:
    app = serve(new_provider, SESSION_IDLE_HOURS=seconds(2))
    alice = arrive(app, "alice").signs_in()
    key = alice.session_key
    busy_until = time.monotonic() + 4

    def busy() -> bool:
        assert alice.http.get("/chat/lobby").status_code == 200, "a session in use has ended"
        return time.monotonic() > busy_until

    wait_for(busy, 10, "twice the idle time to pass")
    wait_for(lambda: not is_alive(app, key), 5, "the idle session to end")
