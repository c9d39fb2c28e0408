"""The stage for tests in Debian's Chromium, driven by Playwright (`pytest-playwright`).

These tests are plain functions: Playwright's synchronous API and `async def` tests do not mix in
one thread.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from pytest_playwright.pytest_playwright import CreateContextCallback

from tests import servers
from tests.browser.people import BrowserPerson, EnterBrowser, Watch
from tests.servers import ROOT, App

CHROMIUM = Path(os.environ.get("CHROMIUM", "/usr/bin/chromium"))
VENDOR = ROOT / "chat" / "static" / "vendor"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    # Nothing of the browser's own may reach for the network.
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    servers.require(CHROMIUM.exists(), str(CHROMIUM))
    servers.require((VENDOR / "vue.js").exists(), "chat/static/vendor (run `make test`)")
    return {**browser_type_launch_args, "executable_path": str(CHROMIUM), "args": FLAGS}


@pytest.fixture
def browser_person(
    request: pytest.FixtureRequest, new_context: CreateContextCallback
) -> Iterator[EnterBrowser]:
    """Brings people in; at the end, fails if a browser had anything to complain of."""
    people: list[BrowserPerson] = []

    def enter(
        sub: str, *, app: App | None = None, sign_in: bool = True, **options: Any
    ) -> BrowserPerson:
        app = app or request.getfixturevalue("strict_app")
        context = new_context(**options)
        homes = (app.url, app.environ["OKTA_OAUTH2_ISSUER"])
        watch = Watch({urlsplit(url).netloc for url in homes})
        watch.over(context)
        person = BrowserPerson(context, app, sub, watch)
        people.append(person)
        if sign_in:
            person.sign_in()
        return person

    yield enter
    for person in people:
        person.settle()
    problems = {f"{person.sub}'s browser": person.watch.problems for person in people}
    assert not any(problems.values()), problems
