"""Who answers at `PUBLIC_URL`."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urljoin

import requests

from . import web
from .finding import Case, Finding, Skip, problem, warning


def find(case: Case) -> Iterator[Finding]:
    """Ask for `/healthz` as a browser would get there."""
    public_url = case.settings.public_url
    if public_url is None:
        raise Skip("URL_FROM_HOST=1: it is known only once it runs")
    url = f"{public_url}/healthz"
    try:
        answer = web.get(url)
    except web.NoSuchHost:
        if case.settings.development:
            raise Skip(f"DNS knows no host of {public_url}") from None
        yield warning(
            f"PUBLIC_URL={public_url}: DNS knows no such host here",
            "check how it is spelled; add it to DNS; or look from outside of this network",
        )
    except web.NotTrusted as failure:
        if case.settings.development:
            raise Skip(f"{public_url} has a certificate of its own making") from None
        yield warning(
            f"PUBLIC_URL={public_url}: browsers will warn of it, as {failure.reason}",
            "put a certificate of an authority there, on the proxy or in TLS_CERT_FILE",
        )
    except web.Unreachable as failure:
        raise Skip(f"nobody is at {public_url} yet ({failure.reason}): look when it runs") from None
    else:
        yield from _answered(answer, public_url)


def _answered(answer: requests.Response, public_url: str) -> Iterator[Finding]:
    if answer.is_redirect:
        target = urljoin(answer.url, answer.headers["Location"]).removesuffix("/healthz")
        yield problem(
            f"PUBLIC_URL={public_url} leads on to {target!r}: redirect URIs, cookies and "
            "the Origin would be those of another address",
            "set PUBLIC_URL to the address that browsers end up at",
        )
    elif answer.status_code in (502, 503, 504):
        yield problem(
            f"PUBLIC_URL={public_url} answers {answer.status_code}: a proxy is there, but no chat "
            "behind it",
            "see whether the chat runs, and on the port and by the protocol that the proxy expects",
        )
    elif not _is_chat(answer):
        yield problem(
            f"PUBLIC_URL={public_url}: something else answers there (/healthz: "
            f"{answer.status_code})",
            "set PUBLIC_URL to where this chat is, without a path",
        )


def _is_chat(answer: requests.Response) -> bool:
    try:
        return bool(answer.json() == {"ok": True})
    except ValueError:
        return False
