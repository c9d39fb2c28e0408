"""Leads who came by another address to the same page at the public one."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from . import addresses

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from .config import Settings

MAX_CONNECTIONS, TIMEOUT_S = 100, 5.0
PORT = re.compile(r":[0-9]+$")


def location(public_url: str, environ: WSGIEnvironment) -> str:
    """The address of what was asked for, under `public_url`."""
    # WSGI hands over the path's bytes as Latin-1 (PEP 3333).
    path = quote(environ.get("PATH_INFO", "").encode("latin-1"), safe="/:@!$&'()*+,;=~-._")
    query = environ.get("QUERY_STRING", "")
    # One slash at the start, whatever was asked for: `@evil.example/` would name another host.
    return f"{public_url}/{path.lstrip('/')}" + (f"?{query}" if query else "")


def serve(listener: Any, settings: Settings) -> None:
    """Serve `to` on a listening socket, beside the worker's own server.

    Few connections at once, and none for long: it is open to everyone, and has the files of the
    process in common with those who chat.
    """
    # Imported here: gunicorn's master loads no gevent for this module.
    from gevent.pywsgi import WSGIHandler, WSGIServer

    class Handler(WSGIHandler):
        def handle(self) -> None:
            self.socket.settimeout(TIMEOUT_S)
            super().handle()

    server = WSGIServer(
        listener,
        to(settings),
        log=None,
        error_log=None,
        handler_class=Handler,
        spawn=MAX_CONNECTIONS,
    )
    server.start()


def to(settings: Settings) -> WSGIApplication:
    """What plain HTTP's port serves where the service speaks TLS: 308 (RFC 9110), and `/healthz`.

    An orchestrator asks for the latter, which has nothing to hide.
    """

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/healthz":
            return _answer(start_response, "200 OK", b'{"ok":true}\n', "application/json")
        base = _tls_address(settings, environ)
        if base is None:
            return _answer(start_response, "400 Bad Request", b"Ask for it by its IP address.\n")
        leads_to = ("Location", location(base, environ))
        return _answer(start_response, "308 Permanent Redirect", b"", None, leads_to)

    return app


def _tls_address(settings: Settings, environ: WSGIEnvironment) -> str | None:
    """Where the same service speaks TLS; the port that was asked says nothing of that one."""
    if settings.public_url is not None:
        return settings.public_url
    host = PORT.sub("", environ.get("HTTP_HOST", ""))
    return addresses.origin(f"{host}:{settings.port}")


def _answer(
    start_response: StartResponse,
    status: str,
    body: bytes,
    media_type: str | None = "text/plain",
    *more: tuple[str, str],
) -> list[bytes]:
    headers = [("Content-Length", str(len(body))), ("Connection", "close"), *more]
    if media_type:
        headers.append(("Content-Type", media_type))
    start_response(status, headers)
    return [body]
