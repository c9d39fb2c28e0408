"""Redis between several processes: whether what one tells, another hears."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError
from redis.retry import Retry

from .finding import Case, Finding, Skip, problem

TIMEOUT_S = 3.0


def find(case: Case) -> Iterator[Finding]:
    url = case.settings.redis_url
    if url is None:
        raise Skip("REDIS_URL is not set: one process")
    parts = urlsplit(url)
    where = f"{parts.hostname}:{parts.port or 6379}"
    try:
        with Redis.from_url(
            url,
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
        ) as redis:
            redis.ping()
            heard = _hears_itself(redis)
    except (AuthenticationError, NoPermissionError) as error:
        yield problem(
            f"the bus refuses us: {where}: {error}",
            "check the user and the password in REDIS_URL; it needs PUBLISH and SUBSCRIBE",
        )
    except (RedisError, ValueError, OSError) as error:
        yield problem(
            f"the bus is unreachable: {where}: {error}",
            "see whether it runs and lets this machine in; with TLS it is rediss://",
        )
    else:
        if not heard:
            yield problem(
                f"the bus at {where} passes nothing on: what was published was not heard",
                "see whether all processes reach one and the same Redis",
            )


def _hears_itself(redis: Redis) -> bool:
    channel = f"chat-doctor-{secrets.token_hex(8)}"
    ear = redis.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
    with ear:
        ear.subscribe(channel)
        deadline = time.monotonic() + TIMEOUT_S
        # Its first message says that the subscription stands, and comes back as None.
        ear.get_message(timeout=TIMEOUT_S)
        redis.publish(channel, "ahem")
        while (left := deadline - time.monotonic()) > 0:
            if ear.get_message(timeout=left) is not None:
                return True
    return False
