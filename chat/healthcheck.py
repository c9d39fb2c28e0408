"""Asks the service on this machine whether it answers: `python -m chat.healthcheck`.

What a container's health check runs; the exit code is 0 or 1. It imports little, since on a quarter
of a core that is what it takes its time for.
"""

from __future__ import annotations

import http.client
import ssl
import sys

from .config import Settings, SettingsError, from_environment

TIMEOUT_S = 4.0  # on a quarter of a core an answer may take its time


def main() -> int:
    try:
        return 0 if is_well(from_environment()) else 1
    except SettingsError as error:
        print(f"chat: {error}", file=sys.stderr)  # noqa: T201  for whoever reads its result
        return 1


def is_well(settings: Settings, timeout: float = TIMEOUT_S) -> bool:
    """Whether the service answers, at the port that people use; `timeout` in seconds."""
    return is_ok(settings.port, "/healthz", tls=settings.serves_tls, timeout=timeout)


def is_ok(port: int, path: str, *, tls: bool = False, timeout: float = TIMEOUT_S) -> bool:
    """Whether a GET on this machine is answered with 200; `timeout` in seconds."""
    # Not by urllib, which would ask through a proxy, if the environment names one.
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    if tls:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE  # whether it answers is asked, not who it is
        connection = http.client.HTTPSConnection(
            "127.0.0.1", port, timeout=timeout, context=context
        )
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main())
