"""The image as it is built, and as it runs: confined, on little, and gone when told to go."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.deploy.conftest import Image, Workshop, git
from tests.deploy.containers import Container, Engine, run_container
from tests.servers import free_port

LIMIT_MB = 75
STOPS_WITHIN_S = 10
SETTINGS = {
    "PUBLIC_URL": "https://chat.example.com",
    "SECRET_KEY": "a key for tests, of which nobody asks that it be secret",
    # Nothing is fetched from it at the start.
    "OKTA_OAUTH2_ISSUER": "https://localhost:1/oauth2/default",
    "OKTA_OAUTH2_CLIENT_ID": "tests",
    "OKTA_OAUTH2_CLIENT_SECRET": "a made-up one",
}


# As it is built


def config(engine: Engine, image: Image) -> dict[str, Any]:
    return json.loads(engine.says("image", "inspect", image.name))[0]


def test_it_says_what_it_was_made_of(engine: Engine, image: Image) -> None:
    labels = config(engine, image)["Config"]["Labels"]
    prefix = "org.opencontainers.image"
    assert labels[f"{prefix}.revision"] == image.tag
    assert labels[f"{prefix}.created"] == "2026-01-02T03:04:05Z"
    assert labels[f"{prefix}.title"] == "Commons"


def test_it_says_how_it_is_run(engine: Engine, image: Image) -> None:
    known = config(engine, image)
    said = known["Config"]
    assert said["User"] == "10001:10001"
    assert said["Entrypoint"] == ["gunicorn", "-c", "gunicorn.conf.py", "wsgi:app"]
    assert known["Healthcheck"]["Test"] == ["CMD", "python", "-m", "chat.healthcheck"]
    assert set(said["Volumes"]) == {"/tmp", "/data"}


def test_two_builds_of_a_commit_are_one_image(
    engine: Engine, image: Image, workshop: Workshop, tmp_path: Path
) -> None:
    """Another folder, other times and modes of files, another builder."""
    umask = os.umask(0o077)
    try:
        git(tmp_path, "clone", "--quiet", str(workshop.folder), "clone")
    finally:
        os.umask(umask)
    other = Workshop(tmp_path / "clone", engine, workshop.base_image)
    again = other.make("image", DOCKER="buildah", NAME="again")
    assert again.returncode == 0, again.stderr
    name = f"localhost/again:{image.tag}"
    assert engine.says("image", "inspect", "--format", "{{.Id}}", name) in image.id


def test_its_layers_are_small(engine: Engine, image: Image, tmp_path: Path) -> None:
    """As a registry would have them, compressed."""
    push = ["buildah", "push", "--quiet", image.name, f"dir:{tmp_path}"]
    subprocess.run(push, env=engine.environ, check=True)
    manifest = json.loads((tmp_path / "manifest.json").read_bytes())
    assert all(layer["mediaType"].endswith("gzip") for layer in manifest["layers"])
    assert sum(layer["size"] for layer in manifest["layers"]) <= LIMIT_MB * 1e6


def find_in(engine: Engine, image: Image, program: str) -> Any:
    """What a Python program, run as root in the image, prints as JSON."""
    command = ["run", "--rm", "--no-healthcheck", "--network=none", "--user=0", "--interactive"]
    run = engine.podman(*command, "--entrypoint=python", image.name, "-", given=program)
    return json.loads(run.stdout)


FILES = """
import json, os, stat
found = {}
for folder, folders, files in os.walk("/"):
    if folder == "/":
        folders[:] = set(folders) - {"proc", "sys", "dev", "tmp", "run"}
    for name in files:
        path = os.path.join(folder, name)
        status = os.lstat(path)
        if stat.S_ISLNK(status.st_mode):
            continue
        found[path] = [oct(status.st_mode), status.st_uid]
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def files(engine: Engine, image: Image) -> dict[str, tuple[int, int]]:
    """Every file in the image: mode and owner by path."""
    found = find_in(engine, image, FILES)
    return {path: (int(mode, 8), uid) for path, (mode, uid) in found.items()}


def test_no_tool_of_an_intruders_is_in_it(files: dict[str, tuple[int, int]]) -> None:
    assert "/opt/venv/bin/gunicorn" in files
    names = {Path(path).name for path in files if "/bin/" in path or "/sbin/" in path}
    unwanted = {
        "cc",
        "gcc",
        "g++",
        "ld",
        "make",
        "npm",
        "npx",
        "node",
        "pip",
        "pip3",
        "curl",
        "git",
    }
    assert names & unwanted == set()
    assert [path for path in files if "/site-packages/pip" in path] == []
    assert [path for path in files if "node_modules" in path] == []


def test_no_file_gives_rights(files: dict[str, tuple[int, int]]) -> None:
    """None sets a user or a group, and none of the app's can be changed by the one who serves."""
    assert [path for path, (mode, _) in files.items() if mode & 0o6000] == []
    ours = {path: of for path, of in files.items() if path.startswith(("/app/", "/opt/"))}
    assert ours
    assert [path for path, (mode, uid) in ours.items() if uid != 0 or mode & 0o022] == []


