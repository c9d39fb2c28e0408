"""People in a real browser, and the watch that is kept over what their browser says."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, ConsoleMessage, Page, WebError, WebSocket
from playwright.sync_api import Error as PlaywrightError

from tests.servers import App

# A violation is also an event; some browsers write nothing about it to the console.
TELL_VIOLATIONS = """
document.addEventListener("securitypolicyviolation", event => console.error(
  `CSP violation: ${event.effectiveDirective} blocked ${event.blockedURI} in ${event.sourceFile}`));
"""


@dataclass
class Watch:
    """Collects what a page must never do: errors, CSP violations, requests to another host.

    A test that causes one on purpose names it with `allow`, by a regular expression.
    """

    hosts: set[str]
    seen: list[str] = field(default_factory=list)
    allowed: list[str] = field(default_factory=list)

    def over(self, context: BrowserContext) -> None:
        context.add_init_script(TELL_VIOLATIONS)
        context.on("console", self._console)
        context.on("weberror", self._error)
        context.on("request", lambda request: self._request(request.url))
        context.on("page", lambda page: page.on("websocket", self._websocket))

    def allow(self, pattern: str) -> None:
        self.allowed.append(pattern)

    @property
    def problems(self) -> list[str]:
        return [s for s in self.seen if not any(re.search(a, s) for a in self.allowed)]

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.seen.append(f"console: {message.text} ({message.location.get('url')})")

    def _error(self, error: WebError) -> None:
        self.seen.append(f"page error: {error.error}")

    def _websocket(self, socket: WebSocket) -> None:
        self._request(socket.url)

    def _request(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("data", "blob") and parts.netloc not in self.hosts:
            self.seen.append(f"request to another host: {url}")


class BrowserPerson:
    """Someone in a browser context of their own; `page` is their first tab."""

    def __init__(self, context: BrowserContext, app: App, sub: str, watch: Watch) -> None:
        self.context = context
        self.app = app
        self.sub = sub
        self.watch = watch
        self.page = context.new_page()

    def sign_in(self, path: str = "/chat") -> Page:
        """Ask for a page, be sent to the provider, choose who one is, and land on the page."""
        self.page.goto(self.app.url + path)
        self.page.locator(f"button[value='{self.sub}']").click()
        self.page.wait_for_url(f"{self.app.url}{path}**")
        return self.page

    def new_tab(self, path: str = "/chat") -> Page:
        page = self.context.new_page()
        page.goto(self.app.url + path)
        return page

    def settle(self) -> None:
        """Let the browser deliver what it has to say by now."""
        for page in self.context.pages:
            # A page that is just being left has nothing more to say.
            with contextlib.suppress(PlaywrightError):
                page.evaluate("0")


class EnterBrowser(Protocol):
    """Brings someone to an application in a new browser context, by default signed in, at /chat.

    `options` are those of Playwright's `Browser.new_context`: viewport, color_scheme, …
    """

    def __call__(
        self, sub: str, *, app: App | None = None, sign_in: bool = True, **options: object
    ) -> BrowserPerson: ...
