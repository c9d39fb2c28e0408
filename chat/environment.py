"""Reads settings out of an environment, each by the type that it must have.

Which settings there are is `config`'s. Nothing of Flask is imported: see gunicorn.conf.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

SECRETS = {"SECRET_KEY", "OKTA_OAUTH2_CLIENT_SECRET", "DATABASE_URL", "REDIS_URL", "METRICS_TOKEN"}
WEB_URL = re.compile(r"https?://[\x21-\x7e]+", re.IGNORECASE)
# One rate as the library `limits` writes it; not asked there, as it imports redis.
RATE = re.compile(
    r"[1-9][0-9]*\s*(per|/)\s*([1-9][0-9]*\s+)?(second|minute|hour|day)s?", re.IGNORECASE | re.ASCII
)


class SettingsError(Exception):
    """A setting is missing or wrong; the message is one line that names it and the mend."""


class Environment:
    """Takes settings out of an environment, each by the type that it must have."""

    def __init__(self, environ: Mapping[str, str]):
        self.environ = environ

    def text(self, name: str, default: str | None = None) -> str:
        value = self.optional(name)
        if value is not None:
            return value
        if default is None:
            raise SettingsError(f"{name} is not set")
        return default

    def optional(self, name: str) -> str | None:
        """The value, or for a secret what the file NAME_FILE holds; blank counts as unset."""
        value, file = self.environ.get(name, ""), self.environ.get(f"{name}_FILE", "")
        if file and name in SECRETS:
            if value:
                raise SettingsError(f"{name} and {name}_FILE are both set; keep one")
            try:
                value = Path(file).read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise SettingsError(f"{name}_FILE={file} can't be read: {error}") from error
        return value.strip() or None

    def url(self, name: str, text: str) -> SplitResult:
        """An http(s) URL of a host, with no one's name in it, no query and no fragment."""
        try:
            parts = urlsplit(text)
            _ = parts.port
        except ValueError:
            parts = urlsplit("")
        more = parts.query or parts.fragment or parts.username is not None
        if not WEB_URL.fullmatch(text) or not parts.hostname or more:
            raise SettingsError(f"{name}={text!r} must be like https://example.com")
        return parts

    def whole(self, name: str, default: int | None = None, least: int = 0) -> int:
        text = self.text(name, None if default is None else str(default))
        if not re.fullmatch(r"[0-9]{1,9}", text) or int(text) < least:
            raise SettingsError(f"{name}={text!r} must be a whole number of at least {least}")
        return int(text)

    def flag(self, name: str) -> bool:
        text = self.text(name, "0")
        if text not in ("0", "1"):
            raise SettingsError(f"{name}={text!r} must be 1 or 0")
        return text == "1"

    def port(self, name: str, default: int) -> int:
        number = self.whole(name, default, least=1)
        if number > 65535:
            raise SettingsError(f"{name}={number} is not a port; the highest is 65535")
        return number

    def hours(self, name: str, default: float) -> float:
        text = self.text(name, str(default))
        try:
            hours = float(text)
        except ValueError:
            hours = 0.0
        if not 0 < hours <= 24 * 366:
            raise SettingsError(f"{name}={text!r} must be a number of hours, above 0, up to a year")
        return hours

    def rate(self, name: str, default: str) -> str:
        """A rate in the notation of the `limits` library; set but empty: none."""
        text = self.environ.get(name, default).strip()
        if text and not RATE.fullmatch(text):
            raise SettingsError(f"{name}={text!r} is not like '10 per 10 seconds'")
        return text
