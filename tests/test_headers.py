"""What browsers are told, and what is believed of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from chat.extensions import oauth
from chat.provider import NAME
from tests.inside import Inside

OURS = "https://chat.example.com"
# Nobody listens there: a sign-in that is let pass ends at once.
NO_PROVIDER = "http://127.0.0.1:1"
Make = Callable[..., FlaskClient]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Makes an application of the test's own, and a stranger's browser."""
    made: list[Inside] = []

    def make(**environ: str) -> FlaskClient:
        made.append(Inside(f"sqlite:///{tmp_path / f'{len(made)}.db'}", **environ))
        return made[-1].client()

    yield make
    for inside in made:
        inside.close()


@pytest.fixture
def secure(make: Make) -> FlaskClient:
    return make(PUBLIC_URL=OURS)


@pytest.fixture
def plain(make: Make) -> FlaskClient:
    return make()


def get(browser: FlaskClient, path: str, base: str = OURS, **headers: str) -> TestResponse:
    return browser.get(path, base_url=base, headers=headers)


def csp(answer: TestResponse) -> dict[str, list[str]]:
    directives = answer.headers["Content-Security-Policy"].split("; ")
    return {name: sources for name, *sources in map(str.split, directives)}


# Headers

ANSWERS = ["/", "/nothing", "/api/me", "/chat", "/healthz"]


@pytest.mark.parametrize("path", ANSWERS)
def test_each_answer_is_dressed(secure: FlaskClient, path: str) -> None:
    headers = get(secure, path).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "camera=()" in headers["Permissions-Policy"]
    assert headers["Cache-Control"] == "no-store"
    assert "Content-Security-Policy" in headers


def test_a_refusal_is_dressed_too(secure: FlaskClient) -> None:
    refused = secure.post("/logout", base_url=OURS)
    assert refused.status_code == 403
    assert refused.headers["X-Content-Type-Options"] == "nosniff"


def test_only_our_own_scripts_run(secure: FlaskClient) -> None:
    policy = csp(get(secure, "/"))
    assert policy["default-src"] == ["'none'"]
    assert policy["script-src"] == policy["style-src"] == ["'self'"]
    assert policy["connect-src"] == ["'self'", "wss://chat.example.com"]
    assert policy["base-uri"] == policy["frame-ancestors"] == ["'none'"]
    everything = get(secure, "/").headers["Content-Security-Policy"]
    for word in ("unsafe", "*", "nonce", "blob:", "http:", "eval"):
        assert word not in everything


def test_a_form_may_end_at_the_provider(secure: FlaskClient) -> None:
    """Chromium applies `form-action` to redirects too, and signing out is a POST."""
    assert csp(get(secure, "/"))["form-action"] == ["'self'", "https://id.example.com"]


def test_a_form_may_end_where_the_provider_ends_sessions(secure: FlaskClient) -> None:
    client = oauth.create_client(NAME)
    client.server_metadata["end_session_endpoint"] = "https://logout.example.org:8443/end?x=1"
    try:
        assert "https://logout.example.org:8443" in csp(get(secure, "/"))["form-action"]
    finally:
        client.server_metadata.clear()


def hsts_seconds(browser: FlaskClient, path: str) -> int:
    told = re.fullmatch(r"max-age=(\d+)", get(browser, path).headers["Strict-Transport-Security"])
    assert told is not None
    return int(told[1])


def test_hsts_is_told_over_tls(make: Make) -> None:
    strong = "0123456789abcdef0123456789abcdef"
    browser = make(PUBLIC_URL=OURS, CHAT_ENV="production", SECRET_KEY=strong)
    for path in ANSWERS:
        assert hsts_seconds(browser, path) >= 31_536_000


def test_hsts_is_soon_forgotten_on_a_laptop(secure: FlaskClient) -> None:
    """It would also turn what else is served on that host, plain `make run` for one, to TLS."""
    for path in ANSWERS:
        assert 0 < hsts_seconds(secure, path) <= 3_600


def test_hsts_is_not_told_without_tls(plain: FlaskClient) -> None:
    answer = get(plain, "/", "http://localhost")
    assert answer.status_code == 200
    assert "Strict-Transport-Security" not in answer.headers
    assert "ws://localhost" in csp(answer)["connect-src"]


@pytest.mark.parametrize("url", [OURS, "http://localhost"])
def test_cookies_are_secure_where_there_is_tls(house: Inside, make: Make, url: str) -> None:
    answer = make(PUBLIC_URL=url).post("/logout", base_url=url, headers={"Origin": url})
    (cookie,) = answer.headers.getlist("Set-Cookie")
    assert ("; Secure" in cookie) is (url == OURS)
    assert cookie.startswith("__Host-chat_session=" if url == OURS else "chat_session=")
    assert "; HttpOnly" in cookie
    assert "; SameSite=Lax" in cookie
    assert "; Path=/" in cookie
    assert "Domain" not in cookie


# Whose request is it

