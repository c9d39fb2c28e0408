"""The application with faults that no setting could make, for gunicorn to serve."""

from gevent import monkey

monkey.patch_all()  # as in wsgi.py, before anything else is imported

# ruff: noqa: E402

import itertools
from typing import Any

import gevent
from flask import Flask, request
from sqlalchemy import event

from chat import access, create_app, messages, presence, sessions, transport

INSIDE = "the colour of the inside is puce"
FAULTS = {fault.__name__: fault for fault in (TypeError, KeyError, RuntimeError, ValueError)}
COMMIT_S = 0.2


def broken() -> Flask:
    """Raises where the header `X-Fault` of a socket's handshake says: `connect TypeError`. With
    `uneven`, what was committed first is not always the first to know.

    Its watch over sessions never looks, so that what each event checks can be told from it.
    """
    sessions.WATCH_EVERY_S = 3_600.0
    access.all_entered = _raising("connect", access.all_entered)
    presence.typing = _raising("typing", presence.typing)
    messages.write = _uneven(messages.write)
    return create_app()


def slow_commits() -> Flask:
    """Takes 200 ms for each commit, asleep as for a disk: the event loop knows nothing of it."""
    app = create_app()
    sleep = monkey.get_original("time", "sleep")
    writer = app.extensions["chat.writer"]

    @event.listens_for(writer.engine, "commit")
    def on_commit(_connection: Any) -> None:
        sleep(COMMIT_S)

    return app


def _raising(where: str, function: Any) -> Any:
    def faulty(*arguments: Any) -> Any:
        place, _, fault = request.headers.get("X-Fault", "").partition(" ")
        if place == where:
            raise FAULTS[fault](INSIDE)
        return function(*arguments)

    return faulty


def _uneven(function: Any) -> Any:
    turns = itertools.cycle((0.008, 0.0, 0.004, 0.001))

    def late(*arguments: Any) -> Any:
        result = function(*arguments)
        if request.headers.get("X-Fault") == "uneven":
            gevent.sleep(next(turns))
        return result

    return late


def pinging(seconds: float) -> Flask:
    """Pings as often as that, for a test that has not the time to wait for pings."""
    transport.PING_INTERVAL_S = seconds  # type: ignore[assignment]
    return create_app()
