"""The application in this process, for its rules and its HTTP answers, over either store.

Nothing here is monkey patched: what needs gevent's loop, or several processes, is tested as it is
served. A test makes people and rooms of its own, as the store is its whole module's.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import gevent
import pytest
from engineio.packet import Packet as EnginePacket
from flask import Flask
from flask.testing import FlaskClient
from flask_migrate import upgrade

from chat import access, config, create_app, messages, people, sessions
from chat.config import Settings
from chat.extensions import db
from chat.models import MEMBER, PRIVATE, Membership, Message, Room, User, now
from chat.models import Session as SessionRow
from chat.oidc import Identity
from chat.store import write
from tests import servers

T = TypeVar("T")

ISSUER = "https://id.example.com"
ENVIRON = {
    "CHAT_ENV": "development",
    "PUBLIC_URL": "http://localhost",
    "SECRET_KEY": "a key for tests, of which nobody asks that it be secret",
    "OKTA_OAUTH2_ISSUER": ISSUER,
    "OKTA_OAUTH2_CLIENT_ID": "chat",
    "OKTA_OAUTH2_CLIENT_SECRET": "a secret that nobody checks",
    "RATE_MESSAGES": "",
    "RATE_EVENTS": "",
    "RATE_SIGN_IN": "",
}
SAME_ORIGIN = {"Origin": ENVIRON["PUBLIC_URL"]}


def settings(database_url: str, **environ: str) -> Settings:
    return config.from_environment({**ENVIRON, "DATABASE_URL": database_url, **environ})


def make_app(settings: Settings) -> Flask:
    """`create_app`, but for what it sets on a class that clients in other tests share."""
    read_by_clients = EnginePacket.json
    try:
        return create_app(settings)
    finally:
        EnginePacket.json = read_by_clients


class Inside:
    """An application, its store brought up to date by the real migrations."""

    def __init__(self, database_url: str, **environ: str) -> None:
        self.settings = settings(database_url, **environ)
        self.app = make_app(self.settings)

    def migrate(self) -> None:
        with self.app.app_context():
            upgrade()

    def close(self) -> None:
        writer = self.app.extensions["chat.writer"]
        with self.app.app_context():
            db.session.remove()
            db.engine.dispose()
        if hasattr(writer, "thread"):
            writer.engine.dispose()
            writer.thread.kill()

    # Whatever follows wants an app context: see `context`.

    @contextlib.contextmanager
    def context(self) -> Iterator[None]:
        with self.app.app_context():
            yield

    def identity(self, name: str = "Alice", **claims: Any) -> Identity:
        """Someone whom the provider has never named before."""
        given: dict[str, Any] = {
            "issuer": ISSUER,
            "subject": uuid.uuid4().hex,
            "name": name,
            "email": f"{name.lower()}@example.com",
            "groups": frozenset(),
            "sid": None,
            "id_token": "an.id.token",
        }
        return Identity(**{**given, **claims})

    def newcomer(self, name: str = "Alice", **claims: Any) -> User:
        """A person of the test's own, a member of the Lobby and nothing else."""
        user_id = people.welcome(self.identity(name, **claims))
        user = db.session.get(User, user_id)
        assert user is not None
        return user

    def room(self, *members: User, kind: str = PRIVATE) -> int:
        """A room of the test's own, made in the store as the chat has no way to make one yet."""

        def insert(store: Any) -> int:
            name = f"room-{uuid.uuid4().hex[:8]}"
            room = Room(slug=name, name=name.title(), kind=kind)
            store.add(room)
            store.flush()
            store.add_all(
                Membership(user_id=user.id, room_id=room.id, role=MEMBER) for user in members
            )
            return room.id

        return write(insert)

    def post(self, user: User, room_id: int, body: str = "Hello", client_id: str = "") -> Message:
        membership = access.enter(user, room_id)
        return messages.post(membership, body, client_id or str(uuid.uuid4()))

    def sign_in(self, user: User) -> str:
        """A key for a cookie, as the callback sets one."""
        return sessions.start(user.id, self.identity(user.name))

    def at_once(self, calls: Sequence[Callable[[], T]]) -> list[T | Exception]:
        """Run calls side by side as the store's driver would have them: SQLite's in greenlets, as a
        process has one loop, PostgreSQL's in threads, which stand for processes."""

        def run(call: Callable[[], T]) -> T | Exception:
            with self.context():
                try:
                    return call()
                except Exception as error:
                    return error

        if self.settings.store_is_sqlite:
            greenlets = [gevent.spawn(run, call) for call in calls]
            gevent.joinall(greenlets, timeout=10, raise_error=True)
            return [greenlet.value for greenlet in greenlets]
        with ThreadPoolExecutor(len(calls)) as threads:
            return list(threads.map(run, calls, timeout=10))

    def client(self, key: str | None = None) -> FlaskClient:
        """A browser; without a key it is Charlie's. It adds nothing by itself, no Origin either."""
        browser = self.app.test_client()
        if key is not None:
            browser.set_cookie("chat_session", key)
        return browser


def change(message: Message, **values: Any) -> None:
    """Change a message as an edit or a removal will: with the room's next number."""

    def update(store: Any) -> None:
        row = store.get(Message, message.id)
        for name, value in values.items():
            setattr(row, name, value)
        row.changed_seq = Room.take_number(store, row.room_id)

    write(update)


def add_session(user: User, key_hash: str, **values: Any) -> None:
    given = {"expires_at": now() + timedelta(hours=1), **values}
    write(lambda store: store.add(SessionRow(user_id=user.id, key_hash=key_hash, **given)))


@contextlib.contextmanager
def store_of(kind: str, folder: Path) -> Iterator[str]:
    """The URL of an empty store."""
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'chat.db'}"
    else:
        with servers.fresh_postgres() as url:
            yield url


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def house(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Inside]:
    """The application over each store in turn; tests of HTTP use it as it is."""
    with store_of(request.param, tmp_path_factory.mktemp("house")) as url:
        inside = Inside(url)
        inside.migrate()
        yield inside
        inside.close()


@pytest.fixture
def inside(house: Inside) -> Iterator[Inside]:
    """The same with an app context around the test, for rules that are called directly."""
    with house.context():
        yield house
