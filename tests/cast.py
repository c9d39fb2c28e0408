"""The cast: people with a browser of their own, as far as HTTP and sockets go.

They sign in as anyone does, by walking the provider's pages, so a test never makes up a session.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any, Protocol, Self, cast
from urllib.parse import urlsplit

import aiohttp
import httpx
import socketio

from tests.servers import App

SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
REDIRECTS_AT_MOST = 10
TIMEOUT_S = 20.0


@dataclass
class Form:
    """A form on a page: where it goes, what it carries, and its buttons by their value."""

    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)
    buttons: dict[str, str] = field(default_factory=dict)


class _Forms(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append(Form(given.get("action", ""), given.get("method", "get").upper()))
        elif tag == "input" and given.get("type") == "hidden" and self.forms:
            self.forms[-1].fields[given["name"]] = given.get("value", "")
        elif tag == "button" and self.forms:
            self.forms[-1].buttons[given.get("value", "")] = given.get("name", "")


def forms(page: httpx.Response) -> list[Form]:
    return _Forms(page.text).forms


class Person:
    """Someone with a browser at one application; `sub` is who they are at the provider."""

    def __init__(self, app: App, sub: str, transport: httpx.BaseTransport | None = None) -> None:
        self.app = app
        self.sub = sub
        self.http = httpx.Client(
            base_url=app.url,
            timeout=TIMEOUT_S,
            # To load the system's certificates takes longer than to sign in; nothing here has one.
            verify=False,
            # A connection for each request: one kept alive could be closed just as it is used.
            limits=httpx.Limits(max_keepalive_connections=0),
            transport=transport,
            event_hooks={"request": [self._add_origin]},
        )

    @property
    def cookies(self) -> httpx.Cookies:
        return self.http.cookies

    @property
    def session_key(self) -> str | None:
        """The value of the session cookie."""
        secure = self.app.url.startswith("https://")
        return self.cookies.get("__Host-chat_session" if secure else "chat_session")

    @property
    def me(self) -> dict[str, Any]:
        """What the application says of this person; fails without a session."""
        return cast("dict[str, Any]", self.http.get("/api/me").raise_for_status().json())

    @property
    def signed_in(self) -> bool:
        status = self.http.get("/api/me").status_code
        assert status in (200, 401), f"/api/me answers {status}"
        return status == 200

    # Signing in, a step at a time

    def begin(self, next_path: str | None = None) -> httpx.Response:
        """Ask to sign in, and follow to the provider's page."""
        params = {} if next_path is None else {"next": next_path}
        return self.follow(self.http.get("/login", params=params))

    def choose(self, page: httpx.Response, button: str | None = None) -> str:
        """Press a button on the provider's page, by default one's own; returns the callback URL."""
        back = self.press(page, button or self.sub)
        assert back.is_redirect, f"the provider did not send back: {back.text}"
        return back.headers["location"]

    def sign_in(self, next_path: str | None = None) -> httpx.Response:
        """Sign in, and return the application's answer to the callback, whatever it is."""
        page = self.begin(next_path)
        if urlsplit(str(page.url)).path == "/login":
            return page  # the application stopped it before the provider
        return self.http.get(self.choose(page))

    def signs_in(self) -> Self:
        """Sign in, and fail if that fails."""
        answer = self.sign_in()
        assert answer.is_redirect, f"{answer.status_code}: {answer.text}"
        assert self.signed_in
        return self

    def sign_out(self) -> httpx.Response:
        """Sign out; returns the page where the browser lands."""
        return self.follow(self.http.post("/logout"))

    # What browsers do

    def press(self, page: httpx.Response, button: str) -> httpx.Response:
        """Submit the form that has this button."""
        form = next((form for form in forms(page) if button in form.buttons), None)
        assert form is not None, f"no button {button!r} at {page.url}:\n{page.text}"
        data = form.fields | {form.buttons[button]: button}
        return self.http.request(form.method, page.url.join(form.action), data=data)

    def follow(self, answer: httpx.Response) -> httpx.Response:
        """Follow redirects, as GET, to a page."""
        for _ in range(REDIRECTS_AT_MOST):
            if not answer.is_redirect:
                return answer
            answer = self.http.get(answer.url.join(answer.headers["location"]))
        raise AssertionError(f"redirected in circles at {answer.url}")

    @contextlib.contextmanager
    def outside(self) -> Iterator[httpx.Client]:
        """A client with this person's cookies that adds nothing: no Origin, no later cookies."""
        with httpx.Client(
            base_url=self.app.url, cookies=dict(self.cookies), timeout=TIMEOUT_S, verify=False
        ) as client:
            yield client

    @contextlib.asynccontextmanager
    async def socket(self, **headers: str) -> AsyncIterator[Socket]:
        """A connected Socket.IO client that bears this person's cookies, as the page's does."""
        socket = Socket()
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        given = {"Origin": self.app.url, "Cookie": cookie} | headers
        try:
            await socket.connect(self.app.address, {k: v for k, v in given.items() if v})
            yield socket
        finally:
            await socket.close()

    def close(self) -> None:
        self.http.close()

    def _add_origin(self, request: httpx.Request) -> None:
        """What a browser adds to a form's or a script's request (Fetch section 3.1)."""
        if request.method not in SAFE_METHODS and "Origin" not in request.headers:
            scheme, host = request.url.scheme, request.url.netloc.decode()
            request.headers["Origin"] = f"{scheme}://{host}"


