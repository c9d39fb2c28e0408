"""Delivery: the only module that emits, and that moves sockets in and out of rooms.

Its functions are called after the commit, and each emits to a named room, never to everybody. A
socket is in `user:<id>`, `session:<id>` and `room:<id>` for each of its rooms.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakValueDictionary

from gevent.lock import BoundedSemaphore

from . import metrics, transport, wire
from .errors import Unavailable
from .extensions import socketio
from .models import Membership, Message, Session

TURN_TIMEOUT_S = 10.0

_turns: WeakValueDictionary[int, BoundedSemaphore] = WeakValueDictionary()


@contextmanager
def turn(room_id: int) -> Iterator[None]:
    """Held from before a change's commit until it was emitted, so that both have one order.

    Raises `Unavailable` if those before take too long.
    """
    lock = _turns.get(room_id)
    if lock is None:
        lock = _turns[room_id] = BoundedSemaphore(1)
    if not lock.acquire(timeout=TURN_TIMEOUT_S):
        raise Unavailable()
    try:
        yield
    finally:
        lock.release()


def admit(sid: str, session: Session, memberships: Iterable[Membership]) -> None:
    """Let a socket hear what its user, its session and its rooms are told."""
    rooms = [_user(session.user_id), _session(session.id)]
    rooms += [_room(membership.room_id) for membership in memberships]
    for room in rooms:
        socketio.server.enter_room(sid, room)


def sockets_of_user(user_id: int) -> int:
    """How many sockets the user has on this process."""
    return len(_sids(_user(user_id)))


def message_posted(message: Message) -> None:
    """A new message, to its room; only the author's sockets are told its `client_id`."""
    author = _user(message.author_id)
    _emit("receive_message", wire.message(message, message.author_id), to=author)
    _emit(
        "receive_message",
        wire.message(message, None),
        to=_room(message.room_id),
        skip_sid=_sids(author),
    )
    metrics.messages.inc()


def typing(membership: Membership) -> None:
    """That a member types, to the others in the room."""
    payload = {"room": membership.room_id, "user": wire.person(membership.user)}
    _emit(
        "typing", payload, to=_room(membership.room_id), skip_sid=_sids(_user(membership.user_id))
    )


def read(membership: Membership, seq: int) -> None:
    """How far a member has read, to the member's own sockets."""
    _emit("read", {"room": membership.room_id, "seq": seq}, to=_user(membership.user_id))


def cut_session(session_id: int, reason: str, *, everywhere: bool = True) -> None:
    """Tell a session's sockets why it ended, then disconnect those on this process.

    The other processes cut theirs when their watch sees the session's end in the database;
    `everywhere=False` is for that watch, which needs to tell nobody but its own.
    """
    server, room = socketio.server, _session(session_id)
    sockets = list(server.manager.get_participants("/", room))
    if everywhere or sockets:
        _emit("session_ended", {"reason": reason}, to=room, ignore_queue=not everywhere)
    for sid, connection in sockets:
        server.disconnect(sid)
        # Socket.IO only says goodbye; the connection beneath would stay for as long as it likes.
        transport.hang_up(server, connection)


def _emit(event: str, payload: dict[str, Any], *, to: str, **options: Any) -> None:
    socketio.server.emit(event, payload, to=to, **options)


def _sids(room: str) -> list[str]:
    """The sockets in a room on this process."""
    manager = socketio.server.manager
    return [sid for sid, _ in manager.get_participants("/", room)]


def _user(user_id: int) -> str:
    return f"user:{user_id}"


def _session(session_id: int) -> str:
    return f"session:{session_id}"


def _room(room_id: int) -> str:
    return f"room:{room_id}"
