"""A sign-in, from its beginning to who it was: authorization code flow with PKCE (RFC 7636).

Every failure becomes an error that says who can mend it. `provider` decides what is believed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import gevent
from authlib.common.errors import AuthlibBaseError
from authlib.common.urls import add_params_to_uri
from authlib.integrations.base_client import OAuthError
from flask import session as sign_in_state
from joserfc.errors import JoseError
from requests import HTTPError, RequestException

from .errors import Action, ChatError, Forbidden, Invalid, Unavailable
from .provider import TIMEOUT_S, Provider, ProviderFault, StrictIDToken, refused

log = logging.getLogger(__name__)

LEEWAY_S = 30
MALFORMED = (AuthlibBaseError, JoseError, ValueError, TypeError, KeyError, AttributeError)
AGAIN = Action("/login", "Try to sign in again")


@dataclass(frozen=True)
class Identity:
    """Who the provider says that someone is, out of a validated ID token."""

    issuer: str
    subject: str
    name: str
    email: str | None
    groups: frozenset[str]
    sid: str | None
    id_token: str


@dataclass(frozen=True)
class SignIn:
    """A sign-in that came back whole: who it is, and where they wanted to go."""

    identity: Identity
    next: str | None


def begin(provider: Provider, redirect_uri: str, next_path: str | None) -> str:
    """Start a sign-in: keep its state, nonce and verifier, and return the provider's URL."""
    with _faults_told():
        request = provider.create_authorization_url(redirect_uri)
        url = cast("str", request.pop("url"))
        provider.save_authorize_data(redirect_uri=redirect_uri, next=next_path, **request)
    return url


def finish(provider: Provider, args: Mapping[str, str]) -> SignIn:
    """Take the provider's callback (RFC 6749 section 4.1.2) to the end, or raise why not."""
    pending = provider.framework.get_state_data(sign_in_state, args.get("state"))
    if pending is None or not (args.get("code") or args.get("error")):
        raise Invalid(
            "This sign-in was begun too long ago, in another browser, or was used already.",
            title="This sign-in is stale",
            action=AGAIN,
        )
    try:
        token = _exchange(provider, args)
    finally:
        # Whatever came of it, this answer is not taken a second time.
        provider.framework.clear_state_data(sign_in_state, args["state"])
    return SignIn(_identity(provider, token), pending.get("next"))


def _exchange(provider: Provider, args: Mapping[str, str]) -> Mapping[str, Any]:
    """The code for a token (Core section 3.1.3), with its ID token validated."""
    with _faults_told():
        _check_issuer(provider, args)
        token: Mapping[str, Any] = provider.authorize_access_token(
            claims_options={
                "iss": {"essential": True, "value": provider.issuer},
                "aud": {"essential": True, "value": provider.client_id},
                "sub": {"essential": True},
            },
            claims_cls=StrictIDToken,
            leeway=LEEWAY_S,
        )
    return token


def end_session_url(provider: Provider, id_token: str | None, back_to: str) -> str | None:
    """Where the provider's own session ends (RP-Initiated Logout 1.0); None if nowhere."""
    try:
        with _faults_told():
            endpoint = provider.load_server_metadata().get("end_session_endpoint")
    except ChatError:
        return None
    if not endpoint:
        return None
    # No `state`: there is nothing to find again afterwards, and it would stay in the address bar.
    params = {"post_logout_redirect_uri": back_to, "client_id": provider.client_id}
    if id_token:
        params["id_token_hint"] = id_token
    return cast("str", add_params_to_uri(endpoint, params))


def _check_issuer(provider: Provider, args: Mapping[str, str]) -> None:
    """RFC 9207 section 2.4: another provider's answer must not be mixed up with ours."""
    expected = provider.load_server_metadata()
    required = expected.get("authorization_response_iss_parameter_supported") is True
    issuer = args.get("iss")
    if (issuer is not None or required) and issuer != provider.issuer:
        raise Invalid("This answer came from another sign-in service.", action=AGAIN)


def _identity(provider: Provider, token: Mapping[str, Any]) -> Identity:
    claims = token.get("userinfo")
    # Without an ID token nothing says who signed in, nor that it was for us.
    if not claims:
        raise refused("the answer holds no ID token")
    named = (claims.get("name"), claims.get("preferred_username"), claims.get("email"))
    name = next((_clean(name) for name in named if isinstance(name, str) and _clean(name)), None)
    email, sid, groups = claims.get("email"), claims.get("sid"), claims.get("groups")
    return Identity(
        issuer=provider.issuer,
        subject=claims["sub"],
        name=name or "Someone",
        email=_clean(email)[:320] if isinstance(email, str) and email else None,
        groups=frozenset(str(g) for g in groups) if isinstance(groups, list) else frozenset(),
        sid=sid if isinstance(sid, str) and sid.isprintable() and len(sid) <= 255 else None,
        id_token=token["id_token"],
    )


def _clean(name: str) -> str:
    """A name on one line that both stores take: no control characters, no lone surrogates."""
    return " ".join("".join(c if c.isprintable() else " " for c in name).split())[:200]


@contextmanager
def _faults_told() -> Iterator[None]:
    """Turn what Authlib and its HTTP library raise into errors that a person understands."""
    try:
        # The timeout of `requests` is for each read; this one is for the whole exchange.
        with gevent.Timeout(TIMEOUT_S, TimeoutError("the provider is too slow")):
            yield
    except ChatError:
        raise
    except OAuthError as error:
        raise _refusal(error) from error
    except (*MALFORMED, HTTPError) as error:
        # Authlib meets malformed answers with whatever its parsing runs into.
        log.error("sign-in: the provider's answer was refused: %r", error)
        raise ProviderFault(action=AGAIN) from error
    except (RequestException, TimeoutError) as error:
        log.error("sign-in: the provider can't be reached: %r", error)
        raise Unavailable(
            "Your company's sign-in service does not answer. Please try again in a moment.",
            title="Sign-in is not available",
            action=AGAIN,
        ) from error


def _refusal(error: OAuthError) -> ChatError:
    """The error codes of RFC 6749 sections 4.1.2.1 and 5.2, and of Core section 3.1.2.6."""
    if error.error == "access_denied":
        return Forbidden(
            "Your company's sign-in service did not let you in. Most often that means that you are "
            "not assigned to this app: ask those who run it.",
            title="You have no access",
            action=AGAIN,
        )
    if error.error in ("invalid_grant", "login_required", "interaction_required"):
        return Invalid("This sign-in is stale or was used already.", action=AGAIN)
    if error.error in ("temporarily_unavailable", "server_error"):
        return Unavailable(title="Sign-in is not available", action=AGAIN)
    # With %r, as both came through the browser: a line break must not forge a line of the log.
    log.error("sign-in: the provider refused: %r %r", error.error, error.description)
    return ProviderFault(action=AGAIN)
