"""The identity provider's discovery document: whether it is there, and is what the settings say."""

from __future__ import annotations

import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime

import requests

from ..oidc import LEEWAY_S
from . import web
from .finding import Case, Finding, Reply, Skip, problem, warning

WHERE = "Okta shows it under Security → API → Authorization Servers"
ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")


def discovery(case: Case) -> Iterator[Finding]:
    """Fetch it (OpenID Connect Discovery 1.0 section 4), for the other checks too."""
    url = f"{case.settings.okta_oauth2_issuer.rstrip('/')}/.well-known/openid-configuration"
    try:
        answer = web.get(url, follow=True)
    except web.Unreachable as error:
        yield problem(f"the issuer is unreachable: {url}: {error.reason}", error.mend)
        return
    case.reply = Reply(_date(answer), time.time())
    if answer.status_code != requests.codes.ok:
        yield problem(
            f"{url} answers {answer.status_code}",
            f"OKTA_OAUTH2_ISSUER must be an issuer, such as https://dev-123456.okta.com/oauth2/"
            f"default; {WHERE}",
        )
        return
    try:
        metadata = answer.json()
    except ValueError:
        metadata = None
    if not isinstance(metadata, dict):
        yield problem(
            f"{url} answers with something that is no JSON object",
            "see what answers there: a portal of this network, or a site that is no provider",
        )
        return
    case.metadata = metadata


def issuer(case: Case) -> Iterator[Finding]:
    """Discovery section 4.3: it must name itself as we do, letter by letter."""
    metadata, given = case.document, case.settings.okta_oauth2_issuer
    named = metadata.get("issuer")
    if isinstance(named, str) and named != given and named.rstrip("/") == given.rstrip("/"):
        yield problem(
            f"discovery's issuer {named} and OKTA_OAUTH2_ISSUER={given} differ by the slash at "
            "the end",
            f"set OKTA_OAUTH2_ISSUER={named}",
        )
    elif named != given:
        yield problem(
            f"discovery's issuer differs: it is {named!r}, and OKTA_OAUTH2_ISSUER is {given!r}",
            f"set the one that the provider names, if that is yours; {WHERE}",
        )
    secure = ("https://",) if not case.settings.development else ("https://", "http://")
    for name in ENDPOINTS:
        if not str(metadata.get(name)).startswith(secure):
            yield problem(
                f"discovery names no sound {name}: {metadata.get(name)!r}",
                "see whether the issuer is an OpenID provider's, and its addresses https",
            )


def clock(case: Case) -> Iterator[Finding]:
    """ID tokens are good from a moment to a moment, so both clocks must tell about the same."""
    if case.reply is None or case.reply.date is None:
        raise Skip("the provider told no time")
    ahead = case.reply.heard_at - case.reply.date
    if abs(ahead) > LEEWAY_S:
        direction = "ahead of" if ahead > 0 else "behind"
        yield problem(
            f"clock skew: this machine's clock is {abs(ahead):.0f} s {direction} the provider's, "
            f"and more than {LEEWAY_S} s make sign-ins fail",
            "let NTP set it (timedatectl set-ntp true); a container has its host's",
        )


def groups(case: Case) -> Iterator[Finding]:
    """Where some groups only may sign in, and the provider does not say that it names any.

    Silence is no proof, as Okta leaves out claims that an administrator added: `auth` logs a
    sign-in without them.
    """
    settings, metadata = case.settings, case.document
    if not settings.allowed_groups:
        raise Skip("ALLOWED_GROUPS is not set")
    claims, scopes = metadata.get("claims_supported"), metadata.get("scopes_supported")
    asked = "groups" in settings.okta_oauth2_scopes.split()
    if isinstance(scopes, list) and "groups" in scopes and not asked:
        yield problem(
            "ALLOWED_GROUPS is set, but the scope groups, which the provider has, is not asked for",
            'set OKTA_OAUTH2_SCOPES="openid profile email groups"',
        )
    elif not any(isinstance(names, list) and "groups" in names for names in (claims, scopes)):
        yield warning(
            "ALLOWED_GROUPS is set, but the provider does not say that it has a groups claim: "
            "without one nobody gets in",
            "add a claim groups to the ID token (Okta: Security → API → Authorization Servers → "
            "Claims); if a scope brings it, add that to OKTA_OAUTH2_SCOPES",
        )


def _date(answer: requests.Response) -> float | None:
    """When it was, by the answer's `Date`; one out of a cache is older by its `Age` (RFC 9111)."""
    try:
        date = parsedate_to_datetime(answer.headers["Date"]).timestamp()
        return date + max(0, int(answer.headers.get("Age", 0)))
    except (KeyError, ValueError):
        return None
