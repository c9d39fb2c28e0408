"""The chat page as its tests see it, and rooms of their own for the people on it."""

from __future__ import annotations

import contextlib
import sqlite3
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from playwright.sync_api import Locator, Page, expect
from sqlalchemy import insert, update
from sqlalchemy.engine import make_url

from chat.models import Message
from chat.models import Room as RoomRow
from tests import backstage
from tests.browser.people import BrowserPerson, EnterBrowser
from tests.cast import Arrive, Person
from tests.servers import App

# A server that was restarted is found again by a back-off, and a busy machine is slow.
PATIENCE_MS = 20_000


@dataclass(frozen=True)
class Said:
    """A message that is put into the store as if it had been sent long ago."""

    author: int
    body: str
    at: datetime | None = None


@dataclass(frozen=True)
class Room:
    """A private room of a test's own."""

    app: App
    id: int
    slug: str

    @property
    def path(self) -> str:
        return f"/chat/{self.slug}"

    @property
    def bodies(self) -> list[str]:
        """What the store holds."""
        return backstage.stored(self.app, self.id)

    def holds(self, *said: Said) -> None:
        """Put messages into the store, with nobody told: the server may even be down."""
        begin = backstage.last_seq(self.app, self.id)
        rows = [_row(self.id, number, it) for number, it in enumerate(said, begin + 1)]
        with backstage.store(self.app) as connection:
            connection.execute(insert(Message), rows)
            connection.execute(
                update(RoomRow).where(RoomRow.id == self.id).values(last_seq=begin + len(said))
            )

    def as_seen_by(self, person: Person) -> dict[str, Any]:
        """The room in that person's `GET /api/rooms`."""
        rooms = person.http.get("/api/rooms").raise_for_status().json()["rooms"]
        return cast("dict[str, Any]", next(room for room in rooms if room["id"] == self.id))


def _row(room: int, number: int, said: Said) -> dict[str, Any]:
    return {
        "room_id": room,
        "seq": number,
        "changed_seq": number,
        "author_id": said.author,
        "client_id": str(uuid.uuid4()),
        "body": said.body,
        "created_at": said.at or datetime.now(UTC),
    }


@contextlib.contextmanager
def writes_held(app: App) -> Iterator[None]:
    """Nothing can be committed for the length of the block; SQLite waits five seconds for it."""
    database = make_url(app.database_url).database
    assert database
    with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


class ChatPage:
    """One tab with the chat in it: what is on it, and what one does there."""

    def __init__(self, page: Page, browser: BrowserPerson) -> None:
        self.page = page
        self.browser = browser
        self.composer = page.locator("#composer")
        self.remark = page.locator("#composer-remark")
        self.send_button = page.get_by_role("button", name="Send", exact=True)
        self.log = page.get_by_role("log")
        self.messages = page.locator(".message")
        self.unsent = page.locator(".message.unsent")
        self.bodies = page.locator(".message .body")
        self.status = page.locator("[data-state]")
        self.typing = page.locator(".typing")
        self.jump = page.locator("button.jump")
        self.announced = page.locator("[aria-live=polite] p")

    def ready(self) -> ChatPage:
        """Wait until it is connected and shows the room's messages."""
        expect(self.status).to_have_text("Connected", timeout=PATIENCE_MS)
        expect(self.log).to_be_visible()
        return self

    def message(self, body: str) -> Locator:
        """The row of the message that says just this."""
        return self.messages.filter(has=self.page.get_by_text(body, exact=True))

    def send(self, *bodies: str) -> None:
        for body in bodies:
            self.composer.fill(body)
            self.composer.press("Enter")

    def reload(self) -> ChatPage:
        self.page.reload()
        return self.ready()


class Stage:
    """Brings people straight to the chat page; how they sign in is what other tests are for."""

    def __init__(self, enter: EnterBrowser, arrive: Arrive, app: App) -> None:
        self.app = app
        self._enter = enter
        self._arrive = arrive
        self._people: dict[str, Person] = {}
        self.ids: dict[str, int] = {}

    def person(self, sub: str) -> Person:
        """Someone signed in, with the same session as their browser."""
        if sub not in self._people:
            person = self._people[sub] = self._arrive(self.app, sub).signs_in()
            self.ids[sub] = person.me["id"]
        return self._people[sub]

    def room(self, *subs: str) -> Room:
        """A room with these members. Who is on a page already does not hear of it."""
        number = backstage.private_room(self.app, *map(self.person, subs))
        slug = backstage.one(self.app, "SELECT slug FROM room WHERE id = :id", id=number)
        return Room(self.app, number, slug)

    def browser(self, sub: str, **options: object) -> BrowserPerson:
        """Someone's browser, signed in, with an empty tab."""
        browser = self._enter(sub, app=self.app, sign_in=False, **options)
        self.signs_in(browser, sub)
        return browser

    def signs_in(self, browser: BrowserPerson, sub: str) -> None:
        key = self.person(sub).session_key
        assert key
        cookie = {"name": "chat_session", "value": key, "url": self.app.url, "httpOnly": True}
        browser.context.add_cookies([cookie])

    def opens(self, sub: str, room: Room, **options: object) -> ChatPage:
        """Someone in a browser of their own, in the room."""
        browser = self.browser(sub, **options)
        browser.page.goto(self.app.url + room.path)
        return ChatPage(browser.page, browser).ready()
