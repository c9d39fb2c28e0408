"""The rules of rooms."""

from __future__ import annotations

from sqlalchemy import select, update
from sqlalchemy.orm import Session as OrmSession

from . import fanout
from .errors import Invalid
from .extensions import db
from .models import Membership, Room, User
from .store import write

LOBBY = "lobby"


def join_lobby(store: OrmSession, user_id: int) -> None:
    """Make sure that the user belongs to the Lobby, where everyone does; for a newcomer, all of its
    history counts as read. The Lobby itself was made by the first migration."""
    lobby = store.execute(select(Room.id, Room.last_seq).where(Room.slug == LOBBY)).one()
    belongs = (Membership.user_id == user_id, Membership.room_id == lobby.id)
    if store.scalar(select(Membership.id).where(*belongs)) is None:
        store.add(Membership(user_id=user_id, room_id=lobby.id, last_read_seq=lobby.last_seq))


def of(user: User) -> list[tuple[Membership, int]]:
    """The user's memberships, each with the count of messages that they have not read."""
    return [(row[0], row[1]) for row in db.session.execute(Membership.with_unread(user.id))]


def unread(membership: Membership) -> int:
    """The count of others' messages in this room that the member has not read."""
    query = Membership.with_unread(membership.user_id).where(Membership.id == membership.id)
    return db.session.execute(query).one()[1]


def mark_read(membership: Membership, seq: int) -> None:
    """Note that the member has seen the room up to `seq`; what was read is never unread again."""
    if seq > membership.room.last_seq:
        raise Invalid(f"seq is beyond the room's last, {membership.room.last_seq}.")
    if write(_set_read, membership.id, seq):
        fanout.read(membership, seq)


def _set_read(store: OrmSession, membership_id: int, seq: int) -> bool:
    # The condition makes it atomic: two tabs that report at once can't turn it back.
    behind = (Membership.id == membership_id, Membership.last_read_seq < seq)
    moved = update(Membership).where(*behind).values(last_read_seq=seq).returning(Membership.id)
    return store.execute(moved).first() is not None
