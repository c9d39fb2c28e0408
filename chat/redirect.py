"""Leads who came by another address to the same page at the public one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


def location(public_url: str, environ: WSGIEnvironment) -> str:
    """The address of what was asked for, under `public_url`."""
    # WSGI hands over the path's bytes as Latin-1 (PEP 3333).
    path = quote(environ.get("PATH_INFO", "").encode("latin-1"), safe="/:@!$&'()*+,;=~-._")
    query = environ.get("QUERY_STRING", "")
    # One slash at the start, whatever was asked for: `@evil.example/` would name another host.
    return f"{public_url}/{path.lstrip('/')}" + (f"?{query}" if query else "")


def to(public_url: str) -> WSGIApplication:
    """What plain HTTP's port serves where the service speaks TLS: nothing but 308 (RFC 9110)."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        headers = [("Location", location(public_url, environ)), ("Content-Length", "0")]
        start_response("308 Permanent Redirect", headers)
        return [b""]

    return app