class Arrive(Protocol):
    """Brings someone with a fresh browser to an application, not signed in yet."""

    def __call__(
        self, app: App, sub: str, transport: httpx.BaseTransport | None = None
    ) -> Person: ...


class SocketRefused(Exception):
    """The server did not let a socket connect; `reason` is the message of its `connect_error`."""

    def __init__(self, reason: str | None) -> None:
        super().__init__(reason)
        self.reason = reason


class Socket:
    """A Socket.IO client whose events wait in line until a test asks for them."""

    def __init__(self) -> None:
        # As for `Person.http`: certificates of tests are nobody's that the system knows.
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=False))
        self.client = socketio.AsyncClient(reconnection=False, http_session=self._session)
        self.closed = asyncio.Event()
        self._connection: Any = None
        self._refusal: Any = None
        self._events: defaultdict[str, asyncio.Queue[Any]] = defaultdict(asyncio.Queue)
        self.client.on("*", self._keep)
        self.client.on("connect_error", self._keep_refusal)
        self.client.on("disconnect", self._note_end)

    async def connect(self, url: str, headers: dict[str, str]) -> None:
        """Connect, or raise `SocketRefused`."""
        try:
            await self.client.connect(url, headers, transports=["websocket"], wait_timeout=5)
        except socketio.exceptions.ConnectionError as error:
            told = self._refusal.get("message") if isinstance(self._refusal, dict) else None
            raise SocketRefused(told) from error
        self._connection = self.client.eio.ws.get_extra_info("socket")

    async def call(self, event: str, payload: Any = None, timeout: float = 5) -> Any:
        """Emit, and return the server's ack; `TimeoutError` if none comes within `timeout` s."""
        return await self.client.call(event, payload, timeout=timeout)

    async def next(self, event: str, timeout: float = 5) -> Any:
        """The payload of the next event of this name, be it here already or yet to come."""
        try:
            return await asyncio.wait_for(self._events[event].get(), timeout)
        except TimeoutError:
            raise AssertionError(f"no {event!r} within {timeout:g} s") from None

    def waiting(self, event: str) -> int:
        """How many events of this name came and were not asked for."""
        return self._events[event].qsize()

    async def ends(self, timeout: float = 5) -> None:
        """Wait until the connection is over."""
        try:
            await asyncio.wait_for(self.closed.wait(), timeout)
        except TimeoutError:
            raise AssertionError(f"still connected after {timeout:g} s") from None

    async def close(self) -> None:
        await self.client.disconnect()
        await self._session.close()
        await self._hang_up()

    async def _hang_up(self) -> None:
        """Have the connection gone before its loop is: over TLS it would wait for a goodbye."""
        if self._connection is None:
            return
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        while self._connection.fileno() != -1:
            await asyncio.sleep(0)

    def _keep(self, event: str, *payload: Any) -> None:
        self._events[event].put_nowait(payload[0] if payload else None)

    def _keep_refusal(self, reason: Any) -> None:
        self._refusal = reason

    def _note_end(self, *_reason: Any) -> None:
        self.closed.set()
