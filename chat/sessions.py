"""Server-side sessions: who a browser's cookie stands for, and until when.

The cookie is an opaque random key. A session is over when it is ended (signed out, revoked), too
old, or too long idle; `watch` tells the sockets of this process, whichever process ended it.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import gevent
from flask import Flask
from sqlalchemy import delete, or_, select, update
from sqlalchemy.orm import Session as OrmSession

from . import fanout
from .extensions import db, settings
from .models import Session, now
from .oidc import Identity
from .store import write

log = logging.getLogger(__name__)

SIGNED_OUT, REPLACED, EXPIRED = "signed_out", "replaced", "expired"
WATCH_EVERY_S = 1.0
# How far back the watch looks: more than clocks are apart. Cutting twice does no harm.
WATCH_BACK = timedelta(minutes=5)
# `seen_at` is written at most once in this part of the idle lifetime.
TOUCH_PART = 20
KEEP_ENDED = timedelta(days=30)


class Ended(NamedTuple):
    id: int
    reason: str


def start(user_id: int, identity: Identity) -> str:
    """Make a session for someone who just signed in, and return the key for their cookie."""
    key = secrets.token_urlsafe(32)
    row = Session(
        key_hash=_hash(key),
        user_id=user_id,
        provider_sid=identity.sid,
        id_token=identity.id_token,
        expires_at=now() + timedelta(hours=settings().session_hours),
    )
    write(_add, row)
    return key


def find(key: str | None) -> Session | None:
    """The live session of a cookie's key, with its user."""
    if not key:
        return None
    return db.session.scalar(Session.live(_hash(key), now() - _idle()))


def touch(session: Session) -> None:
    """Note that the person did something. What a page does by itself must not keep it alive."""
    if now() - session.seen_at > _idle() / TOUCH_PART:
        write(_set_seen, session.id)


def end(session_id: int, reason: str) -> None:
    """End a session: its key is worth nothing from here on, and its sockets are cut at once."""
    write(_set_ended, [session_id], reason)
    fanout.cut_session(session_id, reason)


def start_watch(app: Flask) -> None:
    """Run `watch` beside the requests of this process, for as long as it lives."""
    gevent.spawn(_watch_for_ever, app)


def watch(since: datetime) -> list[Ended]:
    """End what is too old or too long idle, and return all that ended after `since`."""
    if overdue := _overdue():
        write(_set_ended, overdue, EXPIRED)
    rows = db.session.execute(
        select(Session.id, Session.end_reason).where(Session.ended_at > since)
    )
    return [Ended(row.id, row.end_reason) for row in rows]


def _watch_for_ever(app: Flask) -> None:
    while True:
        gevent.sleep(WATCH_EVERY_S)
        try:
            with app.app_context():
                for ended in watch(now() - WATCH_BACK):
                    fanout.cut_session(ended.id, ended.reason, everywhere=False)
        except Exception:
            log.exception("the watch over sessions failed; it goes on")


def _overdue() -> Sequence[int]:
    return db.session.scalars(
        select(Session.id).where(
            Session.ended_at.is_(None),
            or_(Session.expires_at <= now(), Session.seen_at <= now() - _idle()),
        )
    ).all()


def _add(store: OrmSession, row: Session) -> None:
    """Add a session, and let go of those that ended long ago, so that the table stays small."""
    store.execute(delete(Session).where(Session.ended_at < now() - KEEP_ENDED))
    store.add(row)


def _set_seen(store: OrmSession, session_id: int) -> None:
    store.execute(update(Session).where(Session.id == session_id).values(seen_at=now()))


def _set_ended(store: OrmSession, session_ids: Sequence[int], reason: str) -> None:
    live = (Session.id.in_(session_ids), Session.ended_at.is_(None))
    over = {"ended_at": now(), "end_reason": reason, "id_token": None}
    store.execute(update(Session).where(*live).values(over))


def _hash(key: str) -> str:
    # A plain hash will do: the key has 256 random bits, so there is nothing to guess.
    return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()


def _idle() -> timedelta:
    return timedelta(hours=settings().session_idle_hours)
