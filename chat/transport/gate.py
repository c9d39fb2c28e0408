"""Who may open a connection to Socket.IO. A refusal comes before anything is opened."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from io import BytesIO
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qs

from werkzeug.http import parse_cookie

from .connections import Connections
from .engine import clean_payload

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

GATE = "transport.gate"
WEBSOCKET_ONLY = (
    "Only WebSockets are served here: several processes share this port, and requests of one "
    "polling client would reach different ones."
)


class Refusal(NamedTuple):
    status: HTTPStatus
    reason: str


class Gate:
    """Checks path, Origin and number; a WSGI middleware, and asked by the worker."""

    def __init__(
        self,
        app: WSGIApplication,
        *,
        path: str,
        origin: Callable[[str], str | None],
        websocket_only: bool,
        max_frame_bytes: int,
        max_frames_per_second: int,
        max_connections: int,
        max_strangers: int,
        connections: Connections,
        is_known: Callable[[Mapping[str, str]], bool],
    ):
        self.app = app
        self.path = path
        self.origin = origin
        self.websocket_only = websocket_only
        self.max_frame_bytes = max_frame_bytes
        self.max_frames_per_second = max_frames_per_second
        self.max_connections = max_connections
        self.max_strangers = max_strangers
        self.connections = connections
        self.is_known = is_known
        self.draining = False

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"].startswith(self.path):
            refusal = self.refuse_request(environ) or self._refuse_body(environ)
            if refusal is not None:
                return respond(refusal, start_response)
        return self.app(environ, start_response)

    def refuse_request(self, environ: WSGIEnvironment) -> Refusal | None:
        """Why this request to Socket.IO is not served, if so.

        Browsers exempt WebSockets from the same-origin policy, so any page could open one with our
        person's cookie (CSWSH); only `Origin` tells. A polling GET of one's own page may lack it.
        """
        origin, ours = environ.get("HTTP_ORIGIN"), self.origin(environ.get("HTTP_HOST", ""))
        needed = environ["REQUEST_METHOD"] != "GET" or is_upgrade(environ)
        if ours is None or origin not in (ours, None) or (origin is None and needed):
            return Refusal(HTTPStatus.FORBIDDEN, "Wrong origin.")
        if self.websocket_only and not is_upgrade(environ):
            return Refusal(HTTPStatus.BAD_REQUEST, WEBSOCKET_ONLY)
        is_new = "sid" not in parse_qs(environ.get("QUERY_STRING", ""))
        if is_new and self.draining:
            # Those whom it sends elsewhere would come back.
            return Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "This process is about to end.")
        if is_new and not self._has_room(environ):
            return Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "No room for more connections.")
        return None

    def _has_room(self, environ: WSGIEnvironment) -> bool:
        """Strangers, who will be told to sign in, have a few places of their own, and no others."""
        total, strangers = self.connections.total, self.connections.strangers
        if total - strangers >= self.max_connections:
            return False
        if strangers < self.max_strangers:
            return True
        # Theirs are taken: whoever is signed in gets in all the same.
        return total < self.max_connections + self.max_strangers and self.is_known(
            parse_cookie(environ)
        )

    def _refuse_body(self, environ: WSGIEnvironment) -> Refusal | None:
        """Why a polling POST's body is not taken, if so; else it is read and put back clean."""
        if environ["REQUEST_METHOD"] != "POST":
            return None
        length = environ.get("CONTENT_LENGTH") or "0"
        if not length.isdecimal() or int(length) > self.max_frame_bytes:
            return Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "Too large.")
        try:
            body = clean_payload(environ["wsgi.input"].read(int(length)))
        except ValueError:
            return Refusal(HTTPStatus.BAD_REQUEST, "No payload of Engine.IO.")
        environ["wsgi.input"] = BytesIO(body)
        environ["CONTENT_LENGTH"] = str(len(body))
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
