"""Sign-in at providers that do what they should: who gets in, as whom, and where to."""

from __future__ import annotations

import re
import secrets
from http.cookies import Morsel, SimpleCookie
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest

from tests.cast import Arrive, Person
from tests.provider import Deviation, Provider
from tests.servers import App, Serve

COOKIE_BYTES_AT_MOST = 4096

OTHER_SITES = [
    "//evil.example",
    "///evil.example",
    "////evil.example",
    r"/\evil.example",
    r"\\evil.example",
    r"\/evil.example",
    r"/chat\..\\evil.example",
    "https://evil.example",
    "https:evil.example",
    "https:/evil.example",
    "http:///evil.example",
    "HTTPS://evil.example",
    "javascript:alert(1)",
    "data:text/html,hello",
    "evil.example",
    "//localhost@evil.example",
    "https://localhost.evil.example/chat",
    "/\t/evil.example",
    "\t//evil.example",
    "/\n/evil.example",
    "/\r\nSet-Cookie: planted=1",
    " //evil.example",
    "/\x00/evil.example",
    "／／evil.example",
    "/\u00a0//evil.example",
    "%2f%2fevil.example",
]


@pytest.fixture
def carol(strict_app: App, provider: Provider, arrive: Arrive) -> Person:
    """A person of the test's own, not signed in, so that a test may change what is said of her."""
    sub = f"carol-{len(provider.people)}"
    provider.people[sub] = {"name": "Carol", "email": "carol@example.com"}
    return arrive(strict_app, sub)


def cookies_set(answer: httpx.Response) -> dict[str, Morsel[str]]:
    cookies: dict[str, Morsel[str]] = {}
    for header in answer.headers.get_list("set-cookie"):
        cookies.update(SimpleCookie(header))
    return cookies


def stays_here(app: App, location: str) -> bool:
    """Whether every browser reads `location` as a page of the application."""
    path = location.removeprefix(app.url)
    return re.fullmatch(r"/(?!/)[\x21-\x5b\x5d-\x7e]*", path) is not None


# Who gets in, and as whom


def test_alice_signs_in_at_the_mock(alice: Person) -> None:
    assert alice.me["name"] == "Alice"
    assert alice.me["email"] == "alice@example.com"


def test_charlie_is_nobody(charlie: Person) -> None:
    answer = charlie.http.get("/api/me")
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "unauthenticated"


def test_carol_signs_in_at_a_strict_provider(carol: Person, provider: Provider) -> None:
    answer = carol.sign_in()
    assert answer.is_redirect
    assert stays_here(carol.app, answer.headers["location"])
    assert carol.me["name"] == "Carol"
    assert carol.follow(answer).status_code == 200
    assert provider.refusals == []


def test_the_authorization_request_asks_for_no_more_than_it_needs(carol: Person) -> None:
    asked = parse_qs(urlsplit(carol.http.get("/login").headers["location"]).query)
    assert asked["scope"] == ["openid profile email"]
    assert asked["code_challenge_method"] == ["S256"]
    assert asked["redirect_uri"] == [f"{carol.app.url}/authorization-code/callback"]


@pytest.mark.parametrize(
    ("claims", "name"),
    [
        ({"name": "Carol", "preferred_username": "cc", "email": "c@example.com"}, "Carol"),
        ({"preferred_username": "cc", "email": "c@example.com"}, "cc"),
        ({"name": "", "preferred_username": "cc"}, "cc"),
        ({"name": " \t ", "preferred_username": "cc"}, "cc"),
        ({"name": ["Carol"], "email": "c@example.com"}, "c@example.com"),
        ({"email": "c@example.com"}, "c@example.com"),
        ({"name": "<img src=x onerror=alert(1)>"}, "<img src=x onerror=alert(1)>"),
        ({"name": "Zoë 李 🙂"}, "Zoë 李 🙂"),
    ],
)
def test_the_name_is_the_first_that_the_provider_gives(
    carol: Person, provider: Provider, claims: dict[str, object], name: str
) -> None:
    provider.people[carol.sub] = claims
    assert carol.signs_in().me["name"] == name


@pytest.mark.parametrize(
    "name",
    ["Car\x00ol", "Car\nol", "Carol\ud800", "C" * 10_000, "\u202eCarol", {"a": 1}, 7, None],
    ids=["NUL", "newline", "lone surrogate", "long", "right-to-left", "object", "number", "null"],
)
def test_a_strange_name_does_no_harm(carol: Person, provider: Provider, name: object) -> None:
    provider.people[carol.sub] = {"name": name, "email": "carol@example.com"}
    shown = carol.signs_in().me["name"]
    assert 0 < len(shown) <= 320
    assert shown.isprintable()


