"""The provider as Authlib knows it, with what Authlib's defaults leave open closed.

Each line beyond the library's own says which attack it stops. Standards: OpenID Connect Core
1.0 and Discovery 1.0.
"""

from __future__ import annotations

import logging
import time
from typing import Any, cast
from urllib.parse import urlsplit

from authlib.integrations.flask_client import FlaskIntegration, FlaskOAuth2App, OAuth
from authlib.oidc.core import CodeIDToken
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from .config import Settings
from .errors import ChatError

log = logging.getLogger(__name__)

NAME = "okta"
TIMEOUT_S = 5.0
METADATA_LIFE_S = 3_600
SIGN_IN_LIFE_S = 600
SIGN_INS_AT_ONCE = 4
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


class ProviderFault(ChatError):
    """The provider's answer must not be believed, or it refused our set-up."""

    status, title = 502, "Sign-in does not work"
    message = (
        "Your company's sign-in service gave an answer that can't be accepted. "
        "Try again; if it happens again, tell those who run this chat."
    )


def refused(reason: str, *args: object) -> ProviderFault:
    """The error for people; the reason, with `%r` for whatever came from outside, is the log's."""
    log.error(f"sign-in: {reason}", *args)
    return ProviderFault()


class StrictIDToken(CodeIDToken):
    """Core section 3.1.3.7, without the room that Authlib leaves."""

    def validate(self, now: int | None = None, leeway: int = 0) -> None:
        super().validate(now, leeway)
        subject = self["sub"]
        # Printable: NUL and lone surrogates are more than the stores take.
        if not isinstance(subject, str) or not 0 < len(subject) <= 255 or not subject.isprintable():
            raise refused("the ID token's subject is %r", subject)
        # The time of issue must be near ours, or a wrong clock would go unseen until much later.
        if not isinstance(self["iat"], int | float) or self["iat"] > time.time() + leeway:
            raise refused("the ID token is of %r; is a clock wrong?", self["iat"])

    def validate_azp(self) -> None:
        """A token made for several parties is not ours alone, whoever asked for it."""
        if self["aud"] not in (self.params["client_id"], [self.params["client_id"]]):
            raise refused("the ID token is for %r", self["aud"])
        super().validate_azp()


class Provider(FlaskOAuth2App):
    """Authlib's client for the one provider, with its discovery document checked."""

    issuer: str
    secure: bool
    server_metadata: dict[str, Any]

    def load_server_metadata(self) -> dict[str, Any]:
        """Discovery 1.0, fetched again each hour: a withdrawn key must not live on here."""
        if time.time() - self.server_metadata.get("_loaded_at", 0) > METADATA_LIFE_S:
            # Replaced as a whole, and only by what was found good: others may be reading the old.
            self.server_metadata = self._fetch_metadata()
        return self.server_metadata

    def _fetch_metadata(self) -> dict[str, Any]:
        with self._get_session() as session:
            answer = session.request("GET", self._server_metadata_url, withhold_token=True)
            answer.raise_for_status()
            metadata: dict[str, Any] = answer.json()
        self._check(metadata)
        return {**metadata, "_loaded_at": time.time()}

    def _check(self, metadata: dict[str, Any]) -> None:
        # Discovery section 4.3: or one provider could speak for another.
        if metadata.get("issuer") != self.issuer:
            raise refused(
                "discovery names the issuer %r, not %r", metadata.get("issuer"), self.issuer
            )
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
            url = metadata.get(name)
            if not isinstance(url, str) or not url.startswith(
                "https://" if self.secure else ("https://", "http://")
            ):
                raise refused("discovery names no sound %s: %r", name, url)
        listed = metadata.get("id_token_signing_alg_values_supported") or ["RS256"]
        metadata["id_token_signing_alg_values_supported"] = [a for a in ALGORITHMS if a in listed]

    def fetch_jwk_set(self, force: bool = False) -> dict[str, Any]:
        """The provider's keys; a set that is of no use is not kept for the next sign-in."""
        keys: dict[str, Any] = super().fetch_jwk_set(force)
        try:
            usable = bool(KeySet.import_key_set(cast(Any, keys)).keys)
        except (JoseError, ValueError, TypeError, KeyError, AttributeError):
            usable = False
        if not usable:
            self.server_metadata.pop("jwks", None)
            raise refused("the provider's set of keys is of no use")
        return keys

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
    issuer = settings.okta_oauth2_issuer
    oauth.framework_integration_cls = _StateForMinutes
    provider = oauth.register(
        NAME,
        client_cls=Provider,
        overwrite=True,
        client_id=settings.okta_oauth2_client_id,
        client_secret=settings.okta_oauth2_client_secret,
        server_metadata_url=f"{issuer.rstrip('/')}/.well-known/openid-configuration",
        client_kwargs={
            "scope": settings.okta_oauth2_scopes,
            "code_challenge_method": "S256",
            "default_timeout": TIMEOUT_S,
        },
    )
    provider.issuer = issuer
    provider.secure = not settings.development
