"""How each setting is read, what it is where nothing is said, and which mistakes are told.

One that depends on others reads those anew: so each can be asked for by itself, and every mistake
be told at once. Nothing of Flask is imported: see gunicorn.conf.py.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from . import addresses
from .environment import Environment, SettingsError

ROOT = Path(__file__).resolve().parent.parent
DEVELOPMENT, PRODUCTION = "development", "production"
MIN_SECRET_LENGTH = 32
SELF_SIGNED = "self-signed"


def _list(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]


def _issuer(read: Environment) -> str:
    issuer, domain = read.optional("OKTA_OAUTH2_ISSUER"), read.optional("OKTA_DOMAIN")
    if not issuer:
        if not domain:
            raise SettingsError("OKTA_OAUTH2_ISSUER is not set (nor OKTA_DOMAIN)")
        host = domain.removeprefix("https://").rstrip("/")
        if not re.fullmatch(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+", host):
            raise SettingsError(f"OKTA_DOMAIN={domain!r} must be like dev-123456.okta.com")
        issuer = f"https://{host}/oauth2/default"
    parts = read.url("OKTA_OAUTH2_ISSUER", issuer)
    if re.search(r"-admin\.okta[a-z-]*\.com$", parts.hostname or ""):
        raise SettingsError(
            f"OKTA_OAUTH2_ISSUER/OKTA_DOMAIN: {parts.hostname} is Okta's admin console, which "
            "signs nobody in; leave out '-admin'"
        )
    if parts.scheme == "http" and not _development(read):
        raise SettingsError("OKTA_OAUTH2_ISSUER must be https, except with CHAT_ENV=development")
    # As given: the provider's own spelling, with a slash at the end or without, is what counts.
    return issuer


def _chat_env(read: Environment) -> str:
    chat_env = read.text("CHAT_ENV", PRODUCTION)
    if chat_env not in (DEVELOPMENT, PRODUCTION):
        raise SettingsError(f"CHAT_ENV={chat_env!r} must be {DEVELOPMENT} or {PRODUCTION}")
    return chat_env


def _development(read: Environment) -> bool:
    return read.text("CHAT_ENV", PRODUCTION) == DEVELOPMENT


def _port(read: Environment) -> int:
    # All above 1023, so that no privilege is needed to listen there.
    return read.port("PORT", 5000 if _development(read) else 8443 if _serves_tls(read) else 8080)


def _redirect_port(read: Environment) -> int | None:
    served = _serves_tls(read) and not _development(read)
    if not read.optional("REDIRECT_PORT") and not served:
        return None
    port = read.port("REDIRECT_PORT", 8080)
    if port == _port(read):
        default = "" if read.optional("REDIRECT_PORT") else " (its default)"
        raise SettingsError(f"REDIRECT_PORT={port}{default} is PORT too; give each one of its own")
    return port


def _public_url(read: Environment) -> str | None:
    development, tls = _development(read), _serves_tls(read)
    if _url_from_host(read):
        return None
    if not development and not read.optional("PUBLIC_URL"):
        raise SettingsError("PUBLIC_URL is not set: the address that browsers see, https://…")
    default = f"{'https' if tls else 'http'}://localhost:{_port(read)}" if development else None
    url = read.text("PUBLIC_URL", default).rstrip("/")
    parts = read.url("PUBLIC_URL", url)
    if parts.path:
        raise SettingsError(f"PUBLIC_URL={url!r} must have no path")
    if parts.scheme == "http" and not development:
        raise SettingsError("PUBLIC_URL must be https, except with CHAT_ENV=development")
    if parts.scheme == "http" and tls:
        raise SettingsError(f"PUBLIC_URL={url} is http, but this service speaks TLS: make it https")
    return addresses.normal_origin(parts.scheme, parts.hostname or "", parts.port)


def _url_from_host(read: Environment) -> bool:
    if not read.flag("URL_FROM_HOST"):
        return False
    if read.optional("PUBLIC_URL"):
        raise SettingsError("URL_FROM_HOST and PUBLIC_URL are both set; keep one")
    if not _serves_tls(read):
        raise SettingsError("URL_FROM_HOST needs TLS=self-signed, or TLS_CERT_FILE: it means https")
    return True


def _secret_key(read: Environment) -> str:
    development = _development(read)
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
    if not url.startswith("sqlite"):
        _require_readable("DATABASE_URL", url)
    path = Path(url.removeprefix("sqlite:///"))
    if path.is_absolute() and path.parent != ROOT / "instance" and not path.parent.is_dir():
        raise SettingsError(f"DATABASE_URL={url}: there is no folder {path.parent}")
    return url


def _redis_url(read: Environment) -> str | None:
    url = read.optional("REDIS_URL")
    if url and not url.startswith(("redis://", "rediss://")):
        raise SettingsError("REDIS_URL must start with redis:// or rediss://")
    if url:
        _require_readable("REDIS_URL", url)
    return url


def _require_readable(name: str, url: str) -> None:
    """Refuse a URL whose password holds what ends it: libraries would print it as they fail."""
    try:
        parts = urlsplit(url)
        _ = parts.port
        user = parts.netloc.rpartition("@")[0]
        readable = "@" not in user and user.count(":") <= 1
    except ValueError:
        readable = False
    if not readable:
        raise SettingsError(
            f"{name} can't be read as a URL; write @ : / in a password as %40 %3A %2F"
        )


def _web_concurrency(read: Environment) -> int:
    processes = read.whole("WEB_CONCURRENCY", 1, least=1)
    if processes > 1 and not read.optional("REDIS_URL"):
        raise SettingsError(
            f"WEB_CONCURRENCY={processes} needs REDIS_URL: without it, who is on one process would "
            "not hear who is on another"
        )
    return processes


def _tls(read: Environment) -> str | None:
    tls = read.optional("TLS")
    if tls not in (None, SELF_SIGNED):
        raise SettingsError(f"TLS={tls!r} must be {SELF_SIGNED}, or not set")
    if tls and (read.optional("TLS_CERT_FILE") or read.optional("TLS_KEY_FILE")):
        raise SettingsError("TLS=self-signed and TLS_CERT_FILE/TLS_KEY_FILE are both set; keep one")
    return tls


def _tls_extra_sans(read: Environment) -> tuple[str, ...]:
    names = tuple(_list(read.text("TLS_EXTRA_SANS", "")))
    for name in names:
        if not addresses.is_host(name):
            raise SettingsError(f"TLS_EXTRA_SANS: {name!r} is neither a DNS name nor an IP address")
    return names


def _serves_tls(read: Environment) -> bool:
    return any(read.optional(name) for name in ("TLS", "TLS_CERT_FILE", "TLS_KEY_FILE"))


def _tls_file(name: str) -> Callable[[Environment], str | None]:
    def reader(read: Environment) -> str | None:
        path = read.optional(name)
        if bool(read.optional("TLS_CERT_FILE")) != bool(read.optional("TLS_KEY_FILE")):
            raise SettingsError(
                "TLS_CERT_FILE and TLS_KEY_FILE go together; only one of them is set"
            )
        if path and not os.access(path, os.R_OK):
            raise SettingsError(f"{name}={path} can't be read")
        return path

    return reader


# How each setting is read, in the order in which mistakes are told.
READERS: Mapping[str, Callable[[Environment], Any]] = {
    "chat_env": _chat_env,
    "port": _port,
    "public_url": _public_url,
    "url_from_host": _url_from_host,
    "secret_key": _secret_key,
    "okta_oauth2_issuer": _issuer,
    "okta_oauth2_client_id": lambda read: read.text("OKTA_OAUTH2_CLIENT_ID"),
    "okta_oauth2_client_secret": lambda read: read.text("OKTA_OAUTH2_CLIENT_SECRET"),
    "okta_oauth2_scopes": _scopes,
    "allowed_groups": lambda read: frozenset(_list(read.text("ALLOWED_GROUPS", ""))),
    "database_url": _database_url,
    "redis_url": _redis_url,
    "trusted_proxies": lambda read: read.whole("TRUSTED_PROXIES", 0),
    "session_hours": lambda read: read.hours("SESSION_HOURS", 168),
    "session_idle_hours": lambda read: read.hours("SESSION_IDLE_HOURS", 24),
    "rate_messages": lambda read: read.rate("RATE_MESSAGES", "10 per 10 seconds"),
    "rate_events": lambda read: read.rate("RATE_EVENTS", "100 per 10 seconds"),
    "rate_sign_in": lambda read: read.rate("RATE_SIGN_IN", "120 per minute"),
    "max_body_chars": lambda read: read.whole("MAX_BODY_CHARS", 4_000, least=1),
    "max_frame_bytes": lambda read: read.whole("MAX_FRAME_BYTES", 65_536, least=1_024),
    "max_frames_per_second": lambda read: read.whole("MAX_FRAMES_PER_SECOND", 100, least=1),
    "max_sockets": lambda read: read.whole("MAX_SOCKETS", 5_000, least=1),
    "max_strangers": lambda read: read.whole("MAX_STRANGERS", 100, least=1),
    "max_sockets_per_user": lambda read: read.whole("MAX_SOCKETS_PER_USER", 20, least=1),
    "metrics_token": _metrics_token,
    "tls": _tls,
    "tls_extra_sans": _tls_extra_sans,
    "tls_cert_file": _tls_file("TLS_CERT_FILE"),
    "tls_key_file": _tls_file("TLS_KEY_FILE"),
    "redirect_port": _redirect_port,
    "web_concurrency": _web_concurrency,
}
