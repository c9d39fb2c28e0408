"""What plain HTTP's port answers where the service speaks TLS: come over there."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


def to(public_url: str) -> WSGIApplication:
    """A WSGI app that sends each request to the same path under `public_url` (308, RFC 9110)."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        # WSGI hands over the path's bytes as Latin-1 (PEP 3333).
        path = quote(environ.get("PATH_INFO", "/").encode("latin-1"), safe="/%:@!$&'()*+,;=~-._")
        query = environ.get("QUERY_STRING", "")
        location = public_url + path + (f"?{query}" if query else "")
        start_response("308 Permanent Redirect", [("Location", location), ("Content-Length", "0")])
        return [b""]

    return app
