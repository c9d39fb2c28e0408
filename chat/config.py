"""Settings: typed, read once from the environment, failing loudly.

Each field of `Settings` is one setting; its environment name is the field's in capitals. The module
imports nothing of Flask, so that gunicorn's configuration can read it too.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dotenv import dotenv_values

from .environment import Environment, SettingsError

__all__ = ["Settings", "SettingsError", "from_environment"]

ROOT = Path(__file__).resolve().parent.parent
DEVELOPMENT, PRODUCTION = "development", "production"
MIN_SECRET_LENGTH = 32


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What an operator decides. A test holds `docs/operations.md` to describe each."""

    chat_env: str
    port: int
    public_url: str
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
    tls_cert_file: str | None
    tls_key_file: str | None
    redirect_port: int | None

    @property
    def development(self) -> bool:
        return self.chat_env == DEVELOPMENT

    @property
    def tls(self) -> bool:
        return self.tls_cert_file is not None

    @property
    def secure(self) -> bool:
        """Whether browsers reach the service over TLS, ended here or by a proxy in front."""
        return self.public_url.startswith("https://")

    @property
    def store_is_sqlite(self) -> bool:
        return self.database_url.startswith("sqlite")


def from_environment(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings; without `environ`, from the process's own, over those of `.okta.env`.

    Raises `SettingsError` with one clear line at the first setting that is missing or wrong.
    """
    if environ is None:
        okta = {k: v for k, v in dotenv_values(ROOT / ".okta.env").items() if v is not None}
        environ = {**okta, **os.environ}
    read = Environment(environ)
    chat_env = read.text("CHAT_ENV", PRODUCTION)
    if chat_env not in (DEVELOPMENT, PRODUCTION):
        raise SettingsError(f"CHAT_ENV={chat_env!r} must be {DEVELOPMENT} or {PRODUCTION}")
    development = chat_env == DEVELOPMENT
    port = read.port("PORT", 5000 if development else 8080)
    certificate, key = _certificate(read)
    return Settings(
        chat_env=chat_env,
        port=port,
        public_url=_public_url(read, development, port, tls=certificate is not None),
        secret_key=_secret_key(read, development),
        okta_oauth2_issuer=_issuer(read, development),
        okta_oauth2_client_id=read.text("OKTA_OAUTH2_CLIENT_ID"),
        okta_oauth2_client_secret=read.text("OKTA_OAUTH2_CLIENT_SECRET"),
        okta_oauth2_scopes=_scopes(read),
        allowed_groups=frozenset(_list(read.text("ALLOWED_GROUPS", ""))),
        database_url=_database_url(read),
        redis_url=_redis_url(read),
        trusted_proxies=read.whole("TRUSTED_PROXIES", 0),
        session_hours=read.hours("SESSION_HOURS", 168),
        session_idle_hours=read.hours("SESSION_IDLE_HOURS", 24),
        rate_messages=read.rate("RATE_MESSAGES", "10 per 10 seconds"),
        rate_events=read.rate("RATE_EVENTS", "100 per 10 seconds"),
        rate_sign_in=read.rate("RATE_SIGN_IN", "120 per minute"),
        max_body_chars=read.whole("MAX_BODY_CHARS", 4_000, least=1),
        max_frame_bytes=read.whole("MAX_FRAME_BYTES", 65_536, least=1_024),
        max_frames_per_second=read.whole("MAX_FRAMES_PER_SECOND", 100, least=1),
        max_strangers=read.whole("MAX_STRANGERS", 100, least=1),
        max_sockets=read.whole("MAX_SOCKETS", 5_000, least=1),
        max_sockets_per_user=read.whole("MAX_SOCKETS_PER_USER", 20, least=1),
        metrics_token=_metrics_token(read),
        tls_cert_file=certificate,
        tls_key_file=key,
        redirect_port=read.port("REDIRECT_PORT", 0) if read.optional("REDIRECT_PORT") else None,
    )


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


def _list(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]


def _issuer(read: Environment, development: bool) -> str:
    issuer, domain = read.optional("OKTA_OAUTH2_ISSUER"), read.optional("OKTA_DOMAIN")
    if not issuer:
        if not domain:
            raise SettingsError("OKTA_OAUTH2_ISSUER is not set (nor OKTA_DOMAIN)")
        host = domain.removeprefix("https://").rstrip("/")
        if not re.fullmatch(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+", host):
            raise SettingsError(f"OKTA_DOMAIN={domain!r} must be like dev-123456.okta.com")
        issuer = f"https://{host}/oauth2/default"
    parts = read.url("OKTA_OAUTH2_ISSUER", issuer)
    if "-admin." in (parts.hostname or ""):
        raise SettingsError(
            f"OKTA_OAUTH2_ISSUER/OKTA_DOMAIN: {parts.hostname} is Okta's admin console, which "
            "signs nobody in; leave out '-admin'"
        )
    if parts.scheme == "http" and not development:
        raise SettingsError("OKTA_OAUTH2_ISSUER must be https, except with CHAT_ENV=development")
    # As given: the provider's own spelling, with a slash at the end or without, is what counts.
    return issuer


def _public_url(read: Environment, development: bool, port: int, *, tls: bool) -> str:
    default = f"{'https' if tls else 'http'}://localhost:{port}" if development else None
    if default is None and not read.optional("PUBLIC_URL"):
        raise SettingsError("PUBLIC_URL is not set: the address that browsers see, https://…")
    url = read.text("PUBLIC_URL", default).rstrip("/")
    parts = read.url("PUBLIC_URL", url)
    if parts.path:
        raise SettingsError(f"PUBLIC_URL={url!r} must have no path")
    if parts.scheme == "http" and not development:
        raise SettingsError("PUBLIC_URL must be https, except with CHAT_ENV=development")
    if parts.scheme == "http" and tls:
        raise SettingsError(f"PUBLIC_URL={url} is http, but TLS_CERT_FILE makes this service https")
    return _normal_origin(parts.scheme, parts.hostname or "", parts.port)


def _normal_origin(scheme: str, host: str, port: int | None) -> str:
    """As a browser writes it in `Origin`: lower case, and no port where it is the scheme's own."""
    host = f"[{host}]" if ":" in host else host
    if port is None or port == {"https": 443, "http": 80}[scheme]:
        return f"{scheme}://{host}"
    return f"{scheme}://{host}:{port}"


def _secret_key(read: Environment, development: bool) -> str:
    key = read.optional("SECRET_KEY")
    if key is None and development:
        return secrets.token_hex(32)
    if key is None:
        raise SettingsError("SECRET_KEY is not set; make one: openssl rand -hex 32")
    if not development:
        _strong("SECRET_KEY", key)
    return key


def _metrics_token(read: Environment) -> str | None:
    token = read.optional("METRICS_TOKEN")
    if token:
        _strong("METRICS_TOKEN", token)
    return token


def _strong(name: str, secret: str) -> None:
    if len(secret) < MIN_SECRET_LENGTH or len(set(secret)) < 8:
        raise SettingsError(
            f"{name} is too weak; use at least {MIN_SECRET_LENGTH} random characters: "
            "openssl rand -hex 32"
        )


def _scopes(read: Environment) -> str:
    scopes = read.text("OKTA_OAUTH2_SCOPES", "openid profile email").split()
    if "openid" not in scopes:
        raise SettingsError("OKTA_OAUTH2_SCOPES must contain openid")
    return " ".join(scopes)


def _database_url(read: Environment) -> str:
    url = read.text("DATABASE_URL", f"sqlite:///{ROOT / 'instance' / 'chat.db'}")
    if not re.match(r"sqlite:///[^:?]|postgresql\+psycopg://", url):
        raise SettingsError(
            "DATABASE_URL must start with postgresql+psycopg:// or be sqlite:/// and a file's path"
        )
    path = Path(url.removeprefix("sqlite:///"))
    if path.is_absolute() and path.parent != ROOT / "instance" and not path.parent.is_dir():
        raise SettingsError(f"DATABASE_URL={url}: there is no folder {path.parent}")
    return url


def _redis_url(read: Environment) -> str | None:
    url = read.optional("REDIS_URL")
    if url and not url.startswith(("redis://", "rediss://")):
        raise SettingsError("REDIS_URL must start with redis:// or rediss://")
    return url


def _certificate(read: Environment) -> tuple[str | None, str | None]:
    certificate, key = read.optional("TLS_CERT_FILE"), read.optional("TLS_KEY_FILE")
    if bool(certificate) != bool(key):
        raise SettingsError("TLS_CERT_FILE and TLS_KEY_FILE go together; only one of them is set")
    for name, path in (("TLS_CERT_FILE", certificate), ("TLS_KEY_FILE", key)):
        if path and not os.access(path, os.R_OK):
            raise SettingsError(f"{name}={path} can't be read")
    return certificate, key
