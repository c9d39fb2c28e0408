"""The gunicorn worker: gevent-websocket's, with the gate asked before a handshake is answered."""

from __future__ import annotations

import struct
import time
from contextlib import suppress
from socket import SHUT_RDWR
from typing import Any, ClassVar, cast

import gevent
from geventwebsocket.exceptions import WebSocketError
from geventwebsocket.gunicorn.workers import GeventWebSocketWorker
from geventwebsocket.handler import WebSocketHandler
from geventwebsocket.websocket import Header, Stream, WebSocket
from gunicorn.workers.ggevent import PyWSGIServer

from . import drain
from .engine import is_packet
from .gate import GATE, Gate, is_upgrade, respond

PROTOCOL_ERROR, POLICY_VIOLATION, MESSAGE_TOO_BIG = 1002, 1008, 1009  # RFC 6455 section 7.4.1
BURST_S = 10
HANG_UP_AFTER_S = 1.0
HANDSHAKE_TIMEOUT_S = 10.0


class CappedWebSocket(WebSocket):
    """A WebSocket that looks at a frame's size before it reads the frame.

    The library reads whatever length a frame claims, and unmasks it byte by byte: 100 MB from one
    client would stall everyone for seconds.
    """

    def __init__(self, environ: Any, handler: Handler):
        super().__init__(environ, Stream(handler), handler)
        self.max_bytes = self.bytes_left = handler.gate.max_frame_bytes
        self.frames_per_second = handler.gate.max_frames_per_second
        self.frames_left: float = self.frames_per_second * BURST_S
        self.counted_at = time.monotonic()
        self.raw_read = self._read_payload

    def receive(self) -> str | None:
        """The next packet; None at the end, to which anything malformed leads."""
        while True:
            message = super().receive()
            if message is None or (isinstance(message, str) and is_packet(message)):
                return message
            if isinstance(message, str):
                self._hang_up(PROTOCOL_ERROR)
                return None

    def close(self, code: int = 1000, message: bytes = b"") -> None:
        """Say goodbye, then hang up: who stays silent must not hold a place, or up our own end."""
        connection = self.handler.socket
        super().close(code, message)
        gevent.spawn_later(HANG_UP_AFTER_S, _shut_down, connection)

    def read_message(self) -> str | bytes | None:
        # Fragments share the bound of the message that they make.
        self.bytes_left = self.max_bytes
        return cast("str | bytes | None", super().read_message())

    def read_frame(self) -> tuple[Header, bytes]:
        # A client that sends without a pause is always ready to be read: without this its greenlet
        # would keep the loop from everyone else.
        gevent.sleep(0)
        now = time.monotonic()
        earned = (now - self.counted_at) * self.frames_per_second
        self.frames_left = min(self.frames_left + earned, self.frames_per_second * BURST_S) - 1
        self.counted_at = now
        if self.frames_left < 0:
            self._hang_up(POLICY_VIOLATION)
            raise WebSocketError("too many frames")
        return cast("tuple[Header, bytes]", super().read_frame())

    def _read_payload(self, length: int) -> bytes:
        self.bytes_left -= length
        if self.bytes_left < 0:
            self._hang_up(MESSAGE_TOO_BIG)
            raise WebSocketError("message too big")
        return cast(bytes, self.stream.read(length))

    def _hang_up(self, code: int) -> None:
        # The library's `close` leaves the code out.
        self.send_frame(struct.pack("!H", code), self.OPCODE_CLOSE)
        gevent.spawn_later(HANG_UP_AFTER_S, _shut_down, self.handler.socket)


def _shut_down(connection: Any) -> None:
    """Wake whoever reads from a connection, with its end; it may have been closed meanwhile."""
    with suppress(OSError, AttributeError):
        connection.shutdown(SHUT_RDWR)


class Handler(WebSocketHandler):
    """Answers a request; a handshake only if the gate lets it pass."""

    # Those whose connection lies idle, for the next request to come or not, and since when.
    waiting: ClassVar[dict[Handler, float]] = {}
    # Those whose connection has become a WebSocket.
    upgraded: ClassVar[set[Handler]] = set()

    @property
    def gate(self) -> Gate:
        return cast(Gate, self.server.application.extensions[GATE])

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
            self.websocket = CappedWebSocket(self.environ, self)
            self.environ["wsgi.websocket"] = self.websocket
        return cast("list[bytes] | None", result)

    def run_websocket(self) -> None:
        self.upgraded.add(self)
        try:
            super().run_websocket()
        finally:
            self.upgraded.discard(self)

    def read_requestline(self) -> str:
        gevent.sleep(0)  # requests sent without a pause must not keep the loop from others either
        self.waiting[self] = time.monotonic()
        try:
            return cast(str, super().read_requestline())
        finally:
            del self.waiting[self]

    def start_response(self, status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
        if self.gate.draining and not status.startswith("101"):
            # Or a proxy that keeps the connection would send the next request into the void.
            headers = [*headers, ("Connection", "close")]
        return super().start_response(status, headers, *more)

    def log_request(self) -> None:
        """Nothing: a load balancer logs its requests, and a callback's URL carries a code."""


class Server(PyWSGIServer):
    """A server to which a stranger's failed TLS handshake is no defect to be logged at length."""

    def wrap_socket_and_handle(self, client_socket: Any, address: Any) -> None:
        # A client that says nothing must not be waited for: it is not counted as a connection yet.
        client_socket.settimeout(HANDSHAKE_TIMEOUT_S)
        try:
            secured = self.wrap_socket(client_socket, **self.ssl_args)
        except OSError:
            client_socket.close()
            return
        secured.settimeout(None)
        try:
            self.handle(secured, address)
        finally:
            secured.close()


class Worker(GeventWebSocketWorker):
    """Serves the app, and sends its sockets elsewhere before it stops."""

    server_class = Server
    wsgi_handler = Handler

    def handle_exit(self, sig: int, frame: Any) -> None:
        # Not in the signal's handler, which must not block.
        gevent.spawn(self._leave)

    def _leave(self) -> None:
        """Admit no new socket, and move those that are here; then gunicorn stops to listen."""
        try:
            app = getattr(self, "wsgi", None)
            if app is not None:  # else it was not loaded yet
                gate = app.extensions[GATE]
                gate.draining = True
                gevent.spawn(drain.hang_up_on_idle, Handler.waiting, _shut_down)
                drain.move_all(gate.connections)
        finally:
            self.alive = False
        gevent.sleep(HANG_UP_AFTER_S)
        for handler in list(Handler.upgraded):  # who does not even read that it is closed
            _shut_down(handler.socket)