def test_nobody_is_without_a_name(carol: Person, provider: Provider) -> None:
    provider.people[carol.sub] = {}
    assert carol.signs_in().me["name"]


def test_a_new_name_is_taken_at_the_next_sign_in(
    carol: Person, provider: Provider, arrive: Arrive
) -> None:
    before = carol.signs_in().me
    provider.people[carol.sub] = {"name": "Caroline", "email": "new@example.com"}
    assert carol.me["name"] == "Carol"
    after = arrive(carol.app, carol.sub).signs_in().me
    assert (after["name"], after["email"]) == ("Caroline", "new@example.com")
    assert after["id"] == before["id"]


def test_the_same_email_with_another_subject_is_another_person(
    carol: Person, provider: Provider, arrive: Arrive
) -> None:
    provider.people["carols-heir"] = provider.people[carol.sub]
    heir = arrive(carol.app, "carols-heir").signs_in()
    assert heir.me["email"] == carol.signs_in().me["email"]
    assert heir.me["id"] != carol.me["id"]


def test_subjects_that_differ_in_case_are_two_people(
    carol: Person, provider: Provider, arrive: Arrive
) -> None:
    """A subject is compared exactly (Core section 5.7)."""
    provider.people[carol.sub.upper()] = {"name": "Carol"}
    other = arrive(carol.app, carol.sub.upper()).signs_in()
    assert other.me["id"] != carol.signs_in().me["id"]


def test_the_same_subject_at_another_issuer_is_another_person(
    serve: Serve, new_provider: Provider, provider: Provider, arrive: Arrive
) -> None:
    app = serve(new_provider)
    before = arrive(app, "alice").signs_in().me["id"]
    app.stop()
    moved = serve(provider, DATABASE_URL=app.database_url)
    assert arrive(moved, "alice").signs_in().me["id"] != before


# Groups


@pytest.fixture(scope="module")
def members_only(serve_module: Serve, shared_provider: Provider) -> App:
    return serve_module(shared_provider, ALLOWED_GROUPS="chat, admins")


def test_a_member_of_an_allowed_group_gets_in(members_only: App, arrive: Arrive) -> None:
    assert arrive(members_only, "alice").signs_in().me["name"] == "Alice"


@pytest.mark.parametrize(
    "groups",
    [["guests"], [], None, "chat", "chat,admins", {"chat": True}, ["Chat"], [["chat"]]],
    ids=repr,
)
def test_who_is_in_no_allowed_group_is_refused(
    members_only: App, provider: Provider, arrive: Arrive, groups: object
) -> None:
    provider.people["outsider"] = {"name": "Outsider", "groups": groups}
    outsider, before = arrive(members_only, "outsider"), len(members_only.log)
    answer = outsider.sign_in()
    assert answer.status_code == 403
    assert answer.headers["content-type"].startswith("text/html")
    assert not outsider.signed_in
    # Who runs it is told of a token without any: the claim is not set up at the provider.
    told = "the ID token names no groups" in members_only.log[before:]
    assert told is not (isinstance(groups, list) and bool(groups))
    provider.people["outsider"]["groups"] = ["admins"]
    assert outsider.signs_in().me["name"] == "Outsider"


# The way back


@pytest.mark.parametrize("path", ["/chat/lobby", "/chat/lobby?before=7", "/chat", "/"])
def test_sign_in_leads_to_where_one_wanted_to_go(carol: Person, path: str) -> None:
    answer = carol.sign_in(path)
    assert answer.headers["location"].removeprefix(carol.app.url) == path


def test_the_chat_page_asks_to_sign_in_and_comes_back(carol: Person) -> None:
    stopped = carol.http.get("/chat/lobby")
    assert stopped.status_code == 302
    page = carol.follow(stopped)
    back = carol.http.get(carol.choose(page))
    assert back.headers["location"].removeprefix(carol.app.url) == "/chat/lobby"


@pytest.mark.parametrize("elsewhere", OTHER_SITES, ids=ascii)
def test_sign_in_leads_to_no_other_site(carol: Person, elsewhere: str) -> None:
    answer = carol.sign_in(elsewhere)
    assert answer.is_redirect, answer.text
    assert stays_here(carol.app, answer.headers["location"])
    assert "planted" not in cookies_set(answer)


@pytest.mark.parametrize("elsewhere", OTHER_SITES, ids=ascii)
def test_who_is_signed_in_already_is_led_to_no_other_site(alice: Person, elsewhere: str) -> None:
    answer = alice.http.get("/login", params={"next": elsewhere})
    assert answer.is_redirect, answer.text
    assert stays_here(alice.app, answer.headers["location"])


def test_who_is_signed_in_already_goes_on_at_once(alice: Person) -> None:
    answer = alice.http.get("/login", params={"next": "/chat/lobby"})
    assert answer.headers["location"].removeprefix(alice.app.url) == "/chat/lobby"
    assert alice.session_key


