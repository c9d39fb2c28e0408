"""The gunicorn worker: gevent-websocket's, with the gate asked before a handshake is answered."""

from __future__ import annotations

import struct
from typing import Any, cast

import gevent
from geventwebsocket.exceptions import WebSocketError
from geventwebsocket.gunicorn.workers import GeventWebSocketWorker
from geventwebsocket.handler import WebSocketHandler
from geventwebsocket.websocket import Stream, WebSocket

from .gate import GATE, Gate, is_upgrade, respond

MESSAGE_TOO_BIG = 1009


class CappedWebSocket(WebSocket):
    """A WebSocket that looks at a frame's size before it reads the frame.

    The library reads whatever length a frame claims, and unmasks it byte by byte: 100 MB from one
    client would stall everyone for seconds.
    """

    def __init__(self, environ: Any, handler: WebSocketHandler, max_bytes: int):
        super().__init__(environ, Stream(handler), handler)
        self.max_bytes = self.bytes_left = max_bytes
        self.raw_read = self._read_payload

    def read_message(self) -> str | bytes | None:
        # Fragments share the bound of the message that they make.
        self.bytes_left = self.max_bytes
        return cast("str | bytes | None", super().read_message())

    def _read_payload(self, length: int) -> bytes:
        self.bytes_left -= length
        if self.bytes_left < 0:
            self.send_frame(struct.pack("!H", MESSAGE_TOO_BIG), self.OPCODE_CLOSE)
            raise WebSocketError("message too big")
        return cast(bytes, self.stream.read(length))


class Handler(WebSocketHandler):
    """Answers a request; a handshake only if the gate lets it pass."""

    @property
    def gate(self) -> Gate:
        return cast(Gate, self.application.extensions[GATE])

    def upgrade_websocket(self) -> list[bytes] | None:
        # Here and not in the app: the library sends its 101 before the app is called.
        if is_upgrade(self.environ):
            refusal = self.gate.refuse_upgrade(self.environ)
            if refusal is not None:
                return respond(refusal, self.start_response)
        return cast("list[bytes] | None", super().upgrade_websocket())

    def upgrade_connection(self) -> list[bytes] | None:
        result = super().upgrade_connection()
        if "wsgi.websocket" in self.environ:
            # The library's own must not write a close frame when it is garbage collected.
            self.environ["wsgi.websocket"].closed = True
            self.websocket = CappedWebSocket(self.environ, self, self.gate.max_frame_bytes)
            self.environ["wsgi.websocket"] = self.websocket
        return cast("list[bytes] | None", result)

    def log_request(self) -> None:
        """Nothing: a load balancer logs its requests, and a callback's URL carries a code."""


class Worker(GeventWebSocketWorker):
    """Serves the app, and sends its sockets elsewhere before it stops."""

    wsgi_handler = Handler

    def handle_exit(self, sig: int, frame: Any) -> None:
        # Not in the signal's handler, which must not block.
        gevent.spawn(self._leave)

    def _leave(self) -> None:
        """Admit nobody new, and close at the level of Engine.IO, after which clients reconnect."""
        self.wsgi.extensions[GATE].draining = True
        engine = self.wsgi.extensions["socketio"].server.eio
        for socket in list(engine.sockets.values()):
            socket.close(wait=False)
        self.alive = False
