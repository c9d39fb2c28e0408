"""The only door to a room: whoever holds a `Membership` got it here.

A room that one may not see answers exactly as one that does not exist.
"""

from __future__ import annotations

import re

from sqlalchemy import ColumnElement
from sqlalchemy.orm.attributes import set_committed_value

from .errors import NotFound
from .extensions import db
from .models import Membership, Room, User

SLUG = re.compile(r"[a-z0-9-]{1,80}")


def enter(user: User, room_id: int) -> Membership:
    """The user's membership of the room. Raises `NotFound` if there is none."""
    return _enter(user, Membership.room_id == room_id)


def enter_by_slug(user: User, slug: str) -> Membership:
    """The same, for the room's name in a URL."""
    if not SLUG.fullmatch(slug):
        # Asked for, a NUL would be an error of the store.
        raise NotFound()
    return _enter(user, Room.slug == slug)


def all_entered(user: User) -> list[Membership]:
    """Every membership of the user."""
    return list(db.session.scalars(Membership.of(user.id)))


def _enter(user: User, which: ColumnElement[bool]) -> Membership:
    membership = db.session.scalar(Membership.of(user.id).where(which))
    if membership is None:
        raise NotFound()
    set_committed_value(membership, "user", user)
    return membership