@pytest.mark.parametrize("length", [120, 1500, 5000])
def test_long_addresses_do_not_overfill_the_cookie(carol: Person, length: int) -> None:
    """Browsers drop a cookie over 4 KiB without a word, and the sign-in would be stale. Random, as
    what repeats itself is packed into nothing."""
    for tab in range(6):
        answer = carol.http.get(
            "/login", params={"next": f"/chat/lobby?{tab}={secrets.token_urlsafe(length)}"}
        )
        for header in answer.headers.get_list("set-cookie"):
            assert len(header.encode()) <= COOKIE_BYTES_AT_MOST
    assert carol.follow(carol.http.get(carol.choose(carol.begin()))).status_code == 200
    assert carol.signed_in


# The cookies


def test_the_session_cookie_is_for_the_server_alone(carol: Person) -> None:
    cookie = cookies_set(carol.sign_in())["chat_session"]
    assert cookie["httponly"] is True
    assert cookie["samesite"] == "Lax"
    assert cookie["path"] == "/"
    assert cookie["domain"] == ""
    assert len(cookie.value) >= 22, "fewer than 128 random bits"
    assert not re.search(r"carol|[.:]", cookie.value), "not opaque"


def test_the_state_of_a_sign_in_is_for_the_server_alone(carol: Person) -> None:
    cookie = cookies_set(carol.http.get("/login"))["chat_signin"]
    assert cookie["httponly"] is True
    # Strict would not come back with the redirect from the provider.
    assert cookie["samesite"] == "Lax"
    assert 0 < int(cookie["max-age"] or 600) <= 3600


def test_each_sign_in_has_a_key_of_its_own(carol: Person, arrive: Arrive) -> None:
    keys = {arrive(carol.app, carol.sub).signs_in().session_key for _ in range(3)}
    assert len(keys) == 3


def test_a_planted_key_is_not_taken_over(carol: Person) -> None:
    """Session fixation: whoever plants a key must not find someone else's session behind it."""
    planted = "A" * 43
    carol.cookies.set("chat_session", planted, domain="localhost.local", path="/")
    carol.signs_in()
    with httpx.Client(base_url=carol.app.url, cookies={"chat_session": planted}) as attacker:
        assert attacker.get("/api/me").status_code == 401


def test_signing_in_again_ends_the_browsers_old_session(carol: Person) -> None:
    tabs = [carol.begin(), carol.begin()]
    callbacks = [carol.choose(tab) for tab in tabs]
    assert carol.http.get(callbacks[0]).is_redirect
    assert carol.signed_in
    with carol.outside() as with_old_key:
        assert with_old_key.get("/api/me").status_code == 200
        assert carol.http.get(callbacks[1]).is_redirect
        assert carol.signed_in
        assert with_old_key.get("/api/me").status_code == 401


def test_two_tabs_may_sign_in_in_any_order(carol: Person) -> None:
    first, second = carol.begin("/chat/lobby?1"), carol.begin("/chat/lobby?2")
    answers = [carol.http.get(carol.choose(tab)) for tab in (second, first)]
    assert [a.headers.get("location", "")[-1:] for a in answers] == ["2", "1"]


class TlsInFront(httpx.BaseTransport):
    """A proxy in front of the application that ends TLS for `https://chat.example`."""

    def __init__(self, app: App) -> None:
        self.app = app
        self._onward = httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.host != "chat.example":
            return self._onward.handle_request(request)
        headers = request.headers.copy()
        headers.update({"X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.1"})
        url = request.url.copy_with(scheme="http", host="127.0.0.1", port=self.app.port)
        inner = httpx.Request(request.method, url, headers=headers, stream=request.stream)
        return self._onward.handle_request(inner)

    def close(self) -> None:
        self._onward.close()


def test_over_https_the_cookies_are_bound_to_it(
    serve: Serve, new_provider: Provider, arrive: Arrive
) -> None:
    app = serve(new_provider, PUBLIC_URL="https://chat.example", TRUSTED_PROXIES="1")
    alice = arrive(app, "alice", TlsInFront(app))
    state = cookies_set(alice.http.get("/login"))["__Host-chat_signin"]
    session = cookies_set(alice.sign_in())["__Host-chat_session"]
    for cookie in (state, session):
        assert cookie["secure"] is True
        assert cookie["path"] == "/"
        assert cookie["domain"] == ""
    assert alice.signed_in
    assert str(alice.sign_out().url).startswith("https://chat.example/")
    assert not alice.signed_in


# The callback, when it is not what it should be: the browser's fault, so 4xx


