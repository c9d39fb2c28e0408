"""Serve the chat from its image on this machine: `make image-run`.

https://localhost:5001 with a certificate made at each start, to which http://localhost:5000 leads;
confined as it will be in production, and like there with Okta.
"""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Mapping

from dotenv import dotenv_values

from chat.config import SettingsError
from chat.environment import Environment

from . import image
from .engine import Engine, Failed, find, flags, show

URL = "https://localhost:5001"
REQUIRED = ("OKTA_OAUTH2_CLIENT_ID", "OKTA_OAUTH2_CLIENT_SECRET")
OPTIONAL = ("OKTA_OAUTH2_ISSUER", "OKTA_DOMAIN", "OKTA_OAUTH2_SCOPES", "ALLOWED_GROUPS")
CONFINED = ["--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges"]
# For this machine alone, and what the container listens on by default.
PORTS = ["--publish=127.0.0.1:5001:8443", "--publish=127.0.0.1:5000:8080"]
IN_OKTA = (
    f"allow in Okta the sign-in redirect URI {URL}/authorization-code/callback "
    f"and the sign-out redirect URI {URL}/"
)


def settings(environ: Mapping[str, str]) -> dict[str, str]:
    """What the container is told; raises `Failed` where the caller's settings lack something."""
    read = Environment(environ)
    given = {name: read.optional(name) for name in (*REQUIRED, *OPTIONAL)}
    missing = [name for name in REQUIRED if not given[name]]
    if not (given["OKTA_OAUTH2_ISSUER"] or given["OKTA_DOMAIN"]):
        missing.insert(0, "OKTA_OAUTH2_ISSUER")
    if missing:
        raise Failed(f"{', '.join(missing)} missing: put into .okta.env, and {IN_OKTA}")
    return {
        **{name: value for name, value in given.items() if value},
        # Signs no more than sign-ins under way, so each start may have its own.
        "SECRET_KEY": secrets.token_urlsafe(32),
        "PUBLIC_URL": URL,
        "TLS": "self-signed",
    }


def command(engine: Engine, name: str, told: Mapping[str, str]) -> list[str]:
    """The engine's command. Of settings it has the names only: all may read a command line."""
    volume = f"--volume={image.name()}-data:/data"
    names = [f"--env={setting}" for setting in told]
    return [
        engine.name,
        "run",
        "--rm",
        *CONFINED,
        *PORTS,
        volume,
        *names,
        *flags("RUN_FLAGS"),
        name,
    ]


def main() -> int:
    os.chdir(image.ROOT)
    file = {name: value for name, value in dotenv_values(".okta.env").items() if value}
    try:
        told = settings({**file, **os.environ})
        engine = find()
        if not engine.runs_containers:
            raise Failed("Buildah builds, but runs nothing: DOCKER=podman or DOCKER=docker")
        name = image.ensure(engine, image.Source.checked_out())
    except (Failed, SettingsError) as error:
        print(f"image-run: {error}", file=sys.stderr)
        return 1
    run = command(engine, name, told)
    show(*run)
    print(f"Open {URL} (your browser will warn of its certificate), and {IN_OKTA}. Stop: Ctrl-C")
    sys.stdout.flush()
    os.execvpe(run[0], run, {**os.environ, **told})  # noqa: S606  no shell is wanted


if __name__ == "__main__":
    sys.exit(main())
