"""The rules of messages. Each takes the `Membership` that `access.enter` gave."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session as OrmSession
from sqlalchemy.orm.attributes import set_committed_value

from . import fanout, limits
from .errors import Invalid
from .extensions import db
from .models import Membership, Message, Room, messages_and_last_seq
from .store import release, write

PAGE_SIZE, MAX_PAGE_SIZE = 50, 200


class Page(NamedTuple):
    """Messages and the room's `last_seq`, of one snapshot; `more`: whether there are others."""

    messages: list[Message]
    last_seq: int
    more: bool


def post(membership: Membership, body: str, client_id: str) -> Message:
    """Store a message, tell the room, and return it; sent again, it is the first one once more.

    Raises `TooFast` if the author sends too many, `Invalid` if the `client_id` is that of a message
    in another room.
    """
    # Whoever waits for a turn holds no connection, nor a snapshot of before it.
    release()
    # One at a time, so that this process emits the room's changes in the order of their numbers.
    with fanout.turn(membership.room_id):
        message = _sent_before(membership, client_id)
        if message is not None:
            return message
        limits.take("messages", membership.user_id)
        try:
            message = write(_insert, membership, body, client_id)
        except IntegrityError:
            # Sent at the same time through another process, which was first.
            message = _sent_before(membership, client_id)
            if message is None:
                raise
            return message
        fanout.message_posted(message)
        return message


def history(membership: Membership, before: int | None, limit: int = PAGE_SIZE) -> Page:
    """The newest messages of the room, or the newest before a `seq`, in ascending order."""
    rows = db.session.execute(Message.history(membership.room_id, before, limit + 1)).all()
    messages, last_seq = messages_and_last_seq(rows)
    return Page(messages[:limit][::-1], last_seq, len(messages) > limit)


def changes(membership: Membership, after: int, limit: int = PAGE_SIZE) -> Page:
    """The messages changed after the number `after`, each at its latest, in order of change."""
    rows = db.session.execute(Message.changes(membership.room_id, after, limit + 1)).all()
    messages, last_seq = messages_and_last_seq(rows)
    return Page(messages[:limit], last_seq, len(messages) > limit)


def _sent_before(membership: Membership, client_id: str) -> Message | None:
    message = db.session.scalar(Message.sent_as(membership.user_id, client_id))
    if message is not None and message.room_id != membership.room_id:
        raise Invalid("This client_id belongs to a message in another room.")
    return message


def _insert(store: OrmSession, membership: Membership, body: str, client_id: str) -> Message:
    number = Room.take_number(store, membership.room_id)
    message = Message(
        room_id=membership.room_id,
        seq=number,
        changed_seq=number,
        author_id=membership.user_id,
        client_id=client_id,
        body=body,
    )
    store.add(message)
    store.flush()
    set_committed_value(message, "author", membership.user)
    return message
