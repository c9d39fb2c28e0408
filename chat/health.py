"""For those who run it: is the process alive, is it ready, and what did it count."""

from __future__ import annotations

import hmac
import logging
from collections.abc import Callable

import gevent
from flask import Blueprint, Flask, current_app, jsonify, request
from flask.typing import ResponseReturnValue
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy import text

from .errors import NotFound, Unauthenticated
from .extensions import db, settings
from .metrics import registry
from .transport import GATE

log = logging.getLogger(__name__)

blueprint = Blueprint("health", __name__)
CHECK_TIMEOUT_S = 2.0


def init_app(app: Flask) -> None:
    app.register_blueprint(blueprint)


@blueprint.get("/healthz")
def healthz() -> ResponseReturnValue:
    """The process answers. It asks nobody else: a store that is away is no reason to be killed."""
    return jsonify(ok=True)


@blueprint.get("/readyz")
def readyz() -> ResponseReturnValue:
    """Whether the store and the bus answer in time, and the process is not about to go."""
    checks = {"store": _answers(_ask_store), "bus": _answers(_ask_bus)}
    checks["serving"] = not current_app.extensions[GATE].draining
    ready = all(checks.values())
    return jsonify(ok=ready, **checks), 200 if ready else 503


@blueprint.get("/metrics")
def metrics() -> ResponseReturnValue:
    """Prometheus's text format; only for who has `METRICS_TOKEN`, and not there without one."""
    token = settings().metrics_token
    if token is None:
        raise NotFound()
    sent = request.headers.get("Authorization", "")
    if not hmac.compare_digest(sent.encode(), f"Bearer {token}".encode()):
        raise Unauthenticated("The metrics need METRICS_TOKEN as a bearer token.")
    return generate_latest(registry()), 200, {"Content-Type": CONTENT_TYPE_LATEST}


def _answers(ask: Callable[[], None]) -> bool:
    try:
        with gevent.Timeout(CHECK_TIMEOUT_S, TimeoutError("too slow")):
            ask()
    except Exception as error:
        log.warning("not ready: %s", error)
        return False
    return True


def _ask_store() -> None:
    db.session.execute(text("SELECT 1"))


def _ask_bus() -> None:
    url = settings().redis_url
    if url:
        from redis import Redis  # here: see wsgi.py

        with Redis.from_url(url, socket_timeout=CHECK_TIMEOUT_S) as bus:
            bus.ping()
