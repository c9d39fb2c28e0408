"""Settings: typed, read once from the environment, failing loudly.

Each field of `Settings` is one setting; its environment name is the field's in capitals. The module
imports nothing of Flask, so that gunicorn's configuration can read it too.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from dotenv import dotenv_values

from . import addresses
from .environment import Environment, SettingsError
from .readers import DEVELOPMENT, READERS, ROOT

__all__ = ["ROOT", "Settings", "SettingsError", "from_environment", "problems"]

OWN_NAMES = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What an operator decides. A test holds `docs/operations.md` to describe each."""

    chat_env: str
    port: int
    public_url: str | None
    url_from_host: bool
    secret_key: str
    okta_oauth2_issuer: str
    okta_oauth2_client_id: str
    okta_oauth2_client_secret: str
    okta_oauth2_scopes: str
    allowed_groups: frozenset[str]
    database_url: str
    redis_url: str | None
    trusted_proxies: int
    session_hours: float
    session_idle_hours: float
    rate_messages: str
    rate_events: str
    rate_sign_in: str
    max_body_chars: int
    max_frame_bytes: int
    max_frames_per_second: int
    max_sockets: int
    max_strangers: int
    max_sockets_per_user: int
    metrics_token: str | None
    tls: str | None
    tls_extra_sans: tuple[str, ...]
    tls_cert_file: str | None
    tls_key_file: str | None
    redirect_port: int | None
    web_concurrency: int

    @property
    def development(self) -> bool:
        return self.chat_env == DEVELOPMENT

    @property
    def serves_tls(self) -> bool:
        """Whether TLS is ended here, with a certificate given or one made at the start."""
        return self.tls is not None or self.tls_cert_file is not None

    @property
    def secure(self) -> bool:
        """Whether browsers reach the service over TLS, ended here or by a proxy in front."""
        return self.public_url is None or self.public_url.startswith("https://")

    def origin(self, host: str) -> str | None:
        """What browsers see this service at, for a request with that `Host`; None if at nothing.

        It is `PUBLIC_URL`, whatever the `Host` says. Only with `URL_FROM_HOST` it is the `Host`'s,
        and then only an IP address is believed: see `addresses`.
        """
        return self.public_url or addresses.origin(host)

    @property
    def certificate_hosts(self) -> list[str]:
        """Who a certificate that is made here speaks for."""
        named = [urlsplit(self.public_url).hostname or ""] if self.public_url else []
        return list(dict.fromkeys([*named, *self.tls_extra_sans, *OWN_NAMES]))

    @property
    def store_is_sqlite(self) -> bool:
        return self.database_url.startswith("sqlite")


def from_environment(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings; without `environ`, from the process's own, over those of `.okta.env`.

    Raises `SettingsError` with one clear line at the first setting that is missing or wrong.
    """
    read = Environment(_process_environment() if environ is None else environ)
    return Settings(**{name: reader(read) for name, reader in READERS.items()})


def problems(environ: Mapping[str, str] | None = None) -> list[str]:
    """Everything that is missing or wrong, a line each, where a start would stop at the first."""
    read = Environment(_process_environment() if environ is None else environ)
    found: dict[str, None] = {}
    for reader in READERS.values():
        try:
            reader(read)
        except SettingsError as error:
            found[str(error)] = None
    return list(found)


def _process_environment() -> dict[str, str]:
    okta = {k: v for k, v in dotenv_values(ROOT / ".okta.env").items() if v is not None}
    return {**okta, **os.environ}


def flask_config(settings: Settings) -> dict[str, object]:
    """The same settings as Flask and its extensions name them."""
    return {
        "SETTINGS": settings,
        "SECRET_KEY": settings.secret_key,
        "SQLALCHEMY_DATABASE_URI": settings.database_url,
        # The largest body of any route: none takes more than a frame of a socket does.
        "MAX_CONTENT_LENGTH": settings.max_frame_bytes,
        # Flask's own session carries a sign-in that is under way, and nothing else: see auth.py.
        "SESSION_COOKIE_NAME": cookie_name(settings, "chat_signin"),
        "SESSION_COOKIE_SECURE": settings.secure,
        "SESSION_COOKIE_HTTPONLY": True,
        # Strict would withhold the cookie at the provider's redirect back, and lose the state.
        "SESSION_COOKIE_SAMESITE": "Lax",
        "SESSION_REFRESH_EACH_REQUEST": False,
    }


def cookie_name(settings: Settings, name: str) -> str:
    """`__Host-` binds a cookie to TLS, this host and the path `/` (RFC 6265bis section 4.1.3.2)."""
    return f"__Host-{name}" if settings.secure else name
