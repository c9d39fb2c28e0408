"""The provider's contract: OpenID Connect Core 1.0, authorization code flow with PKCE (RFC 7636).

Authlib does the protocol. This module closes what its defaults leave open, each line with the
attack that it stops, and turns every failure into an error that says who can mend it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlsplit

import gevent
from authlib.integrations.base_client import MismatchingStateError, OAuthError
from authlib.integrations.flask_client import FlaskIntegration, FlaskOAuth2App, OAuth
from authlib.oidc.core import CodeIDToken
from flask import session as sign_in_state
from joserfc.errors import JoseError
from requests import RequestException

from .config import Settings
from .errors import Action, ChatError, Forbidden, Invalid, Unavailable

log = logging.getLogger(__name__)

NAME = "okta"
TIMEOUT_S = 5.0
LEEWAY_S = 30
METADATA_LIFE_S = 3_600
SIGN_IN_LIFE_S = 600
SIGN_INS_AT_ONCE = 5
# Never `none`, and never HMAC: its "key" would be our client secret, or a public key taken for one.
ALGORITHMS = (
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
)
AGAIN = Action("/login", "Try to sign in again")


class ProviderFault(ChatError):
    """The provider's answer must not be believed, or it refused our set-up."""

    status, title = 502, "Sign-in does not work"
    message = (
        "Your company's sign-in service gave an answer that can't be accepted. "
        "Try again; if it happens again, tell those who run this chat."
    )


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


class _StrictIDToken(CodeIDToken):
    """Core section 3.1.3.7, without the room that Authlib leaves."""

    def validate(self, now: int | None = None, leeway: int = 0) -> None:
        super().validate(now, leeway)
        if not isinstance(self["sub"], str) or not self["sub"] or len(self["sub"]) > 255:
            raise ProviderFault()
        # The time of issue must be near ours, or a wrong clock would go unseen until much later.
        if not isinstance(self["iat"], int | float) or self["iat"] > time.time() + leeway:
            raise ProviderFault()

    def validate_azp(self) -> None:
        """A token made for several parties is not ours alone, whoever asked for it."""
        if self["aud"] not in (self.params["client_id"], [self.params["client_id"]]):
            raise ProviderFault()
        super().validate_azp()


class Provider(FlaskOAuth2App):
    """Authlib's client for the one provider, with its discovery document checked."""

    issuer: str
    secure: bool

    def load_server_metadata(self) -> dict[str, Any]:
        """Discovery 1.0, fetched again each hour: a withdrawn key must not live on here."""
        loaded_at = self.server_metadata.get("_loaded_at", 0)
        if time.time() - loaded_at > METADATA_LIFE_S:
            self.server_metadata.clear()
        if "_loaded_at" in self.server_metadata:
            return cast("dict[str, Any]", self.server_metadata)
        try:
            metadata = super().load_server_metadata()
            self._check(metadata)
        except BaseException:
            # What was not found good must not be found here the next time.
            self.server_metadata.clear()
            raise
        return cast("dict[str, Any]", metadata)

    def _check(self, metadata: dict[str, Any]) -> None:
        # Discovery section 4.3: or one provider could speak for another.
        if metadata.get("issuer") != self.issuer:
            raise ProviderFault()
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
            url = metadata.get(name)
            if not isinstance(url, str) or not url.startswith(
                "https://" if self.secure else ("https://", "http://")
            ):
                raise ProviderFault()
        listed = metadata.get("id_token_signing_alg_values_supported") or ["RS256"]
        metadata["id_token_signing_alg_values_supported"] = [a for a in ALGORITHMS if a in listed]

    def form_origins(self) -> set[str]:
        """Where a form of ours may end up: signing out is a POST, sent on to the provider."""
        urls = {self.issuer, str(self.server_metadata.get("end_session_endpoint") or self.issuer)}
        return {"{0.scheme}://{0.netloc}".format(urlsplit(url)) for url in urls}


