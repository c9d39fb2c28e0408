"""The socket events. Each takes four steps: parse, enter, act, answer.

Every event is acked: `{"ok": true, …}`, or `{"ok": false, "error": {"code", "message"}}`. Nothing
that an event raises gets past `acked`, and nothing that `connect` raises lets a client in.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import Flask, request
from flask_socketio import ConnectionRefusedError as Refused

from . import (
    access,
    auth,
    fanout,
    limits,
    messages,
    metrics,
    presence,
    rooms,
    sessions,
    transport,
    wire,
)
from .config import Settings
from .errors import Invalid, TooFast, Unauthenticated, as_chat_error
from .extensions import settings, socketio
from .models import User

Answer = dict[str, Any]
Handler = Callable[[User, Any], Answer]


def init_app(app: Flask, given: Settings) -> None:
    """Bind the handlers below to the app, with a Socket.IO server of its own."""
    transport.init_app(
        app,
        socketio,
        origin=given.origin,
        websocket_only=given.web_concurrency > 1,
        max_frame_bytes=given.max_frame_bytes,
        max_frames_per_second=given.max_frames_per_second,
        max_strangers=given.max_strangers,
        max_sockets=given.max_sockets,
        is_known=lambda cookies: auth.knows(app, cookies),
        message_queue=given.redis_url,
    )


def acked(event: str, *, by_hand: bool) -> Callable[[Handler], None]:
    """Register `handler(user, payload)` for an event; its answer, or its error, is the ack.

    by_hand: whether a person caused it, or the page by itself, which must not keep a session alive.
    """

    def register(handler: Handler) -> None:
        socketio.on_event(event, lambda *payload: _answer(event, handler, payload, by_hand))

    return register


def _answer(event: str, handler: Handler, payload: tuple[Any, ...], by_hand: bool) -> Answer:
    started = time.perf_counter()
    try:
        ack, outcome = {"ok": True, **_act(handler, payload, by_hand)}, "ok"
    except Exception as error:
        problem = as_chat_error(error)
        ack, outcome = {"ok": False, "error": problem.payload()}, problem.code
    metrics.events.labels(event, outcome).observe(time.perf_counter() - started)
    return ack


def _act(handler: Handler, payload: tuple[Any, ...], by_hand: bool) -> Answer:
    # The session is looked up for each event: it may have ended since the socket connected.
    session = auth.current_session()
    if session is None:
        raise Unauthenticated()
    limits.take("events", session.user_id)
    if len(payload) != 1:
        raise Invalid("An event has one payload, an object.")
    if by_hand:
        sessions.touch(session)
    return handler(session.user, payload[0])


def refusing(handler: Callable[[], None]) -> Callable[[Any], None]:
    """Make a `connect` handler that refuses the client whatever goes wrong in it.

    Anything but `ConnectionRefusedError` would let it in: a TypeError is tried again without
    arguments, an error handler's answer counts as success, and what is raised elsewhere leaves the
    socket in the room that holds everyone.
    """

    @wraps(handler)
    def connect(_auth: Any = None) -> None:
        try:
            handler()
        except Exception as error:
            problem = as_chat_error(error)
            raise Refused(problem.code, problem.payload()) from error

    return connect


@socketio.on("connect")
@refusing
def connect() -> None:
    sid: str = request.sid  # type: ignore[attr-defined]
    session = auth.current_session()
    if session is None:
        raise Unauthenticated()
    # A second CONNECT on one connection would leave the rooms of the first behind for ever.
    if request.environ.setdefault("chat.sid", sid) != sid:
        raise Invalid("This connection is in use already.")
    memberships = access.all_entered(session.user)
    # No query between the count and the admission: others would pass at the same time.
    if fanout.sockets_of_user(session.user_id) >= settings().max_sockets_per_user:
        raise TooFast(60)
    fanout.admit(sid, session, memberships)
    metrics.sockets.inc()


@socketio.on("disconnect")
def disconnect(_reason: str) -> None:
    """Rooms need no farewell: the server takes a socket that is gone out of them."""
    metrics.sockets.dec()


@acked("send_message", by_hand=True)
def send_message(user: User, payload: Any) -> Answer:
    asked = wire.send_message(payload, settings().max_body_chars)
    membership = access.enter(user, asked.room)
    message = messages.post(membership, asked.body, asked.client_id)
    return {"message": wire.message(message, user.id)}


@acked("typing", by_hand=True)
def typing(user: User, payload: Any) -> Answer:
    membership = access.enter(user, wire.room_only(payload))
    presence.typing(membership)
    return {}


@acked("mark_read", by_hand=False)
def mark_read(user: User, payload: Any) -> Answer:
    asked = wire.mark_read(payload)
    membership = access.enter(user, asked.room)
    rooms.mark_read(membership, asked.seq)
    return {}


@socketio.on("*")
def unknown(_event: str, *_payload: Any) -> Answer:
    """Events that the contract does not name, and packets that are no event: see transport."""
    return _answer("unknown", _no_such_event, (None,), by_hand=False)


def _no_such_event(_user: User, _payload: Any) -> Answer:
    raise Invalid("There is no such event.")
