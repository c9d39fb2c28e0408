"""One question over HTTP, and in a few words why there was no answer."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import requests
from urllib3.exceptions import NameResolutionError

TIMEOUT_S = 5.0


class Unreachable(Exception):
    """There was no answer; `reason` says why, `mend` what helps most often."""

    def __init__(self, reason: str, mend: str):
        super().__init__(reason)
        self.reason, self.mend = reason, mend


class NoSuchHost(Unreachable):
    """The name has no address here."""


class NotTrusted(Unreachable):
    """TLS failed: the certificate is not one to be trusted, or there is none."""


def get(url: str, *, follow: bool = False, **options: Any) -> requests.Response:
    """GET, as the app's own client would. Raises `Unreachable`."""
    try:
        with requests.Session() as session:
            return session.get(url, timeout=TIMEOUT_S, allow_redirects=follow, **options)
    except requests.RequestException as error:
        raise unreachable(error) from error


def unreachable(error: requests.RequestException) -> Unreachable:
    """Which of the usual causes an error of `requests` has."""
    causes = list(_causes(error))
    if isinstance(error, requests.exceptions.ProxyError):
        return Unreachable("the proxy on the way does not let it through", "see HTTPS_PROXY")
    if isinstance(error, requests.exceptions.SSLError):
        why = next((str(c.verify_message) for c in causes if hasattr(c, "verify_message")), "")
        return NotTrusted(
            f"TLS fails ({why or 'it does not speak TLS as we do'})",
            "look at its certificate, at this machine's clock, and whether this network has an "
            "authority of its own (REQUESTS_CA_BUNDLE)",
        )
    if isinstance(error, requests.Timeout):
        return Unreachable(
            f"no answer within {TIMEOUT_S:g} s", "see whether a firewall drops what goes there"
        )
    if any(isinstance(cause, NameResolutionError | socket.gaierror) for cause in causes):
        return NoSuchHost("DNS knows no such host", "check how it is spelled, and this network")
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        return Unreachable("the connection is refused", "see whether it runs, and on that port")
    return Unreachable("the connection broke", "see whether a firewall or proxy cuts it")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error with all that it was made of; urllib3 hides the first cause deep inside."""
    seen: set[int] = set()
    waiting: list[Any] = [error]
    while waiting:
        cause = waiting.pop()
        if not isinstance(cause, BaseException) or id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        waiting += [*cause.args, getattr(cause, "reason", None), cause.__cause__, cause.__context__]