def test_only_what_serving_needs_is_in_it(files: dict[str, tuple[int, int]]) -> None:
    ours = {path.split("/")[2] for path in files if path.startswith("/app/")}
    assert ours == {"chat", "migrations", "wsgi.py", "gunicorn.conf.py", "__pycache__"}
    assert "/app/chat/static/vendor/vue.js" in files
    scripts = [path for path in files if path.startswith(("/app/", "/opt/"))]
    assert [path for path in scripts if path.endswith(".sh") or "ctivate" in path] == []


SECRETS_LEFT = "import json, os; print(json.dumps(os.path.exists('/run/secrets')))"


def test_no_secret_of_the_build_is_left(engine: Engine, image: Image) -> None:
    assert find_in(engine, image, SECRETS_LEFT) is False


# The modules of the running app, and whether each one's bytecode says that it needs no check
# (PEP 552: the flags are the second word; 1 means by hash, unchecked).
BYTECODE = f"""
import json, os, struct, sys
os.environ.update({SETTINGS!r})
from importlib.util import cache_from_source
import wsgi, chat.healthcheck, chat.tls, gunicorn.arbiter
flags = {{}}
for module in list(sys.modules.values()):
    if (getattr(module, "__file__", None) or "").endswith(".py"):
        cached = cache_from_source(module.__file__)
        flags[module.__file__] = None
        if os.path.exists(cached):
            with open(cached, "rb") as file:
                flags[module.__file__] = struct.unpack("<4xI", file.read(8))[0]
print(json.dumps(flags))
"""


def test_bytecode_is_there_for_all_and_is_not_checked(engine: Engine, image: Image) -> None:
    flags = find_in(engine, image, BYTECODE)
    assert {"/app/wsgi.py", "/app/chat/tls.py"} <= set(flags)
    assert any("/lib/python3" in path and "site-packages" not in path for path in flags)
    assert {path: flag for path, flag in flags.items() if flag != 1} == {}


# As it runs


@pytest.fixture(scope="module")
def container(engine: Engine, image: Image) -> Iterator[Container]:
    """On a quarter of a core, over TLS with a certificate made at the start."""
    env = {**SETTINGS, "TLS": "self-signed", "REDIRECT_PORT": str(free_port())}
    with run_container(engine, image.name, env=env, health=True) as container:
        container.wait_until_healthy()
        yield container


def test_gunicorn_is_the_first_process_and_nobody_special(container: Container) -> None:
    status = dict(
        line.split(":\t", 1)
        for line in Path(f"/proc/{container.pid}/status").read_text().splitlines()
        if ":\t" in line
    )
    assert status["Uid"].split() == ["10001"] * 4
    assert status["Gid"].split() == ["10001"] * 4
    assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0
    assert status["NoNewPrivs"] == "1"
    command = container.python("print(open('/proc/1/cmdline').read().replace(chr(0), ' '))")
    assert "gunicorn -c gunicorn.conf.py wsgi:app" in command


def test_it_writes_to_its_volumes_and_nowhere_else(container: Container) -> None:
    assert container.exec("touch", "/data/file", "/tmp/file", "/dev/shm/file").returncode == 0
    for place in ("/app/file", "/opt/venv/file", "/etc/file", "/file"):
        refused = container.exec("touch", place, check=False)
        assert "Read-only file system" in refused.stderr
    assert container.python("import os; print(os.stat('/data').st_uid)") == "10001"
    assert "/data/chat.db" in container.exec("ls", "/data/chat.db").stdout


def test_it_answers_and_plain_http_leads_to_it(container: Container) -> None:
    host = {"Host": "chat.example.com"}
    assert httpx.get(f"{container.url}/", headers=host, verify=False).status_code == 200
    plain = f"http://localhost:{container.environ['REDIRECT_PORT']}"
    assert httpx.get(f"{plain}/chat").headers["location"] == "https://chat.example.com/chat"
    assert httpx.get(f"{plain}/healthz").status_code == 200


def test_its_health_check_tells_well_from_unwell(container: Container) -> None:
    assert container.health() == 0
    elsewhere = ["env", "PORT=1", "python", "-m", "chat.healthcheck"]
    assert container.exec(*elsewhere, check=False).returncode == 1


def test_the_doctor_can_be_called(container: Container) -> None:
    said = container.exec("flask", "doctor", check=False)
    assert said.stdout.startswith("ok    settings")
    assert "Traceback" not in said.stdout + said.stderr


def test_it_goes_when_told_to(engine: Engine, image: Image) -> None:
    with run_container(engine, image.name, env=SETTINGS) as container:
        container.wait_until_healthy()
        asked = time.monotonic()
        assert container.stop() == 0
        assert time.monotonic() - asked < STOPS_WITHIN_S
        assert "Traceback" not in container.log


def test_a_missing_setting_is_one_line(engine: Engine, image: Image) -> None:
    without = {key: value for key, value in SETTINGS.items() if key != "SECRET_KEY"}
    with run_container(engine, image.name, env=without, cpus="2") as container:
        assert container.wait_for_end(30) == 1
        [line] = container.log.splitlines()
    assert line.startswith("chat: SECRET_KEY")
