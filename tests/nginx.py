"""nginx in front of the application: by `deploy/nginx.conf`, with other addresses and folders."""

from __future__ import annotations

import contextlib
import os
import shutil
import ssl
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx

from chat import tls
from tests import servers
from tests.cast import Person
from tests.servers import App, MockProvider, Server

CONFIGURATION = servers.ROOT / "deploy" / "nginx.conf"
NOBODY = 65_534
# Debian puts nginx where only root looks.
PATH = f"{os.environ.get('PATH', '')}:/usr/sbin"

# For two processes, as `docs/operations.md` has it: who is where, and when to go elsewhere.
ONE = "        server 127.0.0.1:8443;\n"
TWO = """\
        # A person stays with one process, as polling needs, and moves when it goes.
        hash $person consistent;
        server 127.0.0.1:8443 max_fails=0;
        server 127.0.0.1:8444 max_fails=0;
"""
PERSON = """\
    map $http_cookie $person {
        "~__Host-chat_session=(?<key>[^;]+)" $key;
        default $remote_addr;
    }
    proxy_next_upstream error timeout http_503;

    upstream app {
"""


class Backend(App):
    """The application as it stands behind nginx: TLS with a certificate that it made itself."""

    def __init__(self, folder: Path, provider: MockProvider, **environ: str) -> None:
        given = {
            "OKTA_OAUTH2_ISSUER": provider.issuer,
            "OKTA_OAUTH2_CLIENT_ID": "chat",
            "OKTA_OAUTH2_CLIENT_SECRET": "unchecked",
            "TLS": "self-signed",
            "TRUSTED_PROXIES": "1",
        }
        wsgi = environ.pop("wsgi", "wsgi:app")
        super().__init__(folder, servers.free_port(), given | environ, wsgi)


class Nginx(Server):
    """Runs as nobody, in a folder of its own, which is all that it can write to."""

    def __init__(
        self, folder: Path, port: int, ports: Sequence[int], changed: dict[str, str] | None = None
    ) -> None:
        self.port = port
        self.url = f"https://localhost:{port}"
        tls.ensure_self_signed(folder / "certificate.pem", folder / "key.pem", ["localhost"])
        self.context = ssl.create_default_context(cafile=str(folder / "certificate.pem"))
        changes = {
            "/tmp/": f"{folder}/",
            "/tls/": f"{folder}/",
            "listen 9443": f"listen 127.0.0.1:{port}",
            ":8443": f":{ports[0]}",
            **(changed or {}),
        }
        if len(ports) == 2:
            two = TWO.replace(":8444", f":{ports[1]}")
            changes = {"    upstream app {\n": PERSON, ONE: two, **changes}
        configuration = folder / "nginx.conf"
        configuration.write_text(derived(changes))
        argv = ["nginx", "-c", str(configuration), "-g", "daemon off;"]
        super().__init__("nginx", [*give_away(folder), *argv], folder, {"PATH": PATH})

    @staticmethod
    def installed() -> bool:
        return shutil.which("nginx", path=PATH) is not None

    def ready(self) -> bool:
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(self.url, verify=self.context, timeout=5).status_code < 600
        return False

    def transport(self, address: str = "127.0.0.1") -> httpx.HTTPTransport:
        """For a browser at an address of this machine that trusts the certificate, and no other."""
        no_keeping = httpx.Limits(max_keepalive_connections=0)
        return httpx.HTTPTransport(verify=self.context, local_address=address, limits=no_keeping)

    def port_of(self, person: Person) -> int:
        """The port of the process that answers someone."""
        path = f"/static/{uuid.uuid4()}"
        person.http.get(path)
        servers.wait_for(lambda: path in self.log, 5, "the request to be in the log")
        line = next(line for line in self.log.splitlines() if path in line)
        return int(line.split()[4].split(":")[1])


@contextlib.contextmanager
def serving(
    *ports: int, port: int | None = None, changed: dict[str, str] | None = None
) -> Iterator[Nginx]:
    """nginx in front of the processes at `ports`."""
    servers.require(Nginx.installed(), "nginx")
    # Not below pytest's folder, which nobody but its owner may enter.
    with tempfile.TemporaryDirectory(prefix="nginx-") as folder:
        server = Nginx(Path(folder), port or servers.free_port(), ports, changed)
        server.start()
        try:
            yield server
        finally:
            server.stop()


def derived(changes: dict[str, str]) -> str:
    """The configuration that is shipped, with these changes; each must find its place."""
    text = CONFIGURATION.read_text()
    for old, new in changes.items():
        assert old in text, f"{CONFIGURATION.name} has no {old!r}"
        text = text.replace(old, new)
    return text


def give_away(folder: Path) -> list[str]:
    """Leave a folder to nobody, if we are root; returns what to start a command of his with."""
    if os.geteuid() != 0:
        return []
    (folder / "nginx.log").touch()
    for path in (folder, *folder.iterdir()):
        os.chown(path, NOBODY, NOBODY)
    return ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--"]
