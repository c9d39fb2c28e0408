"""Serve the chat on this machine: `make run`, or over TLS `make run-tls`.

Without Okta settings a stand-in for Okta is started beside it, so that one can sign in to a fresh
clone too.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from dotenv import dotenv_values

from chat import doctor
from chat.config import Settings, SettingsError, from_environment
from chat.healthcheck import is_ok, is_well

from . import provider
from .children import Children

ASK_S = 1.0  # Ctrl-C waits for an answer that does not come
ROOT = Path(__file__).resolve().parent.parent
GUNICORN = [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", "wsgi:app"]
# Here nobody waits for the open chat pages to take their leave, as production does at a stop.
CHAT = [*GUNICORN, "--graceful-timeout", "1"]


def main() -> int:
    """Serve until Ctrl-C; return the exit code."""
    tls = "--tls" in sys.argv[1:]
    os.chdir(ROOT)
    try:
        environ = environment(tls=tls)
        mock_port = provider.port(environ) if provider.wanted(environ) else None
        if mock_port:
            environ |= provider.settings(mock_port)
        settings = from_environment(environ)
        doctor.look_at_start(settings, lambda _, line: print(f"chat: {line}", file=sys.stderr))
        require_free("run-tls" if tls else "run", ports(settings, mock_port))
    except SettingsError as error:
        print(f"chat: {error}", file=sys.stderr)
        return 1
    return serve(settings, environ, mock_port)


def environment(*, tls: bool) -> dict[str, str]:
    """What the app is started with: the caller's environment over `.okta.env` over our defaults."""
    defaults = {"PORT": "5000"}
    if tls:
        defaults = {"PORT": "5001", "REDIRECT_PORT": "5000", **development_certificate()}
    okta = {name: value for name, value in dotenv_values(".okta.env").items() if value}
    return {**defaults, **okta, **os.environ, "CHAT_ENV": "development"}


def development_certificate() -> dict[str, str]:
    """Settings that name a certificate for this machine's own names, made on first use."""
    from chat.tls import ensure_self_signed  # here, as it takes long to load and few need it

    certificate, key = ROOT / "instance/tls/localhost.crt", ROOT / "instance/tls/localhost.key"
    ensure_self_signed(certificate, key, ["localhost", "127.0.0.1", "::1"])
    return {"TLS_CERT_FILE": str(certificate), "TLS_KEY_FILE": str(key)}


def ports(settings: Settings, mock_port: int | None) -> dict[str, int]:
    """The ports to listen on, by the setting that moves each."""
    wanted = {
        "PORT": settings.port,
        "REDIRECT_PORT": settings.redirect_port,
        "MOCK_PORT": mock_port,
    }
    return {name: port for name, port in wanted.items() if port}


def require_free(target: str, ports: Mapping[str, int]) -> None:
    """Raise `SettingsError` for a port that can't be listened on."""
    with ExitStack() as held:  # all of them at once, so that one wanted twice is found too
        for name, port in ports.items():
            other = max(port, 5000) + 10
            mend = f"choose another: make {target} {name}={other if other < 65_536 else 5010}"
            try:
                held.enter_context(listen(port))
            except PermissionError:
                raise SettingsError(f"Port {port} is the administrator's; {mend}") from None
            except OSError:
                raise SettingsError(f"Port {port} is in use; {mend}") from None


def listen(port: int) -> socket.socket:
    """A listening socket on the loopback address; raises `OSError` where there can be none."""
    with socket.socket() as probe:
        # macOS lets one bind a port that another program (AirPlay: 5000) has on all addresses.
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            raise OSError("in use")
    return socket.create_server(("127.0.0.1", port))


def serve(settings: Settings, environ: dict[str, str], mock_port: int | None) -> int:
    """Run the chat, and the provider where one is to be mocked, until either ends."""
    with Children() as children:
        if mock_port:
            command = provider.command(mock_port)
            children.start("The stand-in for Okta", command, environ, quiet=True)
        children.start("The chat", CHAT, environ)
        ready = children.until(lambda: answers(settings, mock_port))
        if ready:
            print(welcome(settings, mock_port), flush=True)
        # A chat that never came up has said itself why.
        return children.wait(explain=ready)


def answers(settings: Settings, mock_port: int | None) -> bool:
    """Whether all that was started can be used."""
    if not is_well(settings, ASK_S):
        return False
    return not mock_port or is_ok(mock_port, "/.well-known/openid-configuration", timeout=ASK_S)


def welcome(settings: Settings, mock_port: int | None) -> str:
    """What to do now."""
    who = f"with an account at {settings.okta_oauth2_issuer}"
    if mock_port:
        people = " or ".join(f"{person['sub']} ({person['name']})" for person in provider.PEOPLE)
        who = f"""choose {people}; there is no password.
           This is a stand-in, as no Okta settings were found: see README.md."""
    return f"""
  The chat is running.

  Open     {settings.public_url}
  Sign in  {who}
  Stop     Ctrl-C
"""


if __name__ == "__main__":
    sys.exit(main())
