"""Take the pictures of the docs: `make screenshots`. Two people talk in real browsers."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

from chat.config import from_environment

from . import provider, run
from .children import Children

IMAGES = run.ROOT / "docs" / "images"
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PORT, MOCK_PORT = 5890, 9890
Scheme = Literal["light", "dark"]
WIDE, PHONE = ViewportSize(width=1280, height=800), ViewportSize(width=390, height=844)

TALK = [
    ("alice", "Morning! The staging cluster is on the new image since 7:40."),
    ("alice", "Nothing odd in the logs so far: https://status.example.com/staging"),
    ("bob", "Nice. Did the migration take as long as we feared?"),
    ("alice", "11 seconds. We feared ten minutes :)"),
    (
        "bob",
        "Then let us do production at 14:00. I will write the announcement:\n\n"
        "  what changes\n  who is on call\n  how we go back",
    ),
    ("alice", "Good. I am on call, with Bob as second. Coffee first?"),
    ("bob", "Always."),
]


def main() -> int:
    IMAGES.mkdir(parents=True, exist_ok=True)
    with served() as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        people = {name: signed_in(browser, url, name) for name in ("alice", "bob")}
        for name, text in TALK:
            say(people[name], text)
        schemes: tuple[Scheme, ...] = ("light", "dark")
        for scheme in schemes:
            take(people["bob"], f"chat-{scheme}", scheme, WIDE)
            take(people["bob"], f"phone-{scheme}", scheme, PHONE)
        stranger = browser.new_context().new_page()
        stranger.goto(url)
        take(stranger, "home-light", "light", WIDE)
        browser.close()
    return 0


@contextmanager
def served() -> Iterator[str]:
    """The chat and a mock provider, with a store of their own; yields the address."""
    with tempfile.TemporaryDirectory() as folder, Children() as children:
        environ = {
            **os.environ,
            "CHAT_ENV": "development",
            "PORT": str(PORT),
            "DATABASE_URL": f"sqlite:///{Path(folder) / 'chat.db'}",
            "RATE_MESSAGES": "",
            **provider.settings(MOCK_PORT),
        }
        settings = from_environment(environ)
        children.start("The provider", provider.command(MOCK_PORT), environ, quiet=True)
        children.start("The chat", run.CHAT, environ)
        if not children.until(lambda: run.answers(settings, MOCK_PORT)):
            raise SystemExit("The chat did not start.")
        yield f"http://localhost:{settings.port}"


def signed_in(browser: Browser, url: str, name: str) -> Page:
    """A page of a browser of its own, signed in at the mock provider."""
    context = browser.new_context(
        viewport=WIDE, device_scale_factor=2, locale="en-GB", timezone_id=_where_it_is_morning()
    )
    page = context.new_page()
    page.goto(f"{url}/login")
    page.locator(f"[name=sub][value={name}]").first.click()
    page.wait_for_url("**/chat/lobby")
    page.get_by_text("Connected").wait_for()
    return page


def _where_it_is_morning() -> str:
    """A time zone in which it is nine, whenever the pictures are taken."""
    ahead = (9 - datetime.now(UTC).hour + 12) % 24 - 12
    # These names count hours west of Greenwich.
    return f"Etc/GMT{-ahead:+d}"


def say(page: Page, text: str) -> None:
    """Send a message, and wait until it has been stored."""
    page.get_by_role("textbox").fill(text)
    page.get_by_role("textbox").press("Enter")
    page.get_by_text(text.splitlines()[0]).last.wait_for()


def take(page: Page, name: str, scheme: Scheme, size: ViewportSize) -> None:
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page.set_viewport_size(size)
    page.screenshot(path=IMAGES / f"{name}.png")
    print(f"docs/images/{name}.png")


if __name__ == "__main__":
    sys.exit(main())
