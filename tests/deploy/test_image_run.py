"""`make image-run`: the chat from its image on this machine, and `make sbom`: what is in it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from tests.deploy.conftest import Image, Workshop
from tests.deploy.containers import Engine
from tests.servers import Server, free_port

OKTA = {
    "OKTA_OAUTH2_ISSUER": "https://localhost:1/oauth2/default",
    "OKTA_OAUTH2_CLIENT_ID": "tests",
    "OKTA_OAUTH2_CLIENT_SECRET": "a made-up one",
}


class ImageRun(Server):
    """`make image-run` where there is no bridge: with this machine's network."""

    def __init__(self, workshop: Workshop, folder: Path) -> None:
        self.port, self.plain = free_port(), free_port()
        self.container = f"image-run-{uuid.uuid4().hex[:8]}"
        own = ["--name", self.container, "--network", "host", "--no-healthcheck"]
        ports = ["--env", f"PORT={self.port}", "--env", f"REDIRECT_PORT={self.plain}"]
        super().__init__("image-run", [sys.executable, "-m", "dev.image_run"], folder)
        self.environ = (
            workshop.engine.environ
            | OKTA
            | {
                "DOCKER": "podman",
                "PYTHONPATH": str(workshop.folder),
                "RUN_FLAGS": " ".join([*own, *ports]),
            }
        )
        self.argv = ["env", f"--chdir={workshop.folder}", *self.argv]

    def ready(self) -> bool:
        try:
            url = f"https://localhost:{self.port}/healthz"
            return httpx.get(url, verify=False, timeout=2).status_code == 200
        except httpx.TransportError:
            return False

    def press_ctrl_c(self) -> int:
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)
        return self._process.wait(30)


@pytest.fixture(scope="module")
def run(
    workshop: Workshop, image: Image, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ImageRun]:
    server = ImageRun(workshop, tmp_path_factory.mktemp("image-run"))
    server.start()
    yield server
    if server.alive:
        server.stop()
    workshop.engine.podman("rm", "--force", "--time", "0", server.container, check=False)
    workshop.engine.podman("volume", "rm", "--force", "commons-data", check=False)


def test_it_serves_tls_to_which_plain_http_leads(run: ImageRun) -> None:
    answer = httpx.get(f"http://localhost:{run.plain}/chat")
    assert answer.headers["location"] == "https://localhost:5001/chat"
    page = f"https://localhost:{run.port}/"
    assert httpx.get(page, headers={"Host": "localhost:5001"}, verify=False).status_code == 200


def test_its_command_line_shows_no_secret(run: ImageRun, image: Image) -> None:
    [shown] = [line for line in run.log.splitlines() if line.startswith("  $ ")]
    assert "--publish=127.0.0.1:5001:8443 --publish=127.0.0.1:5000:8080" in shown
    assert "--read-only --cap-drop=ALL" in shown
    assert "--env=OKTA_OAUTH2_CLIENT_SECRET " in shown
    assert image.tag in shown
    assert OKTA["OKTA_OAUTH2_CLIENT_SECRET"] not in run.log
    arguments = Path(f"/proc/{run.pid}/cmdline").read_bytes()
    assert OKTA["OKTA_OAUTH2_CLIENT_SECRET"].encode() not in arguments
    assert "https://localhost:5001/authorization-code/callback" in run.log


def test_ctrl_c_ends_it_and_what_was_said_is_kept(run: ImageRun, engine: Engine) -> None:
    assert run.press_ctrl_c() == 0
    assert "Traceback" not in run.log
    volume = Path(engine.says("volume", "inspect", "--format", "{{.Mountpoint}}", "commons-data"))
    assert (volume / "chat.db").exists()


# The bill of materials


@pytest.fixture(scope="module", params=["podman", "buildah"])
def sbom(request: pytest.FixtureRequest, workshop: Workshop, image: Image) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "dev.sbom"],
        cwd=workshop.folder,
        env=workshop.engine.environ | {"DOCKER": request.param},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    text = (workshop.folder / "instance" / "sbom.cdx.json").read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    return json.loads(text)


def test_the_bill_lists_python_s_debian_s_and_npm_s(sbom: dict[str, Any], image: Image) -> None:
    assert sbom["metadata"]["component"]["version"] == image.tag
    listed = {part["purl"].partition("?")[0]: part for part in sbom["components"]}
    names = {purl.partition("@")[0] for purl in listed}
    assert {"pkg:pypi/flask", "pkg:pypi/psycopg-binary", "pkg:npm/vue", "pkg:npm/htm"} <= names
    assert {"pkg:npm/%40vue/runtime-core", "pkg:deb/debian/libc6"} <= names
    # What only builds or tests the image is not in it.
    assert {"pkg:pypi/pip", "pkg:pypi/pytest", "pkg:npm/axe-core"} & names == set()


def test_the_bill_names_the_versions_that_are_installed(
    sbom: dict[str, Any], engine: Engine, image: Image
) -> None:
    code = "import importlib.metadata as m; print(m.version('gevent'))"
    run = ["run", "--rm", "--no-healthcheck", "--network=none", "--entrypoint=python"]
    version = engine.says(*run, image.name, "-c", code)
    assert f"pkg:pypi/gevent@{version}" in {part["purl"] for part in sbom["components"]}
