"""The way of bytes between browsers and events. It knows nothing of chat.

`engine` and `packets` read what comes in, `gate` decides who may open a connection, `connections`
knows those that are open, `secure` serves whatever certificate is the current one, `drain` moves
everyone elsewhere when the process leaves, and `worker` is the gunicorn worker that asks the gate
before it answers a WebSocket's handshake.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from .connections import Connections, hang_up
from .gate import GATE, Gate

if TYPE_CHECKING:
    from flask import Flask
    from flask_socketio import SocketIO

__all__ = ["GATE", "hang_up", "init_app"]

PATH = "/socket.io"
PING_INTERVAL_S, PING_TIMEOUT_S = 20, 10


def init_app(
    app: Flask,
    socketio: SocketIO,
    *,
    origin: Callable[[str], str | None],
    websocket_only: bool,
    max_frame_bytes: int,
    max_frames_per_second: int,
    max_sockets: int,
    max_strangers: int,
    is_known: Callable[[Mapping[str, str]], bool],
    message_queue: str | None,
) -> None:
    """Serve Socket.IO from the app, behind a `Gate`.

    origin: tells by a request's Host the one Origin whose pages may connect. websocket_only:
    refuse polling, which needs that all requests of a client reach one process. max_frame_bytes:
    the largest message taken from a socket. max_frames_per_second: how many frames, in the long
    run. max_sockets: how many connections the process holds; max_strangers: of those that are not
    admitted yet. is_known: tells by a handshake's cookies whether it is from someone signed in.
    message_queue: the Redis URL that joins several processes, if any.
    """
    # Imported here, as gunicorn's unpatched master imports the worker's class from this package.
    from .packets import StrictJSON, StrictPacket

    socketio.init_app(
        app,
        path=PATH,
        # The gate checks the Origin before the upgrade; engineio would do it too late.
        cors_allowed_origins=[],
        serializer=StrictPacket,
        json=StrictJSON,
        max_http_buffer_size=max_frame_bytes,
        ping_interval=PING_INTERVAL_S,
        ping_timeout=PING_TIMEOUT_S,
        message_queue=message_queue,
        # None may be carried over from an app that was made before.
        **({} if message_queue else {"client_manager": None}),
    )
    gate = Gate(
        app.wsgi_app,
        path=f"{PATH}/",
        origin=origin,
        websocket_only=websocket_only,
        max_frame_bytes=max_frame_bytes,
        max_frames_per_second=max_frames_per_second,
        max_strangers=max_strangers,
        max_connections=max_sockets,
        connections=Connections(socketio.server),
        is_known=is_known,
    )
    app.extensions[GATE] = gate
    app.wsgi_app = gate  # type: ignore[method-assign]
