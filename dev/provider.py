"""The stand-in for Okta, oidc-provider-mock: it lets anyone in as whoever they choose to be."""

from __future__ import annotations

import json
import re
import secrets
import sys
from collections.abc import Mapping

from chat.config import SettingsError

PEOPLE = (
    {"sub": "alice", "name": "Alice Adams", "email": "alice@example.com"},
    {"sub": "bob", "name": "Bob Brown", "email": "bob@example.com"},
)
# Any one of them means that Okta is wanted; what is missing then is an error, not a wish for this.
OKTA = ("OKTA_OAUTH2_ISSUER", "OKTA_DOMAIN", "OKTA_OAUTH2_CLIENT_ID", "OKTA_OAUTH2_CLIENT_SECRET")


def wanted(environ: Mapping[str, str]) -> bool:
    """Whether `environ` holds no Okta setting at all."""
    return not any(environ.get(name) or environ.get(f"{name}_FILE") for name in OKTA)


def port(environ: Mapping[str, str]) -> int:
    """The port to serve on; raises `SettingsError` if MOCK_PORT is not one."""
    text = environ.get("MOCK_PORT") or "9400"
    if not re.fullmatch("[0-9]{1,5}", text) or not 0 < int(text) < 65536:
        raise SettingsError(f"MOCK_PORT={text!r} must be a port, 1 to 65535")
    return int(text)


def settings(port: int) -> dict[str, str]:
    """The Okta settings that lead the app to the stand-in.

    The host is always `localhost`: the stand-in's issuer is whatever name it is called by.
    """
    return {
        "OKTA_OAUTH2_ISSUER": f"http://localhost:{port}",
        "OKTA_OAUTH2_CLIENT_ID": "chat-on-this-machine",
        "OKTA_OAUTH2_CLIENT_SECRET": secrets.token_urlsafe(),
    }


def command(port: int) -> list[str]:
    """The command that serves it, on this machine only."""
    people = [part for person in PEOPLE for part in ("--user-claims", json.dumps(person))]
    module = [sys.executable, "-m", "oidc_provider_mock"]
    return [*module, "--host", "127.0.0.1", "--port", str(port), *people]
