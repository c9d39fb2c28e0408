"""Okta's values, from wherever one has them except a command line."""

from __future__ import annotations

import getpass
import io
import os
import secrets
import sys
from collections.abc import Mapping

from dotenv import dotenv_values

from chat.config import from_environment

from . import cli
from .cli import Failure
from .place import ROOT

ISSUER, DOMAIN = "OKTA_OAUTH2_ISSUER", "OKTA_DOMAIN"
CLIENT_ID, CLIENT_SECRET = "OKTA_OAUTH2_CLIENT_ID", "OKTA_OAUTH2_CLIENT_SECRET"
SECRET_FILE = f"{CLIENT_SECRET}_FILE"
# Each is to be known by one of its names.
CHOICES = ((ISSUER, DOMAIN), (CLIENT_ID,), (CLIENT_SECRET, SECRET_FILE))


def values() -> dict[str, str]:
    """Okta's three values, valid in production; raises `Failure` or the app's `SettingsError`."""
    stand_ins = {"PUBLIC_URL": "https://chat.example.com", "SECRET_KEY": secrets.token_hex(32)}
    settings = from_environment({**stand_ins, **gathered()})
    return {
        ISSUER: settings.okta_oauth2_issuer,
        CLIENT_ID: settings.okta_oauth2_client_id,
        CLIENT_SECRET: settings.okta_oauth2_client_secret,
    }


def gathered() -> dict[str, str]:
    """The environment's values, over those of standard input or else of `.okta.env`.

    Standard input is left alone where the environment has all: it may hold a script's next lines.
    """
    refuse_command_line()
    environ = named(os.environ)
    if not missing(environ):
        return environ
    if sys.stdin.isatty():
        found = {**named(dotenv_values(ROOT / ".okta.env")), **environ}
        return {**found, **asked(missing(found))}
    return {**(piped() or named(dotenv_values(ROOT / ".okta.env"))), **environ}


def refuse_command_line() -> None:
    """With `make secrets OKTA_…=…` the secret is in make's arguments, for all here to read."""
    if f"{CLIENT_SECRET}=" in os.environ.get("MAKEFLAGS", ""):
        raise Failure(
            f"{CLIENT_SECRET} stood on the command line, where everyone on this machine can read "
            "it: make a new one in Okta, and give it in the environment or on standard input"
        )


def piped() -> dict[str, str]:
    cli.say("Reading Okta's settings from standard input: KEY=VALUE lines, up to its end")
    return named(dotenv_values(stream=io.StringIO(sys.stdin.read())))


def asked(names: list[str]) -> dict[str, str]:
    """What someone types at the terminal; the secret is not shown."""
    if names:
        cli.say("The app's page in the Okta admin console shows these:")
    try:
        return {
            name: (getpass.getpass if name == CLIENT_SECRET else input)(f"  {name}: ")
            for name in names
        }
    except (EOFError, KeyboardInterrupt):
        raise Failure("nothing was stored") from None


def named(environ: Mapping[str, str | None]) -> dict[str, str]:
    """Okta's settings among others; blank counts as unset."""
    names = (name for choice in CHOICES for name in choice)
    return {name: value for name in names if (value := (environ.get(name) or "").strip())}


def missing(found: Mapping[str, str]) -> list[str]:
    return [choice[0] for choice in CHOICES if not found.keys() & set(choice)]
