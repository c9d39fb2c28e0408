"""How often someone may do something; across processes where they share a Redis."""

from __future__ import annotations

import logging
import math
import time
from typing import NamedTuple

from flask import Flask, current_app
from limits import RateLimitItem, parse
from limits.errors import StorageError
from limits.storage import storage_from_string
from limits.strategies import MovingWindowRateLimiter

from .config import Settings
from .errors import TooFast

log = logging.getLogger(__name__)


class _Limits(NamedTuple):
    limiter: MovingWindowRateLimiter
    rates: dict[str, RateLimitItem | None]


def init_app(app: Flask, settings: Settings) -> None:
    """Set up the limits that the settings name; an empty one is none."""
    storage = storage_from_string(settings.redis_url or "memory://", wrap_exceptions=True)
    rates = {
        "messages": settings.rate_messages,
        "events": settings.rate_events,
        "sign_in": settings.rate_sign_in,
    }
    app.extensions["chat.limits"] = _Limits(
        MovingWindowRateLimiter(storage),
        {name: parse(rate) if rate else None for name, rate in rates.items()},
    )


def take(name: str, who: int | str) -> None:
    """Count one act of `who` against a limit. Raises `TooFast` if that is one too many.

    A limiter whose Redis is away lets everyone pass: a chat that goes on is worth more than a bound
    on people who are signed in.
    """
    limiter, rates = current_app.extensions["chat.limits"]
    rate = rates[name]
    if rate is None:
        return
    try:
        if not limiter.hit(rate, name, str(who)):
            reset = limiter.get_window_stats(rate, name, str(who)).reset_time
            raise TooFast(max(1, math.ceil(reset - time.time())))
    except StorageError as error:
        log.error("the rate limit %s is off, as its store is away: %s", name, error)
