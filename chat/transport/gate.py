"""Who may open a connection to Socket.IO. A refusal comes before anything is opened."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qs

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

GATE = "transport.gate"


class Refusal(NamedTuple):
    status: HTTPStatus
    reason: str


class Gate:
    """Checks path, Origin and how many there are; a WSGI middleware, and asked by the worker."""

    def __init__(
        self,
        app: WSGIApplication,
        *,
        path: str,
        origin: str,
        max_frame_bytes: int,
        max_connections: int,
        connections: Callable[[], int],
    ):
        """connections: tells how many there are now."""
        self.app = app
        self.path = path
        self.origin = origin
        self.max_frame_bytes = max_frame_bytes
        self.max_connections = max_connections
        self.connections = connections
        self.draining = False

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"].startswith(self.path):
            refusal = self.refuse_request(environ)
            if refusal is not None:
                return respond(refusal, start_response)
        return self.app(environ, start_response)

    def refuse_request(self, environ: WSGIEnvironment) -> Refusal | None:
        """Why this request to Socket.IO is not served, if so.

        Browsers exempt WebSockets from the same-origin policy, so any page could open one with our
        person's cookie (CSWSH); only `Origin` tells. A polling GET of one's own page may lack it.
        """
        origin = environ.get("HTTP_ORIGIN")
        needed = environ["REQUEST_METHOD"] != "GET" or is_upgrade(environ)
        if origin != self.origin and (needed or origin is not None):
            return Refusal(HTTPStatus.FORBIDDEN, "Wrong origin.")
        is_new = "sid" not in parse_qs(environ.get("QUERY_STRING", ""))
        if is_new and (self.draining or self.connections() >= self.max_connections):
            return Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "No room for more connections.")
        return None

    def refuse_upgrade(self, environ: WSGIEnvironment) -> Refusal | None:
        """Why this handshake of a WebSocket (RFC 6455 section 4.2.2) is not answered, if so."""
        if not environ["PATH_INFO"].startswith(self.path):
            return Refusal(HTTPStatus.BAD_REQUEST, "No WebSocket here.")
        return self.refuse_request(environ)


def is_upgrade(environ: WSGIEnvironment) -> bool:
    return "websocket" in environ.get("HTTP_UPGRADE", "").lower()


def respond(refusal: Refusal, start_response: Callable[..., object]) -> list[bytes]:
    """Answer a refused request in plain text."""
    body = refusal.reason.encode()
    headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))]
    start_response(f"{refusal.status.value} {refusal.status.phrase}", headers)
    return [body]