def assert_stopped(person: Person, answer: httpx.Response, status: int) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("text/html")
    assert "Traceback" not in answer.text
    assert 'href="/login' in answer.text or 'href="/"' in answer.text, "no way on"
    assert not person.signed_in


@pytest.mark.parametrize(
    "query",
    ["", "code=x", "state=x", "code=x&state=wrong", "code=&state=", "error=access_denied"],
)
def test_a_callback_that_nobody_asked_for_is_refused(carol: Person, query: str) -> None:
    answer = carol.http.get(f"/authorization-code/callback?{query}")
    assert_stopped(carol, answer, 400)


def changed(callback: str, **change: str | None) -> str:
    """A callback URL with other parameters; None takes one away."""
    base, _, query = callback.partition("?")
    params = {k: v[0] for k, v in parse_qs(query).items()} | change
    return f"{base}?{urlencode({k: v for k, v in params.items() if v is not None})}"


@pytest.mark.parametrize("state", ["wrong", "", None])
def test_a_callback_without_its_state_is_refused(carol: Person, state: str | None) -> None:
    callback = carol.choose(carol.begin())
    assert_stopped(carol, carol.http.get(changed(callback, state=state)), 400)
    assert carol.http.get(callback).is_redirect
    assert carol.signed_in


def test_a_callback_in_another_browser_is_refused(carol: Person, arrive: Arrive) -> None:
    """Login CSRF: nobody is signed in as someone else by following a link."""
    callback = carol.choose(carol.begin())
    stranger = arrive(carol.app, "bob")
    assert_stopped(stranger, stranger.http.get(callback), 400)
    stranger.begin()
    assert_stopped(stranger, stranger.http.get(callback), 400)
    assert stranger.signs_in().me["name"] == "Bob"


def test_a_callback_is_good_once(carol: Person) -> None:
    page = carol.begin()
    before = carol.cookies.get("chat_signin")
    callback = carol.choose(page)
    assert carol.http.get(callback).is_redirect
    assert carol.http.get(callback).status_code == 400
    with httpx.Client(base_url=carol.app.url, cookies={"chat_signin": before or ""}) as thief:
        assert thief.get(callback).status_code == 400
        assert thief.get("/api/me").status_code == 401
    assert carol.signed_in, "a replay must not end the session that the first one began"


def test_a_state_with_another_code_is_refused(carol: Person, arrive: Arrive) -> None:
    """A stolen code: PKCE binds it to the browser that asked for it."""
    victim = arrive(carol.app, "alice")
    stolen = parse_qs(urlsplit(victim.choose(victim.begin())).query)["code"][0]
    callback = changed(carol.choose(carol.begin()), code=stolen)
    assert carol.http.get(callback).status_code in (400, 502)
    assert not carol.signed_in


def test_a_callback_without_a_code_is_refused(carol: Person) -> None:
    callback = changed(carol.choose(carol.begin()), code=None)
    assert carol.http.get(callback).status_code in (400, 502)
    assert not carol.signed_in


def test_whom_the_provider_denies_is_told_so(carol: Person) -> None:
    callback = carol.choose(carol.begin(), "deny")
    assert "error=access_denied" in callback
    answer = carol.http.get(callback)
    assert_stopped(carol, answer, 403)
    assert "assigned" in answer.text or "access" in answer.text
    carol.signs_in()


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ("server_error", {502, 503}),
        ("temporarily_unavailable", {502, 503}),
        ("invalid_scope", {502}),
        ("unauthorized_client", {502}),
        ("<script>alert(1)</script>", {400, 502}),
    ],
)
def test_an_error_from_the_provider_is_told(
    carol: Person, provider: Provider, error: str, status: set[int]
) -> None:
    def failing(answer: dict[str, str]) -> dict[str, str]:
        told = {"error": error, "error_description": "<script>alert(1)</script>\nFORGED"}
        return {k: v for k, v in answer.items() if k != "code"} | told

    with provider.deviating(Deviation(callback=failing)):
        answer = carol.sign_in()
    assert answer.status_code in status
    assert "<script>alert" not in answer.text
    assert "\nFORGED" not in carol.app.log
    assert not carol.signed_in
    carol.signs_in()


def test_other_methods_are_refused(carol: Person) -> None:
    for path in ("/login", "/authorization-code/callback"):
        assert carol.http.post(path).status_code == 405
    assert not carol.signed_in


def test_no_secret_of_a_sign_in_is_logged(carol: Person) -> None:
    callback = carol.choose(carol.begin())
    assert carol.http.get(callback).is_redirect
    code = parse_qs(urlsplit(callback).query)["code"][0]
    secret = carol.app.environ["OKTA_OAUTH2_CLIENT_SECRET"]
    for value in (code, secret, carol.session_key):
        assert value
        assert value not in carol.app.log
