"""What browsers are told and what is believed of them: CSP and its like, Origin, Host, proxies."""

from __future__ import annotations

import logging
from urllib.parse import urlsplit

from flask import Flask, redirect, request
from flask.typing import ResponseReturnValue
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.wrappers import Response

from . import metrics
from .config import Settings
from .errors import Forbidden, Invalid
from .extensions import oauth
from .provider import NAME, Provider
from .redirect import location

log = logging.getLogger(__name__)

NO_NAME = "This chat is reached by its IP address, and by no name."
SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
# Asked by machines, under whatever name they know the host by.
PROBES = {"/healthz", "/readyz", "/metrics"}
# On a laptop only for minutes: it would also turn `make run`, on the same host, to TLS.
HSTS, HSTS_IN_DEVELOPMENT = "max-age=31536000", "max-age=300"


def init_app(app: Flask, settings: Settings) -> None:
    """Check each request before, and dress each answer after."""
    if settings.trusted_proxies:
        # Only the address: scheme and host are those of PUBLIC_URL, whatever a proxy says.
        fixed = ProxyFix(app.wsgi_app, settings.trusted_proxies, x_proto=0)
        app.wsgi_app = fixed  # type: ignore[method-assign]
    else:
        _tell_of_a_proxy(app)

    @app.before_request
    def check_origin() -> None:
        if request.method not in SAFE_METHODS and not _from_our_pages(settings):
            raise Forbidden("This request did not come from a page of this site.")

    @app.before_request
    def keep_to_public_url() -> ResponseReturnValue | None:
        """Cookies and the provider's redirects belong to one host; others are led there."""
        if request.path in PROBES:
            return None
        origin = settings.origin(request.host)
        if origin is None:
            if request.path.startswith("/api/"):
                raise Invalid(NO_NAME)
            # No page: all that one would load or link to is refused as well.
            return Response(f"{NO_NAME}\n", 400, mimetype="text/plain")
        if request.host != urlsplit(origin).netloc and request.method in SAFE_METHODS:
            return redirect(location(origin, request.environ), code=307)
        return None

    @app.after_request
    def dress(response: Response) -> Response:
        for name, value in _headers(settings).items():
            response.headers.setdefault(name, value)
        if request.endpoint != "static":
            # Pages and answers are one person's: nothing of them may stay in a cache.
            response.headers.setdefault("Cache-Control", "no-store")
        route = request.url_rule.rule if request.url_rule else "none"
        metrics.requests.labels(route, response.status_code).inc()
        return response


def _tell_of_a_proxy(app: Flask) -> None:
    """Once, as it may be anyone's forgery; `flask doctor` has no request to see it by."""
    told = False

    @app.before_request
    def look() -> None:
        nonlocal told
        if not told and "X-Forwarded-For" in request.headers:
            told = True
            log.warning(
                "a request came with X-Forwarded-For, and TRUSTED_PROXIES is 0: if a proxy is in "
                "front, all share its address and RATE_SIGN_IN; set how many proxies add to it"
            )


def _from_our_pages(settings: Settings) -> bool:
    """Whether a browser vouches that our own page made the request; silence does not.

    `Origin` says more; `Sec-Fetch-Site` stands in where a browser left it out.
    """
    origin = request.headers.get("Origin")
    if origin is not None:
        return origin == settings.origin(request.host)
    return request.headers.get("Sec-Fetch-Site") == "same-origin"


def _headers(settings: Settings) -> dict[str, str]:
    headers = {
        "Content-Security-Policy": _csp(settings),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    }
    if settings.secure:
        hsts = HSTS_IN_DEVELOPMENT if settings.development else HSTS
        headers["Strict-Transport-Security"] = hsts
    return headers


def _csp(settings: Settings) -> str:
    provider: Provider = oauth.create_client(NAME)
    # Chromium applies form-action to redirects too: signing out is a POST sent on to the provider.
    forms = " ".join(["'self'", *sorted(provider.form_origins())])
    # Not all browsers take 'self' for the socket too.
    socket = (settings.origin(request.host) or "").replace("http", "ws", 1)
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self' data:",
            f"connect-src 'self' {socket}".rstrip(),
            f"form-action {forms}",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        )
    )
