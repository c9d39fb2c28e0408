"""Whether the provider knows this app: its id and secret, and where it sends people back to."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7636 import create_s256_code_challenge

from . import web
from .finding import Case, Finding, Skip, problem, warning
from .uris import sign_in_uri

APP_PAGE = "Applications → … → General"
# Answers to `prompt=none` where nobody is signed in (OpenID Connect Core 1.0 section 3.1.2.6).
NOBODY_THERE = {
    "login_required",
    "interaction_required",
    "consent_required",
    "account_selection_required",
}


def credentials(case: Case) -> Iterator[Finding]:
    """Try id and secret with a code that was made up: the provider looks at them first.

    RFC 6749 section 5.2: `invalid_client` refuses them, `invalid_grant` only the code.
    """
    try:
        status, error = _ask_for_token(case)
    except requests.RequestException as failure:
        reason = web.unreachable(failure)
        yield problem(f"the token endpoint is unreachable: {reason.reason}", reason.mend)
        return
    if error == "invalid_client" or status == requests.codes.unauthorized:
        yield problem(
            "id or secret is refused by the provider (invalid_client)",
            f"copy OKTA_OAUTH2_CLIENT_ID and OKTA_OAUTH2_CLIENT_SECRET anew ({APP_PAGE}); the app "
            "must be active, of this issuer, and take client_secret_basic",
        )
    elif error in ("unauthorized_client", "unsupported_grant_type"):
        yield problem(
            f"the provider does not let this client sign people in ({error})",
            f"make it a web application with the grant type Authorization Code ({APP_PAGE})",
        )
    elif error != "invalid_grant":
        yield warning(
            f"whether id and secret are good can't be told: a made-up code got {status} "
            f"{error or ''}".rstrip(),
            "sign in once to see",
        )


def redirect_uri(case: Case) -> Iterator[Finding]:
    """Begin a sign-in that shows nobody a page: who sends people back to us knows our URI."""
    public_url = case.settings.public_url
    if public_url is None:
        raise Skip("its address is known only once it runs: see `make url`")
    uri = sign_in_uri(public_url)
    try:
        answer = _begin_sign_in(case, uri)
    except web.Unreachable as failure:
        yield problem(f"the sign-in page is unreachable: {failure.reason}", failure.mend)
        return
    if 400 <= answer.status_code < 500:
        yield problem(
            f"the provider refuses to begin a sign-in that leads back to PUBLIC_URL, at {uri} "
            f"({answer.status_code})",
            f"enter exactly that under Sign-in redirect URIs ({APP_PAGE}), or set PUBLIC_URL to "
            "what stands there",
        )
    elif answer.status_code >= 500:
        yield warning(f"the provider's sign-in page answers {answer.status_code}", "try again")
    else:
        yield from _sent_back(answer, uri)


def _sent_back(answer: requests.Response, uri: str) -> Iterator[Finding]:
    location = answer.headers.get("Location", "")
    error = parse_qs(urlsplit(location).query).get("error", [""])[0]
    if not location.startswith(f"{uri}?") or error in NOBODY_THERE or not error:
        return
    if error == "invalid_scope":
        yield problem(
            "the provider refuses the scopes of OKTA_OAUTH2_SCOPES (invalid_scope)",
            "leave out what it does not know, or add it (Security → API → … → Scopes)",
        )
    else:
        yield problem(f"the provider refuses to sign anyone in: {error!r}", f"see {APP_PAGE}")


def _ask_for_token(case: Case) -> tuple[int, str]:
    """The status and the error for a token request as a sign-in makes it, but for its code."""
    settings = case.settings
    form = {
        "grant_type": "authorization_code",
        "code": f"doctor-{secrets.token_urlsafe(16)}",
        "code_verifier": secrets.token_urlsafe(32),
        "redirect_uri": sign_in_uri(settings.public_url or "https://192.0.2.1"),
    }
    # Authlib's own client, so that the secret is told as it will be; and to nobody else.
    with OAuth2Session(settings.okta_oauth2_client_id, settings.okta_oauth2_client_secret) as asker:
        answer = asker.post(
            case.document["token_endpoint"],
            data=form,
            headers={"Accept": "application/json"},
            auth=asker.client_auth(asker.token_endpoint_auth_method),
            allow_redirects=False,
            timeout=web.TIMEOUT_S,
        )
    return answer.status_code, _error(answer)


def _error(answer: requests.Response) -> str:
    try:
        told: Any = answer.json()
    except ValueError:
        return ""
    # Okta names it `errorCode` in some of its answers.
    error = (told.get("error") or told.get("errorCode")) if isinstance(told, dict) else None
    return error if isinstance(error, str) and error.isprintable() else ""


def _begin_sign_in(case: Case, uri: str) -> requests.Response:
    """An authorization request as a sign-in makes it, with `prompt=none` (Core section 3.1.2.1)."""
    asked = {
        "response_type": "code",
        "client_id": case.settings.okta_oauth2_client_id,
        "redirect_uri": uri,
        "scope": case.settings.okta_oauth2_scopes,
        "state": secrets.token_urlsafe(16),
        "nonce": secrets.token_urlsafe(16),
        "code_challenge": create_s256_code_challenge(secrets.token_urlsafe(32)),
        "code_challenge_method": "S256",
        "prompt": "none",
    }
    return web.get(case.document["authorization_endpoint"], params=asked)
