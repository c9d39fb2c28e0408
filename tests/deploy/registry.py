"""An image registry of the tests' own: Debian's `docker-registry`, with TLS and a password."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from chat.tls import make_self_signed
from tests.servers import Server, free_port, require

CONFIG = """\
version: 0.1
log: {{level: info}}
storage:
  filesystem: {{rootdirectory: {folder}/images}}
  delete: {{enabled: true}}
http:
  addr: 127.0.0.1:{port}
  tls: {{certificate: {folder}/registry.crt, key: {folder}/registry.key}}
auth:
  htpasswd: {{realm: tests, path: {folder}/htpasswd}}
"""
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


class Registry(Server):
    """Serves on `host`; clients trust its certificate by SSL_CERT_FILE=`certificate`.

    It knows one person, as ECR does: `AWS`, with a password that `let_in` sets.
    """

    def __init__(self, folder: Path) -> None:
        missing = [part for part in ("docker-registry", "htpasswd") if not shutil.which(part)]
        require(not missing, ", ".join(missing))
        self.folder, self.port = folder, free_port()
        self.host = f"localhost:{self.port}"
        self.certificate = folder / "registry.crt"
        self.password = ""
        certificate, key = make_self_signed(["localhost", "127.0.0.1"])
        self.certificate.write_bytes(certificate)
        (folder / "registry.key").write_bytes(key)
        (folder / "htpasswd").touch()
        config = folder / "registry.yml"
        config.write_text(CONFIG.format(folder=folder, port=self.port))
        super().__init__("registry", ["docker-registry", "serve", str(config)], folder)

    def let_in(self, password: str) -> None:
        """Take this password from now on, and no other."""
        made = subprocess.run(
            ["htpasswd", "-niB", "AWS"], input=password, capture_output=True, text=True, check=True
        )
        (self.folder / "htpasswd").write_text(made.stdout.strip() + "\n")
        self.password = password

    def ready(self) -> bool:
        try:
            return self._get("/v2/").status_code in (200, 401)
        except httpx.TransportError:
            return False

    def manifest(self, repository: str, tag: str) -> tuple[str, httpx.Response]:
        """An image's digest and manifest, as the registry has them."""
        answer = self._get(f"/v2/{repository}/manifests/{tag}")
        answer.raise_for_status()
        return answer.headers["docker-content-digest"], answer

    def has(self, repository: str, tag: str) -> bool:
        return self._get(f"/v2/{repository}/manifests/{tag}").status_code == 200

    def _get(self, path: str) -> httpx.Response:
        context = ssl.create_default_context(cafile=self.certificate)
        url = f"https://{self.host}{path}"
        assert urlsplit(url).hostname == "localhost"
        who = ("AWS", self.password)
        return httpx.get(url, verify=context, headers={"Accept": MANIFEST}, auth=who, timeout=10)