class _StateForMinutes(FlaskIntegration):
    """Keeps a sign-in that is under way for ten minutes, in a signed cookie of that browser alone.

    Not on the server: strangers could fill it. The cookie is lost at the first callback.
    """

    expires_in = SIGN_IN_LIFE_S

    def set_state_data(self, session: Any, state: str, data: Any) -> None:
        # Several tabs may sign in at once, but a cookie holds 4 KiB: the oldest go.
        for key in [key for key in session if key.startswith("_state_")][: 1 - SIGN_INS_AT_ONCE]:
            del session[key]
        super().set_state_data(session, state, data)

    def clear_state_data(self, session: Any, state: str) -> None:
        super().clear_state_data(session, state)
        if not any(key.startswith("_state_") for key in session):
            session.clear()


def register(oauth: OAuth, settings: Settings) -> None:
    """Make the provider known to Authlib; nothing is fetched before someone signs in."""
    oauth.framework_integration_cls = _StateForMinutes
    provider = oauth.register(
        NAME,
        client_cls=Provider,
        overwrite=True,
        client_id=settings.okta_oauth2_client_id,
        client_secret=settings.okta_oauth2_client_secret,
        server_metadata_url=f"{settings.okta_oauth2_issuer}/.well-known/openid-configuration",
        client_kwargs={
            "scope": settings.okta_oauth2_scopes,
            "code_challenge_method": "S256",
            "default_timeout": TIMEOUT_S,
        },
    )
    provider.issuer = settings.okta_oauth2_issuer
    provider.secure = not settings.development


def begin(provider: Provider, redirect_uri: str, next_path: str | None) -> str:
    """Start a sign-in: keep its state, nonce and verifier, and return the provider's URL."""
    with _faults_told():
        request = provider.create_authorization_url(redirect_uri)
        provider.save_authorize_data(redirect_uri=redirect_uri, next=next_path, **request)
    return cast("str", request["url"])


def finish(provider: Provider, args: Mapping[str, str]) -> SignIn:
    """Take the provider's callback (RFC 6749 section 4.1.2) to the end, or raise why not."""
    pending = provider.framework.get_state_data(sign_in_state, args.get("state"))
    if pending is None:
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
            claims_cls=_StrictIDToken,
            leeway=LEEWAY_S,
        )
    return token


def end_session_url(provider: Provider, id_token: str | None, back_to: str) -> str | None:
    """Where the provider's own session ends (RP-Initiated Logout 1.0); None if nowhere."""
    try:
        with _faults_told():
            url = provider.create_logout_url(
                post_logout_redirect_uri=back_to,
                id_token_hint=id_token,
                client_id=provider.client_id,
            )["url"]
    except (ChatError, RuntimeError):
        return None
    return cast("str", url)


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
        raise ProviderFault()
    named = (claims.get("name"), claims.get("preferred_username"), claims.get("email"))
    name = next((_clean(name) for name in named if isinstance(name, str) and _clean(name)), None)
    email, sid, groups = claims.get("email"), claims.get("sid"), claims.get("groups")
    return Identity(
        issuer=provider.issuer,
        subject=claims["sub"],
        name=name or "Someone",
        email=_clean(email)[:320] if isinstance(email, str) and email else None,
        groups=frozenset(str(g) for g in groups) if isinstance(groups, list) else frozenset(),
        sid=sid[:255] if isinstance(sid, str) else None,
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
    except MismatchingStateError as error:
        raise Invalid("This sign-in is stale.", action=AGAIN) from error
    except OAuthError as error:
        raise _refusal(error) from error
    except (RequestException, TimeoutError) as error:
        if getattr(error, "response", None) is not None:
            log.error("sign-in: the provider answered with an error: %s", error)
            raise ProviderFault(action=AGAIN) from error
        log.error("sign-in: the provider can't be reached: %s", error)
        raise Unavailable(
            "Your company's sign-in service does not answer. Please try again in a moment.",
            title="Sign-in is not available",
            action=AGAIN,
        ) from error
    except (JoseError, ValueError, TypeError, KeyError, AttributeError) as error:
        # Authlib meets malformed answers with whatever its parsing runs into.
        log.error("sign-in: the provider's answer was refused: %s: %s", type(error).__name__, error)
        raise ProviderFault(action=AGAIN) from error


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
    log.error("sign-in: the provider refused: %s %s", error.error, error.description)
    return ProviderFault(action=AGAIN)
