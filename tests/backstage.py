"""What no client can do yet, done straight in the store of a served application."""

from __future__ import annotations

import contextlib
import hashlib
import uuid
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, create_engine, text

from tests.cast import Person
from tests.servers import App


@contextlib.contextmanager
def store(app: App) -> Iterator[Connection]:
    """One transaction."""
    engine = create_engine(app.database_url)
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


def one(app: App, statement: str, **values: Any) -> Any:
    with store(app) as connection:
        return connection.execute(text(statement), values).scalar_one()


def private_room(app: App, *members: Person) -> int:
    """A room of the test's own. A socket hears of it if it connects afterwards."""
    slug = f"room-{uuid.uuid4().hex[:12]}"
    room = int(
        one(
            app,
            "INSERT INTO room (slug, name, topic, kind, archived, last_seq)"
            " VALUES (:slug, 'Private', '', 'private', false, 0) RETURNING id",
            slug=slug,
        )
    )
    with store(app) as connection:
        for member in members:
            connection.execute(
                text(
                    "INSERT INTO membership (user_id, room_id, role, last_read_seq)"
                    " VALUES (:user, :room, 'member', 0)"
                ),
                {"user": member.me["id"], "room": room},
            )
    return room


def last_seq(app: App, room: int) -> int:
    return int(one(app, "SELECT last_seq FROM room WHERE id = :room", room=room))


def stored(app: App, room: int) -> list[str]:
    """The bodies of a room's messages."""
    with store(app) as connection:
        asked = text("SELECT body FROM message WHERE room_id = :room ORDER BY seq")
        return list(connection.execute(asked, {"room": room}).scalars())


def end_session(person: Person) -> None:
    """End a session as another process would: in the store, and nowhere else."""
    assert person.session_key
    ended = one(
        person.app,
        "UPDATE session SET ended_at = CURRENT_TIMESTAMP, end_reason = 'signed_out'"
        " WHERE key_hash = :hash RETURNING id",
        hash=hashlib.sha256(person.session_key.encode()).hexdigest(),
    )
    assert ended