FROM_OURS: list[dict[str, str]] = [
    {"Origin": OURS},
    {"Origin": OURS, "Sec-Fetch-Site": "same-origin"},
    {"Origin": OURS, "Sec-Fetch-Site": "cross-site"},  # Origin says more, and is checked first
    {"Sec-Fetch-Site": "same-origin"},
]
FROM_ELSEWHERE: list[dict[str, str]] = [
    {},
    {"Referer": f"{OURS}/chat"},
    *[{"Sec-Fetch-Site": site} for site in ("cross-site", "same-site", "none", "", "Same-Origin")],
    *[
        {"Origin": origin, "Sec-Fetch-Site": "same-origin"}
        for origin in (
            *["https://evil.example", "null", "", f"{OURS}.evil.example", f"{OURS}/"],
            *["http://chat.example.com", "https://evilchat.example.com", "chat.example.com"],
            *[f"{OURS}:443", f"{OURS}, {OURS}", "https://CHAT.example.com"],
        )
    ],
]


@pytest.mark.parametrize("headers", FROM_OURS, ids=str)
def test_our_own_page_may_change_something(secure: FlaskClient, headers: dict[str, str]) -> None:
    assert secure.post("/logout", base_url=OURS, headers=headers).status_code == 303


@pytest.mark.parametrize("headers", FROM_ELSEWHERE, ids=str)
@pytest.mark.parametrize("path", ["/logout", "/api/rooms", "/nothing"])
def test_no_other_page_may(secure: FlaskClient, path: str, headers: dict[str, str]) -> None:
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        answer = secure.open(path, method=method, base_url=OURS, headers=headers)
        assert answer.status_code == 403


def test_anyone_may_look(secure: FlaskClient) -> None:
    assert get(secure, "/", Origin="https://evil.example").status_code == 200


# One host


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ("/", "/"),
        ("/chat/lobby?a=1&b=%2F", "/chat/lobby?a=1&b=%2F"),
        ("/authorization-code/callback?code=x&state=y", None),
        ("/chat/caf%C3%A9", None),
        ("/chat/a%3Fb", None),
        ("/chat/a%23b", None),
        ("/chat/100%25", None),
    ],
)
def test_another_host_is_led_to_ours(plain: FlaskClient, path: str, kept: str | None) -> None:
    answer = get(plain, path, "http://127.0.0.1")
    assert answer.status_code == 307
    location = answer.headers["Location"]
    assert location.startswith("http://localhost/")
    assert location.removeprefix("http://localhost") == (kept or path)


@pytest.mark.parametrize("base", ["https://evil.example", f"{OURS}:8443", "https://127.0.0.1"])
def test_no_other_host_is_ours(secure: FlaskClient, base: str) -> None:
    answer = get(secure, "/chat", base)
    assert (answer.status_code, answer.headers["Location"]) == (307, f"{OURS}/chat")


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_machines_may_ask_by_any_name(secure: FlaskClient, path: str) -> None:
    assert get(secure, path, "http://10.0.0.7:8080").status_code in (200, 404)


def test_a_redirect_in_front_keeps_its_way(secure: FlaskClient) -> None:
    """What is asked for over the public URL is served, and not led in circles."""
    assert get(secure, "/").status_code == 200


# Who is behind a proxy


def sign_in(browser: FlaskClient, forwarded: str | None, address: str = "10.0.0.1") -> int:
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    return browser.get(
        "/login",
        base_url="http://localhost",
        headers=headers,
        environ_overrides={"REMOTE_ADDR": address},
    ).status_code


@pytest.fixture
def limited(make: Make) -> Callable[[str], FlaskClient]:
    def limited(proxies: str) -> FlaskClient:
        return make(
            TRUSTED_PROXIES=proxies,
            RATE_SIGN_IN="2 per hour",
            OKTA_OAUTH2_ISSUER=NO_PROVIDER,
        )

    return limited


PASSED, TOO_MANY = 503, 429


def test_sign_ins_are_counted_by_address(limited: Callable[[str], FlaskClient]) -> None:
    browser = limited("0")
    assert [sign_in(browser, None) for _ in range(3)] == [PASSED, PASSED, TOO_MANY]
    assert sign_in(browser, None, address="10.0.0.2") == PASSED


def test_a_forwarded_address_is_not_believed_of_strangers(
    limited: Callable[[str], FlaskClient],
) -> None:
    browser = limited("0")
    assert [sign_in(browser, f"192.0.2.{n}") for n in range(3)] == [PASSED, PASSED, TOO_MANY]


def test_a_forwarded_address_is_believed_of_a_proxy(
    limited: Callable[[str], FlaskClient],
) -> None:
    browser = limited("1")
    assert [sign_in(browser, "192.0.2.1") for _ in range(3)] == [PASSED, PASSED, TOO_MANY]
    assert sign_in(browser, "192.0.2.2") == PASSED
    # What the client wrote itself stands before what the proxy added.
    assert sign_in(browser, "198.51.100.9, 192.0.2.1") == TOO_MANY


@pytest.mark.parametrize("proxies", ["0", "1"])
def test_a_forwarded_host_is_not_believed(make: Make, proxies: str) -> None:
    browser = make(TRUSTED_PROXIES=proxies)
    told = {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https"}
    answer = get(browser, "/chat", "http://localhost", **told)
    assert answer.status_code == 302
    assert answer.headers["Location"].startswith("/login")


def test_too_many_sign_ins_are_told_on_a_page(limited: Callable[[str], FlaskClient]) -> None:
    browser = limited("0")
    for _ in range(2):
        sign_in(browser, None, address="127.0.0.1")
    answer = browser.get("/login", base_url="http://localhost")
    assert answer.status_code == 429
    assert answer.content_type == "text/html; charset=utf-8"
    assert 0 < int(answer.headers["Retry-After"]) <= 3_600
